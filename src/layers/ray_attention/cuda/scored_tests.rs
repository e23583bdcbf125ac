use super::*;
use crate::Layout;
use crate::cuda::testing::*;
use crate::params::SplitMix;
use crate::ray_attention::ProjectionParameters;
use crate::ray_attention::hamming::{HammingRayAttention, HammingRayAttentionTape};
use crate::ray_attention::softmax::{SoftmaxRayAttention, SoftmaxRayAttentionTape};
use crate::testing::{built, shape, softmax, wide};

/// Width, heads, samples and rays.
type Case = [usize; 4];

/// Channels of a head: 8, 8, 16, 5, 16, 48, 80, 64, 6; the last cases need several blocks a ray.
const CASES: [Case; 9] = [
    [16, 2, 7, 3],
    [32, 4, 33, 2],
    [48, 3, 1, 5],
    [40, 8, 31, 1],
    [32, 2, 65, 1],
    [48, 1, 33, 2],
    [80, 1, 7, 1],
    [64, 1, 70, 1],
    [48, 8, 131, 1],
];

/// How much larger the projections are than at the start of training.
const SCALES: [f32; 2] = [1.0, 4.0];

fn dense(layout: &mut Layout, width: usize, heads: usize, bias: bool) -> SoftmaxRayAttention {
    let norm = LayerNorm::new(layout, "norm", width, 1e-6);
    let qkv = Linear::new(layout, "qkv", width, 3 * width, bias);
    let out = Linear::new(layout, "out", width, width, true);
    // Nothing here folds.
    let original = ProjectionParameters { query: (qkv.weight, None), key: (qkv.weight, None) };
    SoftmaxRayAttention { norm, qkv, out, heads, original }
}

fn hamming(width: usize, heads: usize) -> (HammingRayAttention, Layout) {
    built(|b| {
        let norm = b.norm("norm", width, 1e-6);
        HammingRayAttention::build(b, "ray", norm, &shape(width, heads, 1))
    })
}

/// Head-averaged first rows of `[rays, heads, samples, samples]`.
fn first_rows(weights: &[f32], heads: usize, samples: usize) -> Vec<f32> {
    let map = samples * samples;
    let ray = |ray: &[f32]| -> Vec<f32> {
        (0..samples).map(|s| ray.chunks_exact(map).map(|head| head[s]).sum::<f32>() / heads as f32).collect()
    };
    weights.chunks_exact(heads * map).flat_map(ray).collect()
}

/// What a pass forward and backward leaves.
struct Found {
    x: Vec<f32>,
    dx: Vec<f32>,
    first: Vec<f32>,
    grads: Vec<f32>,
}

fn compare(layout: &Layout, found: &Found, expected: &Found) {
    assert_near("x", &found.x, &expected.x, VALUES);
    assert_near("first rows", &found.first, &expected.first, GRADIENTS);
    assert_near("dx", &found.dx, &expected.dx, GRADIENTS);
    assert_gradients(layout, &found.grads, &expected.grads);
}

fn on_device(
    ops: &Ops,
    layer: ScoredAttention,
    params: &[f32],
    samples: usize,
    x: &[f32],
    dx: &[f32],
    (tape, scratch): &mut (CudaScoredAttentionTape, CudaScoredAttentionScratch),
) -> Found {
    let params_d = ops.device().upload(params).unwrap();
    let mut grads = ops.device().zeros(params.len()).unwrap();
    let (mut x, mut dx) = (upload(ops, x), upload(ops, dx));
    let mut first = upload(ops, &vec![0.0; x.len() / layer.out.inputs]);
    ops.scored_attention(layer, &params_d, samples, x.slice_mut(), tape).unwrap();
    ops.scored_attention_first_rows(layer, &params_d, samples, tape, first.slice_mut()).unwrap();
    ops.scored_attention_backward(layer, &params_d, samples, tape, dx.slice_mut(), scratch, &mut grads).unwrap();
    let [x, dx, first] = [x, dx, first].map(|s| s.read().unwrap());
    Found { x, dx, first, grads: grads.read().unwrap() }
}

#[test]
fn softmax_attention_is_that_of_the_cpu() {
    let ops = ops();
    let mut memory = Default::default();
    for ([width, heads, samples, rays], scale) in CASES.iter().flat_map(|case| SCALES.map(|s| (*case, s))) {
        let mut layout = Layout::new();
        let layer = dense(&mut layout, width, heads, false);
        let params = parameters(&layout, 5, scale);
        let x = states(rays * samples, width, 6);
        let dx = uniform(&mut SplitMix(8), x.len(), 1.0);
        let mut cpu = SoftmaxRayAttentionTape::default();
        let mut expected = Found { x: x.clone(), dx: dx.clone(), first: Vec::new(), grads: vec![0.0; layout.len()] };
        layer.forward(&params, samples, &mut expected.x, &mut cpu);
        layer.backward(&params, samples, &cpu, &mut expected.dx, &mut Default::default(), &mut expected.grads);
        expected.first = first_rows(&cpu.weights, heads, samples);
        compare(&layout, &on_device(&ops, layer.scored(), &params, samples, &x, &dx, &mut memory), &expected);
    }
}

/// Where all weights of a softmax are 0 or equal, the gradient of `tau` is 0, and its tolerance is a part of this.
const VANISHING: f64 = 1e-3;

/// The gradient of `tau` in double precision: the terms of a steep softmax cancel, and the CPU's sum in single precision
/// is less accurate than what it would be compared with.
fn tau_gradient(layer: &HammingRayAttention, params: &[f32], samples: usize, qkv: &[f32], dy: &[f32]) -> Vec<f64> {
    let (width, heads) = (layer.out.inputs, layer.heads);
    let d = width / heads;
    let [qkv, dy, params] = [qkv, dy, params].map(wide);
    let weight = &params[layer.out.weight.offset..][..width * width];
    let sign = |x: f64| if x > 0.0 { 1.0 } else { -1.0 };
    let mut sums = vec![0.0; heads];
    for (ray, dy) in qkv.chunks_exact(samples * 3 * width).zip(dy.chunks_exact(samples * width)) {
        let part = |j: usize, part: usize, h: usize| &ray[(3 * j + part) * width + h * d..][..d];
        for (i, h) in (0..samples).flat_map(|i| (0..heads).map(move |h| (i, h))) {
            let d_mixed = (h * d..(h + 1) * d)
                .map(|c| weight[c * width..][..width].iter().zip(&dy[i * width..]).map(|(w, d)| w * d).sum::<f64>());
            let d_mixed: Vec<f64> = d_mixed.collect();
            let score = |j| part(i, 0, h).iter().zip(part(j, 1, h)).map(|(q, k)| sign(*q) * sign(*k)).sum::<f64>();
            let scores: Vec<f64> = (0..samples).map(score).collect();
            let tau = params[layer.tau.offset + h];
            let weights = softmax(&scores.iter().map(|s| tau * s).collect::<Vec<_>>());
            let d_weight = |j| d_mixed.iter().zip(part(j, 2, h)).map(|(d, v)| d * v).sum::<f64>();
            let d_weights: Vec<f64> = (0..samples).map(d_weight).collect();
            let mean: f64 = weights.iter().zip(&d_weights).map(|(w, d)| w * d).sum();
            sums[h] += (0..samples).map(|j| scores[j] * weights[j] * (d_weights[j] - mean)).sum::<f64>();
        }
    }
    sums
}

#[test]
fn attention_on_codes_is_that_of_the_cpu() {
    let ops = ops();
    let mut memory = Default::default();
    // Logits are exact, so that those of ±80 agree as well.
    for ([width, heads, samples, rays], tau) in CASES.iter().flat_map(|case| [0.3, -0.2, 80.0].map(|t| (*case, t))) {
        let (layer, layout) = hamming(width, heads);
        let mut params = parameters(&layout, 5, 2.0);
        let tau = if tau == 80.0 { 80.0 / (width / heads) as f32 } else { tau };
        layer.tau.of_mut(&mut params).iter_mut().enumerate().for_each(|(h, t)| *t = tau * (1.0 + 0.01 * h as f32));
        let x = states(rays * samples, width, 6);
        let dx = uniform(&mut SplitMix(8), x.len(), 1.0);
        let mut cpu = HammingRayAttentionTape::default();
        let mut expected = Found { x: x.clone(), dx: dx.clone(), first: Vec::new(), grads: vec![0.0; layout.len()] };
        layer.forward(&params, samples, &mut expected.x, &mut cpu);
        layer.backward(&params, samples, &cpu, &mut expected.dx, &mut Default::default(), &mut expected.grads);
        expected.first = first_rows(&cpu.weights, heads, samples);
        let mut found = on_device(&ops, layer.scored(), &params, samples, &x, &dx, &mut memory);
        let tau = tau_gradient(&layer, &params, samples, &cpu.qkv, &dx);
        let largest = tau.iter().fold(VANISHING, |m, t| m.max(t.abs()));
        for (found, tau) in layer.tau.of(&found.grads).iter().zip(&tau) {
            assert!((f64::from(*found) - tau).abs() <= f64::from(GRADIENTS) * largest, "tau: {found} and {tau}");
        }
        layer.tau.of_mut(&mut found.grads).copy_from_slice(layer.tau.of(&expected.grads));
        compare(&layout, &found, &expected);
    }
}

#[test]
fn logits_far_out_leave_one_weight() {
    let ops = ops();
    // Heads of one channel: with a bias of 1 on the queries, the keys are the logits.
    let (width, samples) = (8, 33);
    let mut layout = Layout::new();
    let layer = dense(&mut layout, width, 8, true);
    let mut params = vec![0.0; layout.len()];
    layer.norm.gain.of_mut(&mut params).fill(1.0);
    let weight = layer.qkv.weight.of_mut(&mut params);
    for c in 0..8 {
        weight[c * 24 + 8 + c] = 50.0;
        weight[c * 24 + 16 + c] = 1.0;
    }
    layer.qkv.bias.unwrap().of_mut(&mut params)[..8].fill(1.0);
    (0..8).for_each(|c| layer.out.weight.of_mut(&mut params)[c * 9] = 1.0);
    let x = uniform(&mut SplitMix(3), samples * width, 1.0);
    let dx = uniform(&mut SplitMix(8), x.len(), 1.0);
    let found = on_device(&ops, layer.scored(), &params, samples, &x, &dx, &mut Default::default());
    let mut cpu = SoftmaxRayAttentionTape::default();
    let mut y = x.clone();
    layer.forward(&params, samples, &mut y, &mut cpu);
    let keys = cpu.qkv.chunks_exact(24).flat_map(|row| &row[8..16]);
    assert!(keys.clone().any(|k| *k > 80.0) && keys.clone().any(|k| *k < -80.0));
    assert!(cpu.weights.iter().any(|w| *w > 0.999) && cpu.weights.iter().any(|w| *w < 1e-30));
    assert_near("x", &found.x, &y, VALUES);
    assert!(found.dx.iter().chain(&found.grads).all(|g| g.is_finite()));
}

#[test]
fn order_of_threads_does_not_matter() {
    let ops = ops();
    let [width, heads, samples, rays] = [32, 4, 33, 2];
    let (layer, layout) = hamming(width, heads);
    let (params, x) = (parameters(&layout, 5, 2.0), states(rays * samples, width, 6));
    let dx = uniform(&mut SplitMix(8), x.len(), 1.0);
    let mut all = Vec::new();
    in_each_schedule(|_| {
        let found = on_device(&ops, layer.scored(), &params, samples, &x, &dx, &mut Default::default());
        all.push([found.x, found.dx, found.first, found.grads]);
    });
    assert!(all.iter().all(|f| *f == all[0]), "a sum depends on the order of threads");
}

#[test]
fn heads_that_are_too_wide_are_an_error() {
    let ops = ops();
    let mut layout = Layout::new();
    let layer = dense(&mut layout, 160, 1, false);
    let params = ops.device().upload(&layout.initialise(1)).unwrap();
    let mut x = upload(&ops, &[0.0; 160]);
    let error = ops
        .scored_attention(layer.scored(), &params, 1, x.slice_mut(), &mut CudaScoredAttentionTape::default())
        .unwrap_err()
        .to_string();
    assert_eq!(error, "kernels training/ray_attention.cu: heads of at most 128 channels expected, found 160");
}
