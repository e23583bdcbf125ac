//! The states that samples start from, on the CPU.

use super::StartExecutor;
use compute::simd_fn;
use layers::executor::Cpu;
use layers::view_attention::SharedTokens;
use std::convert::Infallible;

impl StartExecutor for Cpu {
    type Winners = Vec<u16>;

    fn maximum(
        &self,
        tokens: &SharedTokens<Vec<f32>>,
        q: &mut Vec<f32>,
        winners: &mut Vec<u16>,
    ) -> Result<(), Infallible> {
        winners.resize(q.len(), 0);
        maximum(compute::isa(), &tokens.tokens, tokens.views, q.len() / tokens.samples, q, winners);
        Ok(())
    }

    fn maximum_backward(
        &self,
        dq: &Vec<f32>,
        winners: &Vec<u16>,
        tokens: &mut SharedTokens<Vec<f32>>,
    ) -> Result<(), Infallible> {
        let (views, c) = (tokens.views, dq.len() / tokens.samples);
        for (i, (d, winner)) in dq.iter().zip(winners).enumerate() {
            tokens.d_tokens[(i / c * views + *winner as usize) * c + i % c] += d;
        }
        Ok(())
    }

    fn moments(&self, tokens: &SharedTokens<Vec<f32>>, moments: &mut Vec<f32>) -> Result<(), Infallible> {
        let c = moments.len() / (2 * tokens.samples);
        mean_and_variance(compute::isa(), &tokens.tokens, &tokens.mask, tokens.views, c, moments);
        Ok(())
    }

    fn moments_backward(
        &self,
        moments: &Vec<f32>,
        d_moments: &Vec<f32>,
        tokens: &mut SharedTokens<Vec<f32>>,
    ) -> Result<(), Infallible> {
        let (views, c) = (tokens.views, moments.len() / (2 * tokens.samples));
        let SharedTokens { tokens, mask, d_tokens, .. } = tokens;
        mean_and_variance_backward(compute::isa(), tokens, mask, moments, d_moments, views, c, d_tokens);
        Ok(())
    }
}

simd_fn! {
    /// The largest token of each channel over the views, and which view it is of; the first of equals.
    fn maximum(isa: Isa, tokens: &[f32], views: usize, c: usize, q: &mut [f32], winner: &mut [u16]) {
        for ((tokens, q), winner) in tokens.chunks_exact(views * c).zip(q.chunks_exact_mut(c)).zip(winner.chunks_exact_mut(c)) {
            q.copy_from_slice(&tokens[..c]);
            winner.fill(0);
            for v in 1..views {
                for i in 0..c {
                    if tokens[v * c + i] > q[i] {
                        q[i] = tokens[v * c + i];
                        winner[i] = v as u16;
                    }
                }
            }
        }
    }
}

simd_fn! {
    /// Mean and biased variance over the views that see each sample; zeros where none does.
    fn mean_and_variance(isa: Isa, tokens: &[f32], mask: &[f32], views: usize, c: usize, out: &mut [f32]) {
        for ((tokens, mask), out) in tokens.chunks_exact(views * c).zip(mask.chunks_exact(views)).zip(out.chunks_exact_mut(2 * c)) {
            out.fill(0.0);
            let (mean, variance) = out.split_at_mut(c);
            let scale = 1.0 / mask.iter().sum::<f32>().max(1.0);
            for (token, m) in tokens.chunks_exact(c).zip(mask) {
                for i in 0..c {
                    mean[i] += m * scale * token[i];
                }
            }
            for (token, m) in tokens.chunks_exact(c).zip(mask) {
                for i in 0..c {
                    let d = token[i] - mean[i];
                    variance[i] += m * scale * d * d;
                }
            }
        }
    }
}

simd_fn! {
    /// Adds to `d_tokens` what [`mean_and_variance`] leads back to them.
    fn mean_and_variance_backward(
        isa: Isa, tokens: &[f32], mask: &[f32], moments: &[f32], d_moments: &[f32], views: usize, c: usize,
        d_tokens: &mut [f32],
    ) {
        for s in 0..moments.len() / (2 * c) {
            let mean = &moments[s * 2 * c..][..c];
            let (d_mean, d_variance) = d_moments[s * 2 * c..][..2 * c].split_at(c);
            let mask = &mask[s * views..][..views];
            let scale = 1.0 / mask.iter().sum::<f32>().max(1.0);
            for (v, m) in mask.iter().enumerate() {
                let at = (s * views + v) * c;
                let (token, d_token) = (&tokens[at..][..c], &mut d_tokens[at..][..c]);
                for i in 0..c {
                    d_token[i] += m * scale * (d_mean[i] + 2.0 * (token[i] - mean[i]) * d_variance[i]);
                }
            }
        }
    }
}
