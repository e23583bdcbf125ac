//! Attention over source views in the CUDA ray kernel: the choice between the kinds.

use super::hamming::ray_kernel::{HammingViewWeights, workspace};
use super::subtraction::ray_kernel::SubtractionWeights;
use super::{ViewAttention, ViewAttentionKind, ViewAttentionTape};
use crate::linear::Linear;
use crate::ray_kernel::{Memory, Packer, RayKind, RaySlot, Space};
use compute::cuda::twin::Weights;

/// The kinds in `kernels/render/view_attention/`.
pub const RAY_SLOT: RaySlot = RaySlot {
    define: "VIEW",
    doc: "Attention over source views.",
    weights: "ViewAttentionWeights",
    memory: "ViewAttentionWorkspace",
    kinds: &[
        RayKind::new::<SubtractionWeights>("SUBTRACTION", || Memory::nothing(Space::Workspace)),
        RayKind::new::<HammingViewWeights>("HAMMING", workspace),
    ],
};

impl ViewAttentionKind {
    /// Its name in [`RAY_SLOT`].
    pub fn ray_kernel(self) -> &'static str {
        match self {
            Self::Subtract => "SUBTRACTION",
            Self::Hamming => "HAMMING",
        }
    }
}

impl ViewAttentionKind {
    /// Whether queries and keys are codes.
    pub fn has_codes(self) -> bool {
        match self {
            Self::Subtract => false,
            Self::Hamming => true,
        }
    }
}

impl ViewAttention {
    /// The layer whose output's signs are the codes of keys, where there are codes.
    pub fn key_layer(&self) -> Option<&Linear> {
        match self {
            Self::Subtraction(_) => None,
            Self::Hamming(layer) => Some(&layer.key),
        }
    }

    /// The projection `[samples, C]` whose signs are the codes of queries in a forward pass, where there are codes.
    pub fn query_projection<'a>(&self, tape: &'a ViewAttentionTape) -> Option<&'a [f32]> {
        match self {
            Self::Subtraction(_) => None,
            Self::Hamming(_) => Some(&tape.hamming.query),
        }
    }

    /// Packs its weights.
    pub fn pack(&self, packer: &mut Packer) -> Box<dyn Weights> {
        match self {
            Self::Subtraction(layer) => Box::new(layer.pack(packer)),
            Self::Hamming(layer) => Box::new(layer.pack(packer)),
        }
    }
}
