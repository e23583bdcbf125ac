//! Frames of the ray kernel against those of the CPU's engine.

use super::*;
use crate::engine::{self, Engine, PreparedSource, RayOutput, RayScratch};
use crate::renderer::{ExpertShares, Rendered, Settings, render_rays, render_rays_on_cuda, stage_cycles};
use crate::surface::SurfaceMap;
use std::sync::Arc;

/// Sources on the device and on the CPU, an engine on each, and a target.
struct Pair {
    device: Device,
    cuda: CudaEngine,
    cpu: Engine,
    scene: SmallScene,
}

impl Pair {
    fn new(config: Config) -> Self {
        let (model, params) = random(config);
        let device = kernels_host::device();
        let cuda = CudaEngine::new(device.clone(), &model, &params, CudaPrecision::F32).unwrap();
        let cpu = Engine::with_precision(model, &params, engine::Precision::F32);
        Self { device, cuda, cpu, scene: small_scene() }
    }

    fn sources(&mut self) -> Vec<CudaSource> {
        self.scene.sources.iter().map(|(camera, image)| self.cuda.prepare(camera, image).unwrap()).collect()
    }

    fn cpu_sources(&self) -> Vec<PreparedSource> {
        let prepare = |(camera, image): &(_, scene::Image)| self.cpu.prepare(camera, Arc::new(image.clone())).unwrap();
        self.scene.sources.iter().map(prepare).collect()
    }

    /// A camera beside the first source: where both coincide, the direction between them is all rounding.
    fn target(&self) -> scene::Camera {
        let camera = self.scene.sources[0].0;
        let aside = glam::Mat4::from_translation(glam::Vec3::new(0.05, -0.03, 0.02));
        scene::Camera { world_from_camera: aside * camera.world_from_camera, ..camera }
    }

    fn frame(&mut self, sources: &[CudaSource], settings: &Settings) -> crate::Result<Rendered> {
        let target = self.target();
        render_rays_on_cuda(&mut self.cuda, &sources.iter().collect::<Vec<_>>(), &target, settings, &|_| {})
    }
}

fn frame_settings(importance: usize) -> Settings {
    Settings {
        samples: 9,
        guided: None,
        importance,
        views: 3,
        threads: 2,
        stride: 3,
        depth_range: (1.2, 40.0),
        routing: true,
        confidence: true,
    }
}

/// A frame of the device is that of the CPU, with one pass, with two, and with guided samples.
#[test]
fn frames_equal_the_cpu() {
    let mut pair = Pair::new(Config { sharpening: 40, ..compact() });
    let sources = pair.sources();
    let on_cpu = pair.cpu_sources();
    let guided = Settings { guided: Some(crate::Guided { cell: 3, coarse: 11 }), ..frame_settings(0) };
    for settings in [frame_settings(0), frame_settings(5), guided] {
        let got = pair.frame(&sources, &settings).unwrap();
        let target = pair.target();
        let want = render_rays(&pair.cpu, &on_cpu.iter().collect::<Vec<_>>(), &target, &settings, &|_| {});
        assert_eq!((got.image.width, got.rays), (want.image.width, want.rays));
        let worst = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        // Samples of a second pass move with the weights of the first, which agree to 2e-5.
        let colour = worst(&got.image.data, &want.image.data);
        let one_pass = settings.importance == 0 && settings.guided.is_none();
        assert!(colour < if one_pass { 1e-4 } else { 1e-3 }, "{settings:?}: {colour}");
        assert!(worst(&got.depth, &want.depth) < 1e-3 * 40.0 && worst(&got.range, &want.range) < 1e-3 * 40.0);
        assert_eq!((got.routing, want.routing), (None, None), "there are no experts");
    }
}

/// Samples are hidden from the same views as on the CPU, where surfaces are known of none of the views, of some and of all.
#[test]
fn hidden_samples_are_those_of_the_cpu() {
    let mut pair = Pair::new(Config { axes: crate::Axes::Target, visibility: true, ..compact() });
    let (mut sources, mut on_cpu) = (pair.sources(), pair.cpu_sources());
    let mut rng = SplitMix(4);
    let mut colours = Vec::new();
    for known in 0..=sources.len() {
        if known > 0 {
            let cells = (0..9 * 7).map(|_| [0.05 + 0.6 * rng.uniform(), 0.05]).collect();
            let map = Arc::new(SurfaceMap::new((9, 7), 8, cells));
            sources[known - 1].set_surface(&pair.device, Some(&map)).unwrap();
            on_cpu[known - 1].surface = Some(map);
        }
        let settings = frame_settings(0);
        let got = pair.frame(&sources, &settings).unwrap();
        let on_cpu: Vec<_> = on_cpu.iter().collect();
        let want = render_rays(&pair.cpu, &on_cpu, &pair.target(), &settings, &|_| {});
        let off = got.image.data.iter().zip(&want.image.data).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(off < 1e-4, "{known} known: {off}");
        colours.push(want.image.data);
    }
    assert!(colours.windows(2).all(|pair| pair[0] != pair[1]), "what is known makes no difference");
}

/// What the CPU's routers do with the frame's rays, in the second pass at the depths that the device's first pass asks for:
/// on its own, the CPU would place samples a rounding apart, and a few rows would change sides.
fn routing_on_cpu(pair: &mut Pair, sources: &[&CudaSource], settings: &Settings) -> ExpertShares {
    let (target, on_cpu) = (pair.target(), pair.cpu_sources());
    let on_cpu: Vec<_> = on_cpu.iter().collect();
    let (width, height) = settings.size(&target);
    let pixel = |i: u32| glam::Vec2::new((i % width * settings.stride) as f32, (i / width * settings.stride) as f32);
    let rays: Vec<scene::Ray> = (0..width * height).map(|i| target.ray(pixel(i))).collect();
    let (near, far) = settings.depth_range;
    let coarse = sampling::inverse_depth(near, far, settings.samples);
    let job = Rays { rays: &rays, depths: &coarse, samples: settings.samples, depth_range: (near, far) };
    let first = pair.cuda.render(sources, job, Want { weights: true, ..Want::default() }).unwrap();
    let (mut scratch, mut out) = (RayScratch::default(), RayOutput::default());
    let mut routing = ExpertShares { parts: vec![[0; 2]; 6], multiplied: Vec::new() };
    for (ray, weights) in rays.iter().zip(first.weights.chunks_exact(settings.samples)) {
        let fine = sampling::refine_inverse_depth(&coarse, weights, &sampling::linspace(settings.importance));
        let depths = if settings.importance > 0 { &fine } else { &coarse };
        pair.cpu.render_ray(&on_cpu, ray, depths, (near, far), &mut scratch, &mut out);
        let multiplied: u64 = out.routed.iter().map(|part| part[0]).sum();
        routing.multiplied.push(multiplied as f32 / (6 * depths.len()) as f32);
        for (sum, part) in routing.parts.iter_mut().zip(&out.routed) {
            *sum = [sum[0] + part[0], sum[1] + part[1]];
        }
    }
    routing
}

/// Rows of a frame that may change sides, and their rays: of 30 000 choices, a few lie within rounding of a tie.
const TIES: usize = 3;

/// Rows go to the experts that the CPU sends them to, with one pass and with two; chunks do not show.
#[test]
fn routing_equals_the_cpu() {
    let mut pair = Pair::new(compact().shift_add());
    let sources = pair.sources();
    let sources: Vec<&CudaSource> = sources.iter().collect();
    let target = pair.target();
    for importance in [0, 5] {
        let settings = frame_settings(importance);
        let want = routing_on_cpu(&mut pair, &sources, &settings);
        let got = render_rays_on_cuda(&mut pair.cuda, &sources, &target, &settings, &|_| {}).unwrap().routing.unwrap();
        let other: Vec<_> = got.multiplied.iter().zip(&want.multiplied).filter(|(got, want)| got != want).collect();
        assert!(other.len() <= TIES && got.multiplied.len() == want.multiplied.len(), "{importance}: {other:?}");
        for (got, want) in got.parts.iter().zip(&want.parts) {
            assert!(got[0].abs_diff(want[0]) <= TIES as u64, "importance {importance}: {got:?}, on the CPU {want:?}");
        }
        let rows = (want.multiplied.len() * (9 + importance)) as u64;
        assert!(got.parts.iter().all(|[a, b]| a + b == rows), "{rows} rows: {:?}", got.parts);
        assert!(got.parts.iter().filter(|[a, b]| *a > 0 && *b > 0).count() > 3, "one-sided: {:?}", got.parts);
        // Cycles are counted beside, or nothing is.
        assert!(stage_cycles(&mut pair.cuda, &sources, &target, &settings).unwrap().iter().all(|cycles| *cycles > 0));
        let unasked = Settings { routing: false, ..settings };
        assert_eq!(render_rays_on_cuda(&mut pair.cuda, &sources, &target, &unasked, &|_| {}).unwrap().routing, None);
        assert_eq!(pair.cuda.stage_cycles().unwrap(), [0; 6]);

        let whole = pair.cuda.most_rays();
        pair.cuda.set_most_rays(100);
        let chunks = std::cell::RefCell::new(Vec::new());
        let push = |rays| chunks.borrow_mut().push(rays);
        let small = render_rays_on_cuda(&mut pair.cuda, &sources, &target, &settings, &push).unwrap();
        pair.cuda.set_most_rays(whole);
        assert_eq!(chunks.into_inner(), [100, 100, 100, 52]);
        assert_eq!(small.routing.unwrap(), got, "importance {importance}, in chunks");
    }
}

/// A target that is a source: samples lie on the borders of its image, where rounding decides whether they are seen. The
/// second frame finds what the first has left in the workspace and must not read it.
#[test]
fn borders_are_seen_the_same_twice() {
    let mut pair = Pair::new(compact());
    let sources = pair.sources();
    let sources: Vec<&CudaSource> = sources.iter().collect();
    let target = pair.scene.sources[0].0;
    let mut frame =
        || render_rays_on_cuda(&mut pair.cuda, &sources, &target, &frame_settings(0), &|_| {}).unwrap().image.data;
    let first = frame();
    assert_eq!(frame(), first);
}

/// Takes all memory but so many bytes.
fn leave(device: &Device, bytes: u64) -> Buffer<u8> {
    device.zeros((device.0.free_memory().unwrap() - bytes) as usize).unwrap()
}

/// Where memory is short, chunks and blocks become smaller and the frame stays the same; where it is too short for
/// anything, that is told.
#[test]
fn short_memory_makes_smaller_chunks() {
    let mut pair = Pair::new(compact());
    let sources = pair.sources();
    let whole = pair.frame(&sources, &frame_settings(0)).unwrap();
    pair.cuda.release_buffers().unwrap();
    let held = leave(&pair.device, 96 << 10);
    let small = pair.frame(&sources, &frame_settings(0)).unwrap();
    assert_eq!(small.image.data, whole.image.data);
    drop(held);
    pair.cuda.release_buffers().unwrap();
    let held = leave(&pair.device, 4 << 10);
    let error = pair.frame(&sources, &frame_settings(0)).unwrap_err().to_string();
    assert!(error.starts_with("device memory: "), "{error}");
    drop(held);
    assert_eq!(pair.frame(&sources, &frame_settings(0)).unwrap().image.data, whole.image.data);
}

/// What the kernels cannot do is an error, not a wrong picture.
#[test]
fn bad_input_is_told() {
    let unsupported = |config: Config| {
        let (model, params) = random(config);
        CudaEngine::new(kernels_host::device(), &model, &params, CudaPrecision::F32).unwrap_err().to_string()
    };
    let (model, params) = random(compact());
    let error = CudaEngine::new(kernels_host::device(), &model, &params, CudaPrecision::Int8).unwrap_err().to_string();
    assert!(error.contains("precision int8: expected a network whose linear layers"), "{error}");
    assert!(unsupported(Config { heads: 8, ..compact() }).contains("heads of 8 or a multiple of 16 channels, found 4"));
    let mut pair = Pair::new(compact());
    let sources = pair.sources();
    let sources: Vec<&CudaSource> = sources.iter().collect();
    let rays = &pair.scene.rays[..2];
    let job = |depths, samples| Rays { rays, depths, samples, depth_range: (1.0, 9.0) };
    let z = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
    for (sources, job) in [(&[][..], job(&z[..2], 2)), (&sources, job(&z, 2)), (&sources, job(&z[..1], 1))] {
        assert!(pair.cuda.render(sources, job, Want::default()).is_err());
    }
    assert_eq!(pair.cuda.render(&sources, job(&z, 3), Want::default()).unwrap().rgb.len(), 6);
}

/// A block that takes one ray after the other forgets the last one.
#[test]
fn rays_do_not_remember_each_other() {
    let mut pair = Pair::new(compact());
    let sources = pair.sources();
    let sources: Vec<&CudaSource> = sources.iter().collect();
    let rays: Vec<scene::Ray> = (0..24).flat_map(|_| pair.scene.rays.clone()).collect();
    let depths = sampling::inverse_depth(0.3, 30.0, 9);
    let job = Rays { rays: &rays, depths: &depths, samples: 9, depth_range: pair.scene.depth_range };
    let got = pair.cuda.render(&sources, job, Want::default()).unwrap();
    let count = 3 * pair.scene.rays.len();
    for copy in got.rgb.chunks_exact(count) {
        assert_eq!(copy, &got.rgb[..count]);
    }
}
