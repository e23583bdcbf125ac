//! The reference is a plain double-precision pass; for codes it differentiates what the straight-through rule does.

use super::*;
use crate::Layout;
use crate::params::SplitMix;
use crate::testing::{Codes as PlainCodes, assert_gradient, built, close, gelu, layer_norm, linear, parameters};
use crate::testing::{softmax, uniform, wide};

const WIDTH: usize = 8;
const HEADS: usize = 2;

fn layer(reduction: Reduction, codes: bool) -> (ReducedAttention, Layout) {
    built(|b| {
        let norm = b.norm("a.norm1", WIDTH, 1e-5);
        let shape = ReducedAttentionShape { heads: HEADS, reduction, linears: LinearKind::Dense, codes };
        ReducedAttention::build(b, "a", norm, shape)
    })
}

/// The tokens of one image that are looked at.
fn reduced(layer: &ReducedAttention, params: &[f64], (height, width): (usize, usize), x: &[f64]) -> Vec<f64> {
    let Some(shrink) = &layer.shrink else { return x.to_vec() };
    let at = |y: usize, x_at: usize| &x[(y * width + x_at) * WIDTH..][..WIDTH];
    let mut patches = Vec::new();
    if shrink.pooled {
        let part = |i: usize, n: usize| i * n / POOLED..((i + 1) * n).div_ceil(POOLED);
        for (row, column) in (0..POOLED).flat_map(|row| (0..POOLED).map(move |column| (row, column))) {
            let (rows, columns) = (part(row, height), part(column, width));
            let count = (rows.len() * columns.len()) as f64;
            let mut mean = [0.0; WIDTH];
            for (y, x_at) in rows.flat_map(|y| columns.clone().map(move |x_at| (y, x_at))) {
                mean.iter_mut().zip(at(y, x_at)).for_each(|(m, v)| *m += v / count);
            }
            patches.extend(mean);
        }
    } else {
        let size = shrink.conv.kernel;
        for (row, column) in (0..height / size).flat_map(|row| (0..width / size).map(move |column| (row, column))) {
            for tap in 0..size * size {
                patches.extend_from_slice(at(row * size + tap / size, column * size + tap % size));
            }
        }
    }
    let convolved = linear(&shrink.conv.linear, params, &patches);
    let normal = layer_norm(&shrink.norm, params, &convolved);
    if shrink.pooled { normal.into_iter().map(gelu).collect() } else { normal }
}

/// The layer's output on images of `size`.
fn reference(
    layer: &ReducedAttention,
    params: &[f64],
    size: (usize, usize),
    x: &[f64],
    codes: &mut [PlainCodes; 2],
) -> Vec<f64> {
    let (tokens, d) = (size.0 * size.1, WIDTH / HEADS);
    let mut y = Vec::new();
    for image in x.chunks_exact(tokens * WIDTH) {
        let normal = layer_norm(&layer.norm, params, image);
        let mut q = linear(&layer.q, params, &normal);
        let kv = linear(&layer.kv, params, &reduced(layer, params, size, &normal));
        let mut keys: Vec<f64> = kv.chunks_exact(2 * WIDTH).flat_map(|row| row[..WIDTH].to_vec()).collect();
        let values: Vec<&[f64]> = kv.chunks_exact(2 * WIDTH).map(|row| &row[WIDTH..]).collect();
        if layer.codes.is_some() {
            q = codes[0].take(&q);
            keys = codes[1].take(&keys);
        }
        let mut mixed = Vec::new();
        for (query, head) in q.chunks_exact(WIDTH).flat_map(|query| (0..HEADS).map(move |head| (query, head))) {
            let own = head * d..(head + 1) * d;
            let factor = match &layer.codes {
                None => 1.0 / (d as f64).sqrt(),
                Some(codes) => params[codes.tau.offset + head],
            };
            let score = |key: &[f64]| factor * own.clone().map(|c| query[c] * key[c]).sum::<f64>();
            let weights = softmax(&keys.chunks_exact(WIDTH).map(score).collect::<Vec<f64>>());
            mixed.extend(own.clone().map(|c| weights.iter().zip(&values).map(|(w, v)| w * v[c]).sum::<f64>()));
        }
        y.extend(linear(&layer.proj, params, &mixed).iter().zip(image).map(|(y, x)| x + y));
    }
    y
}

#[test]
fn output_and_gradients_are_those_of_a_plain_pass() {
    let reductions = [(Reduction::None, (3, 4)), (Reduction::Convolved(2), (4, 5)), (Reduction::Pooled, (9, 8))];
    for ((reduction, size), codes) in reductions.into_iter().flat_map(|r| [false, true].map(|codes| (r, codes))) {
        let (layer, names) = layer(reduction, codes);
        let params = parameters(&names, 12, 2.5);
        let (images, mut rng) = (2, SplitMix(5));
        let n = images * size.0 * size.1 * WIDTH;
        let (x, weights) = (uniform(&mut rng, n, 1.0), uniform(&mut rng, n, 1.0));
        let (mut tape, mut scratch) = (ReducedAttentionTape::default(), ReducedAttentionScratch::default());
        let mut y = x.clone();
        layer.forward(&params, (images, size.0, size.1), &mut y, &mut tape, &mut scratch);
        let mut seen = [PlainCodes::default(), PlainCodes::default()];
        close("y", &y, &reference(&layer, &wide(&params), size, &wide(&x), &mut seen), 2e-5);
        if codes {
            seen.iter().for_each(PlainCodes::assert_clear);
        }
        let (mut dx, mut grads) = (weights.clone(), vec![0.0; params.len()]);
        layer.backward(&params, (images, size.0, size.1), &tape, &mut dx, &mut scratch, &mut grads);
        let loss = |params: &[f64], x: &[f64]| {
            let mut codes = seen.each_ref().map(PlainCodes::frozen);
            let y = reference(&layer, params, size, x, &mut codes);
            y.iter().zip(&weights).map(|(y, w)| y * f64::from(*w)).sum::<f64>()
        };
        assert_gradient("dx", &dx, &wide(&x), 2e-4, |x| loss(&wide(&params), x));
        assert_gradient("params", &grads, &wide(&params), 2e-4, |params| loss(params, &wide(&x)));
    }
}
