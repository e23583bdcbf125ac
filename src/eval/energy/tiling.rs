//! How a layer is cut into tiles, what a cut moves, and the search for the best one.

use super::{Cost, Energy, Layer, Op};

/// A cut of a layer's loops. Index 0 is inside a processing element, 1 across them, 2 in the global buffer, 3 in memory;
/// the factors of a size multiply to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tiling {
    /// N0, N3.
    pub batch: [u64; 2],
    /// M0 to M3.
    pub outputs: [u64; 4],
    /// C0 to C2; C3 is 1.
    pub inputs: [u64; 3],
    /// E1, E3: rows of the output.
    pub rows: [u64; 2],
}

/// Seconds of one step, at 250 MHz.
const STEP: f64 = 4e-9;
/// Energy of one access to a register, in pJ for 16 bits; other levels of storage are multiples of it.
const REGISTER: f64 = 3.7;
/// Energy of one access to the memory, in pJ for 16 bits.
const DRAM: f64 = 200.0;

/// Energies in pJ and sizes that depend on the operation.
struct Machine {
    compute: f64,
    /// Of a datum; 0 where operands are taken to be on the chip.
    dram: f64,
    buffer: f64,
    network: f64,
    partial_sum: f64,
    register: f64,
    weight_register: f64,
    /// Seconds of one step.
    step: f64,
    /// Values in the memories, as a multiple.
    memory: u64,
    /// Processing elements, as a multiple.
    elements: u64,
}

impl Machine {
    fn of(op: Op) -> Self {
        // Energy of an operation, bits of a datum, whether operands come from outside, sizes of memories and array.
        let (compute, bits, outside, memory, elements) = match op {
            Op::Multiply => (3.7, 32.0, 1.0, 1, 1),
            Op::Multiply8 => (0.2, 8.0, 1.0, 2, 4),
            Op::Shift => (0.13, 10.0, 1.0, 1, 1),
            Op::Add => (0.9, 32.0, 0.0, 1, 1),
        };
        let words = bits / 16.0;
        Self {
            compute,
            dram: DRAM * words * outside,
            buffer: 6.0 * REGISTER * words * outside,
            network: 2.0 * REGISTER * words * outside,
            partial_sum: REGISTER * words,
            register: REGISTER * words,
            weight_register: 2.0 * REGISTER * words,
            step: if op == Op::Shift { STEP * bits / 32.0 } else { STEP },
            memory,
            elements,
        }
    }
}

impl Tiling {
    /// What `layer` costs when it is cut like this. Time is taken literally, for additions too.
    pub fn cost(&self, layer: &Layer) -> Cost {
        self.cost_on(&Machine::of(layer.op), layer)
    }

    fn cost_on(&self, machine: &Machine, layer: &Layer) -> Cost {
        let [n0, n3] = self.batch.map(|n| n as f64);
        let [m0, m1, m2, m3] = self.outputs.map(|n| n as f64);
        let [c0, c1, c2] = self.inputs.map(|n| n as f64);
        let [e1, e3] = self.rows.map(|n| n as f64);
        let [n, c, m] = [layer.batch, layer.inputs, layer.outputs].map(|n| n as f64);
        let [[r, s], [h, w], [e, f]] = [layer.kernel, layer.input, layer.output].map(|size| size.map(|n| n as f64));
        let (inputs, weights, outputs) = (n * h * w * c, r * s * c * m, n * e * f * m);

        // Sums of products that do not fit are written and read again, hence the factors of two.
        let dram = m3 * inputs + n3 * e3 * weights + outputs;
        let buffer = m3 * m2 * inputs + (2.0 * (c2 - 1.0)).max(1.0) * outputs;
        let spread = m3 * m2 * m1 * r * e / h * inputs;
        let network = spread + n3 * e3 * e1 * weights;
        let partial_sums = (c2 * (c1 * r - 1.0)).max(1.0) * outputs;
        let registers = spread * m0 * s * f / w + (2.0 * c2 * c1 * r * (c0 * s - 1.0)).max(1.0) * outputs;
        let weight_registers = n3 * e3 * e1 * f * n0 * weights;

        let joules = |picojoules: f64| picojoules * 1e-12;
        let energy = Energy {
            compute: joules(outputs * r * s * c * machine.compute),
            dram: joules(dram * machine.dram),
            buffer: joules(buffer * machine.buffer),
            network: joules(network * machine.network + partial_sums * machine.partial_sum),
            registers: joules(registers * machine.register + weight_registers * machine.weight_register),
        };
        Cost { energy, seconds: n * m3 * m2 * m0 * c2 * c0 * e3 * f * s * machine.step }
    }

    /// Values in the global buffer.
    fn buffered(&self, layer: &Layer) -> u64 {
        let ([m0, m1, m2, _], [c0, c1, _], [e1, _]) = (self.outputs, self.inputs, self.rows);
        let ([r, s], [_, f], stride) = (layer.kernel, layer.output, layer.stride);
        let pixels = ((e1 - 1) * stride + r) * ((f - 1) * stride + s);
        self.batch[0] * (c1 * c0 * pixels + m2 * m1 * m0 * e1 * f)
    }
}

/// The tiling with the least `(E - E_min) / E_max + (L - L_min) / L_max`, extremes over all tilings that fit, where E is
/// energy and L time; none if a size is 0 or nothing fits.
///
/// Of tilings that differ in the batch alone two are looked at: time is the same, energy falls as N0 grows, so the
/// largest N0 that fits is the best and 1 has the highest energy.
pub fn best(layer: &Layer) -> Option<Tiling> {
    if layer.is_empty() {
        return None;
    }
    let machine = Machine::of(layer.op);
    let [r, s] = layer.kernel;
    let outputs = splits::<4>(layer.outputs, |[m0, ..]| m0 <= 16 * machine.memory);
    let inputs = splits::<3>(layer.inputs, |[c0, ..]| c0 * s < 12 * machine.memory);
    let rows = splits::<2>(layer.output[0], |[e1, _]| layer.is_product() || e1 != 1);
    let batches = divisors(layer.batch);
    let mut found = Vec::new();
    let (mut energy_max, mut seconds_max) = (0.0, 0.0);
    for &outputs in &outputs {
        for &inputs in &inputs {
            for &rows in &rows {
                let ([m0, m1, ..], [c0, c1, _], [e1, _]) = (outputs, inputs, rows);
                let fits = m1 * c1 * e1 * r < 192 * machine.elements && m0 * c0 * s < 960 * machine.memory;
                let of = |n0| Tiling { batch: [n0, layer.batch / n0], outputs, inputs, rows };
                let capacity = 65536 * machine.memory;
                let first = of(1);
                let size = first.buffered(layer);
                if !fits || size >= capacity {
                    continue;
                }
                let largest = batches.partition_point(|n0| n0.saturating_mul(size) < capacity);
                let last = of(batches[largest - 1]);
                let (worse, better) = (first.cost_on(&machine, layer), last.cost_on(&machine, layer));
                energy_max = f64::max(energy_max, worse.energy.total());
                seconds_max = f64::max(seconds_max, worse.seconds);
                found.push((better.energy.total(), better.seconds, last));
            }
        }
    }
    let least = |of: fn(&(f64, f64, Tiling)) -> f64| found.iter().map(of).fold(f64::INFINITY, f64::min);
    let (energy, seconds) = (least(|t| t.0), least(|t| t.1));
    let badness = |t: &(f64, f64, Tiling)| (t.0 - energy) / energy_max + (t.1 - seconds) / seconds_max;
    found.iter().min_by(|a, b| badness(a).total_cmp(&badness(b))).map(|t| t.2)
}

/// All ways to write `n` as a product of `K` factors that are `wanted`.
fn splits<const K: usize>(n: u64, wanted: impl Fn([u64; K]) -> bool) -> Vec<[u64; K]> {
    let divisors = divisors(n);
    let mut partial = vec![([1; K], n)];
    for place in 0..K - 1 {
        partial = partial
            .into_iter()
            .flat_map(|(split, rest)| divisors.iter().filter(move |d| rest % **d == 0).map(move |d| (split, rest, *d)))
            .map(|(mut split, rest, factor)| {
                split[place] = factor;
                (split, rest / factor)
            })
            .collect();
    }
    let finish = |(mut split, rest): ([u64; K], u64)| {
        split[K - 1] = rest;
        split
    };
    partial.into_iter().map(finish).filter(|split| wanted(*split)).collect()
}

/// Divisors in rising order.
fn divisors(n: u64) -> Vec<u64> {
    let mut small: Vec<u64> = (1..).take_while(|d| d * d <= n).filter(|d| n.is_multiple_of(*d)).collect();
    let large: Vec<u64> = small.iter().rev().map(|d| n / d).filter(|d| d * d > n).collect();
    small.extend(large);
    small
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn divisors_and_splits_are_complete() {
        assert_eq!(divisors(1), [1]);
        assert_eq!(divisors(31), [1, 31]);
        assert_eq!(divisors(36), [1, 2, 3, 4, 6, 9, 12, 18, 36]);
        assert_eq!(splits::<2>(6, |_| true), [[1, 6], [2, 3], [3, 2], [6, 1]]);
        // Exponent 4 over four places, times one prime: 35 * 4.
        assert_eq!(splits::<4>(48, |_| true).len(), 140);
        assert!(splits::<3>(60, |[c0, ..]| c0 < 5).iter().all(|s| s.iter().product::<u64>() == 60 && s[0] < 5));
    }

    /// The shortcut over batches finds what a search over everything finds.
    #[test]
    fn agrees_with_an_exhaustive_search() {
        let conv = Layer {
            kernel: [3; 2],
            stride: 2,
            input: [33, 31],
            output: [16, 15],
            ..Layer::product(Op::Multiply, 2, 6, 12)
        };
        let products = [(1, 1, 1), (33, 31, 7), (360, 64, 24), (4096, 12, 64)];
        let ops = [Op::Multiply, Op::Multiply8, Op::Shift, Op::Add];
        let layers = products.into_iter().flat_map(|(n, c, m)| ops.map(|op| Layer::product(op, n, c, m)));
        for layer in layers.chain([conv]) {
            let costs = exhaustive(&layer);
            let over =
                |of: fn(&(f64, f64)) -> f64, pick: fn(f64, f64) -> f64| costs.iter().map(of).reduce(pick).unwrap();
            let (energy, energy_max) = (over(|c| c.0, f64::min), over(|c| c.0, f64::max));
            let (time, time_max) = (over(|c| c.1, f64::min), over(|c| c.1, f64::max));
            let badness = |(e, t): (f64, f64)| (e - energy) / energy_max + (t - time) / time_max;
            let least = costs.iter().map(|c| badness(*c)).fold(f64::INFINITY, f64::min);
            let found = best(&layer).unwrap().cost(&layer);
            let found = badness((found.energy.total(), found.seconds));
            assert!((found - least).abs() < 1e-12, "{layer}: expected {least}, found {found}");
        }
    }

    fn exhaustive(layer: &Layer) -> Vec<(f64, f64)> {
        let machine = Machine::of(layer.op);
        let mut costs = Vec::new();
        for batch in splits::<2>(layer.batch, |_| true) {
            for outputs in splits::<4>(layer.outputs, |_| true) {
                for inputs in splits::<3>(layer.inputs, |_| true) {
                    for rows in splits::<2>(layer.output[0], |_| true) {
                        let tiling = Tiling { batch, outputs, inputs, rows };
                        let fits = outputs[0] <= 16 * machine.memory
                            && outputs[1] * inputs[1] * rows[0] * layer.kernel[0] < 192 * machine.elements
                            && inputs[0] * layer.kernel[1] < 12 * machine.memory
                            && outputs[0] * inputs[0] * layer.kernel[1] < 960 * machine.memory
                            && tiling.buffered(layer) < 65536 * machine.memory
                            && (layer.is_product() || rows[0] != 1);
                        if fits {
                            let cost = tiling.cost(layer);
                            costs.push((cost.energy.total(), cost.seconds));
                        }
                    }
                }
            }
        }
        costs
    }
}
