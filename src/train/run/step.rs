//! One step of a run: its batch, loss and gradient, then the optimiser.

use super::{AnyStepper, Run};
use crate::adam::{self, average_weights};
use crate::calibration::{BATCHES, Batches};
use crate::cuda::Update;
use crate::data::{Batch, Dataset, Draw};
use crate::state::State;
use crate::step::{Losses, Step, StepOptions};
use crate::{Error, Result, routing};
use gnt::{Config, Model};
use layers::feed_forward::experts::Balance;
use layers::params::SplitMix;

impl Run {
    /// One step: loss and gradient of a batch, then the optimiser. Returns the losses and the gradient's norm.
    ///
    /// # Errors
    /// If the batch cannot be read, the device fails, or the loss is not a number (the weights are left as they were).
    pub fn step(&mut self, data: &Dataset, threads: usize) -> Result<(Losses, f64)> {
        let batch = self.batch(data, self.state.step)?;
        let done = self.step_on(&batch, threads)?;
        self.bring_back()?;
        Ok(done)
    }

    /// Brings what has changed on a device alone back to the state.
    ///
    /// # Errors
    /// If the device fails; the state stays as it is.
    pub(super) fn bring_back(&mut self) -> Result<()> {
        match &self.stepper {
            AnyStepper::Cpu(_) => Ok(()),
            AnyStepper::Cuda(stepper) => stepper.store_features(&mut self.state),
        }
    }

    /// Seed of a step's batch and of all that is random in it.
    fn seed(&self, step: u64) -> u64 {
        SplitMix(self.state.options.seed ^ step.wrapping_mul(0xA076_1D64_78BD_642F)).bits()
    }

    /// How batches are drawn.
    fn draw(&self) -> Draw {
        Draw::of(&self.model.config, self.state.options.rays, self.state.options.views)
    }

    /// The batch of a step.
    pub(super) fn batch(&self, data: &Dataset, step: u64) -> Result<Batch> {
        data.draw(self.seed(step), self.draw())
    }

    /// A step, and meanwhile the batch of the step after it. Only where a device computes: on the CPU the step itself has
    /// use for all cores.
    pub(super) fn step_ahead(
        &mut self,
        batch: &Batch,
        data: &Dataset,
        threads: usize,
    ) -> Result<((Losses, f64), Option<Batch>)> {
        if let AnyStepper::Cpu(_) = self.stepper {
            return Ok((self.step_on(batch, threads)?, None));
        }
        let next = self.state.step + 1;
        let (seed, draw) = (self.seed(next), self.draw());
        std::thread::scope(|scope| {
            // Where the system starts no more threads, the next step draws its batch itself.
            let ahead = std::thread::Builder::new().spawn_scoped(scope, move || data.draw(seed, draw)).ok();
            let done = self.step_on(batch, threads);
            let ahead = ahead.map(|ahead| ahead.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
            // What cannot be read stops the next step, if there is one: it reads again.
            Ok((done?, ahead.and_then(Result::ok)))
        })
    }

    fn step_on(&mut self, batch: &Batch, threads: usize) -> Result<(Losses, f64)> {
        let State { step, options, .. } = &self.state;
        let seed = self.seed(*step);
        let guided = options.guided.filter(|guided| guided.takes(seed) && batch.corners.is_some());
        let samples = guided.map_or(options.samples, |guided| guided.samples);
        let how = StepOptions {
            samples,
            guided: guided.is_some(),
            micro_batch: micro_batch(&self.model.config, samples),
            depth_weight: options.depth_weight,
            threads,
            jitter: true,
            freeze_features: options.freeze_features,
            balance: options.balance.map(|(alpha, weight)| Balance { alpha, weight }),
            distillation: options.distillation,
        };
        let rate = self.rate();
        let mut grads = vec![0.0; self.model.layout.len()];
        let (model, params, teacher) = (&self.model, &self.state.params, self.teacher.as_ref());
        let inputs = Step { model, params, teacher, batch, how, seed };
        // Of the parameters whose optimiser is a device's own.
        let mut squares = 0.0;
        let losses = match &mut self.stepper {
            AnyStepper::Cpu(stepper) => stepper.run(inputs, &mut grads),
            AnyStepper::Cuda(stepper) if how.freeze_features => stepper.run(inputs, &mut grads)?,
            AnyStepper::Cuda(stepper) => {
                stepper.keep_features(&self.state)?;
                let losses = stepper.run_keeping(inputs, &mut grads)?;
                squares = stepper.feature_squares()?;
                losses
            }
        };
        if options.hold_routers {
            routing::clear_gradient(model, &mut grads);
        }
        let norm = adam::length(&grads).hypot(squares.sqrt());
        let found = [losses.colour, losses.depth, losses.distillation, norm].into_iter().find(|x| !x.is_finite());
        if let Some(found) = found {
            let problem = format!("step {step}: expected a finite loss and gradient, found {found}; lower the rate");
            return Err(Error::Run(problem));
        }
        adam::shorten(&mut grads, norm, options.clip_norm);
        let feature_rate = rate * options.schedule.feature_factor;
        let split = first_of_features(&self.model);
        let state = &mut self.state;
        let (step, average_decay) = (state.step + 1, state.options.average_decay);
        let here = match &mut self.stepper {
            AnyStepper::Cuda(stepper) if !how.freeze_features => {
                let clip = adam::clip(norm, state.options.clip_norm);
                stepper.update_features(Update { step, rate: feature_rate, clip, average_decay })?;
                0..split
            }
            _ => 0..grads.len(),
        };
        if let Some(ps) = &mut state.ps {
            ps.update(&self.model.net, state.step + 1, rate, &mut grads);
        }
        // Shift weights in exponents and signs have no gradient left, and so no moments: they stay as they are here.
        let rate_of = |i| if i < split { rate } else { feature_rate };
        state.adam.update_part(here.clone(), step, &mut state.params, &grads, rate_of);
        if let Some(ps) = &state.ps {
            ps.write(&self.model.net, &mut state.params);
        }
        average_weights(&mut state.average[here.clone()], &state.params[here], state.step, average_decay);
        state.step += 1;
        Ok((losses, norm))
    }

    /// Holds the routers at their shares, if it is time: every few steps part of the way, after the last step all of it.
    pub(super) fn hold_routers(&mut self, data: &Dataset) -> Result<()> {
        let (step, seed) = (self.state.step, self.seed(self.state.step));
        let due = step == self.state.options.schedule.steps || step.is_multiple_of(routing::HOLD_EVERY);
        if !self.state.options.hold_routers || !due {
            return Ok(());
        }
        self.bring_back()?;
        let State { options, params, average, .. } = &mut self.state;
        let Some((alpha, _)) = options.balance else { return Ok(()) };
        let share = routing::multiply_share(alpha);
        // As most rays of a picture have their samples.
        let samples = options.guided.map_or(options.samples, |guided| guided.samples);
        let batches = Batches { count: BATCHES, views: options.views, samples, guided: options.guided.is_some(), seed };
        if step == options.schedule.steps {
            return routing::settle(&self.model, average, data, batches, share);
        }
        routing::approach(&self.model, params, data, batches, share)?;
        routing::approach(&self.model, average, data, batches, share)
    }
}

/// Where the parameters of the feature network begin, which are the last of all.
///
/// # Panics
/// If the network has none.
fn first_of_features(model: &Model) -> usize {
    let first = model.layout.entries().iter().find(|entry| entry.name.starts_with("feature_net."));
    let Some(first) = first else { panic!("expected parameters of a feature network, found none") };
    first.slot.offset
}

/// Rays whose activations stay in a core's cache: about 256 KiB of tokens.
fn micro_batch(config: &Config, samples: usize) -> usize {
    let bytes = samples * config.views * config.width * 4;
    ((256 << 10) / bytes.max(1)).clamp(1, 4)
}
