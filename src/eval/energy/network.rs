//! Modelled energy and time of an image, from the steps that a network says it consists of.

use super::{Accelerator, Cost, Layer, Op};
use crate::Result;
use layers::operations::Step;

/// Rays that the network takes at a time.
pub const CHUNK: u64 = 1024;

/// What the figures leave out, for people.
pub const BIASES: [&str; 4] = [
    "Modelled on an Eyeriss-like accelerator (see ShiftAddViT), not measured, and not comparable with measured figures.",
    "Free: softmax, norms, activations, encodings, look-ups, element-wise work, sampling, and the feature network.",
    "Dense values move 32 bits and shifts 10, which is most of what shifts save: compare with 8-bit integers.",
    "Additions of attention move nothing outside the processing elements and take the time of a dense product.",
];

/// Cost of all `rays` of an image whose rays consist of `steps`, with `dense` in place of [`Op::Multiply`].
///
/// # Errors
/// As [`Accelerator::cost`].
pub fn image(accelerator: &mut Accelerator, steps: &[Step], dense: Op, rays: u64) -> Result<Cost> {
    let work = steps.iter().filter_map(|step| step.product).map(|p| {
        let op = if p.op == Op::Multiply { dense } else { p.op };
        (p.share, Layer::product(op, CHUNK * p.rows, p.inputs, p.outputs))
    });
    Ok(accelerator.total(work)? * (rays as f64 / CHUNK as f64))
}

#[cfg(test)]
mod tests {
    use super::*;
    use layers::LinearKind;
    use layers::operations::{Part, elementwise, linear};

    /// Half of the rows cost half, twice the rays twice, and what is no product nothing.
    #[test]
    fn costs_add_up() {
        let mut accelerator = Accelerator::default();
        let step = linear(Part::Head, LinearKind::Dense, 31, 32, 64);
        let mut joules =
            |steps: &[Step], dense, rays| image(&mut accelerator, steps, dense, rays).unwrap().energy.total();
        let whole = joules(&[step], Op::Multiply, 5000);
        assert!((joules(&[step.shared(0.5)], Op::Multiply, 10_000) / whole - 1.0).abs() < 1e-12);
        assert_eq!(joules(&[step, elementwise(Part::Head, 99)], Op::Multiply, 5000), whole);
        assert!(joules(&[step], Op::Multiply8, 5000) < 0.5 * whole);
    }
}
