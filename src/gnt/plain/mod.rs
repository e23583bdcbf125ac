//! The network as published, step by step and unfolded: the oracle that the training path and the engine are checked
//! against. Slow on purpose, and generic over its numbers, so that tests can run it in double precision or on dual
//! numbers, which differentiate it.

mod head;
mod math;
mod mlp;
mod ray;
mod start;
mod view;

use crate::config::{Config, ViewAttentionKind};
pub use math::Real;
use math::{add, layer_norm, two_layers};
use std::collections::HashMap;

/// Parameters by their official names, without the prefix `net_coarse.`; matrices are `[outputs, inputs]`.
pub type Parameters<T> = HashMap<String, Vec<T>>;

/// What the transformer reads; `T` samples of all rays in a row, `V` views.
#[derive(Clone, Debug)]
pub struct Input<T> {
    /// Samples a ray.
    pub samples: usize,
    /// Source views.
    pub views: usize,
    /// Colour and features of each sample in each view `[T, V, 3 + F]`.
    pub rgb_features: Vec<T>,
    /// The same at the nearest pixel of each view's feature map `[T, V, 3 + F]`: what [`ViewAttentionKind::Hamming`]
    /// makes its keys of. Empty for other kinds.
    pub key_rgb_features: Vec<T>,
    /// Relative directions `[T, V, 4]`.
    pub directions: Vec<T>,
    /// `[T, V]`: whether the view sees the sample.
    pub mask: Vec<bool>,
    /// Position encoding `[T, E]`.
    pub encoding: Vec<T>,
}

/// What the transformer computes.
#[derive(Clone, Debug)]
pub struct Output<T> {
    /// Colours `[rays, 3]`.
    pub rgb: Vec<T>,
    /// Weights of the samples of each ray `[rays, samples]`.
    pub weights: Vec<T>,
    /// State after each view block, position layer and ray block, by names such as `0.view.out`.
    pub states: HashMap<String, Vec<T>>,
    /// View attention of each block: `[T, V, C]`, or `[T, V, heads]` of [`ViewAttentionKind::Hamming`].
    pub view_attention: Vec<Vec<T>>,
    /// Ray attention `[rays, heads, S, S]` of each block; rows sum to 1.
    pub ray_attention: Vec<Vec<T>>,
    /// How far the closest of all hard decisions is from going the other way: a projection from its code's threshold
    /// or from the edge of the window of its gradient, a router's logits from a tie. Infinite where there are none.
    ///
    /// Another implementation can only be expected to agree if its rounding is smaller.
    pub margin: f64,
}

/// What every block reads.
struct Net<'a, T> {
    config: &'a Config,
    params: &'a Parameters<T>,
    input: &'a Input<T>,
    /// `[T, V, C]`.
    tokens: Vec<T>,
    /// Tokens that keys are made of `[T, V, C]`, or empty.
    keys: Vec<T>,
}

/// Runs the transformer.
pub fn run<T: Real>(config: &Config, params: &Parameters<T>, input: &Input<T>) -> Output<T> {
    let mut out = Output {
        rgb: Vec::new(),
        weights: Vec::new(),
        states: HashMap::new(),
        view_attention: Vec::new(),
        ray_attention: Vec::new(),
        margin: f64::INFINITY,
    };
    let token = |features: &[T]| two_layers(params, "rgbfeat_fc", features, 3 + config.features.channels);
    let keys = match config.view_attention {
        ViewAttentionKind::Subtract => Vec::new(),
        ViewAttentionKind::Hamming => token(&input.key_rgb_features),
    };
    let net = Net { config, params, input, tokens: token(&input.rgb_features), keys };
    let mut q = start::start(&net);
    out.states.insert("start".into(), q.clone());
    for i in 0..config.depth {
        let name = format!("view_crosstrans.{i}");
        let normal = layer_norm(params, &format!("{name}.attn_norm"), &q, 1e-6);
        let (y, attention) = view::attention(&net, &format!("{name}.attn"), &normal, &mut out.margin);
        q = mlp::block(&net, &name, &add(&q, &y), &mut out.margin);
        out.states.insert(format!("{i}.view.out"), q.clone());
        out.view_attention.push(attention);
        if i % 2 == 0 {
            q = position(&net, &format!("q_fcs.{i}"), &q);
            out.states.insert(format!("{i}.q_fc.out"), q.clone());
        }
        let name = format!("view_selftrans.{i}");
        let normal = layer_norm(params, &format!("{name}.attn_norm"), &q, 1e-6);
        let (y, attention) = ray::attention(&net, &format!("{name}.attn"), &normal, &mut out.margin);
        q = mlp::block(&net, &name, &add(&q, &y), &mut out.margin);
        out.states.insert(format!("{i}.ray.out"), q.clone());
        out.ray_attention.push(attention);
    }
    let normal = layer_norm(params, "norm", &q, 1e-5);
    head::head(&net, &normal, &mut out);
    out
}

/// Two layers on state and position encoding, which replace the state.
fn position<T: Real>(net: &Net<T>, name: &str, q: &[T]) -> Vec<T> {
    let c = net.config.width;
    let e = net.input.encoding.len() / (q.len() / c);
    let rows = q.chunks_exact(c).zip(net.input.encoding.chunks_exact(e));
    let joined: Vec<T> = rows.flat_map(|(q, encoding)| q.iter().chain(encoding).copied()).collect();
    two_layers(net.params, name, &joined, c + e)
}
