//! Sums over rows.

use super::{Epilogue, Ops, Slice, SliceMut};
use compute::cuda::{Args, Launch, Result};

/// Threads of a block of column sums; each keeps to one column.
pub(super) const COLUMNS: usize = 256;
/// Results of a block that adds matrices up, and the warps that share the matrices.
pub(super) const REDUCE_COLUMNS: usize = 32;
pub(super) const REDUCE_WARPS: usize = 16;

/// For the sum of matrices of so many values.
pub(super) fn reduce_launch(values: usize) -> Launch {
    Launch::new(values.div_ceil(REDUCE_COLUMNS), (REDUCE_COLUMNS * REDUCE_WARPS) as u32)
}

/// Fewest rows that are worth a block of their own.
const SHORTEST_PART: usize = 64;

impl Ops {
    /// `sums += Σ rows`, as the gradient of a bias.
    ///
    /// # Shapes
    /// - `x`: `[rows, sums.len()]`
    ///
    /// # Panics
    /// If `x` is not whole rows.
    ///
    /// # Errors
    /// If the device fails.
    pub fn column_sums<'a>(&self, x: impl Into<Slice<'a>>, sums: SliceMut) -> Result<()> {
        let (x, cols) = (x.into(), sums.len());
        if cols == 0 || x.is_empty() {
            return Ok(());
        }
        assert_eq!(x.len() % cols, 0, "{} values are not rows of {cols}", x.len());
        let rows = x.len() / cols;
        let parts = rows.div_ceil(SHORTEST_PART).min(self.wanted_blocks());
        let part = rows.div_ceil(parts);
        let parts = rows.div_ceil(part);
        let mut scratch = self.partial.lock().expect("no launch panics");
        let partial = scratch.resize(&self.device, parts * cols)?.slice().address();
        let args = Args::new().value(x.address()).int(rows).int(cols).int(part).value(partial);
        let launch = Launch::new(parts, COLUMNS as u32).grid(cols.div_ceil(COLUMNS), 1);
        // SAFETY: `x` has rows·cols values, and there is one row of partial sums for each of `parts` blocks.
        unsafe { self.reduce.launch("training_column_sums", &launch, args)? };
        self.reduce(partial, parts, 1, cols, sums, cols, Epilogue::add())
    }
}

#[cfg(test)]
#[path = "reduce_tests.rs"]
mod tests;
