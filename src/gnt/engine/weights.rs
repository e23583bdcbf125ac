//! The folded network packed for the engine's kernels. Gains and biases of the normalisations go into the matrices that
//! follow them, which is exact: `W·(n∘g + b) = (g∘W)·n + W·b`.

use crate::Model;
use crate::network::parameters::{Block, PositionLayer};
use layers::feed_forward::FeedForward;
use layers::layer_norm::LayerNorm;
use layers::linear::Linear;
use layers::ray_attention::RayAttention;
use layers::view_attention::ViewAttention;
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
    pub view: ViewWeights,
    /// Feed-forward part of the view block.
    pub view_ff: [Packed; 2],
    /// Position layer of even blocks.
    pub position: Option<PositionWeights>,
    /// Queries, keys and values.
    pub qkv: Packed,
    /// Output of the ray attention.
    pub ray_out: Packed,
    /// Feed-forward part of the ray block.
    pub ray_ff: [Packed; 2],
}

/// Weights of an attention over views.
#[derive(Clone, Debug)]
pub struct ViewWeights {
    /// `[5, H]`: four rows and the bias of the relative direction's layer.
    pub direction: Vec<f32>,
    /// `H + C → C + H`; here the hidden direction comes before the token.
    pub mix: Packed,
    /// `C → H`.
    pub query: Packed,
    /// `[H, C]`.
    pub logits: Vec<f32>,
    /// `C → C`.
    pub out: Packed,
}

/// Weights of a position layer.
#[derive(Clone, Debug)]
pub struct PositionWeights {
    /// `C → C`, with the bias.
    pub state: Packed,
    /// Encoding of the sample `→ C`.
    pub sample: Packed,
    /// Encoding of the ray's direction, `[E, C]`; empty where the encoding has no such part.
    pub ray: Vec<f32>,
    /// `C → C`.
    pub fc2: Packed,
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
    pub fn new(model: &Model, folded: &[f32]) -> Self {
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
            blocks: net.blocks.iter().map(|b| BlockWeights::new(b, folded, model)).collect(),
            rgb: (rgb.0, [rgb.1[0], rgb.1[1], rgb.1[2]]),
            blend,
        }
    }
}

impl BlockWeights {
    fn new(block: &Block, folded: &[f32], model: &Model) -> Self {
        let RayAttention { norm, qkv, out, .. } = &block.ray;
        Self {
            view: ViewWeights::new(&block.view, folded),
            view_ff: feed_forward(&block.view_ff, folded),
            position: block.position.as_ref().map(|p| PositionWeights::new(p, folded, model)),
            qkv: normed(norm, qkv, folded),
            ray_out: plain(out, folded),
            ray_ff: feed_forward(&block.ray_ff, folded),
        }
    }
}

impl ViewWeights {
    fn new(view: &ViewAttention, folded: &[f32]) -> Self {
        let (c, h) = (view.out.inputs, view.query.outputs);
        let mut direction = view.direction.weight.of(folded).to_vec();
        direction.extend_from_slice(bias(&view.direction, folded));
        let (tokens, hidden) = view.mix.weight.of(folded).split_at(c * (c + h));
        let mix = [hidden, tokens].concat();
        // The query is subtracted, so the constant that its normalisation adds is subtracted from the bias.
        let (query, constant) = with_norm(&view.norm, &view.query, folded);
        let mut mix_bias = bias(&view.mix, folded).to_vec();
        mix_bias[c..].iter_mut().zip(&constant).for_each(|(b, q)| *b -= q);
        Self {
            direction,
            mix: Packed::new(&mix, Some(&mix_bias), h + c, c + h),
            query: Packed::new(&query, None, c, h),
            logits: view.logits.weight.of(folded).to_vec(),
            out: plain(&view.out, folded),
        }
    }
}

impl PositionWeights {
    fn new(layer: &PositionLayer, folded: &[f32], model: &Model) -> Self {
        let c = model.config.width;
        let encoding = layer.encoding.weight.of(folded);
        let sample = model.config.position.sample_channels();
        let (of_sample, of_ray) = encoding.split_at(sample * c);
        Self {
            state: plain(&layer.state, folded),
            sample: Packed::new(of_sample, None, sample, c),
            ray: of_ray.to_vec(),
            fc2: plain(&layer.fc2, folded),
        }
    }
}

fn bias<'a>(layer: &Linear, folded: &'a [f32]) -> &'a [f32] {
    layer.bias.map_or(&[], |b| b.of(folded))
}

fn plain(layer: &Linear, folded: &[f32]) -> Packed {
    Packed::new(layer.weight.of(folded), layer.bias.map(|b| b.of(folded)), layer.inputs, layer.outputs)
}

fn normed(norm: &LayerNorm, layer: &Linear, folded: &[f32]) -> Packed {
    let (weight, bias) = with_norm(norm, layer, folded);
    Packed::new(&weight, Some(&bias), layer.inputs, layer.outputs)
}

fn feed_forward(ff: &FeedForward, folded: &[f32]) -> [Packed; 2] {
    [normed(&ff.norm, &ff.fc1, folded), plain(&ff.fc2, folded)]
}

/// Weight and bias of a layer that follows a normalisation, with its gain and bias taken in.
fn with_norm(norm: &LayerNorm, layer: &Linear, folded: &[f32]) -> (Vec<f32>, Vec<f32>) {
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
