//! The training path on a CUDA device: the transformer on whole batches of rays, forward and backward.
//!
//! Twin of [`super::Workspace`]: the same folded parameters and gradients, in buffers of the device. Activations of all
//! rays of a chunk stay in its memory, so the chunk is as large as that allows.

mod block;
mod hamming;
mod head;
mod kernels;
mod sources;
mod subtract;
#[cfg(test)]
mod tests;
mod tokens;

pub use head::CudaHead;
pub use kernels::{Input, Kernels};
pub use sources::CudaSources;
pub use tokens::CudaTokens;

use super::Routing;
use super::parameters::{Folded, MlpLayer};
use super::tokens::RayChunk;
use crate::config::{Config, Head, MlpKind, Start, ViewAttentionKind};
use block::{BlockTape, Pass, Scratch};
use layers::cuda::{Store, View};
use layers::experts::Usage;
use tensor::cuda::{Buffer, Result};
use tokens::StartTape;

/// Activations of one chunk of rays and buffers of its backward pass; reused between chunks and steps.
#[derive(Debug, Default)]
pub struct CudaWorkspace {
    /// Tokens.
    pub tokens: CudaTokens,
    /// Position encoding of the samples.
    pub encoding: Store,
    /// All that follows the tokens.
    pub trunk: CudaTrunk,
}

/// Activations of the transformer after the tokens.
#[derive(Debug, Default)]
pub struct CudaTrunk {
    /// How experts are chosen and balanced.
    pub routing: Routing,
    /// Whether [`CudaTrunk::states`] are kept.
    pub record: bool,
    /// State `[T, C]` after each attention and each feed-forward part, four a block, where recorded.
    pub states: Vec<Store>,
    /// Colours and weights.
    pub head: CudaHead,
    blocks: Vec<BlockTape>,
    start: StartTape,
    q: Store,
    dq: Store,
    scratch: Scratch,
}

/// What the backward pass starts from; as [`super::Seeds`], on the device.
#[derive(Clone, Copy, Debug)]
pub struct CudaSeeds<'a> {
    /// Gradient of the colours `[rays, 3]`.
    pub rgb: View<'a>,
    /// Gradient of the samples' logits along the ray `[rays, samples]`.
    pub ray_logits: Option<View<'a>>,
    /// Gradients of the recorded states.
    pub states: Option<&'a [Store]>,
    /// Gradient of the tokens `[T, V, C]`.
    pub tokens: Option<View<'a>>,
}

/// Refuses networks that do not train on CUDA.
///
/// # Errors
/// [`tensor::cuda::CudaError::Kernels`] for linear-angular attention along the ray.
pub fn check(net: &Folded) -> Result<()> {
    net.blocks.iter().try_for_each(|block| block.ray.check_cuda())
}

/// About how many bytes of device memory a ray of a chunk takes, with its activations and gradients; recorded states not
/// counted.
pub fn bytes_per_ray(config: &Config, samples: usize, views: usize) -> usize {
    let (c, h, heads, wide) = (config.width, config.attention_hidden, config.heads, config.width * config.mlp_ratio);
    let norm = 2 * c + 1;
    // Values of a pair of sample and view, and of a sample: what each block keeps, then what all blocks share.
    let (keys, pair_block, pair_shared, view_block, view_shared) = match config.view_attention {
        ViewAttentionKind::Subtract => (0, 2 * c + 3 * h, 2 * c + 3 * h, norm + c, 2 * c + h),
        ViewAttentionKind::Hamming => {
            let blend = heads * (c + h);
            (2 * c, c + h + 2 * heads, c + h + heads, norm + 2 * c + blend, 3 * c + blend + heads)
        }
    };
    let (mlp_block, mlp_shared) = match config.mlp {
        MlpKind::Experts { .. } => (norm + 2 * c + wide + 8, 3 * c + wide + 2),
        MlpKind::Dense | MlpKind::Shift { .. } => (norm + wide, c + wide),
    };
    let ray_block = norm + 4 * c + 2 * heads;
    let (pair_head, sample_head) = if config.head == Head::Blend { (c + 2, c + 5) } else { (0, 1) };
    let start = if config.start == Start::Stats { 4 * c } else { c / 2 };

    let pair = 16 + 4 * c + keys + config.depth * pair_block + pair_shared + pair_head;
    // Every other block has a position layer of two states.
    let blocks = config.depth * (view_block + ray_block + 2 * mlp_block) + config.depth.div_ceil(2) * 2 * c;
    let shared = view_shared + 5 * c + heads + mlp_shared + c;
    let rest = config.position.channels() + 2 * c + norm + c + sample_head + start + 1;
    size_of::<f32>() * samples * (views * pair + blocks + shared + rest)
}

impl CudaWorkspace {
    /// Colours of the rays, in `self.trunk.head.rgb` `[rays, 3]`.
    ///
    /// # Errors
    /// If there is not enough memory, or the device fails.
    pub fn forward(
        &mut self,
        kernels: &Kernels,
        config: &Config,
        net: &Folded,
        params: &Buffer<f32>,
        sources: &CudaSources,
        chunk: RayChunk,
    ) -> Result<()> {
        self.tokens.forward(kernels, net, params, sources, chunk)?;
        self.tokens.encode(kernels, config.position, chunk.depth_range, &mut self.encoding)?;
        self.trunk.forward(kernels, config, net, params, &self.tokens, &self.encoding)
    }

    /// Adds to `grads` (folded layout) the gradients of the chunk last run forward, and to `sources` those of its maps;
    /// without sources, what lies before the tokens (and the token layers) gets none.
    ///
    /// # Errors
    /// If there is not enough memory, or the device fails.
    pub fn backward(
        &mut self,
        kernels: &Kernels,
        net: &Folded,
        params: &Buffer<f32>,
        seeds: CudaSeeds,
        sources: Option<&mut CudaSources>,
        grads: &mut Buffer<f32>,
    ) -> Result<()> {
        let Self { tokens, encoding, trunk } = self;
        tokens.start_gradients(kernels, seeds.tokens)?;
        trunk.backward(kernels, net, params, seeds, tokens, encoding, grads)?;
        match sources {
            Some(sources) => tokens.backward(kernels, net, params, sources, grads),
            None => Ok(()),
        }
    }

    /// Weights of the samples of each ray, `[rays, samples]`, as [`super::Trunk::ray_weights`] defines them, in `out`.
    ///
    /// # Errors
    /// If there is not enough memory, or the device fails.
    pub fn ray_weights(&self, kernels: &Kernels, net: &Folded, params: &Buffer<f32>, out: &mut Store) -> Result<()> {
        out.resize(kernels.device(), self.tokens.count())?;
        if net.blend.is_some() {
            return kernels.ops.copy(&self.trunk.head.ray_weights, out);
        }
        let pass = Pass { kernels, params, encoding: &self.encoding, samples: self.tokens.samples };
        match (net.blocks.last(), self.trunk.blocks.last()) {
            (Some(block), Some(tape)) => pass.first_rows(&block.ray, tape, out),
            _ => Ok(()),
        }
    }
}

impl CudaTrunk {
    /// Colours of the rays whose samples have `tokens` and `encoding`, in `self.head.rgb` `[rays, 3]`.
    ///
    /// # Errors
    /// If there is not enough memory, or the device fails.
    pub fn forward(
        &mut self,
        kernels: &Kernels,
        config: &Config,
        net: &Folded,
        params: &Buffer<f32>,
        tokens: &CudaTokens,
        encoding: &Store,
    ) -> Result<()> {
        let Self { routing, record, states, head, blocks, start, q, scratch, .. } = self;
        q.resize(kernels.device(), tokens.count() * config.width)?;
        start.forward(kernels, net.start.as_ref(), params, tokens, q)?;
        blocks.resize_with(config.depth, BlockTape::default);
        states.resize_with(if *record { 4 * config.depth } else { 0 }, Store::default);
        let mut states = states.iter_mut();
        let mut keep = |q: &Store| match states.next() {
            Some(state) => kernels.ops.copy(q, &mut *state.resize(kernels.device(), q.len())?),
            None => Ok(()),
        };
        let mut routing = *routing;
        let pass = Pass { kernels, params, encoding, samples: tokens.samples };
        for (block, tape) in net.blocks.iter().zip(blocks) {
            pass.view(block, tokens, q, tape, scratch)?;
            keep(q)?;
            pass.mlp(&block.view_ff, q, &mut tape.view_ff, routing.next())?;
            keep(q)?;
            if let Some(layer) = &block.position {
                pass.position(layer, q, tape)?;
            }
            pass.ray(&block.ray, q, tape)?;
            keep(q)?;
            pass.mlp(&block.ray_ff, q, &mut tape.ray_ff, routing.next())?;
            keep(q)?;
        }
        head.forward(kernels, net, params, tokens, q)
    }

    fn backward(
        &mut self,
        kernels: &Kernels,
        net: &Folded,
        params: &Buffer<f32>,
        seeds: CudaSeeds,
        tokens: &mut CudaTokens,
        encoding: &Store,
        grads: &mut Buffer<f32>,
    ) -> Result<()> {
        let Self { head, dq, scratch, blocks, start, routing, .. } = self;
        head.backward(kernels, net, params, tokens, seeds.rgb, seeds.ray_logits, dq, grads)?;
        let mut states = seeds.states.map(|s| s.iter().rev());
        let mut add = |dq: &mut Store| match states.as_mut().and_then(Iterator::next) {
            Some(state) => kernels.ops.axpy(1.0, state, dq),
            None => Ok(()),
        };
        let pass = Pass { kernels, params, encoding, samples: tokens.samples };
        for (block, tape) in net.blocks.iter().zip(&*blocks).rev() {
            add(dq)?;
            pass.mlp_backward(&block.ray_ff, &tape.ray_ff, dq, scratch, grads, routing.balance)?;
            add(dq)?;
            pass.ray_backward(&block.ray, tape, dq, scratch, grads)?;
            if let Some(layer) = &block.position {
                pass.position_backward(layer, tape, dq, scratch, grads)?;
            }
            add(dq)?;
            pass.mlp_backward(&block.view_ff, &tape.view_ff, dq, scratch, grads, routing.balance)?;
            add(dq)?;
            pass.view_backward(block, tokens, tape, dq, scratch, grads)?;
        }
        start.backward(kernels, net.start.as_ref(), params, tokens, dq, grads)
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
}
