//! From a PVTv2 to one of other parts.

use super::look::Look;
use super::{Pvt, PvtTape};
use layers::ray_attention::reparam::{RayStatistics, RaySums};

impl Pvt {
    /// Number of attentions.
    pub fn attentions(&self) -> usize {
        self.stages.iter().map(|stage| stage.blocks.len()).sum()
    }

    /// Adds what the attention of each block computed on one image to `sums`. With `all`, keys are those of tokens that are
    /// not reduced.
    pub fn add_statistics(
        &self,
        params: &[f32],
        tape: &PvtTape,
        all: bool,
        sums: &mut [RaySums],
        known: Option<&[RayStatistics]>,
    ) {
        let blocks = self.stages.iter().flat_map(|stage| &stage.blocks);
        let kept = tape.stages.iter().flat_map(|stage| &stage.blocks);
        for (i, (((look, _), kept), sums)) in blocks.zip(kept).zip(sums).enumerate() {
            if let Look::Reduced(layer) = look {
                layer.add_statistics(params, &kept.0.reduced, all, sums, known.map(|known| &known[i]));
            }
        }
    }

    /// Starts the parts that `old` has otherwise; `params` hold copies of what has the same name, and `statistics` are there
    /// where the attention is another.
    pub fn start(&self, params: &mut [f32], old: &Self, statistics: Option<&[RayStatistics]>) {
        let blocks = |net: &Self| net.stages.iter().flat_map(|stage| stage.blocks.clone()).collect::<Vec<_>>();
        for (i, ((look, mlp), (_, old))) in blocks(self).iter().zip(&blocks(old)).enumerate() {
            match (look, statistics) {
                (Look::Reduced(layer), Some(statistics)) => layer.start(params, &statistics[i]),
                (Look::All(layer), Some(statistics)) => layer.start(params, &statistics[i]),
                (_, None) => {}
            }
            mlp.start(params, old);
        }
    }
}
