//! The variants of a block's layers on the device, each with its forward and backward pass.

use super::hamming::{self, HammingScratch, HammingTape};
use super::kernels::Kernels;
use super::subtract::{self, SubtractScratch, SubtractTape};
use super::tokens::CudaTokens;
use crate::network::parameters::{Block, MlpLayer, PositionLayer, RayLayer, ViewLayer};
use layers::cuda::{
    ExpertsScratch, ExpertsTape, FeedForwardScratch, FeedForwardTape, RayAttentionScratch, RayAttentionTape, Store,
};
use layers::experts::{Balance, Noise};
use tensor::cuda::{Buffer, CudaError, Result};

/// Activations of one pair of blocks; a variant that the network lacks stays empty.
#[derive(Debug, Default)]
pub(super) struct BlockTape {
    subtract: SubtractTape,
    hamming: HammingTape,
    pub view_ff: MlpTape,
    position: PositionTape,
    ray: RayAttentionTape,
    pub ray_ff: MlpTape,
}

/// Activations of a feed-forward part.
#[derive(Debug, Default)]
pub(super) struct MlpTape {
    single: FeedForwardTape,
    pub experts: ExpertsTape,
}

#[derive(Debug, Default)]
struct PositionTape {
    state: Store,
    hidden: Store,
}

/// Buffers that all blocks share.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    subtract: SubtractScratch,
    hamming: HammingScratch,
    ray: RayAttentionScratch,
    single: FeedForwardScratch,
    experts: ExpertsScratch,
    d_hidden: Store,
}

/// What every layer of a pass needs.
#[derive(Clone, Copy)]
pub(super) struct Pass<'a> {
    pub kernels: &'a Kernels,
    pub params: &'a Buffer<f32>,
    /// Position encoding of the samples `[T, channels]`.
    pub encoding: &'a Store,
    pub samples: usize,
}

fn no_linear_angular() -> CudaError {
    let problem =
        "expected softmax or Hamming attention along the ray, which train on CUDA; this kind trains on the CPU";
    CudaError::Kernels { label: "linear-angular attention".into(), problem: problem.into() }
}

impl RayLayer {
    /// Refuses the kind that has no kernels.
    pub(super) fn check_cuda(&self) -> Result<()> {
        if let Self::LinearAngular(_) = self { Err(no_linear_angular()) } else { Ok(()) }
    }
}

impl Pass<'_> {
    pub fn view(
        &self,
        block: &Block,
        tokens: &CudaTokens,
        q: &mut Store,
        tape: &mut BlockTape,
        scratch: &mut Scratch,
    ) -> Result<()> {
        match &block.view {
            ViewLayer::Subtract(layer) => {
                let (tape, scratch) = (&mut tape.subtract, &mut scratch.subtract);
                subtract::forward(self.kernels, layer, self.params, tokens, q, tape, scratch)
            }
            ViewLayer::Hamming(layer) => {
                hamming::forward(self.kernels, layer, self.params, tokens, q, &mut tape.hamming)
            }
        }
    }

    pub fn view_backward(
        &self,
        block: &Block,
        tokens: &mut CudaTokens,
        tape: &BlockTape,
        dq: &mut Store,
        scratch: &mut Scratch,
        grads: &mut Buffer<f32>,
    ) -> Result<()> {
        match &block.view {
            ViewLayer::Subtract(layer) => {
                let (tape, scratch) = (&tape.subtract, &mut scratch.subtract);
                subtract::backward(self.kernels, layer, self.params, tokens, tape, dq, scratch, grads)
            }
            ViewLayer::Hamming(layer) => {
                let (tape, scratch) = (&tape.hamming, &mut scratch.hamming);
                hamming::backward(self.kernels, layer, self.params, tokens, tape, dq, scratch, grads)
            }
        }
    }

    pub fn mlp(&self, layer: &MlpLayer, q: &mut Store, tape: &mut MlpTape, noise: Option<Noise>) -> Result<()> {
        let ops = &self.kernels.ops;
        match layer {
            MlpLayer::Single(layer) => ops.feed_forward(layer, self.params, q, &mut tape.single),
            MlpLayer::Experts(layer) => ops.experts(layer, self.params, q, noise, &mut tape.experts),
        }
    }

    pub fn mlp_backward(
        &self,
        layer: &MlpLayer,
        tape: &MlpTape,
        dq: &mut Store,
        scratch: &mut Scratch,
        grads: &mut Buffer<f32>,
        balance: Option<Balance>,
    ) -> Result<()> {
        let (ops, params) = (&self.kernels.ops, self.params);
        match layer {
            MlpLayer::Single(layer) => {
                ops.feed_forward_backward(layer, params, &tape.single, dq, &mut scratch.single, grads)
            }
            MlpLayer::Experts(layer) => {
                ops.experts_backward(layer, params, &tape.experts, dq, &mut scratch.experts, grads, balance)
            }
        }
    }

    /// Joins state and position encoding, where the block does.
    pub fn position(&self, layer: &PositionLayer, q: &mut Store, tape: &mut BlockTape) -> Result<()> {
        let (ops, params, device) = (&self.kernels.ops, self.params, self.kernels.device());
        let PositionTape { state, hidden } = &mut tape.position;
        ops.copy(&*q, &mut *state.resize(device, q.len())?)?;
        hidden.resize(device, q.len())?;
        ops.linear(&layer.state, params, &*state, &mut *hidden, false, false)?;
        ops.linear(&layer.encoding, params, self.encoding, &mut *hidden, true, true)?;
        ops.linear(&layer.fc2, params, &*hidden, q, false, false)
    }

    pub fn position_backward(
        &self,
        layer: &PositionLayer,
        tape: &BlockTape,
        dq: &mut Store,
        scratch: &mut Scratch,
        grads: &mut Buffer<f32>,
    ) -> Result<()> {
        let (ops, params, tape) = (&self.kernels.ops, self.params, &tape.position);
        let d_hidden = scratch.d_hidden.resize(self.kernels.device(), tape.hidden.len())?;
        ops.linear_backward(&layer.fc2, params, &tape.hidden, &*dq, Some((d_hidden.view_mut(), false)), grads)?;
        ops.relu_backward(&tape.hidden, &mut *d_hidden)?;
        ops.linear_backward(&layer.encoding, params, self.encoding, &*d_hidden, None, grads)?;
        ops.linear_backward(&layer.state, params, &tape.state, &*d_hidden, Some((dq.view_mut(), false)), grads)
    }

    pub fn ray(&self, layer: &RayLayer, q: &mut Store, tape: &mut BlockTape) -> Result<()> {
        let (ops, params, samples) = (&self.kernels.ops, self.params, self.samples);
        match layer {
            RayLayer::Softmax(layer) => ops.ray_attention(layer, params, samples, q, &mut tape.ray),
            RayLayer::Hamming(layer) => ops.hamming_ray_attention(layer, params, samples, q, &mut tape.ray),
            RayLayer::LinearAngular(_) => Err(no_linear_angular()),
        }
    }

    pub fn ray_backward(
        &self,
        layer: &RayLayer,
        tape: &BlockTape,
        dq: &mut Store,
        scratch: &mut Scratch,
        grads: &mut Buffer<f32>,
    ) -> Result<()> {
        let (ops, params, samples, scratch) = (&self.kernels.ops, self.params, self.samples, &mut scratch.ray);
        match layer {
            RayLayer::Softmax(layer) => {
                ops.ray_attention_backward(layer, params, samples, &tape.ray, dq, scratch, grads)
            }
            RayLayer::Hamming(layer) => {
                ops.hamming_ray_attention_backward(layer, params, samples, &tape.ray, dq, scratch, grads)
            }
            RayLayer::LinearAngular(_) => Err(no_linear_angular()),
        }
    }

    /// Head-averaged attention of the first sample of each ray, `[rays, samples]`.
    pub fn first_rows(&self, layer: &RayLayer, tape: &BlockTape, out: &mut Store) -> Result<()> {
        let (ops, params, samples) = (&self.kernels.ops, self.params, self.samples);
        match layer {
            RayLayer::Softmax(layer) => ops.ray_attention_first_rows(layer, params, samples, &tape.ray, out),
            RayLayer::Hamming(layer) => ops.hamming_ray_attention_first_rows(layer, params, samples, &tape.ray, out),
            RayLayer::LinearAngular(_) => Err(no_linear_angular()),
        }
    }
}
