//! From a DeiT to one of other parts.

use super::{Deit, DeitTape};
use layers::ray_attention::reparam::{RayStatistics, RaySums};

impl Deit {
    /// Adds what the attention of each block computed to `sums`.
    pub fn add_statistics(&self, tape: &DeitTape, sums: &mut [RaySums], known: Option<&[RayStatistics]>) {
        for (i, (((layer, _), kept), sums)) in self.blocks.iter().zip(&tape.blocks).zip(sums).enumerate() {
            sums.add(layer, &kept.0, self.num_tokens(), known.map(|known| &known[i]));
        }
    }

    /// Starts the parts that `old` has otherwise; `params` hold copies of what has the same name, and `statistics` are there
    /// where the attention is another.
    pub fn start(&self, params: &mut [f32], old: &Self, statistics: Option<&[RayStatistics]>) {
        for (i, ((attention, mlp), (_, old))) in self.blocks.iter().zip(&old.blocks).enumerate() {
            if let Some(statistics) = statistics {
                attention.start(params, &statistics[i]);
            }
            mlp.start(params, old);
        }
    }
}
