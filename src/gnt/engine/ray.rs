//! One ray, or some together, through the whole network.

use super::head::HeadBuffers;
use super::output::RayOutput;
use super::position::encode;
use super::rows::Rows;
use super::source::FeatureMaps;
use super::{Engine, PreparedSource};
use crate::config::Start;
use crate::stage::Stage;
use compute::ops::product::{Epilogue, product};
use layers::engine::SharedScratch;
use layers::feed_forward::engine::FeedForwardBuffers;
use layers::ray_attention::engine::RayAttentionBuffers;
use layers::view_attention::engine::ViewAttentionBuffers;
use scene::Ray;
use std::time::Instant;

/// Buffers of one thread; they grow to the largest ray.
#[derive(Clone, Debug, Default)]
pub struct RayScratch {
    /// Seconds spent in each [`Stage`], where they are wanted: reading the clock costs a small network about 1 %.
    pub timing: Option<[f64; Stage::ALL.len()]>,
    /// Tokens of the ray at hand.
    rows: Rows,
    /// States of its samples `[samples, C]`.
    q: Vec<f32>,
    encoding: Vec<f32>,
    shared: SharedScratch,
    view: ViewAttentionBuffers,
    ray: RayAttentionBuffers,
    feed_forward: FeedForwardBuffers,
    head: HeadBuffers,
    /// Weights along the rays where the last attention gives them, `[rays, samples]`.
    weights: Vec<f32>,
}

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
    /// Renders one ray from its samples at `depths` (increasing), see [`Engine::render_few`].
    pub fn render_ray(
        &self,
        sources: &[&PreparedSource],
        ray: &Ray,
        depths: &[f32],
        depth_range: (f32, f32),
        scratch: &mut RayScratch,
        out: &mut RayOutput,
    ) {
        let (ray, out) = (std::slice::from_ref(ray), std::slice::from_mut(out));
        self.render_few(sources, ray, depths, depth_range, scratch, out);
    }

    /// Renders some rays together, which for rays of few samples is faster than one after the other, and gives the same.
    ///
    /// # Shapes
    /// - `depths`: `[rays, samples]`, those of a ray increasing
    /// - `out`: `[rays]`
    ///
    /// # Panics
    /// If there is no ray, or none of its samples, or if another engine, of another precision, has prepared a source.
    pub fn render_few(
        &self,
        sources: &[&PreparedSource],
        rays: &[Ray],
        depths: &[f32],
        depth_range: (f32, f32),
        scratch: &mut RayScratch,
        out: &mut [RayOutput],
    ) {
        let (config, isa, w) = (&self.model.config, self.isa, &self.weights);
        let (c, count, samples) = (config.width, rays.len(), depths.len());
        let whole = count > 0 && samples > 0 && samples.is_multiple_of(count);
        assert!(whole && out.len() == count, "{samples} depths of {count} rays, {} results", out.len());
        let maps = FeatureMaps::of(sources, w.look_ups.is_bytes());
        let mut clock = scratch.timing.map(|_| Instant::now());
        scratch.rows.build(isa, w, sources, &maps, rays, depths, config.start == Start::Max);
        scratch.q.resize(samples * c, 0.0);
        scratch.shared.fit(samples, c);
        match &w.start {
            None => scratch.rows.maximum(isa, w, &maps, &mut scratch.q),
            Some(start) => {
                let moments = &mut scratch.shared.wide[..samples * 2 * c];
                scratch.rows.moments(isa, c, moments);
                product(isa, samples, moments, 2 * c, start, &mut scratch.q, c, Epilogue::Store);
            }
        }
        encode(config.position, rays, depths, depth_range, &mut scratch.encoding);
        scratch.book(Stage::Gather, &mut clock);
        scratch.weights.clear();
        scratch.weights.resize(samples, 0.0);
        scratch.feed_forward.experts.counts.clear();
        for (i, block) in w.blocks.iter().enumerate() {
            let RayScratch { rows, q, shared, view, .. } = scratch;
            block.view.apply(isa, &mut rows.tokens, q, shared, view);
            scratch.book(Stage::View, &mut clock);
            block.view_ff.apply(isa, &mut scratch.q, count, &mut scratch.feed_forward);
            scratch.book(Stage::Experts, &mut clock);
            if let Some(position) = &block.position {
                position.apply(isa, &scratch.encoding, count, &mut scratch.q, &mut scratch.shared);
                scratch.book(Stage::Position, &mut clock);
            }
            let last = i + 1 == w.blocks.len() && !w.head.blends();
            let RayScratch { q, shared, ray, weights, .. } = scratch;
            block.ray.apply(isa, q, count, shared, ray, last.then_some(&mut weights[..]));
            scratch.book(Stage::Ray, &mut clock);
            block.ray_ff.apply(isa, &mut scratch.q, count, &mut scratch.feed_forward);
            scratch.book(Stage::Experts, &mut clock);
        }
        let RayScratch { rows, q, shared, head, weights, feed_forward, .. } = scratch;
        for (ray, out) in out.iter_mut().enumerate() {
            out.weights.clear();
            out.weights.extend_from_slice(&weights[ray * (samples / count)..][..samples / count]);
            out.routed.clear();
            out.routed.extend(feed_forward.experts.counts.iter().skip(ray).step_by(count));
        }
        w.head.apply(isa, (&rows.tokens, &rows.look_ups), q, shared, head, out);
        scratch.book(Stage::Head, &mut clock);
    }
}
