//! What runs a classifier: the packed engine on the processor, or a CUDA device.

use super::PrecisionArg;
use crate::cli::device::{Chosen, Device, choose};
use crate::cli::output;
use anyhow::bail;
use eval::power::Meter;
use std::sync::{Mutex, PoisonError};
use vit::Model;
use vit::cuda::CudaClassifier;
use vit::engine::{Engine, EngineScratch, Precision};

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

/// What a [`Runner`] found for some images.
pub struct Found {
    /// `[images, classes]`.
    pub logits: Vec<f32>,
    /// Tokens that the multiply and the shift expert of each block ran; empty without experts.
    pub counts: Vec<[u64; 2]>,
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
            if !matches!(precision, PrecisionArg::Auto | PrecisionArg::F32) {
                bail!("--precision of a classifier on CUDA: expected auto or f32, found {}", precision.name());
            }
            let made = CudaClassifier::new(on, model, params).map_err(anyhow::Error::from);
            let tried = made.and_then(|mut own| {
                if device == Device::Auto {
                    expect_agreement(&mut own, model, params)?;
                }
                Ok(own)
            });
            match tried {
                Ok(own) => {
                    let own = Box::new(Mutex::new(own));
                    return Ok(Self::Cuda { own, number: *number, name: chosen.to_string() });
                }
                Err(problem) if device == Device::Auto => {
                    output::say_once(&format!("device: auto takes the CPU after all: {problem}"));
                }
                Err(problem) => return Err(problem),
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

    /// Classifies normalised images `x` `[images, height, width, 3]`.
    ///
    /// # Errors
    /// If the device fails.
    pub fn classify(&self, images: usize, x: &[f32], scratch: &mut EngineScratch) -> anyhow::Result<Found> {
        match self {
            Self::Cpu(engine) => {
                let before = scratch.expert_counts().to_vec();
                let mut logits = Vec::new();
                for x in x.chunks_exact(x.len() / images) {
                    logits.extend_from_slice(engine.classify(x, scratch));
                }
                Ok(Found { logits, counts: since(&before, scratch.expert_counts()) })
            }
            Self::Cuda { own, .. } => {
                let mut own = own.lock().unwrap_or_else(PoisonError::into_inner);
                let before = own.expert_counts().to_vec();
                let logits = own.classify(images, x)?;
                Ok(Found { logits, counts: since(&before, own.expert_counts()) })
            }
        }
    }
}

/// What was counted since `before`.
fn since(before: &[[u64; 2]], now: &[[u64; 2]]) -> Vec<[u64; 2]> {
    let then = |block: usize, expert: usize| before.get(block).map_or(0, |counts| counts[expert]);
    now.iter().enumerate().map(|(block, now)| [now[0] - then(block, 0), now[1] - then(block, 1)]).collect()
}

/// An error, unless a device finds the logits of the processor for an image.
fn expect_agreement(own: &mut CudaClassifier, model: &Model, params: &[f32]) -> anyhow::Result<()> {
    let (height, width) = model.config.image_size();
    // Slopes and stripes of all three channels.
    let x: Vec<f32> =
        (0..height * width * 3).map(|i| (i as f32 * 0.37).sin() + i as f32 / (height * width) as f32).collect();
    let wanted =
        Engine::with_precision(model, params, Precision::F32).classify(&x, &mut EngineScratch::default()).to_vec();
    let found = own.classify(1, &x)?;
    let largest = wanted.iter().fold(f32::MIN_POSITIVE, |m, v| m.max(v.abs()));
    let off = wanted.iter().zip(&found).fold(0.0f32, |m, (a, b)| m.max((a - b).abs())) / largest;
    // Not so for NaN either.
    if off <= TRUSTED {
        return Ok(());
    }
    bail!(
        "its logits of an image differ from the processor's by {off:.1e} of the greatest; --device cuda takes it all the same"
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
                let mut own = CudaClassifier::new(&device, &model, &checkpoint.params).unwrap();
                expect_agreement(&mut own, &model, &checkpoint.params)
            };
            verdict(kernels_host::device()).unwrap();
            // Whether it is the logits that are wrong, or routers' counts that cannot be.
            let problem = verdict(faulty_device()).unwrap_err().to_string();
            let said = ["its logits of an image differ from the processor's by ", "rows of the first expert"];
            assert!(said.iter().any(|said| problem.contains(said)), "{problem}");
        }
    }

    #[test]
    fn a_device_counts_as_the_processor_does() {
        let checkpoint = vit::builtin::load("vit-shiftadd", None).unwrap();
        let model = Model::new(checkpoint.description.config, compute::Products::F32).unwrap();
        let on = CudaClassifier::new(&kernels_host::device(), &model, &checkpoint.params).unwrap();
        let cuda = Runner::Cuda { own: Box::new(Mutex::new(on)), number: 0, name: "emulation".into() };
        let cpu = Runner::new(&model, &checkpoint.params, Device::Cpu, PrecisionArg::F32, 1).unwrap();
        let x: Vec<f32> = (0..2 * 32 * 32 * 3).map(|i| (i as f32 * 0.11).sin()).collect();
        let mut scratch = EngineScratch::default();
        let [of_cpu, of_cuda] = [&cpu, &cuda].map(|runner| {
            runner.classify(2, &x, &mut scratch).unwrap();
            runner.classify(2, &x, &mut scratch).unwrap()
        });
        assert_eq!(of_cpu.logits.len(), 20);
        for (a, b) in of_cpu.logits.iter().zip(&of_cuda.logits) {
            assert!((a - b).abs() < 1e-3, "{a} {b}");
        }
        // The rows of these two images alone.
        assert!(of_cpu.counts.iter().all(|[multiply, shift]| multiply + shift == 2 * 64));
        let apart: u64 = of_cpu.counts.iter().zip(&of_cuda.counts).map(|(a, b)| a[0].abs_diff(b[0])).sum();
        assert!(apart <= 2, "{:?} {:?}", of_cpu.counts, of_cuda.counts);
        assert_eq!((cpu.precision(), cuda.precision()), ("f32", "f32"));
    }
}
