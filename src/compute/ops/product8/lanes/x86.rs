//! Registers of byte products on x86-64.

use super::Dot;
use crate::ops::product8::pack::{Bytes, Codes, VALUES};
use crate::simd::{self, Simd};
use std::arch::x86_64::*;

/// AVX2: `maddubs` and a sum of neighbours.
#[derive(Clone, Copy)]
pub struct Avx2;

/// AVX-VNNI: `vpdpbusd` of 256 bits.
#[derive(Clone, Copy)]
pub struct AvxVnni;

/// AVX-512 without its dot products of bytes.
#[derive(Clone, Copy)]
pub struct Avx512;

/// AVX-512 with `vpdpbusd`.
#[derive(Clone, Copy)]
pub struct Vnni;

macro_rules! registers {
    ($name:ident, $f:ty, $v:ty, $pairs:literal, $registers:literal,
     $zero:ident, $load:ident, $store:ident, $to_f32:ident, $splat:ident, $and:ident, $shift:ident, $splat_byte:ident,
     $splat_table:ident, $shuffle:ident,
     |$sum:ident, $x:ident, $w:ident| $dot:expr, |$sums:ident, $xs:ident, $ws:ident| $pair:expr) => {
        // SAFETY: the caller of each method vouches for the instructions and for the pointers.
        unsafe impl Dot for $name {
            type F = $f;
            type Sum = $v;
            type Four = $v;
            type Weights = $v;
            const PAIRS: bool = $pairs;
            const REGISTERS: usize = $registers;

            #[inline(always)]
            unsafe fn zero() -> Self::Sum {
                // SAFETY: see the impl.
                unsafe { $zero() }
            }
            #[inline(always)]
            unsafe fn load(p: *const i32) -> Self::Sum {
                // SAFETY: see the impl.
                unsafe { $load(p.cast()) }
            }
            #[inline(always)]
            unsafe fn store(p: *mut i32, sum: Self::Sum) {
                // SAFETY: see the impl.
                unsafe { $store(p.cast(), sum) }
            }
            #[inline(always)]
            unsafe fn to_f32(sum: Self::Sum) -> <Self::F as Simd>::V {
                // SAFETY: see the impl.
                unsafe { $to_f32(sum) }
            }
            #[inline(always)]
            unsafe fn four(p: *const u8) -> Self::Four {
                // SAFETY: see the impl.
                unsafe { $splat(p.cast::<i32>().read_unaligned()) }
            }
            #[inline(always)]
            unsafe fn weights(p: *const i8) -> Self::Weights {
                // SAFETY: see the impl.
                unsafe { $load(p.cast()) }
            }
            #[inline(always)]
            unsafe fn dot($sum: Self::Sum, $x: Self::Four, $w: Self::Weights) -> Self::Sum {
                // SAFETY: see the impl.
                unsafe { $dot }
            }
            #[inline(always)]
            unsafe fn pair($sums: Self::Sum, $xs: [Self::Four; 2], $ws: [Self::Weights; 2]) -> Self::Sum {
                // SAFETY: see the impl.
                unsafe { $pair }
            }
            #[inline(always)]
            unsafe fn decode(codes: &Codes, out: &mut Bytes) {
                // SAFETY: registers divide the 64 codes and each half of the 128 bytes evenly.
                unsafe {
                    let table = $splat_table(_mm_loadu_si128(VALUES.as_ptr().cast()));
                    let low = $splat_byte(15);
                    for at in (0..codes.0.len()).step_by(size_of::<$v>()) {
                        let both = $load(codes.0.as_ptr().add(at).cast());
                        let to = out.0.as_mut_ptr().add(at);
                        $store(to.cast(), $shuffle(table, $and(both, low)));
                        $store(to.add(codes.0.len()).cast(), $shuffle(table, $and($shift::<4>(both), low)));
                    }
                }
            }
        }
    };
}

macro_rules! registers256 {
    ($name:ident, $pairs:literal, $($products:tt)*) => {
        registers!(
            $name,
            simd::Avx2,
            __m256i,
            $pairs,
            2,
            _mm256_setzero_si256,
            _mm256_loadu_si256,
            _mm256_storeu_si256,
            _mm256_cvtepi32_ps,
            _mm256_set1_epi32,
            _mm256_and_si256,
            _mm256_srli_epi16,
            _mm256_set1_epi8,
            _mm256_broadcastsi128_si256,
            _mm256_shuffle_epi8,
            $($products)*
        );
    };
}

registers256!(
    Avx2,
    true,
    |sum, x, w| _mm256_add_epi32(sum, _mm256_madd_epi16(_mm256_maddubs_epi16(x, w), _mm256_set1_epi16(1))),
    |sum, x, w| {
        // Two results of at most 2 · 255 · 32 each fit 16 bits together, and one widening serves both.
        let both = _mm256_add_epi16(_mm256_maddubs_epi16(x[0], w[0]), _mm256_maddubs_epi16(x[1], w[1]));
        _mm256_add_epi32(sum, _mm256_madd_epi16(both, _mm256_set1_epi16(1)))
    }
);

macro_rules! registers512 {
    ($name:ident, $pairs:literal, $($products:tt)*) => {
        registers!(
            $name,
            simd::Avx512,
            __m512i,
            $pairs,
            4,
            _mm512_setzero_si512,
            _mm512_loadu_si512,
            _mm512_storeu_si512,
            _mm512_cvtepi32_ps,
            _mm512_set1_epi32,
            _mm512_and_si512,
            _mm512_srli_epi16,
            _mm512_set1_epi8,
            _mm512_broadcast_i32x4,
            _mm512_shuffle_epi8,
            $($products)*
        );
    };
}

registers512!(
    Avx512,
    true,
    |sum, x, w| _mm512_add_epi32(sum, _mm512_madd_epi16(_mm512_maddubs_epi16(x, w), _mm512_set1_epi16(1))),
    |sum, x, w| {
        // Two results of at most 2 · 255 · 32 each fit 16 bits together, and one widening serves both.
        let both = _mm512_add_epi16(_mm512_maddubs_epi16(x[0], w[0]), _mm512_maddubs_epi16(x[1], w[1]));
        _mm512_add_epi32(sum, _mm512_madd_epi16(both, _mm512_set1_epi16(1)))
    }
);

registers256!(AvxVnni, false, |sum, x, w| _mm256_dpbusd_avx_epi32(sum, x, w), |sum, x, w| _mm256_dpbusd_avx_epi32(
    _mm256_dpbusd_avx_epi32(sum, x[0], w[0]),
    x[1],
    w[1]
));

registers512!(Vnni, false, |sum, x, w| _mm512_dpbusd_epi32(sum, x, w), |sum, x, w| _mm512_dpbusd_epi32(
    _mm512_dpbusd_epi32(sum, x[0], w[0]),
    x[1],
    w[1]
));
