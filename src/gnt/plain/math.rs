//! Layers over numbers of any kind.

use super::Parameters;
use crate::config::LinearKind;
use layers::codes::WINDOW;
use std::ops::{Add, Div, Mul, Sub};

/// A number the plain network can run on.
pub trait Real: Copy + Add<Output = Self> + Sub<Output = Self> + Mul<Output = Self> + Div<Output = Self> {
    /// A constant.
    fn new(value: f64) -> Self;
    /// Its value, for comparisons.
    fn value(self) -> f64;
    /// `e^self`.
    fn exp(self) -> Self;
    /// Square root.
    fn sqrt(self) -> Self;
}

impl Real for f64 {
    fn new(value: f64) -> Self {
        value
    }
    fn value(self) -> f64 {
        self
    }
    fn exp(self) -> Self {
        self.exp()
    }
    fn sqrt(self) -> Self {
        self.sqrt()
    }
}

/// Element-wise sum.
pub fn add<T: Real>(a: &[T], b: &[T]) -> Vec<T> {
    a.iter().zip(b).map(|(a, b)| *a + *b).collect()
}

/// Element-wise `max(x, 0)`.
pub fn relu<T: Real>(mut x: Vec<T>) -> Vec<T> {
    x.iter_mut().filter(|x| x.value() <= 0.0).for_each(|x| *x = T::new(0.0));
    x
}

/// `x · Wᵀ + b`; the bias is optional.
pub fn linear<T: Real>(params: &Parameters<T>, name: &str, x: &[T], inputs: usize) -> Vec<T> {
    linear_with(LinearKind::Dense, params, name, x, inputs)
}

/// As [`linear`], with the weights held as `kind` says; biases are never quantised.
pub fn linear_with<T: Real>(kind: LinearKind, params: &Parameters<T>, name: &str, x: &[T], inputs: usize) -> Vec<T> {
    let weight = &params[&format!("{name}.weight")];
    let weight = match kind {
        LinearKind::Dense => weight.clone(),
        LinearKind::Shift { bits } => quantise(weight, inputs, bits),
    };
    let bias = params.get(&format!("{name}.bias"));
    let mut y = Vec::with_capacity(x.len() / inputs * (weight.len() / inputs));
    for row in x.chunks_exact(inputs) {
        for (o, w) in weight.chunks_exact(inputs).enumerate() {
            let start = bias.map_or(T::new(0.0), |b| b[o]);
            y.push(row.iter().zip(w).fold(start, |sum, (x, w)| sum + *x * *w));
        }
    }
    y
}

/// The weights as the training path quantises them, with the straight-through derivative: that of the weight itself.
fn quantise<T: Real>(weight: &[T], inputs: usize, bits: u8) -> Vec<T> {
    let values: Vec<f32> = weight.iter().map(|w| w.value() as f32).collect();
    let mut quantised = vec![0.0; values.len()];
    layers::shift::quantise(&values, inputs, bits, &mut quantised);
    weight.iter().zip(quantised).map(|(w, q)| moving(*w, f64::from(q))).collect()
}

/// The number `value` with the derivative of `x`.
fn moving<T: Real>(x: T, value: f64) -> T {
    T::new(value) + (x - T::new(x.value()))
}

/// Codes of one bit, `+1` where `x > 0` and else `−1`, with the straight-through derivative: that of `x` inside the
/// window, nothing outside. Lowers `margin` to the least distance of any `x` from the threshold or the window's edge.
pub fn code<T: Real>(mut x: Vec<T>, margin: &mut f64) -> Vec<T> {
    let window = f64::from(WINDOW);
    for x in &mut x {
        let value = x.value();
        *margin = margin.min(value.abs()).min((value.abs() - window).abs());
        let bit = if value > 0.0 { 1.0 } else { -1.0 };
        *x = if value.abs() <= window { moving(*x, bit) } else { T::new(bit) };
    }
    x
}

/// Linear, ReLU, linear: `{name}.0` and `{name}.2`.
pub fn two_layers<T: Real>(params: &Parameters<T>, name: &str, x: &[T], inputs: usize) -> Vec<T> {
    let hidden = relu(linear(params, &format!("{name}.0"), x, inputs));
    let width = params[&format!("{name}.0.weight")].len() / inputs;
    linear(params, &format!("{name}.2"), &hidden, width)
}

/// Layer normalisation with the biased variance.
pub fn layer_norm<T: Real>(params: &Parameters<T>, name: &str, x: &[T], eps: f64) -> Vec<T> {
    let (gain, bias) = (&params[&format!("{name}.weight")], &params[&format!("{name}.bias")]);
    let width = gain.len();
    let scale = T::new(1.0 / width as f64);
    let mut y = Vec::with_capacity(x.len());
    for row in x.chunks_exact(width) {
        let mean = row.iter().fold(T::new(0.0), |sum, x| sum + *x) * scale;
        let variance = row.iter().fold(T::new(0.0), |sum, x| sum + (*x - mean) * (*x - mean)) * scale;
        let deviation = (variance + T::new(eps)).sqrt();
        y.extend((0..width).map(|i| (row[i] - mean) / deviation * gain[i] + bias[i]));
    }
    y
}

/// Softmax of one row.
pub fn softmax<T: Real>(x: &[T]) -> Vec<T> {
    let max = x.iter().map(|x| x.value()).fold(f64::MIN, f64::max);
    let powers: Vec<T> = x.iter().map(|x| (*x - T::new(max)).exp()).collect();
    let sum = powers.iter().fold(T::new(0.0), |sum, p| sum + *p);
    powers.into_iter().map(|p| p / sum).collect()
}
