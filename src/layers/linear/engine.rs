//! Linear layers of the engine: products in f32, of bytes, or of bf16.

use super::{Linear, LinearKind};
use compute::Isa;
use compute::ops::PAD;
use compute::ops::product::{Epilogue, Packed, product};
use compute::ops::product_bf16::{PackedBf16, product_bf16};
use compute::ops::product8::{Packed8, Rows8, Sign, product8, quantise};

/// How the engine computes products.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precision {
    /// All in f32; shift layers with their exact weights.
    F32,
    /// Shift layers on 8-bit activations with exact integer sums, all others in f32.
    Mixed,
    /// All products of the blocks on 8-bit activations; dense weights are rounded to bytes. The renderer's tokens are made in 8
    /// bits too, from feature maps of bytes and photographs of 16 bits a channel.
    Int8,
    /// Products of factors rounded to bf16, sums in f32, where those of [`Precision::Int8`] are of bytes; only where the
    /// processor has such products.
    Bf16,
}

impl Precision {
    /// What is fastest without being seen: [`Precision::Int8`] for a network that `has_shifts`, which was trained to do
    /// with coarse weights, where there are vector products of bytes; else [`Precision::F32`].
    pub fn fastest(has_shifts: bool, isa: Isa) -> Self {
        if has_shifts && isa.has_vector_bytes() { Self::Int8 } else { Self::F32 }
    }

    /// Whether `isa` has what it takes. Bytes are multiplied with any set, without vector instructions slowly.
    pub fn runs_on(self, isa: Isa) -> bool {
        self != Self::Bf16 || isa.has_bf16()
    }

    /// Name as on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Mixed => "mixed",
            Self::Int8 => "int8",
            Self::Bf16 => "bf16",
        }
    }
}

/// A weight matrix as its kernel reads it.
#[derive(Clone, Debug)]
pub enum Matrix {
    /// Read by the f32 kernel.
    F32(Packed),
    /// Read by the byte kernel: packed powers of two, or bytes.
    Bytes(Packed8),
    /// Read by the bf16 kernel.
    Bf16(PackedBf16),
}

impl Matrix {
    /// `weight` is `[inputs, outputs]`, its entries powers of two where `kind` says so.
    pub fn new(
        precision: Precision,
        kind: LinearKind,
        weight: &[f32],
        bias: Option<&[f32]>,
        inputs: usize,
        outputs: usize,
    ) -> Self {
        let dense = || Packed::new(weight, bias, inputs, outputs);
        match (precision, kind.is_shift()) {
            (Precision::F32, _) | (Precision::Mixed, false) => Self::F32(dense()),
            // Powers of two are exact.
            (Precision::Bf16, _) => Self::Bf16(PackedBf16::new(weight, bias, inputs, outputs)),
            // A shift layer of five bits, or one whose rows have been scaled, spans more powers than a byte holds.
            (_, true) => Packed8::shift(weight, bias, inputs, outputs).map_or_else(|_| Self::F32(dense()), Self::Bytes),
            (Precision::Int8, false) => Self::Bytes(Packed8::dense(weight, bias, inputs, outputs)),
        }
    }

    /// A layer of the folded network.
    pub fn of(precision: Precision, kind: LinearKind, layer: &Linear, folded: &[f32]) -> Self {
        let bias = layer.bias.map(|b| b.of(folded));
        Self::new(precision, kind, layer.weight.of(folded), bias, layer.inputs, layer.outputs)
    }

    /// Number of columns.
    pub fn outputs(&self) -> usize {
        match self {
            Self::F32(m) => m.outputs(),
            Self::Bytes(m) => m.outputs(),
            Self::Bf16(m) => m.outputs(),
        }
    }

    /// Whether the byte kernel reads it.
    pub fn is_bytes(&self) -> bool {
        matches!(self, Self::Bytes(_))
    }

    /// `y = x · W + b` for `rows` rows of `x`, `x_stride` apart; `sign` tells whether `x` may be negative.
    pub fn apply(
        &self,
        isa: Isa,
        rows: usize,
        (x, x_stride, sign): (&[f32], usize, Sign),
        bytes: &mut Rows8,
        (y, y_stride): (&mut [f32], usize),
        epilogue: Epilogue,
    ) {
        match self {
            Self::F32(m) => product(isa, rows, x, x_stride, m, y, y_stride, epilogue),
            Self::Bf16(m) => product_bf16(isa, rows, x, x_stride, m, y, y_stride, epilogue),
            Self::Bytes(m) => {
                quantise(isa, rows, x, x_stride, m.inputs(), sign, bytes);
                product8(isa, bytes, m, y, y_stride, epilogue);
            }
        }
    }
}

/// A layer over rows without gaps, of any number of outputs.
#[derive(Clone, Debug)]
pub struct PackedLinear {
    matrix: Matrix,
    sign: Sign,
}

/// Buffers of a thread for [`PackedLinear`].
#[derive(Clone, Debug, Default)]
pub struct LinearBuffers {
    bytes: Rows8,
    padded: Vec<f32>,
}

impl PackedLinear {
    /// Packs a layer of the folded network; `sign` tells whether its inputs may be negative.
    pub fn new(precision: Precision, kind: LinearKind, layer: &Linear, folded: &[f32], sign: Sign) -> Self {
        // The byte kernel sums at most so many products.
        let bytes = matches!(precision, Precision::Mixed | Precision::Int8);
        let precision = if bytes && layer.inputs > Packed8::MAX_INPUTS { Precision::F32 } else { precision };
        Self { matrix: Matrix::of(precision, kind, layer, folded), sign }
    }

    /// A matrix that is packed already.
    pub fn of(matrix: Matrix, sign: Sign) -> Self {
        Self { matrix, sign }
    }

    /// Number of columns.
    pub fn outputs(&self) -> usize {
        self.matrix.outputs()
    }

    /// `y = x · W + b` of rows `x` `[rows, inputs]` to `y` `[rows, outputs]`, or as the epilogue says.
    pub fn apply(
        &self,
        isa: Isa,
        rows: usize,
        x: &[f32],
        buffers: &mut LinearBuffers,
        y: &mut [f32],
        epilogue: Epilogue,
    ) {
        let (outputs, LinearBuffers { bytes, padded }) = (self.matrix.outputs(), buffers);
        let x = (x, x.len() / rows.max(1), self.sign);
        assert_eq!(y.len(), rows * outputs, "outputs of {rows} rows");
        if outputs.is_multiple_of(PAD) {
            return self.matrix.apply(isa, rows, x, bytes, (y, outputs), epilogue);
        }
        // The kernel writes whole registers, past the end of such a row.
        let stride = compute::ops::padded(outputs);
        padded.resize(padded.len().max(rows * stride), 0.0);
        let inner = if epilogue == Epilogue::Add { Epilogue::Store } else { epilogue };
        self.matrix.apply(isa, rows, x, bytes, (padded, stride), inner);
        for (y, padded) in y.chunks_exact_mut(outputs).zip(padded.chunks_exact(stride)) {
            if epilogue == Epilogue::Add {
                y.iter_mut().zip(padded).for_each(|(y, p)| *y += p);
            } else {
                y.copy_from_slice(&padded[..outputs]);
            }
        }
    }
}

impl Linear {
    /// The layer for the f32 kernel.
    pub fn packed(&self, folded: &[f32]) -> Packed {
        Packed::new(self.weight.of(folded), self.bias.map(|b| b.of(folded)), self.inputs, self.outputs)
    }

    /// The layer's bias; empty if it has none.
    pub fn bias_or_none<'a>(&self, folded: &'a [f32]) -> &'a [f32] {
        self.bias.map_or(&[], |b| b.of(folded))
    }
}
