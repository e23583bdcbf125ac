use super::*;
use crate::cuda::CudaPrecision;
use crate::engine::{Precision, RayOutput, RayScratch};
use crate::stage::Stage;
use crate::testing::{SmallScene, small_scene};
use crate::{FeatureConfig, Model, sampling};
use glam::Vec2;
use scene::formats::LoadOptions;
use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

const DEPTH_RANGE: (f32, f32) = (1.2, 40.0);

fn compact() -> Config {
    let features = FeatureConfig { stem_width: 4, stem_stride: 2, widths: [6, 4, 8], blocks: [1, 2, 1], channels: 5 };
    Config { features, depth: 3, ..Config::compact() }
}

fn network(config: Config) -> (Model, Vec<f32>) {
    let model = Model::new(config).unwrap();
    let params = model.layout.initialise(4).iter().map(|p| p * 1.5).collect();
    (model, params)
}

fn sources(engine: &Engine, scene: &SmallScene) -> Vec<PreparedSource> {
    let prepare = |(camera, image): &(_, Image)| engine.prepare(camera, Arc::new(image.clone())).unwrap();
    scene.sources.iter().map(prepare).collect()
}

fn settings(importance: usize, threads: usize) -> Settings {
    Settings {
        samples: 9,
        guided: None,
        importance,
        views: 3,
        threads,
        stride: 3,
        depth_range: DEPTH_RANGE,
        routing: true,
        confidence: true,
    }
}

/// Neither parts nor pixels depend on the threads; each part sees every row of the last pass once; the pixels' mean is
/// the share of all.
#[test]
fn routing_adds_up() {
    let (model, params) = network(compact().shift_add());
    let engine = Engine::new(model, &params);
    let scene = small_scene();
    let prepared = sources(&engine, &scene);
    let prepared: Vec<&PreparedSource> = prepared.iter().collect();
    let camera = scene.sources[1].0;
    let guided = Some(crate::Guided { cell: 4, coarse: 7 });
    for (importance, guided) in [(0, None), (4, None), (0, guided)] {
        let how = |threads| Settings { guided, ..settings(importance, threads) };
        let frame = |threads| render_rays(&engine, &prepared, &camera, &how(threads), &|_| {});
        let one = frame(1);
        let routing = one.routing.as_ref().unwrap();
        for threads in [2, 5] {
            let several = frame(threads);
            assert_eq!((&several.image.data, several.routing.as_ref()), (&one.image.data, Some(routing)));
        }
        let rows = ((9 + importance) * one.rays) as u64;
        assert_eq!((routing.parts.len(), routing.multiplied.len()), (6, one.rays));
        assert!(routing.parts.iter().all(|part| part[0] + part[1] == rows), "{:?}, {rows} rows", routing.parts);
        let share = routing.parts.iter().map(|part| part[0]).sum::<u64>() as f64 / (6 * rows) as f64;
        assert_eq!(routing.share(), share);
        let mean = routing.multiplied.iter().map(|m| f64::from(*m)).sum::<f64>() / one.rays as f64;
        assert!((share - mean).abs() < 1e-6, "{share} of all rows, {mean} on average");
        let (least, most) = routing.multiplied.iter().fold((1.0f32, 0.0f32), |(a, b), m| (a.min(*m), b.max(*m)));
        assert!(least < most && (0.0..=1.0).contains(&least) && most <= 1.0, "from {least} to {most}");
    }
}

/// The share of a pixel is that of its ray alone.
#[test]
fn pixels_tell_of_their_own_rays() {
    let (model, params) = network(compact().shift_add());
    let engine = Engine::with_precision(model, &params, Precision::F32);
    let scene = small_scene();
    let prepared = sources(&engine, &scene);
    let prepared: Vec<&PreparedSource> = prepared.iter().collect();
    let camera = scene.sources[2].0;
    for importance in [0, 4] {
        let frame = render_rays(&engine, &prepared, &camera, &settings(importance, 2), &|_| {});
        let coarse = sampling::inverse_depth(DEPTH_RANGE.0, DEPTH_RANGE.1, 9);
        let width = frame.image.width as usize;
        for at in [0, 1, 63, 64, frame.rays - 1] {
            let (mut scratch, mut out) = (RayScratch::default(), RayOutput::default());
            let ray = camera.ray(Vec2::new((at % width * 3) as f32, (at / width * 3) as f32));
            engine.render_ray(&prepared, &ray, &coarse, DEPTH_RANGE, &mut scratch, &mut out);
            if importance > 0 {
                let fine = sampling::refine_inverse_depth(&coarse, &out.weights, &sampling::linspace(importance));
                engine.render_ray(&prepared, &ray, &fine, DEPTH_RANGE, &mut scratch, &mut out);
            }
            let multiplied: u64 = out.routed.iter().map(|part| part[0]).sum();
            let rows = (6 * out.weights.len()) as f32;
            assert_eq!(frame.routing.as_ref().unwrap().multiplied[at], multiplied as f32 / rows, "pixel {at}");
            assert_eq!(frame.image.data[3 * at..][..3], out.rgb);
        }
    }
}

#[test]
fn routing_is_none_without_experts_or_unasked() {
    let scene = small_scene();
    for (config, routing) in [(compact(), true), (compact().shift_add(), false)] {
        let (model, params) = network(config);
        let engine = Engine::new(model, &params);
        let prepared = sources(&engine, &scene);
        let prepared: Vec<&PreparedSource> = prepared.iter().collect();
        let settings = Settings { routing, ..settings(0, 2) };
        assert_eq!(render_rays(&engine, &prepared, &scene.sources[0].0, &settings, &|_| {}).routing, None);
    }
}

fn still_life() -> (Scene, Frame) {
    let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../scenes/still-life"));
    let scene = scene::formats::load(root, &LoadOptions::default()).unwrap();
    let frame = scene::paths::frames(&scene, &scene::paths::PathKind::Test, Some(1)).unwrap().remove(0);
    (scene, frame)
}

/// The scene and its first held-out view, both small, with settings for `config`.
fn small_still_life(config: &Config) -> (Scene, Frame, Settings) {
    let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../scenes/still-life"));
    let scene = scene::formats::load(root, &LoadOptions { factor: Some(4), ..LoadOptions::default() }).unwrap();
    let mut frame = scene::paths::frames(&scene, &scene::paths::PathKind::Test, Some(1)).unwrap().remove(0);
    frame.camera = frame.camera.resized(23, 17);
    let settings = Settings { views: 3, threads: 2, ..Settings::new(&scene, config, Samples::Even(5)) };
    (scene, frame, settings)
}

/// Whenever the stop comes, there is no frame; the next one is whole.
fn check_stops(backend: impl Into<Backend>, config: &Config, asked_before: &[usize]) {
    let (scene, frame, settings) = small_still_life(config);
    let mut renderer = Renderer::new(backend, scene);
    for last in asked_before {
        let asked = AtomicUsize::new(0);
        let stop = || asked.fetch_add(1, Ordering::Relaxed) >= *last;
        assert!(renderer.render_unless(&frame, &settings, &|_| {}, &stop).unwrap().is_none(), "{last}");
    }
    let next = renderer.render_unless(&frame, &settings, &|_| {}, &|| false).unwrap().unwrap();
    let whole = renderer.render(&frame, &settings, &|_| {}).unwrap();
    assert_eq!((next.image, next.depth, next.sources), (whole.image, whole.depth, whole.sources));
}

#[test]
fn frames_are_stopped() {
    let (model, params) = network(compact().shift_add());
    let config = model.config;
    // While sources are prepared, while their surfaces are found, and before the tiles.
    check_stops(Engine::new(model, &params), &config, &[0, 1, 4, 6]);
}

#[test]
fn frames_are_stopped_in_the_emulation_of_cuda() {
    // Surface maps of whole photographs would take minutes in the emulation.
    let (model, params) = network(Config { visibility: false, depth: 1, ..compact().shift_add() });
    let engine = CudaEngine::new(kernels_host::device(), &model, &params, CudaPrecision::F32).unwrap();
    check_stops(engine, &model.config, &[0, 1, 2, 3]);
}

/// Views of another scene have the numbers of those that were prepared.
#[test]
fn another_scene_is_rendered_as_by_a_new_renderer() {
    let (model, params) = network(compact().shift_add());
    let (scene, frame, settings) = small_still_life(&model.config);
    let frame = Frame::new("free", frame.camera);
    let mut other = scene.clone();
    other.views.reverse();
    let engine = || Engine::new(model.clone(), &params);
    let mut renderer = Renderer::new(engine(), scene);
    renderer.render(&frame, &settings, &|_| {}).unwrap();
    renderer.set_scene(other.clone());
    let turned = renderer.render(&frame, &settings, &|_| {}).unwrap();
    let new = Renderer::new(engine(), other).render(&frame, &settings, &|_| {}).unwrap();
    assert_eq!((turned.prepared, turned.image, turned.sources), (3, new.image, new.sources));
}

fn check_profile(renderer: &mut Renderer, frame: &Frame, settings: &Settings) {
    let shares = renderer.profile(frame, settings).unwrap();
    assert_eq!(shares.iter().map(|(name, _)| *name).collect::<Vec<_>>(), Stage::ALL.map(|(_, name)| name));
    assert!(shares.iter().all(|(_, share)| *share > 0.0), "{shares:?}");
    assert!((shares.iter().map(|(_, share)| share).sum::<f64>() - 1.0).abs() < 1e-9, "{shares:?}");
}

/// Warm-up, profile and memory on the CPU and, in the emulation, on CUDA.
#[test]
fn renderers_tell_where_time_and_memory_go() {
    let (scene, frame) = still_life();
    for config in [compact(), compact().shift_add()] {
        let (model, params) = network(config);
        let device = kernels_host::device();
        let cuda = CudaEngine::new(device, &model, &params, CudaPrecision::F32).unwrap();
        let backends = [Backend::from(Engine::new(model, &params)), Backend::from(cuda)];
        for backend in backends {
            let settings = Settings { stride: 5, ..settings(0, 2) };
            let mut renderer = Renderer::new(backend, scene.clone());
            assert_eq!(renderer.config().depth, 3);
            let (seconds, prepared) = renderer.prepare_sources(&frame, &Settings { views: 2, ..settings }).unwrap();
            assert!(seconds > 0.0 && prepared == 2, "{prepared} sources in {seconds} s");
            let warm = renderer.warm_up(&frame, &settings).unwrap();
            assert_eq!((warm.image.width, warm.image.height, warm.prepared), (48, 36, 1));
            check_profile(&mut renderer, &frame, &settings);
            let few = Settings { stride: 100, importance: 3, ..settings };
            let rendered = renderer.render(&frame, &few, &|_| {}).unwrap();
            assert_eq!((rendered.prepared, rendered.rays), (0, 20));
            check_profile(&mut renderer, &frame, &few);
            let on_device = matches!(renderer.backend, Backend::Cuda(..));
            let memory = renderer.device_memory();
            assert_eq!(memory.is_some(), on_device);
            // Three photographs with an alpha channel lie there, at least.
            assert!(memory.is_none_or(|bytes| (3 * 480 * 360 * 16..1 << 30).contains(&bytes)), "{memory:?}");
            let bad = Settings { stride: 0, ..settings };
            assert!(renderer.profile(&frame, &bad).is_err() && renderer.warm_up(&frame, &bad).is_err());
        }
    }
}

/// A beginning of the sequence meets all parts of the image alike; an image of one pixel has no other.
#[test]
fn profiled_pixels_are_spread() {
    let pixels: Vec<(u32, u32)> = (0..400).map(|i| on_cpu::spread(i, 33, 31)).collect();
    assert!(pixels.iter().all(|(x, y)| *x < 33 && *y < 31));
    for (left, top) in [(0, 0), (11, 0), (22, 20), (0, 20), (11, 10)] {
        let inside =
            pixels.iter().filter(|(x, y)| (left..left + 11).contains(x) && (top..top + 10).contains(y)).count();
        assert!((33..=53).contains(&inside), "{inside} of 400 pixels in a part of 10.8 %");
    }
    assert!(pixels.iter().collect::<HashSet<_>>().len() > 300, "few pixels come twice");
    assert!((0..9).all(|i| on_cpu::spread(i, 1, 1) == (0, 0)));
}

/// A frame depends on what its own sources may be and on nothing that was rendered before: a photograph that is kept from it
/// has no part in its sources' surface maps either.
#[test]
fn surface_maps_are_of_a_frames_own_sources() {
    let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../scenes/still-life"));
    let scene = scene::formats::load(root, &LoadOptions::default()).unwrap();
    let (model, params) = network(Config { visibility: true, depth: 1, ..compact() });
    let renderer = || Renderer::new(Engine::new(model.clone(), &params), scene.clone());
    let mut frame = scene::paths::frames(&scene, &scene::PathKind::Test, Some(1)).unwrap().remove(0);
    frame.camera = frame.camera.resized(25, 19);
    let settings = settings(0, 2);
    let render = |renderer: &mut Renderer, frame: &Frame| renderer.render(frame, &settings, &|_| {}).unwrap();
    let mut used = renderer();
    let all = render(&mut used, &frame);
    assert_eq!(render(&mut used, &frame).image, all.image);
    // The nearest source of the nearest source is a source of its map.
    let near = scene.views[all.sources[0]].camera;
    let others: Vec<usize> = scene.source_ids.iter().copied().filter(|id| *id != all.sources[0]).collect();
    let kept_out = scene::nearest_sources(&scene, &near, &others, 1).unwrap()[0];
    let without = Frame { excluded: vec![kept_out], ..frame.clone() };
    let fresh = render(&mut renderer(), &without);
    assert!(fresh.image != all.image, "the photograph makes no difference");
    assert_eq!(render(&mut used, &without).image, fresh.image);
    assert_eq!(render(&mut used, &frame).image, all.image);
    // And the maps do make one.
    let blind = Model::new(Config { visibility: false, ..model.config }).unwrap();
    let blind = Renderer::new(Engine::new(blind, &params), scene.clone()).render(&frame, &settings, &|_| {}).unwrap();
    assert!(blind.image != all.image);
}
