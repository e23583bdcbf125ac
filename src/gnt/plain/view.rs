//! Attention of each sample over its source views.

use super::Net;
use super::math::{Real, code, linear, linear_with, relu, softmax, two_layers};
use crate::config::ViewAttentionKind;

/// The attention `name` of the normalised states `x` `[T, C]`: what is added to the state, and the weights.
pub fn attention<T: Real>(net: &Net<T>, name: &str, x: &[T], margin: &mut f64) -> (Vec<T>, Vec<T>) {
    match net.config.view_attention {
        ViewAttentionKind::Subtract => subtract(net, name, x),
        ViewAttentionKind::Hamming => hamming(net, name, x, margin),
    }
}

/// Softmax over the views that see `sample`, or the same weight for all where none does.
pub fn softmax_seen<T: Real>(net: &Net<T>, sample: usize, logit: impl Fn(usize) -> T) -> Vec<T> {
    let mask = &net.input.mask[sample * net.input.views..][..net.input.views];
    softmax(&mask.iter().enumerate().map(|(v, m)| if *m { logit(v) } else { T::new(-1e9) }).collect::<Vec<T>>())
}

/// GNT's subtraction attention; weights `[T, V, C]`.
fn subtract<T: Real>(net: &Net<T>, name: &str, x: &[T]) -> (Vec<T>, Vec<T>) {
    let (c, v, params) = (net.config.width, net.input.views, net.params);
    let query = linear(params, &format!("{name}.q_fc"), x, c);
    let key = linear(params, &format!("{name}.k_fc"), &net.tokens, c);
    let value = linear(params, &format!("{name}.v_fc"), &key, c);
    let direction = two_layers(params, &format!("{name}.pos_fc"), &net.input.directions, 4);
    let difference: Vec<T> = (0..key.len()).map(|i| key[i] - query[i / (v * c) * c + i % c] + direction[i]).collect();
    let mut weights = two_layers(params, &format!("{name}.attn_fc"), &difference, c);
    let mut mixed = Vec::with_capacity(x.len());
    for sample in 0..x.len() / c {
        for i in 0..c {
            let at = |view: usize| (sample * v + view) * c + i;
            let mut sum = T::new(0.0);
            for (view, w) in softmax_seen(net, sample, |view| weights[at(view)]).into_iter().enumerate() {
                weights[at(view)] = w;
                sum = sum + w * (value[at(view)] + direction[at(view)]);
            }
            mixed.push(sum);
        }
    }
    (linear(params, &format!("{name}.out_fc"), &mixed, c), weights)
}

/// Codes of the state against codes of the keys' tokens, one weight a head; weights `[T, V, heads]`.
///
/// Values are projected a view at a time, `v_fc · [token | hidden direction]`, before they are blended.
fn hamming<T: Real>(net: &Net<T>, name: &str, x: &[T], margin: &mut f64) -> (Vec<T>, Vec<T>) {
    let (c, v, heads, params, kind) =
        (net.config.width, net.input.views, net.config.heads, net.params, net.config.linears);
    let (d, h) = (c / heads, net.config.attention_hidden);
    let query = code(linear_with(kind, params, &format!("{name}.q_fc"), x, c), margin);
    let key = code(linear_with(kind, params, &format!("{name}.k_fc"), &net.keys, c), margin);
    let hidden = relu(linear(params, &format!("{name}.pos_fc.0"), &net.input.directions, 4));
    let bias = linear(params, &format!("{name}.head_fc"), &hidden, h);
    let seen = net.tokens.chunks_exact(c).zip(hidden.chunks_exact(h));
    let joined: Vec<T> = seen.flat_map(|(token, hidden)| token.iter().chain(hidden).copied()).collect();
    let value = linear_with(kind, params, &format!("{name}.v_fc"), &joined, c + h);
    let tau = &params[&format!("{name}.tau")];
    let mut weights = vec![T::new(0.0); net.input.mask.len() * heads];
    let mut mixed = vec![T::new(0.0); x.len()];
    for sample in 0..x.len() / c {
        for head in 0..heads {
            let logit = |view: usize| {
                let pair = sample * v + view;
                let score = (head * d..(head + 1) * d)
                    .fold(T::new(0.0), |sum, i| sum + query[sample * c + i] * key[pair * c + i]);
                tau[head] * score + bias[pair * heads + head]
            };
            for (view, w) in softmax_seen(net, sample, logit).into_iter().enumerate() {
                let pair = sample * v + view;
                weights[pair * heads + head] = w;
                for i in head * d..(head + 1) * d {
                    mixed[sample * c + i] = mixed[sample * c + i] + w * value[pair * c + i];
                }
            }
        }
    }
    (linear_with(kind, params, &format!("{name}.out_fc"), &mixed, c), weights)
}
