//! Tokens on a CUDA device, and what every view attention makes of their directions.

use super::SharedTokens;
use crate::cuda::{MoreArgs, Ops, Store};
use crate::linear::Linear;
use crate::linear::cuda::weight_and_bias;
use compute::cuda::{Args, Buffer, Launch, Result};

/// The file of the kernels.
const KERNELS: &str = "training/view_attention.cu";

/// What all view attentions of a chunk of rays share, on the device.
pub type CudaViewTokens = SharedTokens<Store>;

impl Ops {
    /// `out = relu(direction · W + b)`, `[pairs, H]`: the hidden layer of the directions, which every kind has.
    pub(super) fn hidden_direction(
        &self,
        layer: &Linear,
        params: &Buffer<f32>,
        tokens: &CudaViewTokens,
        out: &mut Store,
    ) -> Result<()> {
        let (pairs, hidden) = (tokens.pairs(), layer.outputs);
        out.resize(&self.device, pairs * hidden)?;
        let (weight, bias) = weight_and_bias(layer, params);
        let args = Args::new().store(&tokens.directions).slice(weight).slice(bias).store(out).ints([pairs, hidden]);
        // SAFETY: four values a pair, and a layer of 4 → hidden.
        unsafe { self.module(KERNELS)?.launch("views_direction", &Launch::each(pairs * hidden), args) }
    }
}
