//! What runs a classifier: the packed engine on the processor, or a CUDA device.

use super::PrecisionArg;
use crate::cli::device::{Chosen, Device, choose};
use crate::cli::output;
use anyhow::bail;
use eval::power::Meter;
use std::sync::{Mutex, PoisonError};
use vit::Model;
use vit::cuda::{Classified, CudaClassifier};
use vit::engine::{Engine, EngineScratch, Precision};
use vit::preprocess::Preprocess;

/// Largest distance of a logit between device and processor, as a part of the greatest, for `auto` to take the device.
const TRUSTED: f32 = 1e-2;

/// An engine of the processor or of a CUDA device.
pub enum Runner {
    /// Of the processor; each thread has its own scratch.
    Cpu(Box<Engine>),
    /// Of a device.
    Cuda {
        /// Threads take it in turns.
        own: Box<Mutex<CudaClassifier>>,
        /// The device's number.
        number: u32,
        /// What it is called.
        name: String,
    },
}

impl Runner {
    /// The engine of a network where `device` says, with products as `precision` says. Where `auto` meets a device that does
    /// not find the logits of the processor, the processor takes over, which is said on stderr.
    ///
    /// # Errors
    /// If the device is not there, or has no such precision or no kernels for the network.
    pub fn new(
        model: &Model,
        params: &[f32],
        device: Device,
        precision: PrecisionArg,
        threads: usize,
    ) -> anyhow::Result<Self> {
        let chosen = choose(device, threads)?;
        if let Chosen::Cuda(number, on) = &chosen {
            let made = Self::precision_on_cuda(precision).and_then(|()| {
                let mut own = CudaClassifier::new(on, model, params)?;
                if device == Device::Auto {
                    expect_agreement(distance_of_trial(&mut own, model, params)?)?;
                } else {
                    // All kernels are compiled by this, so that what is missing is said before long work.
                    let (height, width) = model.config.image_size();
                    own.classify(1, &vec![0.0; height * width * 3])?;
                }
                Ok(own)
            });
            match made {
                Ok(own) => {
                    let own = Box::new(Mutex::new(own));
                    return Ok(Self::Cuda { own, number: *number, name: chosen.to_string() });
                }
                Err(problem) if device == Device::Auto => {
                    output::say_once(&format!("device: auto takes the CPU after all: {problem}"));
                }
                Err(problem) => bail!("--device cuda:{number}: {problem}"),
            }
        }
        let engine = |precision| Engine::with_precision(model, params, precision);
        Ok(Self::Cpu(Box::new(match precision {
            PrecisionArg::Auto => Engine::new(model, params),
            PrecisionArg::F32 => engine(Precision::F32),
            PrecisionArg::Mixed => engine(Precision::Mixed),
            PrecisionArg::Int8 => engine(Precision::Int8),
        })))
    }

    fn precision_on_cuda(precision: PrecisionArg) -> anyhow::Result<()> {
        match precision {
            PrecisionArg::Auto | PrecisionArg::F32 => Ok(()),
            other => bail!("--precision of a classifier on CUDA: expected auto or f32, found {}", other.name()),
        }
    }

    /// How products are computed.
    pub fn precision(&self) -> &'static str {
        match self {
            Self::Cpu(engine) => engine.precision().name(),
            Self::Cuda { .. } => Precision::F32.name(),
        }
    }

    /// The device's name; none on the processor.
    pub fn device(&self) -> Option<&str> {
        match self {
            Self::Cpu(_) => None,
            Self::Cuda { name, .. } => Some(name),
        }
    }

    /// What measures its energy.
    pub fn meter(&self) -> Meter {
        match self {
            Self::Cpu(_) => Meter::cpu(),
            Self::Cuda { number, .. } => Meter::gpu(*number),
        }
    }

    /// Images that are best given at once.
    pub fn images_at_once(&self) -> usize {
        match self {
            Self::Cpu(_) => 32,
            Self::Cuda { own, .. } => own.lock().unwrap_or_else(PoisonError::into_inner).images_at_once(),
        }
    }

    /// Classifies pictures of 8-bit pixels, each as large as the network's images.
    ///
    /// # Errors
    /// If the device fails, or a logit is no number.
    pub fn classify(
        &self,
        preprocess: &Preprocess,
        pictures: &[&[u8]],
        scratch: &mut EngineScratch,
    ) -> anyhow::Result<Classified> {
        let mut x = Vec::new();
        let found = match self {
            Self::Cpu(engine) => {
                let before = scratch.expert_counts().to_vec();
                let mut logits = Vec::new();
                for pixels in pictures {
                    x.clear();
                    preprocess.normalise(pixels, &mut x);
                    logits.extend_from_slice(engine.classify(&x, scratch));
                }
                Classified { logits, counts: since(&before, scratch.expert_counts()) }
            }
            Self::Cuda { own, .. } => {
                // While another thread's pictures are on the device.
                pictures.iter().for_each(|pixels| preprocess.normalise(pixels, &mut x));
                let mut own = own.lock().unwrap_or_else(PoisonError::into_inner);
                own.classify(pictures.len(), &x)?
            }
        };
        if let Some(logit) = found.logits.iter().find(|logit| !logit.is_finite()) {
            let on = self.device().unwrap_or("the processor");
            bail!("expected logits that are finite numbers, found {logit} on {on}");
        }
        Ok(found)
    }
}

/// What was counted since `before`.
fn since(before: &[[u64; 2]], now: &[[u64; 2]]) -> Vec<[u64; 2]> {
    let then = |block: usize, expert: usize| before.get(block).map_or(0, |counts| counts[expert]);
    now.iter().enumerate().map(|(block, now)| [now[0] - then(block, 0), now[1] - then(block, 1)]).collect()
}

/// How far the logits of three images in one pass are from the processor's: the largest distance within an image, as a part
/// of its greatest logit, of the image in the middle. A token that is sent to the other expert by rounding moves one image
/// alone. Not finite where a logit is no number.
fn distance_of_trial(own: &mut CudaClassifier, model: &Model, params: &[f32]) -> anyhow::Result<f32> {
    let (height, width) = model.config.image_size();
    let len = height * width * 3;
    // Slopes and waves of all three channels, of another length in each image.
    let image = |i: usize| (0..len).map(move |at| (at as f32 * (0.1 + 0.17 * i as f32)).sin() + at as f32 / len as f32);
    let x: Vec<f32> = (0..3).flat_map(image).collect();
    let engine = Engine::with_precision(model, params, Precision::F32);
    let mut scratch = EngineScratch::default();
    let found = own.classify(3, &x)?.logits;
    let mut distances = Vec::new();
    for (x, found) in x.chunks_exact(len).zip(found.chunks_exact(found.len() / 3)) {
        distances.push(distance(engine.classify(x, &mut scratch), found));
    }
    distances.sort_by(f32::total_cmp);
    Ok(if distances[2].is_finite() { distances[1] } else { distances[2] })
}

/// Largest distance of a logit as a part of the greatest wanted; infinite where one is no number.
fn distance(wanted: &[f32], found: &[f32]) -> f32 {
    let largest = wanted.iter().fold(f32::MIN_POSITIVE, |m, v| m.max(v.abs()));
    let apart = wanted.iter().zip(found).map(|(a, b)| (a - b).abs() / largest);
    apart.fold(0.0, |most, d| if d.is_finite() { d.max(most) } else { f32::INFINITY })
}

/// An error, unless a device is near enough to the processor to be taken by `auto`.
fn expect_agreement(distance: f32) -> anyhow::Result<()> {
    if distance <= TRUSTED {
        return Ok(());
    }
    bail!(
        "its logits differ from the processor's by {distance:.1e} of the greatest; --device cuda takes it all the same"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::selftest::faulty_device;

    #[test]
    fn devices_are_compared_with_the_processor() {
        for name in vit::builtin::NAMES {
            let checkpoint = vit::builtin::load(name, None).unwrap();
            let model = Model::new(checkpoint.description.config, compute::Products::F32).unwrap();
            let verdict = |device| {
                let mut own = CudaClassifier::new(&device, &model, &checkpoint.params)?;
                expect_agreement(distance_of_trial(&mut own, &model, &checkpoint.params)?)
            };
            verdict(kernels_host::device()).unwrap();
            // Whether it is the logits that are wrong, or routers' counts that cannot be.
            let problem = verdict(faulty_device()).unwrap_err().to_string();
            let said = ["its logits differ from the processor's by ", "rows of the first expert"];
            assert!(said.iter().any(|said| problem.contains(said)), "{problem}");
        }
    }

    #[test]
    fn what_is_no_number_is_far() {
        assert_eq!(distance(&[2.0, -4.0], &[2.0, -3.0]), 0.25);
        for bad in [f32::NAN, f32::INFINITY] {
            for (wanted, found) in [([1.0, 2.0], [bad, 2.0]), ([1.0, bad], [1.0, 2.0])] {
                assert!(expect_agreement(distance(&wanted, &found)).is_err(), "{wanted:?} {found:?}");
            }
        }
        expect_agreement(distance(&[1.0, 2.0], &[1.001, 2.0])).unwrap();
    }

    #[test]
    fn a_device_counts_as_the_processor_does() {
        let checkpoint = vit::builtin::load("vit-shiftadd", None).unwrap();
        let (params, preprocess) = (&checkpoint.params, &checkpoint.description.preprocess);
        let model = Model::new(checkpoint.description.config, compute::Products::F32).unwrap();
        let on = CudaClassifier::new(&kernels_host::device(), &model, params).unwrap();
        let cuda = Runner::Cuda { own: Box::new(Mutex::new(on)), number: 0, name: "emulation".into() };
        let cpu = Runner::new(&model, params, Device::Cpu, PrecisionArg::F32, 1).unwrap();
        let pixels: Vec<u8> = (0..2 * 32 * 32 * 3).map(|i| ((i as f32 * 0.11).sin() * 127.0 + 128.0) as u8).collect();
        let pictures: Vec<&[u8]> = pixels.chunks_exact(32 * 32 * 3).collect();
        let mut scratch = EngineScratch::default();
        let [of_cpu, of_cuda] = [&cpu, &cuda].map(|runner| {
            runner.classify(preprocess, &pictures, &mut scratch).unwrap();
            runner.classify(preprocess, &pictures, &mut scratch).unwrap()
        });
        assert_eq!(of_cpu.logits.len(), 20);
        for (a, b) in of_cpu.logits.iter().zip(&of_cuda.logits) {
            assert!((a - b).abs() < 1e-3, "{a} {b}");
        }
        // The rows of these two pictures alone.
        assert!(of_cpu.counts.iter().all(|[multiply, shift]| multiply + shift == 2 * 64));
        let apart: u64 = of_cpu.counts.iter().zip(&of_cuda.counts).map(|(a, b)| a[0].abs_diff(b[0])).sum();
        assert!(apart <= 2, "{:?} {:?}", of_cpu.counts, of_cuda.counts);
        assert_eq!((cpu.precision(), cuda.precision()), ("f32", "f32"));
    }

    #[test]
    fn logits_that_are_no_numbers_are_refused() {
        let checkpoint = vit::builtin::load("vit-dense", None).unwrap();
        let model = Model::new(checkpoint.description.config, compute::Products::F32).unwrap();
        let params = vec![f32::NAN; checkpoint.params.len()];
        let runner = Runner::new(&model, &params, Device::Cpu, PrecisionArg::F32, 1).unwrap();
        let preprocess = &checkpoint.description.preprocess;
        let problem = runner.classify(preprocess, &[&[9; 32 * 32 * 3]], &mut EngineScratch::default()).unwrap_err();
        assert!(problem.to_string().contains("finite numbers, found NaN on the processor"), "{problem}");
    }
}
