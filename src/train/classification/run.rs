//! The loop: steps, log, checkpoints, resume.

use super::state::ClassifyState;
use super::step::{Accuracy, Batch, Stepper, Teacher, evaluate, pictures_of};
use super::{ClassifyOptions, Optimiser, routing};
use crate::adam::{self, Adam, average_weights, decay_weights};
use crate::muon;
use crate::routing::multiply_share;
use crate::schedule::Schedule;
use crate::{Error, Result, log};
use compute::Products;
use layers::feed_forward::experts::MULTIPLY;
use layers::params::SplitMix;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::time::Instant;
use vit::Model;
use vit::checkpoint::{Checkpoint, Description};
use vit::data::Labelled;

/// File of a run that [`ClassifyRun::resume`] reads.
pub const STATE_FILE: &str = "state.safetensors";
/// File of a run with the averaged weights.
pub const MODEL_FILE: &str = "model.safetensors";

/// Where a run lives and what it does beside training; none of it changes the result.
#[derive(Clone, Debug)]
pub struct ClassifySettings {
    /// Folder of the run: `state.safetensors`, `model.safetensors`, `log.jsonl`.
    pub out: PathBuf,
    /// Steps after which this call stops, counted from the start of the run.
    pub until: u64,
    /// Stop after this many seconds.
    pub seconds: Option<f64>,
    /// Epochs between checkpoints, at which the held-out pictures are classified too.
    pub save_every: u64,
    /// Steps between lines of the log.
    pub log_every: u64,
    /// Threads that compute.
    pub threads: usize,
}

/// One line of `log.jsonl`: means since the line before.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct ClassifyLine {
    /// Steps done.
    pub step: u64,
    /// Passes over all pictures.
    pub epoch: f64,
    /// Mean cross entropy, smoothing included.
    pub loss: f64,
    /// Part of the augmented pictures whose class was found.
    pub accuracy: f64,
    /// Part of the held-out pictures whose class the averaged weights find; only at checkpoints.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held_out: Option<f64>,
    /// Part of the rows that the multiply expert ran; 0 without experts.
    #[serde(default)]
    pub multiply_share: f64,
    /// Learning rate.
    pub rate: f32,
    /// Norm of the gradient before it was clipped.
    pub norm: f64,
    /// Seconds a step.
    pub seconds: f64,
}

/// A training run in memory.
#[derive(Debug)]
pub struct ClassifyRun {
    model: Model,
    state: ClassifyState,
    stepper: Stepper,
    teacher: Option<Teacher>,
    decays: Vec<bool>,
    /// What Muon updates; empty without it.
    matrices: Vec<muon::Matrix>,
    permutation: Vec<u32>,
    permuted: Option<u64>,
}

impl ClassifyRun {
    /// Starts a run on as many `pictures`, from `params` where given, else from random weights.
    ///
    /// # Errors
    /// If an option or the configuration is out of range.
    pub fn start(
        description: Description,
        options: ClassifyOptions,
        pictures: usize,
        params: Option<Vec<f32>>,
    ) -> Result<Self> {
        options.validate()?;
        let model = Model::new(description.config, Products::fastest(compute::isa()))?;
        let params = params.unwrap_or_else(|| model.layout.initialise(options.seed));
        assert_eq!(params.len(), model.layout.len(), "parameters to start from");
        let (adam, average) = (Adam::new(params.len()), params.clone());
        let state = ClassifyState { step: 0, options, description, pictures: pictures as u64, params, adam, average };
        Ok(Self::with_state(model, state))
    }

    /// Goes on from `state.safetensors` in `folder`.
    ///
    /// # Errors
    /// If the file is missing or damaged.
    pub fn resume(folder: &Path) -> Result<Self> {
        let state = ClassifyState::read(&folder.join(STATE_FILE))?;
        let model = Model::new(state.description.config, Products::fastest(compute::isa()))?;
        Ok(Self::with_state(model, state))
    }

    fn with_state(model: Model, state: ClassifyState) -> Self {
        let mut decays = vec![false; model.layout.len()];
        for entry in model.layout.entries().iter().filter(|entry| entry.shape.len() > 1) {
            decays[entry.slot.offset..][..entry.slot.len].fill(true);
        }
        let matrices = match state.options.optimiser {
            Optimiser::Adam => Vec::new(),
            Optimiser::Muon => muon::matrices(&model.layout),
        };
        Self {
            matrices,
            model,
            state,
            stepper: Stepper::default(),
            teacher: None,
            decays,
            permutation: Vec::new(),
            permuted: None,
        }
    }

    /// The same run with a teacher for its [`ClassifyOptions::distillation`].
    ///
    /// # Errors
    /// If the teacher takes other images or knows other classes.
    pub fn with_teacher(mut self, teacher: &Checkpoint) -> Result<Self> {
        let model = Model::new(teacher.description.config, Products::fastest(compute::isa()))?;
        let key = |d: &Description| (d.config.image_size(), d.config.classes(), d.preprocess);
        let (own, other) = (key(&self.state.description), key(&teacher.description));
        if own != other {
            let name = teacher.origin.display();
            return Err(Error::Run(format!("{name}: expected a teacher with the pupil's {own:?}, found {other:?}")));
        }
        let folded = model.fold(&teacher.params);
        self.teacher = Some(Teacher { model, folded });
        Ok(self)
    }

    /// The run's state.
    pub fn state(&self) -> &ClassifyState {
        &self.state
    }

    /// The run's model.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// One step: loss and gradient of a batch, then the optimiser. Returns the batch's sums and the gradient's norm.
    ///
    /// # Errors
    /// If the loss is not a number (the weights are left as they were).
    pub fn step(&mut self, data: &Labelled, threads: usize) -> Result<(Accuracy, f64)> {
        let (range, epoch) = pictures_of(&self.state, &mut self.permutation, &mut self.permuted);
        let state = &mut self.state;
        let options = state.options;
        let folded = self.model.fold(&state.params);
        let table = state.description.preprocess.table();
        let batch = Batch {
            model: &self.model,
            folded: &folded,
            options: &options,
            data,
            table: &table,
            teacher: self.teacher.as_ref(),
            pictures: &self.permutation[range],
            epoch,
            seed: SplitMix(options.seed ^ (state.step + 1).wrapping_mul(0xE703_7ED1_A0B4_28DB)).bits(),
        };
        let mut folded_grads = vec![0.0; folded.len()];
        let sums = self.stepper.run(batch, threads, &mut folded_grads);
        let mut grads = vec![0.0; state.params.len()];
        self.model.unfold(&state.params, &folded_grads, &mut grads);
        let has_routers = options.hold_routers && !self.model.router_biases().is_empty();
        let held = options.balance.filter(|_| has_routers).map(|(alpha, _)| multiply_share(alpha));
        if held.is_some() {
            routing::clear_gradient(&self.model, &mut grads);
        }
        let norm = adam::length(&grads);
        if let Some(found) = [sums.loss, norm].into_iter().find(|x| !x.is_finite()) {
            let step = state.step;
            return Err(Error::Run(format!("step {step}: expected a finite loss and gradient, found {found}")));
        }
        adam::shorten(&mut grads, norm, options.clip_norm);
        let rate = options.rate * schedule(state).factor(state.step);
        decay_weights(&mut state.params, |i| if self.decays[i] { rate * options.decay } else { 0.0 });
        for part in muon::others(&self.matrices, state.params.len()) {
            state.adam.update_part(part, state.step + 1, &mut state.params, &grads, |_| rate);
        }
        muon::update(&self.matrices, &mut state.adam.first, &mut state.params, &grads, rate, threads);
        average_weights(&mut state.average, &state.params, state.step, options.average_decay);
        state.step += 1;
        if let Some(share) = held {
            let when = (share, state.step, state.step == state.steps());
            for params in [&mut state.params, &mut state.average] {
                routing::hold(&self.model, params, (data, &table), when, threads);
            }
        }
        Ok((sums, norm))
    }

    /// Trains as the settings say, with held-out pictures where given; `progress` sees every line of the log.
    ///
    /// # Errors
    /// If a loss is not finite or a file cannot be written; what was saved before stays.
    pub fn train(
        &mut self,
        data: &Labelled,
        held_out: Option<&Labelled>,
        settings: &ClassifySettings,
        mut progress: impl FnMut(&ClassifyLine),
    ) -> Result<()> {
        std::fs::create_dir_all(&settings.out).map_err(|source| Error::Io { path: settings.out.clone(), source })?;
        let path = settings.out.join(log::FILE);
        log::rewind(&path, self.state.step)?;
        let started = Instant::now();
        let mut since = Instant::now();
        let (mut sum, mut norms, mut count) = (Accuracy::default(), 0.0, 0u64);
        while self.state.step < settings.until && settings.seconds.is_none_or(|s| started.elapsed().as_secs_f64() < s) {
            let (sums, norm) = self.step(data, settings.threads)?;
            sum.add(&sums);
            norms += norm;
            count += 1;
            let step = self.state.step;
            let saves = step.is_multiple_of(self.state.epoch_steps() * settings.save_every) || step == settings.until;
            if step.is_multiple_of(settings.log_every) || saves {
                let seconds = since.elapsed().as_secs_f64() / count as f64;
                let held_out = match held_out {
                    Some(held_out) if saves => Some(self.evaluate(held_out, settings.threads)?.share()),
                    _ => None,
                };
                let line = ClassifyLine {
                    step,
                    epoch: step as f64 / self.state.epoch_steps() as f64,
                    loss: sum.mean_loss(),
                    accuracy: sum.share(),
                    held_out,
                    multiply_share: sum.usage.share(MULTIPLY),
                    rate: self.state.options.rate * schedule(&self.state).factor(step),
                    norm: norms / count as f64,
                    seconds,
                };
                log::append(&path, &line)?;
                progress(&line);
                (sum, norms, count, since) = (Accuracy::default(), 0.0, 0, Instant::now());
            }
            if saves {
                self.save(&settings.out)?;
            }
        }
        self.save(&settings.out)
    }

    /// Classifies pictures with the averaged weights.
    ///
    /// # Errors
    /// As [`evaluate`].
    pub fn evaluate(&self, data: &Labelled, threads: usize) -> Result<Accuracy> {
        evaluate(&self.model, &self.state.average, &self.state.description.preprocess.table(), data, threads)
    }

    /// Writes the averaged model, then the state.
    ///
    /// # Errors
    /// If the weights are not finite or a file cannot be written; what was saved before stays.
    pub fn save(&self, folder: &Path) -> Result<()> {
        self.checkpoint().write(&folder.join(MODEL_FILE))?;
        self.state.write(&folder.join(STATE_FILE))
    }

    /// The averaged weights as a model.
    pub fn checkpoint(&self) -> Checkpoint {
        let (description, params) = (self.state.description.clone(), self.state.average.clone());
        Checkpoint { description, params, origin: PathBuf::from("model in memory") }
    }
}

fn schedule(state: &ClassifyState) -> Schedule {
    let warmup = (state.options.warmup * state.epoch_steps() as f32) as u64;
    Schedule { peak: state.options.rate, feature_factor: 1.0, warmup, steps: state.steps() }
}
