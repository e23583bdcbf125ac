//! AVX2 and AVX-512 registers.

use super::Simd;
use std::arch::x86_64::*;

/// Eight lanes with AVX2 and FMA.
#[derive(Clone, Copy, Debug)]
pub struct Avx2;

/// Sixteen lanes with AVX-512 F.
#[derive(Clone, Copy, Debug)]
pub struct Avx512;

/// Sum of eight lanes, half by half: three dependent additions instead of eight.
///
/// # Safety
/// AVX is available.
#[inline(always)]
unsafe fn sum8(v: __m256) -> f32 {
    // SAFETY: the caller vouches for the instructions.
    unsafe {
        let four = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps::<1>(v));
        let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
        _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps::<1>(two, two)))
    }
}

/// Largest of eight lanes, half by half.
///
/// # Safety
/// AVX is available.
#[inline(always)]
unsafe fn largest8(v: __m256) -> f32 {
    // SAFETY: the caller vouches for the instructions.
    unsafe {
        let four = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps::<1>(v));
        let two = _mm_max_ps(four, _mm_movehl_ps(four, four));
        _mm_cvtss_f32(_mm_max_ss(two, _mm_shuffle_ps::<1>(two, two)))
    }
}

macro_rules! registers {
    ($name:ident, $lanes:literal, $v:ty, $splat:ident, $load:ident, $store:ident, $add:ident, $sub:ident, $mul:ident,
     $fma:ident, $max:ident, $to_int:ident, $add_int:ident, $set_int:ident, $shift:ident, $as_float:ident, $round:expr, $bytes:expr, $sum:expr, $largest:expr) => {
        // SAFETY: the caller of each method vouches for the instructions and for the pointers.
        unsafe impl Simd for $name {
            type V = $v;
            const LANES: usize = $lanes;

            #[inline(always)]
            unsafe fn splat(x: f32) -> Self::V {
                // SAFETY: see the impl.
                unsafe { $splat(x) }
            }
            #[inline(always)]
            unsafe fn load(p: *const f32) -> Self::V {
                // SAFETY: see the impl.
                unsafe { $load(p) }
            }
            #[inline(always)]
            unsafe fn store(p: *mut f32, v: Self::V) {
                // SAFETY: see the impl.
                unsafe { $store(p, v) }
            }
            #[inline(always)]
            unsafe fn add(a: Self::V, b: Self::V) -> Self::V {
                // SAFETY: see the impl.
                unsafe { $add(a, b) }
            }
            #[inline(always)]
            unsafe fn sub(a: Self::V, b: Self::V) -> Self::V {
                // SAFETY: see the impl.
                unsafe { $sub(a, b) }
            }
            #[inline(always)]
            unsafe fn mul(a: Self::V, b: Self::V) -> Self::V {
                // SAFETY: see the impl.
                unsafe { $mul(a, b) }
            }
            #[inline(always)]
            unsafe fn fma(a: Self::V, b: Self::V, c: Self::V) -> Self::V {
                // SAFETY: see the impl.
                unsafe { $fma(a, b, c) }
            }
            #[inline(always)]
            unsafe fn max(a: Self::V, b: Self::V) -> Self::V {
                // SAFETY: see the impl.
                unsafe { $max(a, b) }
            }
            #[inline(always)]
            unsafe fn load_bytes(p: *const i8) -> Self::V {
                // SAFETY: see the impl.
                unsafe { $bytes(p) }
            }
            #[inline(always)]
            unsafe fn scale_by_power(m: Self::V, n: Self::V) -> Self::V {
                // SAFETY: see the impl.
                unsafe {
                    let exponent = $add_int($to_int(n), $set_int(127));
                    $mul(m, $as_float($shift::<23>(exponent)))
                }
            }
            #[inline(always)]
            unsafe fn sum(v: Self::V) -> f32 {
                // SAFETY: see the impl.
                unsafe { $sum(v) }
            }
            #[inline(always)]
            unsafe fn largest(v: Self::V) -> f32 {
                // SAFETY: see the impl.
                unsafe { $largest(v) }
            }
            #[inline(always)]
            unsafe fn round(a: Self::V) -> Self::V {
                // SAFETY: see the impl.
                unsafe { $round(a) }
            }
        }
    };
}

registers!(
    Avx2,
    8,
    __m256,
    _mm256_set1_ps,
    _mm256_loadu_ps,
    _mm256_storeu_ps,
    _mm256_add_ps,
    _mm256_sub_ps,
    _mm256_mul_ps,
    _mm256_fmadd_ps,
    _mm256_max_ps,
    _mm256_cvtps_epi32,
    _mm256_add_epi32,
    _mm256_set1_epi32,
    _mm256_slli_epi32,
    _mm256_castsi256_ps,
    _mm256_round_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>,
    |p: *const i8| _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64(p.cast()))),
    sum8,
    largest8
);
registers!(
    Avx512,
    16,
    __m512,
    _mm512_set1_ps,
    _mm512_loadu_ps,
    _mm512_storeu_ps,
    _mm512_add_ps,
    _mm512_sub_ps,
    _mm512_mul_ps,
    _mm512_fmadd_ps,
    _mm512_max_ps,
    _mm512_cvtps_epi32,
    _mm512_add_epi32,
    _mm512_set1_epi32,
    _mm512_slli_epi32,
    _mm512_castsi512_ps,
    _mm512_roundscale_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>,
    |p: *const i8| _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128(p.cast()))),
    |v| sum8(_mm256_add_ps(_mm512_castps512_ps256(v), _mm512_extractf32x8_ps::<1>(v))),
    |v| largest8(_mm256_max_ps(_mm512_castps512_ps256(v), _mm512_extractf32x8_ps::<1>(v)))
);
