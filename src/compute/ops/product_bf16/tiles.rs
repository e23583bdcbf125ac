//! A block of a product on the tile unit (AMX), whose registers are set up.

use super::unit::{Block, Factor, From, Step};
use std::arch::asm;

/// See [`super::unit::Unit::block`].
///
/// # Safety
/// Tile registers are set up; the rest as there.
pub(super) unsafe fn block(Block { steps, left, right, from, to, to_stride }: Block) {
    // SAFETY: as the caller vouches.
    unsafe {
        match from {
            From::Zero => zero_block(),
            From::Rows(pieces, stride) => load_block(pieces, stride),
        }
        accumulate(steps, left, right);
        store_block(to, to_stride);
    }
}

/// Sets tiles 0 to 3, which are two by two, to zero.
///
/// # Safety
/// Tile registers are set up.
unsafe fn zero_block() {
    // SAFETY: as the caller vouches.
    unsafe { asm!("tilezero tmm0", "tilezero tmm1", "tilezero tmm2", "tilezero tmm3", options(nostack, nomem)) };
}

/// Fills tiles 0 to 3 with two pieces of 16 rows of 32 values, rows `stride` values apart.
///
/// # Safety
/// Tile registers are set up; each piece can be read, as one row where the stride is 0.
unsafe fn load_block([upper, lower]: [*const f32; 2], stride: usize) {
    // SAFETY: as the caller vouches.
    unsafe {
        asm!(
            "tileloadd tmm0, [{a} + {s}*1]", "tileloadd tmm1, [{a} + {s}*1 + 64]",
            "tileloadd tmm2, [{b} + {s}*1]", "tileloadd tmm3, [{b} + {s}*1 + 64]",
            a = in(reg) upper, b = in(reg) lower, s = in(reg) 4 * stride, options(nostack, readonly)
        );
    }
}

/// Stores tiles 0 to 3 to two pieces of 16 rows of 32 values, the upper one last.
///
/// # Safety
/// As [`load_block`], for writing.
unsafe fn store_block([upper, lower]: [*mut f32; 2], stride: usize) {
    // SAFETY: as the caller vouches.
    unsafe {
        asm!(
            "tilestored [{b} + {s}*1], tmm2", "tilestored [{b} + {s}*1 + 64], tmm3",
            "tilestored [{a} + {s}*1], tmm0", "tilestored [{a} + {s}*1 + 64], tmm1",
            a = in(reg) upper, b = in(reg) lower, s = in(reg) 4 * stride, options(nostack)
        );
    }
}

/// Adds the products of two rows and two columns of tiles to tiles 0 to 3.
///
/// # Safety
/// Tile registers are set up; at each step's place from each start there is a tile.
unsafe fn accumulate(steps: &[Step], Factor(left, left_stride): Factor, Factor(right, right_stride): Factor) {
    if steps.is_empty() {
        return;
    }
    // SAFETY: as the caller vouches.
    unsafe {
        asm!(
            "2:",
            "mov {t}, [{o}]",
            "lea {u}, [{t} + {a}]",
            "tileloadd tmm4, [{u} + {s}*1]",
            "add {t}, {c}",
            "tileloadd tmm5, [{t} + {s}*1]",
            "mov {t}, [{o} + 8]",
            "lea {u}, [{t} + {b}]",
            "tileloadd tmm6, [{u} + {r}*1]",
            "add {t}, {d}",
            "tileloadd tmm7, [{t} + {r}*1]",
            "tdpbf16ps tmm0, tmm4, tmm6",
            "tdpbf16ps tmm1, tmm4, tmm7",
            "tdpbf16ps tmm2, tmm5, tmm6",
            "tdpbf16ps tmm3, tmm5, tmm7",
            "add {o}, 16",
            "cmp {o}, {e}",
            "jne 2b",
            o = inout(reg) steps.as_ptr() => _, e = in(reg) steps.as_ptr().add(steps.len()),
            a = in(reg) left[0], c = in(reg) left[1], b = in(reg) right[0], d = in(reg) right[1],
            s = in(reg) left_stride, r = in(reg) right_stride, t = out(reg) _, u = out(reg) _,
            options(nostack, readonly)
        );
    }
}
