//! Attention over source views in the CPU engine.

use super::ViewAttention;
use super::hamming::engine::{HammingViewBuffers, PackedHammingViewAttention};
use super::rows::TokenRows;
use super::subtraction::engine::{PackedSubtractionAttention, SubtractionBuffers};
use crate::engine::SharedScratch;
use crate::linear::LinearKind;
use crate::linear::engine::Precision;
use compute::Isa;

/// A packed attention over source views.
#[derive(Clone, Debug)]
pub enum PackedViewAttention {
    /// By subtraction.
    Subtraction(PackedSubtractionAttention),
    /// On codes.
    Hamming(PackedHammingViewAttention),
}

/// Buffers of a thread; those of kinds that are not used stay empty.
#[derive(Clone, Debug, Default)]
pub struct ViewAttentionBuffers {
    subtraction: SubtractionBuffers,
    hamming: HammingViewBuffers,
}

impl PackedViewAttention {
    /// Packs a layer of the folded network; `block` counts the blocks before it.
    pub fn new(precision: Precision, kind: LinearKind, layer: &ViewAttention, folded: &[f32], block: usize) -> Self {
        match layer {
            ViewAttention::Subtraction(layer) => {
                Self::Subtraction(PackedSubtractionAttention::new(precision, layer, folded))
            }
            ViewAttention::Hamming(layer) => {
                Self::Hamming(PackedHammingViewAttention::new(precision, kind, layer, folded, block))
            }
        }
    }

    /// Words of the codes of a pixel's or row's keys; 0 where keys are not codes.
    pub fn key_words(&self) -> usize {
        match self {
            Self::Subtraction(_) => 0,
            Self::Hamming(layer) => layer.key_words(),
        }
    }

    /// Writes the codes of the keys of `rows` tokens `[rows, C]` to this block's words of `keys` `[rows, all words]`.
    pub fn key_codes(&self, isa: Isa, tokens: &[f32], buffers: &mut ViewAttentionBuffers, keys: &mut [u64]) {
        match self {
            Self::Subtraction(_) => {}
            Self::Hamming(layer) => layer.key_codes(isa, tokens, &mut buffers.hamming, keys),
        }
    }

    /// Adds the attention's output to the ray's states `q` `[samples, C]`.
    pub fn apply(
        &self,
        isa: Isa,
        rows: &mut TokenRows,
        q: &mut [f32],
        shared: &mut SharedScratch,
        buffers: &mut ViewAttentionBuffers,
    ) {
        match self {
            Self::Subtraction(layer) => layer.apply(isa, rows, q, shared, &mut buffers.subtraction),
            Self::Hamming(layer) => layer.apply(isa, rows, q, shared, &mut buffers.hamming),
        }
    }
}
