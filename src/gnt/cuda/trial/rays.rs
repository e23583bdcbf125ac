//! A few rays on a device and on the processor: whether the device computes anything but nonsense, in a fraction of a
//! second.

use super::Material;
use crate::cuda::{CudaEngine, CudaSource, Rays, Want};
use crate::engine::{Engine, Precision, PreparedSource, RayOutput, RayScratch};
use crate::{Model, Result};
use scene::{Camera, Image};
use std::sync::Arc;

/// Rays, their samples and source views. The samples fill no tile, and some are seen by no view.
const RAYS: usize = 24;
const SAMPLES: usize = 23;
const VIEWS: usize = 3;
/// Colours may differ by so much of their size (1 at least): half of the rays by no more than the first, all together in
/// the mean square by no more than the second. Products of bytes stay far below; a wrong kernel is far above.
const ALLOWED: Apart = Apart { median: 0.02, mean: 0.2 };
/// Or by so many times what weights of sixteen bits change: codes of random weights hang on roundings.
const TIMES: f32 = 4.0;

/// How far colours are apart, by their size.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Apart {
    /// Of the rays, that in the middle.
    median: f32,
    /// Root of the mean square.
    mean: f32,
}

impl Apart {
    /// Of two sets of colours of rays, `[rays, 3]`.
    fn new(got: &[f32], want: &[f32]) -> Self {
        let root = |squares: f32| (squares / want.len() as f32).sqrt();
        let size = root(want.iter().map(|v| v * v).sum()).max(1.0);
        let off = |(a, b): (&f32, &f32)| if a.is_finite() { (a - b).abs() } else { f32::INFINITY };
        let all: Vec<f32> = got.iter().zip(want).map(off).collect();
        let mut rays: Vec<f32> = all.chunks(3).map(|ray| ray.iter().copied().fold(0.0, f32::max)).collect();
        rays.sort_by(f32::total_cmp);
        Self { median: rays[rays.len() / 2] / size, mean: root(all.iter().map(|v| v * v).sum()) / size }
    }

    /// A sentence about colours of which the processor's own change by `rounding`, if they are too far apart.
    fn problem(self, rounding: Self) -> Option<String> {
        let median = ALLOWED.median.max(TIMES * rounding.median);
        let mean = ALLOWED.mean.max(TIMES * rounding.mean);
        // Also what is not a number is too much.
        let within = self.median <= median && self.mean <= mean;
        (!within).then(|| {
            format!(
                "its colours of {RAYS} rays differ from the processor's by {:.1e} in the middle and {:.1e} in the mean \
                 square, which may be {median:.1e} and {mean:.1e}",
                self.median, self.mean
            )
        })
    }
}

/// Renders a few rays with `engine` and with the processor's f32 engine. Gives a sentence if their colours differ too much.
///
/// # Errors
/// If the device fails.
pub fn trial_rays(engine: &mut CudaEngine, model: &Model, params: &[f32]) -> Result<Option<String>> {
    let material = Material::new(VIEWS);
    let (rays, depths) = (material.rays(RAYS), material.depths(SAMPLES));
    let on_cpu = |params: &[f32]| -> Result<Vec<f32>> {
        let cpu = Engine::with_precision(model.clone(), params, Precision::F32);
        let prepare = |(camera, image): &(Camera, Image)| cpu.prepare(camera, Arc::new(image.clone()));
        let prepared: Vec<PreparedSource> = material.sources.iter().map(prepare).collect::<Result<_>>()?;
        let views: Vec<&PreparedSource> = prepared.iter().collect();
        let (mut scratch, mut out, mut colours) = (RayScratch::default(), RayOutput::default(), Vec::new());
        for ray in &rays {
            cpu.render_ray(&views, ray, &depths, material.depth_range, &mut scratch, &mut out);
            colours.extend(out.rgb);
        }
        Ok(colours)
    };
    let want = on_cpu(params)?;
    let sources: Vec<CudaSource> =
        material.sources.iter().map(|(camera, image)| engine.prepare(camera, image)).collect::<Result<_>>()?;
    let sources: Vec<&CudaSource> = sources.iter().collect();
    let job = Rays { rays: &rays, depths: &depths, samples: SAMPLES, depth_range: material.depth_range };
    let got = engine.render(&sources, job, Want::default())?.rgb;
    // The next launches, of whatever size, take what they need.
    engine.release_buffers()?;
    // The upper half of a number is one of bf16.
    let rounded: Vec<f32> = params.iter().map(|p| f32::from_bits(p.to_bits() & 0xffff_0000)).collect();
    Ok(Apart::new(&got, &want).problem(Apart::new(&on_cpu(&rounded)?, &want)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_that_differ_are_told() {
        let want: Vec<f32> = (0..30).map(|i| i as f32 / 30.0).collect();
        let none = Apart::new(&want, &want);
        assert_eq!(none, Apart { median: 0.0, mean: 0.0 });
        let with = |rays: usize, value: f32| {
            let mut got = want.clone();
            got[..3 * rays].iter_mut().for_each(|v| *v += value);
            Apart::new(&got, &want)
        };
        // A few rays whose codes are others; all rays, a little; most rays; one that is no number.
        assert_eq!((with(3, 0.1).problem(none), with(10, 0.01).problem(none)), (None, None));
        assert!(with(6, 0.05).problem(none).is_some() && with(2, 1.0).problem(none).is_some());
        assert!(with(1, f32::NAN).problem(with(10, 1.0)).is_some());
        let problem = with(10, -0.05).problem(none).unwrap();
        assert!(
            problem.contains("by 5.0e-2 in the middle and 5.0e-2 in the mean square, which may be 2.0e-2"),
            "{problem}"
        );
        // What roundings change is no fault of the device.
        assert_eq!(with(10, -0.05).problem(with(10, 0.03)), None);
    }
}
