//! Hamming attention of each sample over the source views that see it, pre-norm and residual.
//!
//! The query code of the sample meets the key codes of its source views, one bit a channel and one weight a head. The
//! relative direction is an additive bias of each head's logit and a part of the value. Because a head has one weight a
//! view, blending comes before the value projection, which is then applied once a sample instead of once a view: exact,
//! for `Σ w·(W·t) = W·Σ w·t`.

pub mod cuda;
pub mod engine;
pub mod ray_kernel;
#[cfg(test)]
mod tests;
mod train;

pub use train::{HammingViewAttentionScratch, HammingViewAttentionTape};

use crate::builder::{BlockShape, Builder};
use crate::layer_norm::LayerNorm;
use crate::linear::{Linear, LinearKind};
use crate::operations::{Op, Part, RaySize, Step, linear, product, scores};
use crate::{Init, Slot};

/// `q += out(value(Σ_v softmax_v(tau · b_q · b_k + bias) · [token | hidden direction]))`; `C` channels, `H` hidden
/// channels of the direction.
#[derive(Clone, Copy, Debug)]
pub struct HammingViewAttention {
    /// Normalisation of the sample's state.
    pub norm: LayerNorm,
    /// `C → C`; its bias holds the codes' thresholds.
    pub query: Linear,
    /// `C → C`, applied to the token of the feature map's nearest pixel; its bias holds the codes' thresholds.
    pub key: Linear,
    /// Relative direction `4 → H`, followed by a ReLU.
    pub direction: Linear,
    /// `H → heads`: what the direction adds to each head's logit; a constant would cancel in the softmax.
    pub bias: Linear,
    /// `C + H → C`: head `h` reads its own blend and writes its own channels.
    pub value: Linear,
    /// `[heads]`: factor on the scores.
    pub tau: Slot,
    /// `C → C`.
    pub out: Linear,
    /// Number of heads; head `h` owns channels `h·d .. (h+1)·d`.
    pub heads: usize,
    /// Parameters from which the above are folded.
    pub original: HammingViewParameters,
}

/// Places in the vector of parameters of what a conversion from another attention sets; weights are `[outputs, inputs]`.
#[derive(Clone, Copy, Debug)]
pub struct HammingViewParameters {
    /// Weight and bias of the query, `C → C`.
    pub query: [Slot; 2],
    /// Weight and bias of the key, `C → C`.
    pub key: [Slot; 2],
    /// `H → heads`.
    pub bias: Slot,
    /// `C + H → C`.
    pub value: Slot,
    /// `[heads]`.
    pub tau: Slot,
    /// Bias of the last projection, `[C]`.
    pub out_bias: Slot,
}

impl HammingViewAttention {
    /// Registers the parameters under `{name}.` and folds them.
    pub fn build(b: &mut Builder, name: &str, norm: LayerNorm, shape: &BlockShape) -> Self {
        let BlockShape { width: c, attention_hidden: h, heads, linears, .. } = *shape;
        let (query, query_parameters) = b.linear_with_parameters(linears, &format!("{name}.q_fc"), c, c);
        let (key, key_parameters) = b.linear_with_parameters(linears, &format!("{name}.k_fc"), c, c);
        let direction = b.linear(&format!("{name}.pos_fc.0"), 4, h, true);
        let bias_weight = b.weight(&format!("{name}.head_fc"), heads, h);
        let bias = b.fold_linear(&format!("{name}.head_fc"), bias_weight, None, h, heads, LinearKind::Dense);
        let value_weight = b.weight(&format!("{name}.v_fc"), c, c + h);
        let value = b.fold_linear(&format!("{name}.v_fc"), value_weight, None, c + h, c, linears);
        let (tau_parameter, tau) = b.copy_with_parameter(&format!("{name}.tau"), &[heads], Init::Uniform(0.2));
        let (out, [_, out_bias]) = b.linear_with_parameters(linears, &format!("{name}.out_fc"), c, c);
        let original = HammingViewParameters {
            query: query_parameters,
            key: key_parameters,
            bias: bias_weight,
            value: value_weight,
            tau: tau_parameter,
            out_bias,
        };
        Self { norm, query, key, direction, bias, value, tau, out, heads, original }
    }
}

/// Hamming view attention: blending comes before the value projection, which is then applied once a sample, each head to
/// its own blend of tokens and hidden directions.
pub fn operations(shape: &BlockShape, ray: RaySize) -> Vec<Step> {
    let [c, heads, d, h] = shape.sizes();
    let (s, v) = (ray.samples, ray.views);
    let pair = |inputs, outputs| linear(Part::ViewAttention, LinearKind::Dense, ray.pairs(), inputs, outputs);
    let layer = |rows, inputs, outputs| linear(Part::ViewLinear, shape.linears, rows, inputs, outputs);
    let (query, key, out) = (layer(s, c, c), layer(0, c, c), layer(s, c, c));
    let blend = product(Part::ViewAttention, Op::Multiply, heads * s, v, c + h);
    let scores = scores(Part::ViewAttention, heads * s, d, v);
    let mut steps = vec![query, key, out, pair(4, h), pair(h, heads), scores, blend];
    steps.extend((0..heads).map(|_| layer(s, c + h, d)));
    steps
}
