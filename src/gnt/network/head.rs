//! From the samples' states to the colour of a ray.

use super::parameters::{BlendLayers, Folded};
use super::tokens::TokenTape;
use layers::layer_norm::LayerNormTape;
use layers::linear::{relu, relu_backward};
use layers::ray_attention::softmax_rows;

/// Output of the head and what its backward pass needs; `T` samples of `R` rays, `V` views.
#[derive(Clone, Debug, Default)]
pub struct HeadTape {
    norm: LayerNormTape,
    /// Weights of the samples of each ray `[R, S]`; sum to 1.
    pub ray_weights: Vec<f32>,
    /// Weights of the views at each sample `[T, V]`; sum to 1.
    pub view_weights: Vec<f32>,
    /// Blended colour at each sample `[T, 3]`.
    colours: Vec<f32>,
    hidden: Vec<f32>,
    pooled: Vec<f32>,
    /// Colours of the rays `[R, 3]`.
    pub rgb: Vec<f32>,
    state: Vec<f32>,
    d_norm: Vec<f32>,
    d_pooled: Vec<f32>,
    d_ray_logits: Vec<f32>,
    d_view_logits: Vec<f32>,
    d_hidden: Vec<f32>,
    d_state: Vec<f32>,
}

impl HeadTape {
    /// Reads the colour of each ray from the states `q` `[R, S, C]`.
    pub fn forward(
        &mut self,
        net: &Folded,
        folded: &[f32],
        samples: usize,
        views: usize,
        tokens: &TokenTape,
        q: &[f32],
    ) {
        let c = net.norm.width;
        let rays = q.len() / (samples * c);
        net.norm.forward(folded, q, &mut self.norm);
        self.ray_weights.resize(rays * samples, 0.0);
        match &net.blend {
            None => self.ray_weights.fill(1.0 / samples as f32),
            Some(blend) => {
                blend.ray.forward(folded, &self.norm.y, &mut self.ray_weights, false);
                softmax_rows(&mut self.ray_weights, samples);
                self.view_forward(blend, folded, views, tokens);
            }
        }
        self.pooled.resize(rays * c, 0.0);
        pool(&self.ray_weights, &self.norm.y, samples, c, &mut self.pooled);
        self.rgb.resize(rays * 3, 0.0);
        net.rgb.forward(folded, &self.pooled, &mut self.rgb, false);
        if net.blend.is_some() {
            for (ray, rgb) in self.rgb.chunks_exact_mut(3).enumerate() {
                for s in ray * samples..(ray + 1) * samples {
                    for i in 0..3 {
                        rgb[i] += self.ray_weights[s] * self.colours[s * 3 + i];
                    }
                }
            }
        }
    }

    fn view_forward(&mut self, blend: &BlendLayers, folded: &[f32], views: usize, tokens: &TokenTape) {
        let k = blend.token.outputs;
        let pairs = tokens.mask.len();
        self.hidden.resize(pairs * k, 0.0);
        self.state.resize(pairs / views * k, 0.0);
        self.view_weights.resize(pairs, 0.0);
        self.colours.resize(pairs / views * 3, 0.0);
        blend.token.forward(folded, &tokens.tokens, &mut self.hidden, false);
        blend.direction.forward(folded, &tokens.directions, &mut self.hidden, true);
        blend.state.forward(folded, &self.norm.y, &mut self.state, false);
        for (hidden, state) in self.hidden.chunks_exact_mut(views * k).zip(self.state.chunks_exact(k)) {
            layers::linear::fill_rows(hidden, state, true);
        }
        relu(&mut self.hidden);
        blend.view.forward(folded, &self.hidden, &mut self.view_weights, false);
        for s in 0..pairs / views {
            let weights = &mut self.view_weights[s * views..][..views];
            masked_softmax(weights, &tokens.mask[s * views..][..views]);
            let colour = &mut self.colours[s * 3..][..3];
            colour.fill(0.0);
            for (w, rgb) in weights.iter().zip(tokens.colours[s * views * 3..].chunks_exact(3)) {
                colour.iter_mut().zip(rgb).for_each(|(c, x)| *c += w * x);
            }
        }
    }

    /// Takes the gradient of the colours, `d_rgb` `[R, 3]`, back to the states `dq` `[R, S, C]` (overwritten), the
    /// tokens and the parameters.
    ///
    /// `d_ray_logits` `[R, S]` is added to the gradient of the samples' logits (a loss on depth); it has no effect on
    /// [`crate::Head::Mean`], which has no such logits.
    pub fn backward(
        &mut self,
        net: &Folded,
        folded: &[f32],
        samples: usize,
        views: usize,
        tokens: &mut TokenTape,
        d_rgb: &[f32],
        d_ray_logits: Option<&[f32]>,
        dq: &mut [f32],
        grads: &mut [f32],
    ) {
        let c = net.norm.width;
        self.d_pooled.resize(self.pooled.len(), 0.0);
        self.d_norm.resize(dq.len(), 0.0);
        net.rgb.backward(folded, &self.pooled, d_rgb, Some((&mut self.d_pooled, false)), grads);
        spread(&self.ray_weights, &self.d_pooled, samples, c, &mut self.d_norm);
        if let Some(blend) = &net.blend {
            self.d_ray_logits.resize(self.ray_weights.len(), 0.0);
            for s in 0..self.ray_weights.len() {
                let ray = s / samples;
                let from_colour = dot(&self.colours[s * 3..][..3], &d_rgb[ray * 3..][..3]);
                let from_pool = dot(&self.norm.y[s * c..][..c], &self.d_pooled[ray * c..][..c]);
                self.d_ray_logits[s] = from_colour + from_pool;
            }
            layers::ray_attention::softmax_rows_backward(&self.ray_weights, &mut self.d_ray_logits, samples);
            if let Some(extra) = d_ray_logits {
                self.d_ray_logits.iter_mut().zip(extra).for_each(|(d, e)| *d += e);
            }
            blend.ray.backward(folded, &self.norm.y, &self.d_ray_logits, Some((&mut self.d_norm, true)), grads);
            self.view_backward(blend, folded, samples, views, tokens, d_rgb, grads);
        }
        dq.fill(0.0);
        net.norm.backward(folded, &self.norm, &self.d_norm, dq, grads);
    }

    fn view_backward(
        &mut self,
        blend: &BlendLayers,
        folded: &[f32],
        samples: usize,
        views: usize,
        tokens: &mut TokenTape,
        d_rgb: &[f32],
        grads: &mut [f32],
    ) {
        let k = blend.token.outputs;
        let pairs = self.view_weights.len();
        self.d_view_logits.resize(pairs, 0.0);
        self.d_hidden.resize(pairs * k, 0.0);
        self.d_state.resize(pairs / views * k, 0.0);
        for s in 0..pairs / views {
            let d_colour: [f32; 3] = std::array::from_fn(|i| self.ray_weights[s] * d_rgb[s / samples * 3 + i]);
            let unseen = tokens.mask[s * views..][..views].iter().all(|m| *m == 0.0);
            let mean = dot(&self.colours[s * 3..][..3], &d_colour);
            for v in s * views..(s + 1) * views {
                let d = dot(&tokens.colours[v * 3..][..3], &d_colour);
                self.d_view_logits[v] = if unseen { 0.0 } else { self.view_weights[v] * (d - mean) };
            }
        }
        blend.view.backward(folded, &self.hidden, &self.d_view_logits, Some((&mut self.d_hidden, false)), grads);
        relu_backward(&self.hidden, &mut self.d_hidden);
        blend.token.backward(folded, &tokens.tokens, &self.d_hidden, Some((&mut tokens.d_tokens, true)), grads);
        blend.direction.backward(folded, &tokens.directions, &self.d_hidden, None, grads);
        self.d_state.fill(0.0);
        for (d_state, d_hidden) in self.d_state.chunks_exact_mut(k).zip(self.d_hidden.chunks_exact(views * k)) {
            layers::linear::add_column_sums(d_hidden, d_state);
        }
        blend.state.backward(folded, &self.norm.y, &self.d_state, Some((&mut self.d_norm, true)), grads);
    }
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Softmax over the entries whose mask is not 0; all equal where every mask is 0.
pub fn masked_softmax(x: &mut [f32], mask: &[f32]) {
    if mask.iter().all(|m| *m == 0.0) {
        return x.fill(1.0 / mask.len() as f32);
    }
    let max = x.iter().zip(mask).filter(|(_, m)| **m != 0.0).map(|(x, _)| *x).fold(f32::MIN, f32::max);
    let mut sum = 0.0;
    for (x, m) in x.iter_mut().zip(mask) {
        *x = if *m != 0.0 { tensor::math::exp(*x - max) } else { 0.0 };
        sum += *x;
    }
    x.iter_mut().for_each(|x| *x /= sum);
}

tensor::simd_fn! {
    /// `pooled = Σ_s weights · y` for each ray.
    fn pool(weights: &[f32], y: &[f32], samples: usize, c: usize, pooled: &mut [f32]) {
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

tensor::simd_fn! {
    /// `dy = weights · d_pooled`, the adjoint of [`pool`] in its second input.
    fn spread(weights: &[f32], d_pooled: &[f32], samples: usize, c: usize, dy: &mut [f32]) {
        for (s, dy) in dy.chunks_exact_mut(c).enumerate() {
            let d_pooled = &d_pooled[s / samples * c..][..c];
            for i in 0..c {
                dy[i] = weights[s] * d_pooled[i];
            }
        }
    }
}
