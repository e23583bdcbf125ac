//! Where a network trains: its trunk is written once over an [`Executor`], which is the CPU or a CUDA device.
//!
//! An executor has memory of its own kind and runs layers on it, forward and backward. Trunks say which layers follow one
//! another; what a layer does lies in the layer's folder, in `train.rs` for the CPU and in `cuda.rs` for a device.

mod cpu;

pub use cpu::Cpu;

use crate::feed_forward::FeedForward;
use crate::feed_forward::experts::{Balance, Noise, Usage};
use crate::layer_norm::{LayerNorm, LayerNormTape};
use crate::linear::Linear;
use crate::ray_attention::RayAttention;
use crate::view_attention::{SharedTokens, ViewAttention};
use std::fmt::Debug;

/// Runs layers forward and backward; shapes and meanings are those of the layers' own functions.
///
/// Every verb but [`Executor::len`] can fail where the device does; on the CPU none can.
pub trait Executor {
    /// [`std::convert::Infallible`] on the CPU.
    type Error: Debug;
    /// A vector of f32 that a pass works on, kept between passes.
    type Values: Debug + Default;
    /// All parameters of a network, or their gradients, one after the other.
    type Flat: ?Sized;
    /// What a view attention keeps for its backward pass.
    type ViewAttentionTape: Debug + Default;
    /// Buffers that all view attentions share.
    type ViewAttentionScratch: Debug + Default;
    /// What a ray attention keeps for its backward pass.
    type RayAttentionTape: Debug + Default;
    /// Buffers that all ray attentions share.
    type RayAttentionScratch: Debug + Default;
    /// What a feed-forward part keeps for its backward pass.
    type FeedForwardTape: Debug + Default;
    /// Buffers that all feed-forward parts share.
    type FeedForwardScratch: Debug + Default;

    /// Number of values.
    fn len(values: &Self::Values) -> usize;

    /// Makes room for `len` values, of which those that are new are not defined.
    fn resize(&self, values: &mut Self::Values, len: usize) -> Result<(), Self::Error>;

    /// Makes `to` a copy of `from`, whatever its length was.
    fn copy(&self, from: &Self::Values, to: &mut Self::Values) -> Result<(), Self::Error>;

    /// `to += from`, of one length.
    fn add(&self, from: &Self::Values, to: &mut Self::Values) -> Result<(), Self::Error>;

    /// Makes `to` `len` zeros.
    fn zeros(&self, to: &mut Self::Values, len: usize) -> Result<(), Self::Error>;

    /// Zeroes the gradient `dy` where the output `y` of a ReLU was clipped.
    fn relu_backward(&self, y: &Self::Values, dy: &mut Self::Values) -> Result<(), Self::Error>;

    /// [`Linear::forward`], then a ReLU with `relu`.
    fn linear(
        &self,
        layer: &Linear,
        params: &Self::Flat,
        x: &Self::Values,
        y: &mut Self::Values,
        accumulate: bool,
        relu: bool,
    ) -> Result<(), Self::Error>;

    /// [`Linear::backward`]; `dx` is overwritten, or added to where its flag is set.
    fn linear_backward(
        &self,
        layer: &Linear,
        params: &Self::Flat,
        x: &Self::Values,
        dy: &Self::Values,
        dx: Option<(&mut Self::Values, bool)>,
        grads: &mut Self::Flat,
    ) -> Result<(), Self::Error>;

    /// [`LayerNorm::forward`].
    fn layer_norm(
        &self,
        layer: &LayerNorm,
        params: &Self::Flat,
        x: &Self::Values,
        tape: &mut LayerNormTape<Self::Values>,
    ) -> Result<(), Self::Error>;

    /// [`LayerNorm::backward`].
    fn layer_norm_backward(
        &self,
        layer: &LayerNorm,
        params: &Self::Flat,
        tape: &LayerNormTape<Self::Values>,
        dy: &Self::Values,
        dx: &mut Self::Values,
        grads: &mut Self::Flat,
    ) -> Result<(), Self::Error>;

    /// [`ViewAttention::forward`].
    fn view_attention(
        &self,
        layer: &ViewAttention,
        params: &Self::Flat,
        tokens: &SharedTokens<Self::Values>,
        q: &mut Self::Values,
        tape: &mut Self::ViewAttentionTape,
        scratch: &mut Self::ViewAttentionScratch,
    ) -> Result<(), Self::Error>;

    /// [`ViewAttention::backward`]; the gradients of tokens and keys are added to those in `tokens`.
    fn view_attention_backward(
        &self,
        layer: &ViewAttention,
        params: &Self::Flat,
        tokens: &mut SharedTokens<Self::Values>,
        tape: &Self::ViewAttentionTape,
        dq: &mut Self::Values,
        scratch: &mut Self::ViewAttentionScratch,
        grads: &mut Self::Flat,
    ) -> Result<(), Self::Error>;

    /// [`RayAttention::forward`].
    fn ray_attention(
        &self,
        layer: &RayAttention,
        params: &Self::Flat,
        samples: usize,
        x: &mut Self::Values,
        tape: &mut Self::RayAttentionTape,
    ) -> Result<(), Self::Error>;

    /// [`RayAttention::backward`].
    fn ray_attention_backward(
        &self,
        layer: &RayAttention,
        params: &Self::Flat,
        samples: usize,
        tape: &Self::RayAttentionTape,
        dx: &mut Self::Values,
        scratch: &mut Self::RayAttentionScratch,
        grads: &mut Self::Flat,
    ) -> Result<(), Self::Error>;

    /// [`RayAttention::first_rows`] of `rays` rays.
    fn ray_attention_first_rows(
        &self,
        layer: &RayAttention,
        params: &Self::Flat,
        tape: &Self::RayAttentionTape,
        rays: usize,
        samples: usize,
        weights: &mut Self::Values,
    ) -> Result<(), Self::Error>;

    /// [`FeedForward::forward`].
    fn feed_forward(
        &self,
        layer: &FeedForward,
        params: &Self::Flat,
        x: &mut Self::Values,
        noise: Option<Noise>,
        tape: &mut Self::FeedForwardTape,
    ) -> Result<(), Self::Error>;

    /// [`FeedForward::backward`].
    fn feed_forward_backward(
        &self,
        layer: &FeedForward,
        params: &Self::Flat,
        tape: &Self::FeedForwardTape,
        dx: &mut Self::Values,
        scratch: &mut Self::FeedForwardScratch,
        grads: &mut Self::Flat,
        balance: Option<Balance>,
    ) -> Result<(), Self::Error>;

    /// What the router did in the forward pass that left `tape`; zeros where there is none.
    fn usage(layer: &FeedForward, tape: &Self::FeedForwardTape) -> Usage;
}
