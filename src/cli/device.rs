//! The device that computes, as `--device` names it, and the engine on it.

use super::output;
use super::trial::{self, Trials, Verdict};
use anyhow::bail;
use gnt::Model;
use gnt::cuda::{self, CudaEngine, CudaPrecision};
pub use gnt::device::{Chosen, Device};
use gnt::engine::{Engine, Precision};
use gnt::renderer::Backend;
use train::run::Run;

/// The device that is used; says on stderr what `auto` chose.
///
/// # Errors
/// For `cuda` where there is none, telling what is missing.
pub fn choose(device: Device, threads: usize) -> anyhow::Result<Chosen> {
    match (device, device.open()) {
        (Device::Auto, Ok((chosen, None))) => {
            output::say_once(&format!("device: auto takes {chosen}"));
            Ok(chosen)
        }
        (_, Ok((chosen, None))) => Ok(chosen),
        (_, Ok((chosen, Some(problem)))) => {
            let isa = compute::isa();
            output::say_once(&format!("device: auto takes the CPU ({threads} threads, {isa}): {problem}"));
            Ok(chosen)
        }
        (Device::Cuda(number), Err(problem)) => bail!("--device cuda:{number}: {problem}"),
        (_, Err(problem)) => Err(problem.into()),
    }
}

/// An error, unless a device is trusted.
fn expect_trust(verdict: Verdict) -> anyhow::Result<()> {
    match verdict {
        Verdict::Trusted => Ok(()),
        Verdict::Distrusted(problem) => {
            bail!(
                "{problem}; `shiftray selftest --device cuda` tells more, and --device cuda takes the GPU all the same"
            )
        }
    }
}

/// The run with its steps on the device that is named; `auto` takes a GPU where there is one that can train the network
/// and has shown that it does so rightly, and says on stderr what it took.
///
/// # Errors
/// For `cuda` where there is none, or where it cannot train the network.
pub fn train_on(device: Device, run: Run, threads: usize) -> anyhow::Result<Run> {
    let Chosen::Cuda(number, gpu) = choose(device, threads)? else { return Ok(run) };
    let auto = device == Device::Auto;
    let trusted = || if auto { expect_trust(trial::of_training(&trial::of_user(), &gpu)?) } else { Ok(()) };
    match gnt::network::cuda::check(&run.model().net).map_err(Into::into).and_then(|()| trusted()) {
        Ok(()) => Ok(run.on_cuda(&gpu)?),
        Err(problem) if auto => {
            output::say_once(&format!("device: auto takes the CPU after all: {problem}"));
            Ok(run)
        }
        Err(problem) => bail!("--device cuda:{number}: {problem}"),
    }
}

/// What renders: an engine of the processor or of a CUDA device.
pub enum AnyEngine {
    /// An engine on the processor.
    Cpu(Box<Engine>),
    /// An engine on a CUDA device.
    Cuda(Box<CudaEngine>),
}

impl AnyEngine {
    /// How the engine computes products: the name of a precision, as `--precision` takes it.
    pub fn precision(&self) -> &'static str {
        match self {
            Self::Cpu(engine) => engine.precision().name(),
            Self::Cuda(engine) => engine.precision().name(),
        }
    }
}

impl From<AnyEngine> for Backend {
    fn from(engine: AnyEngine) -> Self {
        match engine {
            AnyEngine::Cpu(engine) => (*engine).into(),
            AnyEngine::Cuda(engine) => (*engine).into(),
        }
    }
}

/// The value of `--precision`: how products are computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum PrecisionArg {
    /// int8 for a network with shift layers (on a CPU, where it has AVX2), else f32 on a CPU and bf16 on CUDA
    Auto,
    /// All in f32; shift layers with their exact weights
    F32,
    /// CPU only: shift layers on 8-bit activations, all others in f32
    Mixed,
    /// CPU: look-ups and all products of tokens and blocks in 8 bits. CUDA: those of shift layers and experts, all others in bf16
    Int8,
    /// Products of bf16 numbers, sums in f32; shift layers with their exact weights. A CPU needs AVX-512 BF16 for it
    Bf16,
    /// CUDA only: as int8, with the weights of shift layers in codes of four bits
    Packed,
}

/// An engine on a device; where there are `trials`, only one that renders what the processor renders.
fn engine_on(
    device: &compute::cuda::Device,
    model: &Model,
    params: &[f32],
    precision: CudaPrecision,
    trials: Option<&Trials>,
) -> anyhow::Result<CudaEngine> {
    let mut engine = CudaEngine::new(device.clone(), model, params, precision)?;
    if let Some(trials) = trials {
        expect_trust(trials.of_engine(&mut engine, model, params)?)?;
    }
    Ok(engine)
}

impl PrecisionArg {
    /// The engine of a network on the device that `device` names. Where `auto` meets a network that CUDA has no kernels
    /// for, or a device that does not render what the processor renders, the processor takes over, which is said on stderr.
    ///
    /// # Errors
    /// If the device is not there, or has no such precision or no kernels for the network.
    pub fn engine(
        self,
        device: Device,
        threads: usize,
        model: Model,
        params: &[f32],
    ) -> anyhow::Result<(AnyEngine, Chosen)> {
        let chosen = choose(device, threads)?;
        if let Chosen::Cuda(_, on) = &chosen {
            let precision = match self {
                Self::Auto => cuda::fastest(&model.config),
                Self::Bf16 => CudaPrecision::Bf16,
                Self::F32 => CudaPrecision::F32,
                Self::Int8 => CudaPrecision::Int8,
                Self::Packed => CudaPrecision::Packed,
                Self::Mixed => bail!("--precision on CUDA: expected auto, f32, bf16, int8 or packed, found mixed"),
            };
            let trials = (device == Device::Auto).then(trial::of_user);
            match engine_on(on, &model, params, precision, trials.as_ref()) {
                Ok(engine) => return Ok((AnyEngine::Cuda(Box::new(engine)), chosen)),
                Err(problem) if device == Device::Auto => {
                    output::say_once(&format!("device: auto takes the CPU after all: {problem}"));
                }
                Err(problem) => return Err(problem),
            }
        }
        let engine = match self {
            Self::Auto => Engine::new(model, params),
            Self::F32 => Engine::with_precision(model, params, Precision::F32),
            Self::Mixed => Engine::with_precision(model, params, Precision::Mixed),
            Self::Int8 => Engine::with_precision(model, params, Precision::Int8),
            Self::Bf16 if Precision::Bf16.runs_on(compute::isa()) => {
                Engine::with_precision(model, params, Precision::Bf16)
            }
            Self::Bf16 => {
                let isa = compute::isa();
                bail!("--precision bf16: expected a processor with AVX-512 BF16, or CUDA, found {isa}")
            }
            Self::Packed => bail!("--precision packed is for CUDA; on the CPU expected auto, f32, mixed, int8 or bf16"),
        };
        Ok((AnyEngine::Cpu(Box::new(engine)), Chosen::Cpu))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::selftest::faulty_device;

    /// `auto` takes a device that agrees with the processor; of one that does not, a sentence says why it does not, while
    /// `cuda` takes it.
    #[test]
    fn a_device_is_tried_before_auto_takes_it() {
        let folder = tempfile::tempdir().unwrap();
        let (model, params, _) = gnt::builtin::load("gnt-dense").unwrap();
        let trials = |build: &str| Trials::at(folder.path(), build);
        let engine = |device: &compute::cuda::Device, trials: Option<&Trials>| {
            engine_on(device, &model, &params, CudaPrecision::Bf16, trials).map(|engine| engine.precision())
        };
        let (right, wrong) = (kernels_host::device(), faulty_device());
        assert_eq!(engine(&right, Some(&trials("a"))).unwrap(), CudaPrecision::Bf16);
        assert_eq!(engine(&wrong, None).unwrap(), CudaPrecision::Bf16);
        let problem = engine(&wrong, Some(&trials("b"))).unwrap_err().to_string();
        assert!(problem.starts_with("its colours of 24 rays differ from the processor's by "), "{problem}");
        assert!(problem.contains("--device cuda takes the GPU all the same") && !problem.contains('\n'), "{problem}");
        assert!(engine(&kernels_host::device_with_memory(64 << 10), Some(&trials("c"))).is_err());
    }
}
