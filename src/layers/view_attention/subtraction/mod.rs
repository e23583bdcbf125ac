//! Subtraction attention of each sample over the source views that see it (GNT's view transformer), pre-norm and
//! residual, in its exactly folded form.
//!
//! As published, with `x = norm(q)`: `K = Wk·tok`, `V = Wv·K`, `P = pos(direction)`, logits `= A2·relu(A0·(K − Wq·x + P))`,
//! softmax over views per channel, `q += out(Σ (V + P)·weights)`. All maps before the ReLU are linear, so one matrix
//! `mix` takes a token and the hidden layer of `pos` to the value and to the hidden layer of the logits, and one small
//! matrix `query` takes `x` there. `K`, `P` and the query itself are never formed.

pub mod cuda;
pub mod engine;
pub mod ray_kernel;
mod train;

pub use train::{SubtractionAttentionScratch, SubtractionAttentionTape};

use crate::Slot;
use crate::builder::{BlockShape, Builder};
use crate::folding::{Fold, Place};
use crate::layer_norm::LayerNorm;
use crate::linear::{Linear, LinearKind};
use crate::operations::{Part, RaySize, Step, elementwise, linear};

/// The folded view attention; `C` channels, `H` hidden channels of its two small MLPs.
#[derive(Clone, Copy, Debug)]
pub struct SubtractionAttention {
    /// Normalisation of the sample's state.
    pub norm: LayerNorm,
    /// Relative direction `4 → H`, followed by a ReLU.
    pub direction: Linear,
    /// `C + H → C + H`: rows are a token and the hidden direction; columns are the value and the hidden logits.
    pub mix: Linear,
    /// `C → H`, subtracted from the hidden logits.
    pub query: Linear,
    /// `H → C`; its bias would cancel in the softmax.
    pub logits: Linear,
    /// `C → C`.
    pub out: Linear,
    /// Parameters from which the above are folded.
    pub original: SubtractionParameters,
}

/// Places of the published layer's weights in the vector of parameters, each `[outputs, inputs]`.
#[derive(Clone, Copy, Debug)]
pub struct SubtractionParameters {
    /// `Wq`, `C → C`.
    pub query: Slot,
    /// `Wk`, `C → C`.
    pub key: Slot,
    /// `Wv`, `C → C`.
    pub value: Slot,
    /// Second layer of `pos`, `H → C`.
    pub position: Slot,
    /// Its bias.
    pub position_bias: Slot,
    /// Last projection, `C → C`.
    pub out: Slot,
}

impl SubtractionAttention {
    /// Registers the parameters under `{name}.` and folds them.
    pub fn build(b: &mut Builder, name: &str, norm: LayerNorm, shape: &BlockShape) -> Self {
        let BlockShape { width: c, attention_hidden: h, .. } = *shape;
        let query = b.weight(&format!("{name}.q_fc"), c, c);
        let key = b.weight(&format!("{name}.k_fc"), c, c);
        let value = b.weight(&format!("{name}.v_fc"), c, c);
        let direction = b.linear(&format!("{name}.pos_fc.0"), 4, h, true);
        let position = b.weight(&format!("{name}.pos_fc.2"), c, h);
        let position_bias = b.bias(&format!("{name}.pos_fc.2"), c, h);
        let hidden_weight = b.weight(&format!("{name}.attn_fc.0"), h, c);
        let hidden_bias = b.bias(&format!("{name}.attn_fc.0"), h, c);
        let logits_weight = b.weight(&format!("{name}.attn_fc.2"), c, h);
        // The bias of the logits is the same for all views of a channel and cancels in the softmax: no fold reads it.
        b.bias(&format!("{name}.attn_fc.2"), c, h);
        let (out_weight, out_bias) =
            (b.weight(&format!("{name}.out_fc"), c, c), b.bias(&format!("{name}.out_fc"), c, c));
        let out = b.fold_linear(&format!("{name}.out_fc"), out_weight, Some(out_bias), c, c, LinearKind::Dense);

        let mix = Linear::new(&mut b.folded, &format!("{name}.mix"), c + h, c + h, true);
        let query_hidden = Linear::new(&mut b.folded, &format!("{name}.query"), c, h, false);
        let logits = Linear::new(&mut b.folded, &format!("{name}.logits"), h, c, false);
        let bias = mix.bias.expect("made with a bias");
        let mix_at = |row, column| Place::at(mix.weight, c + h, row, column);
        b.folds.extend([
            Fold::product(value, key, c, c, c, mix_at(0, 0)),
            Fold::product(hidden_weight, key, h, c, c, mix_at(0, c)),
            Fold::transpose(position, c, h, mix_at(c, 0)),
            Fold::product(hidden_weight, position, h, c, h, mix_at(c, c)),
            Fold::bias(position_bias, Place::at(bias, c + h, 0, 0)),
            Fold::bias(hidden_bias, Place::at(bias, c + h, 0, c)),
            Fold::product(hidden_weight, position_bias, h, c, 1, Place::at(bias, c + h, 0, c)),
            Fold::product(hidden_weight, query, h, c, c, Place::start(query_hidden.weight, h)),
            Fold::transpose(logits_weight, c, h, Place::start(logits.weight, c)),
        ]);
        let original = SubtractionParameters { query, key, value, position, position_bias, out: out_weight };
        Self { norm, direction, mix, query: query_hidden, logits, out, original }
    }
}

/// View attention by subtraction as it is published: keys, values, positions and the small MLP apart.
pub fn plain_operations(shape: &BlockShape, ray: RaySize) -> Vec<Step> {
    let [c, _, _, h] = shape.sizes();
    let pair = |inputs, outputs| linear(Part::ViewAttention, LinearKind::Dense, ray.pairs(), inputs, outputs);
    let sample = |inputs, outputs| linear(Part::ViewLinear, LinearKind::Dense, ray.samples, inputs, outputs);
    let blend = elementwise(Part::ViewAttention, ray.pairs() * c);
    let keys_values = [pair(c, c); 2];
    let logits = [pair(4, h), pair(h, c), pair(c, h), pair(h, c)];
    [&keys_values[..], &logits, &[blend, sample(c, c), sample(c, c)]].concat()
}

/// View attention by subtraction, folded: token and hidden direction become value and hidden logits in one product.
pub fn operations(shape: &BlockShape, ray: RaySize) -> Vec<Step> {
    let [c, _, _, h] = shape.sizes();
    let pair = |inputs, outputs| linear(Part::ViewAttention, LinearKind::Dense, ray.pairs(), inputs, outputs);
    let sample = |inputs, outputs| linear(Part::ViewLinear, LinearKind::Dense, ray.samples, inputs, outputs);
    let blend = elementwise(Part::ViewAttention, ray.pairs() * c);
    vec![pair(4, h), pair(c + h, c + h), pair(h, c), blend, sample(c, h), sample(c, c)]
}
