//! Linear layers over rows.

use super::{Epilogue, Matrix, MatrixMut, Ops, View, ViewMut};
use crate::linear::Linear;
use tensor::cuda::{Buffer, Result};

impl Ops {
    /// `y = x · W + b`, or `y += …` with `accumulate`, then `max(0, y)` with `relu`.
    ///
    /// # Shapes
    /// - `x`: `[rows, inputs]`
    /// - `y`: `[rows, outputs]`
    ///
    /// # Panics
    /// If the shapes disagree.
    ///
    /// # Errors
    /// If the device fails.
    pub fn linear<'a, 'b>(
        &self,
        layer: &Linear,
        params: &Buffer<f32>,
        x: impl Into<View<'a>>,
        y: impl Into<ViewMut<'b>>,
        accumulate: bool,
        relu: bool,
    ) -> Result<()> {
        let (x, y) = (x.into(), y.into());
        let rows = rows(layer, x.len(), y.len());
        let weight = Matrix::new(View::of(params, layer.weight), layer.inputs, layer.outputs);
        let how = Epilogue { alpha: 1.0, accumulate, bias: layer.bias.map(|b| View::of(params, b)), relu };
        self.product(Matrix::new(x, rows, layer.inputs), weight, MatrixMut::new(y, rows, layer.outputs), how)
    }

    /// Adds the parameters' gradients to `grads` and, if asked, the input's to `dx`.
    ///
    /// # Shapes
    /// - `x`, `dx`: `[rows, inputs]`; `dx` is overwritten, or added to where its flag is set
    /// - `dy`: `[rows, outputs]`
    ///
    /// # Panics
    /// If the shapes disagree.
    ///
    /// # Errors
    /// If the device fails.
    pub fn linear_backward<'a, 'b>(
        &self,
        layer: &Linear,
        params: &Buffer<f32>,
        x: impl Into<View<'a>>,
        dy: impl Into<View<'b>>,
        dx: Option<(ViewMut, bool)>,
        grads: &mut Buffer<f32>,
    ) -> Result<()> {
        let (x, dy) = (x.into(), dy.into());
        let rows = rows(layer, x.len(), dy.len());
        let (x, dy_rows) = (Matrix::new(x, rows, layer.inputs), Matrix::new(dy, rows, layer.outputs));
        let dw = MatrixMut::new(ViewMut::of(grads, layer.weight), layer.inputs, layer.outputs);
        self.product(x.t(), dy_rows, dw, Epilogue::add())?;
        if let Some(bias) = layer.bias {
            self.column_sums(dy, ViewMut::of(grads, bias))?;
        }
        if let Some((dx, accumulate)) = dx {
            let weight = Matrix::new(View::of(params, layer.weight), layer.inputs, layer.outputs);
            let how = Epilogue { accumulate, ..Epilogue::default() };
            self.product(dy_rows, weight.t(), MatrixMut::new(dx, rows, layer.inputs), how)?;
        }
        Ok(())
    }
}

/// Number of rows, after a check that input and output have as many.
fn rows(layer: &Linear, x: usize, y: usize) -> usize {
    let rows = x / layer.inputs;
    assert_eq!((rows * layer.inputs, rows * layer.outputs), (x, y), "rows of {} to {}", layer.inputs, layer.outputs);
    rows
}

#[cfg(test)]
#[path = "linear_tests.rs"]
mod tests;
