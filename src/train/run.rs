//! The training loop: steps, log, checkpoints, resume.

use crate::adam::{Adam, average_weights};
use crate::cuda::CudaStepper;
use crate::data::{Batch, Dataset, Draw};
use crate::distillation::{Distillation, Teacher};
use crate::guided::{GUIDED_SAMPLES, Guided};
use crate::ps::{Ps, ShiftForm};
use crate::schedule::Schedule;
use crate::state::State;
use crate::step::{Losses, StepOptions, Stepper};
use crate::validation::validate;
use crate::{Error, Result, log};
use gnt::checkpoint::{Checkpoint, Precision};
use gnt::{Config, Model};
use layers::experts::Balance;
use layers::params::SplitMix;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Options that shape the result of a run; saved with it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Options {
    /// Seed of weights and batches.
    pub seed: u64,
    /// Rays a step.
    pub rays: usize,
    /// Samples a ray.
    pub samples: usize,
    /// Fewest and most source views.
    pub views: (usize, usize),
    /// Weight of the depth loss.
    pub depth_weight: f32,
    /// Learning rates.
    pub schedule: Schedule,
    /// Decay of the running average of the weights.
    pub average_decay: f32,
    /// Largest norm of the gradient; longer ones are scaled down.
    pub clip_norm: f32,
    /// Whether the feature network and the token layers stay as they are.
    #[serde(default)]
    pub freeze_features: bool,
    /// What is learned from a teacher.
    #[serde(default)]
    pub distillation: Distillation,
    /// Shares of the multiply and the shift expert in the latency, and weight of the loss that balances them.
    #[serde(default)]
    pub balance: Option<([f32; 2], f32)>,
    /// What is trained of shift layers.
    #[serde(default)]
    pub form: ShiftForm,
    /// Steps whose rays have few samples, placed as after a coarse pass.
    #[serde(default)]
    pub guided: Option<Guided>,
}

impl Options {
    /// Checks that every number can be used; states from outside pass through here.
    ///
    /// # Errors
    /// [`Error::Run`] naming the option, what is allowed and what was found.
    pub fn validate(&self) -> Result<()> {
        let wrong = |what: &str, expected: &str, found: String| {
            Err(Error::Run(format!("{what}: expected {expected}, found {found}")))
        };
        if !(1..=MOST_RAYS).contains(&self.rays) {
            return wrong("rays", &format!("1 to {MOST_RAYS}"), self.rays.to_string());
        }
        if !(2..=4096).contains(&self.samples) {
            return wrong("samples", "2 to 4096", self.samples.to_string());
        }
        let (least, most) = self.views;
        if least < 1 || least > most || most > MOST_VIEWS {
            let expected = format!("a least number from 1 on and a most up to {MOST_VIEWS}");
            return wrong("views", &expected, format!("{least} and {most}"));
        }
        if let Some(Guided { samples, share }) = self.guided {
            if !GUIDED_SAMPLES.contains(&samples) {
                let expected = format!("{} to {}", GUIDED_SAMPLES.start(), GUIDED_SAMPLES.end());
                return wrong("guided samples", &expected, samples.to_string());
            }
            // What is not a number is in no range.
            if !(0.0..=1.0).contains(&share) {
                return wrong("share of guided steps", "a number from 0 to 1", share.to_string());
            }
        }
        let Distillation { features, states, colour, weights } = self.distillation;
        let (alpha, balance) = self.balance.unwrap_or_default();
        let numbers = [
            ("depth weight", self.depth_weight),
            ("rate", self.schedule.peak),
            ("rate of the features", self.schedule.feature_factor),
            ("decay of the average", self.average_decay),
            ("longest gradient", self.clip_norm),
            ("weight of the teacher's features", features),
            ("weight of the teacher's states", states),
            ("weight of the teacher's colours", colour),
            ("weight of the teacher's weights", weights),
            ("latency share", alpha[0]),
            ("latency share", alpha[1]),
            ("weight of the balance", balance),
        ];
        match numbers.into_iter().find(|(_, number)| !(0.0..=1e6).contains(number)) {
            Some((name, found)) => wrong(name, "a number from 0 to 1000000", found.to_string()),
            None => Ok(()),
        }
    }
}

/// Most rays of a step.
pub const MOST_RAYS: usize = 1 << 20;
/// Most source views of a step.
pub const MOST_VIEWS: usize = 1000;

/// Where a run lives and what it does beside training; none of it changes the result.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Folder of the run: `state.safetensors`, `model.safetensors`, `log.jsonl`.
    pub out: PathBuf,
    /// Steps after which this call stops, counted from the start of the run.
    pub until: u64,
    /// Stop after this many seconds.
    pub seconds: Option<f64>,
    /// Steps between checkpoints.
    pub save_every: u64,
    /// Steps between lines of the log.
    pub log_every: u64,
    /// Threads.
    pub threads: usize,
    /// Scene whose first held-out view is rendered at every checkpoint, into `validation/`.
    pub validation: Option<scene::Scene>,
}

/// One line of `log.jsonl`: means since the line before.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct LogLine {
    /// Steps done.
    pub step: u64,
    /// Mean squared error of the colours.
    pub colour: f64,
    /// PSNR of that mean.
    pub psnr: f64,
    /// Cross entropy of the depth.
    pub depth: f64,
    /// Distance from the teacher.
    #[serde(default)]
    pub distillation: f64,
    /// Part of the rows that the multiply expert ran; 0 without experts.
    #[serde(default)]
    pub multiply_share: f64,
    /// Learning rate of the transformer.
    pub rate: f32,
    /// Norm of the gradient before it was clipped.
    pub norm: f64,
    /// Seconds a step.
    pub seconds: f64,
}

/// A run in memory.
#[derive(Debug)]
pub struct Run {
    model: Model,
    state: State,
    stepper: AnyStepper,
    teacher: Option<Teacher>,
}

/// Where steps are computed.
#[derive(Debug)]
enum AnyStepper {
    Cpu(Stepper),
    Cuda(Box<CudaStepper>),
}

impl Default for AnyStepper {
    fn default() -> Self {
        Self::Cpu(Stepper::default())
    }
}

impl Run {
    /// Starts a run, from `weights` where given, else from random weights.
    ///
    /// # Errors
    /// If the configuration is out of range or the weights do not fit.
    pub fn start(config: Config, options: Options, weights: Option<Checkpoint>) -> Result<Self> {
        options.validate()?;
        let model = Model::new(config)?;
        let mut params = match weights {
            Some(checkpoint) => checkpoint.into_params(&model.layout)?,
            None => model.layout.initialise(options.seed),
        };
        let adam = Adam::new(params.len());
        let ps = (options.form == ShiftForm::Ps).then(|| Ps::new(&model.net, &params));
        if let Some(ps) = &ps {
            ps.write(&model.net, &mut params);
        }
        let state = State { step: 0, options, config, average: params.clone(), params, adam, ps };
        Ok(Self { model, state, stepper: AnyStepper::default(), teacher: None })
    }

    /// Goes on from `state.safetensors` in `folder`.
    ///
    /// # Errors
    /// If the file is missing or damaged.
    pub fn resume(folder: &Path) -> Result<Self> {
        let state = State::read(&folder.join(STATE_FILE))?;
        let model = Model::new(state.config)?;
        Ok(Self { model, state, stepper: AnyStepper::default(), teacher: None })
    }

    /// The same run with its steps on a CUDA device; nothing else about it changes, so that it can be saved and gone on with
    /// on another device. Steps on two devices agree within rounding.
    ///
    /// # Errors
    /// If the network has a kind of layer that does not train on CUDA, or the kernels cannot be had.
    pub fn on_cuda(mut self, device: &tensor::cuda::Device) -> Result<Self> {
        self.stepper = AnyStepper::Cuda(Box::new(CudaStepper::new(device, &self.model)?));
        Ok(self)
    }

    /// The same run with a teacher, which must have as many blocks of the same width. Where features are frozen, the
    /// teacher reads the pupil's tokens.
    ///
    /// # Errors
    /// If pupil and teacher differ in depth, width, position encoding, axes, start, head or feature network, or the
    /// teacher would read keys that the pupil does not make.
    pub fn with_teacher(mut self, teacher: Teacher) -> Result<Self> {
        let key = |c: &Config| (c.depth, c.width, c.position, c.axes, c.head, c.start, c.features);
        let (own, other) = (key(&self.model.config), key(&teacher.model().config));
        if own != other {
            return Err(Error::Run(format!("teacher: expected the pupil's outline {own:?}, found {other:?}")));
        }
        if self.state.options.freeze_features && teacher.model().net.reads_keys && !self.model.net.reads_keys {
            let [own, other] = [&self.model, teacher.model()].map(|m| m.config.view_attention);
            let problem = format!("teacher: expected the pupil's {own:?} attention across views, found {other:?}");
            return Err(Error::Run(problem));
        }
        self.teacher = Some(teacher);
        Ok(self)
    }

    /// The run's state.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// The run's network.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// One step: loss and gradient of a batch, then the optimiser. Returns the losses and the gradient's norm.
    ///
    /// # Errors
    /// If the batch cannot be read, the device fails, or the loss is not a number (the weights are left as they were).
    pub fn step(&mut self, data: &Dataset, threads: usize) -> Result<(Losses, f64)> {
        let batch = self.batch(data, self.state.step)?;
        self.step_on(&batch, threads)
    }

    /// Seed of a step's batch and of all that is random in it.
    fn seed(&self, step: u64) -> u64 {
        SplitMix(self.state.options.seed ^ step.wrapping_mul(0xA076_1D64_78BD_642F)).bits()
    }

    /// The batch of a step.
    fn batch(&self, data: &Dataset, step: u64) -> Result<Batch> {
        let options = &self.state.options;
        data.draw(self.seed(step), Draw { rays: options.rays, views: options.views, axes: self.model.config.axes })
    }

    /// A step, and meanwhile the batch of the step after it. Only where a device computes: on the CPU the step itself has
    /// use for all cores.
    fn step_ahead(&mut self, batch: &Batch, data: &Dataset, threads: usize) -> Result<((Losses, f64), Option<Batch>)> {
        if let AnyStepper::Cpu(_) = self.stepper {
            return Ok((self.step_on(batch, threads)?, None));
        }
        let next = self.state.step + 1;
        let (seed, options) = (self.seed(next), &self.state.options);
        let draw = Draw { rays: options.rays, views: options.views, axes: self.model.config.axes };
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
        let mut grads = vec![0.0; self.model.layout.len()];
        let (model, params, teacher) = (&self.model, &self.state.params, self.teacher.as_ref());
        let losses = match &mut self.stepper {
            AnyStepper::Cpu(stepper) => stepper.run(model, params, teacher, batch, how, seed, &mut grads),
            AnyStepper::Cuda(stepper) => stepper.run(model, params, teacher, batch, how, seed, &mut grads)?,
        };
        let norm = grads.iter().map(|g| f64::from(*g) * f64::from(*g)).sum::<f64>().sqrt();
        let found = [losses.colour, losses.depth, losses.distillation, norm].into_iter().find(|x| !x.is_finite());
        if let Some(found) = found {
            let problem = format!("step {step}: expected a finite loss and gradient, found {found}; lower the rate");
            return Err(Error::Run(problem));
        }
        let clip = (f64::from(options.clip_norm) / norm.max(1e-12)).min(1.0) as f32;
        grads.iter_mut().for_each(|g| *g *= clip);
        let rate = options.schedule.peak * options.schedule.factor(*step);
        let feature_rate = rate * options.schedule.feature_factor;
        let split = self
            .model
            .layout
            .entries()
            .iter()
            .find(|e| e.name.starts_with("feature_net."))
            .map_or(0, |e| e.slot.offset);
        let state = &mut self.state;
        if let Some(ps) = &mut state.ps {
            ps.update(&self.model.net, state.step + 1, rate, &mut grads);
        }
        // Shift weights in exponents and signs have no gradient left, and so no moments: they stay as they are here.
        state.adam.update(state.step + 1, &mut state.params, &grads, |i| if i < split { rate } else { feature_rate });
        if let Some(ps) = &state.ps {
            ps.write(&self.model.net, &mut state.params);
        }
        average_weights(&mut state.average, &state.params, state.step, state.options.average_decay);
        state.step += 1;
        Ok((losses, norm))
    }

    /// Trains as planned; `progress` sees every line of the log. Lines of an interrupted run that lie beyond its last
    /// checkpoint are taken out of the log first.
    ///
    /// # Errors
    /// If an image is too small, a batch cannot be read, a loss is not finite or a file cannot be written; what was saved
    /// before stays, and the steps that were done since are saved if their weights are finite.
    pub fn train(&mut self, data: &Dataset, plan: &Plan, progress: impl FnMut(&LogLine)) -> Result<()> {
        data.expect_sides(self.model.features.min_size())?;
        std::fs::create_dir_all(&plan.out).map_err(|source| Error::Io { path: plan.out.clone(), source })?;
        expect_replaceable(&plan.out)?;
        log::rewind(&plan.out.join(LOG_FILE), self.state.step)?;
        let before = self.state.step;
        let done = self.steps(data, plan, progress);
        if self.state.step > before || done.is_ok() {
            // The error of a step comes first: it is why the run stops.
            let saved = self.save(&plan.out);
            done?;
            return saved;
        }
        done
    }

    fn steps(&mut self, data: &Dataset, plan: &Plan, mut progress: impl FnMut(&LogLine)) -> Result<()> {
        let started = Instant::now();
        let mut since = Instant::now();
        let (mut sum, mut norms, mut count) = (Losses::default(), 0.0, 0u64);
        let mut ahead = None;
        while self.state.step < plan.until && plan.seconds.is_none_or(|s| started.elapsed().as_secs_f64() < s) {
            let batch = match ahead.take() {
                Some(batch) => batch,
                None => self.batch(data, self.state.step)?,
            };
            let (losses, norm);
            ((losses, norm), ahead) = self.step_ahead(&batch, data, plan.threads)?;
            sum.colour += losses.colour;
            sum.depth += losses.depth;
            sum.distillation += losses.distillation;
            sum.usage.add(&losses.usage);
            norms += norm;
            count += 1;
            if self.state.step.is_multiple_of(plan.log_every) {
                let n = count as f64;
                let colour = sum.colour / n;
                let line = LogLine {
                    step: self.state.step,
                    colour,
                    psnr: -10.0 * colour.max(1e-12).log10(),
                    depth: sum.depth / n,
                    distillation: sum.distillation / n,
                    multiply_share: sum.usage.share(layers::experts::MULTIPLY),
                    rate: self.state.options.schedule.peak * self.state.options.schedule.factor(self.state.step),
                    norm: norms / n,
                    seconds: since.elapsed().as_secs_f64() / n,
                };
                log::append(&plan.out.join(LOG_FILE), &line)?;
                progress(&line);
                (sum, norms, count, since) = (Losses::default(), 0.0, 0, Instant::now());
            }
            if self.state.step.is_multiple_of(plan.save_every) {
                self.save(&plan.out)?;
                if let Some(scene) = &plan.validation {
                    validate(self, scene, plan)?;
                }
            }
        }
        Ok(())
    }

    /// Writes the state and the averaged model.
    ///
    /// # Errors
    /// If the weights are not finite or a file cannot be written; what was saved before stays.
    pub fn save(&self, folder: &Path) -> Result<()> {
        if !self.state.is_finite() {
            let step = self.state.step;
            return Err(Error::Run(format!("step {step}: expected finite weights; what was saved before stays")));
        }
        // The state last: a run that is killed between the two goes on from the one before, and writes both again.
        self.checkpoint().write(&folder.join(MODEL_FILE), Precision::F32)?;
        self.state.write(&folder.join(STATE_FILE))
    }

    /// The averaged weights as a model.
    pub fn checkpoint(&self) -> Checkpoint {
        Checkpoint::from_params(&self.state.config, &self.model.layout, &self.state.average)
    }
}

/// File of a run that [`Run::resume`] reads.
pub const STATE_FILE: &str = "state.safetensors";
/// File of a run with the averaged weights.
pub const MODEL_FILE: &str = "model.safetensors";
/// Log of a run, one JSON object a line.
pub const LOG_FILE: &str = "log.jsonl";

/// Rays whose activations stay in a core's cache: about 256 KiB of tokens.
fn micro_batch(config: &Config, samples: usize) -> usize {
    let bytes = samples * config.views * config.width * 4;
    ((256 << 10) / bytes.max(1)).clamp(1, 4)
}

/// Checks that the files of a run in `folder` can be written: a link in the place of one may lead to anything.
///
/// # Errors
/// [`Error::Scene`] naming the file.
pub fn expect_replaceable(folder: &Path) -> Result<()> {
    for file in [STATE_FILE, MODEL_FILE, LOG_FILE] {
        scene::file::check_replaceable(&folder.join(file))?;
    }
    Ok(())
}
