//! Tokens: what each source view shows at each sample, and the states that samples start from.

use super::key_map::MapGrads;
use super::parameters::Folded;
use crate::projection::{Projector, Taps, taps, toward};
use glam::Vec3;
use layers::linear::{Linear, relu, relu_backward};
use layers::view_attention::ViewTokens;
use scene::{Image, Ray};
use tensor::simd_fn;

/// One source view as the network reads it.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    /// Its camera.
    pub projector: Projector,
    /// Its photograph.
    pub image: &'a Image,
    /// Size of the feature map, `(width, height)`.
    pub map_size: (usize, usize),
    /// Feature map times `rgbfeat_fc.0`, `[height, width, C]`: bilinear sampling is linear, so the product is made once
    /// a pixel instead of once a sample.
    pub map: &'a [f32],
    /// Tokens at the pixels of the feature map `[height, width, C]` ([`super::key_map::KeyMap`]); empty where no layer reads them.
    pub keys: &'a [f32],
}

/// A few rays with their samples.
#[derive(Clone, Copy, Debug)]
pub struct RayChunk<'a> {
    /// The rays.
    pub rays: &'a [Ray],
    /// Depths `[rays, samples]`, increasing along each ray.
    pub depths: &'a [f32],
    /// Near and far bound of the scene.
    pub depth_range: (f32, f32),
}

impl RayChunk<'_> {
    /// Samples a ray.
    pub fn samples(&self) -> usize {
        self.depths.len() / self.rays.len()
    }
}

/// Tokens of a chunk and what their backward pass needs; `T` samples of all rays, `V` views.
#[derive(Clone, Debug, Default)]
pub struct TokenTape {
    /// World points `[T]`.
    pub points: Vec<Vec3>,
    /// `[T, V]`: 1 where the view sees the sample.
    pub mask: Vec<f32>,
    /// `[T, V, 4]`.
    pub directions: Vec<f32>,
    /// Colours of the photographs `[T, V, 3]`.
    pub colours: Vec<f32>,
    /// `[T, V, C]`.
    pub tokens: Vec<f32>,
    /// Tokens of the feature map's nearest pixels `[T, V, C]`; empty where no layer reads them.
    pub keys: Vec<f32>,
    /// Gradient of the tokens, gathered from all blocks.
    pub d_tokens: Vec<f32>,
    /// Gradient of the key tokens, gathered from all blocks.
    pub d_keys: Vec<f32>,
    taps: Vec<Taps>,
    hidden: Vec<f32>,
    d_hidden: Vec<f32>,
}

impl TokenTape {
    /// Projects the samples of `chunk` into all source views and computes their tokens.
    pub fn forward(&mut self, net: &Folded, folded: &[f32], sources: &[Source], chunk: RayChunk) {
        let (views, c, samples) = (sources.len(), net.token_fc2.inputs, chunk.samples());
        let pairs = chunk.depths.len() * views;
        self.points.clear();
        self.taps.clear();
        self.mask.resize(pairs, 0.0);
        self.directions.resize(pairs * 4, 0.0);
        self.colours.resize(pairs * 3, 0.0);
        self.hidden.resize(pairs * c, 0.0);
        self.tokens.resize(pairs * c, 0.0);
        for (ray, depths) in chunk.rays.iter().zip(chunk.depths.chunks_exact(samples)) {
            self.points.extend(depths.iter().map(|z| *z * ray.direction + ray.origin));
        }
        for (i, point) in self.points.iter().enumerate() {
            let to_target = toward(*point, chunk.rays[i / samples].origin);
            for (v, source) in sources.iter().enumerate() {
                let at = i * views + v;
                let p = source.projector.project(*point, to_target);
                self.mask[at] = f32::from(u8::from(p.visible));
                self.directions[at * 4..][..4].copy_from_slice(&p.direction);
                let size = (source.image.width as usize, source.image.height as usize);
                colour(source.image, &taps(p.pixel, size, size), &mut self.colours[at * 3..][..3]);
                self.taps.push(taps(p.pixel, size, source.map_size));
            }
        }
        gather(sources, &self.taps, c, &mut self.hidden);
        net.token_colour.forward(folded, &self.colours, &mut self.hidden, true);
        relu(&mut self.hidden);
        net.token_fc2.forward(folded, &self.hidden, &mut self.tokens, false);
        if net.reads_keys {
            self.keys.resize(pairs * c, 0.0);
            for (i, (out, taps)) in self.keys.chunks_exact_mut(c).zip(&self.taps).enumerate() {
                out.copy_from_slice(&sources[i % views].keys[taps.nearest() as usize * c..][..c]);
            }
        }
    }

    /// What the view blocks read.
    pub fn views(&self, views: usize) -> ViewTokens<'_> {
        ViewTokens { views, tokens: &self.tokens, keys: &self.keys, directions: &self.directions, mask: &self.mask }
    }

    /// Zeros the gradients that the layers add to.
    pub fn clear_gradients(&mut self) {
        self.d_tokens.clear();
        self.d_tokens.resize(self.tokens.len(), 0.0);
        self.d_keys.clear();
        self.d_keys.resize(self.keys.len(), 0.0);
    }

    /// Takes `d_tokens` and `d_keys` back to the parameters and to the sources' maps.
    pub fn backward(&mut self, net: &Folded, folded: &[f32], d_maps: &mut MapGrads, grads: &mut [f32]) {
        let c = net.token_fc2.inputs;
        self.d_hidden.resize(self.hidden.len(), 0.0);
        net.token_fc2.backward(folded, &self.hidden, &self.d_tokens, Some((&mut self.d_hidden, false)), grads);
        relu_backward(&self.hidden, &mut self.d_hidden);
        net.token_colour.backward(folded, &self.colours, &self.d_hidden, None, grads);
        scatter(&mut d_maps.maps, &self.taps, c, &self.d_hidden);
        let views = d_maps.keys.len();
        for (i, (d, taps)) in self.d_keys.chunks_exact(c).zip(&self.taps).enumerate() {
            let at = &mut d_maps.keys[i % views][taps.nearest() as usize * c..][..c];
            at.iter_mut().zip(d).for_each(|(a, d)| *a += d);
        }
    }
}

/// Bilinear colour of a photograph.
#[inline(always)]
pub fn colour(image: &Image, taps: &Taps, out: &mut [f32]) {
    out.fill(0.0);
    for (index, weight) in taps.index.iter().zip(taps.weight) {
        let pixel = &image.data[*index as usize * 3..][..3];
        for (o, p) in out.iter_mut().zip(pixel) {
            *o += weight * p;
        }
    }
}

simd_fn! {
    fn gather(sources: &[Source], taps: &[Taps], c: usize, out: &mut [f32]) {
        for (i, (out, taps)) in out.chunks_exact_mut(c).zip(taps).enumerate() {
            let map = sources[i % sources.len()].map;
            let [a, b, d, e] = taps.index.map(|at| &map[at as usize * c..][..c]);
            let w = taps.weight;
            for i in 0..c {
                out[i] = w[0] * a[i] + w[1] * b[i] + w[2] * d[i] + w[3] * e[i];
            }
        }
    }
}

simd_fn! {
    fn scatter(d_maps: &mut [Vec<f32>], taps: &[Taps], c: usize, d_out: &[f32]) {
        let views = d_maps.len();
        for (i, (d_out, taps)) in d_out.chunks_exact(c).zip(taps).enumerate() {
            let map = &mut d_maps[i % views];
            for (index, weight) in taps.index.iter().zip(taps.weight) {
                if weight != 0.0 {
                    let at = &mut map[*index as usize * c..][..c];
                    for i in 0..c {
                        at[i] += weight * d_out[i];
                    }
                }
            }
        }
    }
}

/// The states that samples start from, and what their backward pass needs.
#[derive(Clone, Debug, Default)]
pub struct StartTape {
    /// For each state channel the view it came from, `[T, C]`, where the start is a maximum.
    winner: Vec<u16>,
    /// `[T, 2C]`: mean and variance, where the start is made of them.
    moments: Vec<f32>,
    d_moments: Vec<f32>,
}

impl StartTape {
    /// Writes the states `[T, C]`.
    pub fn forward(
        &mut self,
        layer: Option<&Linear>,
        folded: &[f32],
        tape: &TokenTape,
        views: usize,
        c: usize,
        q: &mut [f32],
    ) {
        match layer {
            None => {
                self.winner.resize(q.len(), 0);
                maximum(&tape.tokens, views, c, q, &mut self.winner);
            }
            Some(layer) => {
                self.moments.resize(q.len() * 2, 0.0);
                moments(&tape.tokens, &tape.mask, views, c, &mut self.moments);
                layer.forward(folded, &self.moments, q, false);
            }
        }
    }

    /// Adds the gradient of the states, `dq` `[T, C]`, to the tokens' and the parameters'.
    pub fn backward(
        &mut self,
        layer: Option<&Linear>,
        folded: &[f32],
        tape: &mut TokenTape,
        views: usize,
        c: usize,
        dq: &[f32],
        grads: &mut [f32],
    ) {
        match layer {
            None => {
                for (i, (d, winner)) in dq.iter().zip(&self.winner).enumerate() {
                    tape.d_tokens[(i / c * views + *winner as usize) * c + i % c] += d;
                }
            }
            Some(layer) => {
                self.d_moments.resize(self.moments.len(), 0.0);
                layer.backward(folded, &self.moments, dq, Some((&mut self.d_moments, false)), grads);
                moments_backward(
                    &tape.tokens,
                    &tape.mask,
                    &self.moments,
                    &self.d_moments,
                    views,
                    c,
                    &mut tape.d_tokens,
                );
            }
        }
    }
}

simd_fn! {
    fn maximum(tokens: &[f32], views: usize, c: usize, q: &mut [f32], winner: &mut [u16]) {
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
    fn moments(tokens: &[f32], mask: &[f32], views: usize, c: usize, out: &mut [f32]) {
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
    fn moments_backward(
        tokens: &[f32], mask: &[f32], moments: &[f32], d_moments: &[f32], views: usize, c: usize, d_tokens: &mut [f32],
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
