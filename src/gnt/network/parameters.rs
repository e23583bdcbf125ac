//! Parameters of the transformer as checkpoints name them, and the folded network made from them.
//!
//! Names are those of the official code: `view_crosstrans` is the view transformer, `view_selftrans` the ray
//! transformer. Shapes are PyTorch's, `[outputs, inputs]`.

use super::folding::{Fold, Place};
use crate::config::{Config, Head, Position, Start};
use layers::feed_forward::FeedForward;
use layers::layer_norm::LayerNorm;
use layers::linear::Linear;
use layers::ray_attention::RayAttention;
use layers::view_attention::ViewAttention;
use layers::{Init, Layout, Slot};

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
}

struct Builder<'a> {
    params: &'a mut Layout,
    folded: Layout,
    folds: Vec<Fold>,
}

impl Builder<'_> {
    fn param(&mut self, name: &str, shape: &[usize], fan_in: usize) -> Slot {
        self.params.add(format!("net_coarse.{name}"), shape, Init::fan_in(fan_in))
    }

    fn weight(&mut self, name: &str, outputs: usize, inputs: usize) -> Slot {
        self.param(&format!("{name}.weight"), &[outputs, inputs], inputs)
    }

    fn bias(&mut self, name: &str, outputs: usize, inputs: usize) -> Slot {
        self.param(&format!("{name}.bias"), &[outputs], inputs)
    }

    /// A linear layer that is folded by transposition alone.
    fn linear(&mut self, name: &str, inputs: usize, outputs: usize, bias: bool) -> Linear {
        let weight = self.weight(name, outputs, inputs);
        let bias = bias.then(|| self.bias(name, outputs, inputs));
        self.fold_linear(name, weight, bias, inputs, outputs)
    }

    fn fold_linear(&mut self, name: &str, weight: Slot, bias: Option<Slot>, inputs: usize, outputs: usize) -> Linear {
        let layer = Linear::new(&mut self.folded, name, inputs, outputs, bias.is_some());
        self.folds.push(Fold::transpose(weight, outputs, inputs, Place::start(layer.weight, outputs)));
        if let (Some(from), Some(to)) = (bias, layer.bias) {
            self.folds.push(Fold::bias(from, Place::start(to, outputs)));
        }
        layer
    }

    fn norm(&mut self, name: &str, width: usize, eps: f32) -> LayerNorm {
        let gain = self.params.add(format!("net_coarse.{name}.weight"), &[width], Init::Ones);
        let bias = self.params.add(format!("net_coarse.{name}.bias"), &[width], Init::Zeros);
        let layer = LayerNorm::new(&mut self.folded, name, width, eps);
        self.folds.push(Fold::bias(gain, Place::start(layer.gain, width)));
        self.folds.push(Fold::bias(bias, Place::start(layer.bias, width)));
        layer
    }

    fn feed_forward(&mut self, name: &str, norm: LayerNorm, width: usize, ratio: usize) -> FeedForward {
        let fc1 = self.linear(&format!("{name}.ff.fc1"), width, width * ratio, true);
        let fc2 = self.linear(&format!("{name}.ff.fc2"), width * ratio, width, true);
        FeedForward { norm, fc1, fc2 }
    }

    fn ray_block(&mut self, i: usize, config: &Config) -> (RayAttention, FeedForward) {
        let (c, name) = (config.width, format!("view_selftrans.{i}"));
        let norm = self.norm(&format!("{name}.attn_norm"), c, BLOCK_EPS);
        let ff_norm = self.norm(&format!("{name}.ff_norm"), c, BLOCK_EPS);
        let ff = self.feed_forward(&name, ff_norm, c, config.mlp_ratio);
        let qkv = Linear::new(&mut self.folded, &format!("{name}.qkv"), c, 3 * c, false);
        // The factor 1/sqrt(d) of the scores goes into the queries.
        let scale = 1.0 / ((c / config.heads) as f32).sqrt();
        for (part, (key, scale)) in [("q_fc", scale), ("k_fc", 1.0), ("v_fc", 1.0)].into_iter().enumerate() {
            let from = self.weight(&format!("{name}.attn.{key}"), c, c);
            let to = Place::at(qkv.weight, 3 * c, 0, part * c);
            self.folds.push(Fold::Transpose { from, columns: c, first: 0, outputs: c, inputs: c, scale, to });
        }
        let out = self.linear(&format!("{name}.attn.out_fc"), c, c, true);
        (RayAttention { norm, qkv, out, heads: config.heads }, ff)
    }

    fn view_block(&mut self, i: usize, config: &Config) -> (ViewAttention, FeedForward) {
        let (c, h, name) = (config.width, config.attention_hidden, format!("view_crosstrans.{i}"));
        let norm = self.norm(&format!("{name}.attn_norm"), c, BLOCK_EPS);
        let ff_norm = self.norm(&format!("{name}.ff_norm"), c, BLOCK_EPS);
        let ff = self.feed_forward(&name, ff_norm, c, config.mlp_ratio);
        let attn = format!("{name}.attn");
        let q = self.weight(&format!("{attn}.q_fc"), c, c);
        let k = self.weight(&format!("{attn}.k_fc"), c, c);
        let v = self.weight(&format!("{attn}.v_fc"), c, c);
        let direction = self.linear(&format!("{attn}.pos_fc.0"), 4, h, true);
        let pos_weight = self.weight(&format!("{attn}.pos_fc.2"), c, h);
        let pos_bias = self.bias(&format!("{attn}.pos_fc.2"), c, h);
        let hidden_weight = self.weight(&format!("{attn}.attn_fc.0"), h, c);
        let hidden_bias = self.bias(&format!("{attn}.attn_fc.0"), h, c);
        let logits_weight = self.weight(&format!("{attn}.attn_fc.2"), c, h);
        // The bias of the logits is the same for all views of a channel and cancels in the softmax: no fold reads it.
        self.bias(&format!("{attn}.attn_fc.2"), c, h);
        let out = self.linear(&format!("{attn}.out_fc"), c, c, true);

        let mix = Linear::new(&mut self.folded, &format!("{attn}.mix"), c + h, c + h, true);
        let query = Linear::new(&mut self.folded, &format!("{attn}.query"), c, h, false);
        let logits = Linear::new(&mut self.folded, &format!("{attn}.logits"), h, c, false);
        let bias = mix.bias.expect("made with a bias");
        let mix_at = |row, column| Place::at(mix.weight, c + h, row, column);
        self.folds.extend([
            Fold::product(v, k, c, c, c, mix_at(0, 0)),
            Fold::product(hidden_weight, k, h, c, c, mix_at(0, c)),
            Fold::transpose(pos_weight, c, h, mix_at(c, 0)),
            Fold::product(hidden_weight, pos_weight, h, c, h, mix_at(c, c)),
            Fold::bias(pos_bias, Place::at(bias, c + h, 0, 0)),
            Fold::bias(hidden_bias, Place::at(bias, c + h, 0, c)),
            Fold::product(hidden_weight, pos_bias, h, c, 1, Place::at(bias, c + h, 0, c)),
            Fold::product(hidden_weight, q, h, c, c, Place::start(query.weight, h)),
            Fold::transpose(logits_weight, c, h, Place::start(logits.weight, c)),
        ]);
        (ViewAttention { norm, direction, mix, query, logits, out }, ff)
    }

    fn position_layer(&mut self, i: usize, c: usize, position: Position) -> PositionLayer {
        let (e, name) = (position.channels(), format!("q_fcs.{i}"));
        let weight = self.weight(&format!("{name}.0"), c, c + e);
        let bias = self.bias(&format!("{name}.0"), c, c + e);
        let state = Linear::new(&mut self.folded, &format!("{name}.state"), c, c, true);
        let encoding = Linear::new(&mut self.folded, &format!("{name}.encoding"), e, c, false);
        for (layer, first) in [(state, 0), (encoding, c)] {
            self.folds.push(Fold::Transpose {
                from: weight,
                columns: c + e,
                first,
                outputs: c,
                inputs: layer.inputs,
                scale: 1.0,
                to: Place::start(layer.weight, c),
            });
        }
        self.folds.push(Fold::bias(bias, Place::start(state.bias.expect("made with a bias"), c)));
        let fc2 = self.linear(&format!("{name}.2"), c, c, true);
        PositionLayer { state, encoding, fc2 }
    }
}

/// Added to the variance by the normalisations inside blocks; the last one uses PyTorch's default instead.
pub const BLOCK_EPS: f32 = 1e-6;
/// Added to the variance by the last normalisation.
pub const LAST_EPS: f32 = 1e-5;

impl Folded {
    /// Registers the transformer's parameters in `params`, in the official order, and builds the folded network.
    pub fn new(config: &Config, params: &mut Layout) -> Self {
        let (c, f) = (config.width, config.features.channels);
        let mut b = Builder { params, folded: Layout::new(), folds: Vec::new() };

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
                to: Place::start(layer.weight, c),
            });
        }
        b.folds.push(Fold::bias(token_bias, Place::start(token_colour.bias.expect("made with a bias"), c)));
        let token_fc2 = b.linear("rgbfeat_fc.2", c, c, true);

        let rays: Vec<_> = (0..config.depth).map(|i| b.ray_block(i, config)).collect();
        let views: Vec<_> = (0..config.depth).map(|i| b.view_block(i, config)).collect();
        let positions: Vec<_> =
            (0..config.depth).map(|i| (i % 2 == 0).then(|| b.position_layer(i, c, config.position))).collect();
        let blocks = rays
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
                let weight = b.params.add("net_coarse.rgb_fc.weight", &[3, c], Init::Zeros);
                let bias = b.params.add("net_coarse.rgb_fc.bias", &[3], Init::Zeros);
                b.fold_linear("rgb_fc", weight, Some(bias), c, 3)
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
        let Builder { folded: layout, folds, .. } = b;
        Self { layout, folds, token_features, token_colour, token_fc2, start, blocks, norm, rgb, blend }
    }
}
