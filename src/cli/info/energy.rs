//! Modelled energy and time of rendering.

use super::steps::Step;
use eval::energy::{Accelerator, Cost, Energy, Layer, Op};
use serde::Serialize;

/// Width and height of the image that is modelled: that of ShiftAddViT's figures, LLFF at a quarter of its size with every
/// second row and column.
const IMAGE: [u64; 2] = [504, 378];
const RAYS: u64 = IMAGE[0] * IMAGE[1];
/// Rays at a time.
const CHUNK: u64 = 1024;

/// What the figures leave out, for people.
pub const BIASES: [&str; 4] = [
    "Modelled on an Eyeriss-like accelerator (see ShiftAddViT), not measured, and not comparable with measured figures.",
    "Free: softmax, norms, activations, encodings, look-ups, element-wise work, sampling, and the feature network.",
    "Dense values move 32 bits and shifts 10, which is most of what shifts save: compare with 8-bit integers.",
    "Additions of attention move nothing outside the processing elements and take the time of a dense product.",
];

/// Energy and time for one image, the feature network excluded.
#[derive(Serialize)]
pub struct Report {
    /// Width and height.
    image: [u64; 2],
    plain: Modelled,
    before: Modelled,
    after: Modelled,
    /// `before` in 8-bit integers.
    before_8_bit: Modelled,
    biases: [&'static str; 4],
}

#[derive(Serialize)]
struct Modelled {
    joules: f64,
    seconds: f64,
    /// Joules of the operations, and of movement between memory, buffer, network on the chip and registers.
    compute: f64,
    dram: f64,
    buffer: f64,
    network: f64,
    registers: f64,
}

impl From<Cost> for Modelled {
    fn from(cost: Cost) -> Self {
        let Cost { energy, seconds } = cost;
        let Energy { compute, dram, buffer, network, registers } = energy;
        Self { joules: energy.total(), seconds, compute, dram, buffer, network, registers }
    }
}

impl Report {
    /// Models the three networks of [`super::steps`].
    ///
    /// # Errors
    /// As [`Accelerator::cost`].
    pub fn new(plain: &[Step], before: &[Step], after: &[Step]) -> eval::Result<Self> {
        let mut accelerator = Accelerator::default();
        let mut model = |steps, dense| image(&mut accelerator, steps, dense, RAYS).map(Modelled::from);
        Ok(Self {
            image: IMAGE,
            plain: model(plain, Op::Multiply)?,
            before: model(before, Op::Multiply)?,
            after: model(after, Op::Multiply)?,
            before_8_bit: model(before, Op::Multiply8)?,
            biases: BIASES,
        })
    }

    /// Lines for people; `after` is left out where it is the same as `before`.
    pub fn words(&self, is_dense: bool, lines: &mut Vec<String>) {
        let [width, height] = self.image;
        lines.push(format!("Modelled energy and time of an image of {width}x{height}:"));
        lines.push(format!("{:18} {:>10} {:>9} {:>19}", "", "joules", "seconds", "of it memory, joules"));
        let after = (!is_dense).then_some(("after", &self.after));
        let rows = [("plain", &self.plain), ("before", &self.before)].into_iter().chain(after);
        for (name, m) in rows.chain([("before, 8 bits", &self.before_8_bit)]) {
            lines.push(format!("{name:18} {:10.3} {:9.3} {:20.3}", m.joules, m.seconds, m.dram));
        }
        lines.extend(self.biases.map(str::to_owned));
    }
}

/// Cost of all `rays` of an image, with `dense` for multiplications.
///
/// # Errors
/// As [`Accelerator::cost`].
pub fn image(accelerator: &mut Accelerator, steps: &[Step], dense: Op, rays: u64) -> eval::Result<Cost> {
    let work = steps.iter().filter_map(|step| step.product).map(|p| {
        let op = if p.op == Op::Multiply { dense } else { p.op };
        (p.share, Layer::product(op, CHUNK * p.rows, p.inputs, p.outputs))
    });
    Ok(accelerator.total(work)? * (rays as f64 / CHUNK as f64))
}

#[cfg(test)]
mod tests {
    use super::super::steps;
    use super::*;
    use gnt::{Config, MlpKind};

    fn of(steps: &[Step]) -> Cost {
        image(&mut Accelerator::default(), steps, Op::Multiply, RAYS).unwrap()
    }

    /// The figures of the simulator for the official network.
    #[test]
    fn the_plain_network_is_the_papers() {
        let plain = steps::plain(&Config::official(4), 192, 10);
        let cost = of(&plain);
        assert!((cost.energy.total() / 1856.3 - 1.0).abs() < 5e-4, "{cost:?}");
        assert!((cost.seconds / 1073.4 - 1.0).abs() < 5e-4, "{cost:?}");
        let small = image(&mut Accelerator::default(), &plain, Op::Multiply8, RAYS).unwrap();
        assert!((small.energy.total() / 436.5 - 1.0).abs() < 5e-3, "{small:?}");
    }

    /// Between all samples in one expert and all in the other, cost is a straight line; a router costs something.
    #[test]
    fn experts_cost_their_mean() {
        let config = Config::compact().shift_add();
        let at = |share| of(&steps::after(&config, 33, 7, share)).energy.total();
        let (none, half, all) = (at(0.0), at(0.5), at(1.0));
        assert!((none + all - 2.0 * half).abs() < 1e-9 * half, "{none} {half} {all}");
        let shift = Config { mlp: MlpKind::Shift { bits: 4 }, ..config };
        assert!(all < half && of(&steps::after(&shift, 33, 7, 0.0)).energy.total() < all);
    }

    #[test]
    fn words_and_order() {
        let config = Config::official(2).shift_add();
        let lists = [steps::plain(&config, 31, 3), steps::before(&config, 31, 3), steps::after(&config, 31, 3, 0.5)];
        let report = Report::new(&lists[0], &lists[1], &lists[2]).unwrap();
        assert!(report.after.joules < report.before.joules && report.before.joules < report.plain.joules);
        assert!(report.before_8_bit.joules < report.before.joules / 3.0);
        let Modelled { compute, dram, buffer, network, registers, joules, .. } = report.after;
        assert!((compute + dram + buffer + network + registers - joules).abs() < 1e-9 * joules);
        let [mut dense, mut converted] = [vec![], vec![]];
        report.words(true, &mut dense);
        report.words(false, &mut converted);
        assert_eq!(converted.len(), dense.len() + 1);
        assert!(converted.iter().all(|line| line.len() <= 120), "{converted:#?}");
    }
}
