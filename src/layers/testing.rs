//! Plain layers in double precision and differences of them, for tests.

use crate::builder::{BlockShape, Builder, Names};
use crate::codes::WINDOW;
use crate::layer_norm::LayerNorm;
use crate::linear::{Linear, LinearKind};
use crate::params::{Layout, Slot, SplitMix};

/// Rounding of single precision may turn a code whose projection is nearer than this to its threshold.
const MARGIN: f64 = 1e-5;

/// `n` numbers, uniform in `[-scale, scale)`.
pub fn uniform(rng: &mut SplitMix, n: usize, scale: f32) -> Vec<f32> {
    (0..n).map(|_| (rng.uniform() * 2.0 - 1.0) * scale).collect()
}

/// Parameters unlike those at the start of training: no zeros, gains near 1, everything else up to `scale` times the
/// usual bound.
pub fn parameters(layout: &Layout, seed: u64, scale: f32) -> Vec<f32> {
    let mut rng = SplitMix(seed);
    let mut params = layout.initialise(seed);
    for entry in layout.entries() {
        let gain = entry.name.ends_with("norm.weight");
        for p in entry.slot.of_mut(&mut params) {
            let shift = 0.4 * (rng.uniform() - 0.5);
            *p = if gain { 1.0 + shift } else { *p * scale + shift };
        }
    }
    params
}

/// The same numbers in double precision.
pub fn wide(x: &[f32]) -> Vec<f64> {
    x.iter().copied().map(f64::from).collect()
}

/// `x · W + b`.
pub fn linear(layer: &Linear, params: &[f64], x: &[f64]) -> Vec<f64> {
    let weight = &params[layer.weight.offset..][..layer.weight.len];
    let bias = layer.bias.map(|b| &params[b.offset..][..b.len]);
    let mut y = Vec::with_capacity(x.len() / layer.inputs * layer.outputs);
    for row in x.chunks_exact(layer.inputs) {
        let product = |o: usize| row.iter().enumerate().map(|(i, x)| x * weight[i * layer.outputs + o]).sum::<f64>();
        y.extend((0..layer.outputs).map(|o| bias.map_or(0.0, |b| b[o]) + product(o)));
    }
    y
}

/// Layer normalisation with the biased variance.
pub fn layer_norm(layer: &LayerNorm, params: &[f64], x: &[f64]) -> Vec<f64> {
    let n = layer.width as f64;
    let mut y = Vec::with_capacity(x.len());
    for row in x.chunks_exact(layer.width) {
        let mean = row.iter().sum::<f64>() / n;
        let variance = row.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n;
        let deviation = (variance + f64::from(layer.eps)).sqrt();
        let (gain, bias) = (&params[layer.gain.offset..], &params[layer.bias.offset..]);
        y.extend(row.iter().enumerate().map(|(i, x)| (x - mean) / deviation * gain[i] + bias[i]));
    }
    y
}

/// Softmax of one row.
pub fn softmax(x: &[f64]) -> Vec<f64> {
    let max = x.iter().copied().fold(f64::MIN, f64::max);
    let powers: Vec<f64> = x.iter().map(|x| (x - max).exp()).collect();
    let sum: f64 = powers.iter().sum();
    powers.into_iter().map(|p| p / sum).collect()
}

/// The GELU, by the series of [`crate::gelu`] in double precision.
pub fn gelu(x: f64) -> f64 {
    let z = x.abs() * std::f64::consts::FRAC_1_SQRT_2;
    let t = 1.0 / (1.0 + 0.327_591_1 * z);
    let inner = -0.284_496_736 + t * (1.421_413_741 + t * (-1.453_152_027 + t * 1.061_405_429));
    let tail = 0.5 * t * (0.254_829_592 + t * inner) * (-z * z).exp();
    x * if x < 0.0 { tail } else { 1.0 - tail }
}

/// Takes codes, and remembers what they were taken of; frozen, it is what the straight-through rule differentiates:
/// the codes of the remembered projections, plus how far a projection has moved if it started inside the window.
#[derive(Clone, Debug, Default)]
pub struct Codes {
    seen: Vec<f64>,
    next: Option<usize>,
}

impl Codes {
    /// The codes of `x`.
    pub fn take(&mut self, x: &[f64]) -> Vec<f64> {
        x.iter().map(|x| self.one(*x)).collect()
    }

    fn one(&mut self, x: f64) -> f64 {
        let start = match &mut self.next {
            None => {
                self.seen.push(x);
                x
            }
            Some(next) => {
                *next += 1;
                self.seen[*next - 1]
            }
        };
        let bit = if start > 0.0 { 1.0 } else { -1.0 };
        if start.abs() <= f64::from(WINDOW) { bit + (x - start) } else { bit }
    }

    /// As it is for a pass over the same rows with other numbers.
    pub fn frozen(&self) -> Self {
        Self { seen: self.seen.clone(), next: Some(0) }
    }

    /// Asserts that rounding turns no code.
    pub fn assert_clear(&self) {
        let nearest = self.seen.iter().fold(f64::INFINITY, |m, x| m.min(x.abs()));
        assert!(nearest > MARGIN, "choose another seed: a projection is {nearest} from its threshold");
    }

    /// Asserts that rounding moves nothing across the edge of the gradient's window, and that both sides are there.
    pub fn assert_window(&self) {
        let window = f64::from(WINDOW);
        let nearest = self.seen.iter().fold(f64::INFINITY, |m, x| m.min((x.abs() - window).abs()));
        assert!(nearest > MARGIN, "choose another seed: a projection is {nearest} from the window's edge");
        let outside = self.seen.iter().filter(|x| x.abs() > window).count();
        assert!(
            (self.seen.len() / 50..self.seen.len() * 9 / 10).contains(&outside),
            "{outside} of {} outside",
            self.seen.len()
        );
    }
}

/// Asserts that all numbers agree to `tolerance`.
pub fn close(name: &str, found: &[f32], expected: &[f64], tolerance: f64) {
    assert_eq!(found.len(), expected.len(), "{name}");
    for (i, (f, e)) in found.iter().zip(expected).enumerate() {
        assert!((f64::from(*f) - e).abs() <= tolerance, "{name}[{i}]: {f} and {e}");
    }
}

/// Asserts that `found` is the gradient of `loss` at `x`, by central differences, to `tolerance` of its largest entry.
pub fn assert_gradient(name: &str, found: &[f32], x: &[f64], tolerance: f64, loss: impl Fn(&[f64]) -> f64) {
    // Double precision leaves 1e-10 of the loss here, and kinks of a ReLU are rarely this near.
    const STEP: f64 = 1e-6;
    assert_eq!(found.len(), x.len(), "{name}");
    let mut moved = x.to_vec();
    let mut at = |i: usize, value: f64| {
        let old = std::mem::replace(&mut moved[i], value);
        let loss = loss(&moved);
        moved[i] = old;
        loss
    };
    let expected: Vec<f64> = (0..x.len()).map(|i| (at(i, x[i] + STEP) - at(i, x[i] - STEP)) / (2.0 * STEP)).collect();
    let largest = expected.iter().fold(0.0f64, |m, e| m.max(e.abs()));
    assert!(largest > 1e-3, "{name}: no gradient to compare, at most {largest}");
    close(name, found, &expected, tolerance * largest);
}

/// A layer of its own: `build` registers it, and its parameters are those of the folded layout that is told beside it.
pub fn built<T>(build: impl FnOnce(&mut Builder) -> T) -> (T, Layout) {
    let mut params = Layout::new();
    let mut builder = Builder::new(&mut params, "");
    let layer = build(&mut builder);
    (layer, builder.folded)
}

/// Sizes of a block with dense layers and a feed-forward part of twice the width.
pub fn shape(width: usize, heads: usize, attention_hidden: usize) -> BlockShape {
    BlockShape { width, heads, attention_hidden, mlp_ratio: 2, linears: LinearKind::Dense, names: Names::Separate }
}

/// A linear layer of its own with a bias, and where its weight and bias lie.
pub fn linear_with_slots(layout: &mut Layout, name: &str, inputs: usize, outputs: usize) -> (Linear, [Slot; 2]) {
    let layer = Linear::new(layout, name, inputs, outputs, true);
    (layer, [layer.weight, layer.bias.expect("made with a bias")])
}
