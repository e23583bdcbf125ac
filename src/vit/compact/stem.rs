//! The convolutional stem, from pixels to tokens, forward and backward.

use super::EPS;
use crate::config::CompactConfig;
use layers::builder::Builder;
use layers::layer_norm::{LayerNorm, LayerNormTape};
use layers::linear::{relu, relu_backward};
use layers::max_pool;
use layers::patch_conv::{PatchConv, PatchConvScratch};

/// Three convolutions of 3 by 3 pixels, the first at full resolution and pooled, the third residual; then tokens of 2 by 2
/// of their pixels.
#[derive(Clone, Debug)]
pub(super) struct Stem {
    pub first: PatchConv,
    pub first_norm: LayerNorm,
    pub second: PatchConv,
    pub second_norm: LayerNorm,
    pub third: PatchConv,
    pub third_norm: LayerNorm,
    pub tokens: PatchConv,
    side: usize,
}

/// What the backward pass needs.
#[derive(Clone, Debug, Default)]
pub(super) struct StemTape {
    images: usize,
    first: Vec<f32>,
    pooled: Vec<f32>,
    first_norm: LayerNormTape,
    convolved: Vec<f32>,
    second_norm: LayerNormTape,
    third_norm: LayerNormTape,
    sum: Vec<f32>,
}

/// Buffers of both passes.
#[derive(Clone, Debug, Default)]
pub(super) struct StemScratch {
    conv: PatchConvScratch,
    d_sum: Vec<f32>,
    d_third: Vec<f32>,
    d_conv: Vec<f32>,
    d_input: Vec<f32>,
    d_first: Vec<f32>,
}

impl Stem {
    pub fn build(b: &mut Builder, config: &CompactConfig) -> Self {
        let [first, second] = config.stem;
        Self {
            first: PatchConv::build(b, "stem.conv1", (3, first), 3, 1, 1),
            first_norm: b.norm("stem.norm1", first, EPS),
            second: PatchConv::build(b, "stem.conv2", (first, second), 3, 1, 1),
            second_norm: b.norm("stem.norm2", second, EPS),
            third: PatchConv::build(b, "stem.conv3", (second, second), 3, 1, 1),
            third_norm: b.norm("stem.norm3", second, EPS),
            tokens: PatchConv::build(b, "stem.tokens", (second, config.width), 2, 2, 0),
            side: config.image_size,
        }
    }

    /// From pixels `[images, side, side, 3]` to tokens `[images, side/4, side/4, width]`.
    pub fn forward(
        &self,
        params: &[f32],
        images: usize,
        x: &[f32],
        tokens: &mut Vec<f32>,
        tape: &mut StemTape,
        scratch: &mut StemScratch,
    ) {
        let isa = compute::isa();
        let (full, half) = ((images, self.side, self.side), (images, self.side / 2, self.side / 2));
        tape.images = images;
        self.first.forward(params, full, x, &mut tape.first, &mut scratch.conv);
        max_pool::forward(full, self.first.linear.outputs, &tape.first, &mut tape.pooled);
        self.first_norm.forward(params, &tape.pooled, &mut tape.first_norm);
        relu(isa, &mut tape.first_norm.y);
        self.second.forward(params, half, &tape.first_norm.y, &mut tape.convolved, &mut scratch.conv);
        self.second_norm.forward(params, &tape.convolved, &mut tape.second_norm);
        relu(isa, &mut tape.second_norm.y);
        self.third.forward(params, half, &tape.second_norm.y, &mut tape.convolved, &mut scratch.conv);
        self.third_norm.forward(params, &tape.convolved, &mut tape.third_norm);
        relu(isa, &mut tape.third_norm.y);
        tape.sum.clone_from(&tape.second_norm.y);
        tape.sum.iter_mut().zip(&tape.third_norm.y).for_each(|(s, y)| *s += y);
        self.tokens.forward(params, half, &tape.sum, tokens, &mut scratch.conv);
    }

    /// Adds the parameters' gradients to `grads`, given those of the tokens; `x` are the pixels.
    pub fn backward(
        &self,
        params: &[f32],
        x: &[f32],
        d_tokens: &[f32],
        tape: &StemTape,
        scratch: &mut StemScratch,
        grads: &mut [f32],
    ) {
        let isa = compute::isa();
        let images = tape.images;
        let (full, half) = ((images, self.side, self.side), (images, self.side / 2, self.side / 2));
        let StemScratch { conv, d_sum, d_third, d_conv, d_input, d_first } = scratch;
        self.tokens.backward(params, half, &tape.sum, d_tokens, Some(d_sum), conv, grads);
        d_third.clone_from(d_sum);
        relu_backward(isa, &tape.third_norm.y, d_third);
        zeros(d_conv, d_third.len());
        self.third_norm.backward(params, &tape.third_norm, d_third, d_conv, grads);
        self.third.backward(params, half, &tape.second_norm.y, d_conv, Some(d_input), conv, grads);
        d_sum.iter_mut().zip(&*d_input).for_each(|(s, d)| *s += d);
        relu_backward(isa, &tape.second_norm.y, d_sum);
        zeros(d_conv, d_sum.len());
        self.second_norm.backward(params, &tape.second_norm, d_sum, d_conv, grads);
        self.second.backward(params, half, &tape.first_norm.y, d_conv, Some(d_input), conv, grads);
        relu_backward(isa, &tape.first_norm.y, d_input);
        zeros(d_conv, d_input.len());
        self.first_norm.backward(params, &tape.first_norm, d_input, d_conv, grads);
        max_pool::backward(full, self.first.linear.outputs, &tape.first, d_conv, d_first);
        self.first.backward(params, full, x, d_first, None, conv, grads);
    }
}

fn zeros(values: &mut Vec<f32>, len: usize) {
    values.clear();
    values.resize(len, 0.0);
}
