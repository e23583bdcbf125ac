//! Linear-angular attention in the CUDA ray kernel, `kernels/render/ray_attention/linear_angular.cuh`.

use super::{LinearAngularAttention, NORM_EPS, TAPS};
use crate::ray_kernel::{Order, Packer};
use compute::cuda::twin::{Address, Constant, Fragments};
use compute::twin;

twin! {
    /// Weights of linear-angular attention along the ray; matrices are C → C.
    pub struct LinearAngularWeights {
        /// Gain and bias `[2, C]`.
        norm: Address<f32>,
        query: Address<Fragments>,
        /// `[C]`.
        query_bias: Address<f32>,
        key: Address<Fragments>,
        /// `[C]`.
        key_bias: Address<f32>,
        value: Address<Fragments>,
        /// `[heads, 9]`; null without a filter.
        filter: Address<f32>,
        out: Address<Fragments>,
        /// `[C]`.
        out_bias: Address<f32>,
    }
}

/// Constants of the kernels of training and of rendering.
pub fn constants() -> [Constant; 2] {
    [
        Constant::int("kLinearAngularTaps", TAPS, "Taps of the filter of linear-angular attention."),
        Constant::float("kLinearAngularEps", NORM_EPS, "Added to the squared length that it divides by."),
    ]
}

impl LinearAngularAttention {
    /// Packs its weights.
    pub fn pack(&self, packer: &mut Packer) -> LinearAngularWeights {
        let c = self.out.inputs;
        let [query, key, value] =
            [0, 1, 2].map(|part| packer.byte_part(Order::Natural, &self.qkv, c, (part * c, c), true));
        LinearAngularWeights {
            norm: packer.norm(&self.norm),
            query,
            query_bias: packer.bias_part(&self.qkv, (0, c)),
            key,
            key_bias: packer.bias_part(&self.qkv, (c, c)),
            value,
            filter: self.filter.map_or(Address::NULL, |filter| packer.numbers(filter)),
            out: packer.byte_matrix(Order::Natural, &self.out, true),
            out_bias: packer.bias(&self.out),
        }
    }
}
