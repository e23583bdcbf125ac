//! Training of attention along the ray on a CUDA device: the choice between the kinds, one `match` a verb.

mod scored;

pub(crate) use scored::ScoredAttention;
pub use scored::{CudaScoredAttentionScratch, CudaScoredAttentionTape};

use super::RayAttention;
use super::linear_angular::cuda::{CudaLinearAngularScratch, CudaLinearAngularTape};
use crate::cuda::{Footprints, Ops, Store};
#[cfg(doc)]
use compute::cuda::CudaError;
use compute::cuda::{Buffer, Result};

/// What the backward pass needs from the forward pass; the kinds that are not used stay empty.
#[derive(Debug, Default)]
pub struct CudaRayAttentionTape {
    scored: CudaScoredAttentionTape,
    linear_angular: CudaLinearAngularTape,
}

/// Buffers of the backward pass, shared by all blocks.
#[derive(Debug, Default)]
pub struct CudaRayAttentionScratch {
    scored: CudaScoredAttentionScratch,
    linear_angular: CudaLinearAngularScratch,
}

impl RayAttention {
    /// What tape and scratch hold.
    ///
    /// # Errors
    /// [`CudaError::Kernels`] for a kind that does not train on CUDA; today there is none.
    pub fn cuda_footprints(&self) -> Result<Footprints> {
        match self {
            Self::Softmax(layer) => Ok(layer.scored().cuda_footprints()),
            Self::Hamming(layer) => Ok(layer.scored().cuda_footprints()),
            Self::LinearAngular(layer) => Ok(layer.cuda_footprints()),
        }
    }
}

impl Ops {
    /// As [`RayAttention::forward`]: adds the attention's output to the states `x` `[rays, samples, C]`.
    ///
    /// # Errors
    /// [`CudaError::Kernels`] for heads of more than 128 channels, where scores are computed, and if the
    /// device fails.
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
            RayAttention::LinearAngular(layer) => {
                self.linear_angular(layer, params, samples, x.slice_mut(), &mut tape.linear_angular)
            }
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
        let (scored, scratch_scored) = (&tape.scored, &mut scratch.scored);
        let dx = dx.slice_mut();
        match layer {
            RayAttention::Softmax(layer) => {
                self.scored_attention_backward(layer.scored(), params, samples, scored, dx, scratch_scored, grads)
            }
            RayAttention::Hamming(layer) => {
                self.scored_attention_backward(layer.scored(), params, samples, scored, dx, scratch_scored, grads)
            }
            RayAttention::LinearAngular(layer) => {
                let (tape, scratch) = (&tape.linear_angular, &mut scratch.linear_angular);
                self.linear_angular_backward(layer, params, samples, tape, dx, scratch, grads)
            }
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
        let weights = weights.slice_mut();
        match layer {
            RayAttention::Softmax(layer) => {
                self.scored_attention_first_rows(layer.scored(), params, samples, &tape.scored, weights)
            }
            RayAttention::Hamming(layer) => {
                self.scored_attention_first_rows(layer.scored(), params, samples, &tape.scored, weights)
            }
            RayAttention::LinearAngular(layer) => {
                self.linear_angular_first_rows(layer, samples, &tape.linear_angular, weights)
            }
        }
    }
}
