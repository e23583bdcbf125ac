//! One ray through the whole network.

use super::along::AlongBuffers;
use super::mlp::MlpScratch;
use super::rows::Rows;
use super::view::ViewBuffers;
use super::weights::{BlendWeights, PositionWeights};
use super::{Engine, PreparedSource};
use crate::config::{Config, Start};
use crate::encoding;
use crate::network::parameters::LAST_EPS;
use scene::Ray;
use std::time::Instant;
use tensor::ops::normalise::normalise;
use tensor::ops::padded;
use tensor::ops::product::{Epilogue, product};
use tensor::ops::product8::{Rows8, Sign};

/// What a ray gives.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RayOutput {
    /// Colour, not clipped.
    pub rgb: [f32; 3],
    /// Weights of the samples; they sum to 1.
    pub weights: Vec<f32>,
}

/// Where a ray's time goes; twin of the one in `kernels/render/render.cu`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Projection, look-ups and tokens.
    Gather,
    /// Attention over views.
    View,
    /// Position layers.
    Position,
    /// Attention along the ray.
    Ray,
    /// Feed-forward parts of both blocks: the two experts with their router, or the one MLP of a network without them.
    Experts,
    /// Colour.
    Head,
}

impl Stage {
    /// All stages with their names.
    pub const ALL: [(Self, &'static str); 6] = [
        (Self::Gather, "gather"),
        (Self::View, "view_blocks"),
        (Self::Position, "position"),
        (Self::Ray, "ray_blocks"),
        (Self::Experts, "experts"),
        (Self::Head, "head"),
    ];
}

/// Buffers of one thread; they grow to the largest ray.
#[derive(Clone, Debug, Default)]
pub struct RayScratch {
    /// Seconds spent in each [`Stage`], where they are wanted: reading the clock costs a small network about 1 %.
    pub timing: Option<[f64; Stage::ALL.len()]>,
    pub(super) rows: Rows,
    pub(super) q: Vec<f32>,
    pub(super) normal: Vec<f32>,
    pub(super) wide: Vec<f32>,
    pub(super) view: ViewBuffers,
    pub(super) along: AlongBuffers,
    /// Buffers of the feed-forward parts.
    pub mlp: MlpScratch,
    logits: Vec<f32>,
    encoding: Vec<f32>,
    bytes: Rows8,
    blend_state: Vec<f32>,
    blend_hidden: Vec<f32>,
}

/// Rows of (sample, view) pairs, or samples, that go through a chain of products together: their intermediates stay
/// in the first two cache levels.
pub(super) const GROUP: usize = 60;

impl RayScratch {
    /// Books the time since `since` on `stage` and restarts the clock.
    fn book(&mut self, stage: Stage, since: &mut Option<Instant>) {
        if let (Some(timing), Some(since)) = (&mut self.timing, since) {
            let now = Instant::now();
            timing[stage as usize] += (now - *since).as_secs_f64();
            *since = now;
        }
    }
}

impl Engine {
    /// Renders one ray from its samples at `depths` (increasing).
    pub fn render_ray(
        &self,
        sources: &[&PreparedSource],
        ray: &Ray,
        depths: &[f32],
        depth_range: (f32, f32),
        scratch: &mut RayScratch,
        out: &mut RayOutput,
    ) {
        let config = &self.model.config;
        let Config { width: c, attention_hidden: h, heads, start, .. } = *config;
        let samples = depths.len();
        let maps: Vec<&[f32]> = sources.iter().map(|s| s.map.as_slice()).collect();
        let (level, w) = (self.level, &self.weights);
        let mut clock = scratch.timing.map(|_| Instant::now());
        let keys = self.key_words();
        scratch.rows.build(level, w, h, keys, sources, &maps, ray, depths, start == Start::Max);
        scratch.q.resize(samples * c, 0.0);
        scratch.normal.resize(samples * c, 0.0);
        scratch.wide.resize(samples * 4 * c, 0.0);
        match &w.start {
            None => scratch.rows.maximum(level, w, h, &maps, &mut scratch.q),
            Some(start) => {
                let moments = &mut scratch.wide[..samples * 2 * c];
                scratch.rows.moments(h, c, moments);
                product(level, samples, moments, 2 * c, start, &mut scratch.q, c, Epilogue::Store);
            }
        }
        self.encode(ray, depths, depth_range, scratch);
        scratch.book(Stage::Gather, &mut clock);
        scratch.along.fit(samples, c / heads);
        out.weights.clear();
        out.weights.resize(samples, 0.0);
        for (i, block) in w.blocks.iter().enumerate() {
            block.view.apply(level, config, i, scratch);
            scratch.book(Stage::View, &mut clock);
            block.view_ff.apply(level, 2 * i, &mut scratch.q, c, &mut scratch.mlp);
            scratch.book(Stage::Experts, &mut clock);
            if let Some(position) = &block.position {
                self.position(position, scratch);
                scratch.book(Stage::Position, &mut clock);
            }
            let last = i + 1 == w.blocks.len() && w.blend.is_none();
            block.along.apply(level, config, scratch, last.then_some(&mut out.weights[..]));
            scratch.book(Stage::Ray, &mut clock);
            block.ray_ff.apply(level, 2 * i + 1, &mut scratch.q, c, &mut scratch.mlp);
            scratch.book(Stage::Experts, &mut clock);
        }
        self.head(samples, scratch, out);
        scratch.book(Stage::Head, &mut clock);
    }

    fn encode(&self, ray: &Ray, depths: &[f32], depth_range: (f32, f32), scratch: &mut RayScratch) {
        let position = self.model.config.position;
        let (all, sample) = (position.channels(), position.sample_channels());
        scratch.encoding.resize(depths.len() * sample + all, 0.0);
        let (samples, whole) = scratch.encoding.split_at_mut(depths.len() * sample);
        for (z, out) in depths.iter().zip(samples.chunks_exact_mut(sample)) {
            match position {
                crate::Position::World { frequencies } => {
                    encoding::frequencies(&(*z * ray.direction + ray.origin).to_array(), frequencies, out);
                }
                crate::Position::Ray { .. } => {
                    encoding::sample(position, ray.origin, ray.direction, *z, depth_range, out);
                }
            }
        }
        // The part that is constant along the ray comes last.
        if all > sample {
            encoding::sample(position, ray.origin, ray.direction, depths[0], depth_range, whole);
            whole.copy_within(sample.., 0);
        }
    }

    fn position(&self, position: &PositionWeights, scratch: &mut RayScratch) {
        let c = self.model.config.width;
        let RayScratch { q, normal, encoding, bytes, .. } = scratch;
        let samples = q.len() / c;
        let channels = position.sample.inputs();
        let (of_sample, of_ray) = encoding.split_at(samples * channels);
        let (level, signed) = (self.level, Sign::Signed);
        position.state.apply(level, samples, (q, c, signed), bytes, (normal, c), Epilogue::Store);
        product(self.level, samples, of_sample, channels, &position.sample, normal, c, Epilogue::Add);
        let mut constant = vec![0.0; c];
        for (row, e) in position.ray.chunks_exact(c).zip(of_ray) {
            constant.iter_mut().zip(row).for_each(|(sum, w)| *sum += e * w);
        }
        for row in normal.chunks_exact_mut(c) {
            row.iter_mut().zip(&constant).for_each(|(v, k)| *v = (*v + k).max(0.0));
        }
        position.fc2.apply(level, samples, (normal, c, Sign::NonNegative), bytes, (q, c), Epilogue::Store);
    }

    fn head(&self, samples: usize, scratch: &mut RayScratch, out: &mut RayOutput) {
        let c = self.model.config.width;
        normalise(self.level, &scratch.q, c, LAST_EPS, &mut scratch.normal);
        let mut blended = [0.0; 3];
        let mut pooled = vec![0.0; c];
        match &self.weights.blend {
            None => {
                let scale = 1.0 / samples as f32;
                for row in scratch.normal.chunks_exact(c) {
                    pooled.iter_mut().zip(row).for_each(|(p, n)| *p += n * scale);
                }
            }
            Some(blend) => {
                for (w, row) in out.weights.iter_mut().zip(scratch.normal.chunks_exact(c)) {
                    *w = row.iter().zip(&blend.ray).map(|(n, r)| n * r).sum();
                }
                layers::ray_attention::softmax_rows(&mut out.weights, samples);
                for (w, row) in out.weights.iter().zip(scratch.normal.chunks_exact(c)) {
                    pooled.iter_mut().zip(row).for_each(|(p, n)| *p += w * n);
                }
                blended = self.blend_colours(blend, samples, scratch, &out.weights);
            }
        }
        let (weight, bias) = &self.weights.rgb;
        out.rgb = *bias;
        for (row, p) in weight.chunks_exact(3).zip(&pooled) {
            out.rgb.iter_mut().zip(row).for_each(|(o, w)| *o += w * p);
        }
        out.rgb.iter_mut().zip(blended).for_each(|(o, b)| *o += b);
    }

    /// Blends the photographs' colours over views and samples. Samples of no weight are left out.
    fn blend_colours(
        &self,
        blend: &BlendWeights,
        samples: usize,
        scratch: &mut RayScratch,
        weights: &[f32],
    ) -> [f32; 3] {
        /// All samples below it together change a colour by less than a tenth of an 8-bit step.
        const NEGLIGIBLE: f32 = 1e-6;
        let (c, k) = (self.model.config.width, blend.token.outputs());
        let stride = padded(k);
        let RayScratch { rows, normal, blend_state, blend_hidden, logits, .. } = scratch;
        blend_state.resize(samples * stride, 0.0);
        product(self.level, samples, normal, c, &blend.state, blend_state, stride, Epilogue::Store);
        let mut colour = [0.0; 3];
        for s in (0..samples).filter(|s| weights[*s] > NEGLIGIBLE) {
            let range = rows.first[s] as usize..rows.first[s + 1] as usize;
            let count = range.len();
            logits.resize(logits.len().max(count), 0.0);
            if rows.uniform[s] {
                logits[..count].fill(1.0 / count as f32);
            } else {
                blend_hidden.resize(blend_hidden.len().max(count * stride), 0.0);
                let values = &rows.values[range.start * rows.stride..];
                product(self.level, count, values, rows.stride, &blend.token, blend_hidden, stride, Epilogue::Store);
                view_logits(blend_hidden, &blend_state[s * stride..], &blend.view, stride, &mut logits[..count]);
                layers::ray_attention::softmax_rows(&mut logits[..count], count);
            }
            for (w, row) in logits.iter().zip(range) {
                for i in 0..3 {
                    colour[i] += weights[s] * w * rows.look_ups[row].colour[i];
                }
            }
        }
        colour
    }
}

tensor::simd_fn! {
    /// `logit = Σ max(hidden + state, 0) · weight` for each row.
    fn view_logits(hidden: &[f32], state: &[f32], weight: &[f32], stride: usize, logits: &mut [f32]) {
        for (logit, hidden) in logits.iter_mut().zip(hidden.chunks_exact(stride)) {
            let mut parts = [0.0f32; 8];
            let terms = hidden.chunks(8).zip(state.chunks(8)).zip(weight.chunks(8));
            for ((h, s), w) in terms {
                for (p, ((h, s), w)) in parts.iter_mut().zip(h.iter().zip(s).zip(w)) {
                    *p += (h + s).max(0.0) * w;
                }
            }
            *logit = parts.iter().sum();
        }
    }
}
