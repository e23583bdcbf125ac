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

    /// See [`PackedRayAttention::apply`](crate::ray_attention::engine::PackedRayAttention::apply).
    pub fn apply(
        &self,
        isa: Isa,
        q: &mut [f32],
        rays: usize,
        shared: &mut SharedScratch,
        buffers: &mut SoftmaxRayBuffers,
        first_rows: Option<&mut [f32]>,
    ) {
        let (c, heads) = (self.projections.width, self.heads);
        let samples = q.len() / c / rays;
        if buffers.samples < samples {
            *buffers = SoftmaxRayBuffers { samples, kernel: Some(Scratch::new(samples, c / heads)) };
        }
        let kernel = buffers.kernel.as_mut().expect("made for the first ray");
        self.projections.around(isa, q, rays, shared, first_rows, |qkv, mixed, first_row| {
            attend_ray(isa, Ray { qkv, stride: 3 * c, samples, width: c, heads }, kernel, mixed, first_row);
        });
    }
}
