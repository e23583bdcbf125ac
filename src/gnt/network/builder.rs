//! Registers layers twice: as checkpoints name them, and folded, with the steps from one to the other.

use super::folding::{Fold, Place};
use super::parameters::{BLOCK_EPS, MlpLayer, PositionLayer, RayLayer, ViewLayer};
use crate::config::{Config, MlpKind, Position, RayAttentionKind, ViewAttentionKind, Weights};
use layers::experts::{Expert, Experts};
use layers::feed_forward::FeedForward;
use layers::hamming_ray_attention::HammingRayAttention;
use layers::hamming_view_attention::HammingViewAttention;
use layers::layer_norm::LayerNorm;
use layers::linear::Linear;
use layers::linear_angular::LinearAngular;
use layers::ray_attention::RayAttention;
use layers::view_attention::ViewAttention;
use layers::{Init, Layout, Slot};

pub(super) struct Builder<'a> {
    pub params: &'a mut Layout,
    pub folded: Layout,
    pub folds: Vec<Fold>,
}

impl Builder<'_> {
    fn param(&mut self, name: &str, shape: &[usize], fan_in: usize) -> Slot {
        self.params.add(format!("net_coarse.{name}"), shape, Init::fan_in(fan_in))
    }

    pub fn weight(&mut self, name: &str, outputs: usize, inputs: usize) -> Slot {
        self.param(&format!("{name}.weight"), &[outputs, inputs], inputs)
    }

    pub fn bias(&mut self, name: &str, outputs: usize, inputs: usize) -> Slot {
        self.param(&format!("{name}.bias"), &[outputs], inputs)
    }

    /// A dense linear layer that is folded by transposition alone.
    pub fn linear(&mut self, name: &str, inputs: usize, outputs: usize, bias: bool) -> Linear {
        self.shift_linear(name, inputs, outputs, bias, None)
    }

    /// A linear layer whose weights are rounded to powers of two where `bits` says how.
    fn shift_linear(&mut self, name: &str, inputs: usize, outputs: usize, bias: bool, bits: Option<u8>) -> Linear {
        let weight = self.weight(name, outputs, inputs);
        let bias = bias.then(|| self.bias(name, outputs, inputs));
        self.fold_linear(name, weight, bias, inputs, outputs, bits)
    }

    pub fn fold_linear(
        &mut self,
        name: &str,
        weight: Slot,
        bias: Option<Slot>,
        inputs: usize,
        outputs: usize,
        bits: Option<u8>,
    ) -> Linear {
        let layer = Linear::new(&mut self.folded, name, inputs, outputs, bias.is_some());
        let fold = Fold::transpose(weight, outputs, inputs, Place::start(layer.weight, outputs));
        self.folds.push(fold.shifted(bits));
        if let (Some(from), Some(to)) = (bias, layer.bias) {
            self.folds.push(Fold::bias(from, Place::start(to, outputs)));
        }
        layer
    }

    /// A parameter that the folded network reads as it is.
    fn copy(&mut self, name: &str, shape: &[usize], init: Init) -> Slot {
        let from = self.params.add(format!("net_coarse.{name}"), shape, init);
        let to = self.folded.add(name, shape, init);
        self.folds.push(Fold::bias(from, Place::start(to, to.len)));
        to
    }

    pub fn norm(&mut self, name: &str, width: usize, eps: f32) -> LayerNorm {
        let gain = self.copy(&format!("{name}.weight"), &[width], Init::Ones);
        let bias = self.copy(&format!("{name}.bias"), &[width], Init::Zeros);
        LayerNorm { gain, bias, width, eps }
    }

    fn mlp(&mut self, name: &str, norm: LayerNorm, config: &Config) -> MlpLayer {
        let (c, wide) = (config.width, config.width * config.mlp_ratio);
        let mut pair = |part: &str, bits| {
            let fc1 = self.shift_linear(&format!("{name}.{part}.fc1"), c, wide, true, bits);
            let fc2 = self.shift_linear(&format!("{name}.{part}.fc2"), wide, c, true, bits);
            (fc1, fc2)
        };
        match config.mlp {
            MlpKind::Dense => {
                let (fc1, fc2) = pair("ff", None);
                MlpLayer::Single(FeedForward { norm, fc1, fc2 })
            }
            MlpKind::Shift { bits } => {
                let (fc1, fc2) = pair("ff", Some(bits));
                MlpLayer::Single(FeedForward { norm, fc1, fc2 })
            }
            MlpKind::Experts { bits } => {
                let experts = [("mult", None), ("shift", Some(bits))].map(|(part, bits)| {
                    let (fc1, fc2) = pair(part, bits);
                    Expert { fc1, fc2 }
                });
                let router = self.linear(&format!("{name}.router"), c, 2, true);
                MlpLayer::Experts(Experts { norm, router, experts })
            }
        }
    }

    pub fn ray_block(&mut self, i: usize, config: &Config) -> (RayLayer, MlpLayer) {
        let (c, heads, name) = (config.width, config.heads, format!("view_selftrans.{i}"));
        let norm = self.norm(&format!("{name}.attn_norm"), c, BLOCK_EPS);
        let ff_norm = self.norm(&format!("{name}.ff_norm"), c, BLOCK_EPS);
        let ff = self.mlp(&name, ff_norm, config);
        let attn = format!("{name}.attn");
        let (bits, codes) = (shift_bits(config), config.ray_attention != RayAttentionKind::Softmax);
        let qkv = Linear::new(&mut self.folded, &format!("{name}.qkv"), c, 3 * c, codes);
        // The factor 1/sqrt(d) of the scores goes into the queries; codes have no use for it.
        let scale = if codes { 1.0 } else { 1.0 / ((c / heads) as f32).sqrt() };
        for (part, (key, scale)) in [("q_fc", scale), ("k_fc", 1.0), ("v_fc", 1.0)].into_iter().enumerate() {
            let from = self.weight(&format!("{attn}.{key}"), c, c);
            let to = Place::at(qkv.weight, 3 * c, 0, part * c);
            self.folds.push(Fold::Transpose { from, columns: c, first: 0, outputs: c, inputs: c, scale, bits, to });
            if let (Some(bias), true) = (qkv.bias, part < 2) {
                let from = self.params.add(format!("net_coarse.{attn}.{key}.bias"), &[c], Init::Zeros);
                self.folds.push(Fold::bias(from, Place::at(bias, 3 * c, 0, part * c)));
            }
        }
        let layer = match config.ray_attention {
            RayAttentionKind::Softmax => {
                let out = self.shift_linear(&format!("{attn}.out_fc"), c, c, true, bits);
                RayLayer::Softmax(RayAttention { norm, qkv, out, heads })
            }
            RayAttentionKind::Hamming => {
                let tau = self.copy(&format!("{attn}.tau"), &[heads], Init::Ones);
                let out = self.shift_linear(&format!("{attn}.out_fc"), c, c, true, bits);
                RayLayer::Hamming(HammingRayAttention { norm, qkv, tau, out, heads })
            }
            RayAttentionKind::LinearAngular { branch } => {
                let filter = branch.then(|| self.copy(&format!("{attn}.filter"), &[heads, 9], Init::fan_in(9)));
                let out = self.shift_linear(&format!("{attn}.out_fc"), c, c, true, bits);
                RayLayer::LinearAngular(LinearAngular { norm, qkv, filter, out, heads })
            }
        };
        (layer, ff)
    }

    pub fn view_block(&mut self, i: usize, config: &Config) -> (ViewLayer, MlpLayer) {
        let (c, name) = (config.width, format!("view_crosstrans.{i}"));
        let norm = self.norm(&format!("{name}.attn_norm"), c, BLOCK_EPS);
        let ff_norm = self.norm(&format!("{name}.ff_norm"), c, BLOCK_EPS);
        let ff = self.mlp(&name, ff_norm, config);
        let attn = format!("{name}.attn");
        let layer = match config.view_attention {
            ViewAttentionKind::Subtract => ViewLayer::Subtract(self.subtract_attention(&attn, norm, config)),
            ViewAttentionKind::Hamming => ViewLayer::Hamming(self.hamming_attention(&attn, norm, config)),
        };
        (layer, ff)
    }

    fn hamming_attention(&mut self, attn: &str, norm: LayerNorm, config: &Config) -> HammingViewAttention {
        let (c, h, heads, bits) = (config.width, config.attention_hidden, config.heads, shift_bits(config));
        HammingViewAttention {
            norm,
            query: self.shift_linear(&format!("{attn}.q_fc"), c, c, true, bits),
            key: self.shift_linear(&format!("{attn}.k_fc"), c, c, true, bits),
            direction: self.linear(&format!("{attn}.pos_fc.0"), 4, h, true),
            bias: self.linear(&format!("{attn}.head_fc"), h, heads, false),
            value: self.shift_linear(&format!("{attn}.v_fc"), c + h, c, false, bits),
            tau: self.copy(&format!("{attn}.tau"), &[heads], Init::Uniform(0.2)),
            out: self.shift_linear(&format!("{attn}.out_fc"), c, c, true, bits),
            heads,
        }
    }

    fn subtract_attention(&mut self, attn: &str, norm: LayerNorm, config: &Config) -> ViewAttention {
        let (c, h) = (config.width, config.attention_hidden);
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
        ViewAttention { norm, direction, mix, query, logits, out }
    }

    pub fn position_layer(&mut self, i: usize, c: usize, position: Position) -> PositionLayer {
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
                bits: None,
                to: Place::start(layer.weight, c),
            });
        }
        self.folds.push(Fold::bias(bias, Place::start(state.bias.expect("made with a bias"), c)));
        let fc2 = self.linear(&format!("{name}.2"), c, c, true);
        PositionLayer { state, encoding, fc2 }
    }
}

/// Bits of the attentions' linear layers, where they are shifts.
fn shift_bits(config: &Config) -> Option<u8> {
    match config.linears {
        Weights::Dense => None,
        Weights::Shift { bits } => Some(bits),
    }
}
