//! One training step: loss and gradients of a batch.
//!
//! A step cuts its rays into chunks. What happens to a chunk is written once, in `chunk.rs`; how chunks are shared out
//! belongs to each device: [`Stepper`] gives the CPU's threads micro-batches that fit in cache,
//! [`crate::cuda::CudaStepper`] gives a device as many rays as its memory holds.

pub(crate) mod chunk;
mod cpu;
pub(crate) mod losses;
mod view_pass;

pub use cpu::Stepper;

use crate::data::Batch;
use crate::distillation::{Distillation, Teacher};
use crate::guided;
use gnt::{Model, sampling};
use layers::feed_forward::experts::{Balance, Usage};
use layers::params::SplitMix;
use std::ops::Range;

/// What a step is computed from.
#[derive(Clone, Copy, Debug)]
pub struct Step<'a> {
    /// The network.
    pub model: &'a Model,
    /// Its parameters.
    pub params: &'a [f32],
    /// Whom it learns from beside the photographs.
    pub teacher: Option<&'a Teacher>,
    /// Source views, rays and what they should show.
    pub batch: &'a Batch,
    /// How the step is computed.
    pub how: StepOptions,
    /// Seed of all that is random in it.
    pub seed: u64,
}

/// Mean losses of a batch.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Losses {
    /// Mean squared error of the colours.
    pub colour: f64,
    /// Cross entropy of the samples' weights against the true depth; 0 where there is none.
    pub depth: f64,
    /// Distance from the teacher, weighted; 0 without one.
    pub distillation: f64,
    /// What the routers of experts did.
    pub usage: Usage,
}

impl Losses {
    fn add(&mut self, other: &Self) {
        self.colour += other.colour;
        self.depth += other.depth;
        self.distillation += other.distillation;
        self.usage.add(&other.usage);
    }
}

/// How a step is computed.
#[derive(Clone, Copy, Debug)]
pub struct StepOptions {
    /// Samples a ray.
    pub samples: usize,
    /// Whether they lie where a coarse pass would have them instead of all over the depth range.
    pub guided: bool,
    /// Rays of one micro-batch: as many as keep its activations in cache.
    pub micro_batch: usize,
    /// Weight of the depth loss.
    pub depth_weight: f32,
    /// Threads; the result does not depend on it.
    pub threads: usize,
    /// Move samples at random within their cells.
    pub jitter: bool,
    /// Whether the feature network and the token layers are left as they are.
    pub freeze_features: bool,
    /// Balance of experts, where the network has them.
    pub balance: Option<Balance>,
    /// Weights of what is learned from the teacher, where there is one.
    pub distillation: Distillation,
}

/// Appends the depths of the samples of each ray in `rays`, which are the same on every device.
pub(crate) fn sample_depths(batch: &Batch, rays: Range<usize>, how: StepOptions, seed: u64, out: &mut Vec<f32>) {
    let (near, far) = batch.depth_range;
    for ray in rays {
        let mut rng = SplitMix(seed ^ (ray as u64).wrapping_mul(0xD134_2543_DE82_EF95));
        if let (true, Some(corners)) = (how.guided, &batch.corners) {
            guided::depths(&corners[ray], batch.depth_range, how.samples, &mut rng, out);
            continue;
        }
        let mut z = sampling::inverse_depth(near, far, how.samples);
        if how.jitter {
            sampling::jitter(&mut z, || rng.uniform());
        }
        out.extend(z);
    }
}

/// `sum += term`.
pub(crate) fn add(sum: &mut [f32], term: &[f32]) {
    sum.iter_mut().zip(term).for_each(|(s, t)| *s += t);
}
