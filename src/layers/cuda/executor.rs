//! Training on a CUDA device, as trunks call it.

use super::{Ops, Store};
use crate::executor::Executor;
use crate::feed_forward::FeedForward;
use crate::feed_forward::cuda::{CudaFeedForwardScratch, CudaFeedForwardTape};
use crate::feed_forward::experts::{Balance, Noise, Usage};
use crate::layer_norm::LayerNorm;
use crate::layer_norm::cuda::CudaLayerNormTape;
use crate::linear::Linear;
use crate::ray_attention::RayAttention;
use crate::ray_attention::cuda::{CudaRayAttentionScratch, CudaRayAttentionTape};
use crate::view_attention::ViewAttention;
use crate::view_attention::cuda::{CudaViewAttentionScratch, CudaViewAttentionTape, CudaViewTokens};
use compute::cuda::{Buffer, CudaError, Result};

/// What has the layers' operations on a device, perhaps beside operations of its own: every such thing is an executor.
pub trait OnCuda {
    /// The layers' operations.
    fn ops(&self) -> &Ops;
}

impl OnCuda for Ops {
    fn ops(&self) -> &Ops {
        self
    }
}

impl<T: OnCuda> Executor for T {
    type Error = CudaError;
    type Values = Store;
    type Flat = Buffer<f32>;
    type ViewAttentionTape = CudaViewAttentionTape;
    type ViewAttentionScratch = CudaViewAttentionScratch;
    type RayAttentionTape = CudaRayAttentionTape;
    type RayAttentionScratch = CudaRayAttentionScratch;
    type FeedForwardTape = CudaFeedForwardTape;
    type FeedForwardScratch = CudaFeedForwardScratch;

    fn len(values: &Store) -> usize {
        values.len()
    }

    fn resize(&self, values: &mut Store, len: usize) -> Result<()> {
        values.resize(self.ops().device(), len).map(drop)
    }

    fn copy(&self, from: &Store, to: &mut Store) -> Result<()> {
        to.resize(self.ops().device(), from.len())?;
        self.ops().copy(from, to)
    }

    fn add(&self, from: &Store, to: &mut Store) -> Result<()> {
        self.ops().axpy(1.0, from, to)
    }

    fn zeros(&self, to: &mut Store, len: usize) -> Result<()> {
        to.resize(self.ops().device(), len)?;
        self.ops().fill(0.0, to)
    }

    fn relu_backward(&self, y: &Store, dy: &mut Store) -> Result<()> {
        self.ops().relu_backward(y, dy)
    }

    fn linear(
        &self,
        layer: &Linear,
        params: &Buffer<f32>,
        x: &Store,
        y: &mut Store,
        accumulate: bool,
        relu: bool,
    ) -> Result<()> {
        self.ops().linear(layer, params, x, y, accumulate, relu)
    }

    fn linear_backward(
        &self,
        layer: &Linear,
        params: &Buffer<f32>,
        x: &Store,
        dy: &Store,
        dx: Option<(&mut Store, bool)>,
        grads: &mut Buffer<f32>,
    ) -> Result<()> {
        let dx = dx.map(|(dx, accumulate)| (dx.slice_mut(), accumulate));
        self.ops().linear_backward(layer, params, x, dy, dx, grads)
    }

    fn layer_norm(
        &self,
        layer: &LayerNorm,
        params: &Buffer<f32>,
        x: &Store,
        tape: &mut CudaLayerNormTape,
    ) -> Result<()> {
        self.ops().layer_norm(layer, params, x, tape)
    }

    fn layer_norm_backward(
        &self,
        layer: &LayerNorm,
        params: &Buffer<f32>,
        tape: &CudaLayerNormTape,
        dy: &Store,
        dx: &mut Store,
        grads: &mut Buffer<f32>,
    ) -> Result<()> {
        self.ops().layer_norm_backward(layer, params, tape, dy, dx, grads)
    }

    fn view_attention(
        &self,
        layer: &ViewAttention,
        params: &Buffer<f32>,
        tokens: &CudaViewTokens,
        q: &mut Store,
        tape: &mut CudaViewAttentionTape,
        scratch: &mut CudaViewAttentionScratch,
    ) -> Result<()> {
        self.ops().view_attention(layer, params, tokens, q, tape, scratch)
    }

    fn view_attention_backward(
        &self,
        layer: &ViewAttention,
        params: &Buffer<f32>,
        tokens: &mut CudaViewTokens,
        tape: &CudaViewAttentionTape,
        dq: &mut Store,
        scratch: &mut CudaViewAttentionScratch,
        grads: &mut Buffer<f32>,
    ) -> Result<()> {
        self.ops().view_attention_backward(layer, params, tokens, tape, dq, scratch, grads)
    }

    fn ray_attention(
        &self,
        layer: &RayAttention,
        params: &Buffer<f32>,
        samples: usize,
        x: &mut Store,
        tape: &mut CudaRayAttentionTape,
    ) -> Result<()> {
        self.ops().ray_attention(layer, params, samples, x, tape)
    }

    fn ray_attention_backward(
        &self,
        layer: &RayAttention,
        params: &Buffer<f32>,
        samples: usize,
        tape: &CudaRayAttentionTape,
        dx: &mut Store,
        scratch: &mut CudaRayAttentionScratch,
        grads: &mut Buffer<f32>,
    ) -> Result<()> {
        self.ops().ray_attention_backward(layer, params, samples, tape, dx, scratch, grads)
    }

    fn ray_attention_first_rows(
        &self,
        layer: &RayAttention,
        params: &Buffer<f32>,
        tape: &CudaRayAttentionTape,
        rays: usize,
        samples: usize,
        weights: &mut Store,
    ) -> Result<()> {
        weights.resize(self.ops().device(), rays * samples)?;
        self.ops().ray_attention_first_rows(layer, params, samples, tape, weights)
    }

    fn feed_forward(
        &self,
        layer: &FeedForward,
        params: &Buffer<f32>,
        x: &mut Store,
        noise: Option<Noise>,
        tape: &mut CudaFeedForwardTape,
    ) -> Result<()> {
        self.ops().feed_forward(layer, params, x, noise, tape)
    }

    fn feed_forward_backward(
        &self,
        layer: &FeedForward,
        params: &Buffer<f32>,
        tape: &CudaFeedForwardTape,
        dx: &mut Store,
        scratch: &mut CudaFeedForwardScratch,
        grads: &mut Buffer<f32>,
        balance: Option<Balance>,
    ) -> Result<()> {
        self.ops().feed_forward_backward(layer, params, tape, dx, scratch, grads, balance)
    }

    fn usage(layer: &FeedForward, tape: &CudaFeedForwardTape) -> Usage {
        layer.cuda_usage(tape)
    }
}
