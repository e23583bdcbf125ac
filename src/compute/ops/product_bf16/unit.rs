//! What multiplies tiles of bf16: the tile unit of the processor, or its vectors.

use super::pack::TILE;
use super::{tiles, vectors};
use crate::Isa;
use crate::tiles::{ALL_WHOLE, TileRegisters};

/// A packed tile of a factor, see [`super::pack`].
#[repr(C, align(64))]
#[derive(Clone, Copy)]
pub(crate) struct Tile(pub [u16; TILE]);

/// Where the tiles of one step of a product lie, in bytes from the start of each factor.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub(crate) struct Step {
    pub left: usize,
    pub right: usize,
}

/// What a block of a product adds to.
#[derive(Clone, Copy, Debug)]
pub(crate) enum From {
    /// Nothing.
    Zero,
    /// Two pieces of 16 rows of 32 values, rows as many values apart; with 0 each is one row for all.
    Rows([*const f32; 2], usize),
}

/// Two tiles side by side at every step of a product: where the first step's begin, and how far apart in bytes the rows of
/// a tile are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Factor(pub [*const u8; 2], pub usize);

/// A block of a product, 32 by 32 values: what it adds to, plus the product of both factors.
#[derive(Clone, Copy)]
pub(crate) struct Block<'a> {
    pub steps: &'a [Step],
    pub left: Factor,
    pub right: Factor,
    pub from: From,
    /// Two pieces of 16 rows, which are written the upper one last.
    pub to: [*mut f32; 2],
    /// Values from one row of them to the next.
    pub to_stride: usize,
}

/// The unit of the calling thread.
pub(crate) enum Unit {
    /// Its tile registers, set up while the value lives.
    Tiles { _registers: TileRegisters },
    /// Dot products of pairs.
    Vectors,
}

impl Unit {
    /// Tiles where `isa` has them, else vectors.
    ///
    /// # Safety
    /// `isa` has one of both ([`Isa::has_bf16`]).
    pub unsafe fn set_up(isa: Isa) -> Self {
        if isa.has_amx() {
            // SAFETY: an `Isa` has only what was detected and granted.
            Self::Tiles { _registers: unsafe { TileRegisters::set_up(ALL_WHOLE) } }
        } else {
            Self::Vectors
        }
    }

    /// Computes a block.
    ///
    /// # Safety
    /// Each factor has its tiles at each step's place; what the block adds to can be read, and where it goes be written.
    #[inline]
    pub unsafe fn block(&self, block: Block) {
        // SAFETY: as the caller vouches, and a unit exists only where the processor has it.
        unsafe {
            match self {
                Self::Tiles { .. } => tiles::block(block),
                Self::Vectors => vectors::block(block),
            }
        }
    }
}
