//! The training path on the device against the CPU's: colours, weights of samples, and the gradient of every parameter.

use super::kernels::Kernels;
use super::*;
use crate::network::tests::fixture::{self, Fixture};
use crate::network::{Routing, tests};
use crate::{Config, Head, MlpKind, Position, RayAttentionKind, Start, ViewAttentionKind, Weights};
use kernels_host::Schedule;
use layers::Layout;
use layers::experts::Balance;
use layers::params::SplitMix;
use tensor::cuda::CudaError;

/// Single precision on both sides, summed in another order.
const COLOURS: f32 = 2e-5;
/// The same for gradients, relative to the largest of each parameter.
const GRADIENTS: f32 = 1e-3;

fn official() -> Config {
    fixture::config(Start::Max, Position::World { frequencies: 10 }, Head::Mean)
}

fn compact() -> Config {
    fixture::config(Start::Stats, Position::Ray { frequencies: 4 }, Head::Blend)
}

fn routing(config: &Config) -> Routing {
    let balance = Balance { alpha: [0.6, 0.4], weight: 0.1 };
    if matches!(config.mlp, MlpKind::Experts { .. }) { Routing::training(7, Some(balance)) } else { Routing::default() }
}

/// Largest deviation of the parts of a vector, each relative to the largest value of its part; the scale of parts that
/// are all but zero is that of rounding.
fn assert_parts(what: &str, layout: &Layout, got: &[f32], want: &[f32]) {
    let largest = want.iter().fold(0.0f32, |m, v| m.max(v.abs()));
    assert!(largest > 0.0, "{what}: nothing to compare");
    for entry in layout.entries() {
        let (got, want) = (entry.slot.of(got), entry.slot.of(want));
        let scale = want.iter().fold(1e-4 * largest, |m, v| m.max(v.abs()));
        for (i, (g, w)) in got.iter().zip(want).enumerate() {
            let close = (g - w).abs() <= GRADIENTS * scale;
            assert!(close, "{what}, {}[{i}]: {g}, expected {w} within {GRADIENTS} of {scale}", entry.name);
        }
    }
}

fn assert_close(what: &str, got: &[f32], want: &[f32], tolerance: f32) {
    assert_eq!(got.len(), want.len(), "{what}");
    for (i, (g, w)) in got.iter().zip(want).enumerate() {
        assert!((g - w).abs() <= tolerance, "{what}[{i}]: {g}, expected {w} within {tolerance}");
    }
}

/// Both passes on both sides, from random gradients of colours, logits, states and tokens.
fn compare(name: &str, f: &Fixture, kernels: &Kernels, workspace: &mut CudaWorkspace) {
    let (config, net) = (&f.config, &f.net);
    let mut pass = f.run_with(routing(config), true);
    let shape = f.shape();
    let mut rng = SplitMix(11);
    let mut random = |len: usize, size: f32| -> Vec<f32> { (0..len).map(|_| size * (rng.uniform() - 0.5)).collect() };
    let d_rgb = random(pass.workspace.trunk.head.rgb.len(), 2.0);
    let d_logits = net.blend.is_some().then(|| random(f.depths.len(), 0.1));
    let d_states: Vec<Vec<f32>> = pass.workspace.trunk.states.iter().map(|s| random(s.len(), 0.02)).collect();
    let d_tokens = random(pass.workspace.tokens.tokens.len(), 0.02);
    let seeds = crate::network::Seeds {
        rgb: &d_rgb,
        ray_logits: d_logits.as_deref(),
        states: Some(&d_states),
        tokens: Some(&d_tokens),
    };
    let (want, want_maps) = f.gradients_from(&mut pass, seeds);

    let device = kernels.device();
    let params = device.upload(&pass.folded).unwrap();
    let mut grads = device.zeros::<f32>(net.layout.len()).unwrap();
    let mut sources = CudaSources::default();
    sources.set_photographs(kernels, &f.sources_with_cameras()).unwrap();
    sources.set_maps(kernels, &vec![fixture::MAP; shape.views], config.width).unwrap();
    let maps: Vec<_> = f.maps.iter().map(|m| device.upload(m).unwrap()).collect();
    for (v, map) in maps.iter().enumerate() {
        sources.project(kernels, &net.token_features, &params, v, map.into()).unwrap();
    }
    sources.make_keys(kernels, net, &params).unwrap();
    sources.clear_gradients(kernels, net).unwrap();
    workspace.trunk.routing = routing(config);
    workspace.trunk.record = true;
    workspace.forward(kernels, config, net, &params, &sources, f.chunk()).unwrap();

    let (cpu, gpu) = (&pass.workspace, &*workspace);
    assert_eq!(gpu.tokens.mask.read().unwrap(), cpu.tokens.mask, "{name}");
    let tokens = [(&gpu.tokens.tokens, &cpu.tokens.tokens), (&gpu.tokens.keys, &cpu.tokens.keys)];
    for (got, want) in tokens.into_iter().filter(|(_, want)| !want.is_empty()) {
        assert_close(name, &got.read().unwrap(), want, COLOURS);
    }
    assert_close(&format!("{name}, colours"), &gpu.trunk.head.rgb.read().unwrap(), &cpu.trunk.head.rgb, COLOURS);
    let mut weights = Store::default();
    gpu.ray_weights(kernels, net, &params, &mut weights).unwrap();
    assert_close(name, &weights.read().unwrap(), &cpu.trunk.ray_weights(net, shape.samples), COLOURS);
    assert_eq!(gpu.trunk.states.len(), cpu.trunk.states.len(), "{name}");
    for (i, (got, want)) in gpu.trunk.states.iter().zip(&cpu.trunk.states).enumerate() {
        assert_close(&format!("{name}, state {i}"), &got.read().unwrap(), want, 5.0 * COLOURS);
    }
    assert_eq!(gpu.trunk.usage(net).counts, cpu.trunk.usage(net).counts, "{name}");

    let stored = |values: &[f32]| device.upload(values).unwrap();
    let (rgb, logits, tokens) = (stored(&d_rgb), d_logits.as_deref().map(stored), stored(&d_tokens));
    let states: Vec<Store> = d_states
        .iter()
        .map(|values| {
            let (mut store, from) = (Store::default(), stored(values));
            store.resize(device, values.len()).unwrap();
            kernels.ops.copy(&from, &mut store).unwrap();
            store
        })
        .collect();
    let seeds = CudaSeeds {
        rgb: (&rgb).into(),
        ray_logits: logits.as_ref().map(Into::into),
        states: Some(&states),
        tokens: Some((&tokens).into()),
    };
    workspace.backward(kernels, net, &params, seeds, Some(&mut sources), &mut grads).unwrap();
    sources.keys_backward(kernels, net, &params, &mut grads).unwrap();
    for (v, (map, want)) in maps.iter().zip(&want_maps).enumerate() {
        let mut d_map = device.zeros::<f32>(map.len()).unwrap();
        let (layer, to) = (&net.token_features, (&mut d_map).into());
        sources.map_backward(kernels, layer, &params, v, map.into(), to, &mut grads).unwrap();
        // One of the views may see no sample at all.
        let scale = want.iter().fold(0.0f32, |m, v| m.max(v.abs()));
        assert!(scale > 0.0 || v > 0, "{name}: a map without gradient");
        assert_close(&format!("{name}, map {v}"), &d_map.read().unwrap(), want, GRADIENTS * scale);
    }
    assert_parts(name, &net.layout, &grads.read().unwrap(), &want);
}

#[test]
fn every_kind_equals_the_cpu() {
    let kernels = Kernels::new(&kernels_host::device()).unwrap();
    // One workspace for all, so that memory of other sizes is met.
    let mut workspace = CudaWorkspace::default();
    for (name, config) in [
        ("official", official()),
        ("compact", compact()),
        ("codes across views", Config { view_attention: ViewAttentionKind::Hamming, ..compact() }),
        ("codes along the ray", Config { ray_attention: RayAttentionKind::Hamming, ..official() }),
        ("shifts", Config { linears: Weights::Shift { bits: 4 }, mlp: MlpKind::Shift { bits: 5 }, ..official() }),
        ("experts", Config { mlp: MlpKind::Experts { bits: 4 }, ..compact() }),
        ("all, compact", compact().shift_add()),
        ("all, official", official().shift_add()),
    ] {
        compare(name, &Fixture::new(config), &kernels, &mut workspace);
    }
}

#[test]
fn any_number_of_views_and_samples_equals_the_cpu() {
    let kernels = Kernels::new(&kernels_host::device()).unwrap();
    let mut workspace = CudaWorkspace::default();
    for (views, samples) in [(1, 7), (2, 33), (3, 33)] {
        for (name, config) in [("official", official()), ("compact", compact()), ("all", compact().shift_add())] {
            let f = Fixture::new(config).with_size(views, samples);
            let seen: Vec<f32> = f.run().workspace.tokens.mask.chunks_exact(views).map(|m| m.iter().sum()).collect();
            assert!(seen.contains(&0.0) && seen.iter().any(|s| *s > 0.0), "{name}: {seen:?}");
            compare(&format!("{name}, {views} views, {samples} samples"), &f, &kernels, &mut workspace);
        }
    }
}

/// An error that depends on the order of threads is a missing barrier.
#[test]
fn the_order_of_threads_does_not_matter() {
    let kernels = Kernels::new(&kernels_host::device()).unwrap();
    let mut workspace = CudaWorkspace::default();
    for schedule in [Schedule::Reverse, Schedule::Random(5)] {
        kernels_host::set_schedule(schedule);
        for config in [compact(), compact().shift_add()] {
            compare(&format!("{schedule:?}"), &Fixture::new(config), &kernels, &mut workspace);
        }
    }
    kernels_host::set_schedule(Schedule::Forward);
}

/// The estimate decides how many rays are taken at a time: far too low fails late, far too high leaves memory unused.
#[test]
fn memory_of_a_ray_is_known_in_advance() {
    let device = kernels_host::device();
    let kernels = Kernels::new(&device).unwrap();
    for config in [official(), compact(), official().shift_add(), compact().shift_add()] {
        let f = Fixture::new(config).with_size(3, 133);
        let mut workspace = CudaWorkspace::default();
        both_passes(&f, &kernels, &mut workspace, false);
        let held = device.0.free_memory().unwrap();
        drop(workspace);
        let used = (device.0.free_memory().unwrap() - held) as f64;
        let ratio = (fixture::RAYS * bytes_per_ray(&config, 133, 3)) as f64 / used;
        assert!((0.95..1.05).contains(&ratio), "{ratio} of {used} bytes");
    }
}

#[test]
fn a_kind_without_kernels_is_refused() {
    let config = Config { ray_attention: RayAttentionKind::LinearAngular { branch: true }, ..compact() };
    let error = check(&Fixture::new(config).net).unwrap_err();
    assert!(matches!(error, CudaError::Kernels { .. }), "{error}");
    assert!(error.to_string().contains("linear-angular") && error.to_string().contains("CPU"), "{error}");
    assert!(tests::official_and_compact().iter().all(|c| check(&Fixture::new(*c).net).is_ok()));
}

/// Both passes of a workspace from the same gradient of every colour; the gradients of the folded parameters.
fn both_passes(f: &Fixture, kernels: &Kernels, workspace: &mut CudaWorkspace, frozen: bool) -> Vec<f32> {
    let (device, shape) = (kernels.device(), f.shape());
    let params = device.upload(&f.run().folded).unwrap();
    let mut grads = device.zeros::<f32>(f.net.layout.len()).unwrap();
    let mut sources = CudaSources::default();
    sources.set_photographs(kernels, &f.sources_with_cameras()).unwrap();
    sources.set_maps(kernels, &vec![fixture::MAP; shape.views], f.config.width).unwrap();
    sources.make_keys(kernels, &f.net, &params).unwrap();
    sources.clear_gradients(kernels, &f.net).unwrap();
    workspace.forward(kernels, &f.config, &f.net, &params, &sources, f.chunk()).unwrap();
    let d_rgb = device.upload(&[0.5; 3 * fixture::RAYS]).unwrap();
    let seeds = CudaSeeds { rgb: (&d_rgb).into(), ray_logits: None, states: None, tokens: None };
    let to = (!frozen).then_some(&mut sources);
    workspace.backward(kernels, &f.net, &params, seeds, to, &mut grads).unwrap();
    grads.read().unwrap()
}

#[test]
fn gradients_of_frozen_features_stop_at_the_tokens() {
    let kernels = Kernels::new(&kernels_host::device()).unwrap();
    let f = Fixture::new(compact());
    for frozen in [true, false] {
        let grads = both_passes(&f, &kernels, &mut CudaWorkspace::default(), frozen);
        let of = |slot: layers::Slot| slot.of(&grads).iter().map(|g| g.abs()).sum::<f32>();
        assert_eq!(of(f.net.token_fc2.weight) == 0.0, frozen);
        assert_eq!(of(f.net.token_colour.weight) == 0.0, frozen);
        assert!(of(f.net.rgb.weight) > 0.0);
    }
}
