//! Launches that take over the decisions of another device, so that what follows from them can be compared strictly; see
//! [`crate::trace`].

use super::batch::{RayBatch, Rays, Want};
use super::{CudaEngine, CudaSource};
use crate::trace::{Decision, Decisions};
use crate::{Error, Result};
use compute::cuda::Buffer;
use compute::cuda::twin::{Address, Out};
use compute::twin;

/// Decisions that the device would have made otherwise, of all that it made, by [`Decision`].
pub type Flips = [(u64, u64); Decision::ALL.len()];

twin! {
    /// Decisions of another device; null where the network has none of a kind.
    pub(super) struct DecisionTable {
        pixels: Address<i32>,
        view_queries: Address<u32>,
        ray_queries: Address<u32>,
        ray_keys: Address<u32>,
        experts: Address<u8>,
        /// By DECISION: how many this device would have made otherwise.
        flips: Address<Out<u64>>,
    }
}

/// Decisions on a device.
#[derive(Debug)]
pub(super) struct Uploaded {
    pub table: Buffer<DecisionTable>,
    flips: Buffer<u64>,
    // Held because the table points to them.
    _pixels: Buffer<i32>,
    _codes: [Buffer<u32>; 3],
    _experts: Buffer<u8>,
}

impl CudaEngine {
    /// Renders rays with the decisions of another device, and tells which ones this device would have made otherwise.
    ///
    /// # Errors
    /// As [`CudaEngine::render`], and if there are not as many decisions as the rays need.
    pub fn render_forced(
        &mut self,
        sources: &[&CudaSource],
        rays: Rays,
        want: Want,
        decisions: &Decisions,
    ) -> Result<(RayBatch, Flips)> {
        let all = self.count_decisions(rays.rays.len() * rays.samples, sources.len());
        let bits = 32 * self.config.width.div_ceil(32) as u64;
        let words = |count: u64| count / self.config.width as u64 * bits / 32;
        let Decisions { pixels, view_queries, ray_queries, ray_keys, experts } = decisions;
        let found = [pixels.len(), view_queries.len(), ray_queries.len(), ray_keys.len(), experts.len()];
        let expected = [all[0], words(all[1]), words(all[2]), words(all[3]), all[4]];
        if found.map(|n| n as u64) != expected {
            return Err(Error::Input(format!("decisions of another device: expected {expected:?}, found {found:?}")));
        }
        let device = &self.device;
        let codes = [device.upload(view_queries)?, device.upload(ray_queries)?, device.upload(ray_keys)?];
        let (pixels, experts) = (device.upload(pixels)?, device.upload(experts)?);
        let flips = device.zeros::<u64>(Decision::ALL.len())?;
        let table = DecisionTable {
            pixels: (&pixels).into(),
            view_queries: (&codes[0]).into(),
            ray_queries: (&codes[1]).into(),
            ray_keys: (&codes[2]).into(),
            experts: (&experts).into(),
            flips: (&flips).into(),
        };
        let table = device.upload(&[table])?;
        let uploaded = Uploaded { table, flips, _pixels: pixels, _codes: codes, _experts: experts };
        self.start_with(0, sources, rays, want, Some(&uploaded))?;
        let batch = self.finish(0)?;
        let flips = uploaded.flips.read()?;
        Ok((batch, std::array::from_fn(|i| (flips[i], all[i]))))
    }

    /// How many decisions of each kind as many samples need.
    fn count_decisions(&self, samples: usize, views: usize) -> [u64; Decision::ALL.len()] {
        let config = &self.config;
        let codes = config.depth * samples * config.width;
        let if_so = |there: bool, count: usize| if there { count as u64 } else { 0 };
        let (view, ray) = (config.view_attention.has_codes(), config.ray_attention.has_codes());
        let experts = config.mlp.has_experts();
        [
            if_so(view, samples * views),
            if_so(view, codes),
            if_so(ray, codes),
            if_so(ray, codes),
            if_so(experts, 2 * config.depth * samples),
        ]
    }
}
