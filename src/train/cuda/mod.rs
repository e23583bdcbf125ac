//! Training steps on a CUDA device: the same losses and gradients as [`crate::step::Stepper`] computes.
//!
//! Folding and its adjoint and the optimiser of the transformer stay on the host; the feature network's parameters stay on the
//! device from step to step, with an optimiser of their own. A run's state is brought back when it is saved, so that it can be
//! gone on with on either device. Sums on the device are made in another order, and the gradients of the sources' maps in no fixed one: steps
//! agree within rounding, not to the bit.

mod losses;
mod optimiser;
mod pass;
#[cfg(test)]
mod tests;

use crate::distillation::lesson::TeacherOn;
use crate::state::State;
use crate::step::chunk::{ChunkPass, Gradients, StepOn};
use crate::step::{Losses, Step, add};
use crate::{Error, Result};
use compute::cuda::{Buffer, CudaError, Device};
use gnt::Model;
use gnt::network::cuda::{Kernels, bytes_per_ray};
use gnt::network::sources::CudaMapGrads;
use losses::{CudaLosses, sums_of_chunk};
use optimiser::FeatureOptimiser;
pub(crate) use optimiser::Update;
use pass::NetworkPass;

/// Computes training steps on a device; memory is kept between steps.
#[derive(Debug)]
pub struct CudaStepper {
    kernels: Kernels,
    own: NetworkPass,
    /// The teacher's side, from the first step with a teacher on.
    teacher: Option<NetworkPass>,
    pass: ChunkPass<Kernels>,
    losses: CudaLosses,
    /// Gradients of the sources' maps, of the folded parameters, and of the parameters before the fold (those of the
    /// feature network).
    d_maps: CudaMapGrads,
    d_folded: Buffer<f32>,
    d_params: Buffer<f32>,
    /// Of the feature network, once its parameters stay here.
    optimiser: Option<FeatureOptimiser>,
    /// Bytes for the activations of a chunk of rays, once measured.
    budget: Option<u64>,
    /// Most rays of a chunk, whatever the memory.
    most_rays: usize,
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
            teacher: None,
            pass: ChunkPass::default(),
            losses: CudaLosses::new(device)?,
            d_maps: CudaMapGrads::default(),
            d_folded: device.zeros(model.net.layout.len())?,
            d_params: device.zeros(model.layout.len())?,
            optimiser: None,
            budget: None,
            most_rays: usize::MAX,
            kernels,
        })
    }

    /// Where steps are computed.
    pub(crate) fn device(&self) -> &Device {
        self.kernels.device()
    }

    /// Adds the gradients of the batch's loss to `grads` (layout of the parameters) and returns its parts. Model and
    /// teacher are the same in all calls. Where memory is short the rays are taken in smaller chunks.
    ///
    /// # Errors
    /// If the device fails, or has not enough memory for a single ray.
    pub fn run(&mut self, step: Step, grads: &mut [f32]) -> Result<Losses> {
        let losses = self.run_keeping(step, grads)?;
        if !step.how.freeze_features {
            add(grads, &self.d_params.read()?);
        }
        Ok(losses)
    }

    /// Keeps the feature network's parameters on the device from now on, as they are in `state`.
    ///
    /// # Errors
    /// If the device fails.
    pub(crate) fn keep_features(&mut self, state: &State) -> Result<()> {
        if self.optimiser.is_none() {
            let device = self.kernels.device().clone();
            self.optimiser = Some(FeatureOptimiser::new(&device, self.own.features_mut(), state)?);
        }
        Ok(())
    }

    /// Sum of the squares of the feature network's gradients after [`CudaStepper::run_keeping`]; 0 where its parameters are not
    /// kept here.
    ///
    /// # Errors
    /// If the device fails.
    pub(crate) fn feature_squares(&mut self) -> Result<f64> {
        self.optimiser.as_mut().map_or(Ok(0.0), |optimiser| optimiser.squares(&self.d_params))
    }

    /// A step of the feature network's optimiser, where its parameters are kept here.
    ///
    /// # Errors
    /// If the device fails.
    pub(crate) fn update_features(&mut self, how: Update) -> Result<()> {
        let Some(optimiser) = &mut self.optimiser else { return Ok(()) };
        optimiser.update(self.own.features_mut(), &self.d_params, how)
    }

    /// Brings what has changed here back to `state`.
    ///
    /// # Errors
    /// If the device fails; `state` stays as it is.
    pub(crate) fn store_features(&self, state: &mut State) -> Result<()> {
        self.optimiser.as_ref().map_or(Ok(()), |optimiser| optimiser.store(self.own.features(), state))
    }

    /// As [`CudaStepper::run`], but that the gradients of the feature network stay on the device.
    ///
    /// # Errors
    /// As [`CudaStepper::run`].
    pub(crate) fn run_keeping(&mut self, step: Step, grads: &mut [f32]) -> Result<Losses> {
        let least = bytes_of_a_ray(step)?;
        loop {
            match self.attempt(step, grads) {
                Err(error) if is_out_of_memory(&error) => match self.budget.take() {
                    // A chunk of one ray was too much.
                    Some(bytes) if bytes < least => return Err(error),
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
        self.pass = ChunkPass::default();
        self.own.release();
        if let Some(teacher) = &mut self.teacher {
            teacher.release();
        }
    }

    /// A step with chunks as large as `self.budget` allows; leaves `grads` as they are if it fails.
    fn attempt(&mut self, step: Step, grads: &mut [f32]) -> Result<Losses> {
        let Step { model, params, batch, how, seed, .. } = step;
        if self.optimiser.is_none() {
            self.own.set_features(params)?;
        }
        self.own.set_folded(&self.kernels, &model.fold(params))?;
        self.own.forward(&self.kernels, model, &batch.sources, &batch.surfaces, !how.freeze_features)?;
        if !how.freeze_features {
            self.d_maps.reset(&self.kernels, &self.own.sources)?;
        }
        self.teacher_forward(step)?;
        self.d_folded.clear(0)?;
        self.d_params.clear(0)?;

        let rays = batch.rays.len();
        let chunks = rays.div_ceil(self.rays_at_a_time(step)?);
        let chunk = rays.div_ceil(chunks);
        self.losses.start(batch, chunks * sums_of_chunk(model.config.depth))?;
        let mut losses = Losses::default();
        let Self { kernels, own, teacher, pass, losses: on_device, d_maps, d_folded, d_params, .. } = self;
        let teacher = step.teacher.zip(teacher.as_ref()).map(|(teacher, pass)| TeacherOn {
            network: pass.network(kernels, teacher.model()),
            sources: (!how.freeze_features).then_some(&pass.sources),
        });
        let network = own.network(kernels, model);
        let on = StepOn { network, sources: &own.sources, teacher, batch, how, seed };
        for start in (0..rays).step_by(chunk) {
            let maps = (!how.freeze_features).then_some(&mut *d_maps);
            let grads = Gradients { maps, folded: &mut *d_folded };
            pass.run(&on, start..(start + chunk).min(rays), on_device, &mut losses, grads)?;
        }
        if !how.freeze_features {
            own.backward(kernels, model, d_maps, d_folded, d_params)?;
        }
        let folded_grads = d_folded.read()?;
        on_device.read(&mut losses)?;
        model.unfold(params, &folded_grads, grads);
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
        let rays = budget / bytes_of_a_ray(step)?;
        Ok((rays as usize).clamp(1, self.most_rays.min(step.batch.rays.len())))
    }

    /// Makes the teacher's side ready, with maps of its own unless it reads the pupil's tokens.
    fn teacher_forward(&mut self, Step { teacher, batch, how, .. }: Step) -> Result<()> {
        let Some(teacher) = teacher else { return Ok(()) };
        let pass = match &mut self.teacher {
            Some(pass) => pass,
            None => {
                let mut pass = NetworkPass::new(&self.kernels, teacher.model())?;
                let (params, folded) = teacher.values();
                pass.set_features(params)?;
                pass.set_folded(&self.kernels, folded)?;
                self.teacher.insert(pass)
            }
        };
        if how.freeze_features {
            return Ok(());
        }
        pass.forward(&self.kernels, teacher.model(), &batch.sources, &batch.surfaces, false)
    }
}

/// Bytes of the activations of a ray, the teacher's included.
fn bytes_of_a_ray(step: Step) -> Result<u64> {
    let (samples, views) = (step.how.samples, step.batch.sources.len());
    let of = |model: &Model| bytes_per_ray(&model.config, &model.net, samples, views);
    let mut bytes = of(step.model)?;
    if let Some(teacher) = step.teacher {
        // Four recorded states a block, of both networks, and their gradients.
        let states = 4 * 3 * step.model.config.depth * samples * step.model.config.width;
        bytes += of(teacher.model())? + states * size_of::<f32>();
    }
    Ok(bytes as u64)
}

fn is_out_of_memory(error: &Error) -> bool {
    let (Error::Cuda(cause) | Error::Network(gnt::Error::Cuda(cause))) = error else { return false };
    matches!(cause, CudaError::OutOfMemory { .. })
}
