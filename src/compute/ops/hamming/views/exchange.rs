//! Registers that hold several rows of a group of four heads.

#[cfg(target_arch = "x86_64")]
use crate::simd::{Avx2, Avx512};
use crate::simd::{Portable, Simd};
#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::*;

/// What a softmax over rows needs beyond [`Simd`].
///
/// # Safety
/// As [`Simd`].
pub unsafe trait Exchange: Simd {
    /// Combines the lanes that are four apart, so that each has the result of all of them.
    ///
    /// # Safety
    /// See the trait.
    unsafe fn fold(v: Self::V, combine: impl Fn(Self::V, Self::V) -> Self::V) -> Self::V;
    /// `1 / v`.
    ///
    /// # Safety
    /// See the trait.
    unsafe fn reciprocal(v: Self::V) -> Self::V;
}

// SAFETY: plain Rust.
unsafe impl Exchange for Portable {
    #[inline(always)]
    unsafe fn fold(v: Self::V, combine: impl Fn(Self::V, Self::V) -> Self::V) -> Self::V {
        combine(v, std::array::from_fn(|i| v[(i + 4) % 8]))
    }
    #[inline(always)]
    unsafe fn reciprocal(v: Self::V) -> Self::V {
        v.map(|v| 1.0 / v)
    }
}

// SAFETY: the caller of each method vouches for the instructions.
#[cfg(target_arch = "x86_64")]
unsafe impl Exchange for Avx2 {
    #[inline(always)]
    unsafe fn fold(v: Self::V, combine: impl Fn(Self::V, Self::V) -> Self::V) -> Self::V {
        // SAFETY: see the impl.
        combine(v, unsafe { _mm256_permute2f128_ps::<1>(v, v) })
    }
    #[inline(always)]
    unsafe fn reciprocal(v: Self::V) -> Self::V {
        // SAFETY: see the impl.
        unsafe { _mm256_div_ps(_mm256_set1_ps(1.0), v) }
    }
}

// SAFETY: as above.
#[cfg(target_arch = "x86_64")]
unsafe impl Exchange for Avx512 {
    #[inline(always)]
    unsafe fn fold(v: Self::V, combine: impl Fn(Self::V, Self::V) -> Self::V) -> Self::V {
        // Quarters 2, 3, 0, 1 and then 1, 0, 3, 2.
        // SAFETY: see the impl.
        let v = combine(v, unsafe { _mm512_shuffle_f32x4::<0b01_00_11_10>(v, v) });
        // SAFETY: see the impl.
        combine(v, unsafe { _mm512_shuffle_f32x4::<0b10_11_00_01>(v, v) })
    }
    #[inline(always)]
    unsafe fn reciprocal(v: Self::V) -> Self::V {
        // SAFETY: see the impl.
        unsafe { _mm512_div_ps(_mm512_set1_ps(1.0), v) }
    }
}
