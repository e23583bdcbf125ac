//! Forward and backward pass of the subtraction attention in training.

use super::SubtractionAttention;
use crate::layer_norm::LayerNormTape;
use crate::linear::{add_column_sums, relu, relu_backward};
use crate::view_attention::ViewTokens;
use compute::math::exp;
use compute::{Mat, MatMut, matmul};

/// What the backward pass needs from the forward pass.
#[derive(Clone, Debug, Default)]
pub struct SubtractionAttentionTape {
    /// The normalised input.
    pub norm: LayerNormTape,
    /// `[samples, views, H]`, after the ReLU.
    direction: Vec<f32>,
    /// `[samples, views, C + H]`: value and hidden logits before the query is subtracted.
    mixed: Vec<f32>,
    /// `[samples, views, H]`, after the ReLU.
    hidden: Vec<f32>,
    /// `[samples, views, C]`; sums to 1 over views.
    pub weights: Vec<f32>,
    blended: Vec<f32>,
}

/// Buffers of both passes, shared by all blocks of a thread.
#[derive(Clone, Debug, Default)]
pub struct SubtractionAttentionScratch {
    query: Vec<f32>,
    d_blended: Vec<f32>,
    d_logits: Vec<f32>,
    d_hidden: Vec<f32>,
    d_mixed: Vec<f32>,
    d_direction: Vec<f32>,
    d_norm: Vec<f32>,
}

impl SubtractionAttention {
    /// Adds the block's output to `q` `[samples, C]`.
    pub fn forward(
        &self,
        params: &[f32],
        views: ViewTokens,
        q: &mut [f32],
        tape: &mut SubtractionAttentionTape,
        scratch: &mut SubtractionAttentionScratch,
    ) {
        let isa = compute::isa();
        let (c, h) = (self.out.inputs, self.query.outputs);
        let samples = q.len() / c;
        let pairs = samples * views.views;
        self.norm.forward(params, q, &mut tape.norm);
        scratch.query.resize(samples * h, 0.0);
        self.query.forward(params, &tape.norm.y, &mut scratch.query, false);
        tape.direction.resize(pairs * h, 0.0);
        self.direction.forward(params, views.directions, &mut tape.direction, false);
        relu(isa, &mut tape.direction);
        self.mix_forward(params, views.tokens, &tape.direction, &mut tape.mixed);
        tape.hidden.resize(pairs * h, 0.0);
        tape.weights.resize(pairs * c, 0.0);
        tape.blended.resize(samples * c, 0.0);
        subtract_query(isa, &tape.mixed, &scratch.query, views.views, c, h, &mut tape.hidden);
        self.logits.forward(params, &tape.hidden, &mut tape.weights, false);
        blend(isa, &mut tape.weights, &tape.mixed, views.mask, views.views, c, h, &mut tape.blended);
        self.out.forward(params, &tape.blended, q, true);
    }

    /// `mixed = [tokens | direction] · mix + bias`, without joining the two inputs in memory.
    fn mix_forward(&self, params: &[f32], tokens: &[f32], direction: &[f32], mixed: &mut Vec<f32>) {
        let (c, h) = (self.out.inputs, self.query.outputs);
        let pairs = tokens.len() / c;
        mixed.resize(pairs * (c + h), 0.0);
        let (upper, lower) = self.mix.weight.of(params).split_at(c * (c + h));
        let bias = self.mix.bias.expect("the mix layer has a bias");
        crate::linear::fill_rows(compute::isa(), mixed, bias.of(params), false);
        matmul(1.0, Mat::new(tokens, pairs, c), Mat::new(upper, c, c + h), MatMut::new(mixed, pairs, c + h), true);
        matmul(1.0, Mat::new(direction, pairs, h), Mat::new(lower, h, c + h), MatMut::new(mixed, pairs, c + h), true);
    }

    /// Turns the gradient of the output into that of the input, in place in `dq` `[samples, C]`, and adds the tokens'
    /// gradient to `d_tokens` `[samples, views, C]`.
    pub fn backward(
        &self,
        params: &[f32],
        views: ViewTokens,
        tape: &SubtractionAttentionTape,
        dq: &mut [f32],
        d_tokens: &mut [f32],
        scratch: &mut SubtractionAttentionScratch,
        grads: &mut [f32],
    ) {
        let isa = compute::isa();
        let (c, h) = (self.out.inputs, self.query.outputs);
        let samples = dq.len() / c;
        let pairs = samples * views.views;
        let s = scratch;
        s.d_blended.resize(samples * c, 0.0);
        s.d_logits.resize(pairs * c, 0.0);
        s.d_hidden.resize(pairs * h, 0.0);
        s.d_mixed.resize(pairs * (c + h), 0.0);
        s.d_direction.resize(pairs * h, 0.0);
        s.d_norm.resize(samples * c, 0.0);
        self.out.backward(params, &tape.blended, dq, Some((&mut s.d_blended, false)), grads);
        blend_backward(
            isa,
            &tape.weights,
            &tape.mixed,
            &tape.blended,
            &s.d_blended,
            views.mask,
            views.views,
            c,
            h,
            &mut s.d_mixed,
            &mut s.d_logits,
        );
        self.logits.backward(params, &tape.hidden, &s.d_logits, Some((&mut s.d_hidden, false)), grads);
        relu_backward(isa, &tape.hidden, &mut s.d_hidden);
        // The query reaches every view of its sample with the sign −1.
        s.query.resize(samples * h, 0.0);
        sum_views(isa, &s.d_hidden, views.views, h, c, &mut s.d_mixed, &mut s.query);
        self.query.backward(params, &tape.norm.y, &s.query, Some((&mut s.d_norm, false)), grads);
        self.norm.backward(params, &tape.norm, &s.d_norm, dq, grads);

        let d_mixed = Mat::new(&s.d_mixed, pairs, c + h);
        {
            let (upper, lower) = self.mix.weight.of_mut(grads).split_at_mut(c * (c + h));
            matmul(1.0, Mat::new(views.tokens, pairs, c).t(), d_mixed, MatMut::new(upper, c, c + h), true);
            matmul(1.0, Mat::new(&tape.direction, pairs, h).t(), d_mixed, MatMut::new(lower, h, c + h), true);
        }
        add_column_sums(isa, &s.d_mixed, self.mix.bias.expect("the mix layer has a bias").of_mut(grads));
        let (upper, lower) = self.mix.weight.of(params).split_at(c * (c + h));
        matmul(1.0, d_mixed, Mat::new(upper, c, c + h).t(), MatMut::new(d_tokens, pairs, c), true);
        matmul(1.0, d_mixed, Mat::new(lower, h, c + h).t(), MatMut::new(&mut s.d_direction, pairs, h), false);
        relu_backward(isa, &tape.direction, &mut s.d_direction);
        self.direction.backward(params, views.directions, &s.d_direction, None, grads);
    }
}

compute::simd_fn! {
    fn subtract_query(isa: Isa, mixed: &[f32], query: &[f32], views: usize, c: usize, h: usize, hidden: &mut [f32]) {
        let samples = mixed.chunks_exact(views * (c + h)).zip(query.chunks_exact(h)).zip(hidden.chunks_exact_mut(views * h));
        for ((mixed, query), hidden) in samples {
            for (mixed, hidden) in mixed.chunks_exact(c + h).zip(hidden.chunks_exact_mut(h)) {
                for ((out, m), q) in hidden.iter_mut().zip(&mixed[c..]).zip(query) {
                    *out = (m - q).max(0.0);
                }
            }
        }
    }
}

compute::simd_fn! {
    /// Softmax over views of each channel's logits, in place, and the blend of the values with it. Views whose mask is 0
    /// get no weight; where no view sees the sample all get the same.
    fn blend(
        isa: Isa, weights: &mut [f32], mixed: &[f32], mask: &[f32], views: usize, c: usize, h: usize,
        blended: &mut [f32],
    ) {
        let samples = weights.chunks_exact_mut(views * c).zip(mixed.chunks_exact(views * (c + h)))
            .zip(mask.chunks_exact(views)).zip(blended.chunks_exact_mut(c));
        for (((weights, mixed), mask), blended) in samples {
            if mask.iter().all(|m| *m == 0.0) {
                weights.fill(1.0 / views as f32);
            } else {
                for at in (0..c).step_by(8) {
                    let mut max = [f32::MIN; 8];
                    for v in 0..views {
                        if mask[v] != 0.0 {
                            let row: &[f32; 8] = weights[v * c + at..][..8].try_into().expect("8 channels");
                            for i in 0..8 {
                                max[i] = if row[i] > max[i] { row[i] } else { max[i] };
                            }
                        }
                    }
                    let mut sum = [0.0f32; 8];
                    for v in 0..views {
                        let row: &mut [f32; 8] = (&mut weights[v * c + at..][..8]).try_into().expect("8 channels");
                        if mask[v] != 0.0 {
                            for i in 0..8 {
                                row[i] = exp(row[i] - max[i]);
                                sum[i] += row[i];
                            }
                        } else {
                            *row = [0.0; 8];
                        }
                    }
                    let mut scale = [0.0f32; 8];
                    for i in 0..8 {
                        scale[i] = 1.0 / sum[i];
                    }
                    for v in 0..views {
                        let row: &mut [f32; 8] = (&mut weights[v * c + at..][..8]).try_into().expect("8 channels");
                        for i in 0..8 {
                            row[i] *= scale[i];
                        }
                    }
                }
            }
            blended.fill(0.0);
            for v in 0..views {
                let (weights, values) = (&weights[v * c..][..c], &mixed[v * (c + h)..][..c]);
                for i in 0..c {
                    blended[i] += weights[i] * values[i];
                }
            }
        }
    }
}

compute::simd_fn! {
    /// Gradients of [`blend`]: the value columns of `d_mixed`, and `d_logits`. A masked view has weight 0 and so gets no
    /// gradient; where no view sees the sample the logits get none either, because the weights are constant there.
    fn blend_backward(
        isa: Isa, weights: &[f32], mixed: &[f32], blended: &[f32], d_blended: &[f32], mask: &[f32], views: usize,
        c: usize, h: usize,
        d_mixed: &mut [f32], d_logits: &mut [f32],
    ) {
        for s in 0..d_blended.len() / c {
            let (out, d_out) = (&blended[s * c..][..c], &d_blended[s * c..][..c]);
            let unseen = mask[s * views..][..views].iter().all(|m| *m == 0.0);
            for v in s * views..(s + 1) * views {
                let (w, value) = (&weights[v * c..][..c], &mixed[v * (c + h)..][..c]);
                let d_value = &mut d_mixed[v * (c + h)..][..c];
                let d_logit = &mut d_logits[v * c..][..c];
                for i in 0..c {
                    d_value[i] = w[i] * d_out[i];
                    // Σ_v w·dw equals out·d_out, because dw = value·d_out.
                    d_logit[i] = w[i] * (value[i] - out[i]) * d_out[i];
                }
                if unseen {
                    d_logit.fill(0.0);
                }
            }
        }
    }
}

compute::simd_fn! {
    /// Copies the hidden gradient into the hidden columns of `d_mixed` and sums it over views, negated, into `d_query`.
    fn sum_views(
        isa: Isa, d_hidden: &[f32], views: usize, h: usize, c: usize, d_mixed: &mut [f32], d_query: &mut [f32],
    ) {
        for (s, d_query) in d_query.chunks_exact_mut(h).enumerate() {
            d_query.fill(0.0);
            for v in s * views..(s + 1) * views {
                let d_hidden = &d_hidden[v * h..][..h];
                d_mixed[v * (c + h) + c..][..h].copy_from_slice(d_hidden);
                for i in 0..h {
                    d_query[i] -= d_hidden[i];
                }
            }
        }
    }
}
