//! Training of attention over source views on a CUDA device: the choice between the kinds, one `match` a verb.

use super::ViewAttention;
pub use super::cuda_tokens::CudaViewTokens;
use super::hamming::cuda::{CudaHammingViewAttentionScratch, CudaHammingViewAttentionTape};
use super::subtraction::cuda::{CudaSubtractionAttentionScratch, CudaSubtractionAttentionTape};
use crate::cuda::{Footprints, Ops, Store};
use compute::cuda::{Buffer, Result};

/// What the backward pass needs from the forward pass; the kinds that are not used stay empty.
#[derive(Debug, Default)]
pub struct CudaViewAttentionTape {
    subtraction: CudaSubtractionAttentionTape,
    hamming: CudaHammingViewAttentionTape,
}

/// Buffers of both passes, shared by all blocks.
#[derive(Debug, Default)]
pub struct CudaViewAttentionScratch {
    subtraction: CudaSubtractionAttentionScratch,
    hamming: CudaHammingViewAttentionScratch,
}

impl ViewAttention {
    /// What tape and scratch hold.
    pub fn cuda_footprints(&self) -> Footprints {
        match self {
            Self::Subtraction(layer) => layer.cuda_footprints(),
            Self::Hamming(layer) => layer.cuda_footprints(),
        }
    }
}

impl Ops {
    /// As [`ViewAttention::forward`]: adds the attention's output to the states `q` `[samples, C]`.
    ///
    /// # Errors
    /// If there is not enough memory, or the device fails.
    pub fn view_attention(
        &self,
        layer: &ViewAttention,
        params: &Buffer<f32>,
        tokens: &CudaViewTokens,
        q: &mut Store,
        tape: &mut CudaViewAttentionTape,
        scratch: &mut CudaViewAttentionScratch,
    ) -> Result<()> {
        match layer {
            ViewAttention::Subtraction(layer) => {
                let (tape, scratch) = (&mut tape.subtraction, &mut scratch.subtraction);
                self.subtraction_attention(layer, params, tokens, q, tape, scratch)
            }
            ViewAttention::Hamming(layer) => self.hamming_view_attention(layer, params, tokens, q, &mut tape.hamming),
        }
    }

    /// As [`ViewAttention::backward`]: turns the gradient of the output into that of the input, in place in `dq`
    /// `[samples, C]`, and adds the gradients of tokens and keys to those in `tokens`.
    ///
    /// # Errors
    /// If there is not enough memory, or the device fails.
    pub fn view_attention_backward(
        &self,
        layer: &ViewAttention,
        params: &Buffer<f32>,
        tokens: &mut CudaViewTokens,
        tape: &CudaViewAttentionTape,
        dq: &mut Store,
        scratch: &mut CudaViewAttentionScratch,
        grads: &mut Buffer<f32>,
    ) -> Result<()> {
        match layer {
            ViewAttention::Subtraction(layer) => {
                let (tape, scratch) = (&tape.subtraction, &mut scratch.subtraction);
                self.subtraction_attention_backward(layer, params, tokens, tape, dq, scratch, grads)
            }
            ViewAttention::Hamming(layer) => {
                let (tape, scratch) = (&tape.hamming, &mut scratch.hamming);
                self.hamming_view_attention_backward(layer, params, tokens, tape, dq, scratch, grads)
            }
        }
    }
}
