//! Powers of two in five bits: the whole range of DeepShift-PS, one scale for all.

use super::pack::{NotPowers, exponent};

/// Least exponent.
const LEAST: i32 = -14;

/// The code of zero; 0 to 14 are the exponents from `LEAST` on, 16 to 30 the same with a minus.
const ZERO: u8 = 15;

/// A matrix `[inputs, outputs]` of 0 and `±2^p`, p in −14..=0, in five bits a weight: the 31 values that DeepShift-PS
/// (`LinearShift` with five bits) can take. The reference for its arithmetic; products go through
/// [`Shift5::unpack_f32`].
#[derive(Clone, Debug, PartialEq)]
pub struct Shift5 {
    inputs: usize,
    outputs: usize,
    /// Codes from the lowest bit of the first byte on, row-major.
    bits: Vec<u8>,
}

impl Shift5 {
    /// Packs `weight` `[inputs, outputs]`, row-major.
    ///
    /// # Errors
    /// [`NotPowers`] if a weight is neither 0 nor `±2^p` with p in −14..=0.
    pub fn new(weight: &[f32], inputs: usize, outputs: usize) -> Result<Self, NotPowers> {
        assert_eq!(weight.len(), inputs * outputs, "weight of {inputs}x{outputs}");
        let mut bits = vec![0; (5 * weight.len()).div_ceil(8)];
        for (i, value) in weight.iter().copied().enumerate() {
            let code = match exponent(value) {
                _ if value == 0.0 => ZERO,
                Some(p) if (LEAST..=0).contains(&p) => (p - LEAST) as u8 | u8::from(value < 0.0) << 4,
                _ => {
                    let exponents = Some((LEAST, 0));
                    return Err(NotPowers { row: i / outputs, column: i % outputs, value, exponents });
                }
            };
            let spread = u16::from(code) << (5 * i % 8);
            bits[5 * i / 8] |= spread as u8;
            if spread >> 8 != 0 {
                bits[5 * i / 8 + 1] |= (spread >> 8) as u8;
            }
        }
        Ok(Self { inputs, outputs, bits })
    }

    /// Rows of the matrix.
    pub fn inputs(&self) -> usize {
        self.inputs
    }

    /// Columns of the matrix.
    pub fn outputs(&self) -> usize {
        self.outputs
    }

    /// Bytes held by the weights.
    pub fn bytes(&self) -> usize {
        self.bits.len()
    }

    /// Exponent above the least one and whether the weight is negative; none for zero.
    fn get(&self, i: usize) -> Option<(u32, bool)> {
        let at = 5 * i / 8;
        let both = u16::from(self.bits[at]) | u16::from(*self.bits.get(at + 1).unwrap_or(&0)) << 8;
        let code = (both >> (5 * i % 8)) as u8 & 31;
        (code & 15 != ZERO).then_some((u32::from(code & 15), code & 16 != 0))
    }

    /// The weights, `[inputs, outputs]` row-major, exactly.
    pub fn unpack_f32(&self) -> Vec<f32> {
        (0..self.inputs * self.outputs)
            .map(|i| match self.get(i) {
                None => 0.0,
                Some((e, negative)) => {
                    let value = f64::from(LEAST + e as i32).exp2() as f32;
                    if negative { -value } else { value }
                }
            })
            .collect()
    }

    /// `Σ ±(x << (14 + p))` for every row and output: `2^14` times the product of `x` with the weights, exactly, by
    /// shifts and sums alone. Shifted back once at the end, it equals the float product on fixed-point activations,
    /// which a shift of each term by `p` would not.
    ///
    /// # Shapes
    /// - `x`: `[rows, inputs]` integers, such as fixed point of any precision
    /// - returns `[rows, outputs]`
    pub fn accumulate(&self, x: &[i32]) -> Vec<i64> {
        let rows = x.len().checked_div(self.inputs).unwrap_or(0);
        assert_eq!(x.len(), rows * self.inputs, "rows of {}", self.inputs);
        let mut y = vec![0; rows * self.outputs];
        for input in 0..self.inputs {
            for o in 0..self.outputs {
                let Some((shift, negative)) = self.get(input * self.outputs + o) else { continue };
                for row in 0..rows {
                    let term = i64::from(x[row * self.inputs + input]) << shift;
                    y[row * self.outputs + o] += if negative { -term } else { term };
                }
            }
        }
        y
    }
}
