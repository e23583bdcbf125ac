//! Tokens: what each source view shows at each sample of a chunk of rays.

mod cpu;
pub(super) mod cuda;

pub use cpu::Places;
pub use cuda::CudaPlaces;

use super::NetworkOn;
use super::sources::RayChunk;
use crate::config::Position;
use layers::executor::Executor;
use layers::linear::Linear;
use layers::view_attention::SharedTokens;
use std::fmt::Debug;

/// An executor that projects samples into source views. `T` samples of all rays, `V` views, `C` channels.
pub trait TokenExecutor: Executor + Sized {
    /// What the tokens are read from: cameras, photographs, feature maps and keys of all source views.
    type Sources<'a>: Copy;
    /// Gradients of the sources' feature maps and keys.
    type MapGrads;
    /// Where the samples are, in the world and in the feature maps.
    type Places: Debug + Default;

    /// Number of source views.
    fn views(sources: Self::Sources<'_>) -> usize;

    /// Projects the samples of `chunk` into all source views: writes places, mask, directions and colours of `tokens`,
    /// which have the size of the chunk.
    fn project(
        &self,
        sources: Self::Sources<'_>,
        chunk: RayChunk,
        tokens: &mut Tokens<Self>,
    ) -> Result<(), Self::Error>;

    /// Writes the hidden layer of the tokens, `relu(map + colour · W + b)` `[T, V, C]`.
    fn gather(
        &self,
        layer: &Linear,
        params: &Self::Flat,
        sources: Self::Sources<'_>,
        tokens: &mut Tokens<Self>,
    ) -> Result<(), Self::Error>;

    /// Writes the keys `[T, V, C]`: those of the feature maps' nearest pixels.
    fn gather_keys(
        &self,
        channels: usize,
        sources: Self::Sources<'_>,
        tokens: &mut Tokens<Self>,
    ) -> Result<(), Self::Error>;

    /// Adds the gradient of the hidden layer to those of the maps' pixels.
    fn scatter(&self, channels: usize, tokens: &Tokens<Self>, d_maps: &mut Self::MapGrads) -> Result<(), Self::Error>;

    /// Adds the gradient of the keys to those of the maps' nearest pixels.
    fn scatter_keys(
        &self,
        channels: usize,
        tokens: &Tokens<Self>,
        d_maps: &mut Self::MapGrads,
    ) -> Result<(), Self::Error>;

    /// Writes the position encoding of the samples `[T, position.channels()]`.
    fn encode(
        &self,
        position: Position,
        chunk: RayChunk,
        tokens: &Tokens<Self>,
        out: &mut Self::Values,
    ) -> Result<(), Self::Error>;
}

/// Tokens of a chunk and what their backward pass needs.
#[derive(Debug)]
pub struct Tokens<E: TokenExecutor> {
    /// Rays.
    pub rays: usize,
    /// Samples a ray.
    pub samples: usize,
    /// Tokens, keys, directions and mask with their gradients.
    pub shared: SharedTokens<E::Values>,
    /// Colours of the photographs `[T, V, 3]`.
    pub colours: E::Values,
    /// Where the samples are.
    pub places: E::Places,
    hidden: E::Values,
    d_hidden: E::Values,
}

impl<E: TokenExecutor> Default for Tokens<E> {
    fn default() -> Self {
        Self {
            rays: 0,
            samples: 0,
            shared: SharedTokens::default(),
            colours: E::Values::default(),
            places: E::Places::default(),
            hidden: E::Values::default(),
            d_hidden: E::Values::default(),
        }
    }
}

impl<E: TokenExecutor> Tokens<E> {
    /// Projects the samples of `chunk` into all source views and computes their tokens.
    ///
    /// # Panics
    /// If there is no ray.
    ///
    /// # Errors
    /// If the device fails.
    pub fn forward(&mut self, network: NetworkOn<E>, sources: E::Sources<'_>, chunk: RayChunk) -> Result<(), E::Error> {
        assert!(!chunk.rays.is_empty(), "a chunk without rays");
        let NetworkOn { executor, net, params, .. } = network;
        (self.rays, self.samples) = (chunk.rays.len(), chunk.samples());
        (self.shared.samples, self.shared.views) = (chunk.depths.len(), E::views(sources));
        let (c, pairs) = (net.token_fc2.inputs, self.shared.pairs());
        executor.resize(&mut self.shared.mask, pairs)?;
        executor.resize(&mut self.shared.directions, pairs * 4)?;
        executor.resize(&mut self.shared.tokens, pairs * c)?;
        executor.resize(&mut self.colours, pairs * 3)?;
        executor.resize(&mut self.hidden, pairs * c)?;
        executor.project(sources, chunk, self)?;
        executor.gather(&net.token_colour, params, sources, self)?;
        executor.linear(&net.token_fc2, params, &self.hidden, &mut self.shared.tokens, false, false)?;
        if net.reads_keys {
            executor.resize(&mut self.shared.keys, pairs * c)?;
            executor.gather_keys(c, sources, self)?;
        }
        Ok(())
    }

    /// Starts the gradients that the layers add to: zeros, or `seed` for the tokens.
    ///
    /// # Errors
    /// If the device fails.
    pub fn start_gradients(&mut self, executor: &E, seed: Option<&E::Values>) -> Result<(), E::Error> {
        let SharedTokens { tokens, keys, d_tokens, d_keys, .. } = &mut self.shared;
        match seed {
            Some(seed) => executor.copy(seed, d_tokens)?,
            None => executor.zeros(d_tokens, E::len(tokens))?,
        }
        if E::len(keys) > 0 { executor.zeros(d_keys, E::len(keys)) } else { Ok(()) }
    }

    /// Takes the gradients of tokens and keys back to the parameters, and adds them to those of the sources' maps.
    ///
    /// # Errors
    /// If the device fails.
    pub fn backward(
        &mut self,
        network: NetworkOn<E>,
        d_maps: &mut E::MapGrads,
        grads: &mut E::Flat,
    ) -> Result<(), E::Error> {
        let NetworkOn { executor, net, params, .. } = network;
        let c = net.token_fc2.inputs;
        executor.resize(&mut self.d_hidden, E::len(&self.hidden))?;
        let dx = Some((&mut self.d_hidden, false));
        executor.linear_backward(&net.token_fc2, params, &self.hidden, &self.shared.d_tokens, dx, grads)?;
        executor.relu_backward(&self.hidden, &mut self.d_hidden)?;
        executor.linear_backward(&net.token_colour, params, &self.colours, &self.d_hidden, None, grads)?;
        executor.scatter(c, self, d_maps)?;
        if net.reads_keys { executor.scatter_keys(c, self, d_maps) } else { Ok(()) }
    }
}
