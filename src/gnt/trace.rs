//! What the training path on the CPU finds on its way through the network, as the reference that devices are compared with:
//! states after each stage, and every decision.
//!
//! A decision is what hangs on a threshold: the bits of codes, the pixels at which keys are read, and experts. A value
//! within rounding of its threshold decides one way on one device and the other way on another, and what follows on that ray
//! is another computation. A device that takes these decisions over can be compared strictly.

use crate::network::sources::{RayChunk, SourceMap, sources};
use crate::network::{NetworkOn, Workspace};
use crate::{Model, Result, sharpened};
use layers::feed_forward::experts::{ExpertsTape, SHIFT};
use scene::{Camera, Image, Ray};

/// What is traced.
#[derive(Clone, Copy, Debug)]
pub struct Setup<'a> {
    /// The network.
    pub model: &'a Model,
    /// Its parameters.
    pub params: &'a [f32],
    /// Source views.
    pub sources: &'a [(Camera, Image)],
    /// Rays.
    pub rays: &'a [Ray],
    /// Depths of the samples `[samples]`, the same for all rays.
    pub depths: &'a [f32],
    /// Near and far bound.
    pub depth_range: (f32, f32),
}

/// What can be decided otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// The pixel of a source view's map at which the key of a sample is read.
    Pixel,
    /// A bit of the query of an attention over source views.
    ViewQuery,
    /// A bit of a query of an attention along the ray.
    RayQuery,
    /// A bit of a key of an attention along the ray.
    RayKey,
    /// The expert of a sample in a feed-forward part.
    Expert,
}

impl Decision {
    /// All of them with their names.
    pub const ALL: [(Self, &'static str); 5] = [
        (Self::Pixel, "pixels of keys"),
        (Self::ViewQuery, "bits of view queries"),
        (Self::RayQuery, "bits of ray queries"),
        (Self::RayKey, "bits of ray keys"),
        (Self::Expert, "experts"),
    ];
}

/// The decisions for some rays; what the network has not is empty. A code has `words` words of 32 bits, the first channel in
/// the lowest bit of the first.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Decisions {
    /// `[rays, samples, views]`.
    pub pixels: Vec<i32>,
    /// `[depth, rays, samples, words]`.
    pub view_queries: Vec<u32>,
    /// `[depth, rays, samples, words]`.
    pub ray_queries: Vec<u32>,
    /// `[depth, rays, samples, words]`.
    pub ray_keys: Vec<u32>,
    /// `[2 depth, rays, samples]`: 0 for the multiply expert, 1 for the shift expert.
    pub experts: Vec<u8>,
}

impl Decisions {
    /// Whether nothing is decided, as in a dense network.
    pub fn is_empty(&self) -> bool {
        self.view_queries.is_empty() && self.ray_queries.is_empty() && self.experts.is_empty()
    }
}

/// What was found.
#[derive(Clone, Debug)]
pub struct Trace {
    /// The map of each source view after the first token layer `[pixels, C]`.
    pub maps: Vec<Vec<f32>>,
    /// The codes of the keys of each source view `[pixels, depth, words]`; empty where no block reads them.
    pub key_codes: Vec<Vec<u32>>,
    /// States `[rays, samples, C]` after each view block and each ray block, in turn.
    pub states: Vec<Vec<f32>>,
    /// Colours `[rays, 3]`.
    pub rgb: Vec<f32>,
    /// Mean depths `[rays]`.
    pub depth: Vec<f32>,
    /// Weights of the samples `[rays, samples]`.
    pub weights: Vec<f32>,
    /// What was decided.
    pub decisions: Decisions,
}

impl Trace {
    /// Runs the training path in f32.
    ///
    /// # Errors
    /// If a source view is too small for the feature network.
    pub fn new(setup: Setup) -> Result<Self> {
        let Setup { model, params, sources: views, rays, depths, depth_range } = setup;
        let folded = model.fold(params);
        let features = model.features.prepare_inference(params);
        let read = |(camera, image): &(Camera, Image)| (*camera, sharpened(image, model.config.sharpening));
        let views: Vec<(Camera, Image)> = views.iter().map(read).collect();
        let mut maps = Vec::new();
        for (_, image) in &views {
            let (h, w) = (image.height as usize, image.width as usize);
            model.features.check_size(h, w)?;
            let found = model.features.forward(&features, &image.data, h, w);
            let mut map = SourceMap::default();
            map.forward(&model.net, &folded, image, (found.width, found.height), &found.data);
            maps.push(map);
        }
        let network = NetworkOn::cpu(model, &folded);
        let all: Vec<f32> = rays.iter().flat_map(|_| depths.iter().copied()).collect();
        let mut pass: Workspace = Workspace::default();
        pass.trunk.record = true;
        let Ok(()) = pass.forward(network, &sources(&views, &maps), RayChunk { rays, depths: &all, depth_range });
        let mut weights = Vec::new();
        let Ok(()) = pass.ray_weights(network, &mut weights);
        let mean = |weights: &[f32]| depths.iter().zip(weights).map(|(z, w)| z * w).sum();
        Ok(Self {
            key_codes: maps.iter().map(|map| key_codes(model, &folded, map)).collect(),
            maps: maps.into_iter().map(|map| map.projected).collect(),
            // Of the four states that a block leaves, the second and the last.
            states: pass.trunk.states.iter().skip(1).step_by(2).cloned().collect(),
            rgb: pass.trunk.head.rgb.clone(),
            depth: weights.chunks_exact(depths.len()).map(mean).collect(),
            weights,
            decisions: decisions(model, &pass),
        })
    }
}

/// What a forward pass decided.
fn decisions(model: &Model, pass: &Workspace) -> Decisions {
    let c = model.config.width;
    let mut found = Decisions::default();
    if model.net.reads_keys {
        found.pixels = pass.tokens.places.taps.iter().map(|taps| taps.nearest() as i32).collect();
    }
    for (block, tape) in model.net.blocks.iter().zip(&pass.trunk.blocks) {
        if let Some(projection) = block.view.query_projection(&tape.view) {
            append_codes(projection.chunks_exact(c), &mut found.view_queries);
        }
        if let Some(projections) = block.ray.code_projections(&tape.ray) {
            append_codes(projections.chunks_exact(3 * c).map(|row| &row[..c]), &mut found.ray_queries);
            append_codes(projections.chunks_exact(3 * c).map(|row| &row[c..2 * c]), &mut found.ray_keys);
        }
        for (part, tape) in [(&block.view_ff, &tape.view_ff), (&block.ray_ff, &tape.ray_ff)] {
            if let Some(routes) = part.routes(tape) {
                append_routes(routes, &mut found.experts);
            }
        }
    }
    found
}

/// The codes of the keys of all blocks at the pixels of a map, `[pixels, depth, words]`.
fn key_codes(model: &Model, folded: &[f32], map: &SourceMap) -> Vec<u32> {
    let (c, words) = (model.config.width, model.config.width.div_ceil(32));
    let layers: Vec<_> = model.net.blocks.iter().filter_map(|block| block.view.key_layer()).collect();
    let mut codes = vec![0; map.keys.len() / c * layers.len() * words];
    for (i, layer) in layers.iter().enumerate() {
        let (mut projection, mut own) = (vec![0.0; map.keys.len()], Vec::new());
        layer.forward(folded, &map.keys, &mut projection, false);
        append_codes(projection.chunks_exact(c), &mut own);
        for (pixel, code) in own.chunks_exact(words).enumerate() {
            codes[(pixel * layers.len() + i) * words..][..words].copy_from_slice(code);
        }
    }
    codes
}

/// Appends the codes of rows: a bit is set where the value is above zero.
fn append_codes<'a>(rows: impl Iterator<Item = &'a [f32]>, codes: &mut Vec<u32>) {
    for row in rows {
        codes.extend(
            row.chunks(32)
                .map(|word| word.iter().enumerate().map(|(bit, value)| u32::from(*value > 0.0) << bit).sum::<u32>()),
        );
    }
}

fn append_routes(routes: &ExpertsTape, experts: &mut Vec<u8>) {
    let first = experts.len();
    experts.resize(first + routes.counts().iter().sum::<usize>(), 0);
    for row in routes.rows(SHIFT) {
        experts[first + *row as usize] = SHIFT as u8;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{Engine, Precision, RayOutput, RayScratch};
    use crate::testing::small_scene;
    use crate::{Config, sampling};
    use std::sync::Arc;

    /// The trace has the sizes that devices expect, its codes are those of the pass, and its colours those of the engine.
    #[test]
    fn traces_agree_with_the_engine() {
        let model = Model::new(Config { depth: 2, ..Config::compact() }.shift_add()).unwrap();
        let params = model.layout.initialise(3);
        let scene = small_scene();
        let depths = sampling::inverse_depth(0.3, 30.0, 9);
        let sources = &scene.sources[..2];
        let (rays, depth_range) = (&scene.rays[..5], scene.depth_range);
        let setup = Setup { model: &model, params: &params, sources, rays, depths: &depths, depth_range };
        let trace = Trace::new(setup).unwrap();
        let Decisions { pixels, view_queries, ray_queries, ray_keys, experts } = &trace.decisions;
        assert_eq!([pixels.len(), view_queries.len(), ray_queries.len()], [5 * 9 * 2, 2 * 5 * 9, 2 * 5 * 9]);
        assert_eq!([ray_keys.len(), experts.len()], [2 * 5 * 9, 4 * 5 * 9]);
        assert!(experts.contains(&0) && experts.contains(&1), "both experts");
        assert_eq!(trace.states.len(), 4);
        assert!(trace.key_codes[0].len() == 2 * trace.maps[0].len() / 32 && trace.key_codes[0].iter().any(|c| *c != 0));

        let engine = Engine::with_precision(model.clone(), &params, Precision::F32);
        let prepared: Vec<_> =
            sources.iter().map(|(camera, image)| engine.prepare(camera, Arc::new(image.clone())).unwrap()).collect();
        let views: Vec<_> = prepared.iter().collect();
        let (mut scratch, mut out) = (RayScratch::default(), RayOutput::default());
        for (ray, rgb) in rays.iter().zip(trace.rgb.chunks_exact(3)) {
            engine.render_ray(&views, ray, &depths, depth_range, &mut scratch, &mut out);
            let off = rgb.iter().zip(out.rgb).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(off < 1e-4, "{off}");
        }
    }
}
