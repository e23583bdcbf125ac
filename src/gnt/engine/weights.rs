//! The folded network packed for the engine's kernels. Gains and biases of the normalisations go into the matrices that
//! follow them, which is exact: `W·(n∘g + b) = (g∘W)·n + W·b`.

use super::head::PackedHead;
use super::position::PackedPosition;
use crate::Model;
use compute::ops::product::Packed;
use layers::feed_forward::engine::PackedFeedForward;
use layers::linear::LinearKind;
use layers::linear::engine::{Matrix, Precision};
use layers::ray_attention::engine::PackedRayAttention;
use layers::view_attention::engine::PackedViewAttention;

/// All weights of the engine.
#[derive(Clone, Debug)]
pub struct Weights {
    /// Feature channels `→ C`, for the feature maps.
    pub map: Packed,
    /// `[4, C]`: colour rows and bias of the first token layer.
    pub colour: Vec<f32>,
    /// Second token layer.
    pub token: Packed,
    /// The same layer, in the precision that tokens along rays are computed in.
    pub look_ups: Matrix,
    /// Token of a sample that falls outside the image and its feature map `[C]`.
    pub outside: Vec<f32>,
    /// Hidden channels of the relative direction, H.
    pub hidden: usize,
    /// Whether samples are told which views they are hidden from.
    pub visibility: bool,
    /// `[mean | variance] → C`.
    pub start: Option<Packed>,
    /// The blocks.
    pub blocks: Vec<BlockWeights>,
    /// Colours from states.
    pub head: PackedHead,
}

/// Weights of one pair of blocks.
#[derive(Clone, Debug)]
pub struct BlockWeights {
    /// Attention over views.
    pub view: PackedViewAttention,
    /// Feed-forward part of the view block.
    pub view_ff: PackedFeedForward,
    /// Position layer of even blocks.
    pub position: Option<PackedPosition>,
    /// Attention along the ray.
    pub ray: PackedRayAttention,
    /// Feed-forward part of the ray block.
    pub ray_ff: PackedFeedForward,
}

impl Weights {
    /// Packs the folded parameters of `model`.
    pub fn new(precision: Precision, model: &Model, folded: &[f32]) -> Self {
        let (net, config) = (&model.net, &model.config);
        let colour_bias = net.token_colour.bias_or_none(folded);
        let mut outside = vec![0.0; config.width];
        let hidden: Vec<f32> = colour_bias.iter().map(|b| b.max(0.0)).collect();
        net.token_fc2.forward(folded, &hidden, &mut outside, false);
        let blocks = net.blocks.iter().enumerate().map(|(i, block)| BlockWeights {
            view: PackedViewAttention::new(precision, config.linears, &block.view, folded, i),
            view_ff: PackedFeedForward::new(precision, config.mlp, &block.view_ff, folded, 2 * i),
            position: block.position.map(|layer| PackedPosition::new(precision, config.position, &layer, folded)),
            ray: PackedRayAttention::new(precision, config.linears, &block.ray, folded),
            ray_ff: PackedFeedForward::new(precision, config.mlp, &block.ray_ff, folded, 2 * i + 1),
        });
        Self {
            map: net.token_features.packed(folded),
            colour: [net.token_colour.weight.of(folded), colour_bias].concat(),
            token: net.token_fc2.packed(folded),
            look_ups: Matrix::of(precision, LinearKind::Dense, &net.token_fc2, folded),
            outside,
            hidden: config.attention_hidden,
            visibility: config.visibility,
            start: net.start.as_ref().map(|s| s.packed(folded)),
            blocks: blocks.collect(),
            head: PackedHead::new(net, folded),
        }
    }

    /// Channels of tokens and states, C.
    pub fn width(&self) -> usize {
        self.outside.len()
    }

    /// Words of the codes of all blocks' keys at a pixel; 0 where keys are not codes.
    pub fn key_words(&self) -> usize {
        self.blocks.iter().map(|block| block.view.key_words()).sum()
    }
}
