//! Layer normalisation in the engine: its gain and bias go into the matrix that follows it, where that may change.

use super::LayerNorm;
use crate::linear::engine::{Matrix, Precision};
use crate::linear::{Linear, LinearKind};
use compute::Isa;
use compute::ops::normalise::{normalise, normalise_affine};

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
    pub fn apply(&self, isa: Isa, x: &[f32], width: usize, y: &mut [f32]) {
        match &self.affine {
            Some((gain, bias)) => normalise_affine(isa, x, width, self.eps, (gain, bias), y),
            None => normalise(isa, x, width, self.eps, y),
        }
    }

    /// A normalisation and the layer after it; powers of two keep their form.
    pub fn with_layer(
        precision: Precision,
        kind: LinearKind,
        norm: &LayerNorm,
        layer: &Linear,
        folded: &[f32],
    ) -> (Self, Matrix) {
        if kind.is_shift() {
            return (Self::apart(norm, folded), Matrix::of(precision, kind, layer, folded));
        }
        let (weight, bias) = fold_norm(norm, layer, folded);
        let matrix = Matrix::new(precision, kind, &weight, Some(&bias), layer.inputs, layer.outputs);
        (Self::folded(norm), matrix)
    }
}

/// Weight and bias of a layer that follows a normalisation, with its gain and bias taken in: exact, for
/// `W·(n∘g + b) = (g∘W)·n + W·b`.
pub fn fold_norm(norm: &LayerNorm, layer: &Linear, folded: &[f32]) -> (Vec<f32>, Vec<f32>) {
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
