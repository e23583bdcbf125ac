//! Hamming attention along the ray in the CUDA ray kernel, `kernels/render/ray_attention/hamming.cuh`.

use super::HammingRayAttention;
use crate::ray_kernel::{Order, Packer};
use compute::cuda::twin::{Address, Fragments};
use compute::twin;

twin! {
    /// Weights of Hamming attention along the ray; matrices are C → C.
    pub struct HammingRayWeights {
        /// Gain and bias `[2, C]`.
        norm: Address<f32>,
        query: Address<Fragments>,
        /// `[C]`.
        query_bias: Address<f32>,
        key: Address<Fragments>,
        /// `[C]`.
        key_bias: Address<f32>,
        value: Address<Fragments>,
        /// `[heads]`.
        tau: Address<f32>,
        out: Address<Fragments>,
        /// `[C]`.
        out_bias: Address<f32>,
    }
}

impl HammingRayAttention {
    /// Packs its weights.
    pub fn pack(&self, packer: &mut Packer) -> HammingRayWeights {
        let c = self.out.inputs;
        let [query, key, value] =
            [0, 1, 2].map(|part| packer.byte_part(Order::Natural, &self.qkv, c, (part * c, c), true));
        HammingRayWeights {
            norm: packer.norm(&self.norm),
            query,
            query_bias: packer.bias_part(&self.qkv, (0, c)),
            key,
            key_bias: packer.bias_part(&self.qkv, (c, c)),
            value,
            tau: packer.numbers(self.tau),
            out: packer.byte_matrix(Order::Natural, &self.out, true),
            out_bias: packer.bias(&self.out),
        }
    }
}
