//! The layer that joins states and position encoding, in every other block.

use super::NetworkOn;
use crate::folded::PositionLayer;
use layers::executor::Executor;
use std::fmt::Debug;

/// What the backward pass needs from the forward pass; `B` is the memory of one device.
#[derive(Debug, Default)]
pub struct PositionTape<B> {
    state: B,
    hidden: B,
}

impl<B: Debug + Default> PositionTape<B> {
    /// Replaces the states `q` `[T, C]` by those that know the position `encoding` `[T, channels]`.
    ///
    /// # Errors
    /// If the device fails.
    pub fn forward<E: Executor<Values = B>>(
        &mut self,
        network: NetworkOn<E>,
        layer: &PositionLayer,
        encoding: &B,
        q: &mut B,
    ) -> Result<(), E::Error> {
        let NetworkOn { executor, params, .. } = network;
        executor.copy(q, &mut self.state)?;
        executor.resize(&mut self.hidden, E::len(q))?;
        executor.linear(&layer.state, params, &self.state, &mut self.hidden, false, false)?;
        executor.linear(&layer.encoding, params, encoding, &mut self.hidden, true, true)?;
        executor.linear(&layer.fc2, params, &self.hidden, q, false, false)
    }

    /// Turns the gradient of the output into that of the input, in place in `dq` `[T, C]`.
    ///
    /// # Errors
    /// If the device fails.
    pub fn backward<E: Executor<Values = B>>(
        &self,
        network: NetworkOn<E>,
        layer: &PositionLayer,
        encoding: &B,
        dq: &mut B,
        d_hidden: &mut B,
        grads: &mut E::Flat,
    ) -> Result<(), E::Error> {
        let NetworkOn { executor, params, .. } = network;
        executor.resize(d_hidden, E::len(&self.hidden))?;
        executor.linear_backward(&layer.fc2, params, &self.hidden, dq, Some((d_hidden, false)), grads)?;
        executor.relu_backward(&self.hidden, d_hidden)?;
        executor.linear_backward(&layer.encoding, params, encoding, d_hidden, None, grads)?;
        executor.linear_backward(&layer.state, params, &self.state, d_hidden, Some((dq, false)), grads)
    }
}
