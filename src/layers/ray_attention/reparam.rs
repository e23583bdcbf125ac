//! From one attention along the ray to another.

use super::softmax::SoftmaxRayAttentionTape;
use super::{ProjectionParameters, RayAttention, RayAttentionTape};
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

/// Rows of which some channels are queries or keys.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Channel<'a> {
    /// `[rows, stride]`.
    pub rows: &'a [f32],
    pub stride: usize,
    /// First channel.
    pub first: usize,
}

impl<'a> Channel<'a> {
    fn each(self, c: usize) -> impl Iterator<Item = &'a [f32]> {
        self.rows.chunks_exact(self.stride).map(move |row| &row[self.first..self.first + c])
    }
}

/// Queries and keys of rays that look at one another in `heads` heads of `width / heads` channels.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Projected<'a> {
    pub width: usize,
    pub heads: usize,
    /// Queries of one ray or image.
    pub query: Channel<'a>,
    pub key: Channel<'a>,
    /// Factor on the queries that their weights in the checkpoint do not have.
    pub query_factor: f32,
    /// Factor on the products of queries and keys.
    pub logit_factor: f32,
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
        for ray in qkv.chunks_exact(samples * 3 * c) {
            let part = |part: usize| Channel { rows: ray, stride: 3 * c, first: part * c };
            let query_factor = 1.0 / ((c / heads) as f32).sqrt();
            let (query, key) = (part(0), part(1));
            self.add_projected(Projected { width: c, heads, query, key, query_factor, logit_factor: 1.0 }, known);
        }
    }

    /// Adds queries and keys that look at one another.
    pub(crate) fn add_projected(&mut self, projected: Projected, known: Option<&RayStatistics>) {
        let Projected { width: c, heads, query, key, query_factor, logit_factor } = projected;
        let d = c / heads;
        let queries: Vec<f32> = query.each(c).flatten().map(|q| q / query_factor).collect();
        self.query.add(&queries, c, 0, c);
        self.key.add(key.rows, key.stride, key.first, c);
        self.fit.resize(heads, [0.0; 2]);
        let Some(known) = known else { return };
        for (head, fit) in self.fit.iter_mut().enumerate() {
            for q in query.each(c) {
                let pair = |k: &[f32]| {
                    let (mut logit, mut score) = (0.0, 0.0);
                    for i in head * d..(head + 1) * d {
                        logit += q[i] * k[i];
                        score += if (q[i] > 0.0) == (k[i] > known.key.mean[i]) { 1.0 } else { -1.0 };
                    }
                    (logit * logit_factor, score)
                };
                let pairs: Vec<(f32, f32)> = key.each(c).map(pair).collect();
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
        original.centre(params, statistics);
    }
}

impl ProjectionParameters {
    /// Centres the codes of queries and keys, which were measured with these weights and biases.
    pub(crate) fn centre(&self, params: &mut [f32], statistics: &RayStatistics) {
        for ((weight, bias), channels) in [(self.query, &statistics.query), (self.key, &statistics.key)] {
            let bias = bias.expect("projections of codes have biases");
            let mut thresholds = bias.of(params).to_vec();
            channels.centre_codes(weight.of_mut(params), &mut thresholds);
            bias.of_mut(params).copy_from_slice(&thresholds);
        }
    }
}
