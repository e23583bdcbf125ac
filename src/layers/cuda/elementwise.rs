//! Operations on single values and whole rows.

use super::{Ops, Slice, SliceMut, Store, warps};
use compute::cuda::{Args, Launch, Result};

impl Ops {
    /// Zeroes the gradient `dy` where the layer's output `y` was clipped.
    ///
    /// # Panics
    /// If the sizes differ.
    ///
    /// # Errors
    /// If the device fails.
    pub fn relu_backward<'a, 'b>(&self, y: impl Into<Slice<'a>>, dy: impl Into<SliceMut<'b>>) -> Result<()> {
        self.pairwise("training_relu_backward", y.into(), dy.into(), None)
    }

    /// `y = x`.
    ///
    /// # Panics
    /// If the sizes differ.
    ///
    /// # Errors
    /// If the device fails.
    pub fn copy<'a, 'b>(&self, x: impl Into<Slice<'a>>, y: impl Into<SliceMut<'b>>) -> Result<()> {
        self.pairwise("training_copy", x.into(), y.into(), None)
    }

    /// `y += alpha · x`.
    ///
    /// # Panics
    /// If the sizes differ.
    ///
    /// # Errors
    /// If the device fails.
    pub fn axpy<'a, 'b>(&self, alpha: f32, x: impl Into<Slice<'a>>, y: impl Into<SliceMut<'b>>) -> Result<()> {
        self.pairwise("training_axpy", x.into(), y.into(), Some(alpha))
    }

    /// `y *= alpha`.
    ///
    /// # Errors
    /// If the device fails.
    pub fn scale<'a>(&self, alpha: f32, y: impl Into<SliceMut<'a>>) -> Result<()> {
        self.single("training_scale", alpha, y.into())
    }

    /// `y = x · Φ(x)`, as [`crate::gelu::gelu`].
    ///
    /// # Panics
    /// If the sizes differ.
    ///
    /// # Errors
    /// If the device fails.
    pub fn gelu<'a, 'b>(&self, x: impl Into<Slice<'a>>, y: impl Into<SliceMut<'b>>) -> Result<()> {
        self.pairwise("training_gelu", x.into(), y.into(), None)
    }

    /// `y = max(y, 0)`.
    ///
    /// # Errors
    /// If the device fails.
    pub fn relu<'a>(&self, y: impl Into<SliceMut<'a>>) -> Result<()> {
        self.single("training_at_least", 0.0, y.into())
    }

    /// Sets every value of `y`.
    ///
    /// # Errors
    /// If the device fails.
    pub fn fill<'a>(&self, value: f32, y: impl Into<SliceMut<'a>>) -> Result<()> {
        self.single("training_fill", value, y.into())
    }

    /// `y[i] = x[order[i]]` for rows of `width`; `order` must hold numbers of rows of `x`.
    ///
    /// # Shapes
    /// - `x`: `[any, width]`, `y`: `[order.len(), width]`
    pub(crate) fn gather_rows(&self, x: Slice, order: &Store<i32>, width: usize, y: SliceMut) -> Result<()> {
        self.move_rows("training_gather_rows", x, order, width, y)
    }

    /// `y[order[i]] = x[i]` for rows of `width`; `order` must hold numbers of rows of `y`, each at most once.
    ///
    /// # Shapes
    /// - `x`: `[order.len(), width]`, `y`: `[any, width]`
    pub(crate) fn scatter_rows(&self, x: Slice, order: &Store<i32>, width: usize, y: SliceMut) -> Result<()> {
        self.move_rows("training_scatter_rows", x, order, width, y)
    }

    fn pairwise(&self, kernel: &str, x: Slice, y: SliceMut, alpha: Option<f32>) -> Result<()> {
        assert_eq!(x.len(), y.len(), "{kernel}: {} and {} values", x.len(), y.len());
        let args = Args::new().value(x.address()).value(y.address()).value(y.len() as u64);
        let args = if let Some(alpha) = alpha { args.float(alpha) } else { args };
        // SAFETY: both have as many values as is said; y is borrowed mutably and aliases nothing.
        unsafe { self.elementwise.launch(kernel, &fours(y.len()), args) }
    }

    fn single(&self, kernel: &str, alpha: f32, y: SliceMut) -> Result<()> {
        let args = Args::new().value(y.address()).value(y.len() as u64).float(alpha);
        // SAFETY: y has as many values as is said and is borrowed mutably.
        unsafe { self.elementwise.launch(kernel, &fours(y.len()), args) }
    }

    fn move_rows(&self, kernel: &str, x: Slice, order: &Store<i32>, width: usize, y: SliceMut) -> Result<()> {
        let rows = order.len() * width;
        assert!(x.len() >= rows && y.len() >= rows, "{kernel}: {} and {} values for {rows}", x.len(), y.len());
        if order.is_empty() {
            return Ok(());
        }
        let args = Args::new().value(x.address()).buffer(order.buffer()).int(order.len()).int(width).value(y.address());
        // SAFETY: both sides have at least one row an index (checked), which bounds the gathered side; that the indices
        // are rows of the other is the contract of the two callers; y is borrowed mutably.
        unsafe { self.elementwise.launch(kernel, &warps(order.len()), args) }
    }
}

/// One thread for four values.
fn fours(len: usize) -> Launch {
    Launch::each(len.div_ceil(4))
}

#[cfg(test)]
#[path = "elementwise_tests.rs"]
mod tests;
