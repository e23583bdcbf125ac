//! Rows times a packed weight matrix, with bias, residual sum and ReLU in the same pass.

mod cpu;

use super::{PAD, padded};
use crate::Isa;

/// A weight matrix `[inputs, outputs]` in panels that a kernel reads straight through, and its bias.
///
/// Panels are 32 columns wide (the last may be 16), each stored row after row; missing columns are zero.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Packed {
    inputs: usize,
    outputs: usize,
    panels: Vec<f32>,
    bias: Vec<f32>,
}

/// Columns of a full panel.
const PANEL: usize = 2 * PAD;

impl Packed {
    /// Packs `weight` `[inputs, outputs]`, row-major; without a bias it is zero.
    pub fn new(weight: &[f32], bias: Option<&[f32]>, inputs: usize, outputs: usize) -> Self {
        assert_eq!(weight.len(), inputs * outputs, "weight of {inputs}x{outputs}");
        let mut packed = Self { bias: vec![0.0; padded(outputs)], ..Self::default() };
        if let Some(bias) = bias {
            packed.bias[..outputs].copy_from_slice(bias);
        }
        packed.panels = vec![0.0; inputs * padded(outputs)];
        packed.repack(weight, inputs, outputs, outputs);
        packed
    }

    /// Room for matrices of up to `inputs` rows and `outputs` columns, to be filled by [`Packed::repack`]; no bias.
    pub fn room(inputs: usize, outputs: usize) -> Self {
        Self { inputs: 0, outputs: 0, panels: vec![0.0; inputs * padded(outputs)], bias: vec![0.0; padded(outputs)] }
    }

    /// Replaces the matrix by `[inputs, outputs]` values whose rows start `stride` apart, keeping the memory.
    pub fn repack(&mut self, weight: &[f32], inputs: usize, outputs: usize, stride: usize) {
        self.reshape(inputs, outputs);
        for (column, width, panel) in panels_mut(&mut self.panels, inputs, outputs) {
            let used = width.min(outputs - column);
            for (row, out) in panel.chunks_exact_mut(width).enumerate() {
                out[..used].copy_from_slice(&weight[row * stride + column..][..used]);
                out[used..].fill(0.0);
            }
        }
    }

    /// As [`Packed::repack`] for a matrix given transposed, `[outputs, inputs]` with rows `stride` apart.
    pub fn repack_transposed(&mut self, weight: &[f32], inputs: usize, outputs: usize, stride: usize) {
        self.reshape(inputs, outputs);
        for (column, width, panel) in panels_mut(&mut self.panels, inputs, outputs) {
            let used = width.min(outputs - column);
            for o in 0..used {
                for (i, value) in weight[(column + o) * stride..][..inputs].iter().enumerate() {
                    panel[i * width + o] = *value;
                }
            }
            for i in 0..inputs {
                panel[i * width + used..(i + 1) * width].fill(0.0);
            }
        }
    }

    fn reshape(&mut self, inputs: usize, outputs: usize) {
        let (room, width) = (self.panels.len(), self.bias.len());
        assert!(inputs * padded(outputs) <= room && padded(outputs) <= width, "{inputs}x{outputs} in room of {room}");
        (self.inputs, self.outputs) = (inputs, outputs);
    }

    /// Rows of the matrix.
    pub fn inputs(&self) -> usize {
        self.inputs
    }

    /// Columns of the matrix.
    pub fn outputs(&self) -> usize {
        self.outputs
    }

    /// Bytes of weights and bias.
    pub fn bytes(&self) -> usize {
        4 * (self.panels.len() + self.bias.len())
    }
}

/// First column, width and memory of each panel.
fn panels_mut(panels: &mut [f32], inputs: usize, outputs: usize) -> impl Iterator<Item = (usize, usize, &mut [f32])> {
    let columns = padded(outputs);
    panels[..inputs * columns].chunks_mut(inputs.max(1) * PANEL).enumerate().map(move |(i, panel)| {
        let column = i * PANEL;
        (column, PANEL.min(columns - column), panel)
    })
}

/// What happens to the product.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Epilogue {
    /// `y = x · W + b`.
    Store,
    /// `y = max(x · W + b, 0)`.
    Relu,
    /// `y += x · W + b`.
    Add,
}

/// `y = x · W + b` for `rows` rows.
///
/// # Shapes
/// - `x`: `[rows, inputs]`, rows `x_stride` apart
/// - `y`: `[rows, outputs]`, rows `y_stride` apart; columns up to the padded width may be written as well, so the stride
///   is at least [`padded`]`(outputs)` unless `outputs` is a multiple of [`PAD`]
pub fn product(
    isa: Isa,
    rows: usize,
    x: &[f32],
    x_stride: usize,
    weight: &Packed,
    y: &mut [f32],
    y_stride: usize,
    epilogue: Epilogue,
) {
    if rows == 0 {
        return;
    }
    assert!(x.len() >= (rows - 1) * x_stride + weight.inputs, "{} values of x for {rows} rows", x.len());
    assert!(y.len() >= (rows - 1) * y_stride + padded(weight.outputs), "{} values of y for {rows} rows", y.len());
    // SAFETY: just checked; panels are as long as the matrix needs, for they are private.
    unsafe { cpu::product(isa, rows, x, x_stride, weight, y, y_stride, epilogue) };
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(n: usize, seed: u32) -> Vec<f32> {
        let mut state = seed;
        (0..n)
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 8) as f32 / (1 << 23) as f32 - 1.0
            })
            .collect()
    }

    #[test]
    fn equals_the_plain_product_with_every_set_and_odd_size() {
        for (rows, inputs, outputs) in
            [(1, 1, 1), (5, 3, 8), (6, 72, 72), (13, 31, 33), (29, 64, 192), (12, 9, 48), (7, 16, 40)]
        {
            let (x, w, b) = (noise(rows * (inputs + 2), 1), noise(inputs * outputs, 2), noise(outputs, 3));
            let packed = Packed::new(&w, Some(&b), inputs, outputs);
            let mut transposed = packed.clone();
            let flipped: Vec<f32> = (0..inputs * outputs).map(|i| w[i % inputs * outputs + i / inputs]).collect();
            transposed.repack_transposed(&flipped, inputs, outputs, inputs);
            assert_eq!(packed, transposed);
            let stride = padded(outputs) + 3;
            for isa in Isa::available() {
                for epilogue in [Epilogue::Store, Epilogue::Relu, Epilogue::Add] {
                    let before = noise(rows * stride, 4);
                    let mut y = before.clone();
                    product(isa, rows, &x, inputs + 2, &packed, &mut y, stride, epilogue);
                    for r in 0..rows {
                        for o in 0..outputs {
                            let sum: f64 = (0..inputs)
                                .map(|i| f64::from(x[r * (inputs + 2) + i]) * f64::from(w[i * outputs + o]))
                                .sum();
                            let mut want = sum + f64::from(b[o]);
                            match epilogue {
                                Epilogue::Store => {}
                                Epilogue::Relu => want = want.max(0.0),
                                Epilogue::Add => want += f64::from(before[r * stride + o]),
                            }
                            let got = f64::from(y[r * stride + o]);
                            assert!(
                                (got - want).abs() < 1e-5,
                                "{isa:?} {epilogue:?} {rows}x{inputs}x{outputs} at {r},{o}: {got} {want}"
                            );
                        }
                    }
                }
            }
        }
    }
}
