//! Shift layers against dense ones, at the sizes of the network: one core, the instruction set in use.
//!
//! `cargo bench --bench shift`

use compute::ops::product::{Epilogue, Packed, product};
use compute::ops::product8::{Packed8, Rows8, Sign, literal, product8, quantise};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;

fn noise(n: usize) -> Vec<f32> {
    (0..n).map(|i| ((i * 7919) % 1009) as f32 / 504.5 - 1.0).collect()
}

/// Signed powers of two whose exponents span `span` values.
fn powers(n: usize, span: usize) -> Vec<f32> {
    let sign = |i: usize| if i * 31 % 17 < 8 { -1.0 } else { 1.0 };
    (0..n).map(|i| sign(i) * (-((i * 7919 % 1009 % span) as f32)).exp2()).collect()
}

fn products(c: &mut Criterion) {
    // Rows x inputs x outputs: projections, queries-keys-values, feed-forward; then the feed-forward parts of a PVT's first
    // two stages (ShiftAddViT's comparison of single operations).
    let rays = [(60, 64, 64), (192, 64, 192), (60, 64, 256), (60, 256, 64)];
    let images = [(3136, 64, 512), (3136, 512, 64), (784, 128, 1024), (784, 1024, 128)];
    for (m, k, n) in rays.into_iter().chain(images) {
        let mut group = c.benchmark_group(format!("product/cpu/{m}x{k}x{n}"));
        group.throughput(Throughput::Elements((m * k * n) as u64));
        group.sample_size(20);
        let isa = compute::isa();
        let (values, weight) = (noise(m * k), noise(k * n));
        let stride = compute::ops::padded(n);
        let mut y = vec![0.0; m * stride];

        let dense = Packed::new(&weight, None, k, n);
        group.bench_function("dense f32", |b| {
            b.iter(|| product(isa, m, black_box(&values), k, &dense, black_box(&mut y), stride, Epilogue::Store));
        });

        if compute::Products::fastest(isa) == compute::Products::Bf16 {
            let mut y = vec![0.0; m * n];
            group.bench_function("dense bf16, with conversion", |b| {
                b.iter(|| {
                    let (x, w) = (compute::Mat::new(black_box(&values), m, k), compute::Mat::new(&weight, k, n));
                    let y = compute::MatMut::new(black_box(&mut y), m, n);
                    compute::Products::Bf16.matmul(1.0, x, w, y, compute::Start::Zero);
                });
            });
        }

        let mut x = Rows8::default();
        group.bench_function("quantise rows", |b| {
            b.iter(|| quantise(isa, m, black_box(&values), k, k, Sign::Signed, black_box(&mut x)));
        });
        quantise(isa, m, &values, k, k, Sign::Signed, &mut x);

        let shift = |span| Packed8::shift(&powers(k * n, span), None, k, n).expect("powers of two within the span");
        let (six, seven) = (shift(6), shift(7));
        let bytes = Packed8::dense(&weight, None, k, n);
        for (name, weight) in [("dense int8", &bytes), ("shift, 7 exponents", &seven), ("shift, 6 exponents", &six)] {
            group.bench_function(name, |b| {
                b.iter(|| product8(isa, black_box(&x), weight, black_box(&mut y), stride, Epilogue::Store));
            });
            let mut x = Rows8::default();
            group.bench_function(format!("{name}, with quantisation"), |b| {
                b.iter(|| {
                    quantise(isa, m, black_box(&values), k, k, Sign::Signed, &mut x);
                    product8(isa, &x, weight, black_box(&mut y), stride, Epilogue::Store);
                });
            });
        }

        let mut sums = vec![0; m * n];
        group.bench_function("literal shift and add", |b| {
            b.iter(|| literal::accumulate(isa, black_box(&x), &six, black_box(&mut sums)));
        });
        group.finish();
    }
}

criterion_group!(benches, products);
criterion_main!(benches);
