//! A CUDA device against the processor: stages, frames, and what must not change anything.

use super::Scope;
use super::difference::{Difference, WITHOUT_FLIPS, judge, judge_strictly};
use super::material::{Material, Network, VIEWS, networks};
use super::report::{Bound, Report};
use super::stages::{Flips, compare, psnr};
use compute::cuda::Device;
use glam::Vec2;
use gnt::cuda::{self, CudaEngine, CudaPrecision, CudaSource, RayBatch, Rays, Want};
use gnt::engine::{self, Engine, PreparedSource};
use gnt::renderer::{Settings, render_rays, render_rays_on_cuda};
use gnt::trace::{Setup, Trace};
use scene::{Camera, Ray};
use std::sync::Arc;

/// Images in other precisions have at least so many dB, where weights are trained.
const IMAGE_DB: f64 = 50.0;
/// Samples of a second pass move with the weights of the first.
const IMPORTANCE: f64 = 1e-3;

/// Runs all checks.
///
/// # Errors
/// If a network in this program is broken; what the device fails with is a row of the report.
pub fn run(device: &Device, scope: Scope, report: &mut Report) -> anyhow::Result<()> {
    let material = Material::new(VIEWS);
    for network in networks(scope.quick)? {
        // Rays, samples, views.
        let cases: &[(usize, usize, usize)] = match scope.quick {
            true => &[(5, 7, 1), (9, 33, 3)],
            false => &[(37, 7, 1), (37, 48, 3), (23, 192, VIEWS)],
        };
        for &(rays, samples, views) in cases {
            let check = format!("{rays} rays, {samples} samples, {views} views");
            let name = &network.name;
            report.attempt(name, &check, |report| stages(device, &network, &material, (rays, samples, views), report));
        }
    }
    let frames = if scope.quick { &gnt::builtin::NAMES[1..] } else { gnt::builtin::NAMES };
    for name in frames {
        let network = Network::built_in(name)?;
        report.attempt(name, "frames", |report| on_frames(device, &network, &material, scope, report));
    }
    Ok(())
}

/// Precisions that a network has beside f32.
fn precisions(network: &Network) -> &'static [CudaPrecision] {
    match cuda::fastest(&network.model.config) {
        CudaPrecision::Int8 => &[CudaPrecision::Bf16, CudaPrecision::Int8, CudaPrecision::Packed],
        _ => &[CudaPrecision::Bf16],
    }
}

/// Every stage in f32 with the processor's decisions, and the colours in the other precisions.
fn stages(
    device: &Device,
    network: &Network,
    material: &Material,
    (rays, samples, views): (usize, usize, usize),
    report: &mut Report,
) -> gnt::Result<()> {
    let (rays, depths) = (material.rays(rays), material.depths(samples));
    let setup = Setup {
        model: &network.model,
        params: &network.params,
        sources: &material.sources[..views],
        rays: &rays,
        depths: &depths,
        depth_range: material.depth_range,
    };
    let trace = Trace::new(setup)?;
    let case = format!("{} rays, {samples} samples, {views} views", rays.len());
    let (differences, flips) = compare(device, setup, &trace)?;
    judge_strictly(network, &format!("f32, {case}"), &differences, report);
    judge_flips(network, &format!("f32, {case}, own decisions"), &flips, report);
    for precision in precisions(network) {
        let psnr = psnr(device, setup, &trace, *precision)?;
        let (bound, note) = match network.trained {
            true => (Bound::AtLeast(IMAGE_DB), "dB of the colours"),
            false => (Bound::None, "dB; colours of random weights are no image"),
        };
        report.add(&network.name, format!("{}, {case}", precision.name()), psnr, bound, note);
    }
    Ok(())
}

/// Judges how much the device would have decided otherwise.
pub fn judge_flips(network: &Network, check: &str, flips: &[Flips], report: &mut Report) {
    let share = |flips: &&Flips| flips.found as f64 / flips.allowed();
    let Some(worst) = flips.iter().max_by(|a, b| share(a).total_cmp(&share(b))) else { return };
    let all: Vec<String> = flips.iter().map(|f| format!("{} of {} {}", f.found, f.all, f.what)).collect();
    let note = format!("otherwise than the processor: {}", all.join(", "));
    report.add(&network.name, check, worst.found as f64, Bound::AtMost(worst.allowed()), note);
}

/// What makes a frame: the engine of a device with its sources.
struct Renderer<'a> {
    engine: CudaEngine,
    sources: Vec<CudaSource>,
    network: &'a Network,
    material: &'a Material,
}

impl<'a> Renderer<'a> {
    fn new(
        device: &Device,
        network: &'a Network,
        material: &'a Material,
        precision: CudaPrecision,
    ) -> gnt::Result<Self> {
        let mut engine = CudaEngine::new(device.clone(), &network.model, &network.params, precision)?;
        let views = material.sources.iter().take(3);
        let sources = views.map(|(camera, image)| engine.prepare(camera, image)).collect::<gnt::Result<_>>()?;
        Ok(Self { engine, sources, network, material })
    }

    /// All rays of a camera in one launch.
    fn at_once(&mut self, camera: &Camera, order: &[usize], samples: usize) -> gnt::Result<RayBatch> {
        let pixels = (0..camera.height).flat_map(|y| (0..camera.width).map(move |x| Vec2::new(x as f32, y as f32)));
        let rays: Vec<Ray> = pixels.map(|pixel| camera.ray(pixel)).collect();
        let depths = self.material.depths(samples);
        let sources: Vec<&CudaSource> = order.iter().map(|i| &self.sources[*i]).collect();
        let rays = Rays { rays: &rays, depths: &depths, samples, depth_range: self.material.depth_range };
        self.engine.render(&sources, rays, Want { weights: true, ..Want::default() })
    }

    fn frame(&mut self, camera: &Camera, settings: &Settings) -> gnt::Result<Vec<f32>> {
        let sources: Vec<&CudaSource> = self.sources.iter().collect();
        Ok(render_rays_on_cuda(&mut self.engine, &sources, camera, settings, &|_| {})?.image.data)
    }

    fn name(&self) -> &str {
        &self.network.name
    }
}

fn on_frames(
    device: &Device,
    network: &Network,
    material: &Material,
    scope: Scope,
    report: &mut Report,
) -> gnt::Result<()> {
    let samples = if scope.quick { 5 } else { 24 };
    let small = if scope.quick { material.target.resized(13, 9) } else { material.target };
    for precision in [CudaPrecision::F32].iter().chain(precisions(network)) {
        let mut renderer = Renderer::new(device, network, material, *precision)?;
        // As many samples as a block has warps for: sums must not depend on which warp is done first.
        let many = if scope.quick { samples } else { samples.max(180) };
        repeats(&mut renderer, &material.target.resized(3, 2), many, *precision, report)?;
        repeats(&mut renderer, &small, samples, *precision, report)?;
    }
    let mut renderer = Renderer::new(device, network, material, CudaPrecision::F32)?;
    order(&mut renderer, &small, samples, report)?;
    against_the_cpu(&mut renderer, &small, samples, report)?;
    // More rays than a launch takes, so that both streams are at work.
    let large = if scope.quick { small } else { material.target.resized(257, 131) };
    chunks(&mut renderer, &large, 5, report)?;
    if scope.starve {
        starved(device, &mut renderer, &small, samples, report)?;
    }
    Ok(())
}

fn settings(material: &Material, samples: usize, importance: usize) -> Settings {
    let threads = compute::parallel::available();
    Settings {
        samples,
        guided: None,
        importance,
        views: 3,
        threads,
        stride: 1,
        depth_range: material.depth_range,
        routing: false,
        confidence: false,
    }
}

/// The same rays twice: a difference would be a race.
fn repeats(
    renderer: &mut Renderer,
    camera: &Camera,
    samples: usize,
    precision: CudaPrecision,
    report: &mut Report,
) -> gnt::Result<()> {
    let first = renderer.at_once(camera, &[0, 1, 2], samples)?;
    let second = renderer.at_once(camera, &[0, 1, 2], samples)?;
    let unlike = unlike(&first.rgb, &second.rgb) + unlike(&first.depth, &second.depth);
    let check = format!("{}, the same rays twice", precision.name());
    report.add(renderer.name(), check, unlike, Bound::AtMost(0.0), "values that differ");
    Ok(())
}

/// Sources in another order.
fn order(renderer: &mut Renderer, camera: &Camera, samples: usize, report: &mut Report) -> gnt::Result<()> {
    let first = renderer.at_once(camera, &[0, 1, 2], samples)?;
    let other = renderer.at_once(camera, &[2, 0, 1], samples)?;
    let rays = first.depth.len();
    let differences = [
        Difference::new("colour", &other.rgb, &first.rgb, rays),
        Difference::new("depth", &other.depth, &first.depth, rays),
        Difference::new("weights", &other.weights, &first.weights, rays),
    ];
    judge(renderer.network, "f32, sources in another order", samples, &differences, report);
    Ok(())
}

/// Frames with one and with two passes.
fn against_the_cpu(renderer: &mut Renderer, camera: &Camera, samples: usize, report: &mut Report) -> gnt::Result<()> {
    let (network, material) = (renderer.network, renderer.material);
    let cpu = Engine::with_precision(network.model.clone(), &network.params, engine::Precision::F32);
    let sources: Vec<PreparedSource> = material.sources[..3]
        .iter()
        .map(|(camera, image)| cpu.prepare(camera, Arc::new(image.clone())))
        .collect::<gnt::Result<_>>()?;
    let sources: Vec<&PreparedSource> = sources.iter().collect();
    for importance in [0, samples / 2] {
        let settings = settings(material, samples, importance);
        let want = render_rays(&cpu, &sources, camera, &settings, &|_| {}).image.data;
        let got = renderer.frame(camera, &settings)?;
        let difference = Difference::new("colour", &got, &want, want.len() / 3);
        if importance == 0 {
            judge(network, "f32, a frame", samples, std::slice::from_ref(&difference), report);
            continue;
        }
        let check = "f32, a frame with a second pass";
        let (found, bound, note) = match network.has_codes() {
            false => (f64::from(difference.relative()), Bound::AtMost(IMPORTANCE), String::new()),
            true => {
                let share = f64::from(difference.share_within(IMPORTANCE as f32));
                let note = format!("of the rays within {IMPORTANCE:e}; worst: {:.1e}", difference.relative());
                (share, Bound::AtLeast(WITHOUT_FLIPS), note)
            }
        };
        report.add(renderer.name(), check, found, bound, note);
    }
    Ok(())
}

/// A frame by chunks, one launch for all rays, and small launches give the same bits.
fn chunks(renderer: &mut Renderer, camera: &Camera, samples: usize, report: &mut Report) -> gnt::Result<()> {
    let whole = renderer.at_once(camera, &[0, 1, 2], samples)?;
    let frame = renderer.frame(camera, &settings(renderer.material, samples, 0))?;
    let (name, size) = (renderer.name(), format!("{}x{}", camera.width, camera.height));
    let note = "values that differ from one launch";
    report.add(name, format!("f32, frame of {size} by chunks"), unlike(&frame, &whole.rgb), Bound::AtMost(0.0), note);
    // A strip of the frame: the camera moves down by its first rows.
    let rows = (camera.height / 3).max(1);
    let strip = Camera { height: rows, center: camera.center - Vec2::new(0.0, rows as f32), ..*camera };
    let part = renderer.at_once(&strip, &[0, 1, 2], samples)?;
    let first = (rows * camera.width * 3) as usize;
    // The pixel's coordinates are rounded otherwise, so not to the bit.
    let want = &whole.rgb[first..][..part.rgb.len()];
    let difference = Difference::new("colour", &part.rgb, want, part.depth.len());
    judge(renderer.network, &format!("f32, {rows} rows of {size} alone"), samples, &[difference], report);
    Ok(())
}

/// With next to no memory left, chunks become smaller and the frame stays the same.
fn starved(
    device: &Device,
    renderer: &mut Renderer,
    camera: &Camera,
    samples: usize,
    report: &mut Report,
) -> gnt::Result<()> {
    const LEFT: u64 = 96 << 10;
    let settings = settings(renderer.material, samples, 0);
    let whole = renderer.frame(camera, &settings)?;
    renderer.engine.release_buffers()?;
    let held = device.zeros::<u8>((device.0.free_memory()?.saturating_sub(LEFT)) as usize)?;
    let frame = renderer.frame(camera, &settings);
    drop(held);
    let note = format!("values that differ; {} KiB left", LEFT >> 10);
    report.add(renderer.name(), "f32, short of memory", unlike(&frame?, &whole), Bound::AtMost(0.0), note);
    Ok(())
}

/// Number of values that are not the same to the bit, or not finite.
fn unlike(a: &[f32], b: &[f32]) -> f64 {
    assert_eq!(a.len(), b.len(), "values of two renderings");
    a.iter().zip(b).filter(|(a, b)| a.to_bits() != b.to_bits() || !a.is_finite()).count() as f64
}
