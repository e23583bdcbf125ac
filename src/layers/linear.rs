//! Linear layers over rows.

use crate::{Init, Layout, Slot};
use tensor::{Mat, MatMut, matmul};

/// `y = x · W + b` with `W` stored `[inputs, outputs]`, the order in which products read it.
#[derive(Clone, Copy, Debug)]
pub struct Linear {
    /// `[inputs, outputs]`.
    pub weight: Slot,
    /// `[outputs]`.
    pub bias: Option<Slot>,
    /// Input channels.
    pub inputs: usize,
    /// Output channels.
    pub outputs: usize,
}

impl Linear {
    /// Registers `{name}.weight` and, with `bias`, `{name}.bias`.
    pub fn new(layout: &mut Layout, name: &str, inputs: usize, outputs: usize, bias: bool) -> Self {
        let init = Init::fan_in(inputs);
        let weight = layout.add(format!("{name}.weight"), &[inputs, outputs], init);
        let bias = bias.then(|| layout.add(format!("{name}.bias"), &[outputs], init));
        Self { weight, bias, inputs, outputs }
    }

    /// `y = x · W + b`, or `y += …` with `accumulate`.
    ///
    /// # Shapes
    /// - `x`: `[rows, inputs]`
    /// - `y`: `[rows, outputs]`
    pub fn forward(&self, params: &[f32], x: &[f32], y: &mut [f32], accumulate: bool) {
        let rows = x.len() / self.inputs;
        let weight = Mat::new(self.weight.of(params), self.inputs, self.outputs);
        match self.bias {
            // The bias goes in first, so that the product can add to it in the same pass over `y`.
            Some(bias) => {
                fill_rows(y, bias.of(params), accumulate);
                matmul(1.0, Mat::new(x, rows, self.inputs), weight, MatMut::new(y, rows, self.outputs), true);
            }
            None => matmul(1.0, Mat::new(x, rows, self.inputs), weight, MatMut::new(y, rows, self.outputs), accumulate),
        }
    }

    /// Adds the parameters' gradients to `grads` and, if asked, the input's to `dx`.
    ///
    /// # Shapes
    /// - `x`, `dx`: `[rows, inputs]`; `dx` is overwritten, or added to where its flag is set
    /// - `dy`: `[rows, outputs]`
    pub fn backward(&self, params: &[f32], x: &[f32], dy: &[f32], dx: Option<(&mut [f32], bool)>, grads: &mut [f32]) {
        let rows = x.len() / self.inputs;
        let dy_rows = Mat::new(dy, rows, self.outputs);
        let dw = MatMut::new(self.weight.of_mut(grads), self.inputs, self.outputs);
        matmul(1.0, Mat::new(x, rows, self.inputs).t(), dy_rows, dw, true);
        if let Some(bias) = self.bias {
            add_column_sums(dy, bias.of_mut(grads));
        }
        if let Some((dx, accumulate)) = dx {
            let weight = Mat::new(self.weight.of(params), self.inputs, self.outputs);
            matmul(1.0, dy_rows, weight.t(), MatMut::new(dx, rows, self.inputs), accumulate);
        }
    }
}

tensor::simd_fn! {
    /// Sets every row of `y` to `row`, or adds `row` to it.
    pub fn fill_rows(y: &mut [f32], row: &[f32], accumulate: bool) {
        for y in y.chunks_exact_mut(row.len()) {
            if accumulate {
                y.iter_mut().zip(row).for_each(|(y, r)| *y += *r);
            } else {
                y.copy_from_slice(row);
            }
        }
    }
}

tensor::simd_fn! {
    /// `sums += Σ rows`.
    pub fn add_column_sums(rows: &[f32], sums: &mut [f32]) {
        for row in rows.chunks_exact(sums.len()) {
            sums.iter_mut().zip(row).for_each(|(s, r)| *s += *r);
        }
    }
}

tensor::simd_fn! {
    /// `x = max(x, 0)`.
    pub fn relu(x: &mut [f32]) {
        x.iter_mut().for_each(|v| *v = v.max(0.0));
    }
}

tensor::simd_fn! {
    /// Zeroes the gradient where the layer's output `y` was clipped.
    pub fn relu_backward(y: &[f32], dy: &mut [f32]) {
        dy.iter_mut().zip(y).for_each(|(d, y)| *d = if *y > 0.0 { *d } else { 0.0 });
    }
}
