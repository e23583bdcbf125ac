//! Layers of the folded network, packed into an [`Arena`].

use super::{Arena, CudaPrecision, Order};
use crate::Slot;
use crate::layer_norm::LayerNorm;
use crate::linear::Linear;
use compute::cuda::twin::{Address, Fragments};

/// What layers pack themselves with.
#[derive(Debug)]
pub struct Packer<'a> {
    /// Where the weights go.
    pub arena: Arena,
    /// The parameters of the folded network.
    folded: &'a [f32],
    precision: CudaPrecision,
}

/// Rows or columns of a matrix: the first, and how many.
pub type Span = (usize, usize);

impl<'a> Packer<'a> {
    /// With an empty arena, for products of this precision.
    pub fn new(precision: CudaPrecision, folded: &'a [f32]) -> Self {
        Self { arena: Arena::new(precision), folded, precision }
    }

    /// Rows `inputs` and columns `outputs` of a layer.
    pub fn part(&mut self, order: Order, layer: &Linear, inputs: Span, outputs: Span) -> Address<Fragments> {
        let (weight, columns) = (layer.weight.of(self.folded), layer.outputs);
        self.arena.matrix(order, inputs.1, outputs.1, |i, o| weight[(inputs.0 + i) * columns + outputs.0 + o])
    }

    /// A whole layer.
    pub fn matrix(&mut self, order: Order, layer: &Linear) -> Address<Fragments> {
        self.part(order, layer, (0, layer.inputs), (0, layer.outputs))
    }

    /// As [`Packer::part`], of the first `inputs` rows, for a layer that is computed on bytes where the precision says so.
    /// `shift` tells whether its weights are powers of two there.
    pub fn byte_part(
        &mut self,
        order: Order,
        layer: &Linear,
        inputs: usize,
        outputs: Span,
        shift: bool,
    ) -> Address<Fragments> {
        if !self.precision.on_bytes() {
            return self.part(order, layer, (0, inputs), outputs);
        }
        let (weight, columns) = (layer.weight.of(self.folded), layer.outputs);
        let kind = (shift, shift && self.precision == CudaPrecision::Packed);
        self.arena.bytes(order, inputs, outputs.1, kind, |i, o| weight[i * columns + outputs.0 + o])
    }

    /// A whole layer that is computed on bytes where the precision says so.
    pub fn byte_matrix(&mut self, order: Order, layer: &Linear, shift: bool) -> Address<Fragments> {
        self.byte_part(order, layer, layer.inputs, (0, layer.outputs), shift)
    }

    /// The bias of a layer `[outputs]`; zeros if it has none.
    fn bias_or_zeros(&self, layer: &Linear) -> Vec<f32> {
        layer.bias.map_or(vec![0.0; layer.outputs], |bias| bias.of(self.folded).to_vec())
    }

    /// A bias, filled up with zeros to a multiple of eight; zeros if the layer has none.
    pub fn bias(&mut self, layer: &Linear) -> Address<f32> {
        let mut bias = self.bias_or_zeros(layer);
        bias.resize(bias.len().next_multiple_of(8), 0.0);
        self.arena.numbers(&bias)
    }

    /// Columns of a bias as they are; zeros if the layer has none.
    pub fn bias_part(&mut self, layer: &Linear, (first, count): Span) -> Address<f32> {
        let bias = self.bias_or_zeros(layer);
        self.arena.numbers(&bias[first..first + count])
    }

    /// Numbers as they are.
    pub fn numbers(&mut self, slot: Slot) -> Address<f32> {
        self.arena.numbers(slot.of(self.folded))
    }

    /// Rows of a layer's weights as they are, `[inputs, outputs]`.
    pub fn rows(&mut self, layer: &Linear, (first, count): Span) -> Address<f32> {
        let columns = layer.outputs;
        self.arena.numbers(&layer.weight.of(self.folded)[first * columns..][..count * columns])
    }

    /// Gain and bias of a normalisation.
    pub fn norm(&mut self, norm: &LayerNorm) -> Address<f32> {
        self.arena.numbers(&[norm.gain.of(self.folded), norm.bias.of(self.folded)].concat())
    }

    /// A layer's weights as they are and, after them, its bias.
    pub fn with_bias(&mut self, layer: &Linear) -> Address<f32> {
        let bias = self.bias_or_zeros(layer);
        self.arena.numbers(&[layer.weight.of(self.folded), &bias].concat())
    }
}
