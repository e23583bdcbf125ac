//! The feed-forward part of published vision transformers, pre-norm and residual: `x += fc2(gelu(fc1(norm(x))))`, with a
//! depthwise convolution over the grid of tokens before the GELU where there is one (PVTv2, arXiv 2106.13797).
//!
//! With experts, both layers are there twice, to multiply and to shift, and a router on `norm(x)` chooses one of them for
//! each token; what stands between the layers sees the whole grid, so that a token's neighbours may have chosen otherwise.
//! What a token gets is multiplied by the router's probability, as in [`crate::feed_forward::experts`].

pub mod cuda;
pub mod engine;
mod reparam;
#[cfg(test)]
mod tests;
mod train;

pub use train::{GridMlpScratch, GridMlpTape};

use crate::Slot;
use crate::builder::Builder;
use crate::depthwise::Depthwise;
use crate::feed_forward::FeedForwardKind;
use crate::layer_norm::LayerNorm;
use crate::linear::{Linear, LinearKind};

/// Layer norm, two linear layers with a GELU between, perhaps a convolution, and the residual sum.
#[derive(Clone, Copy, Debug)]
pub struct GridMlp {
    /// Normalisation of the input.
    pub norm: LayerNorm,
    /// `width → hidden`; the multiply expert's where tokens have a choice.
    pub fc1: Linear,
    /// Over the grid of tokens.
    pub local: Option<Depthwise>,
    /// Whether a ReLU stands before the convolution (the linear variant of PVTv2).
    pub clips: bool,
    /// `hidden → width`; the multiply expert's where tokens have a choice.
    pub fc2: Linear,
    /// What else tokens may choose.
    pub choice: Option<Choice>,
    /// Weight and bias of `fc1` and `fc2` in the vector of parameters.
    original: [[Slot; 2]; 2],
}

/// The shift expert beside the layers of the multiply expert, and the router between them.
#[derive(Clone, Copy, Debug)]
pub struct Choice {
    /// `width → 2`: the logits of the experts.
    pub router: Linear,
    /// `width → hidden`.
    pub fc1: Linear,
    /// `hidden → width`.
    pub fc2: Linear,
    /// Weight and bias of `fc1` and `fc2` in the vector of parameters.
    original: [[Slot; 2]; 2],
    /// Weight and bias of the router there.
    pub original_router: [Slot; 2],
}

/// Sizes and variants of a [`GridMlp`].
#[derive(Clone, Copy, Debug)]
pub struct GridMlpShape {
    /// Channels between the layers.
    pub hidden: usize,
    /// Whether there is a convolution.
    pub local: bool,
    /// Whether a ReLU stands before it.
    pub clips: bool,
    /// Weights of the layers.
    pub kind: FeedForwardKind,
}

impl GridMlp {
    /// Registers `{name}.fc1`, `{name}.fc2` and, where they are there, `{name}.dwconv`, `{name}.shift.fc1`,
    /// `{name}.shift.fc2` and `{name}.router`, after the normalisation.
    pub fn build(b: &mut Builder, name: &str, norm: LayerNorm, shape: GridMlpShape) -> Self {
        let GridMlpShape { hidden, local, clips, kind } = shape;
        let width = norm.width;
        let (own, shifts) = match kind {
            FeedForwardKind::Dense => (LinearKind::Dense, None),
            FeedForwardKind::Shift { .. } => (kind.linears(), None),
            FeedForwardKind::Experts { .. } => (LinearKind::Dense, Some(kind.linears())),
        };
        let (fc1, first) = b.linear_with_parameters(own, &format!("{name}.fc1"), width, hidden);
        let local = local.then(|| Depthwise::build(b, &format!("{name}.dwconv"), hidden, false));
        let (fc2, second) = b.linear_with_parameters(own, &format!("{name}.fc2"), hidden, width);
        let choice = shifts.map(|kind| Choice::build(b, name, (width, hidden), kind));
        Self { norm, fc1, local, clips, fc2, choice, original: [first, second] }
    }

    /// Channels between the layers.
    pub fn hidden(&self) -> usize {
        self.fc1.outputs
    }
}

impl Choice {
    fn build(b: &mut Builder, name: &str, (width, hidden): (usize, usize), kind: LinearKind) -> Self {
        let (fc1, first) = b.linear_with_parameters(kind, &format!("{name}.shift.fc1"), width, hidden);
        let (fc2, second) = b.linear_with_parameters(kind, &format!("{name}.shift.fc2"), hidden, width);
        let (router, original_router) =
            b.linear_with_parameters(LinearKind::Dense, &format!("{name}.router"), width, 2);
        Self { router, fc1, fc2, original: [first, second], original_router }
    }
}
