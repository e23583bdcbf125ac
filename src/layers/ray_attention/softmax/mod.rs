//! Multi-head self-attention over the samples of each ray (GNT's ray transformer), pre-norm and residual.

pub mod cuda;
pub mod engine;
pub mod ray_kernel;
mod train;

pub use train::{SoftmaxRayAttentionScratch, SoftmaxRayAttentionTape};

use super::{ProjectionParameters, build_projections};
use crate::Slot;
use crate::builder::{BlockShape, Builder};
use crate::folding::{Fold, Place};
use crate::layer_norm::LayerNorm;
use crate::linear::{Linear, LinearKind};
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
        let c = shape.width;
        let out = b.linear_of(shape.linears, &format!("{name}.out_fc"), c, c, true);
        Self { norm, qkv, out, heads: shape.heads, original }
    }

    /// The same with the parameters of published vision transformers: `{name}.qkv` `[3C, C]` with biases, and
    /// `{name}.proj`. The factor `1/sqrt(d)` goes into the queries' part of both.
    pub fn build_fused(b: &mut Builder, name: &str, norm: LayerNorm, heads: usize) -> Self {
        let c = norm.width;
        let weight = b.weight(&format!("{name}.qkv"), 3 * c, c);
        let bias = b.bias(&format!("{name}.qkv"), 3 * c, c);
        let mut qkv = Linear::new(&mut b.folded, &format!("{name}.qkv"), c, 3 * c, true);
        qkv.products = b.products;
        let to = qkv.bias.expect("made with a bias");
        let part = |slot: Slot, i: usize| Slot { offset: slot.offset + i * slot.len / 3, len: slot.len / 3 };
        for i in 0..3 {
            let scale = if i == 0 { 1.0 / ((c / heads) as f32).sqrt() } else { 1.0 };
            let place = |slot: Slot| Place::at(slot, 3 * c, 0, i * c);
            let kind = LinearKind::Dense;
            let fold = |from: Slot, inputs: usize, to: Place| Fold::Transpose {
                from,
                columns: inputs,
                first: 0,
                outputs: c,
                inputs,
                scale,
                kind,
                to,
            };
            b.folds.push(fold(part(weight, i), c, place(qkv.weight)));
            b.folds.push(fold(part(bias, i), 1, place(to)));
        }
        let out = b.linear(&format!("{name}.proj"), c, c, true);
        let original = ProjectionParameters { query: (part(weight, 0), None), key: (part(weight, 1), None) };
        Self { norm, qkv, out, heads, original }
    }
}

/// Ray attention by dot products and softmax.
pub fn operations(shape: &BlockShape, ray: RaySize) -> Vec<Step> {
    let [_, heads, d, _] = shape.sizes();
    let s = ray.samples;
    [(d, s), (s, d)].map(|(i, o)| product(Part::RayAttention, Op::Multiply, heads * s, i, o)).into()
}
