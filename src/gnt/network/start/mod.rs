//! The states that samples start from: the largest token of each channel over the views, or mean and variance of the
//! tokens through a layer.

mod cpu;
pub(super) mod cuda;

use super::NetworkOn;
use layers::executor::Executor;
use layers::view_attention::SharedTokens;
use std::fmt::Debug;

/// An executor that reduces tokens over the source views. `T` samples of all rays, `C` channels.
pub trait StartExecutor: Executor + Sized {
    /// A view for each channel of each sample.
    type Winners: Debug + Default;

    /// Writes to `q` `[T, C]` the largest token of each channel, and to `winners` which view it is of.
    fn maximum(
        &self,
        tokens: &SharedTokens<Self::Values>,
        q: &mut Self::Values,
        winners: &mut Self::Winners,
    ) -> Result<(), Self::Error>;

    /// Adds `dq` `[T, C]` to the gradients of the tokens that won.
    fn maximum_backward(
        &self,
        dq: &Self::Values,
        winners: &Self::Winners,
        tokens: &mut SharedTokens<Self::Values>,
    ) -> Result<(), Self::Error>;

    /// Writes mean and biased variance `[T, 2C]` over the views that see each sample; zeros where none does.
    fn moments(&self, tokens: &SharedTokens<Self::Values>, moments: &mut Self::Values) -> Result<(), Self::Error>;

    /// Adds to the tokens' gradients what `d_moments` `[T, 2C]` leads back to them.
    fn moments_backward(
        &self,
        moments: &Self::Values,
        d_moments: &Self::Values,
        tokens: &mut SharedTokens<Self::Values>,
    ) -> Result<(), Self::Error>;
}

/// What the backward pass of the start needs.
#[derive(Debug)]
pub struct StartTape<E: StartExecutor> {
    /// For each state channel the view it came from, `[T, C]`, where the start is a maximum.
    winners: E::Winners,
    /// `[T, 2C]`: mean and variance, where the start is made of them.
    moments: E::Values,
    d_moments: E::Values,
}

impl<E: StartExecutor> Default for StartTape<E> {
    fn default() -> Self {
        Self { winners: E::Winners::default(), moments: E::Values::default(), d_moments: E::Values::default() }
    }
}

impl<E: StartExecutor> StartTape<E> {
    /// Writes the states `q` `[T, C]`.
    ///
    /// # Errors
    /// If the device fails.
    pub fn forward(
        &mut self,
        network: NetworkOn<E>,
        tokens: &SharedTokens<E::Values>,
        q: &mut E::Values,
    ) -> Result<(), E::Error> {
        let NetworkOn { executor, net, params, .. } = network;
        executor.resize(q, tokens.samples * net.norm.width)?;
        match &net.start {
            None => executor.maximum(tokens, q, &mut self.winners),
            Some(layer) => {
                executor.resize(&mut self.moments, tokens.samples * layer.inputs)?;
                executor.moments(tokens, &mut self.moments)?;
                executor.linear(layer, params, &self.moments, q, false, false)
            }
        }
    }

    /// Adds the gradient of the states, `dq` `[T, C]`, to the tokens' and the parameters'.
    ///
    /// # Errors
    /// If the device fails.
    pub fn backward(
        &mut self,
        network: NetworkOn<E>,
        tokens: &mut SharedTokens<E::Values>,
        dq: &E::Values,
        grads: &mut E::Flat,
    ) -> Result<(), E::Error> {
        let NetworkOn { executor, net, params, .. } = network;
        match &net.start {
            None => executor.maximum_backward(dq, &self.winners, tokens),
            Some(layer) => {
                executor.resize(&mut self.d_moments, E::len(&self.moments))?;
                let dx = Some((&mut self.d_moments, false));
                executor.linear_backward(layer, params, &self.moments, dq, dx, grads)?;
                executor.moments_backward(&self.moments, &self.d_moments, tokens)
            }
        }
    }
}
