//! A tiny network, its options and scenes for the tests of this crate.

use crate::calibration::{BATCHES, Batches, BlockStats, Seen, calibrate, observe};
use crate::data::Dataset;
use crate::distillation::Distillation;
use crate::run::{RunOptions, RunSettings};
use crate::schedule::Schedule;
use gnt::{Config, FeatureConfig, Model};
use layers::Slot;
use scene::procedural::{Rig, RigKind, World, WriteOptions, cameras, write_llff};
use std::path::Path;

/// A dense network of two blocks.
pub fn config() -> Config {
    let features = FeatureConfig { stem_width: 4, stem_stride: 2, widths: [4, 6, 8], blocks: [1, 1, 1], channels: 4 };
    Config { width: 16, depth: 2, heads: 2, mlp_ratio: 2, features, samples: 12, views: 3, ..Config::compact() }
}

/// The network of `config` and starting values in which no parameter is zero, so that every part takes part.
pub fn network(config: Config, seed: u64) -> (Model, Vec<f32>) {
    let model = Model::new(config).unwrap();
    let mut params = model.layout.initialise(seed);
    let mut rng = layers::params::SplitMix(seed);
    for p in &mut params {
        *p += 0.1 * (rng.uniform() - 0.5);
    }
    (model, params)
}

pub fn options() -> RunOptions {
    RunOptions {
        seed: 3,
        rays: 37,
        samples: 12,
        views: (2, 3),
        depth_weight: 0.1,
        seconds: None,
        schedule: Schedule { peak: 2e-3, feature_factor: 1.0, warmup: 3, steps: 40 },
        average_decay: 0.9,
        clip_norm: 1.0,
        freeze_features: false,
        distillation: Distillation::default(),
        balance: None,
        hold_routers: false,
        form: Default::default(),
        guided: None,
    }
}

/// Two scenes of five views below `dir`.
pub fn dataset(dir: &Path) -> Dataset {
    let rig = Rig { width: 65, height: 47, views: 5, kind: RigKind::Forward, samples_per_pixel: 1 };
    for seed in 0..2 {
        let world = World::random(seed, RigKind::Forward);
        let out = dir.join(format!("scene_{seed}"));
        write_llff(&out, &world, &cameras(&world, &rig, seed), &WriteOptions::default(), &|_| {}).unwrap();
    }
    Dataset::open(dir).unwrap()
}

pub fn plan(out: &Path, until: u64, threads: usize) -> RunSettings {
    RunSettings { out: out.to_owned(), until, seconds: None, save_every: 100, log_every: 2, threads, validation: None }
}

const SEED: u64 = 11;

/// Statistics of a network on the calibration batches.
pub fn stats(model: &Model, params: &[f32], data: &Dataset) -> Vec<BlockStats> {
    calibrate(model, params, data, (2, 3), model.config.samples, SEED).unwrap()
}

/// Runs a network on the batches that [`stats`] are from.
pub fn watch(model: &Model, params: &[f32], data: &Dataset, each: impl FnMut(Seen)) {
    let batches = Batches { count: BATCHES, views: (2, 3), samples: model.config.samples, guided: false, seed: SEED };
    observe(model, params, data, batches, each).unwrap();
}

/// Colours of these batches.
pub fn colours(model: &Model, params: &[f32], data: &Dataset) -> Vec<f32> {
    let mut out = Vec::new();
    watch(model, params, data, |seen| out.extend_from_slice(&seen.workspace.trunk.head.rgb));
    out
}

/// A parameter of the transformer by its name.
pub fn slot(model: &Model, name: &str) -> Slot {
    model.layout.find(&format!("net_coarse.{name}")).unwrap_or_else(|| panic!("no parameter {name}")).slot
}

pub fn assert_close(what: &str, got: &[f32], want: &[f32], tolerance: f32) {
    assert_eq!(got.len(), want.len(), "{what}");
    for (i, (g, w)) in got.iter().zip(want).enumerate() {
        assert!((g - w).abs() <= tolerance, "{what}[{i}]: {g}, expected {w} within {tolerance}");
    }
}
