//! Eight lanes in plain Rust, which the compiler maps to what the target has (SSE2, NEON).

use super::Simd;

/// Any processor.
#[derive(Clone, Copy, Debug)]
pub struct Portable;

#[inline(always)]
fn map2(a: [f32; 8], b: [f32; 8], f: impl Fn(f32, f32) -> f32) -> [f32; 8] {
    std::array::from_fn(|i| f(a[i], b[i]))
}

// SAFETY: plain Rust; the only condition is on the pointers, which the callers vouch for.
unsafe impl Simd for Portable {
    type V = [f32; 8];
    const LANES: usize = 8;

    #[inline(always)]
    unsafe fn splat(x: f32) -> Self::V {
        [x; 8]
    }
    #[inline(always)]
    unsafe fn load(p: *const f32) -> Self::V {
        // SAFETY: the caller vouches for eight values at `p`.
        unsafe { p.cast::<[f32; 8]>().read_unaligned() }
    }
    #[inline(always)]
    unsafe fn store(p: *mut f32, v: Self::V) {
        // SAFETY: the caller vouches for eight values at `p`.
        unsafe { p.cast::<[f32; 8]>().write_unaligned(v) }
    }
    #[inline(always)]
    unsafe fn add(a: Self::V, b: Self::V) -> Self::V {
        map2(a, b, |a, b| a + b)
    }
    #[inline(always)]
    unsafe fn sub(a: Self::V, b: Self::V) -> Self::V {
        map2(a, b, |a, b| a - b)
    }
    #[inline(always)]
    unsafe fn mul(a: Self::V, b: Self::V) -> Self::V {
        map2(a, b, |a, b| a * b)
    }
    #[inline(always)]
    unsafe fn fma(a: Self::V, b: Self::V, c: Self::V) -> Self::V {
        std::array::from_fn(|i| a[i] * b[i] + c[i])
    }
    #[inline(always)]
    unsafe fn max(a: Self::V, b: Self::V) -> Self::V {
        map2(a, b, |a, b| if a > b { a } else { b })
    }
    #[inline(always)]
    unsafe fn load_first(p: *const f32, n: usize, mut rest: Self::V) -> Self::V {
        for (i, lane) in rest.iter_mut().enumerate().take(n) {
            // SAFETY: the caller vouches for `n` values at `p`.
            *lane = unsafe { *p.add(i) };
        }
        rest
    }
    #[inline(always)]
    unsafe fn load_bytes(p: *const i8) -> Self::V {
        // SAFETY: the caller vouches for eight bytes at `p`.
        unsafe { p.cast::<[i8; 8]>().read_unaligned() }.map(f32::from)
    }
    #[inline(always)]
    unsafe fn scale_by_power(m: Self::V, n: Self::V) -> Self::V {
        map2(m, n, |m, n| m * f32::from_bits(((n as i32 + 127) << 23) as u32))
    }
    #[inline(always)]
    unsafe fn round(a: Self::V) -> Self::V {
        // Adding and subtracting 1.5·2^23 rounds to the nearest integer without a call.
        const ROUND: f32 = 12_582_912.0;
        map2(a, a, |a, _| (a + ROUND) - ROUND)
    }
}
