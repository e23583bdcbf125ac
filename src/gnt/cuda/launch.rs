//! How the ray kernel is launched: shared memory and workspace, and how many blocks run at once.

use super::CudaPrecision;
use super::instance::Kinds;
use super::memory::{shared, sizes, workspace};
use super::tuning::Tuning;
use crate::{Config, Error, Result};
use compute::cuda::DeviceInfo;
use layers::ray_kernel::TILE;

/// Registers of a multiprocessor.
const FILE: usize = 65536;

/// A launch of the ray kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RayLaunch {
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

impl RayLaunch {
    /// For rays of `samples` samples in `views` source views.
    ///
    /// # Errors
    /// [`Error::Input`] if the samples are more than a block can have; [`Error::Unsupported`] if the kernel lacks a kind of
    /// layer.
    pub fn new(
        config: &Config,
        tuning: Tuning,
        precision: CudaPrecision,
        device: &DeviceInfo,
        samples: usize,
        views: usize,
    ) -> Result<Self> {
        let tiles = samples.div_ceil(TILE);
        // The same number of tiles for each warp.
        // Registers are given out in eights.
        let registers = tuning.registers.next_multiple_of(8) as usize;
        let most = tuning.warps.min(FILE / (32 * registers));
        let warps = tiles.div_ceil(tiles.div_ceil(most));
        let kinds = Kinds::of(config).map_err(|problem| Error::Unsupported(format!("CUDA: {problem}")))?;
        let sizes = sizes(config, precision, samples, views);
        let state = self::shared(&kinds).bytes(&sizes);
        let large = state > device.shared_per_block as usize;
        let shared = if large { 0 } else { state };
        let by_shared = (device.shared_per_multiprocessor as usize / (shared + 1024)).max(1);
        let by_registers = (FILE / (32 * registers * warps)).max(1);
        let resident = by_shared.min(by_registers).min(16);
        let workspace = self::workspace(&kinds).bytes(&sizes) + if large { state } else { 0 };
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_fit_their_multiprocessor() {
        let device = kernels_host::device();
        for (config, warps) in [(Config::official(8), 12), (Config::official(8).shift_add(), 6)] {
            let plan = |samples, tuning| {
                RayLaunch::new(&config, tuning, CudaPrecision::Bf16, device.info(), samples, 10).unwrap()
            };
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
}
