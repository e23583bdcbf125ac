//! Training of feed-forward parts on a CUDA device: the choice between the kinds, one `match` a verb.

use super::FeedForward;
use super::experts::cuda::{CudaExpertsScratch, CudaExpertsTape};
use super::experts::{Balance, Noise, Usage};
use super::mlp::cuda::{CudaMlpScratch, CudaMlpTape};
use crate::cuda::{Footprints, Ops, Store};
use compute::cuda::{Buffer, Result};

/// What the backward pass needs from the forward pass; the kinds that are not used stay empty.
#[derive(Debug, Default)]
pub struct CudaFeedForwardTape {
    mlp: CudaMlpTape,
    experts: CudaExpertsTape,
}

/// Buffers of the backward pass, shared by all blocks.
#[derive(Debug, Default)]
pub struct CudaFeedForwardScratch {
    mlp: CudaMlpScratch,
    experts: CudaExpertsScratch,
}

impl FeedForward {
    /// What tape and scratch hold.
    pub fn cuda_footprints(&self) -> Footprints {
        match self {
            Self::Mlp(layer) => layer.cuda_footprints(),
            Self::Experts(layer) => layer.cuda_footprints(),
        }
    }

    /// What the router did in the forward pass that left `tape`; zeros where there is none.
    pub fn cuda_usage(&self, tape: &CudaFeedForwardTape) -> Usage {
        match self {
            Self::Mlp(_) => Usage::default(),
            Self::Experts(_) => tape.experts.usage(),
        }
    }
}

impl Ops {
    /// As [`FeedForward::forward`]: adds the part's output to the states `x` `[rows, C]`.
    ///
    /// # Errors
    /// If there is not enough memory, or the device fails.
    pub fn feed_forward(
        &self,
        layer: &FeedForward,
        params: &Buffer<f32>,
        x: &mut Store,
        noise: Option<Noise>,
        tape: &mut CudaFeedForwardTape,
    ) -> Result<()> {
        match layer {
            FeedForward::Mlp(layer) => self.mlp(layer, params, x, &mut tape.mlp),
            FeedForward::Experts(layer) => self.experts(layer, params, x, noise, &mut tape.experts),
        }
    }

    /// As [`FeedForward::backward`]: turns the gradient of the output into that of the input, in place in `dx`
    /// `[rows, C]`.
    ///
    /// # Errors
    /// If there is not enough memory, or the device fails.
    pub fn feed_forward_backward(
        &self,
        layer: &FeedForward,
        params: &Buffer<f32>,
        tape: &CudaFeedForwardTape,
        dx: &mut Store,
        scratch: &mut CudaFeedForwardScratch,
        grads: &mut Buffer<f32>,
        balance: Option<Balance>,
    ) -> Result<()> {
        match layer {
            FeedForward::Mlp(layer) => self.mlp_backward(layer, params, &tape.mlp, dx, &mut scratch.mlp, grads),
            FeedForward::Experts(layer) => {
                self.experts_backward(layer, params, &tape.experts, dx, &mut scratch.experts, grads, balance)
            }
        }
    }
}
