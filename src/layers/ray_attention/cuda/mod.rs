//! Training of attention along the ray on a CUDA device: the choice between the kinds, one `match` a verb.

mod scored;

pub(crate) use scored::ScoredAttention;
pub use scored::{CudaScoredAttentionScratch, CudaScoredAttentionTape};

use super::RayAttention;
use crate::cuda::{Footprints, Ops, Store};
use compute::cuda::{Buffer, CudaError, Result};

/// What the backward pass needs from the forward pass; the kinds that are not used stay empty.
#[derive(Debug, Default)]
pub struct CudaRayAttentionTape {
    scored: CudaScoredAttentionTape,
}

/// Buffers of the backward pass, shared by all blocks.
#[derive(Debug, Default)]
pub struct CudaRayAttentionScratch {
    scored: CudaScoredAttentionScratch,
}

/// The error of the kind that has no kernels.
fn no_linear_angular() -> CudaError {
    let problem =
        "expected softmax or Hamming attention along the ray, which train on CUDA; this kind trains on the CPU";
    CudaError::Kernels { label: "linear-angular attention".into(), problem: problem.into() }
}

impl RayAttention {
    /// What tape and scratch hold.
    ///
    /// # Errors
    /// [`CudaError::Kernels`] for linear-angular attention, which does not train on CUDA.
    pub fn cuda_footprints(&self) -> Result<Footprints> {
        match self {
            Self::Softmax(layer) => Ok(layer.scored().cuda_footprints()),
            Self::Hamming(layer) => Ok(layer.scored().cuda_footprints()),
            Self::LinearAngular(_) => Err(no_linear_angular()),
        }
    }
}

impl Ops {
    /// As [`RayAttention::forward`]: adds the attention's output to the states `x` `[rays, samples, C]`.
    ///
    /// # Errors
    /// [`CudaError::Kernels`] for heads of more than 128 channels and for linear-angular attention, and if the device
    /// fails.
    pub fn ray_attention(
        &self,
        layer: &RayAttention,
        params: &Buffer<f32>,
        samples: usize,
        x: &mut Store,
        tape: &mut CudaRayAttentionTape,
    ) -> Result<()> {
        match layer {
            RayAttention::Softmax(layer) => {
                self.scored_attention(layer.scored(), params, samples, x.slice_mut(), &mut tape.scored)
            }
            RayAttention::Hamming(layer) => {
                self.scored_attention(layer.scored(), params, samples, x.slice_mut(), &mut tape.scored)
            }
            RayAttention::LinearAngular(_) => Err(no_linear_angular()),
        }
    }

    /// As [`RayAttention::backward`]: turns the gradient of the output into that of the input, in place in `dx`
    /// `[rays, samples, C]`.
    ///
    /// # Errors
    /// If the device fails.
    pub fn ray_attention_backward(
        &self,
        layer: &RayAttention,
        params: &Buffer<f32>,
        samples: usize,
        tape: &CudaRayAttentionTape,
        dx: &mut Store,
        scratch: &mut CudaRayAttentionScratch,
        grads: &mut Buffer<f32>,
    ) -> Result<()> {
        let (dx, tape, scratch) = (dx.slice_mut(), &tape.scored, &mut scratch.scored);
        match layer {
            RayAttention::Softmax(layer) => {
                self.scored_attention_backward(layer.scored(), params, samples, tape, dx, scratch, grads)
            }
            RayAttention::Hamming(layer) => {
                self.scored_attention_backward(layer.scored(), params, samples, tape, dx, scratch, grads)
            }
            RayAttention::LinearAngular(_) => Err(no_linear_angular()),
        }
    }

    /// As [`RayAttention::first_rows`]: writes the head-averaged attention of the first sample of each ray to `weights`
    /// `[rays, samples]`.
    ///
    /// # Errors
    /// If the device fails.
    pub fn ray_attention_first_rows(
        &self,
        layer: &RayAttention,
        params: &Buffer<f32>,
        samples: usize,
        tape: &CudaRayAttentionTape,
        weights: &mut Store,
    ) -> Result<()> {
        let (weights, tape) = (weights.slice_mut(), &tape.scored);
        match layer {
            RayAttention::Softmax(layer) => {
                self.scored_attention_first_rows(layer.scored(), params, samples, tape, weights)
            }
            RayAttention::Hamming(layer) => {
                self.scored_attention_first_rows(layer.scored(), params, samples, tape, weights)
            }
            RayAttention::LinearAngular(_) => Err(no_linear_angular()),
        }
    }
}
