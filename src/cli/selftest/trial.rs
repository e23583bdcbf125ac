//! A small comparison of a device with the processor: whether it computes anything but nonsense, in a fraction of a second.

use super::material::{Material, Network};
use super::training::{Pair, batch};
use compute::cuda::Device;
use gnt::cuda::{CudaEngine, CudaSource, Rays, Want};
use gnt::engine::{Engine, Precision, PreparedSource, RayOutput, RayScratch};
use gnt::{Config, Model};
use std::sync::Arc;

/// Rays, their samples and source views. The samples fill no tile, and some are seen by no view.
const RAYS: usize = 24;
const SAMPLES: usize = 23;
const VIEWS: usize = 3;
/// Colours may differ by so much of their size (1 at least): half of the rays by no more than the first, all together in
/// the mean square by no more than the second. Products of bytes stay far below; a wrong kernel is far above.
const MEDIAN: f32 = 0.02;
const MEAN: f32 = 0.2;
/// A training step's losses and gradients may differ by so much.
const STEP: f64 = 1e-2;

/// Renders a few rays with `engine` and with the processor's f32 engine. Gives a sentence if their colours differ too much.
///
/// # Errors
/// If the device fails.
pub fn trial_rays(engine: &mut CudaEngine, model: &Model, params: &[f32]) -> anyhow::Result<Option<String>> {
    let material = Material::new(VIEWS);
    let (rays, depths) = (material.rays(RAYS), material.depths(SAMPLES));
    let cpu = Engine::with_precision(model.clone(), params, Precision::F32);
    let prepared: Vec<PreparedSource> = material
        .sources
        .iter()
        .map(|(camera, image)| cpu.prepare(camera, Arc::new(image.clone())))
        .collect::<gnt::Result<_>>()?;
    let views: Vec<&PreparedSource> = prepared.iter().collect();
    let (mut scratch, mut out, mut want) = (RayScratch::default(), RayOutput::default(), Vec::new());
    for ray in &rays {
        cpu.render_ray(&views, ray, &depths, material.depth_range, &mut scratch, &mut out);
        want.extend(out.rgb);
    }
    let sources: Vec<CudaSource> =
        material.sources.iter().map(|(camera, image)| engine.prepare(camera, image)).collect::<gnt::Result<_>>()?;
    let sources: Vec<&CudaSource> = sources.iter().collect();
    let job = Rays { rays: &rays, depths: &depths, samples: SAMPLES, depth_range: material.depth_range };
    let got = engine.render(&sources, job, Want::default())?.rgb;
    // The next launches, of whatever size, take what they need.
    engine.release_buffers()?;
    Ok(too_far_apart(&got, &want))
}

/// A sentence, if colours of rays `[rays, 3]` differ too much.
fn too_far_apart(got: &[f32], want: &[f32]) -> Option<String> {
    let mean_square = |values: &mut dyn Iterator<Item = f32>| values.map(|v| v * v).sum::<f32>() / want.len() as f32;
    let size = mean_square(&mut want.iter().copied()).sqrt().max(1.0);
    let off = |(a, b): (&f32, &f32)| if a.is_finite() { (a - b).abs() } else { f32::INFINITY };
    let all: Vec<f32> = got.iter().zip(want).map(off).collect();
    let mut rays: Vec<f32> = all.chunks(3).map(|ray| ray.iter().copied().fold(0.0, f32::max)).collect();
    rays.sort_by(f32::total_cmp);
    let (median, mean) = (rays[rays.len() / 2] / size, mean_square(&mut all.iter().copied()).sqrt() / size);
    // Also what is not a number is too much.
    let within = median <= MEDIAN && mean <= MEAN;
    (!within).then(|| {
        format!(
            "its colours of {} rays differ from the processor's by {median:.2e} in the middle and {mean:.2e} in the mean \
             square, which may be {MEDIAN} and {MEAN}",
            rays.len()
        )
    })
}

/// Takes a training step of a small network on `device` and on the processor. Gives a sentence if they differ too much.
///
/// # Errors
/// If the device fails.
pub fn trial_step(device: &Device) -> anyhow::Result<Option<String>> {
    let material = Material::new(VIEWS);
    let network = Network::random("compact", Config::compact(), 5)?;
    let apart = Pair::new(device, &network, 9)?.step(None, &batch(&material, 5, 1), 1)?;
    // Also what is not a number is too much.
    let within = apart.relative <= STEP;
    Ok((!within).then(|| {
        let (found, worst) = (apart.relative, &apart.worst);
        format!("a training step differs from the processor's by {found:.2e} of the largest value of {worst}, which may be {STEP}")
    }))
}

#[cfg(test)]
mod tests {
    use super::super::material::networks;
    use super::*;
    use gnt::cuda::{CudaPrecision, fastest};

    /// A right device is trusted with every network, also with those whose weights are random and whose codes hang on
    /// roundings.
    #[test]
    fn no_network_makes_a_right_device_suspicious() {
        for network in networks(true).unwrap() {
            let (model, params) = (&network.model, &network.params);
            for precision in [CudaPrecision::F32, CudaPrecision::Bf16, fastest(&model.config)] {
                let mut engine = CudaEngine::new(kernels_host::device(), model, params, precision).unwrap();
                let problem = trial_rays(&mut engine, model, params).unwrap();
                assert_eq!(problem, None, "{} in {}", network.name, precision.name());
            }
        }
    }

    #[test]
    fn colours_that_differ_are_told() {
        let want: Vec<f32> = (0..30).map(|i| i as f32 / 30.0).collect();
        assert_eq!(too_far_apart(&want, &want), None);
        let with = |rays: usize, value: f32| {
            let mut got = want.clone();
            got[..3 * rays].iter_mut().for_each(|v| *v += value);
            too_far_apart(&got, &want)
        };
        // A few rays whose codes are others; all rays, a little; most rays; one that is no number.
        assert_eq!((with(3, 0.1), with(10, 0.01)), (None, None));
        assert!(with(6, 0.05).is_some() && with(2, 1.0).is_some() && with(1, f32::NAN).is_some());
        assert!(with(10, -0.05).unwrap().starts_with("its colours of 10 rays differ from the processor's by 5.00e-2"));
    }
}
