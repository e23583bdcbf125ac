//! The product on tiles: a thread's tile registers are set up, both factors packed, and blocks of 32 by 32 computed.

use super::Start;
use super::pack::{self, TILE};
use crate::{Mat, MatMut};
use std::arch::asm;
use std::cell::RefCell;

/// Depth of a product that is packed at a time: panels of the right factor of this depth stay in the second-level cache.
const DEPTH: usize = 2048;

/// Rows and columns of a block of the result, two tiles each.
const BLOCK: usize = 32;

#[repr(C, align(64))]
#[derive(Clone, Copy)]
struct Tile([u16; TILE]);

#[derive(Default)]
struct Scratch {
    left: Vec<Tile>,
    right: Vec<Tile>,
    row: Vec<f32>,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

/// The layout of the tile registers: all eight have 16 rows of 64 bytes (palette 1).
#[repr(C, align(64))]
struct TileConfig([u8; 64]);

static CONFIG: TileConfig = {
    let mut bytes = [0; 64];
    bytes[0] = 1;
    let mut i = 0;
    while i < 8 {
        bytes[16 + 2 * i] = 64;
        bytes[48 + i] = 16;
        i += 1;
    }
    TileConfig(bytes)
};

/// Asks the system for tile registers, which it hands out on request (Linux, `arch_prctl(ARCH_REQ_XCOMP_PERM)`).
pub(crate) fn request_tiles() -> bool {
    #[cfg(target_os = "linux")]
    {
        const ARCH_PRCTL: i64 = 158;
        const ARCH_REQ_XCOMP_PERM: i64 = 0x1023;
        const XFEATURE_XTILEDATA: i64 = 18;
        let mut answer = ARCH_PRCTL;
        // SAFETY: this call of the system changes nothing but the process's permission.
        unsafe {
            asm!("syscall", inout("rax") answer, in("rdi") ARCH_REQ_XCOMP_PERM, in("rsi") XFEATURE_XTILEDATA,
                out("rcx") _, out("r11") _);
        }
        answer == 0
    }
    #[cfg(not(target_os = "linux"))]
    false
}

/// Tile registers of the calling thread, set up while the value lives.
pub(crate) struct TileRegisters(());

impl TileRegisters {
    /// # Safety
    /// The processor has tiles and the system has granted them.
    pub(crate) unsafe fn set_up() -> Self {
        // SAFETY: as the caller vouches.
        unsafe { asm!("ldtilecfg [{}]", in(reg) &raw const CONFIG, options(nostack, readonly)) };
        Self(())
    }
}

impl Drop for TileRegisters {
    fn drop(&mut self) {
        // SAFETY: they were set up, so the instruction exists.
        unsafe { asm!("tilerelease", options(nostack, nomem)) };
    }
}

/// See [`super::Products::matmul`]; both factors have a stride of one in some direction.
pub(super) fn product(alpha: f32, a: Mat, b: Mat, mut c: MatMut, start: Start) {
    if a.rows() == 0 || b.cols() == 0 {
        return;
    }
    SCRATCH.with_borrow_mut(|scratch| {
        // SAFETY: `Products` comes here only where the processor has tiles.
        let registers = unsafe { TileRegisters::set_up() };
        let (tile_columns, depth) = (b.cols().div_ceil(BLOCK) * 2, a.cols());
        if let Start::Row(row) = start {
            scratch.row.clear();
            scratch.row.extend_from_slice(row);
            scratch.row.resize(tile_columns * 16, 0.0);
        }
        let mut first = 0;
        loop {
            let steps = (depth - first).min(DEPTH).div_ceil(32);
            let start = if first > 0 { Start::Own } else { start };
            scratch.right.resize(tile_columns * steps, Tile([0; TILE]));
            for (i, tile) in scratch.right.iter_mut().enumerate().take(tile_columns * steps) {
                let (column, step) = (i / steps * 16, i % steps);
                if column < b.cols() {
                    // SAFETY: such a processor has these extensions too; tiles are aligned.
                    unsafe { pack::right(&b, first + 32 * step, column, tile.0.as_mut_ptr()) };
                } else {
                    tile.0.fill(0);
                }
            }
            scratch.left.resize(2 * steps, Tile([0; TILE]));
            for row in (0..a.rows()).step_by(BLOCK) {
                for (i, tile) in scratch.left.iter_mut().enumerate().take(2 * steps) {
                    let (row, step) = (row + i / steps * 16, i % steps);
                    if row < a.rows() {
                        // SAFETY: as above.
                        unsafe { pack::left(&a, row, first + 32 * step, alpha, tile.0.as_mut_ptr()) };
                    } else {
                        tile.0.fill(0);
                    }
                }
                for column in (0..b.cols()).step_by(BLOCK) {
                    let left = scratch.left.as_ptr();
                    let right = scratch.right[column / 16 * steps..].as_ptr();
                    let row_start = if let Start::Row(_) = start { scratch.row[column..].as_ptr() } else { std::ptr::null() };
                    block(&mut c, (row, column), start, row_start, |accumulate| {
                        // SAFETY: both factors hold `2 · steps` tiles from here on.
                        unsafe { accumulate_packed(left.cast(), right.cast(), steps, accumulate) }
                    });
                }
            }
            first += 32 * steps;
            if first >= depth {
                break;
            }
        }
        drop(registers);
    });
}

/// Loads the block of `c` at `corner` into tiles 0 to 3, runs `compute`, and stores it.
fn block(c: &mut MatMut, (row, column): (usize, usize), start: Start, row_start: *const f32, compute: impl Fn(())) {
    let (rows, columns) = ((c.rows() - row).min(BLOCK), (c.cols() - column).min(BLOCK));
    let stride = c.row_stride();
    if rows == BLOCK && columns == BLOCK {
        let at = c.row_mut(row)[column..].as_mut_ptr();
        // SAFETY: a whole block lies inside the matrix.
        unsafe {
            start_block(start, at, stride, row_start);
            compute(());
            store_block(at, stride);
        }
        return;
    }
    let mut edge = [0.0f32; BLOCK * BLOCK];
    if let Start::Own = start {
        for r in 0..rows {
            edge[r * BLOCK..][..columns].copy_from_slice(&c.row_mut(row + r)[column..][..columns]);
        }
    }
    // SAFETY: the edge is a whole block.
    unsafe {
        start_block(start, edge.as_mut_ptr(), BLOCK, row_start);
        compute(());
        store_block(edge.as_mut_ptr(), BLOCK);
    }
    for r in 0..rows {
        c.row_mut(row + r)[column..][..columns].copy_from_slice(&edge[r * BLOCK..][..columns]);
    }
}

/// Fills tiles 0 to 3, which are two by two, with what the sums start from.
///
/// # Safety
/// Tile registers are set up; `at` is a block of rows `stride` apart, `row` 32 values where `start` is a row.
unsafe fn start_block(start: Start, at: *const f32, stride: usize, row: *const f32) {
    let (from, bytes, down) = match start {
        Start::Zero => {
            // SAFETY: tile registers are set up.
            unsafe { asm!("tilezero tmm0", "tilezero tmm1", "tilezero tmm2", "tilezero tmm3", options(nostack, nomem)) };
            return;
        }
        Start::Own => (at, 4 * stride, 16 * stride),
        Start::Row(_) => (row, 0, 0),
    };
    // SAFETY: as the caller vouches.
    unsafe {
        asm!(
            "tileloadd tmm0, [{a} + {s}*1]", "tileloadd tmm1, [{a} + {s}*1 + 64]",
            "tileloadd tmm2, [{b} + {s}*1]", "tileloadd tmm3, [{b} + {s}*1 + 64]",
            a = in(reg) from, b = in(reg) from.wrapping_add(down), s = in(reg) bytes, options(nostack, readonly)
        );
    }
}

/// Stores tiles 0 to 3.
///
/// # Safety
/// As [`start_block`].
unsafe fn store_block(at: *mut f32, stride: usize) {
    // SAFETY: as the caller vouches.
    unsafe {
        asm!(
            "tilestored [{a} + {s}*1], tmm0", "tilestored [{a} + {s}*1 + 64], tmm1",
            "tilestored [{b} + {s}*1], tmm2", "tilestored [{b} + {s}*1 + 64], tmm3",
            a = in(reg) at, b = in(reg) at.wrapping_add(16 * stride), s = in(reg) 4 * stride, options(nostack)
        );
    }
}

/// Adds the products of two rows and two columns of packed tiles, `steps` of each, to tiles 0 to 3.
///
/// # Safety
/// Tile registers are set up; each factor holds twice `steps` tiles, those of its second half after those of its first.
unsafe fn accumulate_packed(left: *const u8, right: *const u8, steps: usize, (): ()) {
    let half = steps * TILE * 2;
    // SAFETY: as the caller vouches.
    unsafe {
        asm!(
            "2:",
            "tileloadd tmm4, [{a} + {s}*1]",
            "tileloadd tmm6, [{b} + {s}*1]",
            "tileloadd tmm7, [{d} + {s}*1]",
            "tdpbf16ps tmm0, tmm4, tmm6",
            "tileloadd tmm5, [{c} + {s}*1]",
            "tdpbf16ps tmm1, tmm4, tmm7",
            "tdpbf16ps tmm2, tmm5, tmm6",
            "tdpbf16ps tmm3, tmm5, tmm7",
            "add {a}, 1024", "add {b}, 1024", "add {c}, 1024", "add {d}, 1024",
            "dec {n}",
            "jnz 2b",
            a = inout(reg) left => _, b = inout(reg) right => _,
            c = inout(reg) left.wrapping_add(half) => _, d = inout(reg) right.wrapping_add(half) => _,
            s = in(reg) 64usize, n = inout(reg) steps => _, options(nostack, readonly)
        );
    }
}
