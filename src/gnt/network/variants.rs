//! The variants of a block's layers, each with its forward and backward pass.

use super::PositionTape;
use super::parameters::{MlpLayer, RayLayer, ViewLayer};
use super::tokens::TokenTape;
use layers::experts::{Balance, ExpertsScratch, ExpertsTape, Noise};
use layers::feed_forward::{FeedForwardScratch, FeedForwardTape};
use layers::hamming_ray_attention::{HammingRayAttentionScratch, HammingRayAttentionTape};
use layers::hamming_view_attention::{HammingViewAttentionScratch, HammingViewAttentionTape};
use layers::linear_angular::{self, LinearAngularScratch, LinearAngularTape};
use layers::ray_attention::{RayAttentionScratch, RayAttentionTape};
use layers::view_attention::{ViewAttentionScratch, ViewAttentionTape, ViewTokens};

/// Activations of one pair of blocks; a variant that the network lacks stays empty.
#[derive(Clone, Debug, Default)]
pub struct BlockTape {
    /// View attention by subtraction.
    pub subtract: ViewAttentionTape,
    /// View attention on codes.
    pub hamming_view: HammingViewAttentionTape,
    /// Feed-forward part of the view block.
    pub view_ff: MlpTape,
    pub(super) position: PositionTape,
    /// Ray attention by softmax.
    pub softmax: RayAttentionTape,
    /// Ray attention on codes.
    pub hamming_ray: HammingRayAttentionTape,
    /// Linear-angular ray attention.
    pub linear_angular: LinearAngularTape,
    /// Feed-forward part of the ray block.
    pub ray_ff: MlpTape,
}

/// Activations of a feed-forward part.
#[derive(Clone, Debug, Default)]
pub struct MlpTape {
    single: FeedForwardTape,
    /// Where the part is a mixture of experts.
    pub experts: ExpertsTape,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Scratch {
    subtract: ViewAttentionScratch,
    hamming_view: HammingViewAttentionScratch,
    softmax: RayAttentionScratch,
    hamming_ray: HammingRayAttentionScratch,
    linear_angular: LinearAngularScratch,
    single: FeedForwardScratch,
    experts: ExpertsScratch,
    pub d_hidden: Vec<f32>,
}

/// How experts are chosen and balanced.
#[derive(Clone, Copy, Debug, Default)]
pub struct Routing {
    /// Seed of the noise on the routers' logits; without it the choice depends on the state alone.
    pub noise: Option<u64>,
    /// The loss that balances them.
    pub balance: Option<Balance>,
    /// Number of routers met so far in a pass.
    stream: u64,
}

impl Routing {
    /// Training with noise and a balance loss.
    pub fn training(seed: u64, balance: Option<Balance>) -> Self {
        Self { noise: Some(seed), balance, stream: 0 }
    }

    /// The noise of the next router: each has its own.
    pub(super) fn next(&mut self) -> Option<Noise> {
        self.stream += 1;
        self.noise.map(|seed| Noise::new(seed, self.stream))
    }
}

impl ViewLayer {
    pub(super) fn forward(
        &self,
        params: &[f32],
        views: ViewTokens,
        q: &mut [f32],
        tape: &mut BlockTape,
        scratch: &mut Scratch,
    ) {
        match self {
            Self::Subtract(layer) => layer.forward(params, views, q, &mut tape.subtract, &mut scratch.subtract),
            Self::Hamming(layer) => layer.forward(params, views, q, &mut tape.hamming_view),
        }
    }

    pub(super) fn backward(
        &self,
        params: &[f32],
        views: usize,
        tape: &BlockTape,
        dq: &mut [f32],
        tokens: &mut TokenTape,
        scratch: &mut Scratch,
        grads: &mut [f32],
    ) {
        // Taken out, so that the tokens can be read while their gradients are written.
        let mut d_tokens = std::mem::take(&mut tokens.d_tokens);
        let mut d_keys = std::mem::take(&mut tokens.d_keys);
        let shared = tokens.views(views);
        match self {
            Self::Subtract(layer) => {
                layer.backward(params, shared, &tape.subtract, dq, &mut d_tokens, &mut scratch.subtract, grads)
            }
            Self::Hamming(layer) => {
                let (tape, scratch) = (&tape.hamming_view, &mut scratch.hamming_view);
                layer.backward(params, shared, tape, dq, &mut d_tokens, &mut d_keys, scratch, grads)
            }
        }
        tokens.d_tokens = d_tokens;
        tokens.d_keys = d_keys;
    }
}

impl RayLayer {
    pub(super) fn forward(&self, params: &[f32], samples: usize, q: &mut [f32], tape: &mut BlockTape) {
        match self {
            Self::Softmax(layer) => layer.forward(params, samples, q, &mut tape.softmax),
            Self::Hamming(layer) => layer.forward(params, samples, q, &mut tape.hamming_ray),
            Self::LinearAngular(layer) => layer.forward(params, samples, q, &mut tape.linear_angular),
        }
    }

    pub(super) fn backward(
        &self,
        params: &[f32],
        samples: usize,
        tape: &BlockTape,
        dq: &mut [f32],
        scratch: &mut Scratch,
        grads: &mut [f32],
    ) {
        match self {
            Self::Softmax(layer) => layer.backward(params, samples, &tape.softmax, dq, &mut scratch.softmax, grads),
            Self::Hamming(layer) => {
                layer.backward(params, samples, &tape.hamming_ray, dq, &mut scratch.hamming_ray, grads)
            }
            Self::LinearAngular(layer) => {
                layer.backward(params, samples, &tape.linear_angular, dq, &mut scratch.linear_angular, grads)
            }
        }
    }

    /// Head-averaged attention row of the first sample of each ray, `[rays, samples]`.
    pub(super) fn first_rows(&self, tape: &BlockTape, samples: usize, rays: usize) -> Vec<f32> {
        let mean = |weights: &[f32], heads: usize| -> Vec<f32> {
            let map = samples * samples;
            weights
                .chunks_exact(heads * map)
                .flat_map(|ray| {
                    (0..samples).map(move |s| ray.chunks_exact(map).map(|h| h[s]).sum::<f32>() / heads as f32)
                })
                .collect()
        };
        match self {
            Self::Softmax(layer) => mean(&tape.softmax.weights, layer.heads),
            Self::Hamming(layer) => mean(&tape.hamming_ray.weights, layer.heads),
            Self::LinearAngular(layer) => {
                let (c, heads, tape) = (layer.out.inputs, layer.heads, &tape.linear_angular);
                (0..rays).flat_map(|ray| linear_angular::first_row(tape, samples, c, heads, ray)).collect()
            }
        }
    }
}

impl MlpLayer {
    pub(super) fn forward(&self, params: &[f32], q: &mut [f32], tape: &mut MlpTape, noise: Option<Noise>) {
        match self {
            Self::Single(layer) => layer.forward(params, q, &mut tape.single),
            Self::Experts(layer) => layer.forward(params, q, noise, &mut tape.experts),
        }
    }

    pub(super) fn backward(
        &self,
        params: &[f32],
        tape: &MlpTape,
        dq: &mut [f32],
        scratch: &mut Scratch,
        grads: &mut [f32],
        balance: Option<Balance>,
    ) {
        match self {
            Self::Single(layer) => layer.backward(params, &tape.single, dq, &mut scratch.single, grads),
            Self::Experts(layer) => layer.backward(params, &tape.experts, dq, &mut scratch.experts, grads, balance),
        }
    }
}
