//! The latency-aware balance losses: they are least where both experts take equally long together.
//!
//! With `α_i` the share of expert `i` in the summed latency of a row, `L_IMP` is the squared coefficient of variation
//! of `α_i · Σ p_i` over the experts and `L_LOAD` that of `α_i · Σ q_i`; `p` is the softmax of the logits without noise
//! and `q_i` the probability that expert `i` wins once more when its own noise is drawn again (ShiftAddViT, arXiv
//! 2306.06446, latency-aware load-balancing loss).

use super::router::{NOISE_SIGMA, RoutedRows};
use std::fmt;

/// Weight of the balance losses in the training loss.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Balance {
    /// Shares of the experts in the latency, summing to 1; see [`latency_shares`].
    pub alpha: [f32; 2],
    /// `λ`, the factor of `L_IMP + L_LOAD`; 0.01 in the paper's code.
    pub weight: f32,
}

/// Latencies that no shares can be made of.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LatencyError {
    /// What was given.
    pub found: [f64; 2],
}

impl fmt::Display for LatencyError {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let [multiply, shift] = self.found;
        write!(f, "latencies of the experts: expected two positive finite numbers, found {multiply} and {shift}")
    }
}

impl std::error::Error for LatencyError {}

/// `α_i = latency_i / Σ latency` from the experts' latencies for the same number of rows, in any unit.
///
/// # Errors
/// [`LatencyError`] unless both are positive and finite.
pub fn latency_shares(latencies: [f64; 2]) -> Result<[f32; 2], LatencyError> {
    if latencies.iter().any(|l| !l.is_finite() || *l <= 0.0) {
        return Err(LatencyError { found: latencies });
    }
    // The quotient first: the sum of two large latencies could overflow.
    let share = |a: f64, b: f64| (1.0 / (1.0 + b / a)) as f32;
    Ok([share(latencies[0], latencies[1]), share(latencies[1], latencies[0])])
}

/// How much the experts were used; sums over rows.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Usage {
    /// `Σ p_i`.
    pub importance: [f64; 2],
    /// `Σ q_i`.
    pub load: [f64; 2],
    /// Rows that ran in each expert.
    pub counts: [usize; 2],
}

impl Usage {
    pub(crate) fn new(routing: &RoutedRows, counts: [usize; 2]) -> Self {
        let mut usage = Self { counts, ..Self::default() };
        for (gates, margins) in routing.gates.iter().zip(margins(routing)) {
            for e in 0..2 {
                usage.importance[e] += f64::from(gates[e]);
                usage.load[e] += normal_cdf(margins[e]);
            }
        }
        usage
    }

    /// Adds the rows of another pass.
    pub fn add(&mut self, other: &Self) {
        for e in 0..2 {
            self.importance[e] += other.importance[e];
            self.load[e] += other.load[e];
            self.counts[e] += other.counts[e];
        }
    }

    /// `(L_IMP, L_LOAD)` for the latency shares `alpha`, unweighted; each lies in `[0, 2]`.
    pub fn losses(&self, alpha: &[f32; 2]) -> (f32, f32) {
        (spread(alpha, self.importance).0 as f32, spread(alpha, self.load).0 as f32)
    }

    /// Part of the rows that ran in expert `e`; 0 if there were none.
    pub fn share(&self, e: usize) -> f64 {
        self.counts[e] as f64 / (self.counts[0] + self.counts[1]).max(1) as f64
    }
}

impl Balance {
    /// Derivatives of `weight · (L_IMP + L_LOAD)` by each `Σ p_i`, and by each `Σ q_i` divided by the noise's deviation.
    pub(crate) fn slopes(&self, usage: &Usage) -> ([f64; 2], [f64; 2]) {
        let weight = f64::from(self.weight);
        let d_importance = spread(&self.alpha, usage.importance).1.map(|d| d * weight);
        let d_load = spread(&self.alpha, usage.load).1.map(|d| d * weight / f64::from(NOISE_SIGMA));
        (d_importance, d_load)
    }

    /// Adds the gradient of `weight · (L_IMP + L_LOAD)` to that of the noise-free logits, `[rows, 2]`.
    pub(crate) fn add_gradient(&self, routing: &RoutedRows, d_logits: &mut [f32]) {
        let (d_importance, d_load) = self.slopes(&Usage::new(routing, [0; 2]));
        let rows = routing.gates.iter().zip(margins(routing)).zip(d_logits.chunks_exact_mut(2));
        for ((gates, margins), d_logits) in rows {
            // Both terms depend on the logits by their difference alone, so the two gradients are opposite. The noisy
            // competitor is the logit plus a constant and passes the gradient on.
            let through_gate = f64::from(gates[0]) * f64::from(gates[1]) * (d_importance[0] - d_importance[1]);
            let through_load = d_load[0] * normal_density(margins[0]) - d_load[1] * normal_density(margins[1]);
            let slope = (through_gate + through_load) as f32;
            d_logits[0] += slope;
            d_logits[1] -= slope;
        }
    }
}

/// For each row and expert, how far its noise-free logit lies above the other's noisy one, in standard deviations.
fn margins(routing: &RoutedRows) -> impl Iterator<Item = [f64; 2]> {
    routing.logits.iter().zip(&routing.noisy).map(|(logits, noisy)| {
        [0, 1].map(|e| (f64::from(logits[e]) - f64::from(noisy[1 - e])) / f64::from(NOISE_SIGMA))
    })
}

/// Squared coefficient of variation of `α_i · sum_i`, with the unbiased variance, and its derivative by each sum.
///
/// For two values it is `2r²`, `r = (a − b)/(a + b)`. Without rows it is 0.
fn spread(alpha: &[f32; 2], sums: [f64; 2]) -> (f64, [f64; 2]) {
    let alpha = alpha.map(f64::from);
    let (a, b) = (alpha[0] * sums[0], alpha[1] * sums[1]);
    let total = a + b;
    if total <= 0.0 {
        return (0.0, [0.0; 2]);
    }
    let r = (a - b) / total;
    let slope = 8.0 * r / total;
    (2.0 * r * r, [slope * (b / total) * alpha[0], -slope * (a / total) * alpha[1]])
}

/// `Φ(z)`, the normal distribution's cumulative probability, within 1e-7.
pub fn normal_cdf(z: f64) -> f64 {
    // Abramowitz and Stegun, formula 7.1.26: erfc(x) to 1.5e-7 for x ≥ 0, here with x = |z| / √2.
    const A: [f64; 5] = [0.254_829_592, -0.284_496_736, 1.421_413_741, -1.453_152_027, 1.061_405_429];
    let x = z.abs() * std::f64::consts::FRAC_1_SQRT_2;
    let t = 1.0 / (1.0 + 0.327_591_1 * x);
    let tail = 0.5 * A.iter().rev().fold(0.0, |sum, a| (sum + a) * t) * (-x * x).exp();
    if z > 0.0 { 1.0 - tail } else { tail }
}

/// The normal density at `z`.
fn normal_density(z: f64) -> f64 {
    (-0.5 * z * z).exp() / std::f64::consts::TAU.sqrt()
}

#[cfg(test)]
mod tests {
    use super::super::router::gate;
    use super::super::tests::plain::plain_cdf;
    use super::*;

    const PAPER: [f32; 2] = [0.6, 0.4];

    fn routing(logits: Vec<[f32; 2]>) -> RoutedRows {
        RoutedRows { noisy: logits.clone(), gates: logits.iter().map(|l| gate(*l)).collect(), logits }
    }

    fn usage(importance: [f64; 2], load: [f64; 2]) -> Usage {
        Usage { importance, load, counts: [0; 2] }
    }

    #[test]
    fn least_where_both_experts_take_equally_long() {
        let (imp, load) = usage([40.0, 60.0], [0.4, 0.6]).losses(&PAPER);
        assert!(imp < 1e-12 && load < 1e-12, "{imp}, {load}");
        // Half the rows each: 30 against 20 time units, mean 25, unbiased variance 50.
        let (imp, load) = usage([50.0, 50.0], [40.0, 60.0]).losses(&PAPER);
        assert!((imp - 50.0 / 625.0).abs() < 1e-7 && load < 1e-12, "{imp}, {load}");
        assert_eq!(usage([31.0, 0.0], [0.0, 31.0]).losses(&PAPER), (2.0, 2.0));
        assert_eq!(Usage::default().losses(&PAPER), (0.0, 0.0));
        assert_eq!(usage([33.0, 33.0], [1.0, 1.0]).losses(&[0.5, 0.5]), (0.0, 0.0));
    }

    #[test]
    fn gradient_vanishes_at_the_balance_and_pulls_toward_it_elsewhere() {
        for (sums, signs) in [([40.0, 60.0], [0.0, 0.0]), ([50.0, 50.0], [1.0, -1.0]), ([30.0, 70.0], [-1.0, 1.0])] {
            let (_, d) = spread(&PAPER, sums);
            for e in 0..2 {
                let sign = if d[e].abs() < 1e-9 { 0.0 } else { d[e].signum() };
                assert_eq!(sign, signs[e], "{sums:?}: {d:?}");
                let mut moved = sums;
                moved[e] += 1e-4;
                let up = spread(&PAPER, moved).0;
                moved[e] -= 2e-4;
                let numeric = (up - spread(&PAPER, moved).0) / 2e-4;
                assert!((d[e] - numeric).abs() < 1e-8, "{sums:?}: {} against {numeric}", d[e]);
            }
        }
        // Every gate at one half: descent lowers the logit of the expert that multiplies, by the same for each row.
        let mut d = vec![0.0; 2 * 33];
        Balance { alpha: PAPER, weight: 0.01 }.add_gradient(&routing(vec![[0.3, 0.3]; 33]), &mut d);
        // With s the first expert's part of the sum, here 1/2: a = 0.3, b = 0.2, r = 0.2 and
        // dr/ds = 2·α0·α1/(a + b)² = 1.92.
        // One row moves s by 1/33 of 1/4 a logit through the gates, and of φ(0)/σ through the loads.
        let (importance, load) = (0.25, 1.0 / (0.5 * std::f64::consts::TAU.sqrt()));
        let want = 0.01 * 4.0 * 0.2 * 1.92 * (importance + load) / 33.0;
        for d in d.chunks_exact(2) {
            assert!((f64::from(d[0]) - want).abs() < 1e-9, "{d:?}");
            assert_eq!(d[0], -d[1]);
        }
        // Gates of 0.4 and 0.6.
        let (imp, _) = Usage::new(&routing(vec![[(0.4f32 / 0.6).ln(), 0.0]; 31]), [0; 2]).losses(&PAPER);
        assert!(imp < 1e-12, "{imp}");
    }

    #[test]
    fn extreme_logits_stay_finite() {
        for logits in [[1e30, -1e30], [-1e30, 1e30], [200.0, -200.0], [0.0, 0.0]] {
            for rows in [0, 1, 31] {
                let routing = routing(vec![logits; rows]);
                let (imp, load) = Usage::new(&routing, [0; 2]).losses(&PAPER);
                assert!((0.0..=2.0).contains(&imp) && (0.0..=2.0).contains(&load), "{logits:?}: {imp}, {load}");
                let mut d = vec![0.0; rows * 2];
                Balance { alpha: PAPER, weight: 1.0 }.add_gradient(&routing, &mut d);
                assert!(d.iter().all(|d| d.is_finite()), "{logits:?}: {d:?}");
            }
        }
    }

    #[test]
    fn usages_add_up() {
        let rows: Vec<[f32; 2]> = (0..33).map(|i| [(i % 7) as f32 - 3.0, (i % 5) as f32 * 0.5]).collect();
        let mut parts = Usage::new(&routing(rows[..10].to_vec()), [4, 6]);
        parts.add(&Usage::new(&routing(rows[10..].to_vec()), [3, 20]));
        let whole = Usage::new(&routing(rows), [7, 26]);
        for e in 0..2 {
            assert!((parts.importance[e] - whole.importance[e]).abs() < 1e-12);
            assert!((parts.load[e] - whole.load[e]).abs() < 1e-12);
        }
        assert_eq!((parts.counts, whole.share(0), Usage::default().share(1)), ([7, 26], 7.0 / 33.0, 0.0));
    }

    #[test]
    fn shares_of_the_latency() {
        assert_eq!(latency_shares([6.0, 4.0]).unwrap(), PAPER);
        assert_eq!(latency_shares([1.7e308, 1.7e308]).unwrap(), [0.5, 0.5]);
        assert_eq!(latency_shares([3e-9, 1e-9]).unwrap(), [0.75, 0.25]);
        for bad in [[0.0, 1.0], [1.0, -2.0], [f64::NAN, 1.0], [1.0, f64::INFINITY]] {
            let message = latency_shares(bad).unwrap_err().to_string();
            assert!(message.contains(&format!("found {} and {}", bad[0], bad[1])), "{message}");
        }
    }

    #[test]
    fn cumulative_normal_is_close() {
        for i in -600..=600 {
            let z = f64::from(i) * 0.01;
            let (got, want) = (normal_cdf(z), plain_cdf(z));
            assert!((got - want).abs() < 1e-7, "Φ({z}) = {got}, expected {want}");
        }
        assert_eq!((normal_cdf(1e30), normal_cdf(-1e30)), (1.0, 0.0));
    }
}
