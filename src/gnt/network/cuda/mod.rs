//! What the training path has of its own on a CUDA device: its kernels, and how much memory a ray takes.
//!
//! Activations of all rays of a chunk stay in the device's memory, so a chunk is as large as that allows.

#[cfg(test)]
mod tests;

use super::{head, start, tokens};
use crate::config::Config;
use crate::folded::Folded;
use compute::cuda::{Device, KernelSource, Module, Result};
use layers::cuda::{Footprint, OnCuda, Ops};

/// The layers' operations and the kernels that are the transformer's own, on one device.
#[derive(Debug)]
pub struct Kernels {
    /// The layers' operations.
    pub ops: Ops,
    pub(super) tokens: Module,
    pub(super) start: Module,
    pub(super) encoding: Module,
    pub(super) head: Module,
}

impl Kernels {
    /// Makes the kernels ready.
    ///
    /// # Errors
    /// If they cannot be compiled or loaded.
    pub fn new(device: &Device) -> Result<Self> {
        let module = |file| device.module(&KernelSource::plain(file));
        Ok(Self {
            ops: Ops::new(device)?,
            tokens: module("training/tokens.cu")?,
            start: module("training/start.cu")?,
            encoding: module("training/encoding.cu")?,
            head: module("training/head.cu")?,
        })
    }

    /// The device.
    pub fn device(&self) -> &Device {
        self.ops.device()
    }
}

impl OnCuda for Kernels {
    fn ops(&self) -> &Ops {
        &self.ops
    }
}

/// Refuses networks that do not train on CUDA.
///
/// # Errors
/// [`compute::cuda::CudaError::Kernels`] for a kind of layer without kernels.
pub fn check(net: &Folded) -> Result<()> {
    net.blocks.iter().try_for_each(|block| block.ray.cuda_footprints().map(drop))
}

/// About how many bytes of device memory a ray of a chunk takes, with its activations and gradients; recorded states not
/// counted.
///
/// # Errors
/// As [`check`].
pub fn bytes_per_ray(config: &Config, net: &Folded, samples: usize, views: usize) -> Result<usize> {
    let c = net.norm.width;
    // The states with their gradient, and the position encoding.
    let mut sum = Footprint::sample(2 * c + config.position.channels());
    sum = sum + tokens::cuda::footprint(net) + start::cuda::footprint(net) + head::cuda::footprint(net);
    // Buffers that all blocks share, of each slot.
    let mut shared = [Footprint::default(); 3];
    for block in &net.blocks {
        let slots = [
            (0, block.view.cuda_footprints()),
            (1, block.ray.cuda_footprints()?),
            (2, block.view_ff.cuda_footprints()),
            (2, block.ray_ff.cuda_footprints()),
        ];
        for (slot, of) in slots {
            sum = sum + of.tape;
            shared[slot] = shared[slot].max(of.scratch);
        }
        if block.position.is_some() {
            sum = sum + Footprint::sample(2 * c);
        }
    }
    // The position layers share a gradient of their hidden layer.
    let shared = shared.into_iter().fold(Footprint::sample(c), |sum, of| sum + of);
    Ok(samples * (sum + shared).bytes(views))
}
