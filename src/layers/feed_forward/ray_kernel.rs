//! Feed-forward parts in the CUDA ray kernel: the choice between the kinds, and the pair of layers that all are made of.

use super::experts::ExpertsTape;
use super::experts::ray_kernel::{ExpertsWeights, shared};
use super::mlp::ray_kernel::MlpWeights;
use super::{FeedForward, FeedForwardKind, FeedForwardTape};
use crate::linear::Linear;
use crate::ray_kernel::{Memory, Order, Packer, RayKind, RaySlot, Space};
use compute::cuda::twin::{Address, Fragments, Weights};
use compute::twin;

/// The kinds in `kernels/render/feed_forward/`.
pub const RAY_SLOT: RaySlot = RaySlot {
    define: "FEED_FORWARD",
    doc: "Feed-forward parts.",
    weights: "FeedForwardWeights",
    memory: "FeedForwardShared",
    kinds: &[
        RayKind::new::<MlpWeights>("MLP", || Memory::nothing(Space::Shared)),
        RayKind::new::<ExpertsWeights>("EXPERTS", shared),
    ],
};

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

impl FeedForwardKind {
    /// Its name in [`RAY_SLOT`].
    pub fn ray_kernel(self) -> &'static str {
        match self {
            Self::Dense | Self::Shift { .. } => "MLP",
            Self::Experts { .. } => "EXPERTS",
        }
    }
}

impl FeedForwardKind {
    /// Whether rows are sent to experts.
    pub fn has_experts(self) -> bool {
        match self {
            Self::Dense | Self::Shift { .. } => false,
            Self::Experts { .. } => true,
        }
    }
}

impl FeedForward {
    /// Where a forward pass sent its rows, where there are experts.
    pub fn routes<'a>(&self, tape: &'a FeedForwardTape) -> Option<&'a ExpertsTape> {
        match self {
            Self::Mlp(_) => None,
            Self::Experts(_) => Some(&tape.experts),
        }
    }

    /// Packs its weights.
    pub fn pack(&self, packer: &mut Packer) -> Box<dyn Weights> {
        match self {
            Self::Mlp(layer) => Box::new(layer.pack(packer)),
            Self::Experts(layer) => Box::new(layer.pack(packer)),
        }
    }
}
