//! Feed-forward parts in the CUDA ray kernel: the choice between the kinds.

use super::experts::ExpertsTape;
use super::experts::ray_kernel::{ExpertsWeights, shared};
use super::mlp::ray_kernel::MlpWeights;
use super::{FeedForward, FeedForwardKind, FeedForwardTape};
use crate::ray_kernel::{Memory, Packer, RayKind, RaySlot, Space};
use compute::cuda::twin::Weights;

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
