//! Softmax attention along the ray in the CUDA ray kernel, `kernels/render/ray_attention/softmax.cuh`.

use super::SoftmaxRayAttention;
use crate::ray_kernel::{Order, Packer};
use compute::cuda::twin::{Address, Fragments};
use compute::twin;

twin! {
    /// Weights of softmax attention along the ray; matrices are C → C.
    pub struct SoftmaxRayWeights {
        /// Gain and bias `[2, C]`.
        norm: Address<f32>,
        query: Address<Fragments>,
        key: Address<Fragments>,
        value: Address<Fragments>,
        out: Address<Fragments>,
        /// `[C]`.
        out_bias: Address<f32>,
    }
}

impl SoftmaxRayAttention {
    /// Packs its weights.
    pub fn pack(&self, packer: &mut Packer) -> SoftmaxRayWeights {
        let c = self.out.inputs;
        let [query, key, value] =
            [0, 1, 2].map(|part| packer.byte_part(Order::Natural, &self.qkv, c, (part * c, c), true));
        SoftmaxRayWeights {
            norm: packer.norm(&self.norm),
            query,
            key,
            value,
            out: packer.byte_matrix(Order::Natural, &self.out, true),
            out_bias: packer.bias(&self.out),
        }
    }
}
