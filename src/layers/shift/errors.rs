//! What can be wrong with weights that are to be packed and with codes that are to be unpacked.

use super::SCALES;
use std::error::Error;
use std::fmt;

/// Why weights cannot be packed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum NotShift {
    /// The weights are not whole rows.
    Rows {
        /// Number of weights.
        len: usize,
        /// Length that a row should have.
        inputs: usize,
    },
    /// A weight is neither 0 nor a power of two in the range of the format.
    Value {
        /// Output channel.
        row: usize,
        /// Input channel.
        column: usize,
        /// The weight.
        value: f32,
        /// Exponents that the row could hold, smallest and largest.
        exponents: (i32, i32),
    },
}

impl fmt::Display for NotShift {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rows { len, inputs } => write!(f, "{len} weights are not whole rows of {inputs} inputs"),
            Self::Value { row, column, value, exponents: (low, top) } => write!(
                f,
                "weight at row {row}, column {column}: expected 0 or a signed power of two from 2^{low} to 2^{top}, \
                 found {value:e}"
            ),
        }
    }
}

impl Error for NotShift {}

/// Why codes cannot be unpacked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadCodes {
    /// The shape is larger than memory can be.
    Shape {
        /// Output channels.
        outputs: usize,
        /// Input channels.
        inputs: usize,
    },
    /// A part has the wrong length.
    Length {
        /// `codes` or `scale`.
        what: &'static str,
        /// Length that the shape asks for.
        expected: usize,
        /// Length of the part.
        found: usize,
    },
    /// A scale would give numbers that are not normal.
    Scale {
        /// Output channel.
        row: usize,
        /// The scale.
        scale: i8,
    },
    /// A code stands for no weight, or padding is not what it must be.
    Code {
        /// Output channel.
        row: usize,
        /// Input channel; `inputs` for padding.
        column: usize,
        /// The code.
        code: u8,
    },
}

impl fmt::Display for BadCodes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Shape { outputs, inputs } => write!(f, "{outputs} x {inputs} weights are more than memory can hold"),
            Self::Length { what, expected, found } => write!(f, "{what}: expected {expected} bytes, found {found}"),
            Self::Scale { row, scale } => {
                write!(f, "scale of row {row}: expected {} to {}, found {scale}", SCALES.0, SCALES.1)
            }
            Self::Code { row, column, code } => write!(f, "code at row {row}, column {column}: {code} is not in use"),
        }
    }
}

impl Error for BadCodes {}
