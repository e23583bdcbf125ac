//! The head on the CPU.

use super::{HeadExecutor, HeadTape};
use crate::folded::BlendLayers;
use crate::network::tokens::Tokens;
use layers::executor::Cpu;
use layers::linear::{add_column_sums, fill_rows, relu, relu_backward};
use layers::softmax::{softmax_rows, softmax_rows_backward};
use std::convert::Infallible;

impl HeadExecutor for Cpu {
    fn weigh_samples(&self, samples: usize, learned: bool, weights: &mut Vec<f32>) -> Result<(), Infallible> {
        if learned {
            softmax_rows(compute::isa(), weights, samples);
        } else {
            weights.fill(1.0 / samples as f32);
        }
        Ok(())
    }

    fn blend_views(
        &self,
        layers: &BlendLayers,
        params: &[f32],
        tokens: &Tokens<Self>,
        head: &mut HeadTape<Vec<f32>>,
    ) -> Result<(), Infallible> {
        let (k, views, shared) = (layers.token.outputs, tokens.shared.views, &tokens.shared);
        let HeadTape { hidden, state, view_weights, blended, .. } = head;
        layers.direction.forward(params, &shared.directions, hidden, true);
        let isa = compute::isa();
        for (hidden, state) in hidden.chunks_exact_mut(views * k).zip(state.chunks_exact(k)) {
            fill_rows(isa, hidden, state, true);
        }
        relu(isa, hidden);
        layers.view.forward(params, hidden, view_weights, false);
        for (s, (weights, colour)) in view_weights.chunks_exact_mut(views).zip(blended.chunks_exact_mut(3)).enumerate()
        {
            masked_softmax(weights, &shared.mask[s * views..][..views]);
            colour.fill(0.0);
            for (w, rgb) in weights.iter().zip(tokens.colours[s * views * 3..].chunks_exact(3)) {
                colour.iter_mut().zip(rgb).for_each(|(c, x)| *c += w * x);
            }
        }
        Ok(())
    }

    fn pool(&self, samples: usize, head: &mut HeadTape<Vec<f32>>) -> Result<(), Infallible> {
        let HeadTape { ray_weights, norm, pooled, .. } = head;
        pool(compute::isa(), ray_weights, &norm.y, samples, norm.y.len() / ray_weights.len(), pooled);
        Ok(())
    }

    fn add_colours(&self, samples: usize, head: &mut HeadTape<Vec<f32>>) -> Result<(), Infallible> {
        for (ray, rgb) in head.rgb.chunks_exact_mut(3).enumerate() {
            for s in ray * samples..(ray + 1) * samples {
                for i in 0..3 {
                    rgb[i] += head.ray_weights[s] * head.blended[s * 3 + i];
                }
            }
        }
        Ok(())
    }

    fn pool_backward(&self, samples: usize, head: &mut HeadTape<Vec<f32>>) -> Result<(), Infallible> {
        let HeadTape { ray_weights, d_pooled, d_norm, .. } = head;
        spread(compute::isa(), ray_weights, d_pooled, samples, d_norm.len() / ray_weights.len(), d_norm);
        Ok(())
    }

    fn ray_logits_backward(
        &self,
        samples: usize,
        d_rgb: &Vec<f32>,
        extra: Option<&Vec<f32>>,
        head: &mut HeadTape<Vec<f32>>,
    ) -> Result<(), Infallible> {
        let HeadTape { ray_weights, norm, blended, d_pooled, d_ray_logits, .. } = head;
        let c = norm.y.len() / ray_weights.len();
        for (s, d) in d_ray_logits.iter_mut().enumerate() {
            let ray = s / samples;
            let from_colour = dot(&blended[s * 3..][..3], &d_rgb[ray * 3..][..3]);
            let from_pool = dot(&norm.y[s * c..][..c], &d_pooled[ray * c..][..c]);
            *d = from_colour + from_pool;
        }
        softmax_rows_backward(compute::isa(), ray_weights, d_ray_logits, samples);
        if let Some(extra) = extra {
            d_ray_logits.iter_mut().zip(extra).for_each(|(d, e)| *d += e);
        }
        Ok(())
    }

    fn blend_views_backward(
        &self,
        layers: &BlendLayers,
        params: &[f32],
        tokens: &Tokens<Self>,
        d_rgb: &Vec<f32>,
        head: &mut HeadTape<Vec<f32>>,
        grads: &mut [f32],
    ) -> Result<(), Infallible> {
        let (k, views, samples) = (layers.token.outputs, tokens.shared.views, tokens.samples);
        let HeadTape { ray_weights, view_weights, blended, hidden, d_view_logits, d_hidden, d_state, .. } = head;
        for (s, d_logits) in d_view_logits.chunks_exact_mut(views).enumerate() {
            let d_colour: [f32; 3] = std::array::from_fn(|i| ray_weights[s] * d_rgb[s / samples * 3 + i]);
            let unseen = tokens.shared.mask[s * views..][..views].iter().all(|m| *m == 0.0);
            let mean = dot(&blended[s * 3..][..3], &d_colour);
            for (v, d_logit) in (s * views..).zip(d_logits) {
                let d = dot(&tokens.colours[v * 3..][..3], &d_colour);
                *d_logit = if unseen { 0.0 } else { view_weights[v] * (d - mean) };
            }
        }
        layers.view.backward(params, hidden, d_view_logits, Some((d_hidden, false)), grads);
        let isa = compute::isa();
        relu_backward(isa, hidden, d_hidden);
        d_state.fill(0.0);
        for (d_state, d_hidden) in d_state.chunks_exact_mut(k).zip(d_hidden.chunks_exact(views * k)) {
            add_column_sums(isa, d_hidden, d_state);
        }
        Ok(())
    }
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Softmax over the entries whose mask is not 0; all equal where every mask is 0.
fn masked_softmax(x: &mut [f32], mask: &[f32]) {
    if mask.iter().all(|m| *m == 0.0) {
        return x.fill(1.0 / mask.len() as f32);
    }
    let max = x.iter().zip(mask).filter(|(_, m)| **m != 0.0).map(|(x, _)| *x).fold(f32::MIN, f32::max);
    let mut sum = 0.0;
    for (x, m) in x.iter_mut().zip(mask) {
        *x = if *m != 0.0 { compute::math::exp(*x - max) } else { 0.0 };
        sum += *x;
    }
    x.iter_mut().for_each(|x| *x /= sum);
}

compute::simd_fn! {
    /// `pooled = Σ_s weights · y` for each ray.
    fn pool(isa: Isa, weights: &[f32], y: &[f32], samples: usize, c: usize, pooled: &mut [f32]) {
        for ((pooled, weights), y) in pooled.chunks_exact_mut(c).zip(weights.chunks_exact(samples)).zip(y.chunks_exact(samples * c)) {
            pooled.fill(0.0);
            for (w, y) in weights.iter().zip(y.chunks_exact(c)) {
                for i in 0..c {
                    pooled[i] += w * y[i];
                }
            }
        }
    }
}

compute::simd_fn! {
    /// `dy = weights · d_pooled`, the adjoint of [`pool`] in its second input.
    fn spread(isa: Isa, weights: &[f32], d_pooled: &[f32], samples: usize, c: usize, dy: &mut [f32]) {
        for (s, dy) in dy.chunks_exact_mut(c).enumerate() {
            let d_pooled = &d_pooled[s / samples * c..][..c];
            for i in 0..c {
                dy[i] = weights[s] * d_pooled[i];
            }
        }
    }
}
