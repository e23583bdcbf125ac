//! Attention along the ray.

use super::Net;
use super::math::{Real, code, linear_with, softmax};
use crate::config::RayAttentionKind;
use layers::ray_attention::linear_angular::{NORM_EPS, TAPS};
use std::f64::consts::FRAC_1_PI;

/// The attention `name` of the normalised states `x` `[rays, S, C]`: what is added to the state, and the weights
/// `[rays, heads, S, S]`.
pub fn attention<T: Real>(net: &Net<T>, name: &str, x: &[T], margin: &mut f64) -> (Vec<T>, Vec<T>) {
    let (c, heads, kind) = (net.config.width, net.config.heads, net.config.linears);
    let project = |part: &str, x: &[T]| linear_with(kind, net.params, &format!("{name}.{part}"), x, c);
    let [q, k, v] = ["q_fc", "k_fc", "v_fc"].map(|part| project(part, x));
    let (mixed, weights) = match net.config.ray_attention {
        RayAttentionKind::Softmax => {
            let scale = T::new(1.0 / ((c / heads) as f64).sqrt());
            quadratic(net, [&q, &k, &v], |_| scale)
        }
        RayAttentionKind::Hamming => {
            let tau = &net.params[&format!("{name}.tau")];
            quadratic(net, [&code(q, margin), &code(k, margin), &v], |head| tau[head])
        }
        RayAttentionKind::LinearAngular { branch } => {
            let filter = branch.then(|| &net.params[&format!("{name}.filter")][..]);
            linear_angular(net, [&bits(q, margin), &bits(k, margin), &v], filter)
        }
    };
    (project("out_fc", &mixed), weights)
}

/// Softmax of `scale(head) · q·k` over the samples of a ray.
fn quadratic<T: Real>(net: &Net<T>, [q, k, v]: [&[T]; 3], scale: impl Fn(usize) -> T) -> (Vec<T>, Vec<T>) {
    let (c, s, heads) = (net.config.width, net.input.samples, net.config.heads);
    let d = c / heads;
    let (mut mixed, mut weights) = (vec![T::new(0.0); q.len()], Vec::new());
    for ray in 0..q.len() / (s * c) {
        for head in 0..heads {
            let at = |sample: usize, i: usize| (ray * s + sample) * c + head * d + i;
            for query in 0..s {
                let logits: Vec<T> = (0..s)
                    .map(|key| (0..d).fold(T::new(0.0), |sum, i| sum + q[at(query, i)] * k[at(key, i)]) * scale(head))
                    .collect();
                let w = softmax(&logits);
                for i in 0..d {
                    mixed[at(query, i)] = (0..s).fold(T::new(0.0), |sum, key| sum + w[key] * v[at(key, i)]);
                }
                weights.extend(w);
            }
        }
    }
    (mixed, weights)
}

/// Codes of zeros and ones.
fn bits<T: Real>(x: Vec<T>, margin: &mut f64) -> Vec<T> {
    code(x, margin).into_iter().map(|code| (code + T::new(1.0)) * T::new(0.5)).collect()
}

/// Values weighed by the similarities `½·[i = j] + (1/π) · q_i·k_j` to a sum of length 1, plus filtered values.
///
/// The weights given back are the similarities of a query divided by their sum, which is at least ½.
fn linear_angular<T: Real>(net: &Net<T>, [q, k, v]: [&[T]; 3], filter: Option<&[T]>) -> (Vec<T>, Vec<T>) {
    let (c, s, heads) = (net.config.width, net.input.samples, net.config.heads);
    let (d, zero) = (c / heads, T::new(0.0));
    let (mut mixed, mut weights) = (vec![zero; q.len()], Vec::new());
    for ray in 0..q.len() / (s * c) {
        for head in 0..heads {
            let at = |sample: usize, i: usize| (ray * s + sample) * c + head * d + i;
            for query in 0..s {
                let similarity = |key: usize| {
                    let common = (0..d).fold(zero, |sum, i| sum + q[at(query, i)] * k[at(key, i)]);
                    T::new(if key == query { 0.5 } else { 0.0 }) + T::new(FRAC_1_PI) * common
                };
                let row: Vec<T> = (0..s).map(similarity).collect();
                let z: Vec<T> = (0..d).map(|i| (0..s).fold(zero, |sum, key| sum + row[key] * v[at(key, i)])).collect();
                let length = z.iter().fold(T::new(f64::from(NORM_EPS)), |sum, z| sum + *z * *z).sqrt();
                let reached = |tap: usize| (query + tap).checked_sub(TAPS / 2).filter(|sample| *sample < s);
                for i in 0..d {
                    mixed[at(query, i)] = z[i] / length;
                    let Some(filter) = filter else { continue };
                    // The middle tap reads the sample itself; beyond the ray there are zeros.
                    for (tap, sample) in (0..TAPS).filter_map(|tap| Some((tap, reached(tap)?))) {
                        mixed[at(query, i)] = mixed[at(query, i)] + filter[head * TAPS + tap] * v[at(sample, i)];
                    }
                }
                let sum = row.iter().fold(zero, |sum, x| sum + *x);
                weights.extend(row.into_iter().map(|x| x / sum));
            }
        }
    }
    (mixed, weights)
}
