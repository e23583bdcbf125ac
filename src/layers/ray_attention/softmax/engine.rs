//! The softmax ray attention in the CPU engine.

use super::SoftmaxRayAttention;
use crate::engine::SharedScratch;
use crate::linear::LinearKind;
use crate::linear::engine::Precision;
use crate::ray_attention::projections::Projections;
use compute::Isa;
use compute::ops::attend_ray::{Ray, Scratch, attend_ray};

/// Packed weights.
#[derive(Clone, Debug)]
pub struct PackedSoftmaxRayAttention {
    projections: Projections,
    heads: usize,
}

/// Buffers of a thread; they grow to the longest ray.
#[derive(Clone, Debug, Default)]
pub struct SoftmaxRayBuffers {
    samples: usize,
    kernel: Option<Scratch>,
}

impl PackedSoftmaxRayAttention {
    /// Packs a layer of the folded network.
    pub fn new(precision: Precision, kind: LinearKind, layer: &SoftmaxRayAttention, folded: &[f32]) -> Self {
        let parts = (&layer.norm, &layer.qkv, &layer.out);
        Self { projections: Projections::new(precision, kind, parts, folded), heads: layer.heads }
    }

    /// Adds the attention's output to the ray's states `q` `[samples, C]`; `first_row`, where given, receives the
    /// attention row of the nearest sample, averaged over heads.
    pub fn apply(
        &self,
        isa: Isa,
        q: &mut [f32],
        shared: &mut SharedScratch,
        buffers: &mut SoftmaxRayBuffers,
        first_row: Option<&mut [f32]>,
    ) {
        let (c, heads) = (self.projections.width, self.heads);
        let samples = q.len() / c;
        if buffers.samples < samples {
            *buffers = SoftmaxRayBuffers { samples, kernel: Some(Scratch::new(samples, c / heads)) };
        }
        let kernel = buffers.kernel.as_mut().expect("made for the first ray");
        self.projections.around(isa, q, shared, |qkv, mixed| {
            attend_ray(isa, Ray { qkv, stride: 3 * c, samples, width: c, heads }, kernel, mixed, first_row);
        });
    }
}
