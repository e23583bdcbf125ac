//! Linear layers over rows.

pub mod cuda;
pub mod engine;

use crate::{Init, Layout, Slot};
use compute::{Mat, MatMut, Products, Start};
use serde::{Deserialize, Serialize};

/// How the weights of a linear layer are held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LinearKind {
    /// Any number.
    #[default]
    Dense,
    /// `sign · 2^P`.
    Shift {
        /// 4: sign, three bits of exponent and a power of two a column; 5: exponents −14 to 0 (DeepShift-PS).
        bits: u8,
    },
}

impl LinearKind {
    /// Whether weights are signed powers of two.
    pub fn is_shift(self) -> bool {
        matches!(self, Self::Shift { .. })
    }
}

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
    /// How its products are computed in training.
    pub products: Products,
}

impl Linear {
    /// Registers `{name}.weight` and, with `bias`, `{name}.bias`.
    pub fn new(layout: &mut Layout, name: &str, inputs: usize, outputs: usize, bias: bool) -> Self {
        let init = Init::fan_in(inputs);
        let weight = layout.add(format!("{name}.weight"), &[inputs, outputs], init);
        let bias = bias.then(|| layout.add(format!("{name}.bias"), &[outputs], init));
        Self { weight, bias, inputs, outputs, products: Products::F32 }
    }

    /// `y = x · W + b`, or `y += …` with `accumulate`.
    ///
    /// # Shapes
    /// - `x`: `[rows, inputs]`
    /// - `y`: `[rows, outputs]`
    pub fn forward(&self, params: &[f32], x: &[f32], y: &mut [f32], accumulate: bool) {
        let isa = compute::isa();
        let rows = x.len() / self.inputs;
        let x = Mat::new(x, rows, self.inputs);
        let weight = Mat::new(self.weight.of(params), self.inputs, self.outputs);
        match self.bias {
            // The bias goes in first, so that the product can add to it in the same pass over `y`.
            Some(bias) => {
                let start = if accumulate {
                    fill_rows(isa, y, bias.of(params), true);
                    Start::Own
                } else {
                    Start::Row(bias.of(params))
                };
                self.products.matmul(1.0, x, weight, MatMut::new(y, rows, self.outputs), start);
            }
            None => self.products.matmul(1.0, x, weight, MatMut::new(y, rows, self.outputs), Start::add(accumulate)),
        }
    }

    /// Adds the parameters' gradients to `grads` and, if asked, the input's to `dx`.
    ///
    /// # Shapes
    /// - `x`, `dx`: `[rows, inputs]`; `dx` is overwritten, or added to where its flag is set
    /// - `dy`: `[rows, outputs]`
    pub fn backward(&self, params: &[f32], x: &[f32], dy: &[f32], dx: Option<(&mut [f32], bool)>, grads: &mut [f32]) {
        let isa = compute::isa();
        let rows = x.len() / self.inputs;
        let dy_rows = Mat::new(dy, rows, self.outputs);
        let dw = MatMut::new(self.weight.of_mut(grads), self.inputs, self.outputs);
        self.products.matmul(1.0, Mat::new(x, rows, self.inputs).t(), dy_rows, dw, Start::Own);
        if let Some(bias) = self.bias {
            add_column_sums(isa, dy, bias.of_mut(grads));
        }
        if let Some((dx, accumulate)) = dx {
            let weight = Mat::new(self.weight.of(params), self.inputs, self.outputs);
            let dx = MatMut::new(dx, rows, self.inputs);
            self.products.matmul(1.0, dy_rows, weight.t(), dx, Start::add(accumulate));
        }
    }
}

compute::simd_fn! {
    /// Sets every row of `y` to `row`, or adds `row` to it.
    pub fn fill_rows(isa: Isa, y: &mut [f32], row: &[f32], accumulate: bool) {
        for y in y.chunks_exact_mut(row.len()) {
            if accumulate {
                y.iter_mut().zip(row).for_each(|(y, r)| *y += *r);
            } else {
                y.copy_from_slice(row);
            }
        }
    }
}

compute::simd_fn! {
    /// `sums += Σ rows`.
    pub fn add_column_sums(isa: Isa, rows: &[f32], sums: &mut [f32]) {
        for row in rows.chunks_exact(sums.len()) {
            sums.iter_mut().zip(row).for_each(|(s, r)| *s += *r);
        }
    }
}

compute::simd_fn! {
    /// `x = max(x, 0)`.
    pub fn relu(isa: Isa, x: &mut [f32]) {
        x.iter_mut().for_each(|v| *v = v.max(0.0));
    }
}

compute::simd_fn! {
    /// Zeroes the gradient where the layer's output `y` was clipped.
    pub fn relu_backward(isa: Isa, y: &[f32], dy: &mut [f32]) {
        dy.iter_mut().zip(y).for_each(|(d, y)| *d = if *y > 0.0 { *d } else { 0.0 });
    }
}
