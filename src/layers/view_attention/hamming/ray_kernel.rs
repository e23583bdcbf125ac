//! Hamming attention over source views in the CUDA ray kernel, `kernels/render/view_attention/hamming.cuh`.

use super::HammingViewAttention;
use crate::ray_kernel::{Element, Memory, Order, Packer, Part, Size, Space};
use compute::cuda::twin::{Address, Fragments};
use compute::twin;

twin! {
    /// Weights of Hamming attention over source views; C channels in heads of d, H hidden ones.
    pub struct HammingViewWeights {
        /// Gain and bias `[2, C]`.
        norm: Address<f32>,
        /// C → C.
        query: Address<Fragments>,
        /// `[C]`.
        query_bias: Address<f32>,
        /// C → C.
        key: Address<Fragments>,
        /// `[C]`.
        key_bias: Address<f32>,
        /// `[5, H]`: rows and bias of the hidden direction.
        direction: Address<f32>,
        /// For each head C → d, order Rows.
        token: Address<Fragments>,
        /// For each head H → d.
        hidden: Address<Fragments>,
        /// `[H, heads]`.
        head_bias: Address<f32>,
        /// `[heads]`.
        tau: Address<f32>,
        /// C → C.
        out: Address<Fragments>,
        /// `[C]`.
        out_bias: Address<f32>,
    }
}

/// What it keeps for a ray.
pub fn workspace() -> Memory {
    let pairs = || Size::Samples * Size::Views;
    Memory::new(
        Space::Workspace,
        "HammingViewWorkspace",
        "What Hamming attention over source views keeps of each sample and view that counts.",
        vec![
            Part::array("pixels", Element::Int2, pairs(), "`[samples, views]`: view and pixel of its map."),
            Part::array("logits", Element::Float, pairs() * Size::Heads, "`[samples, views, heads]`."),
        ],
    )
}

impl HammingViewAttention {
    /// Packs its weights.
    pub fn pack(&self, packer: &mut Packer) -> HammingViewWeights {
        let (c, h, d) = (self.out.inputs, self.direction.outputs, self.out.inputs / self.heads);
        // Heads one after the other: sizes leave no gap between them, so that the first has the address of all.
        let token: Vec<_> =
            (0..self.heads).map(|head| packer.byte_part(Order::Rows, &self.value, c, (head * d, d), true)).collect();
        let hidden: Vec<_> =
            (0..self.heads).map(|head| packer.part(Order::Natural, &self.value, (c, h), (head * d, d))).collect();
        HammingViewWeights {
            norm: packer.norm(&self.norm),
            query: packer.byte_matrix(Order::Natural, &self.query, true),
            query_bias: packer.bias(&self.query),
            key: packer.matrix(Order::Natural, &self.key),
            key_bias: packer.bias(&self.key),
            direction: packer.with_bias(&self.direction),
            token: token[0],
            hidden: hidden[0],
            head_bias: packer.numbers(self.bias.weight),
            tau: packer.numbers(self.tau),
            out: packer.byte_matrix(Order::Natural, &self.out, true),
            out_bias: packer.bias(&self.out),
        }
    }
}
