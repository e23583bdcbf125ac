//! Forward and backward pass of the Hamming view attention in training, where codes are numbers of ±1.

use super::HammingViewAttention;
use crate::codes::{binarise, straight_through};
use crate::layer_norm::LayerNormTape;
use crate::linear::{relu, relu_backward};
use crate::view_attention::ViewTokens;
use compute::{Mat, MatMut, matmul};

/// What the backward pass needs from the forward pass.
#[derive(Clone, Debug, Default)]
pub struct HammingViewAttentionTape {
    norm: LayerNormTape,
    /// Query projection `[samples, C]` and its codes.
    pub query: Vec<f32>,
    query_codes: Vec<f32>,
    /// Key projection `[samples, views, C]` and its codes.
    pub key: Vec<f32>,
    key_codes: Vec<f32>,
    /// `[samples, views, H]`, after the ReLU.
    direction: Vec<f32>,
    /// `b_q · b_k`, `[samples, views, heads]`.
    scores: Vec<f32>,
    /// `[samples, views, heads]`; sums to 1 over views.
    pub weights: Vec<f32>,
    /// `[samples, heads, C + H]`.
    blended: Vec<f32>,
    mixed: Vec<f32>,
}

/// Buffers of the backward pass, shared by all blocks of a thread.
#[derive(Clone, Debug, Default)]
pub struct HammingViewAttentionScratch {
    d_mixed: Vec<f32>,
    d_blended: Vec<f32>,
    d_query: Vec<f32>,
    d_key: Vec<f32>,
    d_logits: Vec<f32>,
    d_direction: Vec<f32>,
    d_norm: Vec<f32>,
}

impl HammingViewAttention {
    /// Sizes `(C, H, d)`.
    fn sizes(&self) -> (usize, usize, usize) {
        (self.out.inputs, self.direction.outputs, self.out.inputs / self.heads)
    }

    /// Adds the block's output to `q` `[samples, C]`. `views.keys` holds the tokens that keys are made of.
    pub fn forward(&self, params: &[f32], views: ViewTokens, q: &mut [f32], tape: &mut HammingViewAttentionTape) {
        let isa = compute::isa();
        let (c, h, _) = self.sizes();
        let samples = q.len() / c;
        let pairs = samples * views.views;
        assert_eq!(views.keys.len(), pairs * c, "key tokens of {pairs} pairs");
        self.norm.forward(params, q, &mut tape.norm);
        tape.query.resize(samples * c, 0.0);
        tape.query_codes.resize(samples * c, 0.0);
        tape.key.resize(pairs * c, 0.0);
        tape.key_codes.resize(pairs * c, 0.0);
        self.query.forward(params, &tape.norm.y, &mut tape.query, false);
        self.key.forward(params, views.keys, &mut tape.key, false);
        binarise(isa, &tape.query, &mut tape.query_codes);
        binarise(isa, &tape.key, &mut tape.key_codes);
        tape.direction.resize(pairs * h, 0.0);
        self.direction.forward(params, views.directions, &mut tape.direction, false);
        relu(isa, &mut tape.direction);
        tape.scores.resize(pairs * self.heads, 0.0);
        tape.weights.resize(pairs * self.heads, 0.0);
        self.bias.forward(params, &tape.direction, &mut tape.weights, false);
        let codes = Codes { query: &tape.query_codes, key: &tape.key_codes, views: views.views, c, heads: self.heads };
        score(isa, codes, self.tau.of(params), &mut tape.scores, &mut tape.weights);
        softmax_views(isa, &mut tape.weights, views.mask, views.views, self.heads);
        tape.blended.resize(samples * self.heads * (c + h), 0.0);
        blend(isa, &tape.weights, views.tokens, &tape.direction, views.views, self.heads, c, h, &mut tape.blended);
        tape.mixed.resize(samples * c, 0.0);
        for head in 0..self.heads {
            let (blend, weight) = (self.blend_of(&tape.blended, head, samples), self.value_of(params, head));
            matmul(1.0, blend, weight, self.mixed_of(&mut tape.mixed, head, samples), false);
        }
        self.out.forward(params, &tape.mixed, q, true);
    }

    fn blend_of<'a>(&self, blended: &'a [f32], head: usize, samples: usize) -> Mat<'a> {
        let width = self.value.inputs;
        Mat::strided(&blended[head * width..], samples, width, self.heads * width)
    }

    fn value_of<'a>(&self, params: &'a [f32], head: usize) -> Mat<'a> {
        let (c, _, d) = self.sizes();
        Mat::strided(&self.value.weight.of(params)[head * d..], self.value.inputs, d, c)
    }

    fn mixed_of<'a>(&self, mixed: &'a mut [f32], head: usize, samples: usize) -> MatMut<'a> {
        let (c, _, d) = self.sizes();
        MatMut::strided(&mut mixed[head * d..], samples, d, c)
    }

    /// Turns the gradient of the output into that of the input, in place in `dq` `[samples, C]`; adds the tokens'
    /// gradient to `d_tokens` and that of the keys' tokens to `d_keys`, both `[samples, views, C]`.
    pub fn backward(
        &self,
        params: &[f32],
        views: ViewTokens,
        tape: &HammingViewAttentionTape,
        dq: &mut [f32],
        d_tokens: &mut [f32],
        d_keys: &mut [f32],
        scratch: &mut HammingViewAttentionScratch,
        grads: &mut [f32],
    ) {
        let isa = compute::isa();
        let (c, h, d) = self.sizes();
        let samples = dq.len() / c;
        let pairs = samples * views.views;
        let s = scratch;
        s.d_mixed.resize(samples * c, 0.0);
        s.d_blended.resize(tape.blended.len(), 0.0);
        s.d_query.resize(samples * c, 0.0);
        s.d_key.resize(pairs * c, 0.0);
        s.d_logits.resize(pairs * self.heads, 0.0);
        s.d_direction.resize(pairs * h, 0.0);
        s.d_norm.resize(samples * c, 0.0);
        self.out.backward(params, &tape.mixed, dq, Some((&mut s.d_mixed, false)), grads);
        let width = self.value.inputs;
        for head in 0..self.heads {
            let d_mixed = Mat::strided(&s.d_mixed[head * d..], samples, d, c);
            let d_weight = MatMut::strided(&mut self.value.weight.of_mut(grads)[head * d..], width, d, c);
            matmul(1.0, self.blend_of(&tape.blended, head, samples).t(), d_mixed, d_weight, true);
            let d_blended = MatMut::strided(&mut s.d_blended[head * width..], samples, width, self.heads * width);
            matmul(1.0, d_mixed, self.value_of(params, head).t(), d_blended, false);
        }
        blend_backward(
            isa,
            &tape.weights,
            views.tokens,
            &tape.direction,
            &s.d_blended,
            views.mask,
            views.views,
            self.heads,
            c,
            h,
            d_tokens,
            &mut s.d_direction,
            &mut s.d_logits,
        );
        let codes = Codes { query: &tape.query_codes, key: &tape.key_codes, views: views.views, c, heads: self.heads };
        score_backward(isa, codes, self.tau.of(params), &s.d_logits, &mut s.d_query, &mut s.d_key);
        let d_tau = self.tau.of_mut(grads);
        for (scores, d_logits) in tape.scores.chunks_exact(self.heads).zip(s.d_logits.chunks_exact(self.heads)) {
            d_tau.iter_mut().zip(scores.iter().zip(d_logits)).for_each(|(t, (s, d))| *t += s * d);
        }
        straight_through(isa, &tape.query, &mut s.d_query);
        straight_through(isa, &tape.key, &mut s.d_key);
        self.key.backward(params, views.keys, &s.d_key, Some((d_keys, true)), grads);
        self.query.backward(params, &tape.norm.y, &s.d_query, Some((&mut s.d_norm, false)), grads);
        self.norm.backward(params, &tape.norm, &s.d_norm, dq, grads);
        self.bias.backward(params, &tape.direction, &s.d_logits, Some((&mut s.d_direction, true)), grads);
        relu_backward(isa, &tape.direction, &mut s.d_direction);
        self.direction.backward(params, views.directions, &s.d_direction, None, grads);
    }
}

#[derive(Clone, Copy)]
struct Codes<'a> {
    query: &'a [f32],
    key: &'a [f32],
    views: usize,
    c: usize,
    heads: usize,
}

compute::simd_fn! {
    /// `scores = b_q · b_k` of each head, and `logits += tau · scores`.
    fn score(isa: Isa, codes: Codes, tau: &[f32], scores: &mut [f32], logits: &mut [f32]) {
        let Codes { query, key, views, c, heads } = codes;
        let d = c / heads;
        for (pair, key) in key.chunks_exact(c).enumerate() {
            let query = &query[pair / views * c..][..c];
            for head in 0..heads {
                let terms = query[head * d..][..d].iter().zip(&key[head * d..][..d]);
                let sum: i32 = terms.map(|(q, k)| (q * k) as i32).sum();
                scores[pair * heads + head] = sum as f32;
                logits[pair * heads + head] += tau[head] * sum as f32;
            }
        }
    }
}

compute::simd_fn! {
    /// Gradients of the codes, given those of the logits.
    fn score_backward(isa: Isa, codes: Codes, tau: &[f32], d_logits: &[f32], d_query: &mut [f32], d_key: &mut [f32]) {
        let Codes { query, key, views, c, heads } = codes;
        let d = c / heads;
        d_query.fill(0.0);
        for pair in 0..key.len() / c {
            let at = pair / views * c;
            for head in 0..heads {
                let factor = tau[head] * d_logits[pair * heads + head];
                for i in head * d..(head + 1) * d {
                    d_query[at + i] += factor * key[pair * c + i];
                    d_key[pair * c + i] = factor * query[at + i];
                }
            }
        }
    }
}

compute::simd_fn! {
    /// Softmax over the views that see each sample, in place; where none does all get the same weight.
    fn softmax_views(isa: Isa, x: &mut [f32], mask: &[f32], views: usize, heads: usize) {
        for (x, mask) in x.chunks_exact_mut(views * heads).zip(mask.chunks_exact(views)) {
            if mask.iter().all(|m| *m == 0.0) {
                x.fill(1.0 / views as f32);
                continue;
            }
            for head in 0..heads {
                let mut max = f32::MIN;
                for v in 0..views {
                    if mask[v] != 0.0 {
                        max = max.max(x[v * heads + head]);
                    }
                }
                let mut sum = 0.0;
                for v in 0..views {
                    let w = &mut x[v * heads + head];
                    *w = if mask[v] != 0.0 { compute::math::exp(*w - max) } else { 0.0 };
                    sum += *w;
                }
                for v in 0..views {
                    x[v * heads + head] /= sum;
                }
            }
        }
    }
}

compute::simd_fn! {
    /// `blended[head] = Σ_v weight · [token | direction]`.
    fn blend(
        isa: Isa, weights: &[f32], tokens: &[f32], direction: &[f32], views: usize, heads: usize, c: usize, h: usize,
        blended: &mut [f32],
    ) {
        for (i, out) in blended.chunks_exact_mut(c + h).enumerate() {
            let (sample, head) = (i / heads, i % heads);
            out.fill(0.0);
            for pair in sample * views..(sample + 1) * views {
                let w = weights[pair * heads + head];
                if w == 0.0 {
                    continue;
                }
                for (o, t) in out[..c].iter_mut().zip(&tokens[pair * c..][..c]) {
                    *o += w * t;
                }
                for (o, t) in out[c..].iter_mut().zip(&direction[pair * h..][..h]) {
                    *o += w * t;
                }
            }
        }
    }
}

compute::simd_fn! {
    /// Gradients of [`blend`] and of the softmax before it: adds to `d_tokens`, writes `d_direction` and `d_logits`.
    /// Where no view sees the sample the weights are constant and the logits get no gradient.
    fn blend_backward(
        isa: Isa, weights: &[f32], tokens: &[f32], direction: &[f32], d_blended: &[f32], mask: &[f32], views: usize,
        heads: usize,
        c: usize, h: usize, d_tokens: &mut [f32], d_direction: &mut [f32], d_logits: &mut [f32],
    ) {
        d_direction.fill(0.0);
        for sample in 0..mask.len() / views {
            let unseen = mask[sample * views..][..views].iter().all(|m| *m == 0.0);
            for head in 0..heads {
                let d_out = &d_blended[(sample * heads + head) * (c + h)..][..c + h];
                let mut mean = 0.0;
                for pair in sample * views..(sample + 1) * views {
                    let w = weights[pair * heads + head];
                    if w == 0.0 {
                        d_logits[pair * heads + head] = 0.0;
                        continue;
                    }
                    let (token, dir) = (&tokens[pair * c..][..c], &direction[pair * h..][..h]);
                    let mut parts = [0.0f32; 8];
                    for (t, d) in token.chunks(8).zip(d_out[..c].chunks(8)) {
                        parts.iter_mut().zip(t.iter().zip(d)).for_each(|(p, (t, d))| *p += t * d);
                    }
                    let d_weight = parts.iter().sum::<f32>() + dir.iter().zip(&d_out[c..]).map(|(t, d)| t * d).sum::<f32>();
                    d_logits[pair * heads + head] = w * d_weight;
                    mean += w * d_weight;
                    for (o, d) in d_tokens[pair * c..][..c].iter_mut().zip(d_out) {
                        *o += w * d;
                    }
                    for (o, d) in d_direction[pair * h..][..h].iter_mut().zip(&d_out[c..]) {
                        *o += w * d;
                    }
                }
                for pair in sample * views..(sample + 1) * views {
                    let d = &mut d_logits[pair * heads + head];
                    *d = if unseen { 0.0 } else { *d - weights[pair * heads + head] * mean };
                }
            }
        }
    }
}
