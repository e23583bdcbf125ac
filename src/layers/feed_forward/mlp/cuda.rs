//! Training of the feed-forward block on a CUDA device.

use super::Mlp;
use crate::cuda::{Footprint, Footprints, Ops, SliceMut, Store};
use crate::layer_norm::cuda::CudaLayerNormTape;
use compute::cuda::{Buffer, Result};

/// What the backward pass needs from the forward pass.
#[derive(Debug, Default)]
pub struct CudaMlpTape {
    norm: CudaLayerNormTape,
    hidden: Store,
}

/// Memory of the backward pass, shared by all blocks.
#[derive(Debug, Default)]
pub struct CudaMlpScratch {
    d_hidden: Store,
    d_norm: Store,
}

impl Mlp {
    /// What tape and scratch hold.
    pub fn cuda_footprints(&self) -> Footprints {
        let (width, hidden) = (self.fc1.inputs, self.fc1.outputs);
        Footprints {
            tape: self.norm.cuda_footprint() + Footprint::sample(hidden),
            scratch: Footprint::sample(hidden + width),
        }
    }
}

impl Ops {
    /// As [`Mlp::forward`]: adds the block's output to `x` `[rows, width]`.
    ///
    /// # Panics
    /// If `x` is not whole rows.
    ///
    /// # Errors
    /// If the device fails.
    pub fn mlp<'a>(
        &self,
        layer: &Mlp,
        params: &Buffer<f32>,
        x: impl Into<SliceMut<'a>>,
        tape: &mut CudaMlpTape,
    ) -> Result<()> {
        let x = x.into();
        self.layer_norm(&layer.norm, params, x.slice(), &mut tape.norm)?;
        tape.hidden.resize(&self.device, x.len() / layer.fc1.inputs * layer.fc1.outputs)?;
        self.linear(&layer.fc1, params, &tape.norm.y, &mut tape.hidden, false, true)?;
        self.linear(&layer.fc2, params, &tape.hidden, x, true, false)
    }

    /// Turns the gradient of the output into that of the input, in place in `dx` `[rows, width]`.
    ///
    /// # Panics
    /// If the sizes differ from the forward pass.
    ///
    /// # Errors
    /// If the device fails.
    pub fn mlp_backward<'a>(
        &self,
        layer: &Mlp,
        params: &Buffer<f32>,
        tape: &CudaMlpTape,
        dx: impl Into<SliceMut<'a>>,
        scratch: &mut CudaMlpScratch,
        grads: &mut Buffer<f32>,
    ) -> Result<()> {
        let dx = dx.into();
        let d_hidden = scratch.d_hidden.resize(&self.device, tape.hidden.len())?;
        self.linear_backward(&layer.fc2, params, &tape.hidden, dx.slice(), Some((d_hidden.slice_mut(), false)), grads)?;
        self.relu_backward(&tape.hidden, &mut *d_hidden)?;
        let d_norm = scratch.d_norm.resize(&self.device, dx.len())?;
        self.linear_backward(&layer.fc1, params, &tape.norm.y, &*d_hidden, Some((d_norm.slice_mut(), false)), grads)?;
        self.layer_norm_backward(&layer.norm, params, &tape.norm, &*d_norm, dx, grads)
    }
}

#[cfg(test)]
#[path = "cuda_tests.rs"]
mod tests;
