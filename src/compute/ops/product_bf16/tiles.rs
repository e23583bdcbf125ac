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
pub(crate) struct Tile(pub [u16; TILE]);

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
                    let row_start =
                        if let Start::Row(_) = start { scratch.row[column..].as_ptr() } else { std::ptr::null() };
                    block(&mut c, (row, column), start, row_start, || {
                        // SAFETY: both factors hold `2 · steps` tiles from here on.
                        unsafe { accumulate_packed(left.cast(), right.cast(), steps) }
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

/// Loads the block of `c` at `corner` into tiles 0 to 3, or what it starts from, runs `compute`, and stores it.
fn block(c: &mut MatMut, (row, column): (usize, usize), start: Start, first_row: *const f32, compute: impl Fn()) {
    let (rows, columns) = ((c.rows() - row).min(BLOCK), (c.cols() - column).min(BLOCK));
    let mut edge = [0.0f32; BLOCK * BLOCK];
    let whole = rows == BLOCK && columns == BLOCK;
    let (at, stride) = if whole {
        (c.row_mut(row)[column..].as_mut_ptr(), c.row_stride())
    } else {
        if let Start::Own = start {
            for r in 0..rows {
                edge[r * BLOCK..][..columns].copy_from_slice(&c.row_mut(row + r)[column..][..columns]);
            }
        }
        (edge.as_mut_ptr(), BLOCK)
    };
    // SAFETY: tile registers are set up; a whole block lies at `at`, and 32 values at `first_row` where it is used.
    unsafe {
        let pieces = [at, at.add(16 * stride)];
        match start {
            Start::Zero => zero_block(),
            Start::Own => load_block(pieces.map(<*mut f32>::cast_const), stride),
            Start::Row(_) => load_block([first_row; 2], 0),
        }
        compute();
        store_block(pieces, stride);
    }
    if !whole {
        for r in 0..rows {
            c.row_mut(row + r)[column..][..columns].copy_from_slice(&edge[r * BLOCK..][..columns]);
        }
    }
}

/// Sets tiles 0 to 3, which are two by two, to zero.
///
/// # Safety
/// Tile registers are set up.
pub(crate) unsafe fn zero_block() {
    // SAFETY: as the caller vouches.
    unsafe { asm!("tilezero tmm0", "tilezero tmm1", "tilezero tmm2", "tilezero tmm3", options(nostack, nomem)) };
}

/// Fills tiles 0 to 3 with two pieces of 16 rows of 32 values, rows `stride` values apart.
///
/// # Safety
/// Tile registers are set up; each piece can be read, as one row where the stride is 0.
pub(crate) unsafe fn load_block([upper, lower]: [*const f32; 2], stride: usize) {
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
pub(crate) unsafe fn store_block([upper, lower]: [*mut f32; 2], stride: usize) {
    // SAFETY: as the caller vouches.
    unsafe {
        asm!(
            "tilestored [{b} + {s}*1], tmm2", "tilestored [{b} + {s}*1 + 64], tmm3",
            "tilestored [{a} + {s}*1], tmm0", "tilestored [{a} + {s}*1 + 64], tmm1",
            a = in(reg) upper, b = in(reg) lower, s = in(reg) 4 * stride, options(nostack)
        );
    }
}

/// Where the tiles of one step of a product lie, in bytes from the start of each factor.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub(crate) struct Step {
    pub left: usize,
    pub right: usize,
}

/// Adds the products of two rows and two columns of tiles to tiles 0 to 3; strides between a tile's rows are in bytes.
///
/// # Safety
/// Tile registers are set up; at each step's place from each start there is a tile.
pub(crate) unsafe fn accumulate_at(
    steps: &[Step],
    left: [*const u8; 2],
    left_stride: usize,
    right: [*const u8; 2],
    right_stride: usize,
) {
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

/// As [`accumulate_at`] for packed factors, `steps` tiles each in two halves.
///
/// # Safety
/// Tile registers are set up; each factor holds twice `steps` tiles.
unsafe fn accumulate_packed(left: *const u8, right: *const u8, steps: usize) {
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
