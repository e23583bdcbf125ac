//! `shiftray reparam`: from a trained dense model to additive attention, shift layers and experts.

use super::folder::FolderLock;
use super::train::{SYNTH, generate, open, warn_of, whole_path};
use super::{Steps, hash, kept, numbers, output};
use anyhow::{Context, bail};
use clap::value_parser;
use gnt::checkpoint::{Checkpoint, Precision};
use gnt::{Head, Model};
use layers::experts::latency_shares;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use train::data::Dataset;
use train::distillation::{Distillation, Teacher};
use train::ps::ShiftForm;
use train::reparam::{Piece, convert, expect_convertible, expect_dense};
use train::run::{LOG_FILE, LogLine, MODEL_FILE, MOST_RAYS, Options, Plan, Run, STATE_FILE, expect_replaceable};
use train::schedule::Schedule;

/// Turn a trained model into one with additive attention, shift layers and experts.
///
/// Each stage replaces some pieces and fine-tunes the whole, with the dense model as teacher of states and colours beside
/// the scenes' own colours. A stage is a folder in the run's folder; an interrupted run goes on when the same command is
/// given again; `options.json` keeps the options that shape the result, and another command is refused. The last stage's
/// model is also written to `model.safetensors` in the run's folder, packed.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Folder of the run
    #[arg(short, long)]
    out: PathBuf,
    #[command(flatten)]
    shape: Shape,
    /// Stop after this many minutes; the same command goes on later
    #[arg(long, value_parser = numbers::parse_minutes)]
    minutes: Option<f64>,
    /// Where steps are computed: auto, cpu, cuda or cuda:N; a stage can be gone on with on either
    #[arg(long, default_value = "auto")]
    device: super::device::Device,
    /// Threads; the result does not depend on it
    #[arg(long, value_parser = value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
    /// Steps between checkpoints
    #[arg(long, default_value_t = 250, value_parser = numbers::parse_steps)]
    save_every: u64,
}

// What shapes the result; the run's folder keeps it. No doc comment: it would be taken for the help of the command.
#[derive(Clone, Debug, clap::Args, Serialize, Deserialize)]
struct Shape {
    /// Dense model: a built-in name or a file
    #[arg(long, value_name = "NAME|FILE")]
    model: String,
    /// Folder of scenes, or `synth` to generate procedural scenes first
    #[arg(long, default_value = "synth")]
    data: String,
    /// Stages, separated by commas; pieces of a stage are joined by +. Pieces: ray, ray-linear, view, shift, mlp-shift,
    /// experts
    #[arg(long, default_value = "ray+view,shift+experts", value_parser = parse_stages)]
    stages: Stages,
    /// Steps of each stage
    #[arg(long, default_value_t = 3000, value_parser = numbers::parse_steps)]
    steps: u64,
    /// Bits of a shift layer's weights: 4 or 5
    #[arg(long, default_value_t = 4, value_parser = value_parser!(u8).range(4..=5))]
    bits: u8,
    /// What is trained of shift layers: float weights that are rounded (q), or exponents and signs (ps)
    #[arg(long, default_value = "q")]
    form: Form,
    /// Rays a step
    #[arg(long, default_value_t = 400, value_parser = value_parser!(u32).range(1..=MOST_RAYS as i64))]
    rays: u32,
    /// Samples a ray; by default those of the model
    #[arg(long)]
    samples: Option<usize>,
    /// Fewest and most source views
    #[arg(long, num_args = 2, value_names = ["MIN", "MAX"], default_values_t = [6, 10],
          value_parser = value_parser!(u16).range(1..=1000))]
    views: Vec<u16>,
    /// Peak learning rate
    #[arg(long, default_value_t = 1e-3, value_parser = numbers::parse_rate)]
    rate: f32,
    /// Weight of the distance from the teacher's states; 0 learns from colours alone
    #[arg(long, default_value_t = 0.02, value_parser = numbers::parse_weight)]
    distil: f32,
    /// Weight of the loss on depth, where the scenes have exact depth and the network blends colours [default: 0.001]
    #[arg(long, value_parser = numbers::parse_weight)]
    depth_weight: Option<f32>,
    /// Train the feature network too, which takes about twice as long
    #[arg(long)]
    train_features: bool,
    /// Latencies of the multiply and the shift expert, such as 6:4; by default they are measured on this processor
    #[arg(long, value_name = "A:B", value_parser = parse_latencies)]
    alpha: Option<[f64; 2]>,
    /// Weight of the loss that balances the experts by their latencies
    #[arg(long, default_value_t = 0.01, value_parser = numbers::parse_weight)]
    balance: f32,
    /// Seed
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Scenes to generate with `--data synth`
    #[arg(long, default_value_t = 200, value_parser = value_parser!(u32).range(1..=super::synth::MOST_SCENES))]
    scenes: u32,
}

/// [`ShiftForm`] on the command line.
#[derive(Clone, Copy, Debug, clap::ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Form {
    /// Float weights, rounded (DeepShift-Q)
    Q,
    /// Exponents and signs (DeepShift-PS)
    Ps,
}

impl From<Form> for ShiftForm {
    fn from(form: Form) -> Self {
        match form {
            Form::Q => Self::Q,
            Form::Ps => Self::Ps,
        }
    }
}

/// Stages in order, each with its name and pieces.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
struct Stages(Vec<(String, Vec<Piece>)>);

impl From<Stages> for String {
    fn from(stages: Stages) -> Self {
        stages.names().join(",")
    }
}

impl TryFrom<String> for Stages {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        parse_stages(&text)
    }
}

impl Stages {
    fn names(&self) -> Vec<&str> {
        self.0.iter().map(|(name, _)| name.as_str()).collect()
    }
}

fn parse_stages(text: &str) -> Result<Stages, String> {
    let names = || Piece::ALL.map(|(name, _)| name).join(", ");
    let piece = |name: &str| {
        let found = Piece::ALL.into_iter().find(|(n, _)| *n == name);
        found.map(|(_, piece)| piece).ok_or_else(|| format!("expected pieces of {}, found {name:?}", names()))
    };
    let stage = |text: &str| Ok((text.to_owned(), text.split('+').map(piece).collect::<Result<_, String>>()?));
    text.split(',').map(stage).collect::<Result<_, String>>().map(Stages)
}

fn parse_latencies(text: &str) -> Result<[f64; 2], String> {
    let wrong = || format!("expected two positive numbers such as 6:4, found {text:?}");
    let (a, b) = text.split_once(':').ok_or_else(wrong)?;
    let pair = [a, b].map(|v| v.trim().parse::<f64>());
    match pair {
        [Ok(a), Ok(b)] if a > 0.0 && b > 0.0 && a.is_finite() && b.is_finite() => Ok([a, b]),
        _ => Err(wrong()),
    }
}

/// Runs the subcommand.
///
/// # Errors
/// If model or data cannot be read, a piece does not fit the model, or a file cannot be written.
pub fn run(args: Args) -> anyhow::Result<()> {
    let threads = args.threads.map_or_else(tensor::parallel::available, usize::from);
    let (dense, dense_params, name) = gnt::builtin::load(&args.shape.model)?;
    let job = Job { samples: samples(&args.shape, &dense)?, args: &args, name: &name, threads };
    expect_dense(&dense.config).with_context(|| format!("--model {name}"))?;
    // All stages are checked before the first is trained.
    let mut config = dense.config;
    for (stage, pieces) in &args.shape.stages.0 {
        let next = job.config(config, pieces);
        expect_convertible(config, next).with_context(|| format!("--stages: {stage}"))?;
        config = next;
    }
    let side = dense.features.min_size();
    let dataset = match args.shape.data.as_str() {
        SYNTH => None,
        data => Some(open(Path::new(data), side, threads)?),
    };
    args.device.choose(threads)?;
    let shape = Shape {
        // What the model is counts, not where it lies.
        model: format!("{} ({})", file_name(&name), &hash::model(&dense.config, &dense_params)?[..16]),
        data: whole_path(&args.shape.data),
        ..args.shape.clone()
    };
    let folders = kept::absent(args.out.ancestors());
    let lock = FolderLock::take(&args.out, "reparam")?;
    let files = kept::absent([args.out.join(kept::FILE).as_path()]);
    kept::expect_maker(&args.out, "shiftray reparam")?;
    match kept::read::<Shape>(&args.out)? {
        Some(before) => kept::expect_same(&args.out, &before, &shape)?,
        None => {
            if let Some(found) = earlier_run(&args.out)? {
                let (out, file, hint) = (args.out.display(), kept::FILE, kept::HINT);
                bail!("--out {out}: expected a folder for a new run, found {found} and no {file} in it; {hint}");
            }
            kept::write(&args.out, &shape)?;
        }
    }
    let done = scene::file::check_replaceable(&args.out.join(MODEL_FILE)).map_err(Into::into).and_then(|()| {
        let dataset = dataset.map_or_else(|| generate(&args.out, args.shape.scenes, args.shape.seed), Ok)?;
        let [least, most] = [0, 1].map(|i| usize::from(args.shape.views[i]));
        warn_of(&dataset, None, (least, most), false);
        job.run(&dataset, dense, dense_params)
    });
    if done.is_err() && !job.folder(0).exists() {
        // No half run stays, but for scenes that were generated.
        kept::take_back(&files);
        drop(lock);
        kept::take_back(&folders);
    }
    done
}

/// The model, state or folder of a stage that a run left in `out`: what is gone on with has options of its own, and without
/// its file nobody knows which.
fn earlier_run(out: &Path) -> anyhow::Result<Option<String>> {
    for file in [MODEL_FILE, STATE_FILE] {
        if out.join(file).symlink_metadata().is_ok() {
            return Ok(Some(file.to_owned()));
        }
    }
    let entries = std::fs::read_dir(out).with_context(|| out.display().to_string())?;
    let mut stages: Vec<String> = entries
        .flatten()
        .filter(|entry| entry.path().join(STATE_FILE).exists())
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    stages.sort();
    Ok(stages.into_iter().next())
}

/// Samples a ray, as they are given or the model has them.
fn samples(shape: &Shape, dense: &Model) -> anyhow::Result<usize> {
    let [least, most] = shape.views[..] else { bail!("--views: expected two numbers, found {}", shape.views.len()) };
    if least > most {
        bail!("--views: expected MIN up to MAX, found {least} {most}");
    }
    if dense.config.head == Head::Mean && shape.depth_weight.is_some_and(|weight| weight > 0.0) {
        bail!(
            "--depth-weight: expected a model whose head blends colours, which alone learns from depth, found {}",
            shape.model
        );
    }
    let samples = shape.samples.unwrap_or(dense.config.samples);
    if !(2..=4096).contains(&samples) {
        bail!("--samples: expected 2 to 4096, found {samples}");
    }
    Ok(samples)
}

/// The file's name alone: a model that is passed on should not tell its maker's folders.
fn file_name(name: &str) -> String {
    Path::new(name).file_name().map_or_else(|| name.to_owned(), |f| f.to_string_lossy().into_owned())
}

/// A command whose options have been checked.
struct Job<'a> {
    args: &'a Args,
    name: &'a str,
    samples: usize,
    threads: usize,
}

impl Job<'_> {
    /// A network with pieces replaced.
    fn config(&self, config: gnt::Config, pieces: &[Piece]) -> gnt::Config {
        pieces.iter().fold(config, |config, piece| piece.apply(config, self.args.shape.bits))
    }

    /// The folder of a stage.
    fn folder(&self, stage: usize) -> PathBuf {
        self.args.out.join(format!("{}-{}", stage + 1, self.args.shape.stages.0[stage].0))
    }

    fn run(&self, dataset: &Dataset, dense: Model, dense_params: Vec<f32>) -> anyhow::Result<()> {
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
                run = args.device.train_on(run, self.threads)?;
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
                self.describe(&mut checkpoint, stage, &folder, run.state());
                checkpoint.write(&args.out.join(MODEL_FILE), Precision::Packed)?;
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
            (_, gnt::MlpKind::Dense | gnt::MlpKind::Shift { .. }) => None,
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
        let options = Options {
            seed: shape.seed,
            rays: shape.rays as usize,
            samples,
            views,
            depth_weight: shape.depth_weight.unwrap_or(0.001),
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
            form: shape.form.into(),
            guided: None,
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
        let plan = Plan {
            out: folder.to_owned(),
            until: args.shape.steps,
            seconds,
            save_every: args.save_every,
            log_every: 50,
            threads,
            validation: None,
        };
        let done = run.train(dataset, &plan, |line: &LogLine| {
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

    /// Writes down where the model comes from.
    fn describe(&self, checkpoint: &mut Checkpoint, stage: &str, folder: &Path, state: &train::state::State) {
        let (name, stages) = (file_name(self.name), self.args.shape.stages.names().join(","));
        let steps = self.args.shape.steps;
        let about = format!("reparameterised from {name}: stage {stage} of {stages}, {steps} steps each");
        checkpoint.metadata.insert("about".into(), about);
        if let Some((alpha, _)) = state.options.balance {
            checkpoint.metadata.insert("expert_latency_shares".into(), format!("{:.4}:{:.4}", alpha[0], alpha[1]));
            // Part of the rows that the multiply expert ran, by the last line of the run's log.
            if let Some(line) = train::log::last::<LogLine>(&folder.join(LOG_FILE)) {
                checkpoint.metadata.insert("shift_share".into(), format!("{:.4}", 1.0 - line.multiply_share));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stages_are_read_and_wrong_ones_named() {
        let stages = parse_stages("ray+view,experts").unwrap();
        assert_eq!(stages.0.len(), 2);
        assert_eq!(stages.0[0].1, [Piece::Ray, Piece::View]);
        assert!(parse_stages("ray,nothing").unwrap_err().contains("\"nothing\""));
        assert!(parse_stages("").is_err());
    }

    #[test]
    fn latencies_are_two_positive_numbers() {
        assert_eq!(parse_latencies("6:4").unwrap(), [6.0, 4.0]);
        for wrong in ["6", "0:1", "a:b", "1:-1", "inf:1", "nan:1"] {
            assert!(parse_latencies(wrong).is_err(), "{wrong}");
        }
    }
}
