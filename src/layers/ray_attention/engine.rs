//! Attention along the ray in the CPU engine.

use super::RayAttention;
use super::hamming::engine::{HammingRayBuffers, PackedHammingRayAttention};
use super::linear_angular::engine::{LinearAngularBuffers, PackedLinearAngularAttention};
use super::softmax::engine::{PackedSoftmaxRayAttention, SoftmaxRayBuffers};
use crate::engine::SharedScratch;
use crate::linear::LinearKind;
use crate::linear::engine::Precision;
use compute::Isa;

/// A packed attention along the ray.
#[derive(Clone, Debug)]
pub enum PackedRayAttention {
    /// By softmax of products.
    Softmax(PackedSoftmaxRayAttention),
    /// On codes.
    Hamming(PackedHammingRayAttention),
    /// Linear-angular, on codes.
    LinearAngular(PackedLinearAngularAttention),
}

/// Buffers of a thread; those of kinds that are not used stay empty.
#[derive(Clone, Debug, Default)]
pub struct RayAttentionBuffers {
    softmax: SoftmaxRayBuffers,
    hamming: HammingRayBuffers,
    linear_angular: LinearAngularBuffers,
}

impl PackedRayAttention {
    /// Packs a layer of the folded network.
    pub fn new(precision: Precision, kind: LinearKind, layer: &RayAttention, folded: &[f32]) -> Self {
        match layer {
            RayAttention::Softmax(layer) => {
                Self::Softmax(PackedSoftmaxRayAttention::new(precision, kind, layer, folded))
            }
            RayAttention::Hamming(layer) => {
                Self::Hamming(PackedHammingRayAttention::new(precision, kind, layer, folded))
            }
            RayAttention::LinearAngular(layer) => {
                Self::LinearAngular(PackedLinearAngularAttention::new(precision, kind, layer, folded))
            }
        }
    }

    /// Adds the attention's output to the states `q` `[rays, samples, C]` of as many `rays`; `first_rows` `[rays, samples]`,
    /// where given, receives the attention row of each ray's nearest sample, averaged over heads.
    pub fn apply(
        &self,
        isa: Isa,
        q: &mut [f32],
        rays: usize,
        shared: &mut SharedScratch,
        buffers: &mut RayAttentionBuffers,
        first_rows: Option<&mut [f32]>,
    ) {
        match self {
            Self::Softmax(layer) => layer.apply(isa, q, rays, shared, &mut buffers.softmax, first_rows),
            Self::Hamming(layer) => layer.apply(isa, q, rays, shared, &mut buffers.hamming, first_rows),
            Self::LinearAngular(layer) => layer.apply(isa, q, rays, shared, &mut buffers.linear_angular, first_rows),
        }
    }
}
