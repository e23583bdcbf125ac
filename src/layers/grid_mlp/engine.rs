//! The feed-forward part of published vision transformers in the CPU engine.

use super::GridMlp;
use crate::gelu::gelu;
use crate::layer_norm::engine::Norm;
use crate::linear::LinearKind;
use crate::linear::engine::{LinearBuffers, PackedLinear, Precision};
use compute::Isa;
use compute::ops::product::Epilogue;
use compute::ops::product8::Sign;

/// A packed feed-forward part.
#[derive(Clone, Debug)]
pub struct PackedGridMlp {
    layer: GridMlp,
    norm: Norm,
    fc1: PackedLinear,
    fc2: PackedLinear,
}

/// Buffers of a thread.
#[derive(Clone, Debug, Default)]
pub struct GridMlpBuffers {
    normal: Vec<f32>,
    hidden: Vec<f32>,
    mixed: Vec<f32>,
    linear: LinearBuffers,
}

impl PackedGridMlp {
    /// Packs a layer of the folded network.
    pub fn new(precision: Precision, layer: &GridMlp, folded: &[f32]) -> Self {
        let (norm, fc1) = Norm::with_layer(precision, LinearKind::Dense, &layer.norm, &layer.fc1, folded);
        let fc2 = PackedLinear::new(precision, &layer.fc2, folded, Sign::Signed);
        Self { layer: *layer, norm, fc1: PackedLinear::of(fc1, Sign::Signed), fc2 }
    }

    /// Adds the part's output to the tokens `x` `[tokens, width]` of one image; `grid` is height and width of the tokens
    /// where there is a convolution, whose weights are read from `folded`.
    pub fn apply(&self, isa: Isa, folded: &[f32], grid: (usize, usize), x: &mut [f32], buffers: &mut GridMlpBuffers) {
        let GridMlpBuffers { normal, hidden, mixed, linear } = buffers;
        let width = self.layer.fc1.inputs;
        let rows = x.len() / width;
        normal.resize(x.len(), 0.0);
        hidden.resize(rows * self.layer.fc1.outputs, 0.0);
        mixed.resize(hidden.len(), 0.0);
        self.norm.apply(isa, x, width, normal);
        let epilogue = if self.layer.clips { Epilogue::Relu } else { Epilogue::Store };
        self.fc1.apply(isa, rows, normal, linear, hidden, epilogue);
        if let Some(local) = &self.layer.local {
            local.forward(folded, grid, hidden, mixed);
            std::mem::swap(hidden, mixed);
        }
        gelu(isa, hidden, mixed);
        self.fc2.apply(isa, rows, mixed, linear, x, Epilogue::Add);
    }
}
