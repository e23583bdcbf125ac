//! A pass of the whole transformer over one chunk of rays.

use super::sources::RayChunk;
use super::tokens::Tokens;
use super::trunk::Trunk;
use super::{NetworkOn, RayExecutor, Seeds};
use layers::executor::Cpu;

/// Activations of one chunk of rays and buffers of its backward pass, reused between chunks; on the CPU there is one a
/// thread.
#[derive(Debug)]
pub struct Workspace<E: RayExecutor = Cpu> {
    /// Tokens.
    pub tokens: Tokens<E>,
    /// Position encoding of the samples.
    pub encoding: E::Values,
    /// All that follows the tokens.
    pub trunk: Trunk<E>,
}

impl<E: RayExecutor> Default for Workspace<E> {
    fn default() -> Self {
        Self { tokens: Default::default(), encoding: Default::default(), trunk: Default::default() }
    }
}

impl<E: RayExecutor> Workspace<E> {
    /// Colours of the rays, in `self.trunk.head.rgb` `[rays, 3]`.
    ///
    /// # Panics
    /// If there is no ray.
    ///
    /// # Errors
    /// If the device fails or lacks memory; on the CPU none.
    pub fn forward(&mut self, network: NetworkOn<E>, sources: E::Sources<'_>, chunk: RayChunk) -> Result<(), E::Error> {
        let (executor, position) = (network.executor, network.config.position);
        self.tokens.forward(network, sources, chunk)?;
        executor.resize(&mut self.encoding, chunk.depths.len() * position.channels())?;
        executor.encode(position, chunk, &self.tokens, &mut self.encoding)?;
        self.trunk.forward(network, &self.tokens, &self.encoding)
    }

    /// Adds to `grads` (folded layout) the gradients of the chunk last run forward, and those of the sources' maps to
    /// `d_maps`; without it, what lies before the tokens (and the token layers) gets none.
    ///
    /// # Errors
    /// If the device fails or lacks memory; on the CPU none.
    pub fn backward(
        &mut self,
        network: NetworkOn<E>,
        seeds: Seeds<E>,
        d_maps: Option<&mut E::MapGrads>,
        grads: &mut E::Flat,
    ) -> Result<(), E::Error> {
        let Self { tokens, encoding, trunk } = self;
        tokens.start_gradients(network.executor, seeds.tokens)?;
        trunk.backward(network, seeds, tokens, encoding, grads)?;
        d_maps.map_or(Ok(()), |d_maps| tokens.backward(network, d_maps, grads))
    }

    /// Writes the weights of the samples of each ray `[rays, samples]` in the last forward pass: those of the blending
    /// head, or, as upstream defines them, the head-averaged attention row of the nearest sample in the last ray block.
    ///
    /// # Errors
    /// If the device fails or lacks memory; on the CPU none.
    pub fn ray_weights(&self, network: NetworkOn<E>, out: &mut E::Values) -> Result<(), E::Error> {
        let NetworkOn { executor, net, params, .. } = network;
        if net.blend.is_some() {
            return executor.copy(&self.trunk.head.ray_weights, out);
        }
        let (rays, samples) = (self.tokens.rays, self.tokens.samples);
        match (net.blocks.last(), self.trunk.blocks.last()) {
            (Some(block), Some(tape)) => {
                executor.ray_attention_first_rows(&block.ray, params, &tape.ray, rays, samples, out)
            }
            _ => executor.resize(out, 0),
        }
    }
}
