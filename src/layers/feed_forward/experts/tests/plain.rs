//! The block written down in double precision, one row at a time.

use super::{ALPHA, WIDTH};
use crate::Slot;
use crate::feed_forward::experts::Experts;
use crate::linear::Linear;

/// `Φ(z)` by a series whose terms are all positive.
pub fn plain_cdf(z: f64) -> f64 {
    let (mut term, mut sum, mut n) = (z, z, 1.0);
    while term.abs() > 1e-18 * sum.abs() {
        n += 2.0;
        term *= z * z / n;
        sum += term;
    }
    0.5 + sum * (-0.5 * z * z).exp() / std::f64::consts::TAU.sqrt()
}

pub fn wide(values: &[f32]) -> Vec<f64> {
    values.iter().map(|v| f64::from(*v)).collect()
}

pub fn slot(params: &[f64], slot: Slot) -> &[f64] {
    &params[slot.offset..slot.offset + slot.len]
}

pub fn plain_linear(layer: &Linear, params: &[f64], x: &[f64]) -> Vec<f64> {
    let mut y = slot(params, layer.bias.unwrap()).to_vec();
    for (x, weights) in x.iter().zip(slot(params, layer.weight).chunks_exact(layer.outputs)) {
        y.iter_mut().zip(weights).for_each(|(y, w)| *y += x * w);
    }
    y
}

/// Output, logits and gates of one row that takes expert `chosen`.
pub fn plain_row(block: &Experts, params: &[f64], x: &[f64], chosen: usize) -> (Vec<f64>, [f64; 2], [f64; 2]) {
    let mean = x.iter().sum::<f64>() / x.len() as f64;
    let variance = x.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / x.len() as f64;
    let affine = slot(params, block.norm.gain).iter().zip(slot(params, block.norm.bias));
    let scale = (variance + f64::from(block.norm.eps)).sqrt().recip();
    let n: Vec<f64> = x.iter().zip(affine).map(|(v, (g, b))| (v - mean) * scale * g + b).collect();
    let logits = plain_linear(&block.router, params, &n);
    let gates = [0, 1].map(|e| 1.0 / (1.0 + (logits[1 - e] - logits[e]).exp()));
    let expert = &block.experts[chosen];
    let hidden: Vec<f64> = plain_linear(&expert.fc1, params, &n).iter().map(|v| v.max(0.0)).collect();
    let y = plain_linear(&expert.fc2, params, &hidden);
    (x.iter().zip(y).map(|(x, y)| x + gates[chosen] * y).collect(), [logits[0], logits[1]], gates)
}

/// Squared coefficient of variation with the unbiased variance, as defined.
pub fn plain_spread(v: [f64; 2]) -> f64 {
    let mean = (v[0] + v[1]) / 2.0;
    ((v[0] - mean).powi(2) + (v[1] - mean).powi(2)) / mean.powi(2)
}

/// A training pass whose random parts are given: choices, noise and the gradient of the output.
pub struct Plain<'a> {
    pub block: &'a Experts,
    pub choices: Vec<usize>,
    pub noise: Vec<[f64; 2]>,
    pub dy: Vec<f64>,
    pub weight: f64,
}

impl Plain<'_> {
    /// `(Σ dy · y + weight · (L_IMP + L_LOAD), L_IMP, L_LOAD)`.
    pub fn loss(&self, params: &[f64], x: &[f64]) -> (f64, f64, f64) {
        let (mut task, mut importance, mut load) = (0.0, [0.0; 2], [0.0; 2]);
        for (row, x) in x.chunks_exact(WIDTH).enumerate() {
            let (y, logits, gates) = plain_row(self.block, params, x, self.choices[row]);
            task += y.iter().zip(&self.dy[row * WIDTH..]).map(|(y, d)| y * d).sum::<f64>();
            for e in 0..2 {
                let competitor = logits[1 - e] + self.noise[row][1 - e];
                importance[e] += f64::from(ALPHA[e]) * gates[e];
                load[e] += f64::from(ALPHA[e]) * plain_cdf((logits[e] - competitor) / 0.5);
            }
        }
        let (importance, load) = (plain_spread(importance), plain_spread(load));
        (task + self.weight * (importance + load), importance, load)
    }
}
