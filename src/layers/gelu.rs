//! The exact GELU, `x · Φ(x)` with the normal distribution function (arXiv 1606.08415).

compute::simd_fn! {
    /// `y = x · Φ(x)`.
    pub fn gelu(isa: Isa, x: &[f32], y: &mut [f32]) {
        y.iter_mut().zip(x).for_each(|(y, x)| *y = *x * normal(*x).0);
    }
}

compute::simd_fn! {
    /// Turns the gradient of the output into that of the input `x`, in place.
    pub fn gelu_backward(isa: Isa, x: &[f32], d: &mut [f32]) {
        const FACTOR: f32 = 0.398_942_3; // 1 / sqrt(2 π)
        for (d, x) in d.iter_mut().zip(x) {
            let (below, power) = normal(*x);
            *d *= below + *x * FACTOR * power;
        }
    }
}

/// `Φ(x)` within 2e-7, and `exp(−x²/2)` (Abramowitz and Stegun, 7.1.26).
#[inline(always)]
fn normal(x: f32) -> (f32, f32) {
    let z = x.abs() * std::f32::consts::FRAC_1_SQRT_2;
    let power = compute::math::exp(-z * z);
    let t = 1.0 / (1.0 + 0.327_591_1 * z);
    let series = t * (0.254_829_6 + t * (-0.284_496_74 + t * (1.421_413_7 + t * (-1.453_152 + t * 1.061_405_4))));
    let tail = 0.5 * series * power;
    (if x < 0.0 { tail } else { 1.0 - tail }, power)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_and_slopes() {
        // From the definition, in double precision.
        let known =
            [(-3.0, -0.004_049_694), (-1.0, -0.158_655_25), (0.5, 0.345_731_23), (2.0, 1.954_499_7), (0.0, 0.0)];
        for (x, want) in known {
            let value = |x: f32| {
                let mut y = [0.0];
                gelu(compute::isa(), &[x], &mut y);
                y[0]
            };
            assert!((value(x) - want).abs() < 1e-6, "{x}: {} {want}", value(x));
            let mut d = [2.0];
            gelu_backward(compute::isa(), &[x], &mut d);
            let slope = 2.0 * (value(x + 0.01) - value(x - 0.01)) / 0.02;
            assert!((d[0] - slope).abs() < 1e-3, "{x}: {} {slope}", d[0]);
        }
        let mut y = [0.0; 2];
        gelu(compute::isa(), &[-40.0, 40.0], &mut y);
        assert!(y[0].abs() < 1e-30 && y[1] == 40.0);
    }
}
