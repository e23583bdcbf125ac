//! The weight matrix: 4-bit codes of powers of two, or bytes.

use super::PANEL;
use crate::ops::padded;
use std::fmt;

/// Inputs of a block: two groups of four, the unit of the byte instructions.
pub(super) const EIGHT: usize = 8;

/// The integer that each 4-bit code stands for: three bits of exponent below a sign; exponent 7 is zero.
pub(super) const VALUES: [i8; 16] = [1, 2, 4, 8, 16, 32, 64, 0, -1, -2, -4, -8, -16, -32, -64, 0];

/// The code of zero.
const ZERO: u8 = 7;

/// Distinct exponents that one column may have.
const EXPONENTS: i32 = 7;

/// Largest magnitude of an integer weight: `maddubs` saturates the sum of two products at 32767, and
/// `2 · 255 · 64 = 32640` just fits.
const LARGEST: i8 = 64;

/// Below this, four products fit 16 bits together (`4 · 255 · 32 = 32640`), and kernels widen half as often.
const SMALL: i8 = 32;

/// Codes of eight inputs for the outputs of a panel. Byte `4 o + k` holds input `k` of output `o` in its low half,
/// input `4 + k` in its high half.
#[repr(C, align(64))]
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::ops) struct Codes(pub [u8; 4 * PANEL]);

/// Integers of eight inputs for the outputs of a panel: byte `4 o + k` is input `k` of output `o`, and `64 + 4 o + k`
/// is input `4 + k`. Aligned, so that no register load crosses a cache line.
#[repr(C, align(64))]
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::ops) struct Bytes(pub [i8; EIGHT * PANEL]);

/// Blocks of a panel lie one after the other, panel after panel; what lies past the matrix is zero.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Blocks {
    Codes(Vec<Codes>),
    Bytes(Vec<Bytes>),
}

/// A weight matrix `[inputs, outputs]` of integers with a scale for each output, and its bias.
///
/// The integers are signed powers of two in 4-bit codes ([`Packed8::shift`]) or bytes ([`Packed8::dense`]).
#[derive(Clone, Debug, PartialEq)]
pub struct Packed8 {
    pub(super) inputs: usize,
    pub(super) outputs: usize,
    pub(super) blocks: Blocks,
    /// Value of the integer 1 in each column; padded, as the two below.
    pub(super) scale: Vec<f32>,
    pub(super) bias: Vec<f32>,
    /// What a zero point of 128 adds to each column, negated: `−128 · Σ integers`.
    pub(super) centre: Vec<i32>,
    /// No integer is above [`SMALL`].
    pub(super) small: bool,
}

impl Packed8 {
    /// Inputs that a matrix may have at most, so that no sum leaves 32 bits: `65536 · 255 · 64 < 2³¹`.
    pub const MAX_INPUTS: usize = 1 << 16;

    /// Packs signed powers of two, `[inputs, outputs]` row-major, exactly; without a bias it is zero.
    ///
    /// # Errors
    /// [`NotPowers`] if a weight is neither 0 nor `±2^p` (normal numbers only), or if the exponents of a column span
    /// more than seven values.
    pub fn shift(weight: &[f32], bias: Option<&[f32]>, inputs: usize, outputs: usize) -> Result<Self, NotPowers> {
        check_lengths(weight, inputs, outputs);
        let mut integers = vec![0; weight.len()];
        let mut scale = vec![1.0; outputs];
        for column in 0..outputs {
            let powers = || (0..inputs).map(|row| (row, weight[row * outputs + column])).filter(|(_, w)| *w != 0.0);
            let (mut least, mut most) = (i32::MAX, i32::MIN);
            for (row, value) in powers() {
                let p = exponent(value).ok_or(NotPowers { row, column, value, exponents: None })?;
                (least, most) = (least.min(p), most.max(p));
            }
            if least > most {
                continue;
            }
            // The column must fit before a weight is shifted, or the shift could be as wide as the integer.
            let lowest = most - EXPONENTS + 1;
            let below = |(_, value): &(usize, f32)| exponent(*value).is_some_and(|p| p < lowest);
            if let Some((row, value)) = powers().find(below) {
                return Err(NotPowers { row, column, value, exponents: Some((lowest, most)) });
            }
            for (row, value) in powers() {
                // Counted from the least exponent, integers are as small as they can be.
                let integer = 1 << (exponent(value).unwrap_or(most) - least);
                integers[row * outputs + column] = if value < 0.0 { -integer } else { integer };
            }
            scale[column] = f64::from(least).exp2() as f32;
        }
        Ok(Self::new(&integers, &scale, bias, inputs, outputs, true))
    }

    /// Rounds weights `[inputs, outputs]`, row-major, to bytes in `−64..=64` with a scale for each output.
    ///
    /// Not ±127, because AVX2's `maddubs` saturates the sum of two products at 32767 and `2 · 255 · 64 = 32640` just
    /// fits. The error of a weight is at most half its column's scale, `max|column| / 128`. A column with a weight that
    /// is not finite gives outputs that are not a number.
    pub fn dense(weight: &[f32], bias: Option<&[f32]>, inputs: usize, outputs: usize) -> Self {
        check_lengths(weight, inputs, outputs);
        let mut integers = vec![0; weight.len()];
        let mut scale = vec![0.0; outputs];
        for column in 0..outputs {
            let values = (0..inputs).map(|row| weight[row * outputs + column]);
            let largest = values.clone().fold(0.0, |a: f32, b| a.max(b.abs()));
            if values.clone().any(|w| !w.is_finite()) {
                scale[column] = f32::NAN;
            } else if largest > 0.0 {
                scale[column] = largest / f32::from(LARGEST);
                for (row, value) in values.enumerate() {
                    let ratio = f64::from(value) / f64::from(largest);
                    integers[row * outputs + column] = (ratio * f64::from(LARGEST)).round_ties_even() as i8;
                }
            }
        }
        Self::new(&integers, &scale, bias, inputs, outputs, false)
    }

    fn new(integers: &[i8], scale: &[f32], bias: Option<&[f32]>, inputs: usize, outputs: usize, codes: bool) -> Self {
        let columns = padded(outputs);
        let num_blocks = inputs.div_ceil(EIGHT) * columns / PANEL;
        let mut packed = Self {
            inputs,
            outputs,
            blocks: if codes {
                Blocks::Codes(vec![Codes([ZERO | ZERO << 4; _]); num_blocks])
            } else {
                Blocks::Bytes(vec![Bytes([0; _]); num_blocks])
            },
            scale: vec![0.0; columns],
            bias: vec![0.0; columns],
            centre: vec![0; columns],
            small: integers.iter().all(|w| w.abs() <= SMALL),
        };
        packed.scale[..outputs].copy_from_slice(scale);
        if let Some(bias) = bias {
            assert_eq!(bias.len(), outputs, "bias of {inputs}x{outputs}");
            packed.bias[..outputs].copy_from_slice(bias);
        }
        for (i, integer) in integers.iter().enumerate() {
            let (row, column) = (i / outputs, i % outputs);
            packed.centre[column] -= 128 * i32::from(*integer);
            let (block, byte, high) = place(inputs, row, column);
            match &mut packed.blocks {
                Blocks::Bytes(blocks) => blocks[block].0[byte + 4 * PANEL * usize::from(high)] = *integer,
                Blocks::Codes(blocks) => {
                    let code = VALUES.iter().position(|v| v == integer).expect("a power of two or zero") as u8;
                    let shift = 4 * u32::from(high);
                    let both = &mut blocks[block].0[byte];
                    *both = *both & !(15 << shift) | code << shift;
                }
            }
        }
        packed
    }

    /// Rows of the matrix.
    pub fn inputs(&self) -> usize {
        self.inputs
    }

    /// Columns of the matrix.
    pub fn outputs(&self) -> usize {
        self.outputs
    }

    /// Bytes held: weights (half a byte each in codes), and for each output its scale, bias and correction.
    pub fn bytes(&self) -> usize {
        let blocks = match &self.blocks {
            Blocks::Codes(blocks) => size_of_val(blocks.as_slice()),
            Blocks::Bytes(blocks) => size_of_val(blocks.as_slice()),
        };
        blocks + 4 * (self.scale.len() + self.bias.len() + self.centre.len())
    }

    /// The integer at `row`, `column`.
    pub fn integer(&self, row: usize, column: usize) -> i8 {
        assert!(row < self.inputs && column < self.outputs, "{row}, {column} of {}x{}", self.inputs, self.outputs);
        let (block, byte, high) = place(self.inputs, row, column);
        match &self.blocks {
            Blocks::Bytes(blocks) => blocks[block].0[byte + 4 * PANEL * usize::from(high)],
            Blocks::Codes(blocks) => VALUES[usize::from(blocks[block].0[byte] >> (4 * u32::from(high)) & 15)],
        }
    }

    /// The scale of each output: the value of the integer 1 in its column.
    pub fn scale(&self) -> &[f32] {
        &self.scale[..self.outputs]
    }

    /// The bias of each output.
    pub fn bias(&self) -> &[f32] {
        &self.bias[..self.outputs]
    }

    /// The weights that the integers stand for, `[inputs, outputs]` row-major: exactly those that were packed by
    /// [`Packed8::shift`], the rounded ones of [`Packed8::dense`].
    pub fn to_f32(&self) -> Vec<f32> {
        (0..self.inputs * self.outputs)
            .map(|i| {
                let (row, column) = (i / self.outputs, i % self.outputs);
                f32::from(self.integer(row, column)) * self.scale[column]
            })
            .collect()
    }
}

/// Block, byte in it and half of that byte where `row` and `column` are.
fn place(inputs: usize, row: usize, column: usize) -> (usize, usize, bool) {
    let block = column / PANEL * inputs.div_ceil(EIGHT) + row / EIGHT;
    (block, column % PANEL * 4 + row % 4, row % EIGHT >= 4)
}

fn check_lengths(weight: &[f32], inputs: usize, outputs: usize) {
    assert_eq!(weight.len(), inputs * outputs, "weight of {inputs}x{outputs}");
    assert!(inputs <= Packed8::MAX_INPUTS, "{inputs} inputs, at most {}", Packed8::MAX_INPUTS);
}

/// `p` of `±2^p`, for normal numbers.
pub(super) fn exponent(value: f32) -> Option<i32> {
    let biased = value.to_bits() >> 23 & 255;
    (value.to_bits() & 0x7f_ffff == 0 && (1..255).contains(&biased)).then(|| biased as i32 - 127)
}

/// A weight that a packed form cannot hold exactly.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NotPowers {
    /// Row (input) of the weight.
    pub row: usize,
    /// Column (output) of the weight.
    pub column: usize,
    /// The weight.
    pub value: f32,
    /// Least and greatest exponent allowed there; none if `value` is no power of two at all.
    pub exponents: Option<(i32, i32)>,
}

impl fmt::Display for NotPowers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "weight at row {}, column {}: expected 0 or ±2^p", self.row, self.column)?;
        if let Some((least, most)) = self.exponents {
            write!(f, " with p in {least}..={most}")?;
        }
        write!(f, ", found {:?}", self.value)
    }
}

impl std::error::Error for NotPowers {}
