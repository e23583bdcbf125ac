//! Attention of tokens to fewer tokens (PVTv2's spatial reduction, arXiv 2106.13797), pre-norm and residual:
//! `x += proj(attention(q(norm(x)), kv(reduced(norm(x)))))`. It has a forward pass only.
//!
//! The grid is reduced by a convolution whose kernel is its stride, or by means over 7 by 7 parts, a layer of 1 by 1 pixels
//! and a GELU; a normalisation follows both.

pub mod engine;

use crate::builder::Builder;
use crate::gelu::gelu;
use crate::layer_norm::{LayerNorm, LayerNormTape};
use crate::linear::Linear;
use crate::patch_conv::{PatchConv, PatchConvScratch};
use crate::softmax::softmax_rows;
use compute::{Isa, Mat, MatMut, Start};

/// Side of the grid that pooling makes.
pub const POOLED: usize = 7;

/// Added to the variances of reduced tokens: PyTorch's default, which timm leaves there, unlike in the other
/// normalisations of a PVTv2.
const REDUCED_EPS: f32 = 1e-5;

/// What makes fewer tokens of a grid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reduction {
    /// Nothing.
    None,
    /// A convolution over this many tokens in each direction.
    Convolved(usize),
    /// Means over 7 by 7 parts.
    Pooled,
}

/// Attention of tokens to fewer tokens.
#[derive(Clone, Copy, Debug)]
pub struct ReducedAttention {
    norm: LayerNorm,
    q: Linear,
    kv: Linear,
    proj: Linear,
    reduction: Reduction,
    shrink: Option<(PatchConv, LayerNorm)>,
    heads: usize,
}

/// Buffers of a pass, shared by all layers of a thread.
#[derive(Clone, Debug, Default)]
pub struct ReducedAttentionScratch {
    norm: LayerNormTape,
    small: Vec<f32>,
    pooled: Vec<f32>,
    small_norm: LayerNormTape,
    q: Vec<f32>,
    kv: Vec<f32>,
    weights: Vec<f32>,
    mixed: Vec<f32>,
    conv: PatchConvScratch,
}

impl ReducedAttention {
    /// Registers `{name}.q`, `.kv`, `.proj` and, where there is a reduction, `.sr` and `.norm`, after the normalisation.
    pub fn build(b: &mut Builder, name: &str, norm: LayerNorm, heads: usize, reduction: Reduction) -> Self {
        let c = norm.width;
        let q = b.linear(&format!("{name}.q"), c, c, true);
        let kv = b.linear(&format!("{name}.kv"), c, 2 * c, true);
        let proj = b.linear(&format!("{name}.proj"), c, c, true);
        let kernel = match reduction {
            Reduction::None => None,
            Reduction::Convolved(size) => Some(size),
            Reduction::Pooled => Some(1),
        };
        let shrink = kernel.map(|size| {
            let conv = PatchConv::build(b, &format!("{name}.sr"), (c, c), size, size, 0);
            (conv, b.norm(&format!("{name}.norm"), c, REDUCED_EPS))
        });
        Self { norm, q, kv, proj, reduction, shrink, heads }
    }

    /// Adds the attention's output to `x` `[images, height, width, C]`.
    pub fn forward(
        &self,
        params: &[f32],
        (images, height, width): (usize, usize, usize),
        x: &mut [f32],
        scratch: &mut ReducedAttentionScratch,
    ) {
        let isa = compute::isa();
        let (c, tokens) = (self.norm.width, height * width);
        let ReducedAttentionScratch { norm, small, pooled, small_norm, q, kv, weights, mixed, conv } = scratch;
        self.norm.forward(params, x, norm);
        let source = match &self.shrink {
            None => &norm.y,
            Some((shrink, after)) => {
                let size = if self.reduction == Reduction::Pooled {
                    pool((images, height, width), c, &norm.y, pooled);
                    shrink.forward(params, (images, POOLED, POOLED), pooled, small, conv);
                    after.forward(params, small, small_norm);
                    small.clone_from(&small_norm.y);
                    gelu(isa, small, &mut small_norm.y);
                    POOLED * POOLED
                } else {
                    shrink.forward(params, (images, height, width), &norm.y, small, conv);
                    after.forward(params, small, small_norm);
                    small.len() / c / images
                };
                debug_assert_eq!(small_norm.y.len(), images * size * c);
                &small_norm.y
            }
        };
        q.resize(x.len(), 0.0);
        mixed.resize(x.len(), 0.0);
        kv.resize(2 * source.len(), 0.0);
        self.q.forward(params, &norm.y, q, false);
        self.kv.forward(params, source, kv, false);
        let keys = source.len() / images * 2;
        for ((q, kv), mixed) in
            q.chunks_exact(tokens * c).zip(kv.chunks_exact(keys)).zip(mixed.chunks_exact_mut(tokens * c))
        {
            self.attend(isa, q, kv, weights, mixed);
        }
        self.proj.forward(params, mixed, x, true);
    }

    /// Mixes the values of one image, `kv` `[keys, 2C]`, for its queries `q` `[tokens, C]`, to `mixed` `[tokens, C]`.
    fn attend(&self, isa: Isa, q: &[f32], kv: &[f32], weights: &mut Vec<f32>, mixed: &mut [f32]) {
        let (c, d, products) = (self.norm.width, self.norm.width / self.heads, self.q.products);
        let (tokens, keys, scale) = (q.len() / c, kv.len() / (2 * c), 1.0 / (d as f32).sqrt());
        weights.resize(tokens * keys, 0.0);
        for head in 0..self.heads {
            let part = |part: usize| Mat::strided(&kv[part * c + head * d..], keys, d, 2 * c);
            let query = Mat::strided(&q[head * d..], tokens, d, c);
            products.matmul(scale, query, part(0).t(), MatMut::new(weights, tokens, keys), Start::Zero);
            softmax_rows(isa, weights, keys);
            let out = MatMut::strided(&mut mixed[head * d..], tokens, d, c);
            products.matmul(1.0, Mat::new(weights, tokens, keys), part(1), out, Start::Zero);
        }
    }
}

/// Means over 7 by 7 parts that cover the grid, as PyTorch's adaptive pooling has them.
fn pool((images, height, width): (usize, usize, usize), c: usize, x: &[f32], out: &mut Vec<f32>) {
    out.clear();
    out.resize(images * POOLED * POOLED * c, 0.0);
    let part = |i: usize, n: usize| i * n / POOLED..((i + 1) * n).div_ceil(POOLED);
    for (i, out) in out.chunks_exact_mut(c).enumerate() {
        let (image, row, column) = (i / (POOLED * POOLED), i / POOLED % POOLED, i % POOLED);
        let (rows, columns) = (part(row, height), part(column, width));
        let scale = 1.0 / (rows.len() * columns.len()) as f32;
        for (y, x_at) in rows.flat_map(|y| columns.clone().map(move |x| (y, x))) {
            let from = &x[((image * height + y) * width + x_at) * c..][..c];
            out.iter_mut().zip(from).for_each(|(o, v)| *o += scale * v);
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn pooling_covers_the_grid() {
        let x: Vec<f32> = (0..9 * 14).map(|i| i as f32).collect();
        let mut out = Vec::new();
        super::pool((1, 9, 14), 1, &x, &mut out);
        // Rows 0 and 1, columns 0 and 1; then rows 7 and 8, columns 12 and 13.
        assert_eq!((out[0], out[48]), ((0. + 1. + 14. + 15.) / 4., (110. + 111. + 124. + 125.) / 4.));
    }
}
