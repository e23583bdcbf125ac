//! Feed-forward parts: what each sample does by itself after it has looked at others.
//!
//! Pre-norm and residual, `x += part(norm(x))`. A kind is a folder; this file has the choice between them, one `match` a
//! verb.

pub mod cuda;
pub mod engine;
pub mod experts;
pub mod mlp;
pub mod ray_kernel;
mod reparam;

use crate::builder::{BlockShape, Builder};
use crate::layer_norm::LayerNorm;
use crate::linear::LinearKind;
use crate::operations::{Part, RaySize, Step};
use experts::{Balance, Experts, ExpertsScratch, ExpertsTape, Noise};
use mlp::{Mlp, MlpScratch, MlpTape};
use serde::{Deserialize, Serialize};

/// What the feed-forward part of a block is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FeedForwardKind {
    /// Two layers with any weights (GNT).
    #[default]
    Dense,
    /// Two layers of shifts.
    Shift {
        /// As in [`LinearKind::Shift`].
        bits: u8,
    },
    /// A router sends each sample to one of two such parts, the first dense, the second of shifts; the result is
    /// multiplied by the router's probability.
    Experts {
        /// As in [`LinearKind::Shift`], for the second expert.
        bits: u8,
    },
}

impl FeedForwardKind {
    /// Weights of the only MLP, or of the second expert.
    pub fn linears(self) -> LinearKind {
        match self {
            Self::Dense => LinearKind::Dense,
            Self::Shift { bits } | Self::Experts { bits } => LinearKind::Shift { bits },
        }
    }
}

impl FeedForwardKind {
    /// The operations of one part, booked on `part`; `shift_share` of the rows go to the shift expert, where there is one.
    pub fn operations(self, shape: &BlockShape, ray: RaySize, part: Part, shift_share: f64) -> Vec<Step> {
        match self {
            Self::Dense | Self::Shift { .. } => mlp::operations(shape, ray, part, self.linears()),
            Self::Experts { .. } => experts::operations(shape, ray, part, self.linears(), shift_share),
        }
    }
}

/// A feed-forward part, folded.
#[expect(clippy::large_enum_variant, reason = "two a block, and Copy: places in a vector, not weights")]
#[derive(Clone, Copy, Debug)]
pub enum FeedForward {
    /// [`FeedForwardKind::Dense`] or [`FeedForwardKind::Shift`].
    Mlp(Mlp),
    /// [`FeedForwardKind::Experts`].
    Experts(Experts),
}

/// What the backward pass needs from the forward pass; the kinds that are not used stay empty.
#[derive(Clone, Debug, Default)]
pub struct FeedForwardTape {
    /// Of [`FeedForward::Mlp`].
    pub mlp: MlpTape,
    /// Of [`FeedForward::Experts`].
    pub experts: ExpertsTape,
}

/// Buffers of the backward pass, shared by all blocks of a thread.
#[derive(Clone, Debug, Default)]
pub struct FeedForwardScratch {
    mlp: MlpScratch,
    experts: ExpertsScratch,
}

impl FeedForward {
    /// Registers the parameters under `{name}.`, after the normalisation.
    pub fn build(b: &mut Builder, name: &str, norm: LayerNorm, shape: &BlockShape, kind: FeedForwardKind) -> Self {
        match kind {
            FeedForwardKind::Dense | FeedForwardKind::Shift { .. } => {
                Self::Mlp(Mlp::build(b, &format!("{name}.ff"), norm, shape, kind.linears()))
            }
            FeedForwardKind::Experts { .. } => Self::Experts(Experts::build(b, name, norm, shape, kind.linears())),
        }
    }

    /// Adds the part's output to the states `x` `[rows, C]`; see [`Experts::forward`] for the noise.
    pub fn forward(&self, params: &[f32], x: &mut [f32], noise: Option<Noise>, tape: &mut FeedForwardTape) {
        match self {
            Self::Mlp(layer) => layer.forward(params, x, &mut tape.mlp),
            Self::Experts(layer) => layer.forward(params, x, noise, &mut tape.experts),
        }
    }

    /// Turns the gradient of the output into that of the input, in place in `dx` `[rows, C]`; see [`Experts::backward`]
    /// for the balance.
    pub fn backward(
        &self,
        params: &[f32],
        tape: &FeedForwardTape,
        dx: &mut [f32],
        scratch: &mut FeedForwardScratch,
        grads: &mut [f32],
        balance: Option<Balance>,
    ) {
        match self {
            Self::Mlp(layer) => layer.backward(params, &tape.mlp, dx, &mut scratch.mlp, grads),
            Self::Experts(layer) => layer.backward(params, &tape.experts, dx, &mut scratch.experts, grads, balance),
        }
    }
}
