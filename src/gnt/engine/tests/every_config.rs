//! Every configuration that validates runs: configurations are drawn at random, with sizes at and beside their limits.

use super::{sources, training_path};
use crate::checkpoint::{self, Checkpoint};
use crate::engine::{Engine, Precision, PreparedSource, RayOutput, RayScratch};
use crate::features::Tape;
use crate::network::{NetworkOn, Seeds};
use crate::testing::small_scene;
use crate::{
    Axes, Config, FeatureConfig, FeedForwardKind, Head, LinearKind, Model, Position, RayAttentionKind, Start,
    ViewAttentionKind, sampling,
};
use layers::params::SplitMix;

/// Configurations that are run; each takes some milliseconds.
const RUNS: usize = 120;

fn pick<T: Copy>(rng: &mut SplitMix, of: &[T]) -> T {
    of[rng.below(of.len())]
}

fn draw(rng: &mut SplitMix) -> Config {
    let bits = |rng: &mut SplitMix| pick(rng, &[3, 4, 4, 4, 5, 5, 5, 6]);
    let frequencies = pick(rng, &[0, 1, 3, 16, 17]);
    let narrow = |rng: &mut SplitMix| pick(rng, &[1, 2, 3, 4, 5, 7, 9, 16, 17]);
    Config {
        width: pick(rng, &[0, 8, 16, 24, 32, 48, 64, 80, 96, 128, 144, 192]),
        depth: pick(rng, &[0, 1, 1, 2, 3]),
        heads: pick(rng, &[0, 1, 1, 2, 3, 4, 6, 8, 16, 32, 64, 65]),
        mlp_ratio: pick(rng, &[0, 1, 1, 2, 3, 16, 17]),
        attention_hidden: pick(rng, &[0, 1, 2, 3, 4, 7, 8, 9, 17, 31, 128, 129]),
        start: pick(rng, &[Start::Max, Start::Stats]),
        position: pick(rng, &[Position::World { frequencies }, Position::Ray { frequencies }]),
        axes: pick(rng, &[Axes::World, Axes::World, Axes::Target]),
        visibility: rng.below(4) == 0,
        sharpening: 0,
        doubled: false,
        head: pick(rng, &[Head::Mean, Head::Blend]),
        view_attention: pick(rng, &[ViewAttentionKind::Subtract, ViewAttentionKind::Hamming]),
        ray_attention: pick(
            rng,
            &[
                RayAttentionKind::Softmax,
                RayAttentionKind::Hamming,
                RayAttentionKind::Hamming,
                RayAttentionKind::LinearAngular { branch: false },
                RayAttentionKind::LinearAngular { branch: true },
            ],
        ),
        linears: match rng.below(2) {
            0 => LinearKind::Dense,
            _ => LinearKind::Shift { bits: bits(rng) },
        },
        mlp: match rng.below(3) {
            0 => FeedForwardKind::Dense,
            1 => FeedForwardKind::Shift { bits: bits(rng) },
            _ => FeedForwardKind::Experts { bits: bits(rng) },
        },
        features: FeatureConfig {
            stem_width: narrow(rng),
            stem_stride: pick(rng, &[1, 2, 2, 3]),
            widths: [narrow(rng), narrow(rng), narrow(rng)],
            blocks: [1, 2, 3].map(|most| 1 + rng.below(most)),
            channels: narrow(rng),
        },
        samples: pick(rng, &[1, 2, 3, 9, 4096]),
        views: pick(rng, &[0, 1, 3, 256, 257]),
    }
}

/// What the name of a kind of layer is; how often each ran is checked.
fn kinds(config: &Config) -> [String; 4] {
    let Config { view_attention, ray_attention, linears, mlp, .. } = config;
    [format!("{view_attention:?}"), format!("{ray_attention:?}"), format!("{linears:?}"), format!("{mlp:?}")]
}

#[test]
fn every_configuration_that_validates_runs() {
    let mut scene = small_scene();
    scene.rays.truncate(1);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("model.safetensors");
    let mut rng = SplitMix(5);
    let mut seen = std::collections::BTreeMap::<String, usize>::new();
    let mut runs = 0;
    while runs < RUNS {
        let config = draw(&mut rng);
        if config.validate().is_err() {
            continue;
        }
        runs += 1;
        kinds(&config).into_iter().for_each(|kind| *seen.entry(kind).or_default() += 1);
        let model = Model::new(config).unwrap();
        let params = model.layout.initialise(runs as u64);
        // What goes into a file comes out of it.
        Checkpoint::from_params(&config, &model.layout, &params).write(&file, checkpoint::Storage::Packed).unwrap();
        assert_eq!(Checkpoint::read(&file).unwrap().into_params(&model.layout).unwrap().len(), params.len());

        let samples = pick(&mut rng, &[2, 3, 9]);
        let z = sampling::inverse_depth(scene.depth_range.0, scene.depth_range.1, samples);
        let folded = model.fold(&params);
        let bf16 = compute::isa().has_bf16().then_some(Precision::Bf16);
        for precision in [Precision::F32, Precision::Mixed, Precision::Int8].into_iter().chain(bf16) {
            let engine = Engine::with_precision(model.clone(), &params, precision);
            let all = sources(&engine);
            let prepared: Vec<&PreparedSource> = all.iter().take(1 + runs % all.len()).collect();
            let (mut scratch, mut out) = (RayScratch::default(), RayOutput::default());
            engine.render_ray(&prepared, &scene.rays[0], &z, scene.depth_range, &mut scratch, &mut out);
            // Rays that are rendered together give what each gives alone.
            let turned =
                scene::Ray { direction: scene.rays[0].direction + glam::Vec3::new(0.02, -0.1, 0.0), ..scene.rays[0] };
            let rays = [turned, scene.rays[0], turned];
            // Some runs have more rows than go to the experts together.
            let count = if runs % 20 == 0 { 100 } else { samples };
            let z = sampling::inverse_depth(scene.depth_range.0, scene.depth_range.1, count);
            let farther: Vec<f32> = z.iter().map(|z| z * 1.25).collect();
            let depths = [&farther[..], &z, &z].concat();
            let mut few = vec![RayOutput::default(); 3];
            engine.render_few(&prepared, &rays, &depths, scene.depth_range, &mut scratch, &mut few);
            for (together, (ray, z)) in few.iter().zip(rays.iter().zip(depths.chunks(count))) {
                let mut alone = RayOutput::default();
                engine.render_ray(&prepared, ray, z, scene.depth_range, &mut scratch, &mut alone);
                assert_eq!(*together, alone, "{config:?}");
            }
            let sum: f32 = out.weights.iter().sum();
            assert!(out.rgb.iter().all(|v| v.is_finite()) && (sum - 1.0).abs() < 1e-3, "{config:?}: {out:?}");
            if precision != Precision::F32 {
                continue;
            }
            let mut workspace = training_path(&model, &folded, &scene, &prepared, &z);
            // Codes are signs, and routers choose: near a threshold, rounding decides.
            let names = kinds(&config).concat();
            if !["Hamming", "LinearAngular", "Experts"].iter().any(|kind| names.contains(kind)) {
                for (got, want) in out.rgb.iter().zip(&workspace.trunk.head.rgb) {
                    assert!((got - want).abs() < 2e-3 * want.abs().max(1.0), "{config:?}: {got}, trained {want}");
                }
            }
            let (ones, mut grads) = (vec![1.0; 3], vec![0.0; model.net.layout.len()]);
            let seeds = Seeds::of_colours(&ones);
            let Ok(()) = workspace.backward(NetworkOn::cpu(&model, &folded), seeds, None, &mut grads);
            assert!(grads.iter().all(|g| g.is_finite()), "{config:?}");
        }
        let image = &scene.sources[0].1;
        let (prepared, mut tape, mut grads) =
            (model.features.prepare(&params), Tape::default(), vec![0.0; params.len()]);
        let (h, w) = (image.height as usize, image.width as usize);
        let map = model.features.forward_train(&prepared, &image.data, h, w, &mut tape);
        model.features.backward(&prepared, &mut tape, &vec![1.0; map.data.len()], &mut grads);
        assert!(grads.iter().all(|g| g.is_finite()), "{config:?}");
    }
    for kind in
        ["Subtract", "Hamming", "Softmax", "LinearAngular { branch: true }", "Shift { bits: 5 }", "Experts { bits: 5 }"]
    {
        assert!(seen.get(kind).is_some_and(|n| *n > 5), "{kind}: {seen:?}");
    }
}

/// A head's code is one word; the reason is said.
#[test]
fn codes_of_more_than_a_word_are_refused() {
    let wide = Config { width: 128, heads: 1, ..Config::compact() };
    wide.validate().unwrap();
    let [view, ray] = [
        Config { view_attention: ViewAttentionKind::Hamming, ..wide },
        Config { ray_attention: RayAttentionKind::Hamming, ..wide },
    ];
    for config in [view, ray, wide.shift_add()] {
        let message = config.validate().unwrap_err().to_string();
        assert!(message.contains("heads") && message.contains("at most 64") && message.contains("128"), "{message}");
        Config { heads: 2, ..config }.validate().unwrap();
    }
    let most = FeatureConfig { widths: [1024; 3], blocks: [64; 3], ..wide.features };
    let message = Model::new(Config { features: most, ..wide }).unwrap_err().to_string();
    assert!(message.contains("at most") && message.contains("weights"), "{message}");
}
