//! From the samples of a ray to its colour.

use super::math::{Real, add, linear, relu, softmax};
use super::{Net, Output};
use crate::config::Head;

/// Colours and weights of the rays, given the last states, normalised, `[T, C]`.
pub fn head<T: Real>(net: &Net<T>, normal: &[T], out: &mut Output<T>) {
    let (c, s) = (net.config.width, net.input.samples);
    let rays = normal.len() / (s * c);
    match net.config.head {
        Head::Mean => {
            let mean = pool(&vec![T::new(1.0 / s as f64); rays * s], normal, s, c);
            out.rgb = linear(net.params, "rgb_fc", &mean, c);
            out.weights = nearest_attention(net, out.ray_attention.last().expect("at least one block"));
        }
        Head::Blend => {
            let logits = linear(net.params, "blend.ray", normal, c);
            out.weights = logits.chunks_exact(s).flat_map(softmax).collect();
            let correction = linear(net.params, "rgb_fc", &pool(&out.weights, normal, s, c), c);
            out.rgb = add(&correction, &pool(&out.weights, &blend_views(net, normal), s, 3));
        }
    }
}

/// `Σ_s weight · value` of each ray, `[rays, width]`.
fn pool<T: Real>(weights: &[T], values: &[T], samples: usize, width: usize) -> Vec<T> {
    (0..weights.len() / samples * width)
        .map(|i| {
            let (ray, channel) = (i / width, i % width);
            (ray * samples..(ray + 1) * samples)
                .fold(T::new(0.0), |sum, t| sum + weights[t] * values[t * width + channel])
        })
        .collect()
}

/// Depth weights: the attention row of the nearest sample in the last block, averaged over heads.
fn nearest_attention<T: Real>(net: &Net<T>, attention: &[T]) -> Vec<T> {
    let (s, heads) = (net.input.samples, net.config.heads);
    let scale = T::new(1.0 / heads as f64);
    let rays = attention.chunks_exact(heads * s * s);
    rays.flat_map(|ray| {
        (0..s).map(move |i| ray.chunks_exact(s * s).fold(T::new(0.0), |sum, head| sum + head[i]) * scale)
    })
    .collect()
}

/// Colours of the source views, blended by learned weights over the views that see each sample, `[T, 3]`.
fn blend_views<T: Real>(net: &Net<T>, normal: &[T]) -> Vec<T> {
    let (c, v, k) = (net.config.width, net.input.views, net.config.width / 2);
    let token = linear(net.params, "blend.token", &net.tokens, c);
    let state = linear(net.params, "blend.state", normal, c);
    let direction = linear(net.params, "blend.direction", &net.input.directions, 4);
    let hidden = relu((0..token.len()).map(|i| token[i] + state[i / (v * k) * k + i % k] + direction[i]).collect());
    let logits = linear(net.params, "blend.view", &hidden, k);
    let f = 3 + net.config.features.channels;
    let mut blended = vec![T::new(0.0); normal.len() / c * 3];
    for (sample, out) in blended.chunks_exact_mut(3).enumerate() {
        for (view, w) in
            super::view::softmax_seen(net, sample, |view| logits[sample * v + view]).into_iter().enumerate()
        {
            for (i, out) in out.iter_mut().enumerate() {
                *out = *out + w * net.input.rgb_features[(sample * v + view) * f + i];
            }
        }
    }
    blended
}
