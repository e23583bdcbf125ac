//! The training path: the transformer on a few rays at a time, forward and backward, everything in cache.

pub mod folding;
pub mod head;
pub mod parameters;
#[cfg(test)]
mod tests;
pub mod tokens;

use crate::config::Config;
use crate::encoding;
use head::HeadTape;
use layers::feed_forward::{FeedForwardScratch, FeedForwardTape};
use layers::linear::{relu, relu_backward};
use layers::ray_attention::{RayAttentionScratch, RayAttentionTape};
use layers::view_attention::{ViewAttentionScratch, ViewAttentionTape, ViewTokens};
use parameters::{Folded, PositionLayer};
use tokens::{RayChunk, Source, StartTape, TokenTape};

/// Activations of one chunk of rays and buffers of its backward pass; one per worker, reused between chunks.
#[derive(Clone, Debug, Default)]
pub struct Workspace {
    /// Tokens.
    pub tokens: TokenTape,
    start: StartTape,
    encoding: Vec<f32>,
    blocks: Vec<BlockTape>,
    /// Colours and weights.
    pub head: HeadTape,
    q: Vec<f32>,
    dq: Vec<f32>,
    scratch: Scratch,
}

/// Activations of one pair of blocks.
#[derive(Clone, Debug, Default)]
pub struct BlockTape {
    /// View attention.
    pub view: ViewAttentionTape,
    view_ff: FeedForwardTape,
    position: PositionTape,
    /// Ray attention.
    pub ray: RayAttentionTape,
    ray_ff: FeedForwardTape,
}

#[derive(Clone, Debug, Default)]
struct PositionTape {
    state: Vec<f32>,
    hidden: Vec<f32>,
}

#[derive(Clone, Debug, Default)]
struct Scratch {
    view: ViewAttentionScratch,
    ray: RayAttentionScratch,
    ff: FeedForwardScratch,
    d_hidden: Vec<f32>,
}

impl Workspace {
    /// Colours of the rays, in `self.head.rgb` `[rays, 3]`.
    pub fn forward(&mut self, config: &Config, net: &Folded, folded: &[f32], sources: &[Source], chunk: RayChunk) {
        let (c, samples, views) = (config.width, chunk.samples(), sources.len());
        self.tokens.forward(net, folded, sources, chunk);
        self.encode(config, chunk);
        self.q.resize(chunk.depths.len() * c, 0.0);
        self.start.forward(net.start.as_ref(), folded, &self.tokens, views, c, &mut self.q);
        self.blocks.resize_with(config.depth, BlockTape::default);
        let shared = ViewTokens {
            views,
            tokens: &self.tokens.tokens,
            directions: &self.tokens.directions,
            mask: &self.tokens.mask,
        };
        for (block, tape) in net.blocks.iter().zip(&mut self.blocks) {
            block.view.forward(folded, shared, &mut self.q, &mut tape.view, &mut self.scratch.view);
            block.view_ff.forward(folded, &mut self.q, &mut tape.view_ff);
            if let Some(layer) = &block.position {
                tape.position.forward(layer, folded, &self.encoding, &mut self.q);
            }
            block.ray.forward(folded, samples, &mut self.q, &mut tape.ray);
            block.ray_ff.forward(folded, &mut self.q, &mut tape.ray_ff);
        }
        self.head.forward(net, folded, samples, views, &self.tokens, &self.q);
    }

    fn encode(&mut self, config: &Config, chunk: RayChunk) {
        let (samples, channels) = (chunk.samples(), config.position.channels());
        self.encoding.resize(chunk.depths.len() * channels, 0.0);
        for (i, out) in self.encoding.chunks_exact_mut(channels).enumerate() {
            let direction = chunk.rays[i / samples].direction;
            encoding::sample(
                config.position,
                self.tokens.points[i],
                direction,
                chunk.depths[i],
                chunk.depth_range,
                out,
            );
        }
    }

    /// Adds to `grads` (folded layout) and to `d_maps` the gradients of the chunk last run forward, given `d_rgb`
    /// `[rays, 3]` and, optionally, a gradient on the samples' logits `[rays, samples]`.
    pub fn backward(
        &mut self,
        config: &Config,
        net: &Folded,
        folded: &[f32],
        samples: usize,
        views: usize,
        d_rgb: &[f32],
        d_ray_logits: Option<&[f32]>,
        d_maps: &mut [Vec<f32>],
        grads: &mut [f32],
    ) {
        let c = config.width;
        self.tokens.d_tokens.clear();
        self.tokens.d_tokens.resize(self.tokens.tokens.len(), 0.0);
        self.dq.resize(self.q.len(), 0.0);
        self.head.backward(net, folded, samples, views, &mut self.tokens, d_rgb, d_ray_logits, &mut self.dq, grads);
        let tokens = &mut self.tokens;
        for (block, tape) in net.blocks.iter().zip(&self.blocks).rev() {
            block.ray_ff.backward(folded, &tape.ray_ff, &mut self.dq, &mut self.scratch.ff, grads);
            block.ray.backward(folded, samples, &tape.ray, &mut self.dq, &mut self.scratch.ray, grads);
            if let Some(layer) = &block.position {
                tape.position.backward(layer, folded, &self.encoding, &mut self.dq, &mut self.scratch.d_hidden, grads);
            }
            block.view_ff.backward(folded, &tape.view_ff, &mut self.dq, &mut self.scratch.ff, grads);
            let shared =
                ViewTokens { views, tokens: &tokens.tokens, directions: &tokens.directions, mask: &tokens.mask };
            block.view.backward(
                folded,
                shared,
                &tape.view,
                &mut self.dq,
                &mut tokens.d_tokens,
                &mut self.scratch.view,
                grads,
            );
        }
        self.start.backward(net.start.as_ref(), folded, tokens, views, c, &self.dq, grads);
        tokens.backward(net, folded, d_maps, grads);
    }

    /// Weights of the samples of each ray `[rays, samples]`: those of the blending head, or, as upstream defines them,
    /// the head-averaged attention row of the nearest sample in the last ray block.
    pub fn ray_weights(&self, net: &Folded, samples: usize) -> Vec<f32> {
        if net.blend.is_some() {
            return self.head.ray_weights.clone();
        }
        let (Some(block), Some(tape)) = (net.blocks.last(), self.blocks.last()) else { return Vec::new() };
        let heads = block.ray.heads;
        let mut out = Vec::new();
        for attention in tape.ray.weights.chunks_exact(heads * samples * samples) {
            out.extend(
                (0..samples)
                    .map(|s| attention.chunks_exact(samples * samples).map(|head| head[s]).sum::<f32>() / heads as f32),
            );
        }
        out
    }
}

impl PositionTape {
    fn forward(&mut self, layer: &PositionLayer, folded: &[f32], encoding: &[f32], q: &mut [f32]) {
        self.state.clear();
        self.state.extend_from_slice(q);
        self.hidden.resize(q.len(), 0.0);
        layer.state.forward(folded, q, &mut self.hidden, false);
        layer.encoding.forward(folded, encoding, &mut self.hidden, true);
        relu(&mut self.hidden);
        layer.fc2.forward(folded, &self.hidden, q, false);
    }

    fn backward(
        &self,
        layer: &PositionLayer,
        folded: &[f32],
        encoding: &[f32],
        dq: &mut [f32],
        d_hidden: &mut Vec<f32>,
        grads: &mut [f32],
    ) {
        d_hidden.resize(self.hidden.len(), 0.0);
        layer.fc2.backward(folded, &self.hidden, dq, Some((d_hidden, false)), grads);
        relu_backward(&self.hidden, d_hidden);
        layer.encoding.backward(folded, encoding, d_hidden, None, grads);
        layer.state.backward(folded, &self.state, d_hidden, Some((dq, false)), grads);
    }
}
