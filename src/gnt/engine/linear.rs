//! Linear layers of the engine: products in f32, or of bytes.

use crate::{Config, MlpKind, Weights};
use layers::layer_norm::LayerNorm;
use layers::linear::Linear;
use tensor::Level;
use tensor::ops::normalise::{normalise, normalise_affine};
use tensor::ops::product::{Epilogue, Packed, product};
use tensor::ops::product8::{Packed8, Rows8, Sign, product8, quantise};

/// How products are computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precision {
    /// All in f32; shift layers with their exact weights.
    F32,
    /// Shift layers on 8-bit activations with exact integer sums, all others in f32.
    Mixed,
    /// All products of the blocks on 8-bit activations; dense weights are rounded to bytes.
    Int8,
}

impl Precision {
    /// What is fastest for a network without being seen: [`Precision::Int8`] where there are shift layers, which were
    /// trained to do with coarse weights, and vector products of bytes; else [`Precision::F32`].
    pub fn fastest(config: &Config, level: Level) -> Self {
        let shifts = config.linears != Weights::Dense || config.mlp != MlpKind::Dense;
        if shifts && level > Level::Portable { Self::Int8 } else { Self::F32 }
    }

    /// Name as on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Mixed => "mixed",
            Self::Int8 => "int8",
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
}

impl Matrix {
    /// `weight` is `[inputs, outputs]`; `shift` says that its entries are powers of two.
    pub fn new(
        precision: Precision,
        shift: bool,
        weight: &[f32],
        bias: Option<&[f32]>,
        inputs: usize,
        outputs: usize,
    ) -> Self {
        let dense = || Packed::new(weight, bias, inputs, outputs);
        match (precision, shift) {
            (Precision::F32, _) | (Precision::Mixed, false) => Self::F32(dense()),
            // A shift layer of five bits, or one whose rows have been scaled, spans more powers than a byte holds.
            (_, true) => Packed8::shift(weight, bias, inputs, outputs).map_or_else(|_| Self::F32(dense()), Self::Bytes),
            (Precision::Int8, false) => Self::Bytes(Packed8::dense(weight, bias, inputs, outputs)),
        }
    }

    /// A layer of the folded network.
    pub fn of(precision: Precision, shift: bool, layer: &Linear, folded: &[f32]) -> Self {
        let bias = layer.bias.map(|b| b.of(folded));
        Self::new(precision, shift, layer.weight.of(folded), bias, layer.inputs, layer.outputs)
    }

    /// Number of columns.
    pub fn outputs(&self) -> usize {
        match self {
            Self::F32(m) => m.outputs(),
            Self::Bytes(m) => m.outputs(),
        }
    }

    /// Whether the byte kernel reads it.
    pub fn is_bytes(&self) -> bool {
        matches!(self, Self::Bytes(_))
    }

    /// `y = x · W + b` for `rows` rows of `x`, `x_stride` apart; `sign` tells whether `x` may be negative.
    pub fn apply(
        &self,
        level: Level,
        rows: usize,
        (x, x_stride, sign): (&[f32], usize, Sign),
        bytes: &mut Rows8,
        (y, y_stride): (&mut [f32], usize),
        epilogue: Epilogue,
    ) {
        match self {
            Self::F32(m) => product(level, rows, x, x_stride, m, y, y_stride, epilogue),
            Self::Bytes(m) => {
                quantise(level, rows, x, x_stride, m.inputs(), sign, bytes);
                product8(level, bytes, m, y, y_stride, epilogue);
            }
        }
    }
}

/// A normalisation: its gain and bias stay apart where the weights that follow must keep their form, else they are
/// folded into those.
#[derive(Clone, Debug)]
pub struct Norm {
    affine: Option<(Vec<f32>, Vec<f32>)>,
    eps: f32,
}

impl Norm {
    /// Gain and bias applied here.
    pub fn apart(norm: &LayerNorm, folded: &[f32]) -> Self {
        Self { affine: Some((norm.gain.of(folded).to_vec(), norm.bias.of(folded).to_vec())), eps: norm.eps }
    }

    /// Gain and bias left to the weights that follow.
    pub fn folded(norm: &LayerNorm) -> Self {
        Self { affine: None, eps: norm.eps }
    }

    /// `y = norm(x)` of rows of `width` values.
    pub fn apply(&self, level: Level, x: &[f32], width: usize, y: &mut [f32]) {
        match &self.affine {
            Some((gain, bias)) => normalise_affine(level, x, width, self.eps, (gain, bias), y),
            None => normalise(level, x, width, self.eps, y),
        }
    }
}

/// A normalisation and the layer after it.
pub fn normed(precision: Precision, shift: bool, norm: &LayerNorm, layer: &Linear, folded: &[f32]) -> (Norm, Matrix) {
    if shift {
        return (Norm::apart(norm, folded), Matrix::of(precision, true, layer, folded));
    }
    let (weight, bias) = with_norm(norm, layer, folded);
    let matrix = Matrix::new(precision, false, &weight, Some(&bias), layer.inputs, layer.outputs);
    (Norm::folded(norm), matrix)
}

/// Weight and bias of a layer that follows a normalisation, with its gain and bias taken in: exact, for
/// `W·(n∘g + b) = (g∘W)·n + W·b`.
pub fn with_norm(norm: &LayerNorm, layer: &Linear, folded: &[f32]) -> (Vec<f32>, Vec<f32>) {
    let (gain, shift) = (norm.gain.of(folded), norm.bias.of(folded));
    let mut weight = layer.weight.of(folded).to_vec();
    let mut constant: Vec<f64> = match layer.bias {
        Some(b) => b.of(folded).iter().map(|b| f64::from(*b)).collect(),
        None => vec![0.0; layer.outputs],
    };
    for ((row, gain), shift) in weight.chunks_exact_mut(layer.outputs).zip(gain).zip(shift) {
        for (w, sum) in row.iter_mut().zip(&mut constant) {
            *sum += f64::from(*w) * f64::from(*shift);
            *w *= gain;
        }
    }
    (weight, constant.into_iter().map(|v| v as f32).collect())
}
