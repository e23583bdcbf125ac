//! The product of bytes on the processor's tile unit (AMX), which takes 16 rows of 64 bytes times 64 inputs of 16 outputs at
//! once. A panel's blocks lie as the unit wants them: each group of four inputs is one row of a tile.

use super::cpu::{Call, Decoded, Finish, blocks_of};
use super::lanes::{Dot, Vnni};
use super::pack::{Bytes, EIGHT};
use super::{Epilogue, PANEL, Sign};
use crate::simd::{Avx512, Simd};
use crate::tiles::TileRegisters;
use std::arch::asm;

/// Rows and columns of a tile of sums.
const SIDE: usize = 16;

/// Bytes of a row of a tile.
const WIDE: usize = 64;

/// Sums of 16 rows and two panels.
#[repr(C, align(64))]
struct Sums([i32; 2 * SIDE * SIDE]);

/// Tiles 0 and 1 hold sums of two panels, 2 to 4 the last inputs of a row and of the panels, 5 to 7 any 64 inputs before.
fn layout(tail: usize) -> [(usize, usize); 8] {
    let (sums, whole) = ((SIDE, WIDE), (SIDE, WIDE));
    // A tile that is not used has some size all the same.
    let tail = if tail == 0 { WIDE } else { tail };
    [sums, sums, (SIDE, tail), (tail / 4, WIDE), (tail / 4, WIDE), whole, whole, whole]
}

/// One panel or two, at all rows.
#[derive(Clone, Copy)]
struct Place<'a> {
    call: Call<'a>,
    /// Blocks of the first panel; those of the second follow.
    blocks: *const u8,
    /// First column.
    column: usize,
    /// Whole steps of 64 inputs, and inputs after them.
    steps: usize,
    tail: usize,
}

/// # Safety
/// The processor has tiles, and the rest as [`super::cpu::product8`].
#[inline(always)]
pub unsafe fn kernel(call: Call, decoded: &mut Decoded) {
    let octets = call.weight.inputs.div_ceil(EIGHT);
    let panels = call.weight.scale.len() / PANEL;
    let (steps, tail) = (octets * EIGHT / WIDE, octets * EIGHT % WIDE);
    // SAFETY: the caller vouches for the instructions; blocks are those of the panels.
    unsafe {
        let blocks = blocks_of(call.isa, call.weight, 0..panels * octets, decoded);
        let registers = TileRegisters::set_up(layout(tail));
        for panel in (0..panels).step_by(2) {
            let place =
                Place { call, blocks: blocks.as_ptr().add(panel * octets).cast(), column: panel * PANEL, steps, tail };
            if panels - panel > 1 {
                all_rows::<2>(place, octets * size_of::<Bytes>());
            } else {
                all_rows::<1>(place, octets * size_of::<Bytes>());
            }
        }
        drop(registers);
    }
}

/// # Safety
/// As [`kernel`]; tile registers are set up.
#[inline(always)]
unsafe fn all_rows<const NV: usize>(place: Place, to_next: usize) {
    let Place { call: Call { x, weight, y, y_stride, finish, .. }, blocks, column, steps, tail } = place;
    let mut sums = Sums([0; _]);
    // SAFETY: rows of `x` lie before its slack of a tile; blocks hold `steps` tiles and the tail of each panel; columns of
    // scale, bias and centre are padded to panels; the caller vouches for `y`.
    unsafe {
        let centre = weight.centre.as_ptr().add(column);
        let second = blocks.add(to_next);
        let scales: [_; NV] = std::array::from_fn(|v| Avx512::load(weight.scale.as_ptr().add(column + v * SIDE)));
        let biases: [_; NV] = std::array::from_fn(|v| Avx512::load(weight.bias.as_ptr().add(column + v * SIDE)));
        for first in (0..x.rows()).step_by(SIDE) {
            let from = x.data_with_slack().as_ptr().add(first * x.stride());
            if x.sign() == Sign::Signed {
                asm!("tileloadd tmm0, [{c} + {s}*1]", c = in(reg) centre, s = in(reg) 0usize, options(nostack, readonly));
                if NV == 2 {
                    asm!("tileloadd tmm1, [{c} + {s}*1 + 64]", c = in(reg) centre, s = in(reg) 0usize,
                        options(nostack, readonly));
                }
            } else {
                asm!("tilezero tmm0", "tilezero tmm1", options(nostack, nomem));
            }
            for step in 0..steps {
                asm!("tileloadd tmm5, [{x} + {s}*1]", "tileloadd tmm6, [{w} + {r}*1]", "tdpbusd tmm0, tmm5, tmm6",
                    x = in(reg) from.add(step * WIDE), s = in(reg) x.stride(), w = in(reg) blocks.add(step * SIDE * WIDE),
                    r = in(reg) WIDE, options(nostack, readonly));
                if NV == 2 {
                    asm!("tileloadd tmm7, [{w} + {r}*1]", "tdpbusd tmm1, tmm5, tmm7",
                        w = in(reg) second.add(step * SIDE * WIDE), r = in(reg) WIDE, options(nostack, readonly));
                }
            }
            if tail > 0 {
                asm!("tileloadd tmm2, [{x} + {s}*1]", "tileloadd tmm3, [{w} + {r}*1]", "tdpbusd tmm0, tmm2, tmm3",
                    x = in(reg) from.add(steps * WIDE), s = in(reg) x.stride(),
                    w = in(reg) blocks.add(steps * SIDE * WIDE), r = in(reg) WIDE, options(nostack, readonly));
                if NV == 2 {
                    asm!("tileloadd tmm4, [{w} + {r}*1]", "tdpbusd tmm1, tmm2, tmm4",
                        w = in(reg) second.add(steps * SIDE * WIDE), r = in(reg) WIDE, options(nostack, readonly));
                }
            }
            let to = sums.0.as_mut_ptr();
            asm!("tilestored [{y} + {s}*1], tmm0", y = in(reg) to, s = in(reg) 4 * SIDE, options(nostack));
            if NV == 2 {
                asm!("tilestored [{y} + {s}*1], tmm1", y = in(reg) to.add(SIDE * SIDE), s = in(reg) 4 * SIDE,
                    options(nostack));
            }
            let rows = SIDE.min(x.rows() - first);
            let sum = |r: usize, v: usize| Vnni::load(sums.0.as_ptr().add((v * SIDE + r) * SIDE));
            let out = |r: usize, v: usize| y.add((first + r) * y_stride + column + v * SIDE);
            let scaled = |r: usize, v: usize| {
                let scale = Avx512::mul(Avx512::splat(*x.scale().as_ptr().add(first + r)), scales[v]);
                // Not fused, so that every instruction set rounds alike.
                Avx512::add(Avx512::mul(Vnni::to_f32(sum(r, v)), scale), biases[v])
            };
            match finish {
                Finish::Sums => each::<NV>(rows, |r, v| Vnni::store(out(r, v).cast(), sum(r, v))),
                Finish::Scaled(Epilogue::Store) => each::<NV>(rows, |r, v| Avx512::store(out(r, v), scaled(r, v))),
                Finish::Scaled(Epilogue::Relu) => each::<NV>(rows, |r, v| {
                    Avx512::store(out(r, v), Avx512::max(scaled(r, v), Avx512::splat(0.0)));
                }),
                Finish::Scaled(Epilogue::Add) => each::<NV>(rows, |r, v| {
                    Avx512::store(out(r, v), Avx512::add(scaled(r, v), Avx512::load(out(r, v))));
                }),
                Finish::Routed(to, gates) => each::<NV>(rows, |r, v| {
                    let (to, gate) = (*to.get_unchecked(first + r), *gates.get_unchecked(first + r));
                    let out = y.add(to as usize * y_stride + column + v * SIDE);
                    let value = Avx512::mul(Avx512::splat(gate), scaled(r, v));
                    Avx512::store(out, Avx512::add(value, Avx512::load(out)));
                }),
            }
        }
    }
}

/// Every row of a tile, and every panel.
#[inline(always)]
fn each<const NV: usize>(rows: usize, f: impl Fn(usize, usize)) {
    for r in 0..rows {
        for v in 0..NV {
            f(r, v);
        }
    }
}
