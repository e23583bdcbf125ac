//! The device that computes: the processor or a GPU, by its name.

use crate::{Error, Result};
use compute::cuda::{CudaError, real};
use std::str::FromStr;

/// A device by its name: `auto`, `cpu`, `cuda` or `cuda:N`.
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
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let number = || text.strip_prefix("cuda:")?.parse().ok();
        match text {
            "auto" => Ok(Self::Auto),
            "cpu" => Ok(Self::Cpu),
            "cuda" => Ok(Self::Cuda(0)),
            _ => number().map(Self::Cuda).ok_or_else(|| Error::Input("expected auto, cpu, cuda or cuda:N".into())),
        }
    }
}

/// A device that is there.
#[derive(Clone, Debug)]
pub enum Chosen {
    /// The processor.
    Cpu,
    /// A CUDA device with its number.
    Cuda(u32, compute::cuda::Device),
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
    /// The device that is used, and why `auto` does without a GPU if it does.
    ///
    /// # Errors
    /// [`Error::Cuda`] for `cuda` where there is none, telling what is missing.
    pub fn open(self) -> Result<(Chosen, Option<CudaError>)> {
        match self {
            Self::Cpu => Ok((Chosen::Cpu, None)),
            Self::Cuda(number) => Ok((Chosen::Cuda(number, real::open(number)?), None)),
            Self::Auto => Ok(match real::open(0) {
                Ok(device) => (Chosen::Cuda(0, device), None),
                Err(problem) => (Chosen::Cpu, Some(problem)),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_have_names() {
        for (text, device) in [("auto", Device::Auto), ("cpu", Device::Cpu), ("cuda", Device::Cuda(0))] {
            assert_eq!(text.parse::<Device>().unwrap(), device);
        }
        assert_eq!("cuda:31".parse::<Device>().unwrap(), Device::Cuda(31));
        for bad in ["", "gpu", "cuda:", "cuda:-1", "cuda:99999999999", "CPU"] {
            assert!(bad.parse::<Device>().unwrap_err().to_string().contains("cuda:N"), "{bad}");
        }
    }
}
