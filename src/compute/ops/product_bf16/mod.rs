//! Matrix products of training with factors rounded to bf16 and sums in f32, on the tile unit of the processor (AMX) or its
//! dot products of pairs of bf16 (AVX-512 BF16).
//!
//! The tile unit multiplies a tile of 16 rows by 32 columns of bf16 with one of 32 rows by 16 columns and adds to a tile of
//! 16 by 16 of f32; vectors do the same row by row. Both factors are converted and packed into tiles on the way, so callers
//! see [`Mat`]s of f32. [`product_bf16`] is the engine's, whose weights are packed once.

#[cfg(target_arch = "x86_64")]
pub(crate) mod pack;
#[cfg(target_arch = "x86_64")]
mod packed;
mod rows;
#[cfg(all(test, target_arch = "x86_64"))]
mod tests;
#[cfg(target_arch = "x86_64")]
mod tiles;
#[cfg(target_arch = "x86_64")]
pub(crate) mod unit;
#[cfg(target_arch = "x86_64")]
mod vectors;

use crate::{Isa, Mat, MatMut, matmul};
pub use rows::{PackedBf16, product_bf16};

/// How the matrix products of a training run are computed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Products {
    /// In f32 throughout.
    #[default]
    F32,
    /// Factors rounded to bf16 (8 significant bits), sums in f32; only where the processor has such products.
    Bf16,
}

/// What a product adds to.
#[derive(Clone, Copy, Debug)]
pub enum Start<'a> {
    /// Nothing: the result is overwritten.
    Zero,
    /// What the result holds.
    Own,
    /// This row, in every row of the result, which is overwritten.
    Row(&'a [f32]),
}

impl Start<'_> {
    /// What the result holds, or nothing.
    pub fn add(accumulate: bool) -> Self {
        if accumulate { Self::Own } else { Self::Zero }
    }
}

impl Products {
    /// bf16 where `isa` has it, else f32.
    pub fn fastest(isa: Isa) -> Self {
        if isa.has_bf16() { Self::Bf16 } else { Self::F32 }
    }

    /// Name for reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
        }
    }

    /// `c = start + alpha · a · b` on the calling thread.
    ///
    /// # Shapes
    /// - `a`: `[m, k]`, `b`: `[k, n]`, `c`: `[m, n]`; a row of `start` has `n` values
    ///
    /// # Panics
    /// If shapes disagree.
    pub fn matmul(self, alpha: f32, a: Mat, b: Mat, mut c: MatMut, start: Start) {
        assert_eq!((b.rows(), c.rows(), c.cols()), (a.cols(), a.rows(), b.cols()), "shapes of a product disagree");
        #[cfg(target_arch = "x86_64")]
        let isa = crate::isa();
        #[cfg(target_arch = "x86_64")]
        if self == Self::Bf16 && isa.has_bf16() && a.has_unit_stride() && b.has_unit_stride() {
            return packed::product(isa, alpha, a, b, c, start);
        }
        match start {
            Start::Zero => matmul(alpha, a, b, c, false),
            Start::Own => matmul(alpha, a, b, c, true),
            Start::Row(row) => {
                for r in 0..c.rows() {
                    c.row_mut(r).copy_from_slice(row);
                }
                matmul(alpha, a, b, c, true);
            }
        }
    }
}
