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
