//! The attention against plain loops in double precision, and its gradients against their differences.

use super::*;
use crate::Layout;
use crate::params::SplitMix;
use crate::testing::{
    Codes, assert_gradient, built, close, layer_norm, linear, parameters, shape, softmax, uniform, wide,
};

fn attention(width: usize, heads: usize) -> (HammingRayAttention, Layout) {
    built(|b| {
        let norm = b.norm("ray.norm", width, 1e-6);
        HammingRayAttention::build(b, "ray", norm, &shape(width, heads, 1))
    })
}

/// An attention of its own with its parameters and an input.
struct Case {
    layer: HammingRayAttention,
    layout: Layout,
    params: Vec<f32>,
    samples: usize,
    x: Vec<f32>,
}

impl Case {
    fn new(seed: u64, rays: usize, samples: usize, width: usize, heads: usize) -> Self {
        let (layer, layout) = attention(width, heads);
        let mut params = parameters(&layout, seed, 1.7);
        let mut rng = SplitMix(seed ^ 77);
        // Scores grow with the square root of a head's channels; some heads sharpen, one prefers what is different.
        let scale = ((width / heads) as f32).sqrt().recip();
        layer.tau.of_mut(&mut params).iter_mut().for_each(|t| *t = (rng.uniform() * 2.0 - 0.5) * scale);
        let x = uniform(&mut rng, rays * samples * width, 2.0);
        Self { layer, layout, params, samples, x }
    }

    fn forward(&self, tape: &mut HammingRayAttentionTape) -> Vec<f32> {
        let mut y = self.x.clone();
        self.layer.forward(&self.params, self.samples, &mut y, tape);
        y
    }

    /// Output and attention of the plain computation.
    fn plain(&self, codes: &mut Codes) -> (Vec<f64>, Vec<f64>) {
        plain(&self.layer, &wide(&self.params), self.samples, &wide(&self.x), codes)
    }
}

/// Step by step from the formula: queries, keys and values, codes, softmax of each query over the samples of its ray.
fn plain(
    layer: &HammingRayAttention,
    params: &[f64],
    samples: usize,
    x: &[f64],
    codes: &mut Codes,
) -> (Vec<f64>, Vec<f64>) {
    let (c, heads) = (layer.out.inputs, layer.heads);
    let d = c / heads;
    let qkv = linear(&layer.qkv, params, &layer_norm(&layer.norm, params, x));
    let part = |p: usize| qkv.chunks_exact(3 * c).flat_map(|row| row[p * c..][..c].to_vec()).collect::<Vec<f64>>();
    let (q, k, v) = (codes.take(&part(0)), codes.take(&part(1)), part(2));
    let (mut mixed, mut weights) = (vec![0.0; x.len()], Vec::new());
    for ray in 0..x.len() / (samples * c) {
        for head in 0..heads {
            let at = |sample: usize, i: usize| (ray * samples + sample) * c + head * d + i;
            let tau = params[layer.tau.offset + head];
            for query in 0..samples {
                let score = |key: usize| (0..d).map(|i| q[at(query, i)] * k[at(key, i)]).sum::<f64>();
                let w = softmax(&(0..samples).map(|key| tau * score(key)).collect::<Vec<f64>>());
                for i in 0..d {
                    mixed[at(query, i)] = (0..samples).map(|key| w[key] * v[at(key, i)]).sum();
                }
                weights.extend(w);
            }
        }
    }
    let y = linear(&layer.out, params, &mixed).iter().zip(x).map(|(y, x)| x + y).collect();
    (y, weights)
}

/// Single precision against double, where no code is near its threshold.
fn assert_plain(case: &Case, tape: &mut HammingRayAttentionTape) {
    let found = case.forward(tape);
    let mut codes = Codes::default();
    let (y, weights) = case.plain(&mut codes);
    codes.assert_clear();
    // Sums of up to 192 products of numbers of about 1; logits reach a few tens before the softmax.
    close("weights", &tape.weights, &weights, 1e-5);
    close("output", &found, &y, 3e-5);
}

/// Two opposite samples: a head of 8 channels scores 8 with itself and −8 with the other.
#[test]
fn opposite_samples_by_hand() {
    let (layer, layout) = attention(8, 1);
    let mut params = vec![0.0; layout.len()];
    layer.norm.gain.of_mut(&mut params).fill(1.0);
    // Queries, keys and values are the normalised input itself, the output projection likewise.
    let qkv = layer.qkv.weight.of_mut(&mut params);
    (0..8).for_each(|i| (0..3).for_each(|part| qkv[i * 24 + part * 8 + i] = 1.0));
    (0..8).for_each(|i| layer.out.weight.of_mut(&mut params)[i * 9] = 1.0);
    // exp(16 · tau) = 3, so the weights are 3/4 and 1/4.
    layer.tau.of_mut(&mut params)[0] = 3f32.ln() / 16.0;
    let row = [1.0, -1.0, 1.0, 1.0, -1.0, 1.0, -1.0, -1.0];
    let mut x: Vec<f32> = row.iter().copied().chain(row.map(|v| -v)).collect();
    let mut tape = HammingRayAttentionTape::default();
    layer.forward(&params, 2, &mut x, &mut tape);
    close("weights", &tape.weights, &[0.75, 0.25, 0.25, 0.75], 1e-6);
    let expected: Vec<f64> = [1.5, -1.5].iter().flat_map(|s| row.map(|v| f64::from(v) * s)).collect();
    close("output", &x, &expected, 1e-5);
}

/// One tape for all sizes, so that what a larger pass leaves behind would be seen.
#[test]
fn equals_the_plain_computation() {
    let mut tape = HammingRayAttentionTape::default();
    for (seed, rays, samples, width, heads) in
        [(1, 3, 33, 16, 2), (2, 1, 1, 8, 1), (3, 2, 31, 24, 8), (4, 1, 7, 64, 4), (5, 5, 1, 16, 16), (6, 1, 2, 40, 5)]
    {
        assert_plain(&Case::new(seed, rays, samples, width, heads), &mut tape);
    }
    let nothing = Case::new(7, 0, 5, 16, 2);
    assert!(nothing.forward(&mut tape).is_empty() && tape.weights.is_empty());
}

/// Nothing ties the layer to rays: a picture of 14×14 patches and a class token is one row of 197.
#[test]
fn tokens_of_a_vision_transformer() {
    let mut tape = HammingRayAttentionTape::default();
    for (seed, heads) in [(11, 12), (12, 3)] {
        assert_plain(&Case::new(seed, 1, 197, 192, heads), &mut tape);
    }
}

/// Rays are independent of what else is in the batch, to the last bit.
#[test]
fn rays_are_independent() {
    let mut case = Case::new(21, 5, 33, 24, 3);
    let (mut all, mut some) = Default::default();
    let together = case.forward(&mut all);
    let x = case.x.clone();
    let (ray, map) = (33 * 24, 3 * 33 * 33);
    for (first, count) in [(0, 1), (1, 3), (4, 1)] {
        case.x = x[first * ray..][..count * ray].to_vec();
        assert_eq!(case.forward(&mut some), &together[first * ray..][..count * ray], "rays {first} and on");
        assert_eq!(some.weights, &all.weights[first * map..][..count * map], "rays {first} and on");
    }
}

/// Samples have no place along the ray: permuting them permutes the output.
#[test]
fn the_order_of_samples_carries_no_meaning() {
    let mut case = Case::new(22, 1, 31, 16, 4);
    let mut tape = HammingRayAttentionTape::default();
    let expected = case.forward(&mut tape);
    let rows = |x: &[f32]| (0..31).flat_map(|i| x[i * 12 % 31 * 16..][..16].to_vec()).collect::<Vec<f32>>();
    case.x = rows(&case.x);
    close("output", &case.forward(&mut tape), &wide(&rows(&expected)), 2e-6);
}

/// Constant rows, and rows that overflow single precision nowhere but in the scores' sum of exponentials.
#[test]
fn extreme_values_stay_finite() {
    let mut case = Case::new(23, 3, 31, 16, 2);
    case.x[..31 * 16].fill(0.0);
    case.x[31 * 16..2 * 31 * 16].fill(-1e18);
    case.x[2 * 31 * 16..].iter_mut().enumerate().for_each(|(i, x)| *x = if i % 7 == 0 { 1e18 } else { -1e-30 });
    case.layer.tau.of_mut(&mut case.params).copy_from_slice(&[1e6, -1e6]);
    let mut tape = HammingRayAttentionTape::default();
    let y = case.forward(&mut tape);
    assert!(y.iter().all(|y| y.is_finite()), "{y:?}");
    for row in tape.weights.chunks_exact(31) {
        assert!((row.iter().sum::<f32>() - 1.0).abs() < 1e-5, "{row:?}");
    }
    // Equal samples have equal codes, whatever the factor.
    assert!(tape.weights[..2 * 2 * 31 * 31].iter().all(|w| (w - 1.0 / 31.0).abs() < 1e-6));
}

/// Against differences of the straight-through surrogate; gradients are added to what is there.
#[test]
fn gradients_equal_differences() {
    let mut scratch = HammingRayAttentionScratch::default();
    let mut tape = HammingRayAttentionTape::default();
    for (seed, rays, samples, width, heads) in [(31, 2, 7, 16, 2), (32, 3, 1, 8, 8), (33, 1, 5, 24, 8)] {
        let case = Case::new(seed, rays, samples, width, heads);
        case.forward(&mut tape);
        let dy = uniform(&mut SplitMix(seed), case.x.len(), 1.0);
        let mut dx = dy.clone();
        let mut grads = vec![1.0; case.layout.len()];
        case.layer.backward(&case.params, samples, &tape, &mut dx, &mut scratch, &mut grads);
        grads.iter_mut().for_each(|g| *g -= 1.0);

        let mut codes = Codes::default();
        case.plain(&mut codes);
        codes.assert_clear();
        codes.assert_window();
        let loss = |params: &[f64], x: &[f64]| -> f64 {
            let (y, _) = plain(&case.layer, params, samples, x, &mut codes.frozen());
            y.iter().zip(&dy).map(|(y, d)| y * f64::from(*d)).sum()
        };
        let (params, x) = (wide(&case.params), wide(&case.x));
        assert_gradient("input", &dx, &x, 1e-4, |x| loss(&params, x));
        for entry in case.layout.entries() {
            // With one sample the weights are 1 whatever the codes are.
            if samples == 1 && entry.name == "ray.tau" {
                assert!(entry.slot.of(&grads).iter().all(|g| g.abs() < 1e-6), "{:?}", entry.slot.of(&grads));
                continue;
            }
            let range = entry.slot.offset..entry.slot.offset + entry.slot.len;
            assert_gradient(&entry.name, entry.slot.of(&grads), &params[range.clone()], 1e-4, |values| {
                let mut moved = params.clone();
                moved[range.clone()].copy_from_slice(values);
                loss(&moved, &x)
            });
        }
    }
}
