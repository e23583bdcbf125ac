//! Where to compute.

use super::output;
use anyhow::bail;
use gnt::Model;
use gnt::cuda::{self, CudaEngine};
use gnt::engine::{Engine, Precision};
use gnt::renderer::Backend;
use std::str::FromStr;
use tensor::cuda::real;
use train::run::Run;

/// What `--device` names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Device {
    /// Whatever is fastest here.
    Auto,
    /// The processor.
    Cpu,
    /// The CUDA device of this number.
    Cuda(u32),
}

impl FromStr for Device {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = || text.strip_prefix("cuda:")?.parse().ok();
        match text {
            "auto" => Ok(Self::Auto),
            "cpu" => Ok(Self::Cpu),
            "cuda" => Ok(Self::Cuda(0)),
            _ => number().map(Self::Cuda).ok_or_else(|| "expected auto, cpu, cuda or cuda:N".to_owned()),
        }
    }
}

/// A device that is there.
#[derive(Clone, Debug)]
pub enum Chosen {
    /// The processor.
    Cpu,
    /// A CUDA device with its number.
    Cuda(u32, tensor::cuda::Device),
}

impl Chosen {
    /// What kind of device it is: pictures of one kind are the same.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Cuda(..) => "cuda",
        }
    }
}

impl std::fmt::Display for Chosen {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        match self {
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(number, device) => write!(f, "cuda:{number} ({})", device.info().name),
        }
    }
}

impl Device {
    /// The device that is used; says on stderr what `auto` chose.
    ///
    /// # Errors
    /// For `cuda` where there is none, telling what is missing.
    pub fn choose(self, threads: usize) -> anyhow::Result<Chosen> {
        match self {
            Self::Cpu => Ok(Chosen::Cpu),
            Self::Cuda(number) => match real::open(number) {
                Ok(device) => Ok(Chosen::Cuda(number, device)),
                Err(problem) => bail!("--device cuda:{number}: {problem}"),
            },
            Self::Auto => match real::open(0) {
                Ok(device) => {
                    let chosen = Chosen::Cuda(0, device);
                    output::say_once(&format!("device: auto takes {chosen}"));
                    Ok(chosen)
                }
                Err(problem) => {
                    let level = tensor::level().name();
                    output::say_once(&format!("device: auto takes the CPU ({threads} threads, {level}): {problem}"));
                    Ok(Chosen::Cpu)
                }
            },
        }
    }
}

impl Device {
    /// The run with its steps on the device that is named; `auto` takes a GPU where there is one that can train the
    /// network, and says on stderr what it took.
    ///
    /// # Errors
    /// For `cuda` where there is none, or where it cannot train the network.
    pub fn train_on(self, run: Run, threads: usize) -> anyhow::Result<Run> {
        let Chosen::Cuda(number, gpu) = self.choose(threads)? else { return Ok(run) };
        match gnt::network::cuda::check(&run.model().net) {
            Ok(()) => Ok(run.on_cuda(&gpu)?),
            Err(problem) if self == Self::Auto => {
                output::say_once(&format!("device: auto takes the CPU after all: {problem}"));
                Ok(run)
            }
            Err(problem) => bail!("--device cuda:{number}: {problem}"),
        }
    }
}

/// What renders: an engine of the processor or of a CUDA device.
pub enum AnyEngine {
    /// The processor's.
    Cpu(Box<Engine>),
    /// A device's.
    Cuda(Box<CudaEngine>),
}

impl AnyEngine {
    /// How products are computed.
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

/// How products are computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum PrecisionArg {
    /// int8 for a network with shift layers (on a CPU, where it has AVX2), else f32 on a CPU and bf16 on CUDA
    Auto,
    /// All in f32; shift layers with their exact weights
    F32,
    /// CPU only: shift layers on 8-bit activations, all others in f32
    Mixed,
    /// CPU: all products of the blocks on 8-bit activations. CUDA: those of shift layers and experts, all others in bf16
    Int8,
    /// CUDA only: products of bf16 numbers, sums in f32; shift layers with their exact weights
    Bf16,
    /// CUDA only: as int8, with the weights of shift layers in codes of four bits
    Packed,
}

impl PrecisionArg {
    /// The engine of a network on the device that `device` names. Where `auto` meets a network that CUDA has no kernels
    /// for, the processor takes over, which is said on stderr.
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
        let chosen = device.choose(threads)?;
        if let Chosen::Cuda(_, on) = &chosen {
            let precision = match self {
                Self::Auto => cuda::Precision::fastest(&model.config),
                Self::Bf16 => cuda::Precision::Bf16,
                Self::F32 => cuda::Precision::F32,
                Self::Int8 => cuda::Precision::Int8,
                Self::Packed => cuda::Precision::Packed,
                Self::Mixed => bail!("--precision on CUDA: expected auto, f32, bf16, int8 or packed, found mixed"),
            };
            match CudaEngine::new(on.clone(), &model, params, precision) {
                Ok(engine) => return Ok((AnyEngine::Cuda(Box::new(engine)), chosen)),
                Err(problem) if device == Device::Auto => {
                    output::say_once(&format!("device: auto takes the CPU after all: {problem}"));
                }
                Err(problem) => return Err(problem.into()),
            }
        }
        let engine = match self {
            Self::Auto => Engine::new(model, params),
            Self::F32 => Engine::with_precision(model, params, Precision::F32),
            Self::Mixed => Engine::with_precision(model, params, Precision::Mixed),
            Self::Int8 => Engine::with_precision(model, params, Precision::Int8),
            Self::Bf16 | Self::Packed => {
                bail!("--precision bf16 and packed are for CUDA; on the CPU expected auto, f32, mixed or int8")
            }
        };
        Ok((AnyEngine::Cpu(Box::new(engine)), Chosen::Cpu))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_have_names() {
        assert_eq!("auto".parse(), Ok(Device::Auto));
        assert_eq!("cpu".parse(), Ok(Device::Cpu));
        assert_eq!("cuda".parse(), Ok(Device::Cuda(0)));
        assert_eq!("cuda:31".parse(), Ok(Device::Cuda(31)));
        for bad in ["", "gpu", "cuda:", "cuda:-1", "cuda:99999999999", "CPU"] {
            assert!(bad.parse::<Device>().unwrap_err().contains("cuda:N"), "{bad}");
        }
    }
}
