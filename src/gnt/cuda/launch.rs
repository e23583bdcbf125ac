//! How the ray kernel is launched: shared memory and workspace, and how many blocks run at once.

use super::CudaPrecision;
use super::instance::{Kinds, Place};
use super::memory::{shared, sizes, state, workspace};
use super::tuning::Tuning;
use crate::{Config, Error, Result};
use compute::cuda::DeviceInfo;
use layers::ray_kernel::TILE;

/// Registers of a multiprocessor.
const FILE: usize = 65536;

/// Warps that registers are given to at a time.
const WARPS_AT_ONCE: usize = 4;

/// A launch of the ray kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RayLaunch {
    /// Where what is kept of a ray lies: shared memory may be too small for so many samples.
    pub place: Place,
    /// Bytes of shared memory of a block.
    pub shared: usize,
    /// Bytes of workspace of a block.
    pub workspace: usize,
    /// Threads of a block.
    pub threads: u32,
    /// Blocks that a multiprocessor can hold at once.
    pub resident: usize,
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
        // Registers are given out in eights, and to four warps at a time.
        let registers = tuning.registers.next_multiple_of(8) as usize;
        let most = tuning.warps.min(FILE / (32 * registers) / WARPS_AT_ONCE * WARPS_AT_ONCE);
        // The same number of tiles for each warp.
        let warps = tiles.div_ceil(tiles.div_ceil(most));
        let kinds = Kinds::of(config).map_err(|problem| Error::Unsupported(format!("CUDA: {problem}")))?;
        let sizes = sizes(config, precision, samples, views);
        let (state, rest) = (state().bytes(&sizes), shared(&kinds).bytes(&sizes));
        let room = device.shared_per_block as usize;
        let (place, shared, outside) = match () {
            () if state + rest <= room => (Place::Shared, state + rest, 0),
            () if rest <= room => (Place::Split, rest, state),
            () => (Place::Workspace, 0, state + rest),
        };
        let by_shared = (device.shared_per_multiprocessor as usize / (shared + 1024)).max(1);
        let by_registers = (FILE / (32 * registers * warps.next_multiple_of(WARPS_AT_ONCE))).max(1);
        let resident = by_shared.min(by_registers).min(16);
        let workspace = self::workspace(&kinds).bytes(&sizes) + outside;
        if samples > 1 << 14 || samples * views > 1 << 24 {
            return Err(Error::Input(format!("{samples} samples in {views} views are too many for one ray on CUDA")));
        }
        Ok(Self {
            place,
            shared,
            workspace: workspace.next_multiple_of(256),
            threads: 32 * warps as u32,
            resident,
            blocks: resident * device.multiprocessors as usize,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cuda::instance::render_source;

    #[test]
    fn blocks_fit_their_multiprocessor() {
        let device = kernels_host::device();
        for config in [Config::official(8), Config::official(8).shift_add()] {
            let plan = |samples, tuning| {
                RayLaunch::new(&config, tuning, CudaPrecision::Bf16, device.info(), samples, 10).unwrap()
            };
            let usual = Tuning::usual();
            assert_eq!(plan(192, usual).threads, 384);
            assert_eq!(plan(64, usual).threads, 128);
            assert_eq!(plan(3, usual).threads, 32);
            for registers in [64u32, 128, 176, 255] {
                for samples in [2, 100, 192, 500] {
                    let plan = plan(samples, Tuning { registers, ..usual });
                    let warps = (plan.threads as usize / 32).next_multiple_of(WARPS_AT_ONCE);
                    let all = 32 * warps * registers.next_multiple_of(8) as usize;
                    assert!(all <= FILE && plan.blocks >= 1 && plan.shared <= 163 << 10, "{samples}: {plan:?}");
                }
            }
        }
    }

    /// Cards of 99 and of 163 KiB of shared memory have prebuilt kernels for all networks of this program, at the samples that
    /// they ask for and at 192.
    #[test]
    fn usual_cards_need_no_compiler() {
        let networks = [Config::official(8), Config::medium(), Config::compact()];
        for config in networks.into_iter().flat_map(|config| [config, config.shift_add()]) {
            let precision = crate::cuda::fastest(&config);
            for room in [99 << 10, 163 << 10] {
                let mut device = kernels_host::device().info().clone();
                device.shared_per_block = room;
                for samples in [config.samples, 192] {
                    let usual = Tuning::usual();
                    let launch = RayLaunch::new(&config, usual, precision, &device, samples, 10).unwrap();
                    let source = render_source(&config, usual, precision, launch.place, false).unwrap();
                    assert!(
                        compute::cuda::prebuilt::carries(&source),
                        "{room} bytes, {samples} samples: {}",
                        source.label()
                    );
                }
            }
        }
    }
}
