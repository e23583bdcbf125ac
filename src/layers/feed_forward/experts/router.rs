//! Which expert a row takes, and with what weight.

use super::{MULTIPLY, SHIFT};
use crate::linear::Linear;
use crate::params::SplitMix;

/// Standard deviation of the noise on the logits in training, `1 / experts`; also the `σ` of the load loss.
pub const NOISE_SIGMA: f32 = 0.5;

/// Source of the training noise `N(0, σ²)`, with `σ` = [`NOISE_SIGMA`]; the same seed and stream give the same noise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Noise(SplitMix);

impl Noise {
    /// Noise number `stream` of `seed`: every block and every chunk of rays takes its own stream, since equal streams
    /// would perturb their rows alike.
    pub fn new(seed: u64, stream: u64) -> Self {
        Self(SplitMix(SplitMix(seed).bits() ^ SplitMix(!stream).bits()))
    }

    /// The state before the next row: draw `n` of a SplitMix generator depends on its start and `n` alone, so rows can be
    /// drawn in any order.
    pub(crate) fn state(&self) -> u64 {
        self.0.0
    }

    /// The noise of the two logits of the next row.
    pub fn next_pair(&mut self) -> [f32; 2] {
        // Box-Muller; 1 − u lies in (0, 1], where the logarithm is finite.
        let radius = NOISE_SIGMA * (-2.0 * (1.0 - self.0.uniform()).ln()).sqrt();
        let (sin, cos) = (std::f32::consts::TAU * self.0.uniform()).sin_cos();
        [radius * cos, radius * sin]
    }
}

/// The expert with the larger logit; [`SHIFT`], the cheaper one, where they are equal.
#[inline]
pub fn choose(logits: [f32; 2]) -> usize {
    if logits[MULTIPLY] > logits[SHIFT] { MULTIPLY } else { SHIFT }
}

/// Softmax of two logits.
#[inline]
pub fn gate(logits: [f32; 2]) -> [f32; 2] {
    // One exponential of a number that is never positive serves both, and both are exact where they are tiny.
    let small = (-(logits[0] - logits[1]).abs()).exp();
    let (large, small) = (1.0 / (1.0 + small), small / (1.0 + small));
    if logits[0] > logits[1] { [large, small] } else { [small, large] }
}

/// What the router found for each row.
#[derive(Clone, Debug, Default)]
pub(crate) struct RoutedRows {
    /// Logits without noise.
    pub logits: Vec<[f32; 2]>,
    /// Logits that the choice was made on; equal to `logits` at evaluation.
    pub noisy: Vec<[f32; 2]>,
    /// Softmax of `logits`.
    pub gates: Vec<[f32; 2]>,
}

impl RoutedRows {
    /// Routes the rows of `x` `[rows, width]`.
    pub fn run(&mut self, router: &Linear, params: &[f32], x: &[f32], noise: Option<Noise>) {
        assert_eq!(router.outputs, 2, "a router of two experts");
        self.logits.resize(x.len() / router.inputs, [0.0; 2]);
        router.forward(params, x, self.logits.as_flattened_mut(), false);
        self.gates.clear();
        self.gates.extend(self.logits.iter().map(|l| gate(*l)));
        self.noisy.clone_from(&self.logits);
        if let Some(mut noise) = noise {
            for logits in &mut self.noisy {
                let [a, b] = noise.next_pair();
                *logits = [logits[0] + a, logits[1] + b];
            }
        }
    }

    /// How far each row's logit of the multiply expert lies above that of the shift expert, without noise.
    pub fn margins(&self) -> impl Iterator<Item = f32> {
        self.logits.iter().map(|logits| logits[MULTIPLY] - logits[SHIFT])
    }

    /// Lists the rows of each expert, ascending.
    pub fn list(&self, mut rows: [&mut Vec<u32>; 2]) {
        rows.iter_mut().for_each(|rows| rows.clear());
        for (row, noisy) in self.noisy.iter().enumerate() {
            rows[choose(*noisy)].push(row as u32);
        }
    }

    /// Adds the gradient of a row's logits through the gate of the `expert` that it ran in; `d_gate` is that of the gate.
    pub fn add_gate_gradient(&self, row: usize, expert: usize, d_gate: f32, d_logits: &mut [f32]) {
        let gates = self.gates[row];
        // The derivative of a softmax of two: p0 · p1, with the sign of the logit.
        let slope = gates[0] * gates[1] * d_gate;
        d_logits[row * 2 + expert] += slope;
        d_logits[row * 2 + 1 - expert] -= slope;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_logits_choose_the_cheaper_expert() {
        assert_eq!([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [-3.5, -3.5]].map(choose), [SHIFT, MULTIPLY, SHIFT, SHIFT]);
        // A number that is none must not crash the dispatch.
        assert_eq!(choose([f32::NAN, 0.0]), SHIFT);
    }

    #[test]
    fn gate_is_the_softmax_even_far_out() {
        assert_eq!(gate([0.7, 0.7]), [0.5, 0.5]);
        assert_eq!(gate([1e30, -1e30]), [1.0, 0.0]);
        assert_eq!(gate([-1e30, 1e30]), [0.0, 1.0]);
        for d in [-80.0f32, -17.0, -1.5, 0.3, 4.0, 60.0] {
            let p = gate([d + 0.25, 0.25]);
            let want = [1.0 / (1.0 + (-f64::from(d)).exp()), 1.0 / (1.0 + f64::from(d).exp())];
            // Two roundings of the argument of the exponential weigh most at the far end.
            for e in 0..2 {
                assert!((f64::from(p[e]) - want[e]).abs() <= 1e-5 * want[e], "{d}: {p:?}, expected {want:?}");
            }
        }
    }

    #[test]
    fn noise_is_normal_and_repeats_with_its_seed() {
        const PAIRS: usize = 100_000;
        let draw = |noise: Noise, count: usize| {
            let mut noise = noise;
            (0..count).map(|_| noise.next_pair()).collect::<Vec<_>>()
        };
        let pairs = draw(Noise::new(7, 3), PAIRS);
        assert_eq!(pairs[..31], draw(Noise::new(7, 3), 31));
        assert_ne!(pairs[..31], draw(Noise::new(8, 3), 31));
        assert_ne!(pairs[..31], draw(Noise::new(7, 4), 31));
        let mean = |f: &dyn Fn([f64; 2]) -> f64| pairs.iter().map(|p| f(p.map(f64::from))).sum::<f64>() / PAIRS as f64;
        let sigma = f64::from(NOISE_SIGMA);
        // About five standard errors of 100 000 draws.
        for e in 0..2 {
            assert!(mean(&|p| p[e]).abs() < 0.008);
            assert!((mean(&|p| p[e] * p[e]) - sigma * sigma).abs() < 0.006);
            assert!((mean(&|p| f64::from(u8::from(p[e].abs() < sigma))) - 0.682_69).abs() < 0.008);
        }
        assert!(mean(&|p| p[0] * p[1]).abs() < 0.004);
    }
}
