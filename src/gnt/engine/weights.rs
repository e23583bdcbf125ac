//! The folded network packed for the engine's kernels. Gains and biases of the normalisations go into the matrices that
//! follow them, which is exact: `W·(n∘g + b) = (g∘W)·n + W·b`.

use super::along::Along;
use super::linear::{Matrix, Precision, with_norm};
use super::mlp::Mlp;
use super::view::View;
use crate::Model;
use crate::network::parameters::{Block, PositionLayer};
use layers::linear::Linear;
use tensor::ops::product::Packed;

/// All weights of the engine.
#[derive(Clone, Debug)]
pub struct Weights {
    /// Feature channels `→ C`, for the feature maps.
    pub map: Packed,
    /// `[4, C]`: colour rows and bias of the first token layer.
    pub colour: Vec<f32>,
    /// Second token layer.
    pub token: Packed,
    /// Token of a sample that falls outside the image and its feature map.
    pub outside: Vec<f32>,
    /// `[mean | variance] → C`.
    pub start: Option<Packed>,
    /// The blocks.
    pub blocks: Vec<BlockWeights>,
    /// `C → 3`, with the last normalisation's gain and bias: `[C, 3]` and `[3]`.
    pub rgb: (Vec<f32>, [f32; 3]),
    /// The blending head.
    pub blend: Option<BlendWeights>,
}

/// Weights of one pair of blocks.
#[derive(Clone, Debug)]
pub struct BlockWeights {
    /// Attention over views.
    pub view: View,
    /// Feed-forward part of the view block.
    pub view_ff: Mlp,
    /// Position layer of even blocks.
    pub position: Option<PositionWeights>,
    /// Attention along the ray.
    pub along: Along,
    /// Feed-forward part of the ray block.
    pub ray_ff: Mlp,
}

/// Weights of a position layer.
#[derive(Clone, Debug)]
pub struct PositionWeights {
    /// `C → C`, with the bias.
    pub state: Matrix,
    /// Encoding of the sample `→ C`.
    pub sample: Packed,
    /// Encoding of the ray's direction, `[E, C]`; empty where the encoding has no such part.
    pub ray: Vec<f32>,
    /// `C → C`.
    pub fc2: Matrix,
}

/// Weights of the blending head.
#[derive(Clone, Debug)]
pub struct BlendWeights {
    /// `H + C + 4 → K`: hidden direction (zero), token, relative direction; with the bias.
    pub token: Packed,
    /// `C → K`.
    pub state: Packed,
    /// `[K]`.
    pub view: Vec<f32>,
    /// `[C]` and a constant that cancels in the softmax.
    pub ray: Vec<f32>,
}

impl Weights {
    /// Packs the folded parameters of `model`.
    pub fn new(precision: Precision, model: &Model, folded: &[f32]) -> Self {
        let (net, c) = (&model.net, model.config.width);
        let h = model.config.attention_hidden;
        let mut colour = net.token_colour.weight.of(folded).to_vec();
        colour.extend_from_slice(bias(&net.token_colour, folded));
        let mut outside = vec![0.0; c];
        let hidden: Vec<f32> = bias(&net.token_colour, folded).iter().map(|b| b.max(0.0)).collect();
        net.token_fc2.forward(folded, &hidden, &mut outside, false);
        let rgb = with_norm(&net.norm, &net.rgb, folded);
        let blend = net.blend.as_ref().map(|b| {
            let k = b.token.outputs;
            let mut token = vec![0.0; h * k];
            token.extend_from_slice(b.token.weight.of(folded));
            token.extend_from_slice(b.direction.weight.of(folded));
            let (state, constant) = with_norm(&net.norm, &b.state, folded);
            let token_bias: Vec<f32> = bias(&b.token, folded).iter().zip(&constant).map(|(a, b)| a + b).collect();
            BlendWeights {
                token: Packed::new(&token, Some(&token_bias), h + c + 4, k),
                state: Packed::new(&state, None, c, k),
                view: b.view.weight.of(folded).to_vec(),
                ray: with_norm(&net.norm, &b.ray, folded).0,
            }
        });
        Self {
            map: plain(&net.token_features, folded),
            colour,
            token: plain(&net.token_fc2, folded),
            outside,
            start: net.start.as_ref().map(|s| plain(s, folded)),
            blocks: net.blocks.iter().map(|b| BlockWeights::new(precision, b, folded, model)).collect(),
            rgb: (rgb.0, [rgb.1[0], rgb.1[1], rgb.1[2]]),
            blend,
        }
    }
}

impl BlockWeights {
    fn new(precision: Precision, block: &Block, folded: &[f32], model: &Model) -> Self {
        let config = &model.config;
        Self {
            view: View::new(precision, config, &block.view, folded),
            view_ff: Mlp::new(precision, config, &block.view_ff, folded),
            position: block.position.as_ref().map(|p| PositionWeights::new(precision, p, folded, model)),
            along: Along::new(precision, config, &block.ray, folded),
            ray_ff: Mlp::new(precision, config, &block.ray_ff, folded),
        }
    }
}

impl PositionWeights {
    fn new(precision: Precision, layer: &PositionLayer, folded: &[f32], model: &Model) -> Self {
        let c = model.config.width;
        let encoding = layer.encoding.weight.of(folded);
        let sample = model.config.position.sample_channels();
        let (of_sample, of_ray) = encoding.split_at(sample * c);
        Self {
            state: Matrix::of(precision, false, &layer.state, folded),
            sample: Packed::new(of_sample, None, sample, c),
            ray: of_ray.to_vec(),
            fc2: Matrix::of(precision, false, &layer.fc2, folded),
        }
    }
}

/// The layer's bias; empty if it has none.
pub fn bias<'a>(layer: &Linear, folded: &'a [f32]) -> &'a [f32] {
    layer.bias.map_or(&[], |b| b.of(folded))
}

fn plain(layer: &Linear, folded: &[f32]) -> Packed {
    Packed::new(layer.weight.of(folded), layer.bias.map(|b| b.of(folded)), layer.inputs, layer.outputs)
}
