//! The feed-forward part of published vision transformers, pre-norm and residual: `x += fc2(gelu(fc1(norm(x))))`, with a
//! depthwise convolution over the grid of tokens before the GELU where there is one (PVTv2, arXiv 2106.13797).

pub mod engine;

use crate::builder::Builder;
use crate::depthwise::Depthwise;
use crate::gelu::{gelu, gelu_backward};
use crate::layer_norm::{LayerNorm, LayerNormTape};
use crate::linear::{Linear, relu, relu_backward};

/// Layer norm, two linear layers with a GELU between, perhaps a convolution, and the residual sum.
#[derive(Clone, Copy, Debug)]
pub struct GridMlp {
    /// Normalisation of the input.
    pub norm: LayerNorm,
    /// `width → hidden`.
    pub fc1: Linear,
    /// Over the grid of tokens.
    pub local: Option<Depthwise>,
    /// Whether a ReLU stands before the convolution (the linear variant of PVTv2).
    pub clips: bool,
    /// `hidden → width`.
    pub fc2: Linear,
}

/// What the backward pass needs from the forward pass.
#[derive(Clone, Debug, Default)]
pub struct GridMlpTape {
    norm: LayerNormTape,
    /// Hidden values as the first layer left them, clipped where they are.
    hidden: Vec<f32>,
    /// After the convolution.
    mixed: Vec<f32>,
    activated: Vec<f32>,
}

/// Buffers of the backward pass, shared by all blocks of a thread.
#[derive(Clone, Debug, Default)]
pub struct GridMlpScratch {
    d_activated: Vec<f32>,
    d_hidden: Vec<f32>,
    d_norm: Vec<f32>,
}

impl GridMlp {
    /// Registers `{name}.fc1`, `{name}.fc2` and, with `local`, `{name}.dwconv`, after the normalisation.
    pub fn build(b: &mut Builder, name: &str, norm: LayerNorm, hidden: usize, local: bool, clips: bool) -> Self {
        let width = norm.width;
        let fc1 = b.linear(&format!("{name}.fc1"), width, hidden, true);
        let local = local.then(|| Depthwise::build(b, &format!("{name}.dwconv"), hidden, false));
        let fc2 = b.linear(&format!("{name}.fc2"), hidden, width, true);
        Self { norm, fc1, local, clips, fc2 }
    }

    /// Adds the part's output to `x` `[images, tokens, width]`; `grid` is height and width of the tokens where there is a
    /// convolution.
    pub fn forward(&self, params: &[f32], grid: (usize, usize), x: &mut [f32], tape: &mut GridMlpTape) {
        let isa = compute::isa();
        self.norm.forward(params, x, &mut tape.norm);
        let len = x.len() / self.fc1.inputs * self.fc1.outputs;
        tape.hidden.resize(len, 0.0);
        tape.activated.resize(len, 0.0);
        self.fc1.forward(params, &tape.norm.y, &mut tape.hidden, false);
        if self.clips {
            relu(isa, &mut tape.hidden);
        }
        match &self.local {
            Some(local) => {
                tape.mixed.resize(len, 0.0);
                local.forward(params, grid, &tape.hidden, &mut tape.mixed);
                gelu(isa, &tape.mixed, &mut tape.activated);
            }
            None => gelu(isa, &tape.hidden, &mut tape.activated),
        }
        self.fc2.forward(params, &tape.activated, x, true);
    }

    /// Turns the gradient of the output into that of the input, in place in `dx`.
    pub fn backward(
        &self,
        params: &[f32],
        grid: (usize, usize),
        tape: &GridMlpTape,
        dx: &mut [f32],
        scratch: &mut GridMlpScratch,
        grads: &mut [f32],
    ) {
        let isa = compute::isa();
        let GridMlpScratch { d_activated, d_hidden, d_norm } = scratch;
        d_activated.resize(tape.hidden.len(), 0.0);
        d_norm.resize(dx.len(), 0.0);
        self.fc2.backward(params, &tape.activated, dx, Some((d_activated, false)), grads);
        if let Some(local) = &self.local {
            gelu_backward(isa, &tape.mixed, d_activated);
            d_hidden.resize(tape.hidden.len(), 0.0);
            local.backward(params, grid, &tape.hidden, d_activated, d_hidden, grads);
        } else {
            gelu_backward(isa, &tape.hidden, d_activated);
            d_hidden.clone_from(d_activated);
        }
        if self.clips {
            relu_backward(isa, &tape.hidden, d_hidden);
        }
        self.fc1.backward(params, &tape.norm.y, d_hidden, Some((d_norm, false)), grads);
        self.norm.backward(params, &tape.norm, d_norm, dx, grads);
    }
}
