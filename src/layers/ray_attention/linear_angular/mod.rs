//! Linear-angular attention over the samples of each ray, on codes, pre-norm and residual: the Add layer of ShiftAddViT
//! on the attention of Castling-ViT.
//!
//! In every head, with codes `b(·) ∈ {0, 1}` of queries and keys:
//!
//! ```text
//! Z_i = ½·v_i + (1/π) · b(q_i) · [b(K)ᵀ V]        o_i = Z_i / ‖Z_i‖ + (filter ∗ V)_i        x += out(concat o)
//! ```
//!
//! It comes from the similarity `1 − arccos(q̂·k̂)/π ≈ ½ + q̂·k̂/π`. Taken literally the first term is `½·Σ_j v_j`; the
//! released code of both papers has the sample's own `½·v_i`, which is what stands here. There is no softmax and no sum
//! of weights: the norm takes its place. Cost grows linearly with the samples, and both products have one operand of
//! zeros and ones.

pub mod cuda;
pub mod engine;
pub mod ray_kernel;
#[cfg(test)]
mod tests;
mod train;

pub use train::{LinearAngularAttentionScratch, LinearAngularAttentionTape};

use super::{ProjectionParameters, build_output, build_projections};
use crate::builder::{BlockShape, Builder};
use crate::layer_norm::LayerNorm;
use crate::linear::{Linear, LinearKind};
use crate::operations::{Op, Part, RaySize, Step, elementwise, matrix_bytes, product};
use crate::{Init, Slot};
use std::f32::consts::FRAC_1_PI;

/// Taps of the filter over the samples.
pub const TAPS: usize = 9;
/// Samples on each side that the filter reaches; beyond the ray there are zeros.
const REACH: usize = TAPS / 2;
/// Added to `‖Z‖²`: values of size 1 are not touched, and a row of zeros stays zero with gradients of at most 1000.
pub const NORM_EPS: f32 = 1e-6;

/// `x += out(attention(norm(x)))` over the samples of a ray; no mask, no positional term.
#[derive(Clone, Copy, Debug)]
pub struct LinearAngularAttention {
    /// Normalisation of the input.
    pub norm: LayerNorm,
    /// Projections of queries, keys and values in one product, `width → 3·width`; its bias holds the codes' thresholds.
    pub qkv: Linear,
    /// `[heads, 9]`: one filter a head over the values along the samples, shared by the head's channels.
    pub filter: Option<Slot>,
    /// `width → width`.
    pub out: Linear,
    /// Number of heads; head `h` owns channels `h·d .. (h+1)·d`.
    pub heads: usize,
    /// Parameters from which the projections are folded.
    pub original: ProjectionParameters,
    /// Where the filter lies in the vector of parameters.
    pub original_filter: Option<Slot>,
}

impl LinearAngularAttention {
    /// Registers the parameters under `{name}.` and folds them, with a filter where `branch` says so.
    pub fn build(b: &mut Builder, name: &str, norm: LayerNorm, shape: &BlockShape, branch: bool) -> Self {
        let (qkv, original) = build_projections(b, name, shape, true);
        let heads = shape.heads;
        let filter =
            branch.then(|| b.copy_with_parameter(&format!("{name}.filter"), &[heads, TAPS], Init::fan_in(TAPS)));
        let out = build_output(b, name, shape);
        let (original_filter, filter) = (filter.map(|f| f.0), filter.map(|f| f.1));
        Self { norm, qkv, filter, out, heads, original, original_filter }
    }

    /// How much the first sample of `ray` looks at each sample, `[samples]`: stands in for the attention row from which
    /// depth is read.
    pub fn first_row(&self, tape: &LinearAngularAttentionTape, samples: usize, ray: usize) -> Vec<f32> {
        first_row_of(tape, samples, self.out.inputs, self.heads, ray)
    }
}

/// How much the first sample of a ray looks at each sample, `[samples]`: stands in for the attention row from which
/// depth is read.
///
/// In each head the similarities `½·[j = 0] + (1/π) · b(q_0)·b(k_j)` are divided by their sum, which is at least ½;
/// then follows the mean over heads. The filter has no part in it.
fn first_row_of(tape: &LinearAngularAttentionTape, samples: usize, c: usize, heads: usize, ray: usize) -> Vec<f32> {
    let d = c / heads;
    let codes = &tape.codes[ray * samples * 2 * c..][..samples * 2 * c];
    let (mut mean, mut row) = (vec![0.0; samples], vec![0.0; samples]);
    for head in 0..heads {
        let query = &codes[head * d..][..d];
        for (j, (r, codes)) in row.iter_mut().zip(codes.chunks_exact(2 * c)).enumerate() {
            let common: f32 = codes[c + head * d..][..d].iter().zip(query).map(|(k, q)| k * q).sum();
            *r = if j == 0 { 0.5 } else { 0.0 } + FRAC_1_PI * common;
        }
        let scale = 1.0 / (heads as f32 * row.iter().sum::<f32>());
        mean.iter_mut().zip(&row).for_each(|(m, r)| *m += scale * r);
    }
    mean
}

/// Linear-angular ray attention: `codes(K)^T V`, then the codes of the queries with it: masked sums, of which every bit is
/// counted, though only those that are set need one. Then for each value one product with `1/pi` and about four for the
/// norm. `branch` adds a filter over neighbouring samples.
pub fn operations(shape: &BlockShape, ray: RaySize, branch: bool) -> Vec<Step> {
    let [c, heads, d, _] = shape.sizes();
    let (part, s) = (Part::RayAttention, ray.samples);
    let mut steps = vec![
        product(part, Op::Add, heads * d, s, d),
        product(part, Op::Add, heads * s, d, d),
        elementwise(part, 5 * s * c),
    ];
    if branch {
        let taps = TAPS as u64;
        let mut filter = product(part, Op::Multiply, s * c, taps, 1);
        filter.ops.weight_bytes = matrix_bytes(LinearKind::Dense, taps, heads);
        steps.push(filter);
    }
    steps
}
