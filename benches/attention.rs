//! Hamming attention against attention on floats, as one thread of the engine runs them.
//!
//! `cargo bench --bench attention`

use compute::ops::attend_ray::{Ray, Scratch, attend_ray};
use compute::ops::blend_views::{self, Views, blend_views};
use compute::ops::hamming::{
    CodeViews, RayCodes, RayScratch, RayScratch8, ViewScratch, attend_ray_codes, attend_ray_codes8, blend_codes,
    bucketed, pack_signs, words,
};
use compute::ops::padded;
use compute::{Mat, MatMut, Products, Start, isa};
use criterion::{Criterion, criterion_group, criterion_main};
use layers::softmax::softmax_rows;
use std::hint::black_box;

/// Values in `[-1, 1)`.
fn noise(n: usize, seed: u32) -> Vec<f32> {
    let mut state = seed;
    (0..n)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / (1 << 23) as f32 - 1.0
        })
        .collect()
}

fn codes(rows: usize, x: &[f32], stride: usize, c: usize) -> Vec<u64> {
    let mut out = vec![0; rows * words(c)];
    pack_signs(isa(), rows, x, stride, c, &mut out);
    out
}

/// Attention with both products in bf16 and the softmax in f32, as training computes it where the processor has bf16.
fn attend_bf16(ray: Ray, scores: &mut [f32], y: &mut [f32]) {
    let Ray { qkv, stride, samples, width, heads } = ray;
    let d = width / heads;
    for head in 0..heads {
        let part = |i: usize| Mat::strided(&qkv[i * width + head * d..], samples, d, stride);
        let alpha = 1.0 / (d as f32).sqrt();
        Products::Bf16.matmul(alpha, part(0), part(1).t(), MatMut::new(scores, samples, samples), Start::Zero);
        softmax_rows(isa(), scores, samples);
        let out = MatMut::strided(&mut y[head * d..], samples, d, width);
        Products::Bf16.matmul(1.0, Mat::new(scores, samples, samples), part(2), out, Start::Zero);
    }
}

/// One ray of the official network, which has 64 channels in four heads, and of half of it, and the images of PVTv2-B0's
/// first three stages (ShiftAddViT's comparison of single operations). Codes are packed outside; the last of each group
/// shows what that takes.
fn rays(criterion: &mut Criterion) {
    let rays = [(64, 48), (64, 64), (64, 192), (32, 48), (32, 64), (32, 192)].map(|(c, samples)| (c, samples, c / 16));
    let images = [(32, 3136, 1), (64, 784, 2), (160, 196, 5)];
    for (c, samples, heads) in rays.into_iter().chain(images) {
        let mut group = criterion.benchmark_group(format!("attend_ray/cpu/{samples}x{c}x{heads}"));
        let stride = 3 * c;
        let qkv = noise(samples * stride, 1);
        let (q, k) = (codes(samples, &qkv, stride, c), codes(samples, &qkv[c..], stride, c));
        let tau = vec![0.25; heads];
        let (query, key, value) = (&q[..], &k[..], &qkv[2 * c..]);
        let floats = Ray { qkv: &qkv, stride, samples, width: c, heads };
        let ray = RayCodes { query, key, value, stride, samples, width: c, heads, tau: &tau };
        let mut y = vec![0.0; samples * c];
        if samples > 1000 {
            group.sample_size(10);
        }
        let mut scratch = Scratch::new(samples, c / heads);
        group.bench_function("floats", |b| {
            b.iter(|| attend_ray(isa(), black_box(floats), &mut scratch, &mut y, None));
        });
        if isa().has_bf16() {
            let mut scores = vec![0.0; samples * samples];
            group.bench_function("floats, products in bf16", |b| {
                b.iter(|| attend_bf16(black_box(floats), &mut scores, &mut y));
            });
        }
        let mut scratch = RayScratch::new(samples, c / heads);
        group.bench_function("codes", |b| {
            b.iter(|| attend_ray_codes(isa(), black_box(ray), &mut scratch, &mut y, None));
        });
        let mut scratch = RayScratch8::new(samples, c / heads);
        group.bench_function("codes, bytes", |b| {
            b.iter(|| attend_ray_codes8(isa(), black_box(ray), &mut scratch, &mut y, None));
        });
        group.bench_function("codes, bucketed", |b| {
            b.iter(|| bucketed(black_box(ray), &mut y));
        });
        let mut out = vec![0; samples * words(c)];
        group.bench_function("packing of queries and keys", |b| {
            b.iter(|| {
                pack_signs(isa(), samples, black_box(&qkv), stride, c, &mut out);
                pack_signs(isa(), samples, black_box(&qkv[c..]), stride, c, &mut out);
            });
        });
        group.finish();
    }
}

/// One ray of 192 samples seen by ten views: subtraction attention with eight hidden channels, whose logits are one a
/// channel, against four heads of codes, whose blends are of all channels.
fn views(criterion: &mut Criterion) {
    let (samples, seen, c, h, heads, width) = (192, 10, 64, 8, 4, 72);
    let mut group = criterion.benchmark_group(format!("blend_views/cpu/{samples}x{seen}x{c}"));
    let rows: Vec<u32> = (0..=samples as u32).map(|s| s * seen as u32).collect();
    let all = samples * seen;
    let uniform = vec![false; samples];
    let (mixed, query, weight) = (noise(all * (c + h), 1), noise(samples * padded(h), 2), noise(h * c, 3));
    let (mut y, mut scratch) = (vec![0.0; samples * c], blend_views::Scratch::default());
    group.bench_function("floats", |b| {
        b.iter(|| {
            let views = Views {
                rows: &rows,
                uniform: &uniform,
                mixed: black_box(&mixed),
                mixed_stride: c + h,
                query: &query,
                weight: &weight,
                width: c,
                hidden: h,
            };
            blend_views(isa(), views, &mut scratch, &mut y);
        });
    });
    let query = codes(samples, &noise(samples * c, 4), c, c);
    let keys = codes(all, &noise(all * c, 5), c, c);
    let (bias, values) = (noise(all * heads, 6), noise(all * width, 7));
    let mut y = vec![0.0; samples * heads * padded(width)];
    let mut scratch = ViewScratch::default();
    group.bench_function("codes", |b| {
        b.iter(|| {
            let views = CodeViews {
                rows: &rows,
                uniform: &uniform,
                query: black_box(&query),
                keys: &keys,
                key_stride: words(c),
                bias: &bias,
                bias_stride: heads,
                values: &values,
                value_stride: width,
                width,
                channels: c,
                heads,
                tau: &[0.25; 4],
            };
            blend_codes(isa(), views, &mut scratch, &mut y);
        });
    });
    group.finish();
}

criterion_group!(benches, rays, views);
criterion_main!(benches);
