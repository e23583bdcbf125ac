//! Modelled energy and time of an image.

use super::counts::{After, Lists};
use eval::energy::network::{BIASES, image};
use eval::energy::{Accelerator, Cost, Energy, Op};
use serde::Serialize;

/// Width and height of the image that is modelled: that of ShiftAddViT's figures, LLFF at a quarter of its size with every
/// second row and column.
pub const IMAGE: [u64; 2] = [504, 378];
/// Its pixels.
pub const RAYS: u64 = IMAGE[0] * IMAGE[1];

/// Energy and time for one image; of a renderer's, the feature network excluded.
#[derive(Serialize)]
pub struct Report {
    /// Width and height in pixels.
    image: [u64; 2],
    plain: Modelled,
    before: Modelled,
    #[serde(flatten)]
    after: After<Modelled>,
    /// `before` in 8-bit integers.
    before_8_bit: Modelled,
    /// What the model leaves out.
    biases: Vec<&'static str>,
}

/// What lines for people are told in.
#[derive(Clone, Copy)]
pub struct Units {
    energy: &'static str,
    time: &'static str,
    /// Of them in a joule and in a second.
    factor: f64,
}

/// For renderers.
pub const WHOLE: Units = Units { energy: "joules", time: "seconds", factor: 1.0 };
/// For networks of small images.
pub const THOUSANDTHS: Units = Units { energy: "mJ", time: "ms", factor: 1e3 };

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
    /// Models the three forms of a network for an image of this width and height, for which its steps are done so many
    /// times: once a ray in a renderer.
    ///
    /// # Errors
    /// As [`Accelerator::cost`].
    pub fn new(lists: &Lists, size: [u64; 2], times: u64) -> eval::Result<Self> {
        let mut accelerator = Accelerator::default();
        let mut model = |steps: &_, dense| image(&mut accelerator, steps, dense, times).map(Modelled::from);
        Ok(Self {
            image: size,
            plain: model(&lists.plain, Op::Multiply)?,
            before: model(&lists.before, Op::Multiply)?,
            after: lists.after.try_map(|steps| model(steps, Op::Multiply))?,
            before_8_bit: model(&lists.before, Op::Multiply8)?,
            biases: BIASES.to_vec(),
        })
    }

    /// The same report with what classifiers have free in place of what renderers have.
    pub fn of_classifier(mut self) -> Self {
        self.biases[1] = "Free: softmax, norms, activations, pooling and element-wise work.";
        self
    }

    /// Lines for people. Forms of the network that cost the same as the one before are left out: `after` in a dense network,
    /// and `plain` where nothing is folded.
    pub fn words(&self, is_dense: bool, units: Units, lines: &mut Vec<String>) {
        let Units { energy, time, factor } = units;
        let [width, height] = self.image;
        lines.push(format!("Modelled energy and time of an image of {width}x{height}:"));
        lines.push(format!("{:19} {energy:>9} {time:>9} {:>19}", "", format!("of it memory, {energy}")));
        let after = if is_dense { Vec::new() } else { self.after.named() };
        let is_folded = self.plain.joules != self.before.joules;
        let rows =
            is_folded.then_some(("plain", &self.plain)).into_iter().chain([("before", &self.before)]).chain(after);
        for (name, m) in rows.chain([("before, 8 bits", &self.before_8_bit)]) {
            let [joules, seconds, dram] = [m.joules, m.seconds, m.dram].map(|value| factor * value);
            lines.push(format!("{name:19} {joules:9.3} {seconds:9.3} {dram:20.3}"));
        }
        lines.extend(self.biases.iter().map(|line| (*line).to_owned()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gnt::operations::{of_network, plain};
    use gnt::shift_shares::ShiftShares;
    use gnt::{Config, FeedForwardKind};
    use layers::operations::Step;

    fn of(steps: &[Step]) -> Cost {
        image(&mut Accelerator::default(), steps, Op::Multiply, RAYS).unwrap()
    }

    /// The figures of the simulator for the official network.
    #[test]
    fn the_plain_network_is_the_papers() {
        let plain = plain(&Config::official(4), 192, 10);
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
        let at = |share| of(&of_network(&config, 33, 7, &[share; 4])).energy.total();
        let (none, half, all) = (at(0.0), at(0.5), at(1.0));
        assert!((none + all - 2.0 * half).abs() < 1e-9 * half, "{none} {half} {all}");
        let shift = Config { mlp: FeedForwardKind::Shift { bits: 4 }, ..config };
        assert!(all < half && of(&of_network(&shift, 33, 7, &[])).energy.total() < all);
    }

    #[test]
    fn words_and_order() {
        let config = Config::official(2).shift_add();
        let report = |shares| Report::new(&Lists::of(&config, &shares), IMAGE, RAYS).unwrap();
        let measured = report(ShiftShares::Rendered(vec![0.5; 4]));
        let After::Known(after) = &measured.after else { panic!("expected one form of the model") };
        assert!(after.joules < measured.before.joules && measured.before.joules < measured.plain.joules);
        assert!(measured.before_8_bit.joules < measured.before.joules / 3.0);
        let Modelled { compute, dram, buffer, network, registers, joules, .. } = after;
        assert!((compute + dram + buffer + network + registers - joules).abs() < 1e-9 * joules);
        let [mut dense, mut converted, mut unknown] = [vec![], vec![], vec![]];
        measured.words(true, WHOLE, &mut dense);
        measured.words(false, WHOLE, &mut converted);
        report(ShiftShares::Unknown).words(false, WHOLE, &mut unknown);
        assert_eq!((converted.len(), unknown.len()), (dense.len() + 1, dense.len() + 2));
        assert!(converted.iter().chain(&unknown).all(|line| line.len() <= 120), "{unknown:#?}");
    }
}
