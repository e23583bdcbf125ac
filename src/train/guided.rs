//! Samples as they lie after a coarse pass: few, around the depths that the coarse rays nearby found.
//!
//! Rendering casts a coarse grid of rays first and takes the samples of all others from what the four around each found.
//! In training the exact depths at such a grid's corners stand for that, blurred and moved as a coarse pass errs.

use gnt::encoding::nearness;
use layers::params::SplitMix;
use serde::{Deserialize, Serialize};
use std::ops::RangeInclusive;

/// Numbers of samples a ray that [`GuidedSteps`] takes.
pub const GUIDED_SAMPLES: RangeInclusive<usize> = 4..=256;

/// Part of the steps that [`GuidedSteps`] takes, unless it is told.
pub const GUIDED_SHARE: f32 = 0.5;

/// Steps whose samples are placed so.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct GuidedSteps {
    /// Samples a ray in these steps.
    pub samples: usize,
    /// Part of the steps, 0 to 1.
    pub share: f32,
}

impl GuidedSteps {
    /// Those of two options: none without a number of samples, and [`GUIDED_SHARE`] of the steps without a share.
    pub fn of_options(samples: Option<u16>, share: Option<f32>) -> Option<Self> {
        samples.map(|samples| Self { samples: samples.into(), share: share.unwrap_or(GUIDED_SHARE) })
    }

    /// Whether the step with this seed is one of them.
    pub fn takes(self, seed: u64) -> bool {
        SplitMix(seed ^ 0x8CB9_2BA7_2F3D_8DD7).uniform() < self.share
    }
}

/// Cells of inverse depth in which a coarse pass tells its weights.
const CELLS: usize = 48;

/// Appends `count` increasing depths: quantiles of a density over inverse depth that has a peak around each of the
/// `corners` (depths) and a floor everywhere. Widths, errors and the floor are drawn anew for each ray.
pub(crate) fn depths(corners: &[f32; 4], range: (f32, f32), count: usize, rng: &mut SplitMix, out: &mut Vec<f32>) {
    let mut density = [0.0f32; CELLS];
    // Half a cell to three cells: from a sharp surface to a hesitant network.
    let width = 0.5 + 2.5 * rng.uniform();
    let floor = 0.02 + 0.18 * rng.uniform();
    let shares: [f32; 4] = std::array::from_fn(|_| 0.3 + rng.uniform());
    let total: f32 = shares.iter().sum();
    for (corner, share) in corners.iter().zip(shares) {
        // A coarse ray errs by a part of its width, now and then by a lot.
        let reach = if rng.uniform() < 0.05 { 10.0 } else { 0.7 * width };
        let error = reach * (rng.uniform() + rng.uniform() - 1.0);
        // 0 at the far and 1 at the near bound.
        let center = nearness(*corner, range).clamp(0.0, 1.0) * (CELLS - 1) as f32 + error;
        let peaks: [f32; CELLS] = std::array::from_fn(|cell| (-0.5 * ((cell as f32 - center) / width).powi(2)).exp());
        let sum: f32 = peaks.iter().sum::<f32>().max(1e-6);
        density.iter_mut().zip(peaks).for_each(|(d, peak)| *d += share / total * peak / sum);
    }
    density.iter_mut().for_each(|d| *d += floor / CELLS as f32);
    let all: f32 = density.iter().sum();
    let (near, far) = (1.0 / range.0, 1.0 / range.1);
    let (mut cell, mut below) = (CELLS - 1, 0.0);
    // From near to far, as depths increase.
    for i in 0..count {
        let u = (i as f32 + rng.uniform()) / count as f32 * all;
        while cell > 0 && below + density[cell] < u {
            below += density[cell];
            cell -= 1;
        }
        let inside = ((u - below) / density[cell]).clamp(0.0, 1.0);
        let at = ((cell as f32 + 0.5 - inside) / (CELLS - 1) as f32).clamp(0.0, 1.0);
        out.push(1.0 / (far + (near - far) * at));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_increase_and_gather_around_the_corners() {
        let range = (1.2, 40.0);
        let mut rng = SplitMix(7);
        let mut close = 0;
        for _ in 0..200 {
            let mut z = Vec::new();
            depths(&[3.0, 3.1, 12.0, 12.5], range, 16, &mut rng, &mut z);
            assert_eq!(z.len(), 16);
            assert!(z.windows(2).all(|pair| pair[0] <= pair[1]), "{z:?}");
            assert!(z.iter().all(|z| *z >= range.0 * 0.999 && *z <= range.1 * 1.001), "{z:?}");
            let within = |z: f32, of: f32| (nearness(z, range) - nearness(of, range)).abs() < 6.0 / CELLS as f32;
            close += z.iter().filter(|z| within(**z, 3.0) || within(**z, 12.0)).count();
        }
        // Of 3200; evenly spread ones would have about half.
        assert!(close > 2300, "{close}");
    }

    #[test]
    fn depths_outside_the_range_and_few_samples_are_fine() {
        let mut rng = SplitMix(1);
        for corners in [[0.1; 4], [1e9; 4], [5.0, 0.2, 1e6, 5.0]] {
            let mut z = Vec::new();
            depths(&corners, (1.0, 10.0), 4, &mut rng, &mut z);
            assert!(z.iter().all(|z| (0.999..=10.01).contains(z)), "{z:?}");
        }
    }

    #[test]
    fn the_share_of_steps_is_kept() {
        let guided = GuidedSteps { samples: 16, share: 0.25 };
        let taken = (0..4000).filter(|seed| guided.takes(u64::wrapping_mul(*seed, 0x9E37_79B9_7F4A_7C15))).count();
        assert!((900..1100).contains(&taken), "{taken}");
        assert!(!GuidedSteps { share: 0.0, ..guided }.takes(3));
    }
}
