//! Attention along the ray in the CUDA ray kernel: the choice between the kinds, and what they have in common.

use super::hamming::ray_kernel::HammingRayWeights;
use super::linear_angular::ray_kernel::LinearAngularWeights;
use super::softmax::ray_kernel::SoftmaxRayWeights;
use super::{RayAttention, RayAttentionKind, RayAttentionTape};
use crate::ray_kernel::{Element, Memory, Packer, Part, ROW_PADDING, RayKind, RaySlot, Size, Space};
use compute::cuda::twin::Weights;

/// The kinds in `kernels/render/ray_attention/`.
pub const RAY_SLOT: RaySlot = RaySlot {
    define: "RAY",
    doc: "Attention along the ray.",
    weights: "RayAttentionWeights",
    memory: "RayAttentionShared",
    kinds: &[
        RayKind::new::<SoftmaxRayWeights>("SOFTMAX", keys_and_values),
        RayKind::new::<HammingRayWeights>("HAMMING", keys_and_values),
        RayKind::new::<LinearAngularWeights>("LINEAR_ANGULAR", keys_and_values),
    ],
};

/// What attention whose queries meet all keys keeps of a ray.
fn keys_and_values() -> Memory {
    let keys = Size::Samples * (Size::Width + ROW_PADDING);
    let values = Size::Width * (Size::Samples + ROW_PADDING);
    Memory::new(
        Space::Shared,
        "KeysAndValues",
        "What attention whose queries meet all keys keeps of a ray.",
        vec![
            Part::array("keys", Element::Stored, keys, "`[samples, kKeyStride]`."),
            Part::array("values", Element::Stored, values, "`[C, value_stride]`: transposed."),
        ],
    )
}

impl RayAttentionKind {
    /// Its name in [`RAY_SLOT`].
    ///
    /// # Errors
    /// A sentence, if the ray kernel has no such kind.
    pub fn ray_kernel(self) -> Result<&'static str, String> {
        match self {
            Self::Softmax => Ok("SOFTMAX"),
            Self::Hamming => Ok("HAMMING"),
            Self::LinearAngular { .. } => Ok("LINEAR_ANGULAR"),
        }
    }
}

impl RayAttentionKind {
    /// Whether queries and keys are codes.
    pub fn has_codes(self) -> bool {
        match self {
            Self::Softmax => false,
            Self::Hamming | Self::LinearAngular { .. } => true,
        }
    }
}

impl RayAttention {
    /// Queries, keys and values `[samples, 3C]` of a forward pass, where the signs of queries and keys are codes.
    pub fn code_projections<'a>(&self, tape: &'a RayAttentionTape) -> Option<&'a [f32]> {
        match self {
            Self::Softmax(_) => None,
            Self::Hamming(_) => Some(&tape.hamming.qkv),
            Self::LinearAngular(_) => Some(&tape.linear_angular.qkv),
        }
    }

    /// Packs its weights.
    ///
    /// # Errors
    /// As [`RayAttentionKind::ray_kernel`].
    pub fn pack(&self, packer: &mut Packer) -> Result<Box<dyn Weights>, String> {
        match self {
            Self::Softmax(layer) => Ok(Box::new(layer.pack(packer))),
            Self::Hamming(layer) => Ok(Box::new(layer.pack(packer))),
            Self::LinearAngular(layer) => Ok(Box::new(layer.pack(packer))),
        }
    }
}
