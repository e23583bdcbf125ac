//! Registers that count bits with AVX2 and with AVX-512.

use super::blocks::Counts;
use crate::ops::hamming::powers::Powers;
use crate::simd;
use std::arch::x86_64::*;

/// Sixteen keys at a time; bits are counted by halves of bytes.
#[derive(Clone, Copy)]
pub struct Avx2;

/// Thirty-two keys at a time, with AVX-512 BITALG.
#[derive(Clone, Copy)]
pub struct Bitalg;

// SAFETY: the caller of each method vouches for the instructions and for the pointers.
unsafe impl Counts for Avx2 {
    type F = simd::Avx2;
    type V = __m256i;
    /// Powers of 0 to 7 bits, and of 0, 8, 16, .. bits.
    type Table = [__m256; 2];
    type Mask = __m256;

    #[inline(always)]
    unsafe fn splat(x: u16) -> Self::V {
        // SAFETY: see the impl.
        unsafe { _mm256_set1_epi16(x as i16) }
    }
    #[inline(always)]
    unsafe fn count(query: Self::V, keys: *const u16) -> Self::V {
        // SAFETY: see the impl.
        unsafe {
            let four = _mm_setr_epi8(0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4);
            let (four, low, one) = (_mm256_broadcastsi128_si256(four), _mm256_set1_epi8(15), _mm256_set1_epi8(1));
            let differ = _mm256_xor_si256(query, _mm256_loadu_si256(keys.cast()));
            let even = _mm256_shuffle_epi8(four, _mm256_and_si256(differ, low));
            let odd = _mm256_shuffle_epi8(four, _mm256_and_si256(_mm256_srli_epi16::<4>(differ), low));
            _mm256_maddubs_epi16(_mm256_add_epi8(even, odd), one)
        }
    }
    #[inline(always)]
    unsafe fn min(a: Self::V, b: Self::V) -> Self::V {
        // SAFETY: see the impl.
        unsafe { _mm256_min_epu16(a, b) }
    }
    #[inline(always)]
    unsafe fn sub(a: Self::V, b: Self::V) -> Self::V {
        // SAFETY: see the impl.
        unsafe { _mm256_sub_epi16(a, b) }
    }
    #[inline(always)]
    unsafe fn store(p: *mut u16, v: Self::V) {
        // SAFETY: see the impl.
        unsafe { _mm256_storeu_si256(p.cast(), v) }
    }
    #[inline(always)]
    unsafe fn table(powers: &Powers) -> Self::Table {
        // SAFETY: arrays of eight values.
        unsafe { [_mm256_loadu_ps(powers.fine.as_ptr()), _mm256_loadu_ps(powers.coarse.as_ptr())] }
    }
    #[inline(always)]
    unsafe fn powers([fine, coarse]: Self::Table, bits: Self::V) -> [__m256; 2] {
        // Only the lowest three bits of a lane choose, so that what is above them need not be cleared.
        // SAFETY: see the impl.
        unsafe {
            let upper = _mm256_srli_epi32::<16>(bits);
            [
                _mm256_mul_ps(
                    _mm256_permutevar8x32_ps(fine, bits),
                    _mm256_permutevar8x32_ps(coarse, _mm256_srli_epi32::<3>(bits)),
                ),
                _mm256_mul_ps(
                    _mm256_permutevar8x32_ps(fine, upper),
                    _mm256_permutevar8x32_ps(coarse, _mm256_srli_epi32::<19>(bits)),
                ),
            ]
        }
    }
    #[inline(always)]
    unsafe fn first(lanes: usize) -> [Self::Mask; 2] {
        let mut mask = [0.0f32; 16];
        mask[..lanes].fill(f32::from_bits(u32::MAX));
        // SAFETY: an array of sixteen values.
        unsafe { [_mm256_loadu_ps(mask.as_ptr()), _mm256_loadu_ps(mask.as_ptr().add(8))] }
    }
    #[inline(always)]
    unsafe fn keep(mask: Self::Mask, v: __m256) -> __m256 {
        // SAFETY: see the impl.
        unsafe { _mm256_and_ps(v, mask) }
    }
}

// SAFETY: the caller of each method vouches for the instructions and for the pointers.
unsafe impl Counts for Bitalg {
    type F = simd::Avx512;
    type V = __m512i;
    /// Powers of 0 to 31 bits.
    type Table = [__m512; 2];
    type Mask = __mmask16;

    #[inline(always)]
    unsafe fn splat(x: u16) -> Self::V {
        // SAFETY: see the impl.
        unsafe { _mm512_set1_epi16(x as i16) }
    }
    #[inline(always)]
    unsafe fn count(query: Self::V, keys: *const u16) -> Self::V {
        // SAFETY: see the impl.
        unsafe { _mm512_popcnt_epi16(_mm512_xor_si512(query, _mm512_loadu_si512(keys.cast()))) }
    }
    #[inline(always)]
    unsafe fn min(a: Self::V, b: Self::V) -> Self::V {
        // SAFETY: see the impl.
        unsafe { _mm512_min_epu16(a, b) }
    }
    #[inline(always)]
    unsafe fn sub(a: Self::V, b: Self::V) -> Self::V {
        // SAFETY: see the impl.
        unsafe { _mm512_sub_epi16(a, b) }
    }
    #[inline(always)]
    unsafe fn store(p: *mut u16, v: Self::V) {
        // SAFETY: see the impl.
        unsafe { _mm512_storeu_si512(p.cast(), v) }
    }
    #[inline(always)]
    unsafe fn table(powers: &Powers) -> Self::Table {
        // SAFETY: an array of more than 32 values.
        unsafe { [_mm512_loadu_ps(powers.whole.as_ptr()), _mm512_loadu_ps(powers.whole.as_ptr().add(16))] }
    }
    #[inline(always)]
    unsafe fn powers([first, second]: Self::Table, bits: Self::V) -> [__m512; 2] {
        // Only the lowest five bits of a lane choose, so that what is above them need not be cleared.
        // SAFETY: see the impl.
        unsafe {
            let upper = _mm512_srli_epi32::<16>(bits);
            [_mm512_permutex2var_ps(first, bits, second), _mm512_permutex2var_ps(first, upper, second)]
        }
    }
    #[inline(always)]
    unsafe fn first(lanes: usize) -> [Self::Mask; 2] {
        let mask = u32::MAX >> (32 - lanes);
        [mask as u16, (mask >> 16) as u16]
    }
    #[inline(always)]
    unsafe fn keep(mask: Self::Mask, v: __m512) -> __m512 {
        // SAFETY: see the impl.
        unsafe { _mm512_maskz_mov_ps(mask, v) }
    }
}
