//! Training steps on a CUDA device: the same losses and gradients as [`crate::step::Stepper`] computes.
//!
//! Folding and its adjoint, the optimiser and the state of a run stay on the host, so a run can be gone on with on either
//! device. Sums on the device are made in another order, and the gradients of the sources' maps in no fixed one: steps
//! agree within rounding, not to the bit.

mod losses;
mod pass;
#[cfg(test)]
mod tests;

use crate::data::Batch;
use crate::distillation::Teacher;
use crate::step::{Losses, StepOptions, add, sample_depths};
use crate::{Error, Result};
use gnt::Model;
use gnt::network::Routing;
use gnt::network::cuda::{CudaSeeds, CudaWorkspace, Input, Kernels, bytes_per_ray};
use gnt::network::tokens::RayChunk;
use layers::cuda::{Store, View};
use layers::experts::Balance;
use losses::{LossSums, Part, sums_of_chunk};
use pass::NetworkPass;
use std::ops::Range;
use tensor::cuda::{Buffer, CudaError, Device};

/// Computes training steps on a device; memory is kept between steps.
#[derive(Debug)]
pub struct CudaStepper {
    kernels: Kernels,
    own: NetworkPass,
    workspace: CudaWorkspace,
    /// Gradients of the folded parameters, and of the parameters before the fold (those of the feature network).
    d_folded: Buffer<f32>,
    d_params: Buffer<f32>,
    sums: LossSums,
    lesson: Option<Lesson>,
    colours: Input,
    depths: Input,
    d_rgb: Store,
    d_logits: Store,
    /// Bytes for the activations of a chunk of rays, once measured.
    budget: Option<u64>,
    /// Most rays of a chunk, whatever the memory.
    most_rays: usize,
}

/// The teacher's side.
#[derive(Debug)]
struct Lesson {
    pass: NetworkPass,
    workspace: CudaWorkspace,
    d_states: Vec<Store>,
    d_tokens: Store,
}

/// What a step is computed from.
#[derive(Clone, Copy)]
struct Step<'a> {
    model: &'a Model,
    params: &'a [f32],
    teacher: Option<&'a Teacher>,
    batch: &'a Batch,
    how: StepOptions,
    seed: u64,
}

/// Part of the free memory that activations may take: the rest is for the feature network's backward pass and for what
/// the estimate leaves out.
const MEMORY_SHARE: f64 = 0.6;

impl CudaStepper {
    /// Makes the kernels ready for `model`.
    ///
    /// # Errors
    /// If the network has a kind of layer that does not train on CUDA, or the kernels cannot be had.
    pub fn new(device: &Device, model: &Model) -> Result<Self> {
        let kernels = Kernels::new(device)?;
        Ok(Self {
            own: NetworkPass::new(&kernels, model)?,
            workspace: CudaWorkspace::default(),
            d_folded: device.zeros(model.net.layout.len())?,
            d_params: device.zeros(model.layout.len())?,
            sums: LossSums::new(device)?,
            lesson: None,
            colours: Input::default(),
            depths: Input::default(),
            d_rgb: Store::default(),
            d_logits: Store::default(),
            budget: None,
            most_rays: usize::MAX,
            kernels,
        })
    }

    /// Adds the gradients of the batch's loss to `grads` (layout of the parameters) and returns its parts. Model and
    /// teacher are the same in all calls. Where memory is short the rays are taken in smaller chunks.
    ///
    /// # Errors
    /// If the device fails, or has not enough memory for a single ray.
    pub fn run(
        &mut self,
        model: &Model,
        params: &[f32],
        teacher: Option<&Teacher>,
        batch: &Batch,
        how: StepOptions,
        seed: u64,
        grads: &mut [f32],
    ) -> Result<Losses> {
        let step = Step { model, params, teacher, batch, how, seed };
        loop {
            match self.attempt(step, grads) {
                Err(error) if is_out_of_memory(&error) => match self.budget.take() {
                    // A chunk of one ray was too much.
                    Some(bytes) if bytes < bytes_of_rays(step, 1) => return Err(error),
                    // The feature network was.
                    None => return Err(error),
                    Some(bytes) => {
                        self.release();
                        self.budget = Some(bytes / 2);
                    }
                },
                done => return done,
            }
        }
    }

    fn release(&mut self) {
        self.workspace = CudaWorkspace::default();
        self.own.release();
        if let Some(lesson) = &mut self.lesson {
            lesson.workspace = CudaWorkspace::default();
            lesson.pass.release();
        }
    }

    /// A step with chunks as large as `self.budget` allows; leaves `grads` as they are if it fails.
    fn attempt(&mut self, step: Step, grads: &mut [f32]) -> Result<Losses> {
        let Step { model, params, batch, how, .. } = step;
        self.own.set_params(&self.kernels, params, &model.fold(params))?;
        self.own.forward(&self.kernels, model, &batch.sources, !how.freeze_features)?;
        if !how.freeze_features {
            self.own.sources.clear_gradients(&self.kernels, &model.net)?;
        }
        self.teacher_forward(step)?;
        self.d_folded.clear(0)?;
        self.d_params.clear(0)?;
        self.colours.write(self.kernels.device(), &batch.colours)?;
        if let Some(depths) = &batch.depths {
            self.depths.write(self.kernels.device(), depths)?;
        }

        let rays = batch.rays.len();
        let chunks = rays.div_ceil(self.rays_at_a_time(step)?);
        let chunk = rays.div_ceil(chunks);
        self.sums.start(chunks * sums_of_chunk(model.config.depth))?;
        let mut losses = Losses::default();
        for start in (0..rays).step_by(chunk) {
            self.chunk(step, start..(start + chunk).min(rays))?;
            losses.usage.add(&self.workspace.trunk.usage(&model.net));
        }
        let mut d_params = vec![0.0; 0];
        if !how.freeze_features {
            self.own.backward(&self.kernels, model, &mut self.d_folded, &mut self.d_params)?;
            d_params = self.d_params.read()?;
        }
        let d_folded = self.d_folded.read()?;
        self.sums.read(&mut losses)?;
        add(grads, &d_params);
        model.unfold(params, &d_folded, grads);
        Ok(losses)
    }

    /// Rays of a chunk; measures the memory at the first call, when no activations are held yet.
    fn rays_at_a_time(&mut self, step: Step) -> Result<usize> {
        let budget = match self.budget {
            Some(bytes) => bytes,
            None => {
                let free = self.kernels.device().0.free_memory()? as f64;
                *self.budget.insert((free * MEMORY_SHARE) as u64)
            }
        };
        let rays = budget / bytes_of_rays(step, 1);
        Ok((rays as usize).clamp(1, self.most_rays.min(step.batch.rays.len())))
    }

    /// The teacher's maps, unless it reads the pupil's tokens.
    fn teacher_forward(&mut self, Step { teacher, batch, how, .. }: Step) -> Result<()> {
        let Some(teacher) = teacher else { return Ok(()) };
        if self.lesson.is_none() {
            let mut pass = NetworkPass::new(&self.kernels, teacher.model())?;
            let (params, folded) = teacher.values();
            pass.set_params(&self.kernels, params, folded)?;
            let mut workspace = CudaWorkspace::default();
            workspace.trunk.record = true;
            self.lesson = Some(Lesson { pass, workspace, d_states: Vec::new(), d_tokens: Store::default() });
        }
        match &mut self.lesson {
            Some(lesson) if !how.freeze_features => {
                // Released memory has left a workspace as new.
                lesson.workspace.trunk.record = true;
                lesson.pass.forward(&self.kernels, teacher.model(), &batch.sources, false)
            }
            Some(lesson) => {
                lesson.workspace.trunk.record = true;
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// Both passes of a chunk of rays.
    fn chunk(&mut self, step: Step, range: Range<usize>) -> Result<()> {
        let Step { model, teacher, batch, how, seed, .. } = step;
        let (kernels, device) = (&self.kernels, self.kernels.device());
        let mut z = Vec::with_capacity(range.len() * how.samples);
        sample_depths(batch, range.clone(), how, seed, &mut z);
        let chunk = RayChunk { rays: &batch.rays[range.clone()], depths: &z, depth_range: batch.depth_range };
        let total = batch.rays.len() as f32;
        let share = range.len() as f32 / total;
        let balance = how.balance.map(|b| Balance { weight: b.weight * share, ..b });
        let trunk = &mut self.workspace.trunk;
        trunk.routing = Routing::training(seed.wrapping_add(range.start as u64), balance);
        trunk.record = teacher.is_some();
        let (config, net, params) = (&model.config, &model.net, self.own.folded.buffer());
        self.workspace.forward(kernels, config, net, params, &self.own.sources, chunk)?;

        let head = &self.workspace.trunk.head;
        self.d_rgb.resize(device, head.rgb.len())?;
        self.d_logits.resize(device, head.ray_weights.len())?;
        let truth = View::from(self.colours.buffer()).slice(range.start * 3..range.end * 3);
        self.sums.squares(&head.rgb, truth, &mut self.d_rgb, 1.0 / (3.0 * total), false, Part::Colour)?;
        let knows_depth = batch.depths.is_some() && net.blend.is_some() && how.depth_weight > 0.0;
        if knows_depth {
            let z = View::from(self.workspace.tokens.depths()).slice(0..z.len());
            let truth = View::from(self.depths.buffer()).slice(range);
            let factors = (how.depth_weight / total, total);
            let weights = &head.ray_weights;
            self.sums.depth(z, weights, truth, batch.depth_range, &mut self.d_logits, factors)?;
        }
        let taught = self.learn(step, chunk, share, knows_depth)?;
        let seeds = CudaSeeds {
            rgb: self.d_rgb.view(),
            ray_logits: (knows_depth || teacher.is_some()).then(|| self.d_logits.view()),
            states: self.lesson.as_ref().filter(|_| teacher.is_some()).map(|l| &l.d_states[..]),
            tokens: self.lesson.as_ref().filter(|_| taught).map(|l| l.d_tokens.view()),
        };
        let (kernels, folded) = (&self.kernels, self.own.folded.buffer());
        let sources = (!how.freeze_features).then_some(&mut self.own.sources);
        Ok(self.workspace.backward(kernels, net, folded, seeds, sources, &mut self.d_folded)?)
    }

    /// Runs the teacher on the rays that the pupil has just run and adds what the pupil learns from it to the gradients;
    /// as [`crate::distillation::Lesson::learn`]. Returns whether the tokens are taught.
    fn learn(&mut self, step: Step, chunk: RayChunk, share: f32, knows_depth: bool) -> Result<bool> {
        let Self { kernels, workspace, lesson, sums, d_rgb, d_logits, .. } = self;
        let (Some(teacher), Some(lesson)) = (step.teacher, lesson) else { return Ok(false) };
        let Lesson { pass, workspace: wanted, d_states, d_tokens } = lesson;
        let (model, how, taught) = (teacher.model(), step.how.distillation, !step.how.freeze_features);
        let (config, net, params) = (&model.config, &model.net, pass.folded.buffer());
        if taught {
            wanted.forward(kernels, config, net, params, &pass.sources, chunk)?;
            sums.distance(&workspace.tokens.tokens, &wanted.tokens.tokens, d_tokens, how.features * share)?;
        } else {
            wanted.trunk.forward(kernels, config, net, params, &workspace.tokens, &workspace.encoding)?;
        }
        let (own, wanted) = (&workspace.trunk, &wanted.trunk);
        d_states.resize_with(own.states.len(), Store::default);
        for ((own_state, wanted), d) in own.states.iter().zip(&wanted.states).zip(d_states) {
            sums.distance(own_state, wanted, d, how.states * share / own.states.len() as f32)?;
        }
        let scale = how.colour * share / own.head.rgb.len() as f32;
        sums.squares(&own.head.rgb, wanted.head.rgb.view(), d_rgb, scale, true, Part::Distillation)?;
        let scale = how.weights * share / chunk.rays.len() as f32;
        sums.entropy(&own.head.ray_weights, &wanted.head.ray_weights, d_logits, scale, knows_depth)?;
        Ok(taught)
    }
}

/// Bytes of the activations of rays, the teacher's included.
fn bytes_of_rays(step: Step, rays: usize) -> u64 {
    let of = |model: &Model| bytes_per_ray(&model.config, step.how.samples, step.batch.sources.len());
    // Recorded states and their gradients, of both networks.
    let states = 4 * 4 * 3 * step.model.config.depth * step.how.samples * step.model.config.width;
    let teacher = step.teacher.map_or(0, |t| of(t.model()) + states);
    (rays * (of(step.model) + teacher)) as u64
}

fn is_out_of_memory(error: &Error) -> bool {
    let (Error::Cuda(cause) | Error::Network(gnt::Error::Cuda(cause))) = error else { return false };
    matches!(cause, CudaError::OutOfMemory { .. })
}
