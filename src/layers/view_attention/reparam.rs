//! From one attention over source views to another.

use super::hamming::HammingViewAttention;
use super::subtraction::SubtractionAttention;
use super::{ViewAttention, ViewAttentionTape};
use crate::Slot;
use crate::statistics::{Channels, Moments};
use compute::{Mat, MatMut, matmul};

/// What a subtraction attention computes on real batches, as far as the start of another attention depends on it; empty
/// for other kinds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ViewStatistics {
    /// Queries.
    pub query: Channels,
    /// Keys of the feature map's pixels.
    pub key: Channels,
}

/// Running sums behind [`ViewStatistics`].
#[derive(Clone, Debug, Default)]
pub struct ViewSums {
    query: Moments,
    key: Moments,
}

impl ViewSums {
    /// Adds what `layer` computed, as its `tape` has it, and the keys of the tokens `keys` `[rows, C]`; `params` are the
    /// parameters as checkpoints have them.
    pub fn add(&mut self, layer: &ViewAttention, tape: &ViewAttentionTape, params: &[f32], keys: &[f32]) {
        let ViewAttention::Subtraction(layer) = layer else { return };
        let c = layer.out.inputs;
        let project = |weight: Slot, x: &[f32]| -> Vec<f32> {
            let (mut y, rows) = (vec![0.0; x.len()], x.len() / c);
            let weight = Mat::new(weight.of(params), c, c);
            matmul(1.0, Mat::new(x, rows, c), weight.t(), MatMut::new(&mut y, rows, c), false);
            y
        };
        self.query.add(&project(layer.original.query, &tape.subtraction.norm.y), c, 0, c);
        self.key.add(&project(layer.original.key, keys), c, 0, c);
    }

    /// The statistics of all that was added.
    pub fn finish(&self) -> ViewStatistics {
        ViewStatistics { query: self.query.finish(), key: self.key.finish() }
    }
}

impl ViewAttention {
    /// Starts this layer's parameters, which hold copies of those of the same name and shape, from the layer `old` with
    /// its parameters, and from what was seen of it. A pair of the same kind is left as it is.
    pub fn start(&self, params: &mut [f32], old: &Self, old_params: &[f32], statistics: &ViewStatistics) {
        if let (Self::Hamming(new), Self::Subtraction(old)) = (self, old) {
            start_hamming(new, params, old, old_params, statistics);
        }
    }
}

fn start_hamming(
    new: &HammingViewAttention,
    params: &mut [f32],
    old: &SubtractionAttention,
    old_params: &[f32],
    statistics: &ViewStatistics,
) {
    let (c, h, from, to) = (new.out.inputs, new.direction.outputs, &old.original, &new.original);
    // The value is `[Wv·Wk | P]`, and the constant of the encoded direction goes into the output's bias: weights sum
    // to 1.
    let read = |slot: Slot, rows: usize, columns: usize| Mat::new(slot.of(old_params), rows, columns);
    let value = to.value.of_mut(params);
    matmul(1.0, read(from.value, c, c), read(from.key, c, c), MatMut::strided(value, c, c, c + h), false);
    for (row, p) in value.chunks_exact_mut(c + h).zip(from.position.of(old_params).chunks_exact(h)) {
        row[c..].copy_from_slice(p);
    }
    let constant = read(from.position_bias, c, 1);
    matmul(1.0, read(from.out, c, c), constant, MatMut::new(to.out_bias.of_mut(params), c, 1), true);
    for ([weight, bias], channels) in [(to.query, &statistics.query), (to.key, &statistics.key)] {
        let mut thresholds = vec![0.0; c];
        channels.centre_codes(weight.of_mut(params), &mut thresholds);
        bias.of_mut(params).copy_from_slice(&thresholds);
    }
    // Views start nearly equal, and learn to differ.
    to.tau.of_mut(params).fill(0.1);
    to.bias.of_mut(params).fill(0.0);
}
