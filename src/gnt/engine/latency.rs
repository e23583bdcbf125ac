//! Latencies of the experts on this device, measured with the engine's own kernels.

use super::Engine;
use layers::feed_forward::engine::{FeedForwardBuffers, PackedFeedForward};
use layers::params::SplitMix;

/// Rows of a measurement: those of a ray or two.
const ROWS: usize = 192;
const REPEATS: usize = 41;

impl Engine {
    /// Seconds a row of the multiply and of the shift expert: medians of repeated runs on one thread. Zeros for a
    /// network without experts.
    pub fn expert_latencies(&self) -> [f64; 2] {
        let c = self.model.config.width;
        let mut rng = SplitMix(1);
        let x: Vec<f32> = (0..ROWS * c).map(|_| 2.0 * rng.uniform() - 1.0).collect();
        let mut scratch = FeedForwardBuffers::default();
        let mut runs: [Vec<f64>; 2] = Default::default();
        for _ in 0..REPEATS {
            let mut sum = [0.0; 2];
            for block in &self.weights.blocks {
                for part in [&block.view_ff, &block.ray_ff] {
                    let PackedFeedForward::Experts(experts) = part else { continue };
                    let seconds = experts.time(self.isa, &x, &mut scratch.experts);
                    sum.iter_mut().zip(seconds).for_each(|(sum, s)| *sum += s);
                }
            }
            runs.iter_mut().zip(sum).for_each(|(runs, s)| runs.push(s));
        }
        let rows = (2 * self.weights.blocks.len() * ROWS) as f64;
        runs.map(|mut runs| {
            runs.sort_by(f64::total_cmp);
            runs[REPEATS / 2] / rows
        })
    }
}
