//! One ray through the whole network.

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
    /// Buffers of the feed-forward parts, with the counts of routed rows.
    pub feed_forward: FeedForwardBuffers,
    head: HeadBuffers,
}

impl RayScratch {
    /// Rows that were routed to the multiply and to the shift expert so far, by feed-forward part: view and ray part of
    /// block 0, of block 1, and so on. Empty where there are no experts.
    pub fn routed(&self) -> &[[u64; 2]] {
        &self.feed_forward.experts.counts
    }

    /// Starts to count routed rows anew.
    pub fn clear_routed(&mut self) {
        self.feed_forward.experts.counts.fill([0; 2]);
    }

    /// Share of each source view in the last ray's blended colour, as far as the last view that has one; empty where the
    /// head does not blend.
    pub fn shares(&self) -> &[f32] {
        &self.head.shares
    }

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
        let (config, isa, w) = (&self.model.config, self.isa, &self.weights);
        let (c, samples) = (config.width, depths.len());
        let maps = FeatureMaps::of(sources);
        let mut clock = scratch.timing.map(|_| Instant::now());
        scratch.rows.build(isa, w, sources, &maps, ray, depths, config.start == Start::Max);
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
        encode(config.position, ray, depths, depth_range, &mut scratch.encoding);
        scratch.book(Stage::Gather, &mut clock);
        out.weights.clear();
        out.weights.resize(samples, 0.0);
        for (i, block) in w.blocks.iter().enumerate() {
            let RayScratch { rows, q, shared, view, .. } = scratch;
            block.view.apply(isa, &mut rows.tokens, q, shared, view);
            scratch.book(Stage::View, &mut clock);
            block.view_ff.apply(isa, &mut scratch.q, &mut scratch.feed_forward);
            scratch.book(Stage::Experts, &mut clock);
            if let Some(position) = &block.position {
                position.apply(isa, &scratch.encoding, &mut scratch.q, &mut scratch.shared);
                scratch.book(Stage::Position, &mut clock);
            }
            let last = i + 1 == w.blocks.len() && !w.head.blends();
            let RayScratch { q, shared, ray, .. } = scratch;
            block.ray.apply(isa, q, shared, ray, last.then_some(&mut out.weights[..]));
            scratch.book(Stage::Ray, &mut clock);
            block.ray_ff.apply(isa, &mut scratch.q, &mut scratch.feed_forward);
            scratch.book(Stage::Experts, &mut clock);
        }
        let RayScratch { rows, q, shared, head, .. } = scratch;
        w.head.apply(isa, (&rows.tokens, &rows.look_ups), q, shared, head, out);
        scratch.book(Stage::Head, &mut clock);
    }
}
