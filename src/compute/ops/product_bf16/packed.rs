//! The product: both factors are packed into tiles, and blocks of 32 by 32 computed.

use super::Start;
use super::pack::{self, TILE};
use super::unit::{Block, Factor, From, Step, Tile, Unit};
use crate::{Isa, Mat, MatMut};
use std::cell::RefCell;

/// Depth of a product that is packed at a time: panels of the right factor of this depth stay in the second-level cache.
const DEPTH: usize = 2048;

/// Rows and columns of a block of the result, two tiles each.
const BLOCK: usize = 32;

/// Bytes of a tile, and of each of its rows.
const TILE_BYTES: usize = 2 * TILE;
const ROW_BYTES: usize = 64;

#[derive(Default)]
struct Scratch {
    left: Vec<Tile>,
    right: Vec<Tile>,
    steps: Vec<Step>,
    row: Vec<f32>,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

/// See [`super::Products::matmul`]; both factors have a stride of one in some direction.
pub(super) fn product(isa: Isa, alpha: f32, a: Mat, b: Mat, mut c: MatMut, start: Start) {
    if a.rows() == 0 || b.cols() == 0 {
        return;
    }
    assert!(isa.has_bf16(), "no products of bf16 with {isa}");
    SCRATCH.with_borrow_mut(|Scratch { left, right, steps, row: first_row }| {
        // SAFETY: just checked.
        let unit = unsafe { Unit::set_up(isa) };
        let (tile_columns, depth) = (b.cols().div_ceil(BLOCK) * 2, a.cols());
        if let Start::Row(row) = start {
            first_row.clear();
            first_row.extend_from_slice(row);
            first_row.resize(tile_columns * 16, 0.0);
        }
        let mut first = 0;
        loop {
            let count = (depth - first).min(DEPTH).div_ceil(32);
            let start = if first > 0 { Start::Own } else { start };
            steps.clear();
            steps.extend((0..count).map(|i| Step { left: TILE_BYTES * i, right: TILE_BYTES * i }));
            right.resize(tile_columns * count, Tile([0; TILE]));
            for (i, tile) in right.iter_mut().enumerate() {
                let (column, step) = (i / count * 16, i % count);
                if column < b.cols() {
                    // SAFETY: such a processor has these extensions; tiles are aligned.
                    unsafe { pack::right(&b, first + 32 * step, column, tile.0.as_mut_ptr()) };
                } else {
                    tile.0.fill(0);
                }
            }
            left.resize(2 * count, Tile([0; TILE]));
            for row in (0..a.rows()).step_by(BLOCK) {
                for (i, tile) in left.iter_mut().enumerate() {
                    let (row, step) = (row + i / count * 16, i % count);
                    if row < a.rows() {
                        // SAFETY: as above.
                        unsafe { pack::left(&a, row, first + 32 * step, alpha, tile.0.as_mut_ptr()) };
                    } else {
                        tile.0.fill(0);
                    }
                }
                for column in (0..b.cols()).step_by(BLOCK) {
                    let factors = [&left[..], &right[column / 16 * count..][..2 * count]];
                    let first_row = if let Start::Row(_) = start { &first_row[column..][..BLOCK] } else { &[] };
                    block(&unit, steps, factors, start, first_row, &mut c, (row, column));
                }
            }
            first += 32 * count;
            if first >= depth {
                break;
            }
        }
    });
}

/// Computes the block of `c` at `corner` from two tiles a step of each factor, one half after the other.
fn block(
    unit: &Unit,
    steps: &[Step],
    factors: [&[Tile]; 2],
    start: Start,
    first_row: &[f32],
    c: &mut MatMut,
    (row, column): (usize, usize),
) {
    let [left, right] = factors.map(|tiles| {
        assert_eq!(tiles.len(), 2 * steps.len(), "tiles of a factor");
        let (first, second) = tiles.split_at(steps.len());
        Factor([first.as_ptr().cast(), second.as_ptr().cast()], ROW_BYTES)
    });
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
    // SAFETY: a whole block lies at `at`, 32 values at `first_row` where it is used, and both factors hold their tiles.
    unsafe {
        let to = [at, at.add(16 * stride)];
        let from = match start {
            Start::Zero => From::Zero,
            Start::Own => From::Rows(to.map(<*mut f32>::cast_const), stride),
            Start::Row(_) => From::Rows([first_row.as_ptr(); 2], 0),
        };
        unit.block(Block { steps, left, right, from, to, to_stride: stride });
    }
    if !whole {
        for r in 0..rows {
            c.row_mut(row + r)[column..][..columns].copy_from_slice(&edge[r * BLOCK..][..columns]);
        }
    }
}
