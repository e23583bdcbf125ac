//! AVX2 and AVX-512 registers.

use super::Simd;
use std::arch::x86_64::*;

/// Eight lanes with AVX2 and FMA.
#[derive(Clone, Copy, Debug)]
pub struct Avx2;

/// Sixteen lanes with AVX-512 F.
#[derive(Clone, Copy, Debug)]
pub struct Avx512;

/// The first `n` of eight values.
///
/// # Safety
/// AVX2 is available, and there are `n` values.
#[inline(always)]
unsafe fn first8(p: *const f32, n: usize, rest: __m256) -> __m256 {
    // SAFETY: the caller vouches for the instructions; only lanes below `n` are read.
    unsafe {
        let lanes = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
        let lanes = _mm256_cmpgt_epi32(_mm256_set1_epi32(n as i32), lanes);
        _mm256_blendv_ps(rest, _mm256_maskload_ps(p, lanes), _mm256_castsi256_ps(lanes))
    }
}

/// The first `n` of sixteen values.
///
/// # Safety
/// AVX-512 is available, and there are `n` values.
#[inline(always)]
unsafe fn first16(p: *const f32, n: usize, rest: __m512) -> __m512 {
    // SAFETY: the caller vouches for the instructions; only lanes below `n` are read.
    unsafe { _mm512_mask_loadu_ps(rest, ((1u32 << n) - 1) as __mmask16, p) }
}

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

/// Combines the lanes of eight registers, those of register `i` into lane `i`: registers are folded into each other in pairs.
macro_rules! turn8 {
    ($v:expr, $combine:ident) => {{
        let v = $v;
        let mut two = [v[0]; 4];
        for i in 0..4 {
            let (a, b) = (v[2 * i], v[2 * i + 1]);
            two[i] = $combine(_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b));
        }
        let mut four = [v[0]; 2];
        for i in 0..2 {
            let (a, b) = (_mm256_castps_pd(two[2 * i]), _mm256_castps_pd(two[2 * i + 1]));
            let (low, high) = (_mm256_unpacklo_pd(a, b), _mm256_unpackhi_pd(a, b));
            four[i] = $combine(_mm256_castpd_ps(low), _mm256_castpd_ps(high));
        }
        $combine(_mm256_permute2f128_ps::<0x20>(four[0], four[1]), _mm256_permute2f128_ps::<0x31>(four[0], four[1]))
    }};
}

/// As [`turn8`], sixteen registers.
macro_rules! turn16 {
    ($v:expr, $combine:ident) => {{
        let v = $v;
        let mut two = [v[0]; 8];
        for i in 0..8 {
            let (a, b) = (v[2 * i], v[2 * i + 1]);
            two[i] = $combine(_mm512_unpacklo_ps(a, b), _mm512_unpackhi_ps(a, b));
        }
        let mut four = [v[0]; 4];
        for i in 0..4 {
            let (a, b) = (_mm512_castps_pd(two[2 * i]), _mm512_castps_pd(two[2 * i + 1]));
            let (low, high) = (_mm512_unpacklo_pd(a, b), _mm512_unpackhi_pd(a, b));
            four[i] = $combine(_mm512_castpd_ps(low), _mm512_castpd_ps(high));
        }
        let mut eight = [v[0]; 2];
        for i in 0..2 {
            let (a, b) = (four[2 * i], four[2 * i + 1]);
            eight[i] = $combine(_mm512_shuffle_f32x4::<0x88>(a, b), _mm512_shuffle_f32x4::<0xdd>(a, b));
        }
        let [a, b] = eight;
        $combine(_mm512_shuffle_f32x4::<0x88>(a, b), _mm512_shuffle_f32x4::<0xdd>(a, b))
    }};
}
pub(crate) use {turn8, turn16};

/// Sums of eight registers.
///
/// # Safety
/// AVX2 is available.
#[inline(always)]
unsafe fn sums8(v: &[__m256; 16]) -> __m256 {
    // SAFETY: the caller vouches for the instructions.
    unsafe { turn8!(v, _mm256_add_ps) }
}

/// Sums of sixteen registers. Not a closure: those are not always compiled into their caller, and then lack its instructions.
///
/// # Safety
/// AVX-512 is available.
#[inline(always)]
unsafe fn sums16(v: &[__m512; 16]) -> __m512 {
    // SAFETY: the caller vouches for the instructions.
    unsafe { turn16!(v, _mm512_add_ps) }
}

macro_rules! registers {
    ($name:ident, $lanes:literal, $v:ty, $splat:ident, $load:ident, $store:ident, $add:ident, $sub:ident, $mul:ident,
     $fma:ident, $max:ident, $to_int:ident, $add_int:ident, $set_int:ident, $shift:ident, $as_float:ident, $round:expr, $first:ident, $bytes:expr, $sum:expr, $largest:expr, $sums:expr) => {
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
            unsafe fn load_first(p: *const f32, n: usize, rest: Self::V) -> Self::V {
                // SAFETY: see the impl.
                unsafe { $first(p, n, rest) }
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
            unsafe fn sums(v: &[Self::V; 16]) -> Self::V {
                // SAFETY: see the impl.
                unsafe { $sums(v) }
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
    first8,
    |p: *const i8| _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64(p.cast()))),
    sum8,
    largest8,
    sums8
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
    first16,
    |p: *const i8| _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128(p.cast()))),
    |v| sum8(_mm256_add_ps(_mm512_castps512_ps256(v), _mm512_extractf32x8_ps::<1>(v))),
    |v| largest8(_mm256_max_ps(_mm512_castps512_ps256(v), _mm512_extractf32x8_ps::<1>(v))),
    sums16
);
