//! How the ray kernel is launched: its constants, shared memory and workspace, and how many blocks run at once.

use super::{Precision, byte_products};
use crate::config::{Head, MlpKind, Position, RayAttentionKind, Start, ViewAttentionKind};
use crate::{Config, Error, Result};
use tensor::cuda::{DeviceInfo, Source};

/// Most registers of a thread: those of [`MOST_WARPS`] warps are all that a multiprocessor has.
const REGISTERS: u32 = 168;
/// Registers of a multiprocessor.
const FILE: usize = 65536;
/// Most warps of a block.
const MOST_WARPS: usize = 12;

/// What launches can be tuned by on a card at hand; results do not depend on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tuning {
    /// Most warps of a block.
    pub warps: usize,
    /// Most registers of a thread.
    pub registers: u32,
}

impl Tuning {
    /// The defaults for a network.
    pub fn of(config: &Config) -> Self {
        // Warps of one block pass the weights together, so that they come through the first-level cache once for all;
        // but where experts share the tiles out anew, two smaller blocks fill each other's gaps.
        let experts = matches!(config.mlp, MlpKind::Experts { .. });
        Self { warps: if experts { MOST_WARPS / 2 } else { MOST_WARPS }, registers: REGISTERS }
    }

    /// The defaults, unless the environment variables `SHIFTRAY_CUDA_WARPS` (1 to 12) and `SHIFTRAY_CUDA_REGISTERS` (64
    /// to 255) say otherwise.
    ///
    /// # Errors
    /// [`Error::Input`] naming a variable that is out of range.
    pub fn from_environment(config: &Config) -> Result<Self> {
        let Self { warps, registers } = Self::of(config);
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

/// A launch of the ray kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Whether the state of a ray lies in the workspace, because shared memory is too small for so many samples.
    pub large: bool,
    /// Bytes of shared memory of a block.
    pub shared: usize,
    /// Bytes of workspace of a block.
    pub workspace: usize,
    /// Threads of a block.
    pub threads: u32,
    /// Blocks that the device can hold at once.
    pub blocks: usize,
}

impl Plan {
    /// Plans for rays of `samples` samples in `views` source views.
    ///
    /// # Errors
    /// [`Error::Input`] if the samples are more than a block can have.
    pub fn new(
        config: &Config,
        tuning: Tuning,
        precision: Precision,
        device: &DeviceInfo,
        samples: usize,
        views: usize,
    ) -> Result<Self> {
        let tiles = samples.div_ceil(16);
        // The same number of tiles for each warp.
        // Registers are given out in eights.
        let registers = tuning.registers.next_multiple_of(8) as usize;
        let most = tuning.warps.min(FILE / (32 * registers));
        let warps = tiles.div_ceil(tiles.div_ceil(most));
        let state = state_bytes(config, precision, samples);
        let large = state > device.shared_per_block as usize;
        let shared = if large { 0 } else { state };
        let by_shared = (device.shared_per_multiprocessor as usize / (shared + 1024)).max(1);
        let by_registers = (FILE / (32 * registers * warps)).max(1);
        let resident = by_shared.min(by_registers).min(16);
        let workspace = workspace_bytes(config, precision, samples, views) + if large { state } else { 0 };
        if samples > 1 << 14 || samples * views > 1 << 24 {
            return Err(Error::Input(format!("{samples} samples in {views} views are too many for one ray on CUDA")));
        }
        Ok(Self {
            large,
            shared,
            workspace: workspace.next_multiple_of(256),
            threads: 32 * warps as u32,
            blocks: resident * device.multiprocessors as usize,
        })
    }
}

/// Bytes of what `shared_of` in `kernels/render/network.cuh` lays out.
fn state_bytes(config: &Config, precision: Precision, samples: usize) -> usize {
    let (c, padded) = (config.width, samples.next_multiple_of(32));
    let up = |bytes: usize| bytes.next_multiple_of(16);
    let fixed = up(padded * (c + 8) * 4) + 4 * up(padded * 4) + up((padded + 32) * 4) + up((4 * c + 64) * 4);
    // Look-ups of the gathering warps lie where keys and values will be.
    let keys = up(padded * (c + 8) * precision.bytes()) + up(c * (padded + 8) * precision.bytes());
    fixed + keys.max(64 * 32 * MOST_WARPS)
}

/// Bytes of what `workspace_of` lays out.
fn workspace_bytes(config: &Config, precision: Precision, samples: usize, views: usize) -> usize {
    let padded = samples.next_multiple_of(32);
    let rows = padded * views;
    let codes = config.view_attention == ViewAttentionKind::Hamming;
    let encoding = config.position.sample_channels().next_multiple_of(16);
    let parts = [
        rows * config.width * precision.bytes(),
        rows * 16,
        rows * 16,
        if codes { rows * 8 } else { 0 },
        if codes { rows * 4 * config.heads } else { 0 },
        padded * encoding * precision.bytes(),
        config.depth * config.width * 4,
    ];
    parts.iter().map(|bytes| bytes.next_multiple_of(256)).sum()
}

/// The ray kernel for a network.
///
/// # Errors
/// [`Error::Unsupported`] naming what the kernel lacks.
pub fn render_source(config: &Config, tuning: Tuning, precision: Precision, large: bool) -> Result<Source> {
    Ok(Source {
        file: "render/render.cu",
        defines: defines(config, precision, large)?,
        registers: Some(tuning.registers),
    })
}

/// The kernels that prepare source views; always in f32, because codes depend on signs.
///
/// # Errors
/// As [`render_source`].
pub fn prepare_source(config: &Config) -> Result<Source> {
    Ok(Source { file: "render/prepare.cu", defines: defines(config, Precision::F32, false)?, registers: None })
}

fn defines(config: &Config, precision: Precision, large: bool) -> Result<Vec<(&'static str, i64)>> {
    let fail = |what: String| Err(Error::Unsupported(format!("CUDA: {what}; --device cpu renders such networks")));
    let per_head = config.width / config.heads;
    if per_head != 8 && !per_head.is_multiple_of(16) {
        return fail(format!("heads of 8 or a multiple of 16 channels, found {per_head}"));
    }
    if config.width > 128 {
        return fail(format!("width: at most 128 channels, found {}", config.width));
    }
    let ray = match config.ray_attention {
        RayAttentionKind::Softmax => 0,
        RayAttentionKind::Hamming => 1,
        RayAttentionKind::LinearAngular { .. } => return fail("linear-angular attention has no kernel".into()),
    };
    let (position, octaves) = match config.position {
        Position::World { frequencies } => (0, frequencies),
        Position::Ray { frequencies } => (1, frequencies),
    };
    if let (true, Err(expected)) = (precision.on_bytes(), byte_products(config)) {
        return fail(format!("precision {}: expected {expected}", precision.name()));
    }
    let flag = |on: bool| i64::from(on);
    let size = |n: usize| i64::try_from(n).expect("validated sizes are small");
    Ok(vec![
        ("WIDTH", size(config.width)),
        ("HEADS", size(config.heads)),
        ("HIDDEN", size(config.attention_hidden)),
        ("RATIO", size(config.mlp_ratio)),
        ("START", flag(config.start == Start::Stats)),
        ("POSITION", position),
        ("OCTAVES", size(octaves)),
        ("BLEND", flag(config.head == Head::Blend)),
        ("VIEW", flag(config.view_attention == ViewAttentionKind::Hamming)),
        ("RAY", ray),
        ("EXPERTS", flag(matches!(config.mlp, MlpKind::Experts { .. }))),
        ("PRECISION", flag(precision != Precision::F32)),
        (
            "BYTES",
            match precision {
                Precision::F32 | Precision::Bf16 => 0,
                Precision::Int8 => 1,
                Precision::Packed => 2,
            },
        ),
        ("LARGE", flag(large)),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_fit_their_multiprocessor() {
        let device = kernels_host::device();
        for (config, warps) in [(Config::official(8), 12), (Config::official(8).shift_add(), 6)] {
            let plan =
                |samples, tuning| Plan::new(&config, tuning, Precision::Bf16, device.info(), samples, 10).unwrap();
            let usual = Tuning::of(&config);
            assert_eq!(plan(192, usual).threads, 32 * warps);
            assert_eq!(plan(64, usual).threads, 128);
            assert_eq!(plan(3, usual).threads, 32);
            for registers in [64u32, 128, 255] {
                for samples in [2, 100, 192, 500] {
                    let plan = plan(samples, Tuning { registers, ..usual });
                    let all = plan.threads as usize * registers.next_multiple_of(8) as usize;
                    assert!(all <= FILE && plan.blocks >= 1 && plan.shared <= 163 << 10, "{samples}: {plan:?}");
                }
            }
        }
    }

    #[test]
    fn variables_are_read() {
        let read = |text: Option<&str>| number("NAME", 12, 1..=12, |_| text.map(Into::into));
        assert_eq!((read(None).unwrap(), read(Some("6")).unwrap()), (12, 6));
        for text in ["", "0", "13", "six"] {
            assert_eq!(read(Some(text)).unwrap_err().to_string(), format!("NAME: expected 1 to 12, found {text:?}"));
        }
    }
}
