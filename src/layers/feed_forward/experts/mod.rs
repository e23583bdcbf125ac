//! The pre-norm residual mixture of two experts of unequal cost: `x += p_i · E_i(norm(x))` for the expert `i` that a
//! small trained router prefers (ShiftAddViT, arXiv 2306.06446, section on the mixture of experts).
//!
//! Expert 0 is meant to multiply by dense weights, expert 1 to shift by powers of two; here both are plain linear
//! layers, whose weights come ready in the parameter vector. Every row runs through one expert only.

pub mod balance;
pub mod cuda;
pub mod engine;
pub mod ray_kernel;
pub mod router;
#[cfg(test)]
mod tests;
mod train;

pub use balance::{Balance, Usage, latency_shares};
pub(crate) use router::RoutedRows;
pub use router::{Noise, choose, gate};
pub use train::{ExpertsScratch, ExpertsTape};

use crate::Slot;
use crate::builder::{BlockShape, Builder};
use crate::feed_forward::mlp;
use crate::layer_norm::LayerNorm;
use crate::linear::{Linear, LinearKind};
use crate::operations::{Part, RaySize, Step, elementwise, linear};

/// Index of the expert with dense weights.
pub const MULTIPLY: usize = 0;
/// Index of the expert whose weights are powers of two.
pub const SHIFT: usize = 1;

/// One expert: `fc2(relu(fc1(n)))`.
#[derive(Clone, Copy, Debug)]
pub struct Expert {
    /// `width → hidden`.
    pub fc1: Linear,
    /// `hidden → width`.
    pub fc2: Linear,
    /// Weight and bias of `fc1` and `fc2` in the vector of parameters.
    pub original: [[Slot; 2]; 2],
}

/// Layer norm, router, two experts of which each row takes one, and the residual sum.
#[derive(Clone, Copy, Debug)]
pub struct Experts {
    /// Normalisation of the input.
    pub norm: LayerNorm,
    /// `width → 2`: the logits of the experts.
    pub router: Linear,
    /// [`MULTIPLY`] and [`SHIFT`].
    pub experts: [Expert; 2],
    /// Weight and bias of the router in the vector of parameters.
    pub original_router: [Slot; 2],
}

impl Experts {
    /// Registers `{name}.mult`, `{name}.shift` and `{name}.router` and folds them; `kind` is that of the shift expert.
    pub fn build(b: &mut Builder, name: &str, norm: LayerNorm, shape: &BlockShape, kind: LinearKind) -> Self {
        let (c, hidden) = (shape.width, shape.width * shape.mlp_ratio);
        let experts = [("mult", LinearKind::Dense), ("shift", kind)].map(|(part, kind)| {
            let (fc1, first) = b.linear_with_parameters(kind, &format!("{name}.{part}.fc1"), c, hidden);
            let (fc2, second) = b.linear_with_parameters(kind, &format!("{name}.{part}.fc2"), hidden, c);
            Expert { fc1, fc2, original: [first, second] }
        });
        let (router, original_router) = b.linear_with_parameters(LinearKind::Dense, &format!("{name}.router"), c, 2);
        Self { norm, router, experts, original_router }
    }
}

/// A feed-forward part of a multiply and a shift expert, which gets `shift_share` of the rows, and the router between them.
pub fn operations(shape: &BlockShape, ray: RaySize, part: Part, kind: LinearKind, shift_share: f64) -> Vec<Step> {
    let [c, ..] = shape.sizes();
    let s = ray.samples;
    // The router, and the product with its probability.
    let mut steps = vec![linear(part, LinearKind::Dense, s, c, 2), elementwise(part, s * c)];
    let both = [(LinearKind::Dense, 1.0 - shift_share), (kind, shift_share)];
    for (kind, share) in both {
        steps.extend(mlp::operations(shape, ray, part, kind).into_iter().map(|step| step.shared(share)));
    }
    steps
}
