//! One row at a time, in registers.

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
    for (x, y) in x.chunks_exact(width).zip(y.chunks_exact_mut(width)) {
        // SAFETY: steps of `LANES` stay inside rows of `width` values.
        unsafe {
            let mut sum = S::splat(0.0);
            for i in (0..width).step_by(S::LANES) {
                sum = S::add(sum, S::load(x.as_ptr().add(i)));
            }
            let mean = S::splat(S::sum(sum) / width as f32);
            let mut squares = S::splat(0.0);
            for i in (0..width).step_by(S::LANES) {
                let d = S::sub(S::load(x.as_ptr().add(i)), mean);
                squares = S::fma(d, d, squares);
            }
            let scale = S::splat(1.0 / (S::sum(squares) / width as f32 + eps).sqrt());
            for i in (0..width).step_by(S::LANES) {
                let d = S::sub(S::load(x.as_ptr().add(i)), mean);
                let mut v = S::mul(d, scale);
                if let Some((gain, bias)) = affine {
                    v = S::fma(v, S::load(gain.as_ptr().add(i)), S::load(bias.as_ptr().add(i)));
                }
                S::store(y.as_mut_ptr().add(i), v);
            }
        }
    }
}
