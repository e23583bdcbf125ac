//! The Hamming ray attention in the CPU engine, where codes are bits.

use super::HammingRayAttention;
use crate::engine::SharedScratch;
use crate::linear::LinearKind;
use crate::linear::engine::Precision;
use crate::ray_attention::projections::Projections;
use compute::Isa;
use compute::ops::hamming::{
    RayCodes, RayScratch, RayScratch8, attend_ray_codes, attend_ray_codes8, pack_signs, words,
};

/// Packed weights.
#[derive(Clone, Debug)]
pub struct PackedHammingRayAttention {
    projections: Projections,
    /// `[heads]`.
    tau: Vec<f32>,
    /// Whether weights and values are bytes too.
    bytes: bool,
}

/// Buffers of a thread; they grow to the longest ray.
#[derive(Clone, Debug, Default)]
pub struct HammingRayBuffers {
    samples: usize,
    kernel: Option<RayScratch>,
    kernel8: Option<RayScratch8>,
    query: Vec<u64>,
    key: Vec<u64>,
}

impl HammingRayBuffers {
    /// Grows to rays of `samples` samples and heads of `d` channels.
    fn fit(&mut self, samples: usize, d: usize) {
        if self.samples < samples {
            let (kernel, kernel8) = (Some(RayScratch::new(samples, d)), Some(RayScratch8::new(samples, d)));
            *self = Self { samples, kernel, kernel8, ..Self::default() };
        }
    }
}

impl PackedHammingRayAttention {
    /// Packs a layer of the folded network.
    pub fn new(precision: Precision, kind: LinearKind, layer: &HammingRayAttention, folded: &[f32]) -> Self {
        let parts = (&layer.norm, &layer.qkv, &layer.out);
        Self {
            projections: Projections::new(precision, kind, parts, folded),
            tau: layer.tau.of(folded).to_vec(),
            bytes: precision == Precision::Int8,
        }
    }

    /// See [`PackedRayAttention::apply`](crate::ray_attention::engine::PackedRayAttention::apply).
    pub fn apply(
        &self,
        isa: Isa,
        q: &mut [f32],
        rays: usize,
        shared: &mut SharedScratch,
        buffers: &mut HammingRayBuffers,
        first_rows: Option<&mut [f32]>,
    ) {
        let (c, heads, tau) = (self.projections.width, self.tau.len(), &self.tau[..]);
        let samples = q.len() / c / rays;
        buffers.fit(samples, c / heads);
        let HammingRayBuffers { kernel, kernel8, query, key, .. } = buffers;
        self.projections.around(isa, q, rays, shared, first_rows, |qkv, mixed, first_row| {
            query.resize(samples * words(c), 0);
            key.resize(samples * words(c), 0);
            pack_signs(isa, samples, qkv, 3 * c, c, query);
            pack_signs(isa, samples, &qkv[c..], 3 * c, c, key);
            let (value, stride) = (&qkv[2 * c..], 3 * c);
            let ray = RayCodes { query, key, value, stride, samples, width: c, heads, tau };
            // Without vector products of bytes the f32 kernel is faster.
            if self.bytes && isa.has_vector_bytes() {
                let kernel = kernel8.as_mut().expect("made for the first ray");
                attend_ray_codes8(isa, ray, kernel, mixed, first_row);
            } else {
                let kernel = kernel.as_mut().expect("made for the first ray");
                attend_ray_codes(isa, ray, kernel, mixed, first_row);
            }
        });
    }
}
