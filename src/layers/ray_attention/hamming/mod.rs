//! Multi-head Hamming attention over the samples of each ray, pre-norm and residual: the quadratic form of the Add layer
//! of ShiftAddViT, with the softmax kept.
//!
//! Queries and keys become one bit a channel (±1, threshold 0 after the projection's bias). A head of `d` channels has
//! `d + 1` possible scores `b_q · b_k`, so the softmax of `tau · b_q · b_k` is a table and the sum over values a sum of
//! buckets; here, where gradients are wanted, both are written as products.

pub mod cuda;
pub mod engine;
pub mod ray_kernel;
#[cfg(test)]
mod tests;
mod train;

pub use train::{HammingRayAttentionScratch, HammingRayAttentionTape};

use super::{ProjectionParameters, build_output, build_projections};
use crate::builder::{BlockShape, Builder};
use crate::layer_norm::LayerNorm;
use crate::linear::Linear;
use crate::operations::{Op, Part, RaySize, Step, product, scores};
use crate::{Init, Slot};

/// `x += out(attention(norm(x)))` over the samples of a ray.
#[derive(Clone, Copy, Debug)]
pub struct HammingRayAttention {
    /// Normalisation of the input.
    pub norm: LayerNorm,
    /// Projections of queries, keys and values in one product, `width → 3·width`; its bias holds the codes' thresholds.
    pub qkv: Linear,
    /// `[heads]`: factor on the scores.
    pub tau: Slot,
    /// `width → width`.
    pub out: Linear,
    /// Number of heads; head `h` owns channels `h·d .. (h+1)·d`.
    pub heads: usize,
    /// Parameters from which the projections are folded.
    pub original: ProjectionParameters,
    /// Where `tau` lies in the vector of parameters.
    pub original_tau: Slot,
}

impl HammingRayAttention {
    /// Registers the parameters under `{name}.` and folds them.
    pub fn build(b: &mut Builder, name: &str, norm: LayerNorm, shape: &BlockShape) -> Self {
        let (qkv, original) = build_projections(b, name, shape, true);
        let heads = shape.heads;
        let (original_tau, tau) = b.copy_with_parameter(&format!("{name}.tau"), &[heads], Init::Ones);
        let out = build_output(b, name, shape);
        Self { norm, qkv, tau, out, heads, original, original_tau }
    }
}

/// Hamming ray attention: values are summed by their key's score, of which a head has `d + 1`, and every sum is weighted
/// once.
pub fn operations(shape: &BlockShape, ray: RaySize) -> Vec<Step> {
    let [_, heads, d, _] = shape.sizes();
    let s = ray.samples;
    let sums = product(Part::RayAttention, Op::Add, heads * s, s, d);
    let weighted = product(Part::RayAttention, Op::Multiply, heads * s * d, d + 1, 1);
    vec![scores(Part::RayAttention, heads * s, d, s), sums, weighted]
}
