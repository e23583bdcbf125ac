//! Training of linear layers on a CUDA device: products of matrices.

use super::Linear;
use crate::Slot;
use crate::cuda::{Epilogue, Matrix, MatrixMut, Ops, Slice, SliceMut};
use compute::cuda::{Buffer, Result};

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
        x: impl Into<Slice<'a>>,
        y: impl Into<SliceMut<'b>>,
        accumulate: bool,
        relu: bool,
    ) -> Result<()> {
        let (x, y) = (x.into(), y.into());
        let rows = rows(layer, x.len(), y.len());
        let weight = Matrix::new(Slice::of(params, layer.weight), layer.inputs, layer.outputs);
        let how = Epilogue { alpha: 1.0, accumulate, bias: layer.bias.map(|b| Slice::of(params, b)), relu };
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
        x: impl Into<Slice<'a>>,
        dy: impl Into<Slice<'b>>,
        dx: Option<(SliceMut, bool)>,
        grads: &mut Buffer<f32>,
    ) -> Result<()> {
        let (x, dy) = (x.into(), dy.into());
        let rows = rows(layer, x.len(), dy.len());
        let (x, dy_rows) = (Matrix::new(x, rows, layer.inputs), Matrix::new(dy, rows, layer.outputs));
        match layer.bias {
            // Layouts have a bias behind its weight, as one row more.
            Some(bias) if bias.offset == layer.weight.offset + layer.weight.len => {
                let both = Slot { len: layer.weight.len + bias.len, ..layer.weight };
                let dw = MatrixMut::new(SliceMut::of(grads, both), layer.inputs + 1, layer.outputs);
                self.product_and_sums(x.t(), dy_rows, dw, Epilogue::add())?;
            }
            bias => {
                let dw = MatrixMut::new(SliceMut::of(grads, layer.weight), layer.inputs, layer.outputs);
                self.product(x.t(), dy_rows, dw, Epilogue::add())?;
                if let Some(bias) = bias {
                    self.column_sums(dy, SliceMut::of(grads, bias))?;
                }
            }
        }
        if let Some((dx, accumulate)) = dx {
            let weight = Matrix::new(Slice::of(params, layer.weight), layer.inputs, layer.outputs);
            let how = Epilogue { accumulate, ..Epilogue::default() };
            self.product(dy_rows, weight.t(), MatrixMut::new(dx, rows, layer.inputs), how)?;
        }
        Ok(())
    }
}

/// Where weight and bias of a layer lie in the flat vector.
///
/// # Panics
/// If the layer has no bias.
pub fn weight_and_bias<'a>(layer: &Linear, params: &'a Buffer<f32>) -> (Slice<'a>, Slice<'a>) {
    let bias = layer.bias.expect("a layer with a bias");
    (Slice::of(params, layer.weight), Slice::of(params, bias))
}

/// Number of rows, after a check that input and output have as many.
fn rows(layer: &Linear, x: usize, y: usize) -> usize {
    let rows = x / layer.inputs;
    assert_eq!((rows * layer.inputs, rows * layer.outputs), (x, y), "rows of {} to {}", layer.inputs, layer.outputs);
    rows
}

#[cfg(test)]
#[path = "cuda_tests.rs"]
mod tests;
