//! Registers of byte products behind one trait, so that the kernel is written once.

use super::pack::{Bytes, Codes, VALUES};
use crate::simd::{self, Simd};

#[cfg(target_arch = "x86_64")]
mod x86;
#[cfg(target_arch = "x86_64")]
pub(super) use x86::Vnni;
#[cfg(target_arch = "x86_64")]
pub(in crate::ops) use x86::{Avx2, Avx512, AvxVnni};

/// Registers with one 32-bit sum for each of `F::LANES` outputs, to which the products of four inputs are added at
/// once.
///
/// # Safety
/// Every method may only be called where the instructions of the implementing type are available; pointers must be
/// valid for a register.
pub(in crate::ops) unsafe trait Dot: Copy + 'static {
    /// The `f32` registers of the same width.
    type F: Simd;
    /// A sum for each output.
    type Sum: Copy;
    /// Four activations, the same for each output.
    type Four: Copy;
    /// Four weights for each output.
    type Weights: Copy;
    /// Whether [`Dot::pair`] does better than two calls of [`Dot::dot`].
    const PAIRS: bool;
    /// Registers of columns that a tile of several rows has room for.
    const REGISTERS: usize;
    /// # Safety
    /// See the trait.
    unsafe fn zero() -> Self::Sum;
    /// # Safety
    /// See the trait.
    unsafe fn load(p: *const i32) -> Self::Sum;
    /// # Safety
    /// See the trait.
    unsafe fn store(p: *mut i32, sum: Self::Sum);
    /// # Safety
    /// See the trait.
    unsafe fn to_f32(sum: Self::Sum) -> <Self::F as Simd>::V;
    /// # Safety
    /// See the trait; four bytes at `p`.
    unsafe fn four(p: *const u8) -> Self::Four;
    /// # Safety
    /// See the trait.
    unsafe fn weights(p: *const i8) -> Self::Weights;
    /// Adds four products to each sum; weights are at most 64 in magnitude.
    ///
    /// # Safety
    /// See the trait.
    unsafe fn dot(sum: Self::Sum, x: Self::Four, w: Self::Weights) -> Self::Sum;
    /// Adds eight products to each sum; weights are at most 32 in magnitude.
    ///
    /// # Safety
    /// See the trait.
    #[inline(always)]
    unsafe fn pair(sum: Self::Sum, x: [Self::Four; 2], w: [Self::Weights; 2]) -> Self::Sum {
        // SAFETY: the caller vouches for the instructions.
        unsafe { Self::dot(Self::dot(sum, x[0], w[0]), x[1], w[1]) }
    }
    /// Codes to integers.
    ///
    /// # Safety
    /// See the trait.
    unsafe fn decode(codes: &Codes, out: &mut Bytes);
}

/// Where byte `i` of [`Bytes`] goes, so that each input has eight outputs side by side.
#[inline(always)]
fn side_by_side(i: usize) -> usize {
    i / 32 * 32 + i % 4 * 8 + i % 32 / 4
}

/// Any processor. Sixteen bits are what multiplies well everywhere, eight outputs at once.
#[derive(Clone, Copy)]
pub(in crate::ops) struct Portable;

// SAFETY: plain Rust; the only condition is on the pointers, which the callers vouch for.
unsafe impl Dot for Portable {
    type F = simd::Portable;
    type Sum = [i32; 8];
    type Four = [i16; 4];
    type Weights = [[i16; 8]; 4];
    const PAIRS: bool = false;
    const REGISTERS: usize = 2;

    #[inline(always)]
    unsafe fn zero() -> Self::Sum {
        [0; 8]
    }
    #[inline(always)]
    unsafe fn load(p: *const i32) -> Self::Sum {
        // SAFETY: the caller vouches for the pointer.
        unsafe { p.cast::<[i32; 8]>().read_unaligned() }
    }
    #[inline(always)]
    unsafe fn store(p: *mut i32, sum: Self::Sum) {
        // SAFETY: the caller vouches for the pointer.
        unsafe { p.cast::<[i32; 8]>().write_unaligned(sum) }
    }
    #[inline(always)]
    unsafe fn to_f32(sum: Self::Sum) -> [f32; 8] {
        sum.map(|v| v as f32)
    }
    #[inline(always)]
    unsafe fn four(p: *const u8) -> Self::Four {
        // SAFETY: the caller vouches for the pointer.
        unsafe { p.cast::<[u8; 4]>().read() }.map(i16::from)
    }
    #[inline(always)]
    unsafe fn weights(p: *const i8) -> Self::Weights {
        // SAFETY: the caller vouches for the pointer.
        unsafe { p.cast::<[[i8; 8]; 4]>().read() }.map(|outputs| outputs.map(i16::from))
    }
    #[inline(always)]
    unsafe fn dot(mut sum: Self::Sum, x: Self::Four, w: Self::Weights) -> Self::Sum {
        for k in [0, 2] {
            for o in 0..8 {
                // At most 2 · 255 · 64.
                let two = x[k].wrapping_mul(w[k][o]).wrapping_add(x[k + 1].wrapping_mul(w[k + 1][o]));
                sum[o] += i32::from(two);
            }
        }
        sum
    }
    #[inline(always)]
    unsafe fn decode(codes: &Codes, out: &mut Bytes) {
        let (low, high) = out.0.split_at_mut(codes.0.len());
        for (i, code) in codes.0.iter().enumerate() {
            low[side_by_side(i)] = VALUES[usize::from(code & 15)];
            high[side_by_side(i)] = VALUES[usize::from(code >> 4)];
        }
    }
}

impl Portable {
    /// Integers to the layout that its kernel reads, in which each input has eight outputs side by side.
    pub(in crate::ops::product8) fn rearrange(bytes: &Bytes, out: &mut Bytes) {
        for (i, byte) in bytes.0.iter().enumerate() {
            out.0[side_by_side(i)] = *byte;
        }
    }
}
