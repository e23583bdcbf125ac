//! What the accelerator runs at a time: one matrix product or convolution.

use layers::operations::Op;
use std::fmt;

/// A matrix product or a convolution: `batch` inputs of `input[0] x input[1]` pixels and `inputs` channels to
/// `output[0] x output[1]` pixels and `outputs` channels, with kernels of `kernel[0] x kernel[1]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Layer {
    /// The operation of one step: a multiplication, a shift or an addition.
    pub op: Op,
    /// N, how many inputs are worked on at a time.
    pub batch: u64,
    /// C, the channels that go in.
    pub inputs: u64,
    /// M, the channels that come out.
    pub outputs: u64,
    /// R and S, rows and columns.
    pub kernel: [u64; 2],
    /// Step of the kernel in pixels.
    pub stride: u64,
    /// H and W, rows and columns.
    pub input: [u64; 2],
    /// E and F, rows and columns.
    pub output: [u64; 2],
}

impl Layer {
    /// A product `[rows, inputs] x [inputs, outputs]`; a linear layer on `rows` tokens.
    pub const fn product(op: Op, rows: u64, inputs: u64, outputs: u64) -> Self {
        Self { op, batch: rows, inputs, outputs, kernel: [1; 2], stride: 1, input: [1; 2], output: [1; 2] }
    }

    pub(super) fn is_product(&self) -> bool {
        self.input == [1; 2] && self.output == [1; 2]
    }

    pub(super) fn is_empty(&self) -> bool {
        let Self { batch, inputs, outputs, kernel, stride, input, output, .. } = *self;
        [batch, inputs, outputs, stride].into_iter().chain(kernel).chain(input).chain(output).any(|n| n == 0)
    }
}

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let Self { op, batch, inputs, outputs, kernel: [r, s], stride, input: [h, w], output: [oh, ow] } = self;
        write!(f, "{op:?} layer, batch {batch}, channels {inputs} to {outputs}")?;
        if self.is_product() { Ok(()) } else { write!(f, ", pixels {h}x{w} to {oh}x{ow} by {r}x{s} step {stride}") }
    }
}
