//! A CUDA device stage by stage against what the training path finds on the processor.

use super::difference::Difference;
use compute::cuda::Device;
use gnt::Result;
use gnt::cuda::{CudaEngine, CudaPrecision, CudaSource, RayBatch, Rays, Want};
use gnt::trace::{Decision, Setup, Trace};
use scene::image;

/// Decisions of a kind that the device would have made otherwise.
#[derive(Clone, Debug, PartialEq)]
pub struct Flips {
    /// What was decided, such as `experts`.
    pub what: &'static str,
    /// How many otherwise.
    pub found: u64,
    /// Of how many.
    pub all: u64,
}

/// Of this part of the decisions, values may lie within rounding of their thresholds; on a device that computes in f32,
/// far fewer do.
const WITHIN_ROUNDING: f64 = 2e-4;

impl Flips {
    /// How many may be otherwise: one in any case.
    pub fn allowed(&self) -> f64 {
        1.0 + WITHIN_ROUNDING * self.all as f64
    }
}

/// Compares the device in f32 with `trace`, stage by stage: maps, states, weights, depths, colours. It takes over what the
/// processor decided, so that a difference is one of arithmetic; what it would have decided otherwise is told apart.
///
/// # Errors
/// If the device cannot run the network.
pub fn compare(device: &Device, setup: Setup, trace: &Trace) -> Result<(Vec<Difference>, Vec<Flips>)> {
    let Setup { model, params, rays, depths, depth_range, .. } = setup;
    let mut engine = CudaEngine::new(device.clone(), model, params, CudaPrecision::F32)?;
    let mut sources = prepare(&mut engine, setup)?;
    let mut differences = Vec::new();
    let mut keys = Flips { what: "bits of view keys", found: 0, all: 0 };
    for (i, (source, (map, codes))) in sources.iter_mut().zip(trace.maps.iter().zip(&trace.key_codes)).enumerate() {
        differences.push(Difference::new(format!("source {i}"), &source.read_map()?, map, 1));
        let own = source.read_keys()?;
        keys.found += own.iter().zip(codes).map(|(a, b)| u64::from((a ^ b).count_ones())).sum::<u64>();
        keys.all += 32 * own.len() as u64;
        source.write_keys(codes)?;
    }
    let sources: Vec<&CudaSource> = sources.iter().collect();
    let job = Rays { rays, depths, samples: depths.len(), depth_range };
    let want = Want { weights: true, states: true, cycles: true, routing: true };
    let (got, flips) = if trace.decisions.is_empty() {
        (engine.render(&sources, job, want)?, Default::default())
    } else {
        engine.render_forced(&sources, job, want, &trace.decisions)?
    };
    let stage = rays.len() * depths.len() * model.config.width;
    for (i, want) in trace.states.iter().enumerate() {
        // The device has the start and three states a block: view, position, ray.
        let number = 1 + 3 * (i / 2) + 2 * (i % 2);
        let name = format!("block {} {}", i / 2, ["view", "ray"][i % 2]);
        differences.push(Difference::new(name, &got.states[number * stage..][..stage], want, rays.len()));
    }
    differences.push(Difference::new("weights", &got.weights, &trace.weights, rays.len()));
    differences.push(Difference::new("depth", &got.depth, &trace.depth, rays.len()));
    differences.push(Difference::new("colour", &got.rgb, &trace.rgb, rays.len()));
    let named = flips.into_iter().zip(Decision::ALL).map(|((found, all), (_, what))| Flips { what, found, all });
    Ok((differences, named.chain([keys]).filter(|flips| flips.all > 0).collect()))
}

/// PSNR of the device's colours at a precision, with its own decisions, against those of `trace`.
///
/// # Errors
/// If the device cannot run the network.
pub fn psnr(device: &Device, setup: Setup, trace: &Trace, precision: CudaPrecision) -> Result<f64> {
    let Setup { model, params, rays, depths, depth_range, .. } = setup;
    let mut engine = CudaEngine::new(device.clone(), model, params, precision)?;
    let sources = prepare(&mut engine, setup)?;
    let sources: Vec<&CudaSource> = sources.iter().collect();
    let job = Rays { rays, depths, samples: depths.len(), depth_range };
    let got: RayBatch = engine.render(&sources, job, Want { cycles: true, routing: true, ..Want::default() })?;
    Ok(image::psnr(image::mean_squared_error(&got.rgb, &trace.rgb), image::CHECK_FLOOR))
}

fn prepare(engine: &mut CudaEngine, setup: Setup) -> Result<Vec<CudaSource>> {
    setup.sources.iter().map(|(camera, image)| engine.prepare(camera, image)).collect()
}
