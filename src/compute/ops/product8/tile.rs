//! Tiles of sums that stay in registers: some rows by some registers of columns.

use super::cpu::{Call, Finish};
use super::lanes::Dot;
use super::pack::Bytes;
use super::{PANEL, Sign};
use crate::simd::Simd;

/// What [`Finish`] says, as a constant for compiling a tile: sums are stored as they are; the four below likewise.
pub(super) const SUMS: u8 = 0;
/// Scaled, with the bias.
pub(super) const STORE: u8 = 1;
/// Negative values become zero.
pub(super) const RELU: u8 = 2;
/// Added to what is there.
pub(super) const ADD: u8 = 3;
/// Times a gate, added to the row that it belongs to.
pub(super) const ROUTED: u8 = 4;

/// All rows times some panels.
#[derive(Clone, Copy)]
pub(super) struct Chunk<'a> {
    /// Groups of eight inputs.
    pub octets: usize,
    /// The panels' weights.
    pub blocks: *const i8,
    pub panels: usize,
    /// First column.
    pub column: usize,
    pub call: Call<'a>,
}

/// # Safety
/// The instructions of `D` are available, `F` is what the call's [`Finish`] is, and the rest as [`super::cpu::product8`].
#[inline(always)]
pub(super) unsafe fn all_rows<D: Dot, const F: u8>(chunk: Chunk) {
    // Registers for sums are shared out between rows and columns, so that there are always enough sums under way to hide
    // the time that a product takes.
    // SAFETY: as the caller vouches.
    unsafe {
        let columns = chunk.panels * PANEL / D::F::LANES;
        let mut at = 0;
        while at < columns {
            let left = columns - at;
            at += match (D::REGISTERS, chunk.call.weight.small && D::PAIRS) {
                (4, false) if left >= 4 => rows_of::<D, 4, 4, false, F>(chunk, at),
                (4, true) if left >= 4 => rows_of::<D, 4, 4, true, F>(chunk, at),
                (4, false) if left >= 2 => rows_of::<D, 8, 2, false, F>(chunk, at),
                (4, true) if left >= 2 => rows_of::<D, 8, 2, true, F>(chunk, at),
                (4, false) => rows_of::<D, 8, 1, false, F>(chunk, at),
                (4, true) => rows_of::<D, 8, 1, true, F>(chunk, at),
                (_, false) => rows_of::<D, 4, 2, false, F>(chunk, at),
                // Two registers of weights for each half: a fourth row would spill into memory.
                (_, true) => rows_of::<D, 3, 2, true, F>(chunk, at),
            };
        }
    }
}

/// `NV` registers of columns from register `left` on, at all rows; returns `NV`.
///
/// # Safety
/// As [`all_rows`]; the registers are there.
#[inline(always)]
unsafe fn rows_of<D: Dot, const MR: usize, const NV: usize, const PAIR: bool, const F: u8>(
    chunk: Chunk,
    left: usize,
) -> usize {
    let rows = chunk.call.x.rows();
    let mut r = 0;
    // SAFETY: each call covers rows below `rows`.
    unsafe {
        while r + MR <= rows {
            tile::<D, MR, NV, PAIR, F>(chunk, r, left);
            r += MR;
        }
        if MR > 4 && rows - r >= 4 {
            tile::<D, 4, NV, PAIR, F>(chunk, r, left);
            r += 4;
        }
        while rows - r >= 2 {
            tile::<D, 2, NV, PAIR, F>(chunk, r, left);
            r += 2;
        }
        if r < rows {
            tile::<D, 1, NV, PAIR, F>(chunk, r, left);
        }
    }
    NV
}

/// # Safety
/// As [`all_rows`]; there are `MR` rows from `first` on, and `NV` registers of columns from register `left` on.
#[inline(always)]
unsafe fn tile<D: Dot, const MR: usize, const NV: usize, const PAIR: bool, const F: u8>(
    chunk: Chunk,
    first: usize,
    left: usize,
) {
    let Chunk { octets, blocks, call: Call { x, weight, y, y_stride, finish, .. }, .. } = chunk;
    let column = chunk.column + left * D::F::LANES;
    let (lanes, block, x_stride) = (D::F::LANES, size_of::<Bytes>(), x.stride());
    // SAFETY: the caller vouches for the rows and for the panels; scale, bias and correction are padded to panels.
    unsafe {
        let from = x.data().as_ptr().add(first * x_stride);
        let mut panels = [blocks; NV];
        let mut sum = [[D::zero(); NV]; MR];
        let signed = x.sign() == Sign::Signed;
        for v in 0..NV {
            let (panel, inside) = ((left + v) * lanes / PANEL, (left + v) * lanes % PANEL);
            panels[v] = blocks.add(panel * octets * block + 4 * inside);
            let centre = weight.centre.as_ptr().add(column + v * lanes);
            let start = if signed { D::load(centre) } else { D::zero() };
            for r in 0..MR {
                sum[r][v] = start;
            }
        }
        if PAIR {
            for octet in 0..octets {
                let mut w = [[D::weights(panels[0]); 2]; NV];
                for v in 0..NV {
                    let p = panels[v].add(octet * block);
                    w[v] = [D::weights(p), D::weights(p.add(4 * PANEL))];
                }
                for r in 0..MR {
                    let p = from.add(r * x_stride + 8 * octet);
                    let x = [D::four(p), D::four(p.add(4))];
                    for v in 0..NV {
                        sum[r][v] = D::pair(sum[r][v], x, w[v]);
                    }
                }
            }
        } else {
            // Groups of four inputs.
            for group in 0..2 * octets {
                let mut w = [D::weights(panels[0].add(4 * PANEL * group)); NV];
                for v in 1..NV {
                    w[v] = D::weights(panels[v].add(4 * PANEL * group));
                }
                for r in 0..MR {
                    let x = D::four(from.add(r * x_stride + 4 * group));
                    for v in 0..NV {
                        sum[r][v] = D::dot(sum[r][v], x, w[v]);
                    }
                }
            }
        }
        if F == SUMS {
            for r in 0..MR {
                for v in 0..NV {
                    D::store(y.add((first + r) * y_stride + column + v * lanes).cast(), sum[r][v]);
                }
            }
            return;
        }
        let (mut scale, mut bias) = ([D::F::splat(0.0); NV], [D::F::splat(0.0); NV]);
        for v in 0..NV {
            scale[v] = D::F::load(weight.scale.as_ptr().add(column + v * lanes));
            bias[v] = D::F::load(weight.bias.as_ptr().add(column + v * lanes));
        }
        let row_scale = x.scale().as_ptr().add(first);
        for r in 0..MR {
            let of_row = D::F::splat(*row_scale.add(r));
            let (to, gate) = match finish {
                Finish::Routed(rows, gates) if F == ROUTED => {
                    (*rows.get_unchecked(first + r) as usize, D::F::splat(*gates.get_unchecked(first + r)))
                }
                _ => (first + r, of_row),
            };
            let out = y.add(to * y_stride + column);
            for v in 0..NV {
                // Not fused, so that every instruction set rounds alike.
                let product = D::F::mul(D::to_f32(sum[r][v]), D::F::mul(of_row, scale[v]));
                let value = D::F::add(product, bias[v]);
                let out = out.add(v * lanes);
                let value = match F {
                    STORE => value,
                    RELU => D::F::max(value, D::F::splat(0.0)),
                    ADD => D::F::add(value, D::F::load(out)),
                    _ => D::F::add(D::F::mul(gate, value), D::F::load(out)),
                };
                D::F::store(out, value);
            }
        }
    }
}
