//! The pre-norm residual feed-forward block: `x += fc2(relu(fc1(norm(x))))`.

use super::{LayerNormTape, Ops, Store, ViewMut};
use crate::feed_forward::FeedForward;
use tensor::cuda::{Buffer, Result};

/// What the backward pass needs from the forward pass.
#[derive(Debug, Default)]
pub struct FeedForwardTape {
    norm: LayerNormTape,
    hidden: Store,
}

/// Memory of the backward pass, shared by all blocks.
#[derive(Debug, Default)]
pub struct FeedForwardScratch {
    d_hidden: Store,
    d_norm: Store,
}

impl Ops {
    /// Adds the block's output to `x` `[rows, width]`.
    ///
    /// # Panics
    /// If `x` is not whole rows.
    ///
    /// # Errors
    /// If the device fails.
    pub fn feed_forward<'a>(
        &self,
        layer: &FeedForward,
        params: &Buffer<f32>,
        x: impl Into<ViewMut<'a>>,
        tape: &mut FeedForwardTape,
    ) -> Result<()> {
        let x = x.into();
        self.layer_norm(&layer.norm, params, x.view(), &mut tape.norm)?;
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
    pub fn feed_forward_backward<'a>(
        &self,
        layer: &FeedForward,
        params: &Buffer<f32>,
        tape: &FeedForwardTape,
        dx: impl Into<ViewMut<'a>>,
        scratch: &mut FeedForwardScratch,
        grads: &mut Buffer<f32>,
    ) -> Result<()> {
        let dx = dx.into();
        let d_hidden = scratch.d_hidden.resize(&self.device, tape.hidden.len())?;
        self.linear_backward(&layer.fc2, params, &tape.hidden, dx.view(), Some((d_hidden.view_mut(), false)), grads)?;
        self.relu_backward(&tape.hidden, &mut *d_hidden)?;
        let d_norm = scratch.d_norm.resize(&self.device, dx.len())?;
        self.linear_backward(&layer.fc1, params, &tape.norm.y, &*d_hidden, Some((d_norm.view_mut(), false)), grads)?;
        self.layer_norm_backward(&layer.norm, params, &tape.norm, &*d_norm, dx, grads)
    }
}

#[cfg(test)]
#[path = "feed_forward_tests.rs"]
mod tests;
