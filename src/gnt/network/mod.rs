//! The training path: the transformer on a few rays at a time, forward and backward, everything in cache.

mod builder;
pub mod cuda;
pub mod folding;
pub mod head;
pub mod key_map;
pub mod parameters;
#[cfg(test)]
mod tests;
pub mod tokens;
mod variants;

use crate::config::Config;
use crate::encoding;
use head::HeadTape;
use key_map::MapGrads;
use layers::experts::Usage;
use layers::linear::{relu, relu_backward};
use parameters::{Folded, MlpLayer, PositionLayer};
use tokens::{RayChunk, Source, StartTape, TokenTape};
use variants::Scratch;
pub use variants::{BlockTape, Routing};

/// Activations of one chunk of rays and buffers of its backward pass; one per worker, reused between chunks.
#[derive(Clone, Debug, Default)]
pub struct Workspace {
    /// Tokens.
    pub tokens: TokenTape,
    /// Position encoding of the samples.
    pub encoding: Vec<f32>,
    /// All that follows the tokens.
    pub trunk: Trunk,
}

/// Activations of the transformer after the tokens.
#[derive(Clone, Debug, Default)]
pub struct Trunk {
    /// How experts are chosen and balanced.
    pub routing: Routing,
    /// Whether [`Trunk::states`] are kept.
    pub record: bool,
    /// State `[T, C]` after each attention and each feed-forward part, four a block, where recorded.
    pub states: Vec<Vec<f32>>,
    /// Activations of the blocks.
    pub blocks: Vec<BlockTape>,
    /// Colours and weights.
    pub head: HeadTape,
    start: StartTape,
    q: Vec<f32>,
    dq: Vec<f32>,
    scratch: Scratch,
}

/// What the backward pass starts from.
#[derive(Clone, Copy, Debug)]
pub struct Seeds<'a> {
    /// Gradient of the colours `[rays, 3]`.
    pub rgb: &'a [f32],
    /// Gradient of the samples' logits along the ray `[rays, samples]`.
    pub ray_logits: Option<&'a [f32]>,
    /// Gradients of the recorded states.
    pub states: Option<&'a [Vec<f32>]>,
    /// Gradient of the tokens `[T, V, C]`.
    pub tokens: Option<&'a [f32]>,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct PositionTape {
    state: Vec<f32>,
    hidden: Vec<f32>,
}

impl Workspace {
    /// Colours of the rays, in `self.trunk.head.rgb` `[rays, 3]`.
    pub fn forward(&mut self, config: &Config, net: &Folded, folded: &[f32], sources: &[Source], chunk: RayChunk) {
        self.tokens.forward(net, folded, sources, chunk);
        self.encode(config, chunk);
        let shape = Shape { samples: chunk.samples(), views: sources.len() };
        self.trunk.forward(config, net, folded, shape, &self.tokens, &self.encoding);
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

    /// Adds to `grads` (folded layout) the gradients of the chunk last run forward, and those of the sources' maps to
    /// `d_maps`; without it, what lies before the tokens (and the token layers) gets none.
    pub fn backward(
        &mut self,
        config: &Config,
        net: &Folded,
        folded: &[f32],
        shape: Shape,
        seeds: Seeds,
        d_maps: Option<&mut MapGrads>,
        grads: &mut [f32],
    ) {
        let Self { tokens, encoding, trunk } = self;
        tokens.clear_gradients();
        if let Some(extra) = seeds.tokens {
            tokens.d_tokens.copy_from_slice(extra);
        }
        trunk.backward(config, net, folded, shape, seeds, tokens, encoding, grads);
        if let Some(d_maps) = d_maps {
            tokens.backward(net, folded, d_maps, grads);
        }
    }
}

/// Sizes of a chunk beside the number of its rays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Samples a ray.
    pub samples: usize,
    /// Source views.
    pub views: usize,
}

impl Trunk {
    /// Colours of the rays whose samples have `tokens` and `encoding`, in `self.head.rgb` `[rays, 3]`.
    pub fn forward(
        &mut self,
        config: &Config,
        net: &Folded,
        folded: &[f32],
        shape: Shape,
        tokens: &TokenTape,
        encoding: &[f32],
    ) {
        let Shape { samples, views } = shape;
        self.q.resize(tokens.points.len() * config.width, 0.0);
        self.start.forward(net.start.as_ref(), folded, tokens, views, config.width, &mut self.q);
        self.blocks.resize_with(config.depth, BlockTape::default);
        self.states.resize_with(if self.record { 4 * config.depth } else { 0 }, Vec::new);
        let mut states = self.states.iter_mut();
        let mut keep = |q: &[f32]| {
            if let Some(state) = states.next() {
                state.clear();
                state.extend_from_slice(q);
            }
        };
        let mut routing = self.routing;
        for (block, tape) in net.blocks.iter().zip(&mut self.blocks) {
            block.view.forward(folded, tokens.views(views), &mut self.q, tape, &mut self.scratch);
            keep(&self.q);
            block.view_ff.forward(folded, &mut self.q, &mut tape.view_ff, routing.next());
            keep(&self.q);
            if let Some(layer) = &block.position {
                tape.position.forward(layer, folded, encoding, &mut self.q);
            }
            block.ray.forward(folded, samples, &mut self.q, tape);
            keep(&self.q);
            block.ray_ff.forward(folded, &mut self.q, &mut tape.ray_ff, routing.next());
            keep(&self.q);
        }
        self.head.forward(net, folded, samples, views, tokens, &self.q);
    }

    fn backward(
        &mut self,
        config: &Config,
        net: &Folded,
        folded: &[f32],
        shape: Shape,
        seeds: Seeds,
        tokens: &mut TokenTape,
        encoding: &[f32],
        grads: &mut [f32],
    ) {
        let Shape { samples, views } = shape;
        self.dq.resize(self.q.len(), 0.0);
        let Self { head, dq, scratch, blocks, .. } = self;
        head.backward(net, folded, samples, views, tokens, seeds.rgb, seeds.ray_logits, dq, grads);
        let mut states = seeds.states.map(|s| s.iter().rev());
        let mut add = |dq: &mut [f32]| {
            if let Some(state) = states.as_mut().and_then(Iterator::next) {
                dq.iter_mut().zip(state).for_each(|(d, s)| *d += s);
            }
        };
        let balance = self.routing.balance;
        for (block, tape) in net.blocks.iter().zip(&*blocks).rev() {
            add(dq);
            block.ray_ff.backward(folded, &tape.ray_ff, dq, scratch, grads, balance);
            add(dq);
            block.ray.backward(folded, samples, tape, dq, scratch, grads);
            if let Some(layer) = &block.position {
                tape.position.backward(layer, folded, encoding, dq, &mut scratch.d_hidden, grads);
            }
            add(dq);
            block.view_ff.backward(folded, &tape.view_ff, dq, scratch, grads, balance);
            add(dq);
            block.view.backward(folded, views, tape, dq, tokens, scratch, grads);
        }
        self.start.backward(net.start.as_ref(), folded, tokens, views, config.width, dq, grads);
    }

    /// What the routers did in the last forward pass, over all blocks; zeros without experts.
    pub fn usage(&self, net: &Folded) -> Usage {
        let mut sum = Usage::default();
        for (block, tape) in net.blocks.iter().zip(&self.blocks) {
            for (layer, tape) in [(&block.view_ff, &tape.view_ff), (&block.ray_ff, &tape.ray_ff)] {
                if let MlpLayer::Experts(_) = layer {
                    sum.add(&tape.experts.usage());
                }
            }
        }
        sum
    }

    /// Weights of the samples of each ray `[rays, samples]`: those of the blending head, or, as upstream defines them,
    /// the head-averaged attention row of the nearest sample in the last ray block.
    pub fn ray_weights(&self, net: &Folded, samples: usize) -> Vec<f32> {
        if net.blend.is_some() {
            return self.head.ray_weights.clone();
        }
        let (Some(block), Some(tape)) = (net.blocks.last(), self.blocks.last()) else { return Vec::new() };
        block.ray.first_rows(tape, samples, self.head.rgb.len() / 3)
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
