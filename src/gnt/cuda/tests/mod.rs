//! The ray kernel, run on the CPU, against the training path and the CPU's engine.

mod frames;

use super::*;
use crate::engine::{Engine, Precision, PreparedSource, RayOutput, RayScratch};
use crate::testing::{SmallScene, small_model, small_scene};
use crate::trace::{Decision, Setup, Trace};
use crate::{
    Config, FeatureConfig, Head, LinearKind, Model, Position, RayAttentionKind, Start, ViewAttentionKind, sampling,
};
use compute::Isa;
use kernels_host::Schedule;
use layers::params::SplitMix;
use scene::image;
use std::sync::Arc;

const FEATURES: FeatureConfig =
    FeatureConfig { stem_width: 4, stem_stride: 2, widths: [6, 4, 8], blocks: [1, 2, 1], channels: 5 };

/// Official sizes with fewer blocks, and a small feature network.
fn official() -> Config {
    Config { features: FEATURES, ..Config::official(2) }
}

fn compact() -> Config {
    Config { features: FEATURES, depth: 3, ..Config::compact() }
}

/// Sizes that fill neither tiles nor operands.
fn odd() -> Config {
    Config {
        width: 16,
        heads: 2,
        mlp_ratio: 3,
        attention_hidden: 3,
        start: Start::Stats,
        position: Position::World { frequencies: 3 },
        ..official()
    }
}

fn odd_codes() -> Config {
    Config {
        width: 48,
        heads: 3,
        mlp_ratio: 1,
        attention_hidden: 11,
        start: Start::Max,
        position: Position::Ray { frequencies: 2 },
        head: Head::Blend,
        view_attention: ViewAttentionKind::Hamming,
        ray_attention: RayAttentionKind::Hamming,
        linears: LinearKind::Shift { bits: 5 },
        mlp: FeedForwardKind::Experts { bits: 5 },
        ..official()
    }
}

fn random(config: Config) -> (Model, Vec<f32>) {
    let model = Model::new(config).unwrap();
    let mut rng = SplitMix(9);
    let params = model.layout.initialise(4).iter().map(|p| p * 1.5 + 0.05 * (rng.uniform() - 0.5)).collect();
    (model, params)
}

fn setup<'a>(
    (model, params): &'a (Model, Vec<f32>),
    scene: &'a SmallScene,
    views: usize,
    depths: &'a [f32],
) -> Setup<'a> {
    let sources = &scene.sources[..views];
    Setup { model, params, sources, rays: &scene.rays, depths, depth_range: scene.depth_range }
}

/// Largest difference as a part of the largest value, which counts as 1 at least; infinite for what is not a number.
fn relative(got: &[f32], want: &[f32]) -> f32 {
    assert_eq!(got.len(), want.len());
    let off = got.iter().zip(want).map(|(a, b)| if a.is_finite() { (a - b).abs() } else { f32::INFINITY });
    off.fold(0.0, f32::max) / want.iter().fold(1.0, |most: f32, v| most.max(v.abs()))
}

/// What the device finds at a precision; in f32 with the maps of its sources. With the decisions of `trace` where they are
/// `forced`, else with its own.
fn run(
    device: &Device,
    setup: Setup,
    precision: CudaPrecision,
    forced: Option<&Trace>,
) -> (RayBatch, Vec<Vec<f32>>, forced::Flips) {
    let Setup { model, params, sources, rays, depths, depth_range } = setup;
    let mut engine = CudaEngine::new(device.clone(), model, params, precision).unwrap();
    let mut sources: Vec<CudaSource> =
        sources.iter().map(|(camera, image)| engine.prepare(camera, image).unwrap()).collect();
    let maps = sources.iter().map(|source| source.read_map().unwrap()).collect();
    if let Some(trace) = forced {
        sources.iter_mut().zip(&trace.key_codes).for_each(|(source, codes)| source.write_keys(codes).unwrap());
    }
    let sources: Vec<&CudaSource> = sources.iter().collect();
    let exact = precision == CudaPrecision::F32;
    let job = Rays { rays, depths, samples: depths.len(), depth_range };
    let want = Want { weights: exact, states: exact, cycles: true, routing: true };
    let (batch, flips) = match forced {
        Some(trace) => engine.render_forced(&sources, job, want, &trace.decisions).unwrap(),
        None => (engine.render(&sources, job, want).unwrap(), Default::default()),
    };
    (batch, maps, flips)
}

/// In f32: every stage within 1e-4 of the trace. Tells what the device would have decided otherwise.
fn compare(device: &Device, setup: Setup, trace: &Trace, forced: bool) -> forced::Flips {
    let (got, maps, flips) = run(device, setup, CudaPrecision::F32, forced.then_some(trace));
    let check = |stage: &str, got: &[f32], want: &[f32]| {
        let (off, samples) = (relative(got, want), setup.depths.len());
        assert!(off < 1e-4, "{} views, {samples} samples: {stage}: {off}", setup.sources.len());
    };
    maps.iter().zip(&trace.maps).for_each(|(got, want)| check("map", got, want));
    for (i, want) in trace.states.iter().enumerate() {
        // The device has the start and three states a block: view, position, ray.
        let number = 1 + 3 * (i / 2) + 2 * (i % 2);
        let stage = format!("block {} {}", i / 2, ["view", "ray"][i % 2]);
        check(&stage, &got.states[number * want.len()..][..want.len()], want);
    }
    check("weights", &got.weights, &trace.weights);
    check("depth", &got.depth, &trace.depth);
    check("colour", &got.rgb, &trace.rgb);
    flips
}

/// For one to three views, samples that no view sees, rays that end within a tile.
fn agrees_in_f32(config: Config) {
    let (network, scene, device) = (random(config), small_scene(), kernels_host::device());
    for (views, samples) in [(1, 7), (3, 33), (2, 16)] {
        let depths = sampling::inverse_depth(0.3, 30.0, samples);
        let setup = setup(&network, &scene, views, &depths);
        compare(&device, setup, &Trace::new(setup).unwrap(), false);
    }
}

#[test]
fn dense_official_in_f32() {
    agrees_in_f32(official());
}

#[test]
fn dense_compact_in_f32() {
    agrees_in_f32(compact());
}

#[test]
fn shift_add_official_in_f32() {
    agrees_in_f32(official().shift_add());
}

#[test]
fn shift_add_compact_in_f32() {
    agrees_in_f32(compact().shift_add());
    agrees_in_f32(Config { axes: crate::Axes::Target, visibility: true, ..compact().shift_add() });
}

#[test]
fn medium_in_f32() {
    let medium = Config { features: FEATURES, depth: 2, ..Config::medium() };
    agrees_in_f32(medium);
    agrees_in_f32(medium.shift_add());
}

#[test]
fn linear_angular_in_f32() {
    let angular = |branch| RayAttentionKind::LinearAngular { branch };
    agrees_in_f32(Config { ray_attention: angular(false), ..official() });
    agrees_in_f32(Config { ray_attention: angular(true), ..compact() });
}

#[test]
fn odd_sizes_in_f32() {
    agrees_in_f32(odd());
    agrees_in_f32(odd_codes());
}

/// Of a hundred thousand decisions, so many may lie within rounding of their threshold.
const FLIPS: u64 = 10;

/// With the decisions of the CPU, every stage is strictly that of the CPU; the device would have made nearly all of them
/// itself.
#[test]
fn forced_decisions_in_f32() {
    for config in [official().shift_add(), compact().shift_add(), odd_codes()] {
        let (network, scene, device) = (random(config), small_scene(), kernels_host::device());
        for (views, samples) in [(3, 33), (2, 16)] {
            let depths = sampling::inverse_depth(0.3, 30.0, samples);
            let setup = setup(&network, &scene, views, &depths);
            let flips = compare(&device, setup, &Trace::new(setup).unwrap(), true);
            for ((found, all), (_, name)) in flips.into_iter().zip(Decision::ALL) {
                assert!(all > 0 && found <= 1 + FLIPS * all / 100_000, "{found} of {all} {name}");
            }
        }
    }
}

/// Decisions that are not its own are taken over by the device, and counted.
#[test]
fn other_decisions_are_taken_over_and_counted() {
    const SAMPLES: usize = 16;
    let (network, scene, device) = (random(compact().shift_add()), small_scene(), kernels_host::device());
    let depths = sampling::inverse_depth(0.3, 30.0, SAMPLES);
    let setup = setup(&network, &scene, 2, &depths);
    let trace = Trace::new(setup).unwrap();
    let (own, _, flips) = run(&device, setup, CudaPrecision::F32, Some(&trace));
    assert_eq!(flips.map(|(found, _)| found), [0; 5]);
    type Change = fn(&mut Trace);
    // All samples of the first ray, in the first block.
    let changes: [(Decision, Change); 5] = [
        (Decision::Pixel, |t| t.decisions.pixels[..2 * SAMPLES].iter_mut().for_each(|p| *p = i32::from(*p == 0))),
        (Decision::ViewQuery, |t| t.decisions.view_queries[..SAMPLES].iter_mut().for_each(|code| *code ^= 0xff)),
        (Decision::RayQuery, |t| t.decisions.ray_queries[..SAMPLES].iter_mut().for_each(|code| *code ^= 1 << 31)),
        (Decision::RayKey, |t| t.decisions.ray_keys[..SAMPLES].iter_mut().for_each(|code| *code ^= 1)),
        (Decision::Expert, |t| t.decisions.experts[..SAMPLES].iter_mut().for_each(|expert| *expert ^= 1)),
    ];
    for (decision, change) in changes {
        let mut other = trace.clone();
        change(&mut other);
        let (got, _, flips) = run(&device, setup, CudaPrecision::F32, Some(&other));
        // The blocks that follow find other states, so that there are more.
        assert!(flips[decision as usize].0 >= SAMPLES as u64, "{decision:?}: {flips:?}");
        let ray = |batch: &RayBatch, ray: usize| batch.rgb[3 * ray..][..3].to_vec();
        assert_ne!(ray(&got, 0), ray(&own, 0), "{decision:?} changes nothing");
        assert_eq!(ray(&got, 1), ray(&own, 1), "{decision:?} changes another ray");
    }
    let mut short = trace;
    short.decisions.experts.pop();
    let mut engine = CudaEngine::new(device, &network.0, &network.1, CudaPrecision::F32).unwrap();
    let source = engine.prepare(&scene.sources[0].0, &scene.sources[0].1).unwrap();
    let job = Rays { rays: setup.rays, depths: &depths, samples: SAMPLES, depth_range: setup.depth_range };
    let error = engine.render_forced(&[&source], job, Want::default(), &short.decisions).unwrap_err().to_string();
    assert!(error.contains("decisions of another device: expected"), "{error}");
}

/// In bf16, and on bytes where the network allows it: above 50 dB.
#[test]
fn trained_weights_at_every_precision() {
    let built_in = crate::builtin::NAMES.iter().map(|name| {
        let (model, params, _) = crate::builtin::load(name).unwrap();
        (model, params)
    });
    let (scene, device) = (small_scene(), kernels_host::device());
    for network in std::iter::once(small_model()).chain(built_in) {
        let depths = sampling::inverse_depth(0.3, 30.0, 48);
        let setup = setup(&network, &scene, 3, &depths);
        let trace = Trace::new(setup).unwrap();
        let psnr = |precision| {
            let (got, ..) = run(&device, setup, precision, None);
            image::psnr(image::mean_squared_error(&got.rgb, &trace.rgb), image::CHECK_FLOOR)
        };
        assert!(psnr(CudaPrecision::Bf16) > 50.0, "{} dB", psnr(CudaPrecision::Bf16));
        if fastest(&network.0.config) == CudaPrecision::Int8 {
            let (bytes, codes) = (psnr(CudaPrecision::Int8), psnr(CudaPrecision::Packed));
            assert!(bytes > 50.0, "{bytes} dB");
            assert_eq!(bytes, codes, "bytes and codes are the same numbers");
        }
    }
}

/// The order in which threads run between barriers changes nothing.
#[test]
fn barriers_are_where_they_must_be() {
    let (network, scene, device) = (random(compact().shift_add()), small_scene(), kernels_host::device());
    let depths = sampling::inverse_depth(0.3, 30.0, 40);
    let setup = setup(&network, &scene, 2, &depths);
    let trace = Trace::new(setup).unwrap();
    /// Sets the schedule of other tests again, also where this one fails.
    struct Until;
    impl Drop for Until {
        fn drop(&mut self) {
            kernels_host::set_schedule(Schedule::Forward);
        }
    }
    let _forward_again = Until;
    for schedule in [Schedule::Reverse, Schedule::Random(5)] {
        kernels_host::set_schedule(schedule);
        compare(&device, setup, &trace, false);
    }
}

/// The same rays give the same bits, however many warps share them, and wherever what is kept of them lies.
#[test]
fn warps_and_memory_make_no_difference() {
    for config in [compact(), odd_codes()] {
        let (network, scene, device) = (random(config), small_scene(), kernels_host::device());
        let depths = sampling::inverse_depth(0.3, 30.0, 180);
        let mut engine = CudaEngine::new(device, &network.0, &network.1, CudaPrecision::F32).unwrap();
        let sources: Vec<CudaSource> =
            scene.sources[..2].iter().map(|(camera, image)| engine.prepare(camera, image).unwrap()).collect();
        let sources: Vec<&CudaSource> = sources.iter().collect();
        let job = Rays { rays: &scene.rays[..2], depths: &depths, samples: 180, depth_range: scene.depth_range };
        let batches: Vec<RayBatch> = [1, 2, 5, 12]
            .into_iter()
            .map(|warps| {
                engine.tuning.warps = warps;
                engine.render(&sources, job, Want { weights: true, ..Want::default() }).unwrap()
            })
            .collect();
        assert!(
            batches.windows(2).all(|pair| pair[0] == pair[1]),
            "{:?}",
            batches.iter().map(|batch| &batch.rgb).collect::<Vec<_>>()
        );
    }
}

/// Attention on codes where one key outweighs the others by more than a float can hold: an average of nothing is no number.
#[test]
fn a_great_tau_gives_numbers() {
    let (model, mut params) = random(Config { depth: 1, ..compact().shift_add() });
    for entry in model.layout.entries().iter().filter(|entry| entry.name.ends_with(".tau")) {
        entry.slot.of_mut(&mut params).iter_mut().enumerate().for_each(|(head, tau)| *tau = [40.0, -40.0][head % 2]);
    }
    let (network, scene, device) = ((model, params), small_scene(), kernels_host::device());
    let depths = sampling::inverse_depth(0.3, 30.0, 40);
    let setup = setup(&network, &scene, 2, &depths);
    compare(&device, setup, &Trace::new(setup).unwrap(), true);
    for precision in [CudaPrecision::Bf16, CudaPrecision::Int8] {
        let (got, ..) = run(&device, setup, precision, None);
        assert!(got.rgb.iter().all(|v| v.is_finite()), "{precision:?}: {:?}", got.rgb);
    }
    for (precision, isa) in
        [Precision::F32, Precision::Int8].into_iter().flat_map(|p| Isa::available().map(move |i| (p, i)))
    {
        let cpu = Engine::with_precision(network.0.clone(), &network.1, precision).with_isa(isa);
        let sources: Vec<PreparedSource> = scene.sources[..2]
            .iter()
            .map(|(camera, image)| cpu.prepare(camera, Arc::new(image.clone())).unwrap())
            .collect();
        let sources: Vec<&PreparedSource> = sources.iter().collect();
        let (mut scratch, mut out) = (RayScratch::default(), RayOutput::default());
        for ray in &scene.rays {
            cpu.render_ray(&sources, ray, &depths, scene.depth_range, &mut scratch, &mut out);
            assert!(out.rgb.iter().chain(&out.weights).all(|v| v.is_finite()), "{precision:?} {isa:?}: {:?}", out.rgb);
        }
    }
}

/// More samples than shared memory holds beside the state, and more than it holds at all.
#[test]
fn long_rays_lie_in_global_memory() {
    let (network, scene, device) = (random(odd()), small_scene(), kernels_host::device());
    let (config, info) = (&network.0.config, device.info());
    for (samples, place) in [(480, Place::Shared), (640, Place::Split), (1300, Place::Workspace)] {
        let depths = sampling::inverse_depth(0.3, 30.0, samples);
        let launch = launch::RayLaunch::new(config, Tuning::usual(), CudaPrecision::F32, info, samples, 2).unwrap();
        assert_eq!((launch.place, launch.shared == 0), (place, place == Place::Workspace), "{samples}: {launch:?}");
        let setup = Setup { rays: &scene.rays[..2], ..setup(&network, &scene, 2, &depths) };
        compare(&device, setup, &Trace::new(setup).unwrap(), false);
    }
}
