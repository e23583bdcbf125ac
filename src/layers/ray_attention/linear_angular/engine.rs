//! The linear-angular attention in the CPU engine: the arithmetic of training, ray by ray.

use super::train::attend;
use super::{LinearAngularAttention, LinearAngularAttentionTape, first_row_of};
use crate::engine::SharedScratch;
use crate::linear::LinearKind;
use crate::linear::engine::Precision;
use crate::ray_attention::projections::Projections;
use compute::Isa;

/// Packed weights.
#[derive(Clone, Debug)]
pub struct PackedLinearAngularAttention {
    projections: Projections,
    /// `[heads, 9]`, where there is a filter.
    filter: Option<Vec<f32>>,
    heads: usize,
}

/// Buffers of a thread.
#[derive(Clone, Debug, Default)]
pub struct LinearAngularBuffers {
    tape: LinearAngularAttentionTape,
}

impl PackedLinearAngularAttention {
    /// Packs a layer of the folded network.
    pub fn new(precision: Precision, kind: LinearKind, layer: &LinearAngularAttention, folded: &[f32]) -> Self {
        let parts = (&layer.norm, &layer.qkv, &layer.out);
        Self {
            projections: Projections::new(precision, kind, parts, folded),
            filter: layer.filter.map(|f| f.of(folded).to_vec()),
            heads: layer.heads,
        }
    }

    /// See [`PackedRayAttention::apply`](crate::ray_attention::engine::PackedRayAttention::apply).
    pub fn apply(
        &self,
        isa: Isa,
        q: &mut [f32],
        rays: usize,
        shared: &mut SharedScratch,
        buffers: &mut LinearAngularBuffers,
        first_rows: Option<&mut [f32]>,
    ) {
        let (c, heads, tape) = (self.projections.width, self.heads, &mut buffers.tape);
        let samples = q.len() / c / rays;
        self.projections.around(isa, q, rays, shared, first_rows, |qkv, mixed, first_row| {
            tape.qkv.clear();
            tape.qkv.extend_from_slice(qkv);
            attend(isa, samples, heads, self.filter.as_deref(), c, tape);
            mixed.copy_from_slice(&tape.mixed);
            if let Some(row) = first_row {
                row.copy_from_slice(&first_row_of(tape, samples, c, heads, 0));
            }
        });
    }
}
