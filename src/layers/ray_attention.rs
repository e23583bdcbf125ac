//! Multi-head self-attention over the samples of each ray (GNT's ray transformer), pre-norm and residual.

use crate::layer_norm::{LayerNorm, LayerNormTape};
use crate::linear::Linear;
use tensor::{Mat, MatMut, matmul};

/// `x += out(attention(norm(x)))` over the samples of a ray; no mask, no positional term.
#[derive(Clone, Copy, Debug)]
pub struct RayAttention {
    /// Normalisation of the input.
    pub norm: LayerNorm,
    /// Queries, keys and values in one product, `width → 3·width`; the queries' columns carry the factor `1/sqrt(d)`.
    pub qkv: Linear,
    /// `width → width`.
    pub out: Linear,
    /// Number of heads; head `h` owns channels `h·d .. (h+1)·d`.
    pub heads: usize,
}

/// What the backward pass needs from the forward pass.
#[derive(Clone, Debug, Default)]
pub struct RayAttentionTape {
    /// The normalised input.
    pub norm: LayerNormTape,
    /// Queries, keys and values `[rows, 3·width]`.
    pub qkv: Vec<f32>,
    /// Attention `[rays, heads, samples, samples]`; rows are queries and sum to 1.
    pub weights: Vec<f32>,
    mixed: Vec<f32>,
}

/// Buffers of the backward pass, shared by all blocks of a thread.
#[derive(Clone, Debug, Default)]
pub struct RayAttentionScratch {
    d_mixed: Vec<f32>,
    d_qkv: Vec<f32>,
    d_weights: Vec<f32>,
    d_norm: Vec<f32>,
}

impl RayAttention {
    /// Adds the block's output to `x` `[rays, samples, width]`.
    pub fn forward(&self, params: &[f32], samples: usize, x: &mut [f32], tape: &mut RayAttentionTape) {
        let (c, d) = (self.out.inputs, self.out.inputs / self.heads);
        let rows = x.len() / c;
        let rays = rows / samples;
        self.norm.forward(params, x, &mut tape.norm);
        tape.qkv.resize(rows * 3 * c, 0.0);
        tape.mixed.resize(rows * c, 0.0);
        tape.weights.resize(rays * self.heads * samples * samples, 0.0);
        self.qkv.forward(params, &tape.norm.y, &mut tape.qkv, false);
        for (i, weights) in tape.weights.chunks_exact_mut(samples * samples).enumerate() {
            let (ray, head) = (i / self.heads, i % self.heads);
            let part =
                |part: usize| Mat::strided(&tape.qkv[ray * samples * 3 * c + part * c + head * d..], samples, d, 3 * c);
            matmul(1.0, part(0), part(1).t(), MatMut::new(weights, samples, samples), false);
            softmax_rows(weights, samples);
            let mixed = MatMut::strided(&mut tape.mixed[ray * samples * c + head * d..], samples, d, c);
            matmul(1.0, Mat::new(weights, samples, samples), part(2), mixed, false);
        }
        self.out.forward(params, &tape.mixed, x, true);
    }

    /// Turns the gradient of the output into that of the input, in place in `dx` `[rays, samples, width]`.
    pub fn backward(
        &self,
        params: &[f32],
        samples: usize,
        tape: &RayAttentionTape,
        dx: &mut [f32],
        scratch: &mut RayAttentionScratch,
        grads: &mut [f32],
    ) {
        let (c, d) = (self.out.inputs, self.out.inputs / self.heads);
        scratch.d_mixed.resize(dx.len(), 0.0);
        scratch.d_norm.resize(dx.len(), 0.0);
        scratch.d_qkv.resize(tape.qkv.len(), 0.0);
        scratch.d_weights.resize(samples * samples, 0.0);
        self.out.backward(params, &tape.mixed, dx, Some((&mut scratch.d_mixed, false)), grads);
        for (i, weights) in tape.weights.chunks_exact(samples * samples).enumerate() {
            let (ray, head) = (i / self.heads, i % self.heads);
            let at = |part: usize| ray * samples * 3 * c + part * c + head * d;
            let part = |p: usize| Mat::strided(&tape.qkv[at(p)..], samples, d, 3 * c);
            let d_mixed = Mat::strided(&scratch.d_mixed[ray * samples * c + head * d..], samples, d, c);
            let d_weights = &mut scratch.d_weights;
            matmul(1.0, d_mixed, part(2).t(), MatMut::new(d_weights, samples, samples), false);
            softmax_rows_backward(weights, d_weights, samples);
            let weights = Mat::new(weights, samples, samples);
            let d_scores = Mat::new(d_weights, samples, samples);
            let mut product = |a: Mat, b: Mat, p: usize| {
                matmul(1.0, a, b, MatMut::strided(&mut scratch.d_qkv[at(p)..], samples, d, 3 * c), false);
            };
            product(weights.t(), d_mixed, 2);
            product(d_scores, part(1), 0);
            product(d_scores.t(), part(0), 1);
        }
        self.qkv.backward(params, &tape.norm.y, &scratch.d_qkv, Some((&mut scratch.d_norm, false)), grads);
        self.norm.backward(params, &tape.norm, &scratch.d_norm, dx, grads);
    }
}

tensor::simd_fn! {
    /// Softmax of every row of `[rows, cols]`, in place.
    pub fn softmax_rows(x: &mut [f32], cols: usize) {
        for row in x.chunks_exact_mut(cols) {
            let mut parts = [f32::MIN; 8];
            for chunk in row.chunks(8) {
                parts.iter_mut().zip(chunk).for_each(|(p, v)| *p = if *v > *p { *v } else { *p });
            }
            let max = parts.iter().fold(f32::MIN, |a, b| a.max(*b));
            let mut sums = [0.0f32; 8];
            for chunk in row.chunks_exact_mut(8) {
                for (s, v) in sums.iter_mut().zip(chunk) {
                    *v = tensor::math::exp(*v - max);
                    *s += *v;
                }
            }
            for v in row.chunks_exact_mut(8).into_remainder() {
                *v = tensor::math::exp(*v - max);
                sums[0] += *v;
            }
            let scale = 1.0 / sums.iter().sum::<f32>();
            row.iter_mut().for_each(|v| *v *= scale);
        }
    }
}

tensor::simd_fn! {
    /// Turns the gradient of a row softmax with output `y` into that of its input, in place.
    pub fn softmax_rows_backward(y: &[f32], dy: &mut [f32], cols: usize) {
        for (y, dy) in y.chunks_exact(cols).zip(dy.chunks_exact_mut(cols)) {
            let mut parts = [0.0f32; 8];
            for (y, dy) in y.chunks(8).zip(dy.chunks(8)) {
                parts.iter_mut().zip(y.iter().zip(dy)).for_each(|(p, (y, d))| *p += y * d);
            }
            let dot = parts.iter().sum::<f32>();
            dy.iter_mut().zip(y).for_each(|(d, y)| *d = (*d - dot) * y);
        }
    }
}
