//! Parameters of the transformer as checkpoints name them, and the folded network made from them.
//!
//! Names are those of the official code: `view_crosstrans` is the view transformer, `view_selftrans` the ray
//! transformer. Shapes are PyTorch's, `[outputs, inputs]`.

use crate::config::{Config, Head, Position, Start};
use layers::builder::Builder;
use layers::folding::{Fold, Place};
use layers::layer_norm::LayerNorm;
use layers::linear::Linear;
use layers::{FeedForward, Init, Layout, LinearKind, RayAttention, Slot, ViewAttention};

/// One view block, its position layer (even blocks) and one ray block.
#[derive(Clone, Copy, Debug)]
pub struct Block {
    /// Attention over source views.
    pub view: ViewAttention,
    /// Feed-forward part of the view block.
    pub view_ff: FeedForward,
    /// Joins state and position encoding; replaces the state.
    pub position: Option<PositionLayer>,
    /// Attention along the ray.
    pub ray: RayAttention,
    /// Feed-forward part of the ray block.
    pub ray_ff: FeedForward,
}

/// `fc2(relu(state · W_s + encoding · W_e + b))` (upstream's `q_fcs`).
#[derive(Clone, Copy, Debug)]
pub struct PositionLayer {
    /// `C → C`, with the bias.
    pub state: Linear,
    /// `encoding → C`.
    pub encoding: Linear,
    /// `C → C`.
    pub fc2: Linear,
}

/// Layers of [`Head::Blend`].
#[derive(Clone, Copy, Debug)]
pub struct BlendLayers {
    /// Token `C → K`, with the bias.
    pub token: Linear,
    /// Normalised state `C → K`.
    pub state: Linear,
    /// Relative direction `4 → K`.
    pub direction: Linear,
    /// `K → 1`: the view's logit.
    pub view: Linear,
    /// `C → 1`: the sample's logit along the ray.
    pub ray: Linear,
}

/// The folded network: layers whose slots point into the folded vector, matrices stored `[inputs, outputs]`.
#[derive(Clone, Debug)]
pub struct Folded {
    /// Names and places of the folded values.
    pub layout: Layout,
    /// How they come from the parameters.
    pub folds: Vec<Fold>,
    /// Feature channels `→ C` of `rgbfeat_fc.0`, applied to the feature maps before they are sampled.
    pub token_features: Linear,
    /// Colour `3 → C` of `rgbfeat_fc.0`, with its bias.
    pub token_colour: Linear,
    /// `rgbfeat_fc.2`.
    pub token_fc2: Linear,
    /// `[mean | variance] → C` of [`Start::Stats`].
    pub start: Option<Linear>,
    /// The blocks.
    pub blocks: Vec<Block>,
    /// Last normalisation.
    pub norm: LayerNorm,
    /// `C → 3`.
    pub rgb: Linear,
    /// Layers of [`Head::Blend`].
    pub blend: Option<BlendLayers>,
    /// Whether some layer reads keys at the pixels of the feature map.
    pub reads_keys: bool,
    /// Whether samples are told which views they are hidden from.
    pub visibility: bool,
}

/// Added to the variance by the normalisations inside blocks; the last one uses PyTorch's default instead.
pub const BLOCK_EPS: f32 = 1e-6;
/// Added to the variance by the last normalisation.
pub const LAST_EPS: f32 = 1e-5;

/// A parameter that is rounded to signed powers of two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShiftWeight {
    /// `[outputs, inputs]`.
    pub slot: Slot,
    /// Columns.
    pub inputs: usize,
    /// Bits of its format, see [`layers::shift`].
    pub bits: u8,
}

impl Folded {
    /// The parameters of all shift layers.
    pub fn shift_weights(&self) -> impl Iterator<Item = ShiftWeight> {
        self.folds.iter().filter_map(|fold| match *fold {
            Fold::Transpose { from, columns, kind: LinearKind::Shift { bits }, .. } => {
                Some(ShiftWeight { slot: from, inputs: columns, bits })
            }
            _ => None,
        })
    }

    /// Registers the transformer's parameters in `params`, in the official order, and builds the folded network.
    pub fn new(config: &Config, params: &mut Layout) -> Self {
        let (c, f) = (config.width, config.features.channels);
        let mut b = Builder::new(params, "net_coarse.");

        let token_weight = b.weight("rgbfeat_fc.0", c, 3 + f);
        let token_bias = b.bias("rgbfeat_fc.0", c, 3 + f);
        let token_colour = Linear::new(&mut b.folded, "rgbfeat_fc.colour", 3, c, true);
        let token_features = Linear::new(&mut b.folded, "rgbfeat_fc.features", f, c, false);
        for (layer, first) in [(token_colour, 0), (token_features, 3)] {
            b.folds.push(Fold::Transpose {
                from: token_weight,
                columns: 3 + f,
                first,
                outputs: c,
                inputs: layer.inputs,
                scale: 1.0,
                kind: LinearKind::Dense,
                to: Place::start(layer.weight, c),
            });
        }
        b.folds.push(Fold::bias(token_bias, Place::start(token_colour.bias.expect("made with a bias"), c)));
        let token_fc2 = b.linear("rgbfeat_fc.2", c, c, true);

        // The order of the official checkpoints: all ray blocks, all view blocks, all position layers.
        let rays: Vec<_> = (0..config.depth).map(|i| ray_block(&mut b, i, config)).collect();
        let views: Vec<_> = (0..config.depth).map(|i| view_block(&mut b, i, config)).collect();
        let positions: Vec<_> = (0..config.depth)
            .map(|i| (i % 2 == 0).then(|| PositionLayer::build(&mut b, &format!("q_fcs.{i}"), c, config.position)))
            .collect();
        let blocks: Vec<Block> = rays
            .into_iter()
            .zip(views)
            .zip(positions)
            .map(|(((ray, ray_ff), (view, view_ff)), position)| Block { view, view_ff, position, ray, ray_ff })
            .collect();
        let norm = b.norm("norm", c, LAST_EPS);
        let rgb = match config.head {
            Head::Mean => b.linear("rgb_fc", c, 3, true),
            // The correction of blended colours starts at nothing.
            Head::Blend => {
                let weight = b.param("rgb_fc.weight", &[3, c], Init::Zeros);
                let bias = b.param("rgb_fc.bias", &[3], Init::Zeros);
                b.fold_linear("rgb_fc", weight, Some(bias), c, 3, LinearKind::Dense)
            }
        };
        let start = (config.start == Start::Stats).then(|| b.linear("start", 2 * c, c, true));
        let blend = (config.head == Head::Blend).then(|| {
            let k = c / 2;
            BlendLayers {
                token: b.linear("blend.token", c, k, true),
                state: b.linear("blend.state", c, k, false),
                direction: b.linear("blend.direction", 4, k, false),
                view: b.linear("blend.view", k, 1, false),
                ray: b.linear("blend.ray", c, 1, false),
            }
        });
        let reads_keys = blocks.iter().any(|block: &Block| block.view.reads_keys());
        let Builder { folded: layout, folds, .. } = b;
        let visibility = config.visibility;
        Self {
            layout,
            folds,
            token_features,
            token_colour,
            token_fc2,
            start,
            blocks,
            norm,
            rgb,
            blend,
            reads_keys,
            visibility,
        }
    }
}

/// The attention along the ray of block `i` and its feed-forward part.
fn ray_block(b: &mut Builder, i: usize, config: &Config) -> (RayAttention, FeedForward) {
    let (name, shape) = (format!("view_selftrans.{i}"), config.block_shape());
    let norm = b.norm(&format!("{name}.attn_norm"), config.width, BLOCK_EPS);
    let ff_norm = b.norm(&format!("{name}.ff_norm"), config.width, BLOCK_EPS);
    let ff = FeedForward::build(b, &name, ff_norm, &shape, config.mlp);
    (RayAttention::build(b, &format!("{name}.attn"), norm, &shape, config.ray_attention), ff)
}

/// The attention over source views of block `i` and its feed-forward part.
fn view_block(b: &mut Builder, i: usize, config: &Config) -> (ViewAttention, FeedForward) {
    let (name, shape) = (format!("view_crosstrans.{i}"), config.block_shape());
    let norm = b.norm(&format!("{name}.attn_norm"), config.width, BLOCK_EPS);
    let ff_norm = b.norm(&format!("{name}.ff_norm"), config.width, BLOCK_EPS);
    let ff = FeedForward::build(b, &name, ff_norm, &shape, config.mlp);
    (ViewAttention::build(b, &format!("{name}.attn"), norm, &shape, config.view_attention), ff)
}

impl PositionLayer {
    /// Registers `{name}.0` and `{name}.2`; the first is folded in two, for the state and for the encoding.
    fn build(b: &mut Builder, name: &str, c: usize, position: Position) -> Self {
        let e = position.channels();
        let weight = b.weight(&format!("{name}.0"), c, c + e);
        let bias = b.bias(&format!("{name}.0"), c, c + e);
        let state = Linear::new(&mut b.folded, &format!("{name}.state"), c, c, true);
        let encoding = Linear::new(&mut b.folded, &format!("{name}.encoding"), e, c, false);
        for (layer, first) in [(state, 0), (encoding, c)] {
            b.folds.push(Fold::Transpose {
                from: weight,
                columns: c + e,
                first,
                outputs: c,
                inputs: layer.inputs,
                scale: 1.0,
                kind: LinearKind::Dense,
                to: Place::start(layer.weight, c),
            });
        }
        b.folds.push(Fold::bias(bias, Place::start(state.bias.expect("made with a bias"), c)));
        let fc2 = b.linear(&format!("{name}.2"), c, c, true);
        Self { state, encoding, fc2 }
    }
}
