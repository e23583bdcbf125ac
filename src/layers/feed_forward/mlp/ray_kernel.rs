//! A feed-forward part of two layers in the CUDA ray kernel, `kernels/render/feed_forward/mlp.cuh`.

use super::Mlp;
use crate::linear::Linear;
use crate::ray_kernel::{Order, Packer};
use compute::cuda::twin::{Address, Fragments};
use compute::twin;

twin! {
    /// Two layers with a ReLU between; W hidden channels.
    pub struct TwoLayers {
        /// C → W; the order is that of the rows that it is given.
        fc1: Address<Fragments>,
        /// `[W]`.
        bias1: Address<f32>,
        /// W → C, order Natural.
        fc2: Address<Fragments>,
        /// `[C]`.
        bias2: Address<f32>,
    }
}

impl TwoLayers {
    /// Packs two layers, the first of which is given rows in an order; `shift` tells whether their weights are powers of
    /// two where they are computed on bytes.
    pub fn pack(packer: &mut Packer, order: Order, [fc1, fc2]: [&Linear; 2], shift: bool) -> Self {
        Self {
            fc1: packer.byte_matrix(order, fc1, shift),
            bias1: packer.bias(fc1),
            fc2: packer.byte_matrix(Order::Natural, fc2, shift),
            bias2: packer.bias(fc2),
        }
    }
}

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
