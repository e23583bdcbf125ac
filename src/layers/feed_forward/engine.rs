//! Feed-forward parts in the CPU engine.

use super::experts::engine::{ExpertsBuffers, PackedExperts};
use super::mlp::engine::{MlpBuffers, PackedMlp};
use super::{FeedForward, FeedForwardKind};
use crate::linear::engine::Precision;
use compute::Isa;

/// A packed feed-forward part.
#[derive(Clone, Debug)]
pub enum PackedFeedForward {
    /// Two layers.
    Mlp(PackedMlp),
    /// A router and two experts.
    Experts(PackedExperts),
}

/// Buffers of a thread; those of kinds that are not used stay empty.
#[derive(Clone, Debug, Default)]
pub struct FeedForwardBuffers {
    mlp: MlpBuffers,
    /// Buffers of experts, with the counts of their rows.
    pub experts: ExpertsBuffers,
}

impl PackedFeedForward {
    /// Packs a layer of the folded network; `part` counts the feed-forward parts before it: view and ray part of block
    /// 0, of block 1, and so on.
    pub fn new(precision: Precision, kind: FeedForwardKind, layer: &FeedForward, folded: &[f32], part: usize) -> Self {
        match layer {
            FeedForward::Mlp(layer) => Self::Mlp(PackedMlp::new(precision, kind.linears(), layer, folded)),
            FeedForward::Experts(layer) => {
                Self::Experts(PackedExperts::new(precision, kind.linears(), layer, folded, part))
            }
        }
    }

    /// Adds the part's output to `q` `[rays, samples, C]`; experts count the rows of each of the `rays`.
    pub fn apply(&self, isa: Isa, q: &mut [f32], rays: usize, buffers: &mut FeedForwardBuffers) {
        match self {
            Self::Mlp(layer) => layer.apply(isa, q, &mut buffers.mlp),
            Self::Experts(layer) => layer.apply(isa, q, rays, &mut buffers.experts),
        }
    }
}
