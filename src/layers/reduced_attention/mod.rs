//! Attention of tokens to fewer tokens (PVTv2's spatial reduction, arXiv 2106.13797), pre-norm and residual:
//! `x += proj(attention(q(norm(x)), kv(reduced(norm(x)))))`.
//!
//! Scores are products, or those of codes of one bit a channel with a factor a head, as in
//! [`crate::ray_attention::hamming`]; a softmax follows both.

pub mod cuda;
pub mod engine;
mod reduction;
mod reparam;
#[cfg(test)]
mod tests;
mod train;

pub use reduction::{POOLED, Reduction};
pub use train::{ReducedAttentionScratch, ReducedAttentionTape};

use crate::builder::Builder;
use crate::layer_norm::LayerNorm;
use crate::linear::{Linear, LinearKind};
use crate::ray_attention::ProjectionParameters;
use crate::{Init, Slot};
use reduction::Shrink;

/// Attention of tokens to fewer tokens.
#[derive(Clone, Copy, Debug)]
pub struct ReducedAttention {
    norm: LayerNorm,
    q: Linear,
    /// `C → 2C`: keys and values.
    kv: Linear,
    proj: Linear,
    shrink: Option<Shrink>,
    heads: usize,
    /// Where queries and keys are codes.
    codes: Option<Codes>,
    /// Parameters from which queries and keys are folded.
    original: ProjectionParameters,
}

/// Factors on the scores of codes, `[heads]`.
#[derive(Clone, Copy, Debug)]
struct Codes {
    tau: Slot,
    /// Where they lie in the vector of parameters.
    original_tau: Slot,
}

/// Variants of a [`ReducedAttention`].
#[derive(Clone, Copy, Debug)]
pub struct ReducedAttentionShape {
    /// Head `h` owns channels `h·d .. (h+1)·d` of `d = C / heads`.
    pub heads: usize,
    /// What is looked at.
    pub reduction: Reduction,
    /// Weights of queries, keys, values and outputs.
    pub linears: LinearKind,
    /// Whether queries and keys are codes.
    pub codes: bool,
}

impl ReducedAttention {
    /// Registers `{name}.q`, `.kv`, `.proj`, where there is a reduction `.sr` and `.norm`, and with codes `.tau`, after the
    /// normalisation.
    pub fn build(b: &mut Builder, name: &str, norm: LayerNorm, shape: ReducedAttentionShape) -> Self {
        let ReducedAttentionShape { heads, reduction, linears, codes } = shape;
        let c = norm.width;
        let (q, [weight, bias]) = b.linear_with_parameters(linears, &format!("{name}.q"), c, c);
        let query = (weight, Some(bias));
        let (kv, [weight, bias]) = b.linear_with_parameters(linears, &format!("{name}.kv"), c, 2 * c);
        let key = (weight.part(0, 2), Some(bias.part(0, 2)));
        let proj = b.linear_of(linears, &format!("{name}.proj"), c, c, true);
        let shrink = Shrink::build(b, name, c, reduction);
        let codes = codes.then(|| {
            let (original_tau, tau) = b.copy_with_parameter(&format!("{name}.tau"), &[heads], Init::Ones);
            Codes { tau, original_tau }
        });
        Self { norm, q, kv, proj, shrink, heads, codes, original: ProjectionParameters { query, key } }
    }
}
