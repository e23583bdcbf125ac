//! The shift layers by the letter: activations shifted by the exponents, added or subtracted. The reference.

use super::pack::{Blocks, EIGHT};
use super::{PANEL, Packed8, Rows8};

crate::simd_fn! {
    /// `Σ ±((q − zero) << e)` for every row and output, from 4-bit codes and without a multiplication.
    ///
    /// # Shapes
    /// - `x`: `[rows, inputs]`
    /// - `weight`: `[inputs, outputs]`, packed by [`Packed8::shift`]
    /// - `y`: `[rows, outputs]`, without gaps
    pub fn accumulate(isa: Isa, x: &Rows8, weight: &Packed8, y: &mut [i32]) {
        let Blocks::Codes(blocks) = &weight.blocks else { panic!("bytes, expected codes of powers of two") };
        assert_eq!(x.width(), weight.inputs, "width of x");
        let outputs = weight.outputs;
        assert_eq!(y.len(), x.rows() * outputs, "sums of {} rows of {outputs}", x.rows());
        let zero = i32::from(x.sign().zero());
        let octets = weight.inputs.div_ceil(EIGHT);
        let mut sums = vec![[0i32; PANEL]; x.rows()];
        for first in (0..outputs).step_by(PANEL) {
            sums.fill([0; PANEL]);
            for input in 0..weight.inputs {
                let block = &blocks[first / PANEL * octets + input / EIGHT];
                let (mut exponent, mut nonzero, mut negative) = ([0u32; PANEL], [0i32; PANEL], [0i32; PANEL]);
                for o in 0..PANEL {
                    let code = block.0[4 * o + input % 4] >> (input % EIGHT / 4 * 4) & 15;
                    exponent[o] = u32::from(code & 7);
                    nonzero[o] = -i32::from(code & 7 != 7);
                    negative[o] = -i32::from(code > 7);
                }
                for (row, sums) in sums.iter_mut().enumerate() {
                    let q = i32::from(x.data()[row * x.stride() + input]) - zero;
                    for o in 0..PANEL {
                        let shifted = (q << exponent[o]) & nonzero[o];
                        // Two's complement: −v is !v + 1.
                        sums[o] += (shifted ^ negative[o]) - negative[o];
                    }
                }
            }
            let used = PANEL.min(outputs - first);
            for (row, sums) in sums.iter().enumerate() {
                y[row * outputs + first..][..used].copy_from_slice(&sums[..used]);
            }
        }
    }
}
