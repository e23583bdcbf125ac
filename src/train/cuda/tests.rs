//! Steps and runs on the emulated device against the CPU's.

use super::CudaStepper;
use crate::data::{Batch, Dataset, Draw};
use crate::distillation::{Distillation, Teacher};
use crate::run::{Run, STATE_FILE};
use crate::state::State;
use crate::step::{Losses, Step, StepOptions, Stepper};
use crate::testing::{config, dataset, network, options, plan};
use gnt::{Config, FeatureConfig, FeedForwardKind, Head, Model, Position, Start};
use layers::feed_forward::experts::Balance;

/// Gradients and losses relative to the largest of each parameter: single precision, summed in another order.
const TOLERANCE: f32 = 1e-3;
/// Rays of a step, and of a chunk on either device: the noise of experts belongs to the chunk, and the CPU cuts a step into
/// eight shares.
const RAYS: usize = 16;
const CHUNK: usize = 2;

fn official() -> Config {
    let position = Position::World { frequencies: 10 };
    Config { start: Start::Max, position, axes: Default::default(), head: Head::Mean, ..config() }
}

fn how(model: &Model) -> StepOptions {
    let experts = matches!(model.config.mlp, FeedForwardKind::Experts { .. });
    StepOptions {
        guided: false,
        samples: 12,
        micro_batch: CHUNK,
        depth_weight: 0.1,
        threads: 1,
        jitter: true,
        freeze_features: false,
        balance: experts.then_some(Balance { alpha: [0.6, 0.4], weight: 0.1 }),
        distillation: Distillation { features: 0.3, states: 0.5, colour: 1.0, weights: 0.2 },
    }
}

fn batch(data: &Dataset, rays: usize) -> Batch {
    let mut batch =
        data.draw(5, Draw { rays, views: (3, 3), axes: Default::default(), visibility: false, sharpening: 0 }).unwrap();
    // A near bound so close to the camera that no source sees the first samples.
    batch.depth_range.0 *= 0.2;
    batch
}

struct Outcome {
    losses: Losses,
    grads: Vec<f32>,
    /// Which views see the samples of the last chunk.
    mask: Vec<f32>,
}

/// A step on the CPU and on the device, whose stepper is returned.
fn both(
    (model, params): &(Model, Vec<f32>),
    teacher: Option<&Teacher>,
    batch: &Batch,
    how: StepOptions,
) -> (Outcome, Outcome) {
    let step = Step { model, params, teacher, batch, how, seed: 9 };
    let mut grads = vec![0.0; params.len()];
    let losses = Stepper::default().run(step, &mut grads);
    let cpu = Outcome { losses, grads, mask: Vec::new() };
    let mut stepper = CudaStepper::new(&kernels_host::device(), model).unwrap();
    stepper.most_rays = CHUNK;
    // Twice, so that memory of a step before is met; gradients are added.
    let mut grads = vec![0.0; params.len()];
    for _ in 0..2 {
        grads.fill(0.25);
        stepper.run(step, &mut grads).unwrap();
    }
    let mut again = vec![0.0; params.len()];
    let losses = stepper.run(step, &mut again).unwrap();
    for (i, (g, a)) in grads.iter().zip(&again).enumerate() {
        assert!((g - 0.25 - a).abs() < 1e-5 + TOLERANCE * a.abs(), "gradient {i}: {g} added to 0.25, {a} to 0");
    }
    let mask = stepper.pass.workspace.tokens.shared.mask.read().unwrap();
    (cpu, Outcome { losses, grads: again, mask })
}

fn assert_equal(what: &str, model: &Model, cpu: &Outcome, gpu: &Outcome) {
    let parts = |l: &Losses| [l.colour, l.depth, l.distillation];
    for (got, want) in parts(&gpu.losses).into_iter().zip(parts(&cpu.losses)) {
        assert!((got - want).abs() <= f64::from(TOLERANCE) * want.abs(), "{what}: loss {got}, expected {want}");
    }
    assert_eq!(gpu.losses.usage.counts, cpu.losses.usage.counts, "{what}");
    let largest = cpu.grads.iter().fold(0.0f32, |m, v| m.max(v.abs()));
    assert!(largest > 0.0, "{what}: nothing to compare");
    for entry in model.layout.entries() {
        let (got, want) = (entry.slot.of(&gpu.grads), entry.slot.of(&cpu.grads));
        // Parameters whose gradient is nothing but rounding, as a bias before a normalisation, are measured by the whole.
        let scale = want.iter().fold(1e-3 * largest, |m, v| m.max(v.abs()));
        for (i, (g, w)) in got.iter().zip(want).enumerate() {
            let close = (g - w).abs() <= TOLERANCE * scale;
            assert!(close, "{what}, {}[{i}]: {g}, expected {w} within {TOLERANCE} of {scale}", entry.name);
        }
    }
}

#[test]
fn a_step_equals_the_cpu() {
    let dir = tempfile::tempdir().unwrap();
    let batch = batch(&dataset(dir.path()), RAYS);
    for (what, config, seed) in [
        ("compact", config(), 4),
        ("official", official(), 4),
        ("compact with shifts and adds", config().shift_add(), 4),
        ("official with shifts and adds", official().shift_add(), 4),
    ] {
        let net = network(config, seed);
        let (cpu, gpu) = both(&net, None, &batch, how(&net.0));
        let seen = |mask: &[f32]| mask.contains(&1.0);
        assert!(gpu.mask.chunks(3).any(|m| !seen(m)) && seen(&gpu.mask), "{:?}", gpu.mask);
        assert!(cpu.losses.colour > 0.0 && (config.head == Head::Mean || cpu.losses.depth > 0.0), "{:?}", cpu.losses);
        assert_equal(what, &net.0, &cpu, &gpu);
    }
}

#[test]
fn lessons_equal_those_of_the_cpu() {
    let dir = tempfile::tempdir().unwrap();
    let batch = batch(&dataset(dir.path()), RAYS);
    let (net, other) = (network(config(), 4), network(config(), 6));
    let teacher = Teacher::new(other.0, &other.1);
    for freeze_features in [false, true] {
        let how = StepOptions { freeze_features, ..how(&net.0) };
        let (cpu, gpu) = both(&net, Some(&teacher), &batch, how);
        assert!(cpu.losses.distillation > 0.0, "{:?}", cpu.losses);
        assert_equal(if freeze_features { "frozen" } else { "taught" }, &net.0, &cpu, &gpu);
    }
    // Without depths only the lesson gives the samples' logits a gradient.
    let batch = Batch { depths: None, ..batch };
    let (cpu, gpu) = both(&net, Some(&teacher), &batch, how(&net.0));
    assert_eq!(gpu.losses.depth, 0.0);
    assert_equal("without depths", &net.0, &cpu, &gpu);
}

#[test]
fn little_memory_means_smaller_chunks_and_none_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let batch = batch(&dataset(dir.path()), 61);
    let (model, params) = network(config(), 4);
    let run = |memory: u64| {
        let mut stepper = CudaStepper::new(&kernels_host::device_with_memory(memory), &model)?;
        let mut grads = vec![0.0; params.len()];
        let step = Step { model: &model, params: &params, teacher: None, batch: &batch, how: how(&model), seed: 9 };
        let losses = stepper.run(step, &mut grads)?;
        Ok::<_, crate::Error>((Outcome { losses, grads, mask: Vec::new() }, stepper.budget))
    };
    let (want, budget) = run(1 << 30).unwrap();
    assert!(budget > Some(100 << 20), "{budget:?}");
    let mut refused = 0;
    let mut chunked = 0;
    for memory in [1 << 20, 6 << 20, 9 << 20, 12 << 20, 16 << 20, 24 << 20] {
        match run(memory) {
            Ok((got, _)) => {
                assert_equal(&format!("{memory} bytes"), &model, &want, &got);
                chunked += 1;
            }
            Err(error) => {
                assert!(error.to_string().starts_with("device memory: "), "{error}");
                refused += 1;
            }
        }
    }
    assert!(refused > 0 && chunked > 1, "{refused} refused, {chunked} done");
}

/// How far two vectors are apart, relative to how far the first is from where both started.
fn apart(start: &[f32], want: &[f32], got: &[f32]) -> f64 {
    let distance = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>().sqrt();
    distance(want, got) / distance(start, want)
}

/// The optimiser divides each gradient by its own size, so where a gradient is nothing but rounding the first steps go
/// either way: whole vectors are compared.
const APART: f64 = 0.03;

#[test]
fn steps_in_a_row_equal_those_of_the_cpu() {
    let dir = tempfile::tempdir().unwrap();
    let data = dataset(dir.path());
    let start = || Run::start(config(), options(), None).unwrap();
    let (mut cpu, mut gpu) = (start(), start().on_cuda(&kernels_host::device()).unwrap());
    for step in 0..2 {
        let ((want, norm), (got, other)) = (cpu.step(&data, 1).unwrap(), gpu.step(&data, 1).unwrap());
        assert!((got.colour / want.colour - 1.0).abs() < 1e-3, "step {step}: {got:?}, expected {want:?}");
        assert!((got.depth / want.depth - 1.0).abs() < 1e-3, "step {step}: {got:?}, expected {want:?}");
        assert!((other / norm - 1.0).abs() < 5e-3, "step {step}: norm {other}, expected {norm}");
    }
    let apart = apart(&start().state().params, &cpu.state().params, &gpu.state().params);
    assert!(apart < APART, "{apart}");
}

/// What a step of two networks asks of a device: launches, each of which costs a GPU some microseconds whatever it does. The
/// sizes of layers do not matter for that, so that these are small.
#[test]
fn a_step_takes_few_launches() {
    let dir = tempfile::tempdir().unwrap();
    let data = dataset(dir.path());
    let features = |blocks| FeatureConfig { stem_stride: 1, blocks, ..config().features };
    let compact = Config { features: features([1, 1, 1]), depth: 2, ..config() };
    let large = Config { features: features([3, 4, 6]), depth: 8, ..official() };
    for (what, config, most) in [("compact", compact, 360), ("official", large, 940)] {
        let mut run = Run::start(config, options(), None).unwrap().on_cuda(&kernels_host::device()).unwrap();
        run.step(&data, 1).unwrap();
        let before = kernels_host::launches();
        run.step(&data, 1).unwrap();
        let count = kernels_host::launches() - before;
        assert!(count < most, "{what}: {count} launches");
    }
}

#[test]
fn a_run_goes_on_on_the_other_device() {
    let dir = tempfile::tempdir().unwrap();
    let data = dataset(&dir.path().join("data"));
    let device = kernels_host::device();
    let start = || Run::start(config(), options(), None).unwrap();
    let state = |name: &str| State::read(&dir.path().join(name).join(STATE_FILE)).unwrap();
    start().train(&data, &plan(&dir.path().join("cpu"), 4, 1), |_| {}).unwrap();
    let want = state("cpu");
    for (name, first_on_cuda) in [("from_cuda", true), ("from_cpu", false)] {
        let out = dir.path().join(name);
        let place = |run: Run, cuda: bool| if cuda { run.on_cuda(&device).unwrap() } else { run };
        place(start(), first_on_cuda).train(&data, &plan(&out, 2, 1), |_| {}).unwrap();
        place(Run::resume(&out).unwrap(), !first_on_cuda).train(&data, &plan(&out, 4, 1), |_| {}).unwrap();
        let got = state(name);
        assert_eq!(got.step, 4);
        let apart = apart(&start().state().params, &want.params, &got.params);
        assert!(apart < APART, "{name}: {apart}");
    }
}

/// Where samples lie in their cells depends on the seed alone, and forward passes repeat to the bit.
#[test]
fn seeds_change_what_is_random() {
    let dir = tempfile::tempdir().unwrap();
    let batch = batch(&dataset(dir.path()), 5);
    let (model, params) = network(config(), 4);
    let mut stepper = CudaStepper::new(&kernels_host::device(), &model).unwrap();
    let mut colour = |seed: u64| {
        let mut grads = vec![0.0; params.len()];
        let step = Step { model: &model, params: &params, teacher: None, batch: &batch, how: how(&model), seed };
        stepper.run(step, &mut grads).unwrap().colour
    };
    let first = colour(1);
    assert_ne!(first, colour(2));
    assert_eq!(first, colour(1));
}
