//! Forward and backward pass of the softmax ray attention in training.

use super::SoftmaxRayAttention;
use crate::layer_norm::LayerNormTape;
use crate::softmax::{softmax_rows, softmax_rows_backward};
use compute::{Mat, MatMut, Start};

/// What the backward pass needs from the forward pass.
#[derive(Clone, Debug, Default)]
pub struct SoftmaxRayAttentionTape {
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
pub struct SoftmaxRayAttentionScratch {
    d_mixed: Vec<f32>,
    d_qkv: Vec<f32>,
    d_weights: Vec<f32>,
    d_norm: Vec<f32>,
}

impl SoftmaxRayAttention {
    /// Adds the block's output to `x` `[rays, samples, width]`.
    pub fn forward(&self, params: &[f32], samples: usize, x: &mut [f32], tape: &mut SoftmaxRayAttentionTape) {
        let isa = compute::isa();
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
            self.qkv.products.matmul(1.0, part(0), part(1).t(), MatMut::new(weights, samples, samples), Start::Zero);
            softmax_rows(isa, weights, samples);
            let mixed = MatMut::strided(&mut tape.mixed[ray * samples * c + head * d..], samples, d, c);
            self.qkv.products.matmul(1.0, Mat::new(weights, samples, samples), part(2), mixed, Start::Zero);
        }
        self.out.forward(params, &tape.mixed, x, true);
    }

    /// Turns the gradient of the output into that of the input, in place in `dx` `[rays, samples, width]`.
    pub fn backward(
        &self,
        params: &[f32],
        samples: usize,
        tape: &SoftmaxRayAttentionTape,
        dx: &mut [f32],
        scratch: &mut SoftmaxRayAttentionScratch,
        grads: &mut [f32],
    ) {
        let isa = compute::isa();
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
            self.qkv.products.matmul(1.0, d_mixed, part(2).t(), MatMut::new(d_weights, samples, samples), Start::Zero);
            softmax_rows_backward(isa, weights, d_weights, samples);
            let weights = Mat::new(weights, samples, samples);
            let d_scores = Mat::new(d_weights, samples, samples);
            let mut product = |a: Mat, b: Mat, p: usize| {
                self.qkv.products.matmul(
                    1.0,
                    a,
                    b,
                    MatMut::strided(&mut scratch.d_qkv[at(p)..], samples, d, 3 * c),
                    Start::Zero,
                );
            };
            product(weights.t(), d_mixed, 2);
            product(d_scores, part(1), 0);
            product(d_scores.t(), part(0), 1);
        }
        self.qkv.backward(params, &tape.norm.y, &scratch.d_qkv, Some((&mut scratch.d_norm, false)), grads);
        self.norm.backward(params, &tape.norm, &scratch.d_norm, dx, grads);
    }
}
