//! What the kernels of training take of Hamming attention, which they share with softmax attention.

use super::HammingRayAttention;
use crate::ray_attention::cuda::ScoredAttention;

impl HammingRayAttention {
    /// The attention as the kernels see it: scores are products of the signs of queries and keys, times `tau`.
    pub(crate) fn scored(&self) -> ScoredAttention<'_> {
        ScoredAttention { norm: &self.norm, qkv: &self.qkv, tau: Some(self.tau), out: &self.out, heads: self.heads }
    }
}
