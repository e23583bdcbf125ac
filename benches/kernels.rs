//! The engine's matrix product against the `gemm` crate, at the sizes of the official network.
//!
//! `cargo bench --bench kernels`

use compute::ops::product::{Epilogue, Packed, product};
use compute::{Mat, MatMut, matmul};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;

fn noise(n: usize) -> Vec<f32> {
    (0..n).map(|i| ((i * 7919) % 1009) as f32 / 1009.0 - 0.5).collect()
}

fn products(c: &mut Criterion) {
    // Rows x inputs x outputs: view mix of a group, queries-keys-values, feed-forward, and the raw rate of the machine.
    for (m, k, n) in [(60, 72, 72), (192, 64, 192), (60, 64, 256), (60, 256, 64), (1024, 1024, 1024)] {
        let mut group = c.benchmark_group(format!("product/cpu/{m}x{k}x{n}"));
        group.throughput(Throughput::Elements(2 * (m * k * n) as u64));
        group.sample_size(20);
        let (x, w) = (noise(m * k), noise(k * n));
        let packed = Packed::new(&w, None, k, n);
        let stride = compute::ops::padded(n);
        let mut y = vec![0.0; m * stride];
        group.bench_function("engine", |b| {
            b.iter(|| {
                product(compute::isa(), m, black_box(&x), k, &packed, black_box(&mut y), stride, Epilogue::Store)
            });
        });
        let mut y = vec![0.0; m * n];
        group.bench_function("gemm crate", |b| {
            b.iter(|| {
                matmul(
                    1.0,
                    Mat::new(black_box(&x), m, k),
                    Mat::new(&w, k, n),
                    MatMut::new(black_box(&mut y), m, n),
                    false,
                )
            });
        });
        group.finish();
    }
}

criterion_group!(benches, products);
criterion_main!(benches);
