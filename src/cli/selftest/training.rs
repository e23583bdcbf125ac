//! Training steps on a CUDA device against the processor's.

use super::Scope;
use super::material::{Material, Network, VIEWS};
use super::report::{Bound, Report};
use compute::cuda::Device;
use glam::Vec2;
use gnt::{Config, FeedForwardKind};
use layers::feed_forward::experts::Balance;
use layers::params::SplitMix;
use train::cuda::CudaStepper;
use train::data::Batch;
use train::distillation::{Distillation, Teacher};
use train::step::{Losses, Step, StepOptions, Stepper};

/// Losses, and gradients by the largest of each parameter, may differ by so much: sums are made in another order.
const TOLERANCE: f64 = 1e-3;
/// Steps of one ray where chunks matter: the noise that experts are chosen with belongs to a chunk, what is learned from a
/// teacher is relative to a chunk's mean, and the devices cut steps into different chunks.
const STEPS: u64 = 5;

/// Runs all checks.
///
/// # Errors
/// If a network cannot be made; what the device fails with is a row of the report.
pub fn run(device: &Device, scope: Scope, report: &mut Report) -> anyhow::Result<()> {
    let material = Material::new(VIEWS);
    let (official, compact) = (Config::official(2), Config::compact());
    let mut dense = vec![("compact", compact)];
    let mut shift_add = vec![("compact ShiftAdd", compact.shift_add())];
    if !scope.quick {
        dense.push(("official, 2 blocks,", official));
        shift_add.push(("official ShiftAdd, 2 blocks,", official.shift_add()));
    }
    let samples = if scope.quick { 9 } else { 33 };
    let (rays, steps) = if scope.quick { (5, 3) } else { (37, STEPS) };
    for (name, config) in dense {
        let network = Network::random(name, config, 5)?;
        let check = format!("a training step, {rays} rays");
        report.attempt(&network.name, &check, |report| {
            let off = Pair::new(device, &network, samples)?.step(None, &batch(&material, rays, 1), 1)?;
            let note = format!("worst: {}", off.worst);
            report.add(&network.name, &check, off.relative, Bound::AtMost(TOLERANCE), note);
            Ok::<_, train::Error>(())
        });
        let other = Network::random(name, config, 6)?;
        let teacher = Teacher::new(other.model, &other.params);
        report.attempt(&network.name, "training steps with a lesson", |report| {
            let found = Pair::new(device, &network, samples)?.steps(Some(&teacher), &material, steps)?;
            let last = found.last().expect("at least one step");
            let note = format!("the worst of {steps}: {}", last.worst);
            report.add(&network.name, "training steps with a lesson", last.relative, Bound::AtMost(TOLERANCE), note);
            Ok::<_, train::Error>(())
        });
    }
    for (name, config) in shift_add {
        let network = Network::random(name, config, 5)?;
        report.attempt(&network.name, "training steps", |report| {
            let found = Pair::new(device, &network, samples)?.steps(None, &material, steps)?;
            // A sign that is rounded to the other side moves single steps.
            let (middle, last) = (&found[found.len() / 2], &found[found.len() - 1]);
            let note = format!("the middle one of {steps}: {}; worst {:.1e}", middle.worst, last.relative);
            report.add(&network.name, "training steps", middle.relative, Bound::AtMost(TOLERANCE), note);
            Ok::<_, train::Error>(())
        });
    }
    Ok(())
}

/// Rays of the target view with their colours and depths.
pub fn batch(material: &Material, rays: usize, seed: u64) -> Batch {
    let mut rng = SplitMix(seed);
    let (width, height) = (material.target.width, material.target.height);
    let mut batch = Batch {
        sources: material.sources[..3].to_vec(),
        surfaces: vec![None; 3],
        rays: Vec::new(),
        colours: Vec::new(),
        depths: None,
        corners: None,
        depth_range: material.depth_range,
    };
    let mut depths = Vec::new();
    for _ in 0..rays {
        let (x, y) = (rng.below(width as usize) as u32, rng.below(height as usize) as u32);
        batch.rays.push(material.target.ray(Vec2::new(x as f32, y as f32)));
        batch.colours.extend(material.photograph.pixel(x, y));
        depths.push(material.depth[(y * width + x) as usize].min(material.depth_range.1));
    }
    batch.depths = Some(depths);
    batch
}

/// A stepper on the processor and one on the device.
pub struct Pair<'a> {
    network: &'a Network,
    samples: usize,
    cpu: Stepper,
    gpu: CudaStepper,
}

/// How far two steps are apart.
pub struct Apart {
    /// Largest difference of a loss, or of a gradient by the largest of its parameter.
    pub relative: f64,
    /// Where.
    pub worst: String,
}

impl<'a> Pair<'a> {
    pub fn new(device: &Device, network: &'a Network, samples: usize) -> train::Result<Self> {
        let gpu = CudaStepper::new(device, &network.model)?;
        Ok(Self { network, samples, cpu: Stepper::default(), gpu })
    }

    /// Steps of one ray each, the best first.
    fn steps(&mut self, teacher: Option<&Teacher>, material: &Material, count: u64) -> train::Result<Vec<Apart>> {
        let mut found: Vec<Apart> =
            (0..count).map(|seed| self.step(teacher, &batch(material, 1, seed), seed)).collect::<train::Result<_>>()?;
        found.sort_by(|a, b| a.relative.total_cmp(&b.relative));
        Ok(found)
    }

    pub fn step(&mut self, teacher: Option<&Teacher>, batch: &Batch, seed: u64) -> train::Result<Apart> {
        let Network { model, params, .. } = self.network;
        let experts = matches!(model.config.mlp, FeedForwardKind::Experts { .. });
        let how = StepOptions {
            guided: false,
            samples: self.samples,
            micro_batch: 2,
            depth_weight: 0.1,
            threads: compute::parallel::available(),
            jitter: true,
            freeze_features: false,
            balance: experts.then_some(Balance { alpha: [0.6, 0.4], weight: 0.1 }),
            distillation: Distillation { features: 0.3, states: 0.5, colour: 1.0, weights: 0.2 },
        };
        let mut want = vec![0.0; params.len()];
        let mut got = want.clone();
        let step = Step { model, params, teacher, batch, how, seed };
        let losses = self.cpu.run(step, &mut want);
        let found = self.gpu.run(step, &mut got)?;
        let mut apart = Apart { relative: 0.0, worst: "none".into() };
        let parts = |l: &Losses| [("colour", l.colour), ("depth", l.depth), ("lesson", l.distillation)];
        for ((name, found), (_, wanted)) in parts(&found).into_iter().zip(parts(&losses)) {
            apart.note(|| format!("{name} loss"), found - wanted, wanted);
        }
        let largest = want.iter().fold(0.0f32, |m, v| m.max(v.abs()));
        for entry in model.layout.entries() {
            let (got, want) = (entry.slot.of(&got), entry.slot.of(&want));
            // Parameters whose gradient is nothing but rounding, as a bias before a normalisation, go by the whole.
            let scale = want.iter().fold(1e-3 * largest, |m, v| m.max(v.abs()));
            for (got, want) in got.iter().zip(want) {
                apart.note(|| entry.name.clone(), f64::from(got - want), f64::from(scale));
            }
        }
        Ok(apart)
    }
}

impl Apart {
    fn note(&mut self, name: impl FnOnce() -> String, difference: f64, scale: f64) {
        let relative = if difference == 0.0 { 0.0 } else { difference.abs() / scale.abs() };
        // A difference that is not a number is the worst there is.
        if relative > self.relative || (relative.is_nan() && !self.relative.is_nan()) {
            (self.relative, self.worst) = (relative, name());
        }
    }
}
