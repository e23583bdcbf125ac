//! The feed-forward part of a block, pre-norm and residual.

use super::Net;
use super::math::{Real, add, layer_norm, linear, linear_with, relu, softmax};
use crate::config::{FeedForwardKind, LinearKind};

/// `q + mlp(norm(q))` of the block `name`, `[T, C]`.
pub fn block<T: Real>(net: &Net<T>, name: &str, q: &[T], margin: &mut f64) -> Vec<T> {
    let normal = layer_norm(net.params, &format!("{name}.ff_norm"), q, 1e-6);
    let y = match net.config.mlp {
        FeedForwardKind::Dense => perceptron(net, &format!("{name}.ff"), &normal, LinearKind::Dense),
        FeedForwardKind::Shift { bits } => perceptron(net, &format!("{name}.ff"), &normal, LinearKind::Shift { bits }),
        FeedForwardKind::Experts { bits } => experts(net, name, &normal, bits, margin),
    };
    add(q, &y)
}

/// `fc2(relu(fc1(x)))`.
fn perceptron<T: Real>(net: &Net<T>, name: &str, x: &[T], weights: LinearKind) -> Vec<T> {
    let hidden = relu(linear_with(weights, net.params, &format!("{name}.fc1"), x, net.config.width));
    linear_with(weights, net.params, &format!("{name}.fc2"), &hidden, net.config.width * net.config.mlp_ratio)
}

/// Each row takes the expert with the larger probability, the one of shifts on a tie, times that probability.
fn experts<T: Real>(net: &Net<T>, name: &str, x: &[T], bits: u8, margin: &mut f64) -> Vec<T> {
    let c = net.config.width;
    let multiplied = perceptron(net, &format!("{name}.mult"), x, LinearKind::Dense);
    let shifted = perceptron(net, &format!("{name}.shift"), x, LinearKind::Shift { bits });
    let logits = linear(net.params, &format!("{name}.router"), x, c);
    let mut y = Vec::with_capacity(x.len());
    for (row, logits) in logits.chunks_exact(2).enumerate() {
        let difference = logits[0].value() - logits[1].value();
        *margin = margin.min(difference.abs());
        let (chosen, outputs) = if difference > 0.0 { (0, &multiplied) } else { (1, &shifted) };
        let p = softmax(logits)[chosen];
        y.extend(outputs[row * c..][..c].iter().map(|y| p * *y));
    }
    y
}
