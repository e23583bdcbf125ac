//! The training loop: steps, log, checkpoints, resume.

mod options;
mod step;

pub use options::{MOST_RAYS, MOST_VIEWS, RunOptions};

use crate::adam::Adam;
use crate::cuda::CudaStepper;
use crate::data::Dataset;
use crate::distillation::Teacher;
use crate::ps::{Ps, ShiftForm};
use crate::state::State;
use crate::step::{Losses, Stepper};
use crate::validation::validate;
use crate::{Error, Result, log};
use gnt::checkpoint::{Checkpoint, Storage};
use gnt::{Config, Model};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Where a run lives and what it does beside training; none of it changes the result.
#[derive(Clone, Debug)]
pub struct RunSettings {
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
    /// Threads that compute.
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

/// A training run in memory.
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
    pub fn start(config: Config, options: RunOptions, weights: Option<Checkpoint>) -> Result<Self> {
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
        let state = State { step: 0, seconds: 0.0, options, config, average: params.clone(), params, adam, ps };
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
    pub fn on_cuda(mut self, device: &compute::cuda::Device) -> Result<Self> {
        self.stepper = AnyStepper::Cuda(Box::new(CudaStepper::new(device, &self.model)?));
        Ok(self)
    }

    /// The same run with a teacher, which must have as many blocks of the same width. Where features are frozen, the
    /// teacher reads the pupil's tokens.
    ///
    /// # Errors
    /// If pupil and teacher differ in depth, width, position encoding, axes, start, head, feature network or how photographs
    /// are read, or the teacher would read keys that the pupil does not make.
    pub fn with_teacher(mut self, teacher: Teacher) -> Result<Self> {
        let reads = |c: &Config| (c.features, c.sharpening, c.doubled);
        let key = |c: &Config| (c.depth, c.width, c.position, c.axes, c.visibility, c.head, c.start, reads(c));
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

    /// Trains as the settings say; `progress` sees every line of the log. Lines of an interrupted run that lie beyond its last
    /// checkpoint are taken out of the log first.
    ///
    /// # Errors
    /// If an image is too small, a batch cannot be read, a loss is not finite or a file cannot be written; what was saved
    /// before stays, and the steps that were done since are saved if their weights are finite.
    pub fn train(&mut self, data: &Dataset, settings: &RunSettings, progress: impl FnMut(&LogLine)) -> Result<()> {
        data.expect_sides(self.model.features.min_size())?;
        std::fs::create_dir_all(&settings.out).map_err(|source| Error::Io { path: settings.out.clone(), source })?;
        expect_replaceable(&settings.out)?;
        log::rewind(&settings.out.join(LOG_FILE), self.state.step)?;
        let before = self.state.step;
        let done = self.steps(data, settings, progress);
        if self.state.step > before || done.is_ok() {
            // The error of a step comes first: it is why the run stops.
            let saved = self.bring_back().and_then(|()| self.save(&settings.out));
            done?;
            return saved;
        }
        done
    }

    fn steps(&mut self, data: &Dataset, settings: &RunSettings, mut progress: impl FnMut(&LogLine)) -> Result<()> {
        let started = Instant::now();
        let mut since = Instant::now();
        let (mut sum, mut norms, mut count) = (Losses::default(), 0.0, 0u64);
        let mut ahead = None;
        let in_time = || settings.seconds.is_none_or(|s| started.elapsed().as_secs_f64() < s);
        while self.state.step < settings.until && !self.is_over() && in_time() {
            let step_started = Instant::now();
            let batch = match ahead.take() {
                Some(batch) => batch,
                None => self.batch(data, self.state.step)?,
            };
            let (losses, norm);
            ((losses, norm), ahead) = self.step_ahead(&batch, data, settings.threads)?;
            self.hold_routers(data)?;
            if self.state.options.seconds.is_some() {
                self.state.seconds += step_started.elapsed().as_secs_f64();
            }
            sum.colour += losses.colour;
            sum.depth += losses.depth;
            sum.distillation += losses.distillation;
            sum.usage.add(&losses.usage);
            norms += norm;
            count += 1;
            if self.state.step.is_multiple_of(settings.log_every) {
                let n = count as f64;
                let colour = sum.colour / n;
                let line = LogLine {
                    step: self.state.step,
                    colour,
                    psnr: scene::image::psnr(colour.max(1e-12), 0.0),
                    depth: sum.depth / n,
                    distillation: sum.distillation / n,
                    multiply_share: sum.usage.share(layers::feed_forward::experts::MULTIPLY),
                    rate: self.rate(),
                    norm: norms / n,
                    seconds: since.elapsed().as_secs_f64() / n,
                };
                log::append(&settings.out.join(LOG_FILE), &line)?;
                progress(&line);
                (sum, norms, count, since) = (Losses::default(), 0.0, 0, Instant::now());
            }
            if self.state.step.is_multiple_of(settings.save_every) {
                self.bring_back()?;
                self.save(&settings.out)?;
                if let Some(scene) = &settings.validation {
                    let device = match &self.stepper {
                        AnyStepper::Cpu(_) => None,
                        AnyStepper::Cuda(stepper) => Some(stepper.device()),
                    };
                    validate(&self.model, &self.state, scene, &settings.out, settings.threads, device)?;
                }
            }
        }
        Ok(())
    }

    /// Whether a run in time has had its time.
    pub fn is_over(&self) -> bool {
        self.state.options.seconds.is_some_and(|all| self.state.seconds >= all)
    }

    /// Learning rate of the transformer at the next step.
    fn rate(&self) -> f32 {
        let State { options, step, seconds, .. } = &self.state;
        let schedule = options.schedule;
        schedule.peak
            * options
                .seconds
                .map_or_else(|| schedule.factor(*step), |all| schedule.factor_in_time(*step, seconds / all))
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
        self.checkpoint().write(&folder.join(MODEL_FILE), Storage::F32)?;
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
/// Log of a run.
pub const LOG_FILE: &str = log::FILE;

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
