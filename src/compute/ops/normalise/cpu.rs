//! As many rows together as a register has lanes: what is one number a row, a mean or a scale, is computed for all of them at
//! once.

use crate::simd::Simd;

crate::simd_fn! {
    /// # Safety
    /// `width` is a multiple of the lanes, gain and bias have as many values.
    pub unsafe fn normalise(
        isa: Isa, x: &[f32], width: usize, eps: f32, affine: Option<(&[f32], &[f32])>, y: &mut [f32],
    ) => kernel
}

/// # Safety
/// The instructions of `S` are available; the rest as [`normalise`].
#[inline(always)]
unsafe fn kernel<S: Simd>(x: &[f32], width: usize, eps: f32, affine: Option<(&[f32], &[f32])>, y: &mut [f32]) {
    // SAFETY: as the caller vouches.
    unsafe {
        match width {
            32 => of_width::<S, 32>(x, width, eps, affine, y),
            64 => of_width::<S, 64>(x, width, eps, affine, y),
            _ => of_width::<S, 0>(x, width, eps, affine, y),
        }
    }
}

/// Rows of `W` values, which the compiler unrolls, or of any number, where that is 0.
///
/// # Safety
/// As [`kernel`]; `W` is the width or 0.
#[inline(always)]
unsafe fn of_width<S: Simd, const W: usize>(
    x: &[f32],
    width: usize,
    eps: f32,
    affine: Option<(&[f32], &[f32])>,
    y: &mut [f32],
) {
    let width = if W > 0 { W } else { width };
    let (x, y, rows) = (x.as_ptr(), y.as_mut_ptr(), x.len() / width);
    for first in (0..rows).step_by(S::LANES) {
        let count = S::LANES.min(rows - first);
        // SAFETY: rows are below `rows`, and steps of `LANES` stay inside rows of `width` values.
        unsafe {
            // The last row stands for those that are not there.
            let row = |r: usize| (first + if r < count { r } else { count - 1 }) * width;
            let mut parts = [S::splat(0.0); 16];
            for r in 0..S::LANES {
                let from = x.add(row(r));
                let mut sum = S::splat(0.0);
                for i in (0..width).step_by(S::LANES) {
                    sum = S::add(sum, S::load(from.add(i)));
                }
                parts[r] = sum;
            }
            let mut means = [0.0; 16];
            S::store(means.as_mut_ptr(), S::sums(&parts));
            means[..S::LANES].iter_mut().for_each(|mean| *mean /= width as f32);
            for r in 0..S::LANES {
                let (from, mean) = (x.add(row(r)), S::splat(means[r]));
                let mut squares = S::splat(0.0);
                for i in (0..width).step_by(S::LANES) {
                    let d = S::sub(S::load(from.add(i)), mean);
                    squares = S::fma(d, d, squares);
                }
                parts[r] = squares;
            }
            let mut scales = [0.0f32; 16];
            S::store(scales.as_mut_ptr(), S::sums(&parts));
            scales[..S::LANES].iter_mut().for_each(|scale| *scale = 1.0 / (*scale / width as f32 + eps).sqrt());
            for r in 0..count {
                let (from, to) = (x.add(row(r)), y.add(row(r)));
                let (mean, scale) = (S::splat(means[r]), S::splat(scales[r]));
                for i in (0..width).step_by(S::LANES) {
                    let mut v = S::mul(S::sub(S::load(from.add(i)), mean), scale);
                    if let Some((gain, bias)) = affine {
                        v = S::fma(v, S::load(gain.as_ptr().add(i)), S::load(bias.as_ptr().add(i)));
                    }
                    S::store(to.add(i), v);
                }
            }
        }
    }
}
