//! The convolution in the CPU engine: patches of a few rows of output pixels at a time, which stay in the core's cache.

use super::PatchConv;
use crate::linear::LinearKind;
use crate::linear::engine::{LinearBuffers, PackedLinear, Precision};
use compute::Isa;
use compute::ops::product::Epilogue;
use compute::ops::product8::Sign;

/// Output pixels that are computed together, at least: a matrix is decoded once for them.
const PIXELS: usize = 64;

/// A packed convolution.
#[derive(Clone, Debug)]
pub struct PackedPatchConv {
    conv: PatchConv,
    linear: PackedLinear,
}

/// Buffers of a thread.
#[derive(Clone, Debug, Default)]
pub struct PatchConvBuffers {
    patches: Vec<f32>,
    linear: LinearBuffers,
}

impl PackedPatchConv {
    /// Packs a layer of the folded network; `sign` tells whether its inputs may be negative.
    pub fn new(precision: Precision, layer: &PatchConv, folded: &[f32], sign: Sign) -> Self {
        Self { conv: *layer, linear: PackedLinear::new(precision, LinearKind::Dense, &layer.linear, folded, sign) }
    }

    /// Convolves one image `x` `[height, width, inputs]`; `y` is resized and overwritten.
    pub fn apply(
        &self,
        isa: Isa,
        (height, width): (usize, usize),
        x: &[f32],
        y: &mut Vec<f32>,
        buffers: &mut PatchConvBuffers,
    ) {
        let (rows, columns) = self.conv.output_size(height, width);
        let (patch, out) = (columns * self.conv.linear.inputs, columns * self.conv.linear.outputs);
        let PatchConvBuffers { patches, linear } = buffers;
        let together = PIXELS.div_ceil(columns);
        y.resize(rows * out, 0.0);
        for (first, y) in (0..rows).step_by(together).zip(y.chunks_mut(together * out)) {
            let count = y.len() / out;
            patches.clear();
            patches.resize(count * patch, 0.0);
            for (row, patches) in (first..).zip(patches.chunks_exact_mut(patch)) {
                self.conv.each_run_of_row((height, width), row, |to, from, len| {
                    patches[to..to + len].copy_from_slice(&x[from..from + len]);
                });
            }
            self.linear.apply(isa, count * columns, patches, linear, y, Epilogue::Store);
        }
    }
}
