//! What the kernels of training take of softmax attention, which they share with Hamming attention.

use super::SoftmaxRayAttention;
use crate::ray_attention::cuda::ScoredAttention;

impl SoftmaxRayAttention {
    /// The attention as the kernels see it.
    pub(crate) fn scored(&self) -> ScoredAttention<'_> {
        ScoredAttention { norm: &self.norm, qkv: &self.qkv, tau: None, out: &self.out, heads: self.heads }
    }
}
