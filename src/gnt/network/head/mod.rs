//! The head: from the samples' states to the colour of a ray.

mod cpu;
pub(super) mod cuda;

use super::NetworkOn;
use super::tokens::{TokenExecutor, Tokens};
use crate::folded::BlendLayers;
use layers::layer_norm::LayerNormTape;

/// Output of the head and what its backward pass needs; `T` samples of `R` rays, `S` a ray, `V` views, `C` channels of a
/// state and `K` hidden channels; `B` is the memory of one device.
#[derive(Clone, Debug, Default)]
pub struct HeadTape<B> {
    /// Weights of the samples of each ray `[R, S]`; sum to 1.
    pub ray_weights: B,
    /// Weights of the views at each sample `[T, V]`; sum to 1. Only of [`crate::Head::Blend`].
    pub view_weights: B,
    /// Colours of the rays `[R, 3]`.
    pub rgb: B,
    /// The states normalised, `[T, C]`.
    norm: LayerNormTape<B>,
    /// Colour that the views blend at each sample, `[T, 3]`.
    blended: B,
    /// `[T, V, K]`, after the ReLU.
    hidden: B,
    /// The states' part of the hidden layer, `[T, K]`.
    state: B,
    /// `[R, C]`.
    pooled: B,
    d_norm: B,
    d_pooled: B,
    d_ray_logits: B,
    d_view_logits: B,
    d_hidden: B,
    d_state: B,
}

/// An executor that makes colours of samples' states; letters are those of [`HeadTape`].
pub trait HeadExecutor: TokenExecutor {
    /// Makes of the samples' logits `[R, S]`, in place, weights that sum to 1 on each ray; all equal unless they are
    /// `learned`.
    fn weigh_samples(&self, samples: usize, learned: bool, weights: &mut Self::Values) -> Result<(), Self::Error>;

    /// From the parts of tokens (in `hidden`) and states (in `state`) to the hidden layer, the weights of the views and
    /// the colour that they blend.
    fn blend_views(
        &self,
        layers: &BlendLayers,
        params: &Self::Flat,
        tokens: &Tokens<Self>,
        head: &mut HeadTape<Self::Values>,
    ) -> Result<(), Self::Error>;

    /// `pooled = Σ_s weights · y` on each ray.
    fn pool(&self, samples: usize, head: &mut HeadTape<Self::Values>) -> Result<(), Self::Error>;

    /// `rgb += Σ_s weights · blended` on each ray.
    fn add_colours(&self, samples: usize, head: &mut HeadTape<Self::Values>) -> Result<(), Self::Error>;

    /// `d_norm = weights · d_pooled`, the adjoint of [`HeadExecutor::pool`] in the states.
    fn pool_backward(&self, samples: usize, head: &mut HeadTape<Self::Values>) -> Result<(), Self::Error>;

    /// Writes the gradient of the samples' logits `[R, S]`, from colours and pooled states, and adds `extra`.
    fn ray_logits_backward(
        &self,
        samples: usize,
        d_rgb: &Self::Values,
        extra: Option<&Self::Values>,
        head: &mut HeadTape<Self::Values>,
    ) -> Result<(), Self::Error>;

    /// Adjoint of [`HeadExecutor::blend_views`]: gradients of the hidden layer before the ReLU, of the states' part of it,
    /// and of the parameters of [`BlendLayers::view`].
    fn blend_views_backward(
        &self,
        layers: &BlendLayers,
        params: &Self::Flat,
        tokens: &Tokens<Self>,
        d_rgb: &Self::Values,
        head: &mut HeadTape<Self::Values>,
        grads: &mut Self::Flat,
    ) -> Result<(), Self::Error>;
}

impl<B: std::fmt::Debug + Default> HeadTape<B> {
    /// Reads the colour of each ray from the states `q` `[R, S, C]`.
    ///
    /// # Errors
    /// If the device fails.
    pub fn forward<E: HeadExecutor<Values = B>>(
        &mut self,
        network: NetworkOn<E>,
        tokens: &Tokens<E>,
        q: &B,
    ) -> Result<(), E::Error> {
        let NetworkOn { executor, net, params, .. } = network;
        let (rays, samples) = (tokens.rays, tokens.samples);
        executor.layer_norm(&net.norm, params, q, &mut self.norm)?;
        executor.resize(&mut self.ray_weights, rays * samples)?;
        executor.resize(&mut self.pooled, rays * net.norm.width)?;
        executor.resize(&mut self.rgb, rays * 3)?;
        if let Some(blend) = &net.blend {
            executor.linear(&blend.ray, params, &self.norm.y, &mut self.ray_weights, false, false)?;
        }
        executor.weigh_samples(samples, net.blend.is_some(), &mut self.ray_weights)?;
        if let Some(blend) = &net.blend {
            let (pairs, k) = (tokens.shared.pairs(), blend.token.outputs);
            executor.resize(&mut self.hidden, pairs * k)?;
            executor.resize(&mut self.state, rays * samples * k)?;
            executor.resize(&mut self.view_weights, pairs)?;
            executor.resize(&mut self.blended, rays * samples * 3)?;
            executor.linear(&blend.token, params, &tokens.shared.tokens, &mut self.hidden, false, false)?;
            executor.linear(&blend.state, params, &self.norm.y, &mut self.state, false, false)?;
            executor.blend_views(blend, params, tokens, self)?;
        }
        executor.pool(samples, self)?;
        executor.linear(&net.rgb, params, &self.pooled, &mut self.rgb, false, false)?;
        if net.blend.is_some() { executor.add_colours(samples, self) } else { Ok(()) }
    }

    /// Takes the gradient of the colours, `d_rgb` `[R, 3]`, back to the states `dq` `[R, S, C]` (overwritten), the tokens
    /// and the parameters.
    ///
    /// `d_ray_logits` `[R, S]` is added to the gradient of the samples' logits (a loss on depth); it has no effect on
    /// [`crate::Head::Mean`], which has no such logits.
    ///
    /// # Errors
    /// If the device fails.
    pub fn backward<E: HeadExecutor<Values = B>>(
        &mut self,
        network: NetworkOn<E>,
        tokens: &mut Tokens<E>,
        d_rgb: &B,
        d_ray_logits: Option<&B>,
        dq: &mut B,
        grads: &mut E::Flat,
    ) -> Result<(), E::Error> {
        let NetworkOn { executor, net, params, .. } = network;
        let (rays, samples, c) = (tokens.rays, tokens.samples, net.norm.width);
        assert_eq!(E::len(d_rgb), rays * 3, "gradient of {rays} colours");
        executor.resize(&mut self.d_pooled, rays * c)?;
        executor.resize(&mut self.d_norm, rays * samples * c)?;
        let dx = Some((&mut self.d_pooled, false));
        executor.linear_backward(&net.rgb, params, &self.pooled, d_rgb, dx, grads)?;
        executor.pool_backward(samples, self)?;
        if let Some(blend) = &net.blend {
            if let Some(extra) = d_ray_logits {
                assert_eq!(E::len(extra), rays * samples, "gradient of the logits of {rays} rays of {samples} samples");
            }
            executor.resize(&mut self.d_ray_logits, rays * samples)?;
            executor.ray_logits_backward(samples, d_rgb, d_ray_logits, self)?;
            let dx = Some((&mut self.d_norm, true));
            executor.linear_backward(&blend.ray, params, &self.norm.y, &self.d_ray_logits, dx, grads)?;
            executor.resize(&mut self.d_view_logits, E::len(&self.view_weights))?;
            executor.resize(&mut self.d_hidden, E::len(&self.hidden))?;
            executor.resize(&mut self.d_state, E::len(&self.state))?;
            executor.blend_views_backward(blend, params, tokens, d_rgb, self, grads)?;
            let shared = &mut tokens.shared;
            let dx = Some((&mut shared.d_tokens, true));
            executor.linear_backward(&blend.token, params, &shared.tokens, &self.d_hidden, dx, grads)?;
            executor.linear_backward(&blend.direction, params, &shared.directions, &self.d_hidden, None, grads)?;
            let dx = Some((&mut self.d_norm, true));
            executor.linear_backward(&blend.state, params, &self.norm.y, &self.d_state, dx, grads)?;
        }
        executor.zeros(dq, rays * samples * c)?;
        executor.layer_norm_backward(&net.norm, params, &self.norm, &self.d_norm, dq, grads)
    }
}
