//! What launches of the ray kernel can be tuned by on a card at hand.

use crate::{Error, Result};

/// Most registers of a thread: those of [`MOST_WARPS`] warps are all that a multiprocessor has.
const REGISTERS: u32 = 168;
/// Most warps of a block.
pub(super) const MOST_WARPS: usize = 12;

/// What launches can be tuned by on a card at hand; results do not depend on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tuning {
    /// Most warps of a block.
    pub warps: usize,
    /// Most registers of a thread.
    pub registers: u32,
}

impl Tuning {
    /// The defaults.
    pub fn usual() -> Self {
        // Warps of one block pass the weights together, so that they come through the first-level cache once for all. Two
        // smaller blocks would fill each other's gaps where experts share the tiles out anew, but their shared memory would
        // leave a cache that is smaller than one expert's weights.
        Self { warps: MOST_WARPS, registers: REGISTERS }
    }

    /// The defaults, unless the environment variables `SHIFTRAY_CUDA_WARPS` (1 to 12) and `SHIFTRAY_CUDA_REGISTERS` (64
    /// to 255) say otherwise.
    ///
    /// # Errors
    /// [`Error::Input`] naming a variable that is out of range.
    pub fn from_environment() -> Result<Self> {
        let Self { warps, registers } = Self::usual();
        Ok(Self {
            warps: number("SHIFTRAY_CUDA_WARPS", warps, 1..=MOST_WARPS, |name| std::env::var_os(name))?,
            registers: number("SHIFTRAY_CUDA_REGISTERS", registers, 64..=255, |name| std::env::var_os(name))?,
        })
    }
}

/// The number that a variable holds, or a default.
fn number<T: Copy + PartialOrd + std::fmt::Display + std::str::FromStr>(
    name: &str,
    default: T,
    range: std::ops::RangeInclusive<T>,
    variable: impl Fn(&str) -> Option<std::ffi::OsString>,
) -> Result<T> {
    let Some(text) = variable(name) else { return Ok(default) };
    let number = text.to_str().and_then(|text| text.parse().ok()).filter(|number| range.contains(number));
    let (low, high) = (range.start(), range.end());
    number.ok_or_else(|| Error::Input(format!("{name}: expected {low} to {high}, found {:?}", text.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_read() {
        let read = |text: Option<&str>| number("NAME", 12, 1..=12, |_| text.map(Into::into));
        assert_eq!((read(None).unwrap(), read(Some("6")).unwrap()), (12, 6));
        for text in ["", "0", "13", "six"] {
            assert_eq!(read(Some(text)).unwrap_err().to_string(), format!("NAME: expected 1 to 12, found {text:?}"));
        }
    }
}
