//! Subtraction attention in the CUDA ray kernel, `kernels/render/view_attention/subtraction.cuh`.

use super::SubtractionAttention;
use crate::ray_kernel::{Order, Packer};
use compute::cuda::twin::{Address, Fragments};
use compute::twin;

twin! {
    /// Weights of subtraction attention over source views; C channels, H hidden ones.
    pub struct SubtractionWeights {
        /// Gain and bias `[2, C]`.
        norm: Address<f32>,
        /// C → H.
        query: Address<Fragments>,
        /// `[5, H]`: rows and bias of the hidden direction.
        direction: Address<f32>,
        /// Token C → C + H, order Rows.
        token: Address<Fragments>,
        /// Hidden direction H → C + H.
        hidden: Address<Fragments>,
        /// `[C + H]`.
        token_bias: Address<f32>,
        /// H → C.
        logits: Address<Fragments>,
        /// C → C.
        out: Address<Fragments>,
        /// `[C]`.
        out_bias: Address<f32>,
    }
}

impl SubtractionAttention {
    /// Packs its weights.
    pub fn pack(&self, packer: &mut Packer) -> SubtractionWeights {
        let (c, h) = (self.out.inputs, self.query.outputs);
        SubtractionWeights {
            norm: packer.norm(&self.norm),
            query: packer.matrix(Order::Natural, &self.query),
            direction: packer.with_bias(&self.direction),
            token: packer.part(Order::Rows, &self.mix, (0, c), (0, c + h)),
            hidden: packer.part(Order::Natural, &self.mix, (c, h), (0, c + h)),
            token_bias: packer.bias(&self.mix),
            logits: packer.matrix(Order::Natural, &self.logits),
            out: packer.matrix(Order::Natural, &self.out),
            out_bias: packer.bias(&self.out),
        }
    }
}
