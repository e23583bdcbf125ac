//! The MLP in the CPU engine.

use super::Mlp;
use crate::engine::GROUP;
use crate::layer_norm::engine::Norm;
use crate::linear::LinearKind;
use crate::linear::engine::{Matrix, Precision};
use compute::Isa;
use compute::ops::product::Epilogue;
use compute::ops::product8::{Rows8, Sign};

/// `fc2(relu(fc1(norm(x))))`, packed.
#[derive(Clone, Debug)]
pub struct PackedMlp {
    norm: Norm,
    /// `C → hidden → C`.
    layers: Box<[Matrix; 2]>,
    width: usize,
}

/// Buffers of a thread.
#[derive(Clone, Debug, Default)]
pub struct MlpBuffers {
    normal: Vec<f32>,
    wide: Vec<f32>,
    bytes: Rows8,
}

impl PackedMlp {
    /// Packs a layer of the folded network.
    pub fn new(precision: Precision, kind: LinearKind, layer: &Mlp, folded: &[f32]) -> Self {
        let (norm, fc1) = Norm::with_layer(precision, kind, &layer.norm, &layer.fc1, folded);
        let fc2 = Matrix::of(precision, kind, &layer.fc2, folded);
        Self { norm, layers: Box::new([fc1, fc2]), width: layer.fc1.inputs }
    }

    /// Adds the part's output to `q` `[rows, C]`.
    pub fn apply(&self, isa: Isa, q: &mut [f32], buffers: &mut MlpBuffers) {
        let c = self.width;
        let MlpBuffers { normal, wide, bytes } = buffers;
        for q in q.chunks_mut(GROUP * c) {
            normal.resize(q.len(), 0.0);
            self.norm.apply(isa, q, c, normal);
            two_layers(isa, &self.layers, (normal, c), wide, bytes, (q, c), Epilogue::Add);
        }
    }
}

/// `y = fc2(relu(fc1(x)))` of rows `x` `[rows, C]`, or `y += …`, as the epilogue says.
pub(in crate::feed_forward) fn two_layers(
    isa: Isa,
    [fc1, fc2]: &[Matrix; 2],
    (x, c): (&[f32], usize),
    wide: &mut Vec<f32>,
    bytes: &mut Rows8,
    y: (&mut [f32], usize),
    epilogue: Epilogue,
) {
    let (rows, width) = (x.len() / c, fc1.outputs());
    wide.resize(wide.len().max(rows * width), 0.0);
    fc1.apply(isa, rows, (x, c, Sign::Signed), bytes, (wide, width), Epilogue::Relu);
    fc2.apply(isa, rows, (wide, width, Sign::NonNegative), bytes, y, epilogue);
}
