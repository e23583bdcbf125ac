//! Rows of bytes times a packed weight matrix of powers of two or of bytes, summed exactly in integers.
//!
//! A shift layer's weight `±2^e` is a byte, so that the processor's products of bytes *are* its shifts:
//! [`product8`] equals the literal shift-and-add of [`literal`] bit for bit, at the rate of an 8-bit dense layer or
//! above (columns whose exponents span at most six values need half as many widenings).

mod cpu;
pub(in crate::ops) mod lanes;
pub mod literal;
mod pack;
mod passes;
pub(in crate::ops) mod quantise;
#[cfg(test)]
mod tests;
mod tile;
#[cfg(target_arch = "x86_64")]
mod tiles;

use super::{PAD, padded};
use crate::Isa;
pub use crate::ops::product::Epilogue;
pub use pack::{NotPowers, Packed8};
pub(in crate::ops) use passes::Passes;
pub use quantise::{Rows8, Sign, quantise, quantise_rows};

/// Columns of a panel.
const PANEL: usize = PAD;

/// `y = x · W + b` for all rows of `x`: `y = Σ (q − zero) · w · (x.scale[row] · weight.scale[column]) + b`, where the
/// sum is exact and the rest is `f32`, rounded alike with every instruction set.
///
/// # Shapes
/// - `x`: `[rows, inputs]`
/// - `y`: `[rows, outputs]`, rows `y_stride` apart. Every column up to [`padded`]`(outputs)` is written, those past
///   `outputs` with 0 (or left as they are by [`Epilogue::Add`]), so the stride is at least that and the last row too
///   has room for it; columns past that are not touched
pub fn product8(isa: Isa, x: &Rows8, weight: &Packed8, y: &mut [f32], y_stride: usize, epilogue: Epilogue) {
    check(x, weight, y.len(), y_stride, x.rows());
    // SAFETY: just checked.
    unsafe { cpu::product8(isa, x, weight, y.as_mut_ptr(), y_stride, cpu::Finish::Scaled(epilogue)) }
}

/// As [`product8`], for rows that were picked out of others: `y[rows[r]] += gates[r] · (x[r] · W + b)`.
///
/// # Shapes
/// - `x`: `[rows, inputs]`, with as many `rows` and `gates`
/// - `y`: rows `y_stride` apart, with room for [`padded`]`(outputs)` columns in every row that is named
pub fn product8_routed(
    isa: Isa,
    x: &Rows8,
    weight: &Packed8,
    (rows, gates): (&[u32], &[f32]),
    y: &mut [f32],
    y_stride: usize,
) {
    assert!(rows.len() == x.rows() && gates.len() == x.rows(), "{} rows and {} gates", rows.len(), gates.len());
    let last = rows.iter().max().map_or(0, |last| *last as usize);
    check(x, weight, y.len().saturating_sub(last * y_stride), y_stride, x.rows().min(1));
    // SAFETY: just checked.
    unsafe { cpu::product8(isa, x, weight, y.as_mut_ptr(), y_stride, cpu::Finish::Routed(rows, gates)) }
}

/// The integer sums of [`product8`] before any scale: `y = Σ (q − zero) · w`, with the same shapes.
pub fn accumulate(isa: Isa, x: &Rows8, weight: &Packed8, y: &mut [i32], y_stride: usize) {
    check(x, weight, y.len(), y_stride, x.rows());
    // SAFETY: just checked; sums have the size of `f32`.
    unsafe { cpu::product8(isa, x, weight, y.as_mut_ptr().cast(), y_stride, cpu::Finish::Sums) }
}

/// That `len` values of `y` are `rows` rows, `stride` apart.
fn check(x: &Rows8, weight: &Packed8, len: usize, stride: usize, rows: usize) {
    assert_eq!(x.width(), weight.inputs, "width of x for {}x{}", weight.inputs, weight.outputs);
    let columns = padded(weight.outputs);
    assert!(x.rows() <= 1 || stride >= columns, "rows of y {stride} apart, {columns} columns written");
    assert!(rows == 0 || len >= (rows - 1) * stride + columns, "{len} values of y for {rows} rows");
}
