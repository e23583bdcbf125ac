//! The network as published, step by step and unfolded: the oracle that the training path and the engine are checked
//! against. Slow on purpose, and generic over its numbers, so that tests can run it in double precision or on dual
//! numbers, which differentiate it.

mod math;

use crate::config::{Config, Head, Start};
pub use math::Real;
use math::{add, layer_norm, linear, mlp, relu, softmax};
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
    /// View attention `[T, V, C]` of each block.
    pub view_attention: Vec<Vec<T>>,
    /// Ray attention `[rays, heads, S, S]` of each block.
    pub ray_attention: Vec<Vec<T>>,
}

/// Runs the transformer.
pub fn run<T: Real>(config: &Config, params: &Parameters<T>, input: &Input<T>) -> Output<T> {
    let (c, v, s) = (config.width, input.views, input.samples);
    let total = input.mask.len() / v;
    let mut out = Output {
        rgb: Vec::new(),
        weights: Vec::new(),
        states: HashMap::new(),
        view_attention: Vec::new(),
        ray_attention: Vec::new(),
    };
    let tokens = mlp(params, "rgbfeat_fc", &input.rgb_features, 3 + config.features.channels);
    let mut q = start(config, params, input, &tokens);
    out.states.insert("start".into(), q.clone());
    for i in 0..config.depth {
        let name = format!("view_crosstrans.{i}");
        let normal = layer_norm(params, &format!("{name}.attn_norm"), &q, 1e-6);
        let (y, attention) = view_attention(params, &format!("{name}.attn"), input, &tokens, &normal, c);
        q = feed_forward(params, &name, &add(&q, &y), c);
        out.states.insert(format!("{i}.view.out"), q.clone());
        out.view_attention.push(attention);
        if i % 2 == 0 {
            let e = input.encoding.len() / total;
            let joined: Vec<T> =
                (0..total).flat_map(|t| q[t * c..][..c].iter().chain(&input.encoding[t * e..][..e]).copied()).collect();
            q = mlp(params, &format!("q_fcs.{i}"), &joined, c + e);
            out.states.insert(format!("{i}.q_fc.out"), q.clone());
        }
        let name = format!("view_selftrans.{i}");
        let normal = layer_norm(params, &format!("{name}.attn_norm"), &q, 1e-6);
        let (y, attention) = ray_attention(params, &format!("{name}.attn"), &normal, c, s, config.heads);
        q = feed_forward(params, &name, &add(&q, &y), c);
        out.states.insert(format!("{i}.ray.out"), q.clone());
        out.ray_attention.push(attention);
    }
    let normal = layer_norm(params, "norm", &q, 1e-5);
    head(config, params, input, &tokens, &normal, &mut out);
    out
}

fn start<T: Real>(config: &Config, params: &Parameters<T>, input: &Input<T>, tokens: &[T]) -> Vec<T> {
    let (c, v) = (config.width, input.views);
    match config.start {
        Start::Max => tokens
            .chunks_exact(v * c)
            .flat_map(|sample| {
                (0..c).map(|i| {
                    (0..v).map(|v| sample[v * c + i]).fold(sample[i], |a, b| if b.value() > a.value() { b } else { a })
                })
            })
            .collect(),
        Start::Stats => {
            let mut moments = Vec::new();
            for (sample, mask) in tokens.chunks_exact(v * c).zip(input.mask.chunks_exact(v)) {
                let seen: Vec<&[T]> = sample.chunks_exact(c).zip(mask).filter(|(_, m)| **m).map(|(t, _)| t).collect();
                let scale = T::new(1.0 / seen.len().max(1) as f64);
                let zero = T::new(0.0);
                let mean: Vec<T> = (0..c).map(|i| seen.iter().fold(zero, |a, t| a + t[i]) * scale).collect();
                let variance =
                    (0..c).map(|i| seen.iter().fold(zero, |a, t| a + (t[i] - mean[i]) * (t[i] - mean[i])) * scale);
                let variance: Vec<T> = variance.collect();
                moments.extend(mean);
                moments.extend(variance);
            }
            linear(params, "start", &moments, 2 * c)
        }
    }
}

fn feed_forward<T: Real>(params: &Parameters<T>, name: &str, q: &[T], c: usize) -> Vec<T> {
    let normal = layer_norm(params, &format!("{name}.ff_norm"), q, 1e-6);
    let hidden = relu(linear(params, &format!("{name}.ff.fc1"), &normal, c));
    let width = params[&format!("{name}.ff.fc1.bias")].len();
    add(q, &linear(params, &format!("{name}.ff.fc2"), &hidden, width))
}

fn view_attention<T: Real>(
    params: &Parameters<T>,
    name: &str,
    input: &Input<T>,
    tokens: &[T],
    x: &[T],
    c: usize,
) -> (Vec<T>, Vec<T>) {
    let v = input.views;
    let query = linear(params, &format!("{name}.q_fc"), x, c);
    let key = linear(params, &format!("{name}.k_fc"), tokens, c);
    let value = linear(params, &format!("{name}.v_fc"), &key, c);
    let direction = mlp(params, &format!("{name}.pos_fc"), &input.directions, 4);
    let difference: Vec<T> = (0..key.len()).map(|i| key[i] - query[i / (v * c) * c + i % c] + direction[i]).collect();
    let mut weights = mlp(params, &format!("{name}.attn_fc"), &difference, c);
    let mut mixed = Vec::with_capacity(x.len());
    for (sample, mask) in input.mask.chunks_exact(v).enumerate() {
        for i in 0..c {
            let at = |view: usize| (sample * v + view) * c + i;
            let logits: Vec<T> = (0..v).map(|view| if mask[view] { weights[at(view)] } else { T::new(-1e9) }).collect();
            let w = softmax(&logits);
            let mut sum = T::new(0.0);
            for view in 0..v {
                weights[at(view)] = w[view];
                sum = sum + w[view] * (value[at(view)] + direction[at(view)]);
            }
            mixed.push(sum);
        }
    }
    (linear(params, &format!("{name}.out_fc"), &mixed, c), weights)
}

fn ray_attention<T: Real>(
    params: &Parameters<T>,
    name: &str,
    x: &[T],
    c: usize,
    s: usize,
    heads: usize,
) -> (Vec<T>, Vec<T>) {
    let d = c / heads;
    let [q, k, v] = ["q_fc", "k_fc", "v_fc"].map(|part| linear(params, &format!("{name}.{part}"), x, c));
    let scale = T::new(1.0 / (d as f64).sqrt());
    let (mut mixed, mut weights) = (vec![T::new(0.0); x.len()], Vec::new());
    for ray in 0..x.len() / (s * c) {
        for head in 0..heads {
            let at = |sample: usize, i: usize| (ray * s + sample) * c + head * d + i;
            for query in 0..s {
                let logits: Vec<T> = (0..s)
                    .map(|key| (0..d).fold(T::new(0.0), |sum, i| sum + q[at(query, i)] * k[at(key, i)]) * scale)
                    .collect();
                let w = softmax(&logits);
                for i in 0..d {
                    mixed[at(query, i)] = (0..s).fold(T::new(0.0), |sum, key| sum + w[key] * v[at(key, i)]);
                }
                weights.extend(w);
            }
        }
    }
    (linear(params, &format!("{name}.out_fc"), &mixed, c), weights)
}

fn head<T: Real>(
    config: &Config,
    params: &Parameters<T>,
    input: &Input<T>,
    tokens: &[T],
    normal: &[T],
    out: &mut Output<T>,
) {
    let (c, v, s) = (config.width, input.views, input.samples);
    let zero = T::new(0.0);
    let rays = normal.len() / (s * c);
    let mut blended = vec![zero; rays * s * 3];
    let pool_weights = match config.head {
        Head::Mean => {
            // Depth weights: the attention row of the nearest sample in the last block, averaged over heads.
            let attention = out.ray_attention.last().expect("at least one block");
            let heads = T::new(1.0 / config.heads as f64);
            for ray in attention.chunks_exact(config.heads * s * s) {
                out.weights
                    .extend((0..s).map(|i| ray.chunks_exact(s * s).fold(zero, |sum, head| sum + head[i]) * heads));
            }
            vec![T::new(1.0 / s as f64); rays * s]
        }
        Head::Blend => {
            let k = c / 2;
            let token = linear(params, "blend.token", tokens, c);
            let state = linear(params, "blend.state", normal, c);
            let direction = linear(params, "blend.direction", &input.directions, 4);
            let hidden =
                relu((0..token.len()).map(|i| token[i] + state[i / (v * k) * k + i % k] + direction[i]).collect());
            let logits = linear(params, "blend.view", &hidden, k);
            let f = 3 + config.features.channels;
            for sample in 0..rays * s {
                let masked: Vec<T> = (sample * v..(sample + 1) * v)
                    .map(|i| if input.mask[i] { logits[i] } else { T::new(-1e9) })
                    .collect();
                for (view, w) in softmax(&masked).into_iter().enumerate() {
                    for i in 0..3 {
                        blended[sample * 3 + i] =
                            blended[sample * 3 + i] + w * input.rgb_features[(sample * v + view) * f + i];
                    }
                }
            }
            let logits = linear(params, "blend.ray", normal, c);
            out.weights = logits.chunks_exact(s).flat_map(softmax).collect();
            out.weights.clone()
        }
    };
    let weighted = |values: &[T], width: usize| -> Vec<T> {
        (0..rays * width)
            .map(|i| {
                let (ray, channel) = (i / width, i % width);
                (ray * s..(ray + 1) * s).fold(zero, |sum, t| sum + pool_weights[t] * values[t * width + channel])
            })
            .collect()
    };
    out.rgb = add(&linear(params, "rgb_fc", &weighted(normal, c), c), &weighted(&blended, 3));
}
