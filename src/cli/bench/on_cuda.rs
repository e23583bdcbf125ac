//! The benchmark on a CUDA device: whole frames, since a chunk of them does not fill one.

use super::{Args, DEPTH_RANGE, camera, noise, peak_memory_mib, target};
use crate::cli::compared::expect_numbers;
use crate::cli::device::Chosen;
use crate::cli::output;
use gnt::Guided;
use gnt::cuda::{CudaEngine, CudaSource};

use gnt::renderer::{Samples, Settings, render_rays_on_cuda, stage_cycles};
use gnt::stage::Stage;
use serde_json::json;
use std::time::Instant;

/// What a measurement on a CUDA device runs.
pub struct Work {
    /// The model's name.
    pub name: String,
    /// The device's name.
    pub device: String,
    /// Source views.
    pub views: usize,
    /// Samples a ray.
    pub samples: usize,
    /// How they are guided; none where they are spread evenly.
    pub guided: Option<Guided>,
    /// Threads of the host.
    pub threads: usize,
}

/// Renders whole frames: two to warm up, then `--repeat` repetitions of as many as fill `--seconds`; every frame's time
/// counts for the median and the 95th percentile.
///
/// # Errors
/// If the device fails.
pub fn run(mut engine: CudaEngine, device: &Chosen, work: Work, args: &Args) -> anyhow::Result<()> {
    let (width, height) = args.size;
    let images: Vec<_> =
        (0..work.views).map(|v| (camera(width, height, v, work.views), noise(width, height, v as u64))).collect();
    // The first source makes room for all.
    engine.prepare(&images[0].0, &images[0].1)?;
    let started = Instant::now();
    let sources: Vec<CudaSource> =
        images.iter().map(|(camera, image)| engine.prepare(camera, image)).collect::<Result<_, _>>()?;
    let seconds_features = started.elapsed().as_secs_f64();
    let sources: Vec<&CudaSource> = sources.iter().collect();
    let settings = Settings {
        samples: work.samples,
        guided: work.guided,
        importance: 0,
        views: work.views,
        threads: work.threads,
        stride: 1,
        depth_range: DEPTH_RANGE,
        routing: false,
        confidence: false,
    };
    let target = target(width, height);
    let frame = |engine: &mut CudaEngine| -> anyhow::Result<f64> {
        let started = Instant::now();
        let rendered = render_rays_on_cuda(engine, &sources, &target, &settings, &|_| {})?;
        let seconds = started.elapsed().as_secs_f64();
        expect_numbers(&rendered, &format!("the benchmark's frame by {}", work.name))?;
        Ok(seconds)
    };
    frame(&mut engine)?;
    let once = frame(&mut engine)?;
    let frames = usize::from(args.repeat) * (args.seconds / once).ceil().clamp(1.0, 1000.0) as usize;
    let energy = eval::power::Meter::gpu(number(device)).start();
    let mut seconds: Vec<f64> = (0..frames).map(|_| frame(&mut engine)).collect::<anyhow::Result<_>>()?;
    let joules = energy.joules().map(|j| j / frames as f64);
    let total: f64 = seconds.iter().sum();
    let used = match device {
        Chosen::Cuda(_, device) => (device.info().memory - device.0.free_memory()?) as f64 / f64::from(1 << 20),
        Chosen::Cpu => 0.0,
    };
    let cycles = stage_cycles(&mut engine, &sources, &target, &settings)?;
    let all = cycles.iter().sum::<u64>().max(1) as f64;
    let shares = Stage::ALL.map(|(stage, name)| (name, cycles[stage as usize] as f64 / all));
    let routed =
        render_rays_on_cuda(&mut engine, &sources, &target, &Settings { routing: true, ..settings }, &|_| {})?.routing;
    let multiply = routed.map(|routing| routing.share());
    let rays = f64::from(width) * f64::from(height);

    seconds.sort_by(f64::total_cmp);
    let at = |part: f64| seconds[((seconds.len() - 1) as f64 * part).round() as usize];
    let (median, p95) = (at(0.5), at(0.95));
    let meter = energy.describe();
    let placed = work.guided.map(|how| Samples::Guided(how, work.samples).to_string());
    if args.json {
        let stages: serde_json::Map<String, serde_json::Value> =
            shares.iter().map(|(name, share)| ((*name).to_owned(), json!(share))).collect();
        let report = json!({
            "model": work.name, "device": work.device, "precision": engine.precision().name(),
            "views": work.views, "samples": work.samples, "guided": placed, "size": [width, height], "frames": frames,
            "seconds_per_frame": median, "seconds_per_frame_p95": p95, "seconds_per_frame_min": seconds[0],
            "rays_per_second": rays / median, "seconds_features": seconds_features, "ray_stage_shares": stages,
            "joules_per_frame": joules, "watts": joules.map(|j| j * frames as f64 / total), "meter": meter,
            "device_memory_mib": used, "peak_memory_mib": peak_memory_mib(), "multiply_expert_share": multiply,
            "most_warps": engine.tuning().warps, "most_registers": engine.tuning().registers,
        });
        return output::line(&report.to_string());
    }
    let mut text = format!(
        "{}, {} views, {} samples, {}, {}\n\
         {median:.4} s a frame of {width}x{height} (95 % below {p95:.4}), {:.0} rays/s\n\
         features of all sources, once a scene: {seconds_features:.3} s",
        work.name,
        work.views,
        placed.unwrap_or_else(|| work.samples.to_string()),
        work.device,
        engine.precision().name(),
        rays / median
    );
    for (name, share) in shares {
        text += &format!("\n  {name:12} {:5.1} %", share * 100.0);
    }
    if let Some(share) = multiply {
        text += &format!("\nrouted to the multiply expert: {:.0} % of the rows", share * 100.0);
    }
    match joules {
        Some(joules) => text += &format!("\n{joules:.1} J a frame, {:.0} W ({meter})", joules * frames as f64 / total),
        None => text += &format!("\nenergy: {meter}"),
    }
    text += &format!("\ndevice memory in use {used:.0} MiB");
    output::line(&text)
}

fn number(device: &Chosen) -> u32 {
    match device {
        Chosen::Cuda(number, _) => *number,
        Chosen::Cpu => 0,
    }
}
