//! Trains the stages of a reparameterisation, and writes down what came of them.

use super::Args;
use crate::cli::steps::Steps;
use crate::cli::{device, kept, output, shares};
use anyhow::{Context, bail};
use gnt::checkpoint::{Checkpoint, Storage};
use gnt::{Model, shift_shares};
use layers::feed_forward::experts::latency_shares;
use scene::Scene;
use std::path::{Path, PathBuf};
use train::data::Dataset;
use train::distillation::{Distillation, Teacher};
use train::guided::GuidedSteps;
use train::reparam::{Piece, convert};
use train::run::{LOG_FILE, LogLine, MODEL_FILE, Run, RunOptions, RunSettings, STATE_FILE, expect_replaceable};
use train::schedule::Schedule;

/// Scenes of which held-out views are rendered to see how the routers split their rows.
const MEASURED_SCENES: usize = 4;

/// The file's name alone: a model that is passed on should not tell its maker's folders.
pub fn file_name(name: &str) -> String {
    Path::new(name).file_name().map_or_else(|| name.to_owned(), |f| f.to_string_lossy().into_owned())
}

/// A command whose options have been checked.
pub struct Job<'a> {
    /// Options of the command.
    pub args: &'a Args,
    /// Name of the dense model.
    pub name: &'a str,
    /// Samples a ray.
    pub samples: usize,
    /// Threads that compute.
    pub threads: usize,
}

impl Job<'_> {
    /// A network with pieces replaced.
    pub fn config(&self, config: gnt::Config, pieces: &[Piece]) -> gnt::Config {
        pieces.iter().fold(config, |config, piece| piece.apply(config, self.args.shape.bits))
    }

    /// The folder of a stage.
    pub fn folder(&self, stage: usize) -> PathBuf {
        self.args.out.join(format!("{}-{}", stage + 1, self.args.shape.stages.0[stage].0))
    }

    /// Trains stage after stage, as far as is asked for, and writes the model of each.
    ///
    /// # Errors
    /// If a stage cannot be gone on with or trained, or a file cannot be written.
    pub fn run(&self, dataset: &Dataset, dense: Model, dense_params: Vec<f32>) -> anyhow::Result<()> {
        let args = self.args;
        let started = std::time::Instant::now();
        let (mut model, mut params) = (dense.clone(), dense_params.clone());
        for (i, (stage, pieces)) in args.shape.stages.0.iter().enumerate() {
            let folder = self.folder(i);
            scene::file::remove_leftovers(&folder);
            let config = self.config(model.config, pieces);
            let run = if folder.join(STATE_FILE).exists() {
                let run = Run::resume(&folder)?;
                if run.state().config != config {
                    bail!("{}: holds a run of another network; choose another --out", folder.display());
                }
                run
            } else {
                self.start(&model, &params, config, dataset)?
            };
            let teacher = Teacher::new(dense.clone(), &dense_params);
            let mut run = run.with_teacher(teacher)?;
            let left = args.minutes.map(|m| (m * 60.0 - started.elapsed().as_secs_f64()).max(0.0));
            let trained = run.state().step < args.shape.steps;
            if trained {
                run = device::train_on(args.device, run, self.threads)?;
                self.train(&mut run, dataset, &folder, stage, left)?;
            }
            if run.state().step < args.shape.steps {
                let step = run.state().step;
                output::note(&format!("stopped at step {step} of stage {stage}; the same command goes on"));
                return Ok(());
            }
            params = run.state().average.clone();
            model = run.model().clone();
            // A stage that was done before must not put its model in the place of a later one's.
            if trained || i + 1 == args.shape.stages.0.len() {
                let mut checkpoint = run.checkpoint();
                self.describe(&mut checkpoint, stage, &run, dataset)?;
                checkpoint.write(&args.out.join(MODEL_FILE), Storage::Packed)?;
            }
        }
        output::note(&format!("model in {}", args.out.join(MODEL_FILE).display()));
        Ok(())
    }

    fn start(&self, model: &Model, params: &[f32], config: gnt::Config, dataset: &Dataset) -> anyhow::Result<Run> {
        let (shape, samples) = (&self.args.shape, self.samples);
        let views = (usize::from(shape.views[0]), usize::from(shape.views[1]));
        let stats = train::calibration::calibrate(model, params, dataset, views, samples, shape.seed)?;
        let (pupil, params) = convert(model, params, config, &stats, shape.seed)?;
        let latencies = match (shape.alpha, config.mlp) {
            (_, gnt::FeedForwardKind::Dense | gnt::FeedForwardKind::Shift { .. }) => None,
            (Some(latencies), _) => Some(latencies),
            (None, _) => Some(gnt::engine::Engine::new(pupil.clone(), &params).expert_latencies()),
        };
        let balance = match latencies {
            Some(latencies) => {
                let alpha = latency_shares(latencies).map_err(|e| anyhow::anyhow!("{e}"))?;
                let shares = format!("{:.2} and {:.2}", alpha[0], alpha[1]);
                output::note(&format!("latency shares of the multiply and the shift expert: {shares}"));
                Some((alpha, shape.balance))
            }
            None => None,
        };
        let options = RunOptions {
            seed: shape.seed,
            rays: shape.rays as usize,
            samples,
            views,
            depth_weight: shape.depth_weight.unwrap_or(0.001),
            seconds: None,
            schedule: Schedule { peak: shape.rate, feature_factor: 0.3, warmup: 50, steps: shape.steps },
            average_decay: 0.998,
            clip_norm: 1.0,
            freeze_features: !shape.train_features,
            distillation: Distillation {
                features: shape.distil,
                states: shape.distil,
                colour: 1.0,
                weights: shape.distil / 10.0,
            },
            balance,
            hold_routers: balance.is_some(),
            form: shape.form.into(),
            guided: GuidedSteps::of_options(shape.guided, shape.guided_share),
        };
        let checkpoint = Checkpoint::from_params(&config, &pupil.layout, &params);
        Ok(Run::start(config, options, Some(checkpoint))?)
    }

    fn train(
        &self,
        run: &mut Run,
        dataset: &Dataset,
        folder: &Path,
        stage: &str,
        seconds: Option<f64>,
    ) -> anyhow::Result<()> {
        let (args, threads) = (self.args, self.threads);
        let bar = Steps::new(args.shape.steps, run.state().step, "steps");
        let parameters = run.model().layout.len();
        let scenes = dataset.len();
        output::note(&format!("stage {stage}: {parameters} parameters, {scenes} scenes, {threads} threads"));
        let mut made = [STATE_FILE, MODEL_FILE, LOG_FILE].map(|file| folder.join(file)).to_vec();
        made.push(folder.to_owned());
        let made = kept::absent(made.iter().map(PathBuf::as_path));
        if !folder.join(STATE_FILE).exists() {
            // Measured latencies differ from run to run: they are kept before the first step.
            std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
            expect_replaceable(folder)?;
            run.state().write(&folder.join(STATE_FILE))?;
        }
        let settings = RunSettings {
            out: folder.to_owned(),
            until: args.shape.steps,
            seconds,
            save_every: args.save_every,
            log_every: 50,
            threads,
            validation: None,
        };
        let done = run.train(dataset, &settings, |line: &LogLine| {
            let about = format!(
                "PSNR {:.2} from teacher {:.4} multiply {:.2} {:.3} s/step",
                line.psnr, line.distillation, line.multiply_share, line.seconds
            );
            bar.set(line.step, about);
        });
        if done.is_err() && run.state().step == 0 {
            kept::take_back(&made);
        }
        done?;
        bar.finish();
        Ok(())
    }

    /// Writes down where the model comes from and, of experts, where routers send the rows when pictures are rendered: of
    /// held-out views of the first scenes that it was trained on.
    fn describe(&self, checkpoint: &mut Checkpoint, stage: &str, run: &Run, dataset: &Dataset) -> anyhow::Result<()> {
        let (name, stages) = (file_name(self.name), self.args.shape.stages.names().join(","));
        let steps = self.args.shape.steps;
        let about = format!("reparameterised from {name}: stage {stage} of {stages}, {steps} steps each");
        checkpoint.metadata.insert("about".into(), about);
        if let Some((alpha, _)) = run.state().options.balance {
            checkpoint.metadata.insert("expert_latency_shares".into(), format!("{:.4}:{:.4}", alpha[0], alpha[1]));
        }
        let scenes: Vec<Scene> =
            dataset.scenes().filter(|scene| !scene.held_out.is_empty()).take(MEASURED_SCENES).cloned().collect();
        if shift_shares::has_experts(&checkpoint.config) && !scenes.is_empty() {
            let measured = shares::measure(run.model(), &run.state().average, &scenes, self.threads)?;
            checkpoint.metadata.insert(shift_shares::RENDERED.into(), shift_shares::text(&measured));
        }
        Ok(())
    }
}
