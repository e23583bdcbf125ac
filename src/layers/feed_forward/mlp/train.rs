//! Forward and backward pass of the MLP in training.

use super::Mlp;
use crate::layer_norm::LayerNormTape;
use crate::linear::{relu, relu_backward};

/// What the backward pass needs from the forward pass.
#[derive(Clone, Debug, Default)]
pub struct MlpTape {
    norm: LayerNormTape,
    hidden: Vec<f32>,
}

/// Buffers of the backward pass, shared by all blocks of a thread.
#[derive(Clone, Debug, Default)]
pub struct MlpScratch {
    d_hidden: Vec<f32>,
    d_norm: Vec<f32>,
}

impl Mlp {
    /// Adds the block's output to `x` `[rows, width]`.
    pub fn forward(&self, params: &[f32], x: &mut [f32], tape: &mut MlpTape) {
        self.norm.forward(params, x, &mut tape.norm);
        tape.hidden.resize(x.len() / self.fc1.inputs * self.fc1.outputs, 0.0);
        self.fc1.forward(params, &tape.norm.y, &mut tape.hidden, false);
        relu(compute::isa(), &mut tape.hidden);
        self.fc2.forward(params, &tape.hidden, x, true);
    }

    /// Turns the gradient of the output into that of the input, in place in `dx` `[rows, width]`.
    pub fn backward(
        &self,
        params: &[f32],
        tape: &MlpTape,
        dx: &mut [f32],
        scratch: &mut MlpScratch,
        grads: &mut [f32],
    ) {
        scratch.d_hidden.resize(tape.hidden.len(), 0.0);
        scratch.d_norm.resize(dx.len(), 0.0);
        self.fc2.backward(params, &tape.hidden, dx, Some((&mut scratch.d_hidden, false)), grads);
        relu_backward(compute::isa(), &tape.hidden, &mut scratch.d_hidden);
        self.fc1.backward(params, &tape.norm.y, &scratch.d_hidden, Some((&mut scratch.d_norm, false)), grads);
        self.norm.backward(params, &tape.norm, &scratch.d_norm, dx, grads);
    }
}
