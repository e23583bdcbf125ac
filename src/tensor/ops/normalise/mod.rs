//! Layer normalisation of rows, without gain and bias (those are folded into the weights that follow).

mod cpu;

use crate::Level;

/// `y = (x − mean) / sqrt(var + eps)` of each row, with the biased variance.
///
/// # Shapes
/// - `x`, `y`: `[rows, width]`; `width` is a multiple of 8
pub fn normalise(level: Level, x: &[f32], width: usize, eps: f32, y: &mut [f32]) {
    assert!(width.is_multiple_of(8) && x.len() == y.len() && x.len().is_multiple_of(width), "rows of {width} values");
    // Sixteen lanes would read past a row whose width is an odd multiple of 8.
    let level = if width.is_multiple_of(16) { level } else { level.min(Level::Avx2) };
    cpu::normalise(level, x, width, eps, y);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_have_mean_0_and_variance_1() {
        for width in [8, 24, 64] {
            let x: Vec<f32> = (0..width * 5).map(|i| ((i * i * 7) % 31) as f32 * 0.3 - 2.0).collect();
            for level in [Level::Portable, Level::Avx2, Level::Avx512] {
                let mut y = vec![0.0; x.len()];
                normalise(level, &x, width, 1e-6, &mut y);
                for (x, y) in x.chunks_exact(width).zip(y.chunks_exact(width)) {
                    let mean = x.iter().map(|v| f64::from(*v)).sum::<f64>() / width as f64;
                    let var = x.iter().map(|v| (f64::from(*v) - mean).powi(2)).sum::<f64>() / width as f64;
                    for (x, y) in x.iter().zip(y) {
                        let want = (f64::from(*x) - mean) / (var + 1e-6).sqrt();
                        assert!((f64::from(*y) - want).abs() < 2e-6, "{level:?} {width}");
                    }
                }
            }
        }
    }
}
