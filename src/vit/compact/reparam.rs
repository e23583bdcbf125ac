//! From a compact transformer to one of other parts.

use super::{Compact, CompactTape};
use layers::ray_attention::reparam::{RayStatistics, RaySums};

impl Compact {
    /// Adds what the attention of each block computed to `sums`.
    pub fn add_statistics(&self, tape: &CompactTape, sums: &mut [RaySums], known: Option<&[RayStatistics]>) {
        for (i, (block, sums)) in self.blocks.iter().zip(sums).enumerate() {
            sums.add(&block.attention, tape.attention(i), self.tokens(), known.map(|known| &known[i]));
        }
    }

    /// Starts the parts that `old`, with parameters `old_params`, has otherwise; `params` hold copies of what has the same
    /// name, and `statistics` are there where the attention is another.
    pub fn start(&self, params: &mut [f32], (old, old_params): (&Self, &[f32]), statistics: Option<&[RayStatistics]>) {
        for (i, (new, old)) in self.blocks.iter().zip(&old.blocks).enumerate() {
            if let Some(statistics) = statistics {
                new.attention.start(params, &statistics[i]);
            }
            new.feed_forward.start(params, &old.feed_forward, old_params);
        }
    }
}
