//! The learning rate over the steps of a run.

use serde::{Deserialize, Serialize};

/// Linear warm-up, then a cosine down to a hundredth of the peak.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Schedule {
    /// Peak rate of the transformer.
    pub peak: f32,
    /// Factor on the rate for the feature network.
    pub feature_factor: f32,
    /// Steps of warm-up.
    pub warmup: u64,
    /// Step at which the rate reaches its floor.
    pub steps: u64,
}

impl Schedule {
    /// Factor on the peak rate at `step`, counted from 0.
    pub fn factor(&self, step: u64) -> f32 {
        if step < self.warmup {
            return (step + 1) as f32 / self.warmup as f32;
        }
        let span = self.steps.saturating_sub(self.warmup).max(1);
        falling((step - self.warmup) as f64 / span as f64)
    }

    /// The same where not the number of steps is given but the time: after `part` of it.
    pub fn factor_in_time(&self, step: u64, part: f64) -> f32 {
        if step < self.warmup { self.factor(step) } else { falling(part) }
    }
}

/// A cosine from 1 down to a hundredth.
fn falling(part: f64) -> f32 {
    (0.01 + 0.99 * 0.5 * (1.0 + (std::f64::consts::PI * part.clamp(0.0, 1.0)).cos())) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rises_then_falls() {
        let s = Schedule { peak: 1e-3, feature_factor: 1.0, warmup: 10, steps: 100 };
        assert!((s.factor(0) - 0.1).abs() < 1e-6 && (s.factor(9) - 1.0).abs() < 1e-6);
        assert!(s.factor(55) < 0.7 && s.factor(55) > 0.3);
        assert_eq!((s.factor_in_time(4, 0.9), s.factor_in_time(10, 0.0)), (0.5, 1.0));
        assert!((s.factor_in_time(40, 0.5) - 0.505).abs() < 1e-6 && (s.factor_in_time(40, 1.5) - 0.01).abs() < 1e-6);
        assert!((s.factor(100) - 0.01).abs() < 1e-6 && (s.factor(10_000) - 0.01).abs() < 1e-6);
    }
}
