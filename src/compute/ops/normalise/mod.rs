//! Layer normalisation of rows. Gain and bias are folded into the weights that follow where those may be any number, and
//! applied here where they are powers of two.

mod cpu;

use crate::Isa;

/// `y = (x − mean) / sqrt(var + eps)` of each row, with the biased variance.
///
/// # Shapes
/// - `x`, `y`: `[rows, width]`; `width` is a multiple of 8
pub fn normalise(isa: Isa, x: &[f32], width: usize, eps: f32, y: &mut [f32]) {
    assert!(width.is_multiple_of(8) && x.len() == y.len() && x.len().is_multiple_of(width), "rows of {width} values");
    // SAFETY: the width is a multiple of the lanes.
    unsafe { cpu::normalise(isa.for_width(width), x, width, eps, None, y) };
}

/// As [`normalise`], then `y = y ∘ gain + bias`.
///
/// # Shapes
/// - `gain`, `bias`: `[width]`
pub fn normalise_affine(isa: Isa, x: &[f32], width: usize, eps: f32, (gain, bias): (&[f32], &[f32]), y: &mut [f32]) {
    assert!(width.is_multiple_of(8) && x.len() == y.len() && x.len().is_multiple_of(width), "rows of {width} values");
    assert!(gain.len() == width && bias.len() == width, "gain and bias of {width} channels");
    // SAFETY: the width is a multiple of the lanes, and gain and bias are as wide.
    unsafe { cpu::normalise(isa.for_width(width), x, width, eps, Some((gain, bias)), y) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_have_mean_0_and_variance_1() {
        for (width, rows) in [(8, 5), (16, 16), (24, 37), (32, 1), (32, 37), (48, 17), (64, 5), (64, 33), (512, 3)] {
            let x: Vec<f32> = (0..width * rows).map(|i| ((i * i * 7) % 31) as f32 * 0.3 - 2.0).collect();
            for isa in Isa::available() {
                let mut y = vec![0.0; x.len()];
                normalise(isa, &x, width, 1e-6, &mut y);
                let (gain, bias) = (vec![2.0; width], vec![0.5; width]);
                let mut affine = vec![0.0; x.len()];
                normalise_affine(isa, &x, width, 1e-6, (&gain, &bias), &mut affine);
                assert!(y.iter().zip(&affine).all(|(y, a)| (2.0 * y + 0.5 - a).abs() < 1e-6), "{isa:?} {width}");
                for (x, y) in x.chunks_exact(width).zip(y.chunks_exact(width)) {
                    let mean = x.iter().map(|v| f64::from(*v)).sum::<f64>() / width as f64;
                    let var = x.iter().map(|v| (f64::from(*v) - mean).powi(2)).sum::<f64>() / width as f64;
                    for (x, y) in x.iter().zip(y) {
                        let want = (f64::from(*x) - mean) / (var + 1e-6).sqrt();
                        assert!((f64::from(*y) - want).abs() < 2e-6, "{isa:?} {width}");
                    }
                }
            }
        }
    }
}
