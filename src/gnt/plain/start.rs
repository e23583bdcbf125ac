//! The states that samples start from.

use super::Net;
use super::math::{Real, linear};
use crate::config::Start;

/// States `[T, C]`.
pub fn start<T: Real>(net: &Net<T>) -> Vec<T> {
    match net.config.start {
        Start::Max => maximum(net),
        Start::Stats => linear(net.params, "start", &moments(net), 2 * net.config.width),
    }
}

fn maximum<T: Real>(net: &Net<T>) -> Vec<T> {
    let (c, v) = (net.config.width, net.input.views);
    let larger = |a: T, b: T| if b.value() > a.value() { b } else { a };
    net.tokens
        .chunks_exact(v * c)
        .flat_map(|sample| (0..c).map(move |i| sample.iter().skip(i).step_by(c).copied().fold(sample[i], larger)))
        .collect()
}

/// Mean and variance over the views that see each sample, `[T, 2C]`; zeros where none does.
fn moments<T: Real>(net: &Net<T>) -> Vec<T> {
    let (c, v, zero) = (net.config.width, net.input.views, T::new(0.0));
    let mut moments = Vec::new();
    for (sample, mask) in net.tokens.chunks_exact(v * c).zip(net.input.mask.chunks_exact(v)) {
        let seen: Vec<&[T]> = sample.chunks_exact(c).zip(mask).filter(|(_, m)| **m).map(|(t, _)| t).collect();
        let scale = T::new(1.0 / seen.len().max(1) as f64);
        let mean: Vec<T> = (0..c).map(|i| seen.iter().fold(zero, |a, t| a + t[i]) * scale).collect();
        let square = |a: T| a * a;
        let variance: Vec<T> =
            (0..c).map(|i| seen.iter().fold(zero, |a, t| a + square(t[i] - mean[i])) * scale).collect();
        moments.extend(mean);
        moments.extend(variance);
    }
    moments
}
