//! Training of the transformer part, forward and backward, against the raw rate of the machine's matrix product.
//!
//! `cargo bench --bench training`; throughput is in floating-point operations, so `Gelem/s` reads as GFLOP/s. A step is
//! counted as three times the forward pass of the folded network; projection, look-ups, softmax and normalisation are
//! in the time but not in the count.

use compute::{Mat, MatMut, matmul};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use glam::{Mat4, Vec2, Vec3};
use gnt::network::sources::{MapGrads, RayChunk, Source, SourceMap};
use gnt::network::{NetworkOn, Seeds, Workspace};
use gnt::{Config, Model, Start, sampling};
use scene::{Camera, Image, Ray};
use std::hint::black_box;

const VIEWS: usize = 8;
const SAMPLES: usize = 64;

/// Multiply-adds of one ray's forward pass.
fn forward_macs(config: &Config) -> usize {
    let (c, h, s, v) = (config.width, config.attention_hidden, SAMPLES, VIEWS);
    let ff = 2 * c * c * config.mlp_ratio;
    let view = v * (4 * h + (c + h) * (c + h) + h * c) + c * h + c * c + ff;
    let ray = 4 * c * c + 2 * s * c + ff;
    let position = (config.position.channels() + 2 * c) * c;
    let tokens = v * (3 * c + c * c) + if config.start == Start::Stats { 2 * c * c } else { 0 };
    s * (tokens + config.depth * (view + ray) + config.depth.div_ceil(2) * position)
}

fn training(criterion: &mut Criterion) {
    let camera = |x: f32| Camera {
        width: 160,
        height: 120,
        focal: Vec2::splat(130.0),
        center: Vec2::new(80.0, 60.0),
        world_from_camera: Mat4::from_translation(Vec3::new(x, 0.0, 0.0)),
    };
    for (name, config) in [("full", Config::official(8)), ("compact", Config::compact())] {
        let model = Model::new(config).expect("valid");
        let params = model.layout.initialise(1);
        let folded = model.fold(&params);
        let image = Image::black(160, 120);
        let map = SourceMap::new((40, 30), vec![0.1; 40 * 30 * config.width]);
        let sources: Vec<Source> = (0..VIEWS).map(|v| map.source(&camera(0.05 * v as f32), &image)).collect();
        let mut group = criterion.benchmark_group(format!("training/cpu/{name}"));
        group.sample_size(10);
        for rays in [1, 2, 4] {
            let batch: Vec<Ray> = (0..rays).map(|i| camera(0.2).ray(Vec2::new(60.0 + 9.0 * i as f32, 50.0))).collect();
            let depths = sampling::inverse_depth(2.0, 40.0, SAMPLES).repeat(rays);
            let mut workspace = Workspace::default();
            let mut grads = vec![0.0; model.net.layout.len()];
            let mut d_maps = MapGrads::default();
            d_maps.reset(&sources);
            let d_rgb = vec![0.1; 3 * rays];
            group.throughput(Throughput::Elements((rays * 6 * forward_macs(&config)) as u64));
            group.bench_function(format!("{rays} rays"), |b| {
                b.iter(|| {
                    let chunk = RayChunk { rays: &batch, depths: &depths, depth_range: (2.0, 40.0) };
                    let network = NetworkOn::cpu(&model, &folded);
                    let Ok(()) = workspace.forward(network, &sources, black_box(chunk));
                    let seeds = Seeds::of_colours(&d_rgb);
                    let Ok(()) = workspace.backward(network, seeds, Some(&mut d_maps), &mut grads);
                });
            });
        }
        let n = 1024;
        let (a, b, mut c) = (vec![0.5; n * n], vec![0.25; n * n], vec![0.0; n * n]);
        group.throughput(Throughput::Elements(2 * (n * n * n) as u64));
        group.bench_function("raw product 1024", |bencher| {
            bencher.iter(|| {
                matmul(1.0, Mat::new(black_box(&a), n, n), Mat::new(&b, n, n), MatMut::new(&mut c, n, n), false)
            });
        });
        group.finish();
    }
}

criterion_group!(benches, training);
criterion_main!(benches);
