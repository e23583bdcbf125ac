//! Forward and backward pass of the compact transformer in training.

use super::Compact;
use super::stem::{StemScratch, StemTape};
use layers::feed_forward::experts::{Balance, Noise, Usage};
use layers::feed_forward::{FeedForward, FeedForwardScratch, FeedForwardTape};
use layers::layer_norm::LayerNormTape;
use layers::linear::add_column_sums;
use layers::ray_attention::{RayAttentionScratch, RayAttentionTape};

/// What the backward pass needs from the forward pass.
#[derive(Clone, Debug, Default)]
pub struct CompactTape {
    images: usize,
    stem: StemTape,
    blocks: Vec<BlockTape>,
    /// Tokens after the last block `[images, tokens, width]`.
    states: Vec<f32>,
    norm: LayerNormTape,
    /// Weights of sequence pooling `[images, tokens]`.
    pub pooling: Vec<f32>,
    pooled: Vec<f32>,
    /// `[images, classes]`.
    pub logits: Vec<f32>,
}

#[derive(Clone, Debug, Default)]
struct BlockTape {
    input: Vec<f32>,
    attention: RayAttentionTape,
    feed_forward: FeedForwardTape,
}

/// Buffers of both passes, for one thread.
#[derive(Clone, Debug, Default)]
pub struct CompactScratch {
    stem: StemScratch,
    attention: RayAttentionScratch,
    feed_forward: FeedForwardScratch,
    d_pooled: Vec<f32>,
    d_tokens: Vec<f32>,
    d_states: Vec<f32>,
    d_input: Vec<f32>,
}

impl CompactTape {
    /// What the attention of a block left.
    pub fn attention(&self, block: usize) -> &RayAttentionTape {
        &self.blocks[block].attention
    }

    /// What the feed-forward part of a block left.
    pub fn feed_forward(&self, block: usize) -> &FeedForwardTape {
        &self.blocks[block].feed_forward
    }
}

impl Compact {
    /// Classifies `images` images `x` `[images, side, side, 3]`; the logits are in the tape. With `seed`, routers choose on
    /// noisy logits, as in training.
    pub fn forward(
        &self,
        params: &[f32],
        images: usize,
        x: &[f32],
        seed: Option<u64>,
        tape: &mut CompactTape,
        scratch: &mut CompactScratch,
    ) {
        let (grid, tokens) = (self.grid, self.tokens());
        tape.images = images;
        self.stem.forward(params, images, x, &mut tape.states, &mut tape.stem, &mut scratch.stem);
        let position = self.position.of(params);
        for image in tape.states.chunks_exact_mut(position.len()) {
            image.iter_mut().zip(position).for_each(|(x, p)| *x += p);
        }
        tape.blocks.resize_with(self.blocks.len(), BlockTape::default);
        for (i, (block, kept)) in self.blocks.iter().zip(&mut tape.blocks).enumerate() {
            std::mem::swap(&mut kept.input, &mut tape.states);
            tape.states.resize(kept.input.len(), 0.0);
            block.local.forward(params, (grid, grid), &kept.input, &mut tape.states);
            block.attention.forward(params, tokens, &mut tape.states, &mut kept.attention);
            let noise = seed.map(|seed| Noise::new(seed, i as u64));
            block.feed_forward.forward(params, &mut tape.states, noise, &mut kept.feed_forward);
        }
        self.norm.forward(params, &tape.states, &mut tape.norm);
        self.pool.forward(params, tokens, &tape.norm.y, &mut tape.pooling, &mut tape.pooled);
        tape.logits.resize(images * self.classes(), 0.0);
        self.head.forward(params, &tape.pooled, &mut tape.logits, false);
    }

    /// Adds the gradients of the folded parameters to `grads`, given those of the logits; `x` are the pixels again.
    pub fn backward(
        &self,
        params: &[f32],
        x: &[f32],
        tape: &CompactTape,
        d_logits: &[f32],
        balance: Option<Balance>,
        scratch: &mut CompactScratch,
        grads: &mut [f32],
    ) {
        let (grid, tokens) = (self.grid, self.tokens());
        let CompactScratch { stem, attention, feed_forward, d_pooled, d_tokens, d_states, d_input } = scratch;
        d_pooled.resize(tape.pooled.len(), 0.0);
        self.head.backward(params, &tape.pooled, d_logits, Some((d_pooled, false)), grads);
        self.pool.backward(params, tokens, &tape.norm.y, &tape.pooling, d_pooled, d_tokens, grads);
        d_states.clear();
        d_states.resize(d_tokens.len(), 0.0);
        self.norm.backward(params, &tape.norm, d_tokens, d_states, grads);
        for (block, kept) in self.blocks.iter().zip(&tape.blocks).rev() {
            block.feed_forward.backward(params, &kept.feed_forward, d_states, feed_forward, grads, balance);
            block.attention.backward(params, tokens, &kept.attention, d_states, attention, grads);
            d_input.resize(d_states.len(), 0.0);
            block.local.backward(params, (grid, grid), &kept.input, d_states, d_input, grads);
            std::mem::swap(d_input, d_states);
        }
        add_column_sums(compute::isa(), d_states, self.position.of_mut(grads));
        self.stem.backward(params, x, d_states, &tape.stem, stem, grads);
    }

    /// What the routers did in the forward pass that left `tape`, one entry a block.
    pub fn usage<'a>(&'a self, tape: &'a CompactTape) -> impl Iterator<Item = Usage> + 'a {
        self.blocks.iter().zip(&tape.blocks).map(|(block, kept)| match &block.feed_forward {
            FeedForward::Mlp(_) => Usage::default(),
            FeedForward::Experts(_) => kept.feed_forward.experts.usage(),
        })
    }
}
