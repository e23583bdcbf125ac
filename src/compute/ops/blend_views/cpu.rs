//! One sample at a time, a register of channels at a time: its rows' logits stay in a few cache lines.

use super::Views;
use crate::ops::padded;
use crate::simd::Simd;

crate::simd_fn! {
    /// # Safety
    /// The width is a multiple of the lanes; mixed rows are there, weights for all of them, and room in `logits` for a
    /// register of each row of a sample.
    pub unsafe fn blend_views(isa: Isa, views: Views, hidden: &mut [f32], logits: &mut [f32], y: &mut [f32]) => kernel
}

/// # Safety
/// The instructions of `S` are available; the rest as [`blend_views`].
#[inline(always)]
unsafe fn kernel<S: Simd>(views: Views, hidden: &mut [f32], logits: &mut [f32], y: &mut [f32]) {
    let Views { weight, width: c, hidden: h, mixed_stride: stride, .. } = views;
    for (s, uniform) in views.uniform.iter().enumerate() {
        let (first, end) = (views.rows[s] as usize, views.rows[s + 1] as usize);
        let count = end - first;
        if count == 0 {
            y[s * c..][..c].fill(0.0);
            continue;
        }
        let query = &views.query[s * padded(h)..][..h];
        for (r, hidden) in hidden.chunks_exact_mut(h).take(count).enumerate() {
            let mixed = &views.mixed[(first + r) * stride + c..][..h];
            for j in 0..h {
                hidden[j] = (mixed[j] - query[j]).max(0.0);
            }
        }
        // SAFETY: `count` rows of `mixed`, `hidden` and `logits` exist; channels go in steps of `LANES` up to `c`.
        unsafe {
            let values = views.mixed.as_ptr().add(first * stride);
            let out = y.as_mut_ptr().add(s * c);
            for at in (0..c).step_by(S::LANES) {
                let value = |r: usize| S::load(values.add(r * stride + at));
                if *uniform || count == 1 {
                    let mut sum = value(0);
                    for r in 1..count {
                        sum = S::add(sum, value(r));
                    }
                    S::store(out.add(at), S::mul(sum, S::splat(1.0 / count as f32)));
                    continue;
                }
                let logit = logits.as_mut_ptr();
                let max = if h == 8 {
                    logits_of::<S, 8>(hidden.as_ptr(), count, weight.as_ptr().add(at), c, logit)
                } else {
                    logits_any::<S>(hidden.as_ptr(), count, h, weight.as_ptr().add(at), c, logit)
                };
                let (mut total, mut sum) = (S::splat(0.0), S::splat(0.0));
                for r in 0..count {
                    let power = S::exp(S::sub(S::load(logit.add(r * S::LANES)), max));
                    total = S::add(total, power);
                    sum = S::fma(power, value(r), sum);
                }
                let mut lanes = [0.0f32; 16];
                S::store(lanes.as_mut_ptr(), total);
                lanes[..S::LANES].iter_mut().for_each(|v| *v = 1.0 / *v);
                S::store(out.add(at), S::mul(sum, S::load(lanes.as_ptr())));
            }
        }
    }
}

/// Logits of one register of channels, with the weights held in registers; returns their maximum over rows.
///
/// # Safety
/// As [`kernel`].
#[inline(always)]
unsafe fn logits_of<S: Simd, const H: usize>(
    hidden: *const f32,
    count: usize,
    weight: *const f32,
    c: usize,
    logit: *mut f32,
) -> S::V {
    // SAFETY: the caller vouches for `count` rows and `H` rows of weights.
    unsafe {
        let mut w = [S::splat(0.0); H];
        for j in 0..H {
            w[j] = S::load(weight.add(j * c));
        }
        let mut max = S::splat(f32::MIN);
        for r in 0..count {
            let row = hidden.add(r * H);
            let mut even = S::mul(S::splat(*row), w[0]);
            let mut odd = S::mul(S::splat(*row.add(1)), w[1]);
            for j in (2..H).step_by(2) {
                even = S::fma(S::splat(*row.add(j)), w[j], even);
                odd = S::fma(S::splat(*row.add(j + 1)), w[j + 1], odd);
            }
            let sum = S::add(even, odd);
            S::store(logit.add(r * S::LANES), sum);
            max = S::max(max, sum);
        }
        max
    }
}

/// As [`logits_of`] for any hidden width.
///
/// # Safety
/// As [`kernel`].
#[inline(always)]
unsafe fn logits_any<S: Simd>(
    hidden: *const f32,
    count: usize,
    h: usize,
    weight: *const f32,
    c: usize,
    logit: *mut f32,
) -> S::V {
    // SAFETY: the caller vouches for `count` rows and `h` rows of weights.
    unsafe {
        let mut max = S::splat(f32::MIN);
        for r in 0..count {
            let mut sum = S::splat(0.0);
            for j in 0..h {
                sum = S::fma(S::splat(*hidden.add(r * h + j)), S::load(weight.add(j * c)), sum);
            }
            S::store(logit.add(r * S::LANES), sum);
            max = S::max(max, sum);
        }
        max
    }
}
