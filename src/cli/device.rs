//! Where to compute.

use anyhow::bail;
use std::str::FromStr;

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

impl Device {
    /// Name of the device that is used; says on stderr what `auto` chose.
    ///
    /// # Errors
    /// For `cuda`, which this build has no engine for.
    pub fn choose(self, threads: usize) -> anyhow::Result<&'static str> {
        match self {
            Self::Cuda(number) => {
                bail!("--device cuda:{number}: this build has no CUDA engine; expected --device cpu or auto")
            }
            Self::Auto => {
                let level = tensor::level().name();
                eprintln!("device: auto takes the CPU ({threads} threads, {level}); this build has no CUDA engine");
                Ok("cpu")
            }
            Self::Cpu => Ok("cpu"),
        }
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

/// How products are computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum PrecisionArg {
    /// int8 for a network with shift layers where the processor has AVX2, else f32
    Auto,
    /// All in f32; shift layers with their exact weights
    F32,
    /// Shift layers on 8-bit activations, all others in f32
    Mixed,
    /// All products of the blocks on 8-bit activations
    Int8,
}

impl PrecisionArg {
    /// The engine of a network at this precision.
    pub fn engine(self, model: gnt::Model, params: &[f32]) -> gnt::engine::Engine {
        use gnt::engine::{Engine, Precision};
        match self {
            Self::Auto => Engine::new(model, params),
            Self::F32 => Engine::with_precision(model, params, Precision::F32),
            Self::Mixed => Engine::with_precision(model, params, Precision::Mixed),
            Self::Int8 => Engine::with_precision(model, params, Precision::Int8),
        }
    }
}
