//! Activations as they are fused into the normalisation that precedes them.

/// An elementwise activation whose slope can be read from its output, so that nothing else is kept for training.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// `y = x`.
    Identity,
    /// `y = max(x, 0)`.
    Relu,
    /// `y = x` above zero, `exp(x) - 1` below (alpha 1).
    Elu,
}

impl Activation {
    /// Replaces every value by its activation.
    pub fn apply(self, values: &mut [f32]) {
        match self {
            Self::Identity => {}
            Self::Relu => values.iter_mut().for_each(|v| *v = if *v < 0.0 { 0.0 } else { *v }),
            Self::Elu => values.iter_mut().for_each(|v| *v = if *v < 0.0 { expm1_negative(*v) } else { *v }),
        }
    }

    /// Turns the gradient of the output into that of the input, in place; `output` is what [`Activation::apply`] left.
    pub fn backward(self, output: &[f32], gradient: &mut [f32]) {
        assert_eq!(output.len(), gradient.len(), "activation output and gradient differ in length");
        match self {
            Self::Identity => {}
            Self::Relu => gradient.iter_mut().zip(output).for_each(|(g, y)| *g = if *y > 0.0 { *g } else { 0.0 }),
            Self::Elu => gradient.iter_mut().zip(output).for_each(|(g, y)| *g *= if *y > 0.0 { 1.0 } else { *y + 1.0 }),
        }
    }
}

/// `exp(x) - 1` for `x <= 0`, within 2e-7 and without branches, so that the loops around it vectorise.
///
/// `x = n ln 2 + r` with `|r| <= ln 2 / 2`; then `exp(x) - 1 = 2^n (exp(r) - 1) + (2^n - 1)`, which keeps its relative
/// precision near zero because there `n = 0`.
#[inline(always)]
fn expm1_negative(x: f32) -> f32 {
    // Adding 1.5 * 2^23 rounds to an integer and leaves it in the low bits of the sum.
    const ROUND: f32 = 12_582_912.0;
    // Below -25 the result is -1 in f32; written so that NaN stays NaN.
    let x = if x < -25.0 { -25.0 } else { x };
    let shifted = x * std::f32::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    // ln 2 in two parts: n times the first is exact.
    let r = (x - n * 0.693_359_4) - n * -2.121_944_4e-4;
    let power = f32::from_bits((shifted.to_bits() << 23).wrapping_add(0x3F80_0000));
    let tail = 1.0 / 6.0 + r * (1.0 / 24.0 + r * (1.0 / 120.0 + r * (1.0 / 720.0)));
    let p = r + r * r * (0.5 + r * tail);
    power * p + (power - 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elu_matches_expm1() {
        let mut worst = 0.0f64;
        for i in 0..200_000 {
            let x = -30.0 * (i as f32 / 200_000.0).powi(3);
            let mut y = [x];
            Activation::Elu.apply(&mut y);
            worst = worst.max((f64::from(y[0]) - f64::from(x).exp_m1()).abs());
        }
        assert!(worst < 2e-7, "{worst}");
        let mut y = [-1e-6f32, -0.0, 3.5, f32::NEG_INFINITY, f32::INFINITY, f32::NAN];
        Activation::Elu.apply(&mut y);
        assert!((y[0] / -1e-6 - 1.0).abs() < 1e-5);
        assert_eq!(&y[1..5], &[0.0, 3.5, -1.0, f32::INFINITY]);
        assert!(y[5].is_nan());
    }

    #[test]
    fn slopes_come_from_outputs() {
        let x = [-3.0f32, -0.5, -0.01, 0.02, 1.5];
        for activation in [Activation::Identity, Activation::Relu, Activation::Elu] {
            let value = |v: f32| {
                let mut y = [v];
                activation.apply(&mut y);
                y[0]
            };
            for v in x {
                let mut g = [2.0];
                activation.backward(&[value(v)], &mut g);
                let expected = 2.0 * (value(v + 1e-3) - value(v - 1e-3)) / 2e-3;
                assert!((g[0] - expected).abs() < 2e-3, "{activation:?} at {v}: {} and {expected}", g[0]);
            }
        }
    }
}
