//! The mixture of two experts in the CUDA ray kernel, `kernels/render/feed_forward/experts.cuh`.

use super::{Experts, SHIFT};
use crate::feed_forward::mlp::ray_kernel::TwoLayers;
use crate::ray_kernel::{Element, Memory, Order, Packer, Part, ROW_PADDING, Size, Space, TILE};
use compute::cuda::twin::Address;
use compute::twin;

twin! {
    /// Weights of a router and two experts.
    pub struct ExpertsWeights {
        /// Gain and bias `[2, C]`.
        norm: Address<f32>,
        /// The multiply and the shift expert, whose first layers read rows from memory: order Rows.
        experts: [TwoLayers; 2],
        /// `[C, 2]` and two biases.
        router: Address<f32>,
    }
}

/// What it keeps of a ray, from the choice of the experts to their results.
pub fn shared() -> Memory {
    let rows = Size::Samples * (Size::Width + ROW_PADDING);
    // The rows of each of the two experts end with a tile that may not be full.
    let order = Size::Samples + 2 * TILE;
    Memory::new(
        Space::Shared,
        "ExpertsShared",
        "What a feed-forward part with experts keeps of a ray, from the choice of the experts to their results.",
        vec![
            Part::array("rows", Element::Stored, rows, "`[samples, kKeyStride]`: what they read."),
            Part::array("chosen", Element::Int, Size::Samples, "`[samples]`: the expert of each row."),
            Part::array("order", Element::Int, order, "`[samples + 32]`: rows by expert; -1 fills tiles up."),
            Part::array("gates", Element::Float, Size::Samples, "`[samples]`: the probability of the chosen expert."),
        ],
    )
}

impl Experts {
    /// Packs its weights.
    pub fn pack(&self, packer: &mut Packer) -> ExpertsWeights {
        let expert = |index: usize, packer: &mut Packer| {
            let expert = &self.experts[index];
            TwoLayers::pack(packer, Order::Rows, [&expert.fc1, &expert.fc2], index == SHIFT)
        };
        let experts = [expert(0, packer), expert(1, packer)];
        ExpertsWeights { norm: packer.norm(&self.norm), experts, router: packer.with_bias(&self.router) }
    }
}
