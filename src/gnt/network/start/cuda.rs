//! The states that samples start from, on a CUDA device.

use super::StartExecutor;
use crate::folded::Folded;
use crate::network::cuda::Kernels;
use compute::cuda::{Args, Launch, Result};
use layers::cuda::{Footprint, MoreArgs, Store};
use layers::view_attention::cuda::CudaViewTokens;

/// What [`super::StartTape`] holds on the device.
pub(in crate::network) fn footprint(net: &Folded) -> Footprint {
    // Moments with their gradients, or a number of 16 bits for each channel.
    Footprint::sample(net.start.map_or(net.norm.width / 2, |layer| 2 * layer.inputs))
}

impl StartExecutor for Kernels {
    type Winners = Store<u16>;

    fn maximum(&self, tokens: &CudaViewTokens, q: &mut Store, winners: &mut Store<u16>) -> Result<()> {
        winners.resize(self.device(), q.len())?;
        let args = Args::new().store(&tokens.tokens).store(q).store(winners);
        let args = args.ints([tokens.samples, tokens.views, q.len() / tokens.samples]);
        // SAFETY: tokens have these sizes, q and winners a value a channel of a sample.
        unsafe { self.start.launch("start_max", &Launch::each(q.len()), args) }
    }

    fn maximum_backward(&self, dq: &Store, winners: &Store<u16>, tokens: &mut CudaViewTokens) -> Result<()> {
        let args = Args::new().store(dq).store(winners).store(&tokens.d_tokens);
        let args = args.ints([tokens.samples, tokens.views, dq.len() / tokens.samples]);
        // SAFETY: the winners are views; dq and winners have a value a channel of a sample.
        unsafe { self.start.launch("start_max_backward", &Launch::each(dq.len()), args) }
    }

    fn moments(&self, tokens: &CudaViewTokens, moments: &mut Store) -> Result<()> {
        let channels = moments.len() / (2 * tokens.samples);
        let args = Args::new().store(&tokens.tokens).store(&tokens.mask).store(moments);
        let args = args.ints([tokens.samples, tokens.views, channels]);
        // SAFETY: tokens and mask have these sizes, and the moments two values a channel of a sample.
        unsafe { self.start.launch("start_moments", &Launch::each(moments.len() / 2), args) }
    }

    fn moments_backward(&self, moments: &Store, d_moments: &Store, tokens: &mut CudaViewTokens) -> Result<()> {
        let channels = moments.len() / (2 * tokens.samples);
        let args = Args::new().store(&tokens.tokens).store(&tokens.mask).store(moments).store(d_moments);
        let args = args.store(&tokens.d_tokens).ints([tokens.samples, tokens.views, channels]);
        // SAFETY: as in the forward pass; gradients have the sizes of what they belong to.
        unsafe { self.start.launch("start_moments_backward", &Launch::each(moments.len() / 2), args) }
    }
}
