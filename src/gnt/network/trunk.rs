//! The trunk: start, blocks and head in order, forward and backward, on any executor.

use super::head::HeadTape;
use super::position::PositionTape;
use super::start::StartTape;
use super::tokens::Tokens;
use super::{NetworkOn, RayExecutor, RouterTraining, Seeds};
use crate::folded::Folded;
use layers::feed_forward::experts::Usage;

/// Activations of the transformer after the tokens; `T` samples of all rays, `C` channels.
#[derive(Debug)]
pub struct Trunk<E: RayExecutor> {
    /// How experts are chosen and balanced.
    pub routers: RouterTraining,
    /// Whether [`Trunk::states`] are kept.
    pub record: bool,
    /// State `[T, C]` after each attention and each feed-forward part, four a block, where recorded.
    pub states: Vec<E::Values>,
    /// Activations of the blocks.
    pub blocks: Vec<BlockTape<E>>,
    /// Colours and weights.
    pub head: HeadTape<E::Values>,
    start: StartTape<E>,
    q: E::Values,
    dq: E::Values,
    scratch: Scratch<E>,
}

/// Activations of a block.
#[derive(Debug)]
pub struct BlockTape<E: RayExecutor> {
    /// Attention over source views.
    pub view: E::ViewAttentionTape,
    /// Feed-forward part of the view block.
    pub view_ff: E::FeedForwardTape,
    position: PositionTape<E::Values>,
    /// Attention along the ray.
    pub ray: E::RayAttentionTape,
    /// Feed-forward part of the ray block.
    pub ray_ff: E::FeedForwardTape,
}

/// Buffers that all blocks share.
#[derive(Debug)]
struct Scratch<E: RayExecutor> {
    view: E::ViewAttentionScratch,
    ray: E::RayAttentionScratch,
    feed_forward: E::FeedForwardScratch,
    d_hidden: E::Values,
}

impl<E: RayExecutor> Default for BlockTape<E> {
    fn default() -> Self {
        Self {
            view: Default::default(),
            view_ff: Default::default(),
            position: Default::default(),
            ray: Default::default(),
            ray_ff: Default::default(),
        }
    }
}

impl<E: RayExecutor> Default for Scratch<E> {
    fn default() -> Self {
        Self {
            view: Default::default(),
            ray: Default::default(),
            feed_forward: Default::default(),
            d_hidden: Default::default(),
        }
    }
}

impl<E: RayExecutor> Default for Trunk<E> {
    fn default() -> Self {
        Self {
            routers: RouterTraining::default(),
            record: false,
            states: Vec::new(),
            blocks: Vec::new(),
            head: Default::default(),
            start: Default::default(),
            q: Default::default(),
            dq: Default::default(),
            scratch: Default::default(),
        }
    }
}

impl<E: RayExecutor> Trunk<E> {
    /// Colours of the rays whose samples have `tokens` and position `encoding`, in `self.head.rgb` `[rays, 3]`.
    ///
    /// # Errors
    /// If the device fails.
    pub fn forward(&mut self, network: NetworkOn<E>, tokens: &Tokens<E>, encoding: &E::Values) -> Result<(), E::Error> {
        let NetworkOn { executor, net, params, .. } = network;
        let Self { routers, record, states, blocks, head, start, q, scratch, .. } = self;
        start.forward(network, &tokens.shared, q)?;
        blocks.resize_with(net.blocks.len(), BlockTape::default);
        states.resize_with(if *record { 4 * net.blocks.len() } else { 0 }, E::Values::default);
        let mut states = states.iter_mut();
        let mut keep = |q: &E::Values| states.next().map_or(Ok(()), |state| executor.copy(q, state));
        for ((block, tape), router) in net.blocks.iter().zip(blocks).zip((1..).step_by(2)) {
            executor.view_attention(&block.view, params, &tokens.shared, q, &mut tape.view, &mut scratch.view)?;
            keep(q)?;
            executor.feed_forward(&block.view_ff, params, q, routers.noise_of(router), &mut tape.view_ff)?;
            keep(q)?;
            if let Some(layer) = &block.position {
                tape.position.forward(network, layer, encoding, q)?;
            }
            executor.ray_attention(&block.ray, params, tokens.samples, q, &mut tape.ray)?;
            keep(q)?;
            executor.feed_forward(&block.ray_ff, params, q, routers.noise_of(router + 1), &mut tape.ray_ff)?;
            keep(q)?;
        }
        head.forward(network, tokens, q)
    }

    /// Adds to `grads` (folded layout) the gradients of the forward pass just run, and to those in `tokens` theirs.
    pub(super) fn backward(
        &mut self,
        network: NetworkOn<E>,
        seeds: Seeds<E>,
        tokens: &mut Tokens<E>,
        encoding: &E::Values,
        grads: &mut E::Flat,
    ) -> Result<(), E::Error> {
        let NetworkOn { executor, net, params, .. } = network;
        let Self { routers, head, dq, scratch, blocks, start, .. } = self;
        head.backward(network, tokens, seeds.rgb, seeds.ray_logits, dq, grads)?;
        let mut states = seeds.states.unwrap_or_default().iter().rev();
        let mut add = |dq: &mut E::Values| states.next().map_or(Ok(()), |state| executor.add(state, dq));
        let (samples, balance) = (tokens.samples, routers.balance);
        for (block, tape) in net.blocks.iter().zip(&*blocks).rev() {
            let Scratch { view, ray, feed_forward, d_hidden } = scratch;
            add(dq)?;
            executor.feed_forward_backward(&block.ray_ff, params, &tape.ray_ff, dq, feed_forward, grads, balance)?;
            add(dq)?;
            executor.ray_attention_backward(&block.ray, params, samples, &tape.ray, dq, ray, grads)?;
            if let Some(layer) = &block.position {
                tape.position.backward(network, layer, encoding, dq, d_hidden, grads)?;
            }
            add(dq)?;
            executor.feed_forward_backward(&block.view_ff, params, &tape.view_ff, dq, feed_forward, grads, balance)?;
            add(dq)?;
            executor.view_attention_backward(&block.view, params, &mut tokens.shared, &tape.view, dq, view, grads)?;
        }
        start.backward(network, &mut tokens.shared, dq, grads)
    }

    /// What the routers did in the last forward pass, over all blocks; zeros without experts.
    pub fn usage(&self, net: &Folded) -> Usage {
        let mut sum = Usage::default();
        for (block, tape) in net.blocks.iter().zip(&self.blocks) {
            sum.add(&E::usage(&block.view_ff, &tape.view_ff));
            sum.add(&E::usage(&block.ray_ff, &tape.ray_ff));
        }
        sum
    }
}
