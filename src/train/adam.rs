//! The Adam optimiser and the running average of the weights.

use std::ops::Range;

/// Moments of Adam (Kingma and Ba, 2015), without weight decay.
#[derive(Clone, Debug, PartialEq)]
pub struct Adam {
    /// First moment, one a parameter.
    pub first: Vec<f32>,
    /// Second moment, one a parameter.
    pub second: Vec<f32>,
}

/// What the first moment keeps of itself.
pub(crate) const BETA1: f32 = 0.9;
/// What the second moment keeps of itself.
pub(crate) const BETA2: f32 = 0.999;
/// Added to the root of the second moment.
pub(crate) const EPS: f32 = 1e-8;

/// By what moments that started at zero fall short after `step` steps: the first one's factor, and the root of the second's.
pub(crate) fn corrections(step: u64) -> (f64, f32) {
    (1.0 - f64::from(BETA1).powf(step as f64), (1.0 - f64::from(BETA2).powf(step as f64)).sqrt() as f32)
}

/// How far the average moves towards the weights: early steps forget the start.
pub(crate) fn follow(step: u64, decay: f32) -> f32 {
    1.0 - decay.min((1.0 + step as f32) / (10.0 + step as f32))
}

impl Adam {
    /// Zero moments for `len` parameters.
    pub fn new(len: usize) -> Self {
        Self { first: vec![0.0; len], second: vec![0.0; len] }
    }

    /// Updates `params` in place; `step` counts from 1, `rate(i)` is the learning rate of parameter `i`.
    pub fn update(&mut self, step: u64, params: &mut [f32], grads: &[f32], rate: impl Fn(usize) -> f32) {
        self.update_part(0..params.len(), step, params, grads, rate);
    }

    /// As [`Adam::update`], of some parameters only; moments of the others stay.
    pub fn update_part(
        &mut self,
        part: Range<usize>,
        step: u64,
        params: &mut [f32],
        grads: &[f32],
        rate: impl Fn(usize) -> f32,
    ) {
        let (correct1, correct2) = corrections(step);
        for i in part {
            let (p, g) = (&mut params[i], grads[i]);
            let (m, v) = (&mut self.first[i], &mut self.second[i]);
            *m = BETA1 * *m + (1.0 - BETA1) * g;
            *v = BETA2 * *v + (1.0 - BETA2) * g * g;
            *p -= (f64::from(rate(i)) / correct1) as f32 * *m / (v.sqrt() / correct2 + EPS);
        }
    }
}

/// Shrinks every parameter by its own part, before an update: the decoupled decay of AdamW (Loshchilov and Hutter, 2019).
pub fn decay_weights(params: &mut [f32], part: impl Fn(usize) -> f32) {
    params.iter_mut().enumerate().for_each(|(i, p)| *p -= part(i) * *p);
}

/// Length of a gradient.
pub fn length(grads: &[f32]) -> f64 {
    grads.iter().map(|g| f64::from(*g) * f64::from(*g)).sum::<f64>().sqrt()
}

/// What a gradient of this `length` is multiplied by so that it is no longer than `longest`.
pub fn clip(length: f64, longest: f32) -> f32 {
    (f64::from(longest) / length.max(1e-12)).min(1.0) as f32
}

/// Scales a gradient of this `length` down to `longest`, if it is longer.
pub fn shorten(grads: &mut [f32], length: f64, longest: f32) {
    let clip = clip(length, longest);
    grads.iter_mut().for_each(|g| *g *= clip);
}

/// Moves `average` towards `params` by `1 − decay`; early steps use a smaller decay so that the start is forgotten.
pub fn average_weights(average: &mut [f32], params: &[f32], step: u64, decay: f32) {
    let follow = follow(step, decay);
    average.iter_mut().zip(params).for_each(|(a, p)| *a += follow * (*p - *a));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_step_moves_by_the_rate_against_the_gradient() {
        let mut adam = Adam::new(3);
        let mut params = [1.0, 1.0, 1.0];
        adam.update(1, &mut params, &[0.5, -2.0, 0.0], |i| if i == 1 { 0.1 } else { 0.01 });
        for (p, want) in params.iter().zip([0.99, 1.1, 1.0]) {
            assert!((p - want).abs() < 1e-5, "{p} {want}");
        }
    }

    #[test]
    fn the_average_follows() {
        let mut average = [0.0];
        for step in 0..2000 {
            average_weights(&mut average, &[1.0], step, 0.99);
        }
        assert!((average[0] - 1.0f32).abs() < 1e-3);
    }
}
