//! Attention over source views: each sample looks at what the source views that see it show there.
//!
//! Pre-norm and residual, `q += out(attention(norm(q), tokens))`. A kind is a folder; this file has the choice between
//! them, one `match` a verb.

pub mod cuda;
mod cuda_tokens;
mod direction;
pub mod engine;
pub mod hamming;
pub mod ray_kernel;
pub mod reparam;
pub mod rows;
mod shared_tokens;
pub mod subtraction;

pub use shared_tokens::SharedTokens;

use crate::builder::{BlockShape, Builder};
use crate::layer_norm::LayerNorm;
use crate::operations::{RaySize, Step};
use hamming::{HammingViewAttention, HammingViewAttentionScratch, HammingViewAttentionTape};
use serde::{Deserialize, Serialize};
use subtraction::{SubtractionAttention, SubtractionAttentionScratch, SubtractionAttentionTape};

/// How a sample looks across its source views.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ViewAttentionKind {
    /// Subtraction attention with a small MLP, one weight a channel (GNT).
    #[default]
    Subtract,
    /// Codes of one bit a channel: the query code of the sample against the key codes of the source views, one weight a
    /// head. Keys are read at the nearest pixel of the feature map, so they are made once a source view; the relative
    /// direction is a bias of each head's logit and a part of the value.
    Hamming,
}

impl ViewAttentionKind {
    /// The operations of one attention, folded.
    pub fn operations(self, shape: &BlockShape, ray: RaySize) -> Vec<Step> {
        match self {
            Self::Subtract => subtraction::operations(shape, ray),
            Self::Hamming => hamming::operations(shape, ray),
        }
    }
}

/// An attention over source views, folded.
#[derive(Clone, Copy, Debug)]
pub enum ViewAttention {
    /// [`ViewAttentionKind::Subtract`].
    Subtraction(SubtractionAttention),
    /// [`ViewAttentionKind::Hamming`].
    Hamming(HammingViewAttention),
}

/// What the backward pass needs from the forward pass; the kinds that are not used stay empty.
#[derive(Clone, Debug, Default)]
pub struct ViewAttentionTape {
    /// Of [`ViewAttention::Subtraction`].
    pub subtraction: SubtractionAttentionTape,
    /// Of [`ViewAttention::Hamming`].
    pub hamming: HammingViewAttentionTape,
}

/// Buffers of both passes, shared by all blocks of a thread.
#[derive(Clone, Debug, Default)]
pub struct ViewAttentionScratch {
    subtraction: SubtractionAttentionScratch,
    hamming: HammingViewAttentionScratch,
}

/// What all view blocks of a chunk of rays share: `[samples, views, …]`, row-major.
#[derive(Clone, Copy, Debug)]
pub struct ViewTokens<'a> {
    /// Number of source views.
    pub views: usize,
    /// `[samples, views, C]`.
    pub tokens: &'a [f32],
    /// `[samples, views, C]`: tokens of the feature map's nearest pixels; empty where nothing reads them.
    pub keys: &'a [f32],
    /// Relative directions `[samples, views, 4]`.
    pub directions: &'a [f32],
    /// `[samples, views]`: 1 where the view sees the sample, else 0.
    pub mask: &'a [f32],
}

impl ViewAttention {
    /// Registers the parameters under `{name}.`, after the normalisation.
    pub fn build(b: &mut Builder, name: &str, norm: LayerNorm, shape: &BlockShape, kind: ViewAttentionKind) -> Self {
        match kind {
            ViewAttentionKind::Subtract => Self::Subtraction(SubtractionAttention::build(b, name, norm, shape)),
            ViewAttentionKind::Hamming => Self::Hamming(HammingViewAttention::build(b, name, norm, shape)),
        }
    }

    /// Whether keys are read at the pixels of the feature map.
    pub fn reads_keys(&self) -> bool {
        match self {
            Self::Subtraction(_) => false,
            Self::Hamming(_) => true,
        }
    }

    /// Adds the attention's output to the states `q` `[samples, C]`.
    pub fn forward(
        &self,
        params: &[f32],
        views: ViewTokens,
        q: &mut [f32],
        tape: &mut ViewAttentionTape,
        scratch: &mut ViewAttentionScratch,
    ) {
        match self {
            Self::Subtraction(layer) => {
                layer.forward(params, views, q, &mut tape.subtraction, &mut scratch.subtraction)
            }
            Self::Hamming(layer) => layer.forward(params, views, q, &mut tape.hamming),
        }
    }

    /// Turns the gradient of the output into that of the input, in place in `dq` `[samples, C]`; adds the tokens'
    /// gradient to `d_tokens` and that of the keys' tokens to `d_keys`, both `[samples, views, C]`.
    pub fn backward(
        &self,
        params: &[f32],
        views: ViewTokens,
        tape: &ViewAttentionTape,
        dq: &mut [f32],
        d_tokens: &mut [f32],
        d_keys: &mut [f32],
        scratch: &mut ViewAttentionScratch,
        grads: &mut [f32],
    ) {
        match self {
            Self::Subtraction(layer) => {
                layer.backward(params, views, &tape.subtraction, dq, d_tokens, &mut scratch.subtraction, grads)
            }
            Self::Hamming(layer) => {
                let (tape, scratch) = (&tape.hamming, &mut scratch.hamming);
                layer.backward(params, views, tape, dq, d_tokens, d_keys, scratch, grads)
            }
        }
    }
}
