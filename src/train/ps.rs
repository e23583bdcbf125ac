//! Shift weights trained as exponents and signs (DeepShift-PS), beside the usual form in which a float weight is rounded
//! on every forward pass (DeepShift-Q).

use crate::adam::Adam;
use gnt::folded::{Folded, ShiftWeight};
use layers::shift::{ps_backward, ps_forward, ps_init};
use serde::{Deserialize, Serialize};

/// What is trained of a shift layer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ShiftForm {
    /// A float weight that is rounded to a power of two (DeepShift-Q).
    #[default]
    Q,
    /// An exponent and a sign, each rounded (DeepShift-PS).
    Ps,
}

/// Exponents and signs of all shift weights of a network, and the moments of their optimiser.
///
/// The network reads the weights that they stand for, which [`Ps::write`] puts into the parameter vector; the optimiser
/// of that vector has nothing to do with them.
#[derive(Clone, Debug, PartialEq)]
pub struct Ps {
    /// The exponents of all weights, in the order of [`Folded::shift_weights`], then their signs.
    pub values: Vec<f32>,
    /// Moments of `values`.
    pub adam: Adam,
}

impl Ps {
    /// Number of values for `net`: two for each shift weight.
    pub fn len(net: &Folded) -> usize {
        2 * net.shift_weights().map(|w| w.slot.len).sum::<usize>()
    }

    /// Exponents and signs nearest to the shift weights in `params`, with zero moments.
    pub fn new(net: &Folded, params: &[f32]) -> Self {
        let mut values = vec![0.0; Self::len(net)];
        let (exponents, signs) = halves(&mut values);
        for (weight, at) in places(net) {
            ps_init(weight.slot.of(params), &mut exponents[at.clone()], &mut signs[at]);
        }
        Self { adam: Adam::new(values.len()), values }
    }

    /// Writes the weights into `params`; they are powers of two that rounding leaves as they are.
    pub fn write(&self, net: &Folded, params: &mut [f32]) {
        let (exponents, signs) = self.values.split_at(self.values.len() / 2);
        for (weight, at) in places(net) {
            let ShiftWeight { slot, inputs, bits } = weight;
            ps_forward(&exponents[at.clone()], &signs[at], inputs, bits, slot.of_mut(params));
        }
    }

    /// Takes the gradients of the shift weights out of `grads`, leaving zeros, and updates exponents and signs by them;
    /// `step` counts from 1.
    pub fn update(&mut self, net: &Folded, step: u64, rate: f32, grads: &mut [f32]) {
        let mut own = vec![0.0; self.values.len()];
        let (d_exponents, d_signs) = halves(&mut own);
        let (exponents, signs) = self.values.split_at(self.values.len() / 2);
        for (ShiftWeight { slot, inputs, bits }, at) in places(net) {
            let d_weight = slot.of_mut(grads);
            let (d_s, d_g) = (&mut d_exponents[at.clone()], &mut d_signs[at.clone()]);
            ps_backward(&exponents[at.clone()], &signs[at], inputs, bits, d_weight, d_s, d_g);
            d_weight.fill(0.0);
        }
        self.adam.update(step, &mut self.values, &own, |_| rate);
    }
}

/// Each shift weight with its place among the exponents, and among the signs.
fn places(net: &Folded) -> impl Iterator<Item = (ShiftWeight, std::ops::Range<usize>)> {
    net.shift_weights().scan(0, |next, weight| {
        let first = *next;
        *next += weight.slot.len;
        Some((weight, first..*next))
    })
}

fn halves(values: &mut [f32]) -> (&mut [f32], &mut [f32]) {
    let middle = values.len() / 2;
    values.split_at_mut(middle)
}

#[cfg(test)]
#[path = "ps_tests.rs"]
mod tests;
