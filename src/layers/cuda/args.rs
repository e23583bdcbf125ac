//! Arguments and grids of the training kernels.

use super::{Slice, Store};
use compute::cuda::{Args, Launch, Plain};

/// Rows of a block whose warps each take one.
pub const WARPS: usize = 8;
/// Threads of a block whose threads each take an item and add something up.
pub const BLOCK: usize = 256;

/// A warp for each of `count` items.
pub fn warps(count: usize) -> Launch {
    Launch::new(count.div_ceil(WARPS).max(1), 32 * WARPS as u32)
}

/// Arguments from memory that is kept between steps and from sizes, which nearly all kernels have.
pub trait MoreArgs {
    /// A pointer to memory that is kept between steps.
    fn store<T: Plain>(self, store: &Store<T>) -> Self;
    /// A pointer to a part of a buffer.
    fn slice(self, slice: Slice) -> Self;
    /// Several `int`s.
    fn ints<const N: usize>(self, values: [usize; N]) -> Self;
}

impl MoreArgs for Args {
    fn store<T: Plain>(self, store: &Store<T>) -> Self {
        self.buffer(store.buffer())
    }

    fn slice(self, slice: Slice) -> Self {
        self.value(slice.address())
    }

    fn ints<const N: usize>(self, values: [usize; N]) -> Self {
        values.into_iter().fold(self, Self::int)
    }
}
