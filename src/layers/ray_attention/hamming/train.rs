//! Forward and backward pass of the Hamming ray attention in training, where codes are numbers of ±1.

use super::HammingRayAttention;
use crate::codes::{binarise, straight_through};
use crate::layer_norm::LayerNormTape;
use crate::softmax::{softmax_rows, softmax_rows_backward};
use compute::{Mat, MatMut, Start};

/// What the backward pass needs from the forward pass.
#[derive(Clone, Debug, Default)]
pub struct HammingRayAttentionTape {
    norm: LayerNormTape,
    /// `[rows, 3·width]`, before the signs are taken.
    pub qkv: Vec<f32>,
    /// ±1 codes of queries and keys, `[rows, 2·width]`.
    codes: Vec<f32>,
    /// Scores before the factor `tau`, `[rays, heads, samples, samples]`.
    scores: Vec<f32>,
    /// Attention `[rays, heads, samples, samples]`; rows are queries and sum to 1.
    pub weights: Vec<f32>,
    /// Attention output before the last projection, `[rows, width]`.
    mixed: Vec<f32>,
}

/// Buffers of the backward pass, shared by all blocks of a thread.
#[derive(Clone, Debug, Default)]
pub struct HammingRayAttentionScratch {
    d_mixed: Vec<f32>,
    d_qkv: Vec<f32>,
    d_weights: Vec<f32>,
    d_norm: Vec<f32>,
}

impl HammingRayAttention {
    /// Adds the block's output to `x` `[rays, samples, width]`.
    pub fn forward(&self, params: &[f32], samples: usize, x: &mut [f32], tape: &mut HammingRayAttentionTape) {
        let isa = compute::isa();
        let (c, d) = (self.out.inputs, self.out.inputs / self.heads);
        let rows = x.len() / c;
        let rays = rows / samples;
        self.norm.forward(params, x, &mut tape.norm);
        tape.qkv.resize(rows * 3 * c, 0.0);
        tape.codes.resize(rows * 2 * c, 0.0);
        tape.mixed.resize(rows * c, 0.0);
        tape.scores.resize(rays * self.heads * samples * samples, 0.0);
        tape.weights.resize(tape.scores.len(), 0.0);
        self.qkv.forward(params, &tape.norm.y, &mut tape.qkv, false);
        for (x, code) in tape.qkv.chunks_exact(3 * c).zip(tape.codes.chunks_exact_mut(2 * c)) {
            binarise(isa, &x[..2 * c], code);
        }
        let maps =
            tape.scores.chunks_exact_mut(samples * samples).zip(tape.weights.chunks_exact_mut(samples * samples));
        for (i, (scores, weights)) in maps.enumerate() {
            let (ray, head) = (i / self.heads, i % self.heads);
            let code = |part: usize| {
                Mat::strided(&tape.codes[ray * samples * 2 * c + part * c + head * d..], samples, d, 2 * c)
            };
            self.qkv.products.matmul(1.0, code(0), code(1).t(), MatMut::new(scores, samples, samples), Start::Zero);
            let tau = self.tau.of(params)[head];
            weights.iter_mut().zip(&*scores).for_each(|(w, s)| *w = tau * s);
            softmax_rows(isa, weights, samples);
            let value = Mat::strided(&tape.qkv[ray * samples * 3 * c + 2 * c + head * d..], samples, d, 3 * c);
            let mixed = MatMut::strided(&mut tape.mixed[ray * samples * c + head * d..], samples, d, c);
            self.qkv.products.matmul(1.0, Mat::new(weights, samples, samples), value, mixed, Start::Zero);
        }
        self.out.forward(params, &tape.mixed, x, true);
    }

    /// Turns the gradient of the output into that of the input, in place in `dx` `[rays, samples, width]`.
    ///
    /// Gradients pass the signs by the straight-through rule of [`crate::codes`].
    pub fn backward(
        &self,
        params: &[f32],
        samples: usize,
        tape: &HammingRayAttentionTape,
        dx: &mut [f32],
        scratch: &mut HammingRayAttentionScratch,
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
            let code = |part: usize| {
                Mat::strided(&tape.codes[ray * samples * 2 * c + part * c + head * d..], samples, d, 2 * c)
            };
            let value = Mat::strided(&tape.qkv[at(2)..], samples, d, 3 * c);
            let d_mixed = Mat::strided(&scratch.d_mixed[ray * samples * c + head * d..], samples, d, c);
            let d_weights = &mut scratch.d_weights;
            self.qkv.products.matmul(1.0, d_mixed, value.t(), MatMut::new(d_weights, samples, samples), Start::Zero);
            softmax_rows_backward(isa, weights, d_weights, samples);
            let scores = &tape.scores[i * samples * samples..][..samples * samples];
            self.tau.of_mut(grads)[head] += scores.iter().zip(&*d_weights).map(|(s, d)| s * d).sum::<f32>();
            let tau = self.tau.of(params)[head];
            let d_scores = Mat::new(d_weights, samples, samples);
            let mut product = |scale: f32, a: Mat, b: Mat, p: usize| {
                self.qkv.products.matmul(
                    scale,
                    a,
                    b,
                    MatMut::strided(&mut scratch.d_qkv[at(p)..], samples, d, 3 * c),
                    Start::Zero,
                );
            };
            product(1.0, Mat::new(weights, samples, samples).t(), d_mixed, 2);
            product(tau, d_scores, code(1), 0);
            product(tau, d_scores.t(), code(0), 1);
        }
        for (x, d) in tape.qkv.chunks_exact(3 * c).zip(scratch.d_qkv.chunks_exact_mut(3 * c)) {
            straight_through(isa, &x[..2 * c], &mut d[..2 * c]);
        }
        self.qkv.backward(params, &tape.norm.y, &scratch.d_qkv, Some((&mut scratch.d_norm, false)), grads);
        self.norm.backward(params, &tape.norm, &scratch.d_norm, dx, grads);
    }
}
