//! From one attention along the ray to another.

use super::softmax::SoftmaxRayAttentionTape;
use super::{RayAttention, RayAttentionTape};
use crate::statistics::{Channels, Moments};

/// What a softmax attention computes on real batches, as far as the start of another attention depends on it; empty for
/// other kinds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RayStatistics {
    /// Queries. Their mean counts as 0: a code's threshold on a query is not free as that on a key is, whose constant
    /// part cancels in the softmax.
    pub query: Channels,
    /// Keys.
    pub key: Channels,
    /// Least-squares factor from the scores of codes to the logits, one a head.
    pub tau: Vec<f32>,
}

/// Running sums behind [`RayStatistics`].
#[derive(Clone, Debug, Default)]
pub struct RaySums {
    query: Moments,
    key: Moments,
    /// Σ logit·score and Σ score², one pair a head.
    fit: Vec<[f64; 2]>,
}

impl RaySums {
    /// Adds what `layer` computed, as its `tape` has it, on rays of `samples` samples. Codes can only be scored once
    /// their thresholds are `known`, so it takes two passes over the batches to learn all.
    pub fn add(
        &mut self,
        layer: &RayAttention,
        tape: &RayAttentionTape,
        samples: usize,
        known: Option<&RayStatistics>,
    ) {
        let RayAttention::Softmax(layer) = layer else { return };
        let (c, heads, SoftmaxRayAttentionTape { qkv, .. }) = (layer.out.inputs, layer.heads, &tape.softmax);
        let d = c / heads;
        // The queries carry the factor of the scores, which their weights in the checkpoint do not.
        let unscale = (d as f32).sqrt();
        let queries: Vec<f32> = qkv.chunks_exact(3 * c).flat_map(|row| row[..c].iter().map(|q| q * unscale)).collect();
        self.query.add(&queries, c, 0, c);
        self.key.add(qkv, 3 * c, c, c);
        self.fit.resize(heads, [0.0; 2]);
        let Some(known) = known else { return };
        for ray in qkv.chunks_exact(samples * 3 * c) {
            for (head, fit) in self.fit.iter_mut().enumerate() {
                for q in ray.chunks_exact(3 * c) {
                    let pair = |k: &[f32]| {
                        let (mut logit, mut score) = (0.0, 0.0);
                        for i in head * d..(head + 1) * d {
                            logit += q[i] * k[c + i];
                            score += if (q[i] > 0.0) == (k[c + i] > known.key.mean[i]) { 1.0 } else { -1.0 };
                        }
                        (logit, score)
                    };
                    let pairs: Vec<(f32, f32)> = ray.chunks_exact(3 * c).map(pair).collect();
                    // A constant over the keys cancels in the softmax.
                    let n = pairs.len() as f32;
                    let (l, s) = pairs.iter().fold((0.0, 0.0), |sum, p| (sum.0 + p.0 / n, sum.1 + p.1 / n));
                    for (logit, score) in pairs {
                        fit[0] += f64::from((logit - l) * (score - s));
                        fit[1] += f64::from((score - s) * (score - s));
                    }
                }
            }
        }
    }

    /// The statistics of all that was added.
    pub fn finish(&self) -> RayStatistics {
        RayStatistics {
            query: self.query.finish_around_zero(),
            key: self.key.finish(),
            tau: self.fit.iter().map(|[a, b]| if *b > 0.0 { (a / b) as f32 } else { 0.0 }).collect(),
        }
    }
}

impl RayAttention {
    /// Starts this layer's parameters, which hold copies of those of the same name, from the `statistics` of the layer
    /// that it replaces. A layer of the softmax kind is left as it is.
    pub fn start(&self, params: &mut [f32], statistics: &RayStatistics) {
        let original = match self {
            Self::Softmax(_) => return,
            Self::Hamming(layer) => {
                layer.original_tau.of_mut(params).copy_from_slice(&statistics.tau);
                layer.original
            }
            Self::LinearAngular(layer) => {
                // The filter starts without effect.
                if let Some(filter) = layer.original_filter {
                    filter.of_mut(params).fill(0.0);
                }
                layer.original
            }
        };
        for ((weight, bias), channels) in [(original.query, &statistics.query), (original.key, &statistics.key)] {
            let mut thresholds = vec![0.0; channels.mean.len()];
            channels.centre_codes(weight.of_mut(params), &mut thresholds);
            bias.expect("projections of codes have biases").of_mut(params).copy_from_slice(&thresholds);
        }
    }
}
