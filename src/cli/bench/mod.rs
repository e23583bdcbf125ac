//! `shiftray bench`: rays a second on this machine.

mod on_cuda;

use super::compared::expect_numbers;
use super::device::{AnyEngine, Device};
use super::output;
use glam::{Mat4, Vec2, Vec3};
use gnt::engine::{Engine, PreparedSource, RayOutput, RayScratch};
use gnt::renderer::{Samples, Settings, render_rays, together};
use gnt::stage::Stage;
use gnt::{Config, Model, sampling};
use layers::params::SplitMix;
use scene::{Camera, Image, Ray};
use serde_json::json;
use std::sync::Arc;
use std::time::Instant;

/// Measure rays a second, seconds a frame and where they go.
///
/// The scene is made so that every sample is seen by every source view: the most work that a ray can be, and the same
/// for every machine. Figures are medians over repetitions after a warm-up.
#[derive(Debug, clap::Args)]
#[command(override_usage = "shiftray bench [OPTIONS]")]
pub struct Args {
    /// Model: a built-in name or a file [default: gnt-shiftadd]
    #[arg(long, value_name = "NAME|FILE", conflicts_with = "random", help_heading = "Model")]
    model: Option<String>,
    /// Random weights
    #[arg(long, help_heading = "Model")]
    random: Option<Sizes>,
    /// Source views; by default the model's
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=256), help_heading = "Work")]
    views: Option<u16>,
    /// Samples a ray: N (even in inverse depth), CELL:COARSE+SAMPLES (guided by a coarse grid of rays) or auto (as render
    /// takes them); by default N of the model. Guided ones are measured on whole frames
    #[arg(long, value_name = "SAMPLES", help_heading = "Work")]
    samples: Option<Samples>,
    /// Frame size that seconds a frame are stated for, and size of the sources
    #[arg(long, default_value = "504x378", value_parser = super::synth::parse_size, value_name = "WxH", help_heading = "Work")]
    size: (u32, u32),
    /// How products are computed
    #[arg(long, default_value = "auto", help_heading = "Work")]
    precision: super::device::PrecisionArg,
    /// Repetitions
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=1000), help_heading = "Work")]
    repeat: u16,
    /// Seconds of each repetition
    #[arg(long, default_value_t = 2.0, value_parser = parse_seconds, help_heading = "Work")]
    seconds: f64,
    /// Threads
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=1024), help_heading = "Machine")]
    threads: Option<u16>,
    /// Where to compute: auto, cpu, cuda or cuda:N
    #[arg(long, default_value = "auto", help_heading = "Machine")]
    device: Device,
    /// Print one JSON object instead of a summary
    #[arg(long, help_heading = "Output")]
    json: bool,
    /// Say nothing about the device
    #[arg(short, long, help_heading = "Output")]
    quiet: bool,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Sizes {
    /// Official sizes, dense
    Full,
    /// Half of the official blocks, with the parts of the embedded models, dense
    Medium,
    /// Sizes of the embedded models, dense
    Compact,
    /// Official sizes with Hamming attention, shift layers and experts
    FullShiftadd,
    /// Sizes of the embedded models with Hamming attention, shift layers and experts
    CompactShiftadd,
}

fn parse_seconds(text: &str) -> Result<f64, String> {
    let seconds = text.parse().ok().filter(|seconds| (0.001..=3600.0).contains(seconds));
    seconds.ok_or_else(|| "expected a number from 0.001 to 3600".into())
}

/// Runs the subcommand.
///
/// # Errors
/// If the model cannot be read, its colours are no numbers, or the device is not there.
pub fn run(args: Args) -> anyhow::Result<()> {
    output::be_quiet(args.quiet);
    let (model, params, name) = match args.random {
        None => gnt::builtin::load(args.model.as_deref().unwrap_or(gnt::builtin::NAMES[0]))?,
        Some(sizes) => {
            let (config, name) = match sizes {
                Sizes::Full => (Config::official(8), "random full"),
                Sizes::Medium => (Config::medium(), "random medium"),
                Sizes::Compact => (Config::compact(), "random compact"),
                Sizes::FullShiftadd => (Config::official(8).shift_add(), "random full-shiftadd"),
                Sizes::CompactShiftadd => (Config::compact().shift_add(), "random compact-shiftadd"),
            };
            let model = Model::new(config)?;
            let params = model.layout.initialise(1);
            (model, params, name.to_owned())
        }
    };
    let threads = args.threads.map_or_else(compute::parallel::available, usize::from).max(1);
    let views = args.views.map_or(model.config.views, usize::from);
    let (samples, guided) = args.samples.unwrap_or(Samples::Even(model.config.samples)).of(&model.config, 1, 0);
    let (engine, device) = args.precision.engine(args.device, threads, model, &params)?;
    let (width, height) = args.size;
    let engine = match engine {
        AnyEngine::Cpu(engine) => engine,
        AnyEngine::Cuda(engine) => {
            let work = on_cuda::Work { name, device: device.to_string(), views, samples, guided, threads };
            return on_cuda::run(*engine, &device, work, &args);
        }
    };

    let started = Instant::now();
    let mut sources: Vec<Option<anyhow::Result<PreparedSource>>> = (0..views).map(|_| None).collect();
    compute::parallel::for_each(&mut sources, threads, |v, out| {
        let camera = camera(width, height, v, views);
        *out = Some(engine.prepare(&camera, Arc::new(noise(width, height, v as u64))).map_err(Into::into));
    });
    let sources = sources.into_iter().flatten().collect::<anyhow::Result<Vec<_>>>()?;
    let sources: Vec<&PreparedSource> = sources.iter().collect();
    let seconds_features = started.elapsed().as_secs_f64();

    let target = target(width, height);
    let measure = |rays: usize| -> anyhow::Result<(usize, f64)> {
        let stride = ((f64::from(width) * f64::from(height) / rays as f64).sqrt().ceil() as u32).max(1);
        let depth_range = DEPTH_RANGE;
        let (routing, confidence) = (false, false);
        let settings =
            Settings { samples, guided, importance: 0, views, threads, stride, depth_range, routing, confidence };
        let started = Instant::now();
        let rendered = render_rays(&engine, &sources, &target, &settings, &|_| {});
        let seconds = started.elapsed().as_secs_f64();
        expect_numbers(&rendered, &format!("the benchmark's frame by {name}"))?;
        Ok((rendered.rays, seconds))
    };
    // The coarse grid is that of the whole frame, so that fewer rays would not tell what a frame takes.
    let whole = width as usize * height as usize;
    let (rays, seconds) = measure(if guided.is_some() { whole } else { 64 * threads })?;
    let wanted = if guided.is_some() {
        whole
    } else {
        (rays as f64 / seconds * args.seconds).max(64.0 * threads as f64) as usize
    };
    let mut rates: Vec<f64> = (0..args.repeat)
        .map(|_| {
            let (rays, seconds) = measure(wanted)?;
            Ok(rays as f64 / seconds)
        })
        .collect::<anyhow::Result<_>>()?;
    rates.sort_by(f64::total_cmp);
    let median = rates[rates.len() / 2];
    let (stages, multiply) = stages(&engine, &sources, &target, samples);
    let frame = f64::from(width) * f64::from(height) / median;
    let memory = peak_memory_mib();

    let placed = guided.map(|how| Samples::Guided(how, samples).to_string());
    let latencies = engine.expert_latencies().map(|s| s * 1e9);

    if args.json {
        let stages: serde_json::Map<String, serde_json::Value> =
            stages.iter().map(|(name, share)| ((*name).to_owned(), json!(share))).collect();
        let report = json!({
            "model": name, "device": device.to_string(), "instructions": engine.isa().name(), "threads": threads,
            "views": views, "samples": samples, "guided": placed, "size": [width, height],
            "rays_per_second": median, "rays_per_second_min": rates[0], "rays_per_second_max": rates[rates.len() - 1],
            "seconds_per_frame": frame, "seconds_features": seconds_features, "ray_stage_shares": stages,
            "repetitions": rates.len(), "peak_memory_mib": memory, "precision": engine.precision().name(),
            "multiply_expert_share": multiply, "expert_nanoseconds_a_row": multiply.map(|_| latencies),
        });
        return output::line(&report.to_string());
    }
    let mut text = format!(
        "{name}, {views} views, {} samples, {threads} threads, {}, {}\n\
         {median:.1} rays/s (from {:.1} to {:.1}), {frame:.1} s a frame of {width}x{height}\n\
         features of all sources, once a scene: {seconds_features:.2} s",
        placed.unwrap_or_else(|| samples.to_string()),
        engine.isa().name(),
        engine.precision().name(),
        rates[0],
        rates[rates.len() - 1]
    );
    for (name, share) in &stages {
        text += &format!("\n  {name:12} {:5.1} %", share * 100.0);
    }
    if let Some(share) = multiply {
        let [a, b] = latencies;
        text += &format!(
            "\nrouted to the multiply expert: {:.0} % of the rows; a row takes {a:.0} ns there, {b:.0} ns in the shift expert",
            share * 100.0
        );
    }
    if let Some(memory) = memory {
        text += &format!("\npeak memory {memory:.0} MiB");
    }
    output::line(&text)
}

/// Share of a ray's time that each stage takes, on one thread, and the part of the rows that went to the multiply expert
/// where there are experts.
fn stages(
    engine: &Engine,
    sources: &[&PreparedSource],
    target: &Camera,
    samples: usize,
) -> (Vec<(&'static str, f64)>, Option<f64>) {
    let z = sampling::inverse_depth(DEPTH_RANGE.0, DEPTH_RANGE.1, samples);
    let mut scratch = RayScratch::default();
    scratch.timing = Some(Default::default());
    // As many neighbours as are cast together.
    let count = together(samples);
    let (z, mut out) = (z.repeat(count), vec![RayOutput::default(); count]);
    let started = Instant::now();
    let (mut x, mut rows) = (0, [0; 2]);
    while started.elapsed().as_secs_f64() < 0.5 {
        let pixel = |i: u32| Vec2::new(((x * 7 + i) % target.width) as f32, (x * 3 % target.height) as f32);
        let rays: Vec<Ray> = (0..count as u32).map(|i| target.ray(pixel(i))).collect();
        engine.render_few(sources, &rays, &z, DEPTH_RANGE, &mut scratch, &mut out);
        out.iter().flat_map(|out| &out.routed).for_each(|part| rows = [rows[0] + part[0], rows[1] + part[1]]);
        x += 1;
    }
    let timing = scratch.timing.unwrap_or_default();
    let total: f64 = timing.iter().sum();
    let shares = Stage::ALL.iter().map(|(stage, name)| (*name, timing[*stage as usize] / total)).collect();
    let [multiplied, shifted] = rows.map(|rows| rows as f64);
    (shares, (multiplied + shifted > 0.0).then(|| multiplied / (multiplied + shifted)))
}

/// Near and far bound of the made-up scene.
const DEPTH_RANGE: (f32, f32) = (2.0, 40.0);

/// The target looks through a narrower lens from the middle of the sources, so that all of them see its samples.
fn target(width: u32, height: u32) -> Camera {
    Camera { focal: Vec2::splat(width as f32 * 1.6), ..camera(width, height, 0, 0) }
}

/// Source camera `v` of `count`, on a ring about the target, looking the same way.
fn camera(width: u32, height: u32, v: usize, count: usize) -> Camera {
    let angle = std::f32::consts::TAU * v as f32 / count.max(1) as f32;
    let radius = if count == 0 { 0.0 } else { 0.3 };
    Camera {
        width,
        height,
        focal: Vec2::splat(width as f32 * 0.8),
        center: scene::middle(width, height),
        world_from_camera: Mat4::from_translation(Vec3::new(radius * angle.cos(), radius * angle.sin(), 0.0)),
    }
}

fn noise(width: u32, height: u32, seed: u64) -> Image {
    let mut rng = SplitMix(seed);
    let data = (0..width as usize * height as usize * 3).map(|_| rng.uniform()).collect();
    Image { width, height, data }
}

/// Largest resident memory of this process so far, where the system tells.
fn peak_memory_mib() -> Option<f64> {
    Some(super::memory::peak()? as f64 / f64::from(1 << 20))
}
