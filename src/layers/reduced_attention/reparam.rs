//! From an attention by products to one on codes.

use super::{ReducedAttention, ReducedAttentionTape};
use crate::ray_attention::reparam::{Channel, Projected, RayStatistics, RaySums};

impl ReducedAttention {
    /// Adds queries and keys of a forward pass over one image to `sums`. With `all`, keys are those that unreduced tokens
    /// would have, which an attention that replaces this one and does not reduce looks at. Attention on codes adds nothing.
    pub fn add_statistics(
        &self,
        params: &[f32],
        tape: &ReducedAttentionTape,
        all: bool,
        sums: &mut RaySums,
        known: Option<&RayStatistics>,
    ) {
        if self.codes.is_some() {
            return;
        }
        let (c, heads) = (self.norm.width, self.heads);
        let mut unreduced = Vec::new();
        if all {
            unreduced.resize(2 * tape.norm.y.len(), 0.0);
            self.kv.forward(params, &tape.norm.y, &mut unreduced, false);
        }
        let query = Channel { rows: &tape.q, stride: c, first: 0 };
        let key = Channel { rows: if all { &unreduced } else { &tape.kv }, stride: 2 * c, first: 0 };
        let logit_factor = 1.0 / ((c / heads) as f32).sqrt();
        sums.add_projected(Projected { width: c, heads, query, key, query_factor: 1.0, logit_factor }, known);
    }

    /// Starts this layer's codes, whose parameters hold copies of those of the same name, from the `statistics` of the layer
    /// that it replaces. Without codes it is left as it is.
    pub fn start(&self, params: &mut [f32], statistics: &RayStatistics) {
        let Some(codes) = &self.codes else { return };
        codes.original_tau.of_mut(params).copy_from_slice(&statistics.tau);
        self.original.centre(params, statistics);
    }
}
