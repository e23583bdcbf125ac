//! The engine against the training path and against the official code.

mod every_config;

use super::{Engine, Precision, PreparedSource, RayOutput, RayScratch};
use crate::network::sources::{RayChunk, SourceMap, sources as network_sources};
use crate::network::{NetworkOn, Workspace};
use crate::stage::Stage;
use crate::surface::SurfaceMap;
use crate::testing::{SmallScene, fixture, small_model, small_scene};
use crate::{
    Axes, Config, FeatureConfig, FeedForwardKind, Head, LinearKind, Model, Position, RayAttentionKind, Start,
    ViewAttentionKind, sampling,
};
use compute::Isa;
use layers::FeedForward;
use layers::params::SplitMix;
use scene::image;
use std::sync::Arc;

pub(super) fn sources(engine: &Engine) -> Vec<PreparedSource> {
    let mut sources: Vec<PreparedSource> = small_scene()
        .sources
        .into_iter()
        .map(|(camera, image)| engine.prepare(&camera, Arc::new(image)).unwrap())
        .collect();
    // What the first view sees is known, for networks that ask: rough terrain in the middle of the depths.
    let mut rng = SplitMix(21);
    let cells = (0..9 * 7).map(|_| [0.1 + 0.6 * rng.uniform(), 0.05]).collect();
    sources[0].surface = Some(Arc::new(SurfaceMap::new((9, 7), 8, cells)));
    sources
}

#[test]
fn equals_the_official_code() {
    let (model, params) = small_model();
    let scene = small_scene();
    for isa in Isa::available() {
        let engine = Engine::new(model.clone(), &params).with_isa(isa);
        let prepared = sources(&engine);
        let prepared: Vec<&PreparedSource> = prepared.iter().collect();
        let (mut scratch, mut out) = (RayScratch::default(), RayOutput::default());
        let z = &scene.io["sample.inv_det.z"].1;
        for (r, ray) in scene.rays.iter().enumerate() {
            engine.render_ray(&prepared, ray, &z[r * 16..][..16], scene.depth_range, &mut scratch, &mut out);
            for (got, want) in out.rgb.iter().zip(&scene.io["render.coarse.rgb"].1[r * 3..]) {
                assert!((got - want).abs() < 2e-3, "{isa:?} ray {r}: {got}, reference {want}");
            }
            for (got, want) in out.weights.iter().zip(&scene.io["render.coarse.weights"].1[r * 16..][..16]) {
                assert!((got - want).abs() < 1e-4, "{isa:?} weights of ray {r}: {got}, reference {want}");
            }
        }
    }
}

/// A network that asks for sharpened photographs sees what one that does not sees in sharpened ones.
#[test]
fn sharpens_what_it_prepares() {
    let (model, params) = small_model();
    let asking = Model::new(Config { sharpening: 40, ..model.config }).unwrap();
    let (plain, asking) = (Engine::new(model, &params), Engine::new(asking, &params));
    for (camera, image) in small_scene().sources {
        let sharp = plain.prepare(&camera, Arc::new(crate::sharpened(&image, 40))).unwrap();
        let blurred = plain.prepare(&camera, Arc::new(image.clone())).unwrap();
        let asked = asking.prepare(&camera, Arc::new(image)).unwrap();
        assert_eq!((asked.image(), asked.map()), (sharp.image(), sharp.map()));
        assert_ne!(asked.map(), blurred.map());
    }
}

/// The weights of the official checkpoint, and the render that they must give.
#[test]
fn the_official_checkpoint_renders_as_expected() {
    let (model, mut params) = small_model();
    let expect = fixture("small_ckpt_expect");
    for entry in model.layout.entries().iter().filter(|e| e.name.starts_with("net_coarse.")) {
        entry.slot.of_mut(&mut params).copy_from_slice(&expect[&entry.name].1);
    }
    let scene = small_scene();
    let engine = Engine::new(model, &params);
    let prepared = sources(&engine);
    let prepared: Vec<&PreparedSource> = prepared.iter().collect();
    let (mut scratch, mut out) = (RayScratch::default(), RayOutput::default());
    let z = &scene.io["sample.inv_det.z"].1;
    for (r, ray) in scene.rays.iter().enumerate() {
        engine.render_ray(&prepared, ray, &z[r * 16..][..16], scene.depth_range, &mut scratch, &mut out);
        for (got, want) in out.rgb.iter().zip(&expect["expect.rgb"].1[r * 3..]) {
            assert!((got - want).abs() < 2e-3, "ray {r}: {got}, reference {want}");
        }
        for (got, want) in out.weights.iter().zip(&expect["expect.weights"].1[r * 16..][..16]) {
            assert!((got - want).abs() < 1e-4, "weights of ray {r}: {got}, reference {want}");
        }
        let depth: f32 = out.weights.iter().zip(&z[r * 16..]).map(|(w, z)| w * z).sum();
        let want = expect["expect.depth"].1[r];
        assert!((depth - want).abs() < 5e-3, "depth of ray {r}: {depth}, reference {want}");
    }
}

/// The second pass: importance samples from the first pass' weights, both through the same network.
#[test]
fn importance_samples_as_the_official_code_places_them() {
    let (model, params) = small_model();
    let scene = small_scene();
    let engine = Engine::new(model, &params);
    let prepared = sources(&engine);
    let prepared: Vec<&PreparedSource> = prepared.iter().collect();
    let (mut scratch, mut out) = (RayScratch::default(), RayOutput::default());
    for (r, ray) in scene.rays.iter().enumerate() {
        let z = &scene.io["sample.inv_det.z"].1[r * 16..][..16];
        let weights = &scene.io["gnt.weights"].1[r * 16..][..16];
        let fine = sampling::refine_inverse_depth(z, weights, &sampling::linspace(16));
        let want = &scene.io["render.fine.z"].1[r * 32..][..32];
        // The farthest deterministic sample is extrapolated by rounding and differs between implementations.
        let off = fine.iter().zip(want).filter(|(a, b)| (*a - *b).abs() > 1e-3 * *b).count();
        assert!(off <= 1, "ray {r}: {fine:?}, reference {want:?}");
        engine.render_ray(&prepared, ray, want, scene.depth_range, &mut scratch, &mut out);
        for (got, want) in out.rgb.iter().zip(&scene.io["render.fine.rgb"].1[r * 3..]) {
            assert!((got - want).abs() < 2e-3, "ray {r}: {got}, reference {want}");
        }
    }
}

/// Odd sizes, one to five views, samples that no view sees.
#[test]
fn equals_the_training_path() {
    let features = FeatureConfig { stem_width: 4, stem_stride: 2, widths: [6, 4, 8], blocks: [1, 2, 1], channels: 5 };
    let official = Config { width: 16, depth: 2, attention_hidden: 3, features, ..Config::official(2) };
    let own = Config {
        width: 32,
        depth: 3,
        heads: 2,
        mlp_ratio: 2,
        attention_hidden: 8,
        start: Start::Stats,
        position: Position::Ray { frequencies: 3 },
        head: Head::Blend,
        ..official
    };
    let scene = small_scene();
    let ray = |ray_attention| Config { ray_attention, ..own };
    let visible = Config { axes: Axes::Target, visibility: true, ..own };
    let configs = [
        official,
        own,
        Config { head: Head::Mean, ..own },
        Config { start: Start::Stats, ..official },
        ray(RayAttentionKind::Hamming),
        ray(RayAttentionKind::LinearAngular { branch: true }),
        Config { head: Head::Mean, ..ray(RayAttentionKind::LinearAngular { branch: false }) },
        Config { view_attention: ViewAttentionKind::Hamming, ..own },
        Config { linears: LinearKind::Shift { bits: 4 }, mlp: FeedForwardKind::Shift { bits: 4 }, ..own },
        Config { linears: LinearKind::Shift { bits: 5 }, mlp: FeedForwardKind::Shift { bits: 5 }, ..official },
        Config { mlp: FeedForwardKind::Experts { bits: 4 }, ..own },
        official.shift_add(),
        own.shift_add(),
        visible,
        visible.shift_add(),
    ];
    for config in configs {
        let model = Model::new(config).unwrap();
        let mut rng = SplitMix(9);
        let params: Vec<f32> =
            model.layout.initialise(4).iter().map(|p| p * 1.5 + 0.05 * (rng.uniform() - 0.5)).collect();
        let engine = Engine::with_precision(model.clone(), &params, Precision::F32);
        let all = sources(&engine);
        let folded = model.fold(&params);
        for (views, samples) in [(1, 7), (3, 33), (2, 2)] {
            let z = sampling::inverse_depth(0.3, 30.0, samples);
            let depths: Vec<f32> = scene.rays.iter().flat_map(|_| z.iter().copied()).collect();
            let prepared: Vec<&PreparedSource> = all.iter().take(views).collect();
            let workspace = training_path(&model, &folded, &scene, &prepared, &depths);
            let mut weights = Vec::new();
            let Ok(()) = workspace.ray_weights(NetworkOn::cpu(&model, &folded), &mut weights);
            let unseen =
                workspace.tokens.shared.mask.chunks_exact(views).filter(|m| m.iter().all(|v| *v == 0.0)).count();
            assert!(unseen > 0, "the scene has samples that no view sees");
            let (mut scratch, mut out) = (RayScratch::default(), RayOutput::default());
            for (r, ray) in scene.rays.iter().enumerate() {
                engine.render_ray(&prepared, ray, &z, scene.depth_range, &mut scratch, &mut out);
                for (got, want) in out.rgb.iter().zip(&workspace.trunk.head.rgb[r * 3..]) {
                    assert!((got - want).abs() < 1e-4, "{config:?}, {views} views, ray {r}: {got} {want}");
                }
                for (got, want) in out.weights.iter().zip(&weights[r * samples..]) {
                    assert!((got - want).abs() < 2e-5, "{views} views, weights of ray {r}: {got} {want}");
                }
            }
        }
    }
}

/// The training path on the scene's rays, from the engine's maps; it keeps its states.
pub(super) fn training_path(
    model: &Model,
    folded: &[f32],
    scene: &SmallScene,
    prepared: &[&PreparedSource],
    depths: &[f32],
) -> Workspace {
    let maps: Vec<SourceMap> = prepared
        .iter()
        .map(|p| {
            let mut map = SourceMap::new(p.map_size(), p.map());
            (map.surface, map.asks_visibility) = (p.surface.as_deref().cloned(), model.net.visibility);
            if model.net.reads_keys {
                map.make_keys(&model.net, folded, &p.image());
            }
            map
        })
        .collect();
    let sources = network_sources(&scene.sources[..prepared.len()], &maps);
    let mut workspace = Workspace::default();
    workspace.trunk.record = true;
    let chunk = RayChunk { rays: &scene.rays, depths, depth_range: scene.depth_range };
    let Ok(()) = workspace.forward(NetworkOn::cpu(model, folded), &sources, chunk);
    workspace
}

/// Rows of `states` that the router of a feed-forward part sends to the multiply and to the shift expert, in f64 from the
/// weights; and how many of them lie so close to a tie that f32 may decide otherwise.
fn routed_by_hand(layer: &FeedForward, folded: &[f32], states: &[f32]) -> ([u64; 2], u64) {
    const CLOSE: f64 = 1e-4;
    let FeedForward::Experts(experts) = layer else { panic!("expected experts") };
    let (norm, router) = (&experts.norm, &experts.router);
    let (gain, offset) = (norm.gain.of(folded), norm.bias.of(folded));
    let (weight, bias) = (router.weight.of(folded), router.bias.map_or(&[0.0; 2][..], |b| b.of(folded)));
    let (mut counts, mut close) = ([0; 2], 0);
    for row in states.chunks_exact(norm.width) {
        let c = row.len() as f64;
        let mean = row.iter().map(|x| f64::from(*x)).sum::<f64>() / c;
        let variance = row.iter().map(|x| (f64::from(*x) - mean).powi(2)).sum::<f64>() / c;
        let scale = 1.0 / (variance + f64::from(norm.eps)).sqrt();
        let mut logits = [0, 1].map(|e| f64::from(bias[e]));
        for (i, x) in row.iter().enumerate() {
            let normal = (f64::from(*x) - mean) * scale * f64::from(gain[i]) + f64::from(offset[i]);
            logits.iter_mut().zip(&weight[2 * i..]).for_each(|(sum, w)| *sum += normal * f64::from(*w));
        }
        // The shift expert takes what both are equally good for.
        counts[if logits[0] > logits[1] { 0 } else { 1 }] += 1;
        close += u64::from((logits[0] - logits[1]).abs() < CLOSE);
    }
    (counts, close)
}

/// More samples than are routed together, fewer than a group has, and just two.
#[test]
fn rows_go_where_the_routers_say() {
    let scene = small_scene();
    let small = Config { depth: 3, ..Config::compact() };
    let experts = FeedForwardKind::Experts { bits: 4 };
    for config in [Config { mlp: experts, ..small }, Config { mlp: experts, ..Config::official(2) }, small.shift_add()]
    {
        let model = Model::new(config).unwrap();
        let mut rng = SplitMix(3);
        let params: Vec<f32> =
            model.layout.initialise(7).iter().map(|p| p * 1.5 + 0.05 * (rng.uniform() - 0.5)).collect();
        let engine = Engine::with_precision(model.clone(), &params, Precision::F32);
        let all = sources(&engine);
        let prepared: Vec<&PreparedSource> = all.iter().collect();
        let folded = model.fold(&params);
        for samples in [2, 31, 193] {
            let z = sampling::inverse_depth(0.3, 30.0, samples);
            let depths: Vec<f32> = scene.rays.iter().flat_map(|_| z.iter().copied()).collect();
            let states = training_path(&model, &folded, &scene, &prepared, &depths).trunk.states;
            let (mut scratch, mut out) = (RayScratch::default(), RayOutput::default());
            let mut routed = vec![[0; 2]; 2 * config.depth];
            for ray in &scene.rays {
                engine.render_ray(&prepared, ray, &z, scene.depth_range, &mut scratch, &mut out);
                assert_eq!(out.routed.len(), routed.len());
                for (sum, part) in routed.iter_mut().zip(&out.routed) {
                    *sum = [sum[0] + part[0], sum[1] + part[1]];
                }
            }
            let layers = model.net.blocks.iter().flat_map(|block| [&block.view_ff, &block.ray_ff]);
            // Of the four states that a block leaves, those after the attentions.
            for (part, (layer, states)) in layers.zip(states.iter().step_by(2)).enumerate() {
                let rows = (samples * scene.rays.len()) as u64;
                let (want, close) = routed_by_hand(layer, &folded, states);
                let got = routed[part];
                assert_eq!((got[0] + got[1], want[0] + want[1]), (rows, rows));
                assert!(close <= rows / 200 + 1, "{close} of {rows} choices are close: choose another seed");
                let off = got[0].abs_diff(want[0]);
                assert!(off <= close, "{config:?}, {samples} samples, part {part}: {got:?}, by hand {want:?}");
            }
        }
    }
}

/// A network without experts routes nothing, and its one MLP has the time of the feed-forward parts.
#[test]
fn every_stage_takes_time() {
    let scene = small_scene();
    let z = sampling::inverse_depth(0.3, 30.0, 33);
    for (config, parts) in [(Config::compact(), 0), (Config::compact().shift_add(), 2 * Config::compact().depth)] {
        let model = Model::new(config).unwrap();
        let params = model.layout.initialise(1);
        let engine = Engine::new(model, &params);
        let all = sources(&engine);
        let prepared: Vec<&PreparedSource> = all.iter().collect();
        let (mut scratch, mut out) = (RayScratch::default(), RayOutput::default());
        scratch.timing = Some(Default::default());
        for ray in &scene.rays {
            engine.render_ray(&prepared, ray, &z, scene.depth_range, &mut scratch, &mut out);
        }
        assert_eq!(out.routed.len(), parts);
        for ((_, name), seconds) in Stage::ALL.iter().zip(scratch.timing.unwrap()) {
            assert!(seconds > 0.0, "{name}: {seconds} s");
        }
    }
    for (place, (stage, _)) in Stage::ALL.into_iter().enumerate() {
        assert_eq!(stage as usize, place);
    }
}

#[test]
fn source_views_may_come_in_any_order() {
    let (model, params) = small_model();
    let engine = Engine::new(model, &params);
    let scene = small_scene();
    let prepared = sources(&engine);
    let z = sampling::inverse_depth(1.2, 40.0, 31);
    let (mut scratch, mut a, mut b) = (RayScratch::default(), RayOutput::default(), RayOutput::default());
    for ray in &scene.rays {
        let order = |i: [usize; 3]| i.map(|i| &prepared[i]);
        engine.render_ray(&order([0, 1, 2]), ray, &z, scene.depth_range, &mut scratch, &mut a);
        engine.render_ray(&order([2, 0, 1]), ray, &z, scene.depth_range, &mut scratch, &mut b);
        for (a, b) in a.rgb.iter().zip(b.rgb) {
            assert!((a - b).abs() < 1e-4, "{a} {b}");
        }
    }
}

/// Colours on 8-bit activations against those in f32, as the PSNR of an image of these rays.
#[test]
fn bytes_keep_the_image() {
    let (model, params, _) = crate::builtin::load("gnt-shiftadd").unwrap();
    let scene = small_scene();
    let z = sampling::inverse_depth(scene.depth_range.0, scene.depth_range.1, 48);
    let render = |precision: Precision| -> Vec<f32> {
        let engine = Engine::with_precision(model.clone(), &params, precision);
        let all = sources(&engine);
        let prepared: Vec<&PreparedSource> = all.iter().collect();
        let (mut scratch, mut out) = (RayScratch::default(), RayOutput::default());
        let mut colours = Vec::new();
        for ray in &scene.rays {
            engine.render_ray(&prepared, ray, &z, scene.depth_range, &mut scratch, &mut out);
            colours.extend(out.rgb);
        }
        colours
    };
    let exact = render(Precision::F32);
    for precision in [Precision::Mixed, Precision::Int8] {
        let psnr = image::psnr(image::mean_squared_error(&exact, &render(precision)), image::CHECK_FLOOR);
        assert!(psnr > 50.0, "{precision:?}: {psnr} dB");
    }
}

/// A model without shift layers has nothing to run on bytes unless asked to.
#[test]
fn the_fastest_precision_depends_on_the_network() {
    for isa in Isa::available() {
        let bytes = if isa.has_vector_bytes() { Precision::Int8 } else { Precision::F32 };
        assert_eq!(Precision::fastest(Config::compact().has_shifts(), isa), Precision::F32);
        assert_eq!(Precision::fastest(Config::compact().shift_add().has_shifts(), isa), bytes);
    }
    let engine = |config: Config| {
        let model = Model::new(config).unwrap();
        let params = model.layout.initialise(1);
        Engine::new(model, &params)
    };
    let additive = engine(Config::compact().shift_add());
    assert!(additive.expert_latencies().iter().all(|s| *s > 0.0 && *s < 1e-3), "{:?}", additive.expert_latencies());
    assert_eq!(engine(Config::compact()).expert_latencies(), [0.0; 2]);
}

/// How sources are kept depends on the precision, and those of another one are not taken for one's own.
#[test]
#[should_panic(expected = "an engine of another precision has prepared")]
fn sources_of_another_precision_are_refused() {
    let (scene, model) = (small_scene(), Model::new(Config::compact()).unwrap());
    let params = model.layout.initialise(1);
    let of = |precision| Engine::with_precision(model.clone(), &params, precision);
    let all = sources(&of(Precision::Int8));
    let prepared: Vec<&PreparedSource> = all.iter().collect();
    let (mut scratch, mut out) = (RayScratch::default(), RayOutput::default());
    of(Precision::F32).render_ray(&prepared, &scene.rays[0], &[1.0, 2.0], scene.depth_range, &mut scratch, &mut out);
}
