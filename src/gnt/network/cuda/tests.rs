//! The training path on the device against the CPU's: colours, weights of samples, and the gradient of every parameter.

use super::{Kernels, bytes_per_ray};
use crate::network::sources::{CudaMapGrads, CudaSources};
use crate::network::tests::fixture::{self, Fixture};
use crate::network::{NetworkOn, RouterTraining, Seeds, Workspace};
use crate::{Axes, Config, FeedForwardKind, Head, LinearKind, Position, RayAttentionKind, Start, ViewAttentionKind};
use compute::cuda::Buffer;
use kernels_host::Schedule;
use layers::Layout;
use layers::cuda::Store;
use layers::feed_forward::experts::Balance;
use layers::params::SplitMix;

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

fn with_visibility() -> Config {
    Config { axes: Axes::Target, visibility: true, ..compact() }
}

fn routers(config: &Config) -> RouterTraining {
    let balance = Balance { alpha: [0.6, 0.4], weight: 0.1 };
    match config.mlp {
        FeedForwardKind::Experts { .. } => RouterTraining::new(7, Some(balance)),
        _ => RouterTraining::default(),
    }
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

/// Parameters and sources of a fixture on the device.
struct OnDevice<'a> {
    kernels: &'a Kernels,
    f: &'a Fixture,
    params: Buffer<f32>,
    /// Features of each source view.
    features: Vec<Buffer<f32>>,
    sources: CudaSources,
    d_maps: CudaMapGrads,
}

impl<'a> OnDevice<'a> {
    fn new(kernels: &'a Kernels, f: &'a Fixture, folded: &[f32]) -> Self {
        let device = kernels.device();
        let params = device.upload(folded).unwrap();
        let mut sources = CudaSources::default();
        sources.set_photographs(kernels, &f.views).unwrap();
        if f.config.visibility {
            sources.set_surfaces(kernels, &f.surfaces).unwrap();
        }
        sources.set_maps(kernels, &vec![fixture::MAP; f.views.len()], f.config.width).unwrap();
        let features: Vec<_> = f.maps.iter().map(|m| device.upload(m).unwrap()).collect();
        for (v, map) in features.iter().enumerate() {
            sources.project(kernels, &f.net.token_features, &params, v..v + 1, map.into()).unwrap();
        }
        sources.make_keys(kernels, &f.net, &params).unwrap();
        let mut d_maps = CudaMapGrads::default();
        d_maps.reset(kernels, &sources).unwrap();
        Self { kernels, f, params, features, sources, d_maps }
    }

    fn network(&self) -> NetworkOn<'_, Kernels> {
        NetworkOn { executor: self.kernels, config: &self.f.config, net: &self.f.net, params: &self.params }
    }

    fn store(&self, values: &[f32]) -> Store {
        let mut store = Store::default();
        store.upload(self.kernels.device(), values).unwrap();
        store
    }
}

/// Both passes on both sides, from random gradients of colours, logits, states and tokens.
fn compare(name: &str, f: &Fixture, kernels: &Kernels, workspace: &mut Workspace<Kernels>) {
    let (config, net) = (&f.config, &f.net);
    let mut pass = f.run_with(routers(config), true);
    let weights = f.ray_weights(&pass);
    let mut rng = SplitMix(11);
    let mut random = |len: usize, size: f32| -> Vec<f32> { (0..len).map(|_| size * (rng.uniform() - 0.5)).collect() };
    let d_rgb = random(pass.workspace.trunk.head.rgb.len(), 2.0);
    let d_logits = net.blend.is_some().then(|| random(f.depths.len(), 0.1));
    let d_states: Vec<Vec<f32>> = pass.workspace.trunk.states.iter().map(|s| random(s.len(), 0.02)).collect();
    let d_tokens = random(pass.workspace.tokens.shared.tokens.len(), 0.02);
    let seeds = Seeds { rgb: &d_rgb, ray_logits: d_logits.as_ref(), states: Some(&d_states), tokens: Some(&d_tokens) };
    let (want, want_maps) = f.gradients_from(&mut pass, seeds);

    let mut on = OnDevice::new(kernels, f, &pass.folded);
    workspace.trunk.routers = routers(config);
    workspace.trunk.record = true;
    workspace.forward(on.network(), &on.sources, f.chunk()).unwrap();

    let (cpu, gpu) = (&pass.workspace, &*workspace);
    assert_eq!(gpu.tokens.shared.mask.read().unwrap(), cpu.tokens.shared.mask, "{name}");
    let (gpu_shared, cpu_shared) = (&gpu.tokens.shared, &cpu.tokens.shared);
    let tokens = [(&gpu_shared.tokens, &cpu_shared.tokens), (&gpu_shared.keys, &cpu_shared.keys)];
    for (got, want) in tokens.into_iter().filter(|(_, want)| !want.is_empty()) {
        assert_close(name, &got.read().unwrap(), want, COLOURS);
    }
    assert_close(&format!("{name}, colours"), &gpu.trunk.head.rgb.read().unwrap(), &cpu.trunk.head.rgb, COLOURS);
    let mut got = Store::default();
    gpu.ray_weights(on.network(), &mut got).unwrap();
    assert_close(name, &got.read().unwrap(), &weights, COLOURS);
    assert_eq!(gpu.trunk.states.len(), cpu.trunk.states.len(), "{name}");
    for (i, (got, want)) in gpu.trunk.states.iter().zip(&cpu.trunk.states).enumerate() {
        assert_close(&format!("{name}, state {i}"), &got.read().unwrap(), want, 5.0 * COLOURS);
    }
    assert_eq!(gpu.trunk.usage(net).counts, cpu.trunk.usage(net).counts, "{name}");

    let (rgb, logits, tokens) = (on.store(&d_rgb), d_logits.map(|d| on.store(&d)), on.store(&d_tokens));
    let states: Vec<Store> = d_states.iter().map(|d| on.store(d)).collect();
    let seeds = Seeds { rgb: &rgb, ray_logits: logits.as_ref(), states: Some(&states), tokens: Some(&tokens) };
    let mut grads = kernels.device().zeros::<f32>(net.layout.len()).unwrap();
    let network = NetworkOn { executor: kernels, config, net, params: &on.params };
    workspace.backward(network, seeds, Some(&mut on.d_maps), &mut grads).unwrap();
    on.sources.keys_backward(kernels, net, &on.params, &mut on.d_maps, &mut grads).unwrap();
    for (v, (map, want)) in on.features.iter().zip(&want_maps).enumerate() {
        let mut d_features = kernels.device().zeros::<f32>(map.len()).unwrap();
        let (layer, to) = (&net.token_features, (&mut d_features).into());
        on.sources.map_backward(kernels, layer, &on.params, v..v + 1, &on.d_maps, map.into(), to, &mut grads).unwrap();
        // One of the views may see no sample at all.
        let scale = want.iter().fold(0.0f32, |m, v| m.max(v.abs()));
        assert!(scale > 0.0 || v > 0, "{name}: a map without gradient");
        assert_close(&format!("{name}, map {v}"), &d_features.read().unwrap(), want, GRADIENTS * scale);
    }
    assert_parts(name, &net.layout, &grads.read().unwrap(), &want);
}

fn angular(branch: bool, config: Config) -> Config {
    Config { ray_attention: RayAttentionKind::LinearAngular { branch }, ..config }
}

#[test]
fn every_kind_equals_the_cpu() {
    let kernels = Kernels::new(&kernels_host::device()).unwrap();
    // One workspace for all, so that memory of other sizes is met.
    let mut workspace = Workspace::default();
    for (name, config) in [
        ("official", official()),
        ("compact", compact()),
        ("Hamming attention across views", Config { view_attention: ViewAttentionKind::Hamming, ..compact() }),
        ("Hamming attention along the ray", Config { ray_attention: RayAttentionKind::Hamming, ..official() }),
        ("linear-angular attention", angular(false, official())),
        ("linear-angular attention with a filter", angular(true, compact())),
        (
            "shifts",
            Config { linears: LinearKind::Shift { bits: 4 }, mlp: FeedForwardKind::Shift { bits: 5 }, ..official() },
        ),
        ("experts", Config { mlp: FeedForwardKind::Experts { bits: 4 }, ..compact() }),
        ("visibility", with_visibility()),
        ("all, with visibility", with_visibility().shift_add()),
        ("all, compact", compact().shift_add()),
        ("all, official", official().shift_add()),
    ] {
        compare(name, &Fixture::new(config), &kernels, &mut workspace);
    }
}

#[test]
fn any_number_of_views_and_samples_equals_the_cpu() {
    let kernels = Kernels::new(&kernels_host::device()).unwrap();
    let mut workspace = Workspace::default();
    for (views, samples) in [(1, 7), (2, 33), (3, 33)] {
        for (name, config) in [("official", official()), ("compact", compact()), ("all", compact().shift_add())] {
            let f = Fixture::new(config).with_size(views, samples);
            let seen: Vec<f32> =
                f.run().workspace.tokens.shared.mask.chunks_exact(views).map(|m| m.iter().sum()).collect();
            assert!(seen.contains(&0.0) && seen.iter().any(|s| *s > 0.0), "{name}: {seen:?}");
            compare(&format!("{name}, {views} views, {samples} samples"), &f, &kernels, &mut workspace);
        }
    }
}

/// An error that depends on the order of threads is a missing barrier.
#[test]
fn the_order_of_threads_does_not_matter() {
    let kernels = Kernels::new(&kernels_host::device()).unwrap();
    let mut workspace = Workspace::default();
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
        let mut workspace = Workspace::default();
        both_passes(&f, &kernels, &mut workspace, false);
        let held = device.0.free_memory().unwrap();
        drop(workspace);
        let used = (device.0.free_memory().unwrap() - held) as f64;
        let ratio = (fixture::RAYS * bytes_per_ray(&config, &f.net, 133, 3).unwrap()) as f64 / used;
        assert!((0.95..1.05).contains(&ratio), "{ratio} of {used} bytes");
    }
}

/// Both passes of a workspace from the same gradient of every colour; the gradients of the folded parameters.
fn both_passes(f: &Fixture, kernels: &Kernels, workspace: &mut Workspace<Kernels>, frozen: bool) -> Vec<f32> {
    let mut on = OnDevice::new(kernels, f, &f.run().folded);
    let mut grads = kernels.device().zeros::<f32>(f.net.layout.len()).unwrap();
    workspace.forward(on.network(), &on.sources, f.chunk()).unwrap();
    let d_rgb = on.store(&[0.5; 3 * fixture::RAYS]);
    let network = NetworkOn { executor: kernels, config: &f.config, net: &f.net, params: &on.params };
    let d_maps = (!frozen).then_some(&mut on.d_maps);
    workspace.backward(network, Seeds::of_colours(&d_rgb), d_maps, &mut grads).unwrap();
    grads.read().unwrap()
}

#[test]
fn gradients_of_frozen_features_stop_at_the_tokens() {
    let kernels = Kernels::new(&kernels_host::device()).unwrap();
    let f = Fixture::new(compact());
    for frozen in [true, false] {
        let grads = both_passes(&f, &kernels, &mut Workspace::default(), frozen);
        let of = |slot: layers::Slot| slot.of(&grads).iter().map(|g| g.abs()).sum::<f32>();
        assert_eq!(of(f.net.token_fc2.weight) == 0.0, frozen);
        assert_eq!(of(f.net.token_colour.weight) == 0.0, frozen);
        assert!(of(f.net.rgb.weight) > 0.0);
    }
}
