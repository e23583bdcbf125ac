//! One sample and one group of heads at a time: the softmax of the sample's few rows, then tiles of heads by registers of
//! columns.

use super::CodeViews;
use super::exchange::Exchange;
use crate::ops::hamming::logits::GROUP;
use crate::ops::padded;
#[cfg(target_arch = "x86_64")]
use crate::simd::{Avx2, Avx512};
use crate::simd::{Portable, Simd};

crate::simd_fn! {
    /// # Safety
    /// All rows of values are there; `weights` has room for the logits and a register more, `tail` for the rows of a sample,
    /// and `y` for heads of padded rows.
    pub unsafe fn blend(
        isa: Isa, views: CodeViews, logits: &[f32], weights: &mut [f32], tail: &mut [f32], y: &mut [f32],
    ) => {
        // SAFETY: here are the instructions of both; the caller vouches for the rest.
        avx512 => unsafe { kernel::<Avx512, Avx2>(views, logits, weights, tail, y) },
        // SAFETY: as above.
        avx2 => unsafe { kernel::<Avx2, Avx2>(views, logits, weights, tail, y) },
        // SAFETY: as above.
        portable => unsafe { kernel::<Portable, Portable>(views, logits, weights, tail, y) },
    }
}

/// `T` are registers of eight lanes, for columns that do not fill one of `S`.
///
/// # Safety
/// The instructions of `S` and `T` are available; the rest as [`blend`].
#[inline(always)]
unsafe fn kernel<S: Exchange, T: Simd>(
    views: CodeViews,
    logits: &[f32],
    weights: &mut [f32],
    tail: &mut [f32],
    y: &mut [f32],
) {
    let heads = views.heads;
    let (width, stride, apart) = (views.width, views.value_stride, padded(views.width));
    let all = *views.rows.last().unwrap_or(&0) as usize;
    let wide = width / S::LANES * S::LANES;
    let whole = width / T::LANES * T::LANES;
    // All weights first: the softmax of one sample waits for its own results most of the time, and others fill that time.
    for group in 0..heads.div_ceil(GROUP) {
        for (s, uniform) in views.uniform.iter().enumerate() {
            let (first, end) = (group * all + views.rows[s] as usize, group * all + views.rows[s + 1] as usize);
            let count = end - first;
            if *uniform || count == 1 {
                weights[first * GROUP..end * GROUP].fill(1.0 / count as f32);
            } else if count > 0 {
                // SAFETY: the caller vouches for the instructions; what is written past a sample's rows belongs to the next one,
                // which comes later, or to the room at the end.
                unsafe { softmax::<S>(&logits[first * GROUP..end * GROUP], weights.as_mut_ptr().add(first * GROUP)) };
            }
        }
    }
    for s in 0..views.uniform.len() {
        let (first, end) = (views.rows[s] as usize, views.rows[s + 1] as usize);
        let count = end - first;
        let y = &mut y[s * heads * apart..][..heads * apart];
        if count == 0 {
            y.fill(0.0);
            continue;
        }
        // Columns that do not fill a register, filled up with zeros: what follows a row need not be readable.
        if whole < width {
            for (r, row) in tail.chunks_exact_mut(T::LANES).take(count).enumerate() {
                let last = &views.values[(first + r) * stride..][whole..width];
                row[..last.len()].copy_from_slice(last);
                row[last.len()..].fill(0.0);
            }
        }
        let written = width.next_multiple_of(T::LANES);
        for (group, y) in y.chunks_mut(GROUP * apart).enumerate() {
            // SAFETY: the sample has `count` rows of `width` values, `stride` apart, and of weights; `tail` has as many rows of
            // a register, and whole registers do not exceed a row of `y`.
            unsafe {
                let (heads, weights) = (y.len() / apart, weights.as_ptr().add((group * all + first) * GROUP));
                let values = views.values.as_ptr().add(first * stride);
                let y = y.as_mut_ptr();
                of_heads::<S>(heads, (count, weights, values, stride, y, apart), wide);
                if wide < whole {
                    of_heads::<T>(heads, (count, weights, values.add(wide), stride, y.add(wide), apart), whole - wide);
                }
                if whole < width {
                    of_heads::<T>(heads, (count, weights, tail.as_ptr(), T::LANES, y.add(whole), apart), T::LANES);
                }
            }
            if written < apart {
                y.chunks_exact_mut(apart).for_each(|row| row[written..].fill(0.0));
            }
        }
    }
}

/// Softmax over rows of `[rows, GROUP]` logits, several rows a register.
///
/// # Safety
/// As [`kernel`]; `weights` has room for the logits, rounded up to the widest register.
#[inline(always)]
unsafe fn softmax<S: Exchange>(logits: &[f32], weights: *mut f32) {
    let (used, x) = (logits.len(), logits.as_ptr());
    // SAFETY: only logits are read, and weights as the caller says.
    unsafe {
        // What is past the end is no maximum, and its power is far below what a sum can hold.
        let least = S::splat(f32::MIN);
        let mut max = least;
        for i in (0..used).step_by(S::LANES) {
            max = S::max(max, S::load_first(x.add(i), S::LANES.min(used - i), least));
        }
        let max = S::fold(max, |a, b| S::max(a, b));
        let mut sum = S::splat(0.0);
        for i in (0..used).step_by(S::LANES) {
            let power = S::exp(S::sub(S::load_first(x.add(i), S::LANES.min(used - i), least), max));
            sum = S::add(sum, power);
            S::store(weights.add(i), power);
        }
        let scale = S::reciprocal(S::fold(sum, |a, b| S::add(a, b)));
        for i in (0..used).step_by(S::LANES) {
            S::store(weights.add(i), S::mul(S::load(weights.add(i)), scale));
        }
    }
}

/// Rows, their weights, values and the distance of those, and where the blends go and the distance of heads there.
type Args = (usize, *const f32, *const f32, usize, *mut f32, usize);

/// Blends `columns` columns for the heads of a group together, so that a value is loaded once for them.
///
/// Eight accumulators hide the latency of two FMA units; twelve, with the values and a weight, would need every register
/// of AVX2, and one then lives in memory, which costs more than it saves. AVX-512 has registers for sixteen.
///
/// # Safety
/// As [`kernel`].
#[inline(always)]
unsafe fn of_heads<S: Simd>(heads: usize, args: Args, columns: usize) {
    let (count, weights, values, stride, y, apart) = args;
    // SAFETY: the caller vouches for `heads` heads, and a group has no more than four.
    unsafe {
        match heads {
            1 => tiles::<S, 1, 8>(args, columns),
            2 => tiles::<S, 2, 4>(args, columns),
            3 => {
                tiles::<S, 2, 4>(args, columns);
                tiles::<S, 1, 8>((count, weights.add(2), values, stride, y.add(2 * apart), apart), columns);
            }
            _ if S::LANES == 16 => tiles::<S, 4, 4>(args, columns),
            _ => tiles::<S, 4, 2>(args, columns),
        }
    }
}

/// `H` heads, `N` registers of columns at a time as long as there are so many.
///
/// # Safety
/// As [`kernel`].
#[inline(always)]
unsafe fn tiles<S: Simd, const H: usize, const N: usize>(args: Args, columns: usize) {
    let (count, weights, values, stride, y, apart) = args;
    let mut at = 0;
    // SAFETY: each tile ends at `columns` or before.
    unsafe {
        let from = |at: usize| (count, weights, values.add(at), stride, y.add(at), apart);
        while at + N * S::LANES <= columns {
            tile::<S, H, N>(from(at));
            at += N * S::LANES;
        }
        if N > 4 && at + 4 * S::LANES <= columns {
            tile::<S, H, 4>(from(at));
            at += 4 * S::LANES;
        }
        if N > 2 && at + 2 * S::LANES <= columns {
            tile::<S, H, 2>(from(at));
            at += 2 * S::LANES;
        }
        if at < columns {
            tile::<S, H, 1>(from(at));
        }
    }
}

/// # Safety
/// As [`kernel`]; `H` heads and `N` registers of columns are there.
#[inline(always)]
unsafe fn tile<S: Simd, const H: usize, const N: usize>(args: Args) {
    let (count, weights, values, stride, y, apart) = args;
    // SAFETY: the caller vouches for the pointers.
    unsafe {
        let mut sum = [[S::splat(0.0); N]; H];
        for r in 0..count {
            let mut value = [S::splat(0.0); N];
            for n in 0..N {
                value[n] = S::load(values.add(r * stride + n * S::LANES));
            }
            for h in 0..H {
                let weight = S::splat(*weights.add(r * GROUP + h));
                for n in 0..N {
                    sum[h][n] = S::fma(weight, value[n], sum[h][n]);
                }
            }
        }
        for h in 0..H {
            for n in 0..N {
                S::store(y.add(h * apart + n * S::LANES), sum[h][n]);
            }
        }
    }
}
