//! Multi-head self-attention over the samples of each ray (GNT's ray transformer), pre-norm and residual.

pub mod cuda;
pub mod engine;
pub mod ray_kernel;
mod train;

pub use train::{SoftmaxRayAttentionScratch, SoftmaxRayAttentionTape};

use super::{ProjectionParameters, build_output, build_projections};
use crate::builder::{BlockShape, Builder};
use crate::layer_norm::LayerNorm;
use crate::linear::Linear;
use crate::operations::{Op, Part, RaySize, Step, product};

/// `x += out(attention(norm(x)))` over the samples of a ray; no mask, no positional term.
#[derive(Clone, Copy, Debug)]
pub struct SoftmaxRayAttention {
    /// Normalisation of the input.
    pub norm: LayerNorm,
    /// Queries, keys and values in one product, `width → 3·width`; the queries' columns carry the factor `1/sqrt(d)`.
    pub qkv: Linear,
    /// `width → width`.
    pub out: Linear,
    /// Number of heads; head `h` owns channels `h·d .. (h+1)·d`.
    pub heads: usize,
    /// Parameters from which the projections are folded.
    pub original: ProjectionParameters,
}

impl SoftmaxRayAttention {
    /// Registers the parameters under `{name}.` and folds them.
    pub fn build(b: &mut Builder, name: &str, norm: LayerNorm, shape: &BlockShape) -> Self {
        let (qkv, original) = build_projections(b, name, shape, false);
        let out = build_output(b, name, shape);
        Self { norm, qkv, out, heads: shape.heads, original }
    }
}

/// Ray attention by dot products and softmax.
pub fn operations(shape: &BlockShape, ray: RaySize) -> Vec<Step> {
    let [_, heads, d, _] = shape.sizes();
    let s = ray.samples;
    [(d, s), (s, d)].map(|(i, o)| product(Part::RayAttention, Op::Multiply, heads * s, i, o)).into()
}
