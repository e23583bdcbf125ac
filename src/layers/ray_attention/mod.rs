//! Attention along the ray: each sample looks at the samples of its ray.
//!
//! Pre-norm and residual, `x += out(attention(norm(x)))`. A kind is a folder; this file has the choice between them, one
//! `match` a verb.

pub mod cuda;
pub mod engine;
pub mod hamming;
pub mod linear_angular;
mod projections;
pub mod ray_kernel;
pub mod reparam;
pub mod softmax;

use crate::builder::{BlockShape, Builder, Names};
use crate::folding::{Fold, Place};
use crate::layer_norm::LayerNorm;
use crate::linear::{Linear, LinearKind};
use crate::operations::{Part, RaySize, Step, linear};
use crate::{Init, Slot};
use hamming::{HammingRayAttention, HammingRayAttentionScratch, HammingRayAttentionTape};
use linear_angular::{LinearAngularAttention, LinearAngularAttentionScratch, LinearAngularAttentionTape};
use serde::{Deserialize, Serialize};
use softmax::{SoftmaxRayAttention, SoftmaxRayAttentionScratch, SoftmaxRayAttentionTape};

/// How a sample looks along its ray.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RayAttentionKind {
    /// Dot products and softmax (GNT).
    #[default]
    Softmax,
    /// Hamming distances of codes of one bit a channel, softmax over a table.
    Hamming,
    /// Linear-angular attention on codes (ShiftAddViT, Castling-ViT).
    LinearAngular {
        /// Whether a depthwise filter of nine samples over the values is added.
        branch: bool,
    },
}

impl RayAttentionKind {
    /// The operations of one attention: queries, keys, values and outputs, and what the kind does with them.
    pub fn operations(self, shape: &BlockShape, ray: RaySize) -> Vec<Step> {
        let [c, ..] = shape.sizes();
        let projections = vec![linear(Part::RayLinear, shape.linears, ray.samples, c, c); 4];
        let own = match self {
            Self::Softmax => softmax::operations(shape, ray),
            Self::Hamming => hamming::operations(shape, ray),
            Self::LinearAngular { branch } => linear_angular::operations(shape, ray, branch),
        };
        [projections, own].concat()
    }
}

/// An attention along the ray, folded.
#[derive(Clone, Copy, Debug)]
pub enum RayAttention {
    /// [`RayAttentionKind::Softmax`].
    Softmax(SoftmaxRayAttention),
    /// [`RayAttentionKind::Hamming`].
    Hamming(HammingRayAttention),
    /// [`RayAttentionKind::LinearAngular`].
    LinearAngular(LinearAngularAttention),
}

/// What the backward pass needs from the forward pass; the kinds that are not used stay empty.
#[derive(Clone, Debug, Default)]
pub struct RayAttentionTape {
    /// Of [`RayAttention::Softmax`].
    pub softmax: SoftmaxRayAttentionTape,
    /// Of [`RayAttention::Hamming`].
    pub hamming: HammingRayAttentionTape,
    /// Of [`RayAttention::LinearAngular`].
    pub linear_angular: LinearAngularAttentionTape,
}

/// Buffers of the backward pass, shared by all blocks of a thread.
#[derive(Clone, Debug, Default)]
pub struct RayAttentionScratch {
    softmax: SoftmaxRayAttentionScratch,
    hamming: HammingRayAttentionScratch,
    linear_angular: LinearAngularAttentionScratch,
}

impl RayAttention {
    /// Registers the parameters under `{name}.`, after the normalisation.
    pub fn build(b: &mut Builder, name: &str, norm: LayerNorm, shape: &BlockShape, kind: RayAttentionKind) -> Self {
        match kind {
            RayAttentionKind::Softmax => Self::Softmax(SoftmaxRayAttention::build(b, name, norm, shape)),
            RayAttentionKind::Hamming => Self::Hamming(HammingRayAttention::build(b, name, norm, shape)),
            RayAttentionKind::LinearAngular { branch } => {
                Self::LinearAngular(LinearAngularAttention::build(b, name, norm, shape, branch))
            }
        }
    }

    /// Adds the attention's output to the states `x` `[rays, samples, C]`.
    pub fn forward(&self, params: &[f32], samples: usize, x: &mut [f32], tape: &mut RayAttentionTape) {
        match self {
            Self::Softmax(layer) => layer.forward(params, samples, x, &mut tape.softmax),
            Self::Hamming(layer) => layer.forward(params, samples, x, &mut tape.hamming),
            Self::LinearAngular(layer) => layer.forward(params, samples, x, &mut tape.linear_angular),
        }
    }

    /// Turns the gradient of the output into that of the input, in place in `dx` `[rays, samples, C]`.
    pub fn backward(
        &self,
        params: &[f32],
        samples: usize,
        tape: &RayAttentionTape,
        dx: &mut [f32],
        scratch: &mut RayAttentionScratch,
        grads: &mut [f32],
    ) {
        match self {
            Self::Softmax(layer) => layer.backward(params, samples, &tape.softmax, dx, &mut scratch.softmax, grads),
            Self::Hamming(layer) => layer.backward(params, samples, &tape.hamming, dx, &mut scratch.hamming, grads),
            Self::LinearAngular(layer) => {
                layer.backward(params, samples, &tape.linear_angular, dx, &mut scratch.linear_angular, grads)
            }
        }
    }

    /// Head-averaged attention row of the first sample of each ray, `[rays, samples]`.
    pub fn first_rows(&self, tape: &RayAttentionTape, samples: usize, rays: usize) -> Vec<f32> {
        match self {
            Self::Softmax(layer) => mean_first_rows(&tape.softmax.weights, samples, layer.heads),
            Self::Hamming(layer) => mean_first_rows(&tape.hamming.weights, samples, layer.heads),
            Self::LinearAngular(layer) => {
                (0..rays).flat_map(|ray| layer.first_row(&tape.linear_angular, samples, ray)).collect()
            }
        }
    }
}

/// Mean over heads of the first row of each map of `weights` `[rays, heads, samples, samples]`.
fn mean_first_rows(weights: &[f32], samples: usize, heads: usize) -> Vec<f32> {
    let map = samples * samples;
    let rays = weights.chunks_exact(heads * map);
    rays.flat_map(|ray| (0..samples).map(move |s| ray.chunks_exact(map).map(|h| h[s]).sum::<f32>() / heads as f32))
        .collect()
}

/// Places of a layer's projections in the vector of parameters; weights are `[C, C]`, biases `[C]`.
#[derive(Clone, Copy, Debug)]
pub struct ProjectionParameters {
    /// Weight of the query and its bias, which there is where there are codes or published names with biases.
    pub query: (Slot, Option<Slot>),
    /// The same of the key.
    pub key: (Slot, Option<Slot>),
}

/// Registers queries, keys and values by the names of `shape` and folds them into one layer `C → 3C`. Where there are
/// `codes`, queries and keys have biases, which hold the thresholds; else the queries take the factor `1/sqrt(d)` of the
/// scores in.
fn build_projections(b: &mut Builder, name: &str, shape: &BlockShape, codes: bool) -> (Linear, ProjectionParameters) {
    let BlockShape { width: c, heads, linears: kind, names, .. } = *shape;
    let biased = codes || names != Names::Separate;
    let mut qkv = Linear::new(&mut b.folded, &format!("{name}.qkv"), c, 3 * c, biased);
    qkv.products = b.products;
    let sources = projection_sources(b, name, c, names, codes);
    for (number, (weight, bias)) in sources.into_iter().enumerate() {
        let scale = if number == 0 && !codes { 1.0 / ((c / heads) as f32).sqrt() } else { 1.0 };
        let mut add = |from: Slot, inputs: usize, kind: LinearKind, to: Slot| {
            let to = Place::at(to, 3 * c, 0, number * c);
            b.folds.push(Fold::Transpose { from, columns: inputs, first: 0, outputs: c, inputs, scale, kind, to });
        };
        add(weight, c, kind, qkv.weight);
        if let (Some(from), Some(to)) = (bias, qkv.bias) {
            add(from, 1, LinearKind::Dense, to);
        }
    }
    (qkv, ProjectionParameters { query: sources[0], key: sources[1] })
}

/// Registers weight `[C, C]` and, where there is one, bias `[C]` of queries, keys and values.
fn projection_sources(b: &mut Builder, name: &str, c: usize, names: Names, codes: bool) -> [(Slot, Option<Slot>); 3] {
    let part = |[weight, bias]: [Slot; 2], i: usize, count: usize| (weight.part(i, count), Some(bias.part(i, count)));
    match names {
        Names::Separate => [("q_fc", codes), ("k_fc", codes), ("v_fc", false)].map(|(key, biased)| {
            let weight = b.weight(&format!("{name}.{key}"), c, c);
            (weight, biased.then(|| b.param(&format!("{name}.{key}.bias"), &[c], Init::Zeros)))
        }),
        Names::Fused => {
            let all = b.weight_and_bias(&format!("{name}.qkv"), c, 3 * c);
            [0, 1, 2].map(|i| part(all, i, 3))
        }
        Names::Paired => {
            let query = b.weight_and_bias(&format!("{name}.q"), c, c);
            let others = b.weight_and_bias(&format!("{name}.kv"), c, 2 * c);
            [part(query, 0, 1), part(others, 0, 2), part(others, 1, 2)]
        }
    }
}

/// Registers the layer after the attention, `C → C`.
fn build_output(b: &mut Builder, name: &str, shape: &BlockShape) -> Linear {
    b.linear_of(shape.linears, &format!("{name}.{}", shape.names.output()), shape.width, shape.width, true)
}
