//! A feed-forward part of two layers in the CUDA ray kernel, `kernels/render/feed_forward/mlp.cuh`.

use super::Mlp;
use crate::feed_forward::ray_kernel::TwoLayers;
use crate::ray_kernel::{Order, Packer};
use compute::cuda::twin::Address;
use compute::twin;

twin! {
    /// Weights of a feed-forward part of two layers.
    pub struct MlpWeights {
        /// Gain and bias `[2, C]`.
        norm: Address<f32>,
        /// The first in the order Natural.
        layers: TwoLayers,
    }
}

impl Mlp {
    /// Packs its weights.
    pub fn pack(&self, packer: &mut Packer) -> MlpWeights {
        let layers = TwoLayers::pack(packer, Order::Natural, [&self.fc1, &self.fc2], true);
        MlpWeights { norm: packer.norm(&self.norm), layers }
    }
}
