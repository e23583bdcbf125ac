//! `shiftray train classifier`: training a vision transformer on labelled pictures.

use crate::cli::folder::FolderLock;
use crate::cli::steps::Steps;
use crate::cli::training_data::whole_path;
use crate::cli::{kept, numbers, output};
use anyhow::bail;
use clap::value_parser;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use train::classification::{ClassifyOptions, ClassifyRun, ClassifySettings, MODEL_FILE, Optimiser, STATE_FILE};
use vit::checkpoint::Description;
use vit::config::CompactConfig;
use vit::data::Labelled;
use vit::preprocess::Preprocess;
use vit::reparam::with_classes;

/// Train a classifier on labelled pictures: a folder per class, a tar archive of such folders (plain, gz, xz), or CIFAR-10's
/// binary batches.
///
/// The run's folder receives `model.safetensors` (averaged weights), `state.safetensors` (all that is needed to go on),
/// `options.json` and `log.jsonl`. An interrupted run goes on with `--resume`, exactly as if it had not been interrupted.
/// Products are computed in bf16 where the processor has them (AVX-512 BF16 or AMX), else in f32; a run resumed on another kind of
/// processor agrees within rounding.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Folder of the run
    #[arg(short, long, required_unless_present = "resume")]
    out: Option<PathBuf>,
    /// Go on with the run in this folder
    #[arg(long, value_name = "RUN", conflicts_with = "out")]
    resume: Option<PathBuf>,
    #[command(flatten)]
    shape: RunArgs,
    /// Stop at this step; the run can be gone on with later
    #[arg(long, value_name = "STEP")]
    stop_at: Option<u64>,
    /// Stop after this many minutes
    #[arg(long, value_parser = numbers::parse_minutes)]
    minutes: Option<f64>,
    /// Threads; the result does not depend on it
    #[arg(long, value_parser = value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
    /// Epochs between checkpoints, at which the held-out pictures are classified too
    #[arg(long, default_value_t = 1, value_parser = value_parser!(u64).range(1..))]
    save_every: u64,
    /// Steps between lines of the log
    #[arg(long, default_value_t = 50, value_parser = numbers::parse_steps)]
    log_every: u64,
}

// What shapes the result; the run's folder keeps it. No doc comment: it would be taken for the help of the command.
#[derive(Clone, Debug, Default, clap::Args, Serialize, Deserialize)]
struct RunArgs {
    /// Labelled pictures
    #[arg(long, required_unless_present = "resume")]
    data: Option<String>,
    /// Labelled pictures that are not trained on, to follow the accuracy
    #[arg(long)]
    held_out: Option<String>,
    /// Start from the weights of this model: a built-in name, a model file or one of timm; where the pictures have other
    /// classes, with a new head
    #[arg(long, value_name = "NAME|FILE")]
    from: Option<String>,
    /// What moves the weights: adam, or muon for matrices and convolutions and adam for the rest [default: muon]
    #[arg(long, value_parser = parse_optimiser)]
    #[serde(default)]
    optimiser: Option<Optimiser>,
    /// Passes over all pictures [default: 30]
    #[arg(long)]
    epochs: Option<u32>,
    /// Pictures a step [default: 256]
    #[arg(long)]
    batch: Option<u32>,
    /// Peak learning rate [default: 0.0015]
    #[arg(long, value_parser = numbers::parse_rate)]
    rate: Option<f32>,
    /// Weight decay [default: 0.05]
    #[arg(long, value_parser = numbers::parse_weight)]
    decay: Option<f32>,
    /// Part of a target that is spread over all classes [default: 0.1]
    #[arg(long, value_parser = numbers::parse_share)]
    smoothing: Option<f32>,
    /// Side of the square that is cut out of each picture [default: 8]
    #[arg(long)]
    cutout: Option<u32>,
    /// Most relative change of brightness and contrast [default: 0]
    #[arg(long, value_parser = numbers::parse_share)]
    colour: Option<f32>,
    /// Mix pictures in pairs, by a beta distribution with this parameter; 0 mixes none [default: 0.5]
    #[arg(long, value_parser = numbers::parse_weight)]
    mixup: Option<f32>,
    /// Seed of weights and batches [default: 0]
    #[arg(long)]
    seed: Option<u64>,
}

fn parse_optimiser(name: &str) -> Result<Optimiser, String> {
    let found = Optimiser::NAMES.into_iter().find(|(known, _)| *known == name);
    found.map(|(_, optimiser)| optimiser).ok_or_else(|| "expected adam or muon".into())
}

impl RunArgs {
    fn options(&self) -> ClassifyOptions {
        let defaults = ClassifyOptions::default();
        ClassifyOptions {
            optimiser: self.optimiser.unwrap_or(Optimiser::Muon),
            epochs: self.epochs.unwrap_or(defaults.epochs),
            batch: self.batch.unwrap_or(defaults.batch),
            rate: self.rate.unwrap_or(defaults.rate),
            decay: self.decay.unwrap_or(defaults.decay),
            smoothing: self.smoothing.unwrap_or(defaults.smoothing),
            cutout: self.cutout.unwrap_or(defaults.cutout),
            colour: self.colour.unwrap_or(defaults.colour),
            mixup: self.mixup.unwrap_or(0.5),
            seed: self.seed.unwrap_or(defaults.seed),
            ..defaults
        }
    }
}

/// Runs the subcommand.
///
/// # Errors
/// If the data or the run cannot be read, options contradict those of the run, or a file cannot be written.
pub fn run(mut args: Args) -> anyhow::Result<()> {
    let threads = args.threads.map_or_else(compute::parallel::available, usize::from);
    args.shape.data = args.shape.data.map(|data| whole_path(&data));
    args.shape.held_out = args.shape.held_out.map(|data| whole_path(&data));
    let (folder, resumes) = match (args.resume.take(), args.out.take()) {
        (Some(folder), _) => (folder, true),
        (None, Some(folder)) => (folder, false),
        (None, None) => bail!("expected --out or --resume, found neither"),
    };
    let state = folder.join(STATE_FILE);
    let lock = FolderLock::take(&folder, "train")?;
    let (mut run, data, shape) = if resumes {
        let Some(shape) = kept::read::<RunArgs>(&folder)?.filter(|_| state.exists()) else {
            bail!("--resume {}: expected the folder of a run, found none in it", folder.display());
        };
        kept::expect_no_other(&folder, &shape, &args.shape)?;
        let run = ClassifyRun::resume(&folder)?;
        let data = pictures(shape.data(), &run.state().description, threads)?;
        if (data.len() as u64, &data.classes) != (run.state().pictures, &run.state().description.classes) {
            let (expected, found) = (run.state().pictures, data.len());
            bail!("--resume {}: expected its {expected} pictures and classes, found {found}", folder.display());
        }
        (run, data, shape)
    } else {
        if state.exists() {
            bail!("{0}: holds a run already ({STATE_FILE}); go on with --resume {0}", folder.display());
        }
        kept::expect_maker(&folder, "shiftray train classifier")?;
        let (run, data) = begin(&args.shape, threads)?;
        kept::write(&folder, &args.shape)?;
        run.save(&folder)?;
        (run, data, args.shape.clone())
    };
    let held_out = shape.held_out.as_deref().map(|path| pictures(Path::new(path), &run.state().description, threads));
    let held_out = held_out.transpose()?;
    let steps = run.state().steps();
    let until = args.stop_at.map_or(steps, |stop| stop.min(steps));
    let (count, parameters) = (data.len(), run.model().layout.len());
    output::note(&format!("training on {count} pictures, {parameters} parameters, {threads} threads"));
    let bar = Steps::new(until, run.state().step, "steps");
    let settings = ClassifySettings {
        out: folder.clone(),
        until,
        seconds: args.minutes.map(|m| m * 60.0),
        save_every: args.save_every,
        log_every: args.log_every,
        threads,
    };
    run.train(&data, held_out.as_ref(), &settings, |line| {
        let held_out = line.held_out.map_or(String::new(), |share| format!(", held out {:.2} %", 100.0 * share));
        let (loss, accuracy) = (line.loss, 100.0 * line.accuracy);
        bar.set(line.step, format!("loss {loss:.3}, {accuracy:.1} %{held_out}, {:.2} s/step", line.seconds));
    })?;
    bar.finish();
    output::note(&format!("{} steps done; model in {}", run.state().step, folder.join(MODEL_FILE).display()));
    drop(lock);
    Ok(())
}

/// A new run and its pictures.
fn begin(shape: &RunArgs, threads: usize) -> anyhow::Result<(ClassifyRun, Labelled)> {
    let Some(from) = &shape.from else {
        let config = vit::Config::Compact(CompactConfig::embedded());
        let mut description = Description { config, preprocess: Preprocess::cifar(), classes: Vec::new() };
        let data = read_pictures(shape.data(), &description, threads)?;
        description.config = config.with_classes(data.classes.len());
        description.classes.clone_from(&data.classes);
        return Ok((ClassifyRun::start(description, shape.options(), data.len(), None)?, data));
    };
    let mut from = vit::builtin::load(from, None)?;
    let mut data = read_pictures(shape.data(), &from.description, threads)?;
    let known = &from.description.classes;
    let fits = match known.is_empty() {
        true => data.classes.len() == from.description.config.classes(),
        false => data.classes.iter().all(|class| known.contains(class)),
    };
    if fits {
        take_classes(&mut data, shape.data(), &from.description)?;
        from.description.classes.clone_from(&data.classes);
    } else {
        let (before, after) = (from.description.config.classes(), data.classes.len());
        output::note(&format!(
            "the head is new: for the {after} classes of the pictures in the place of {before} others"
        ));
        from = with_classes(&from, &data.classes, shape.options().seed)?;
    }
    let run = ClassifyRun::start(from.description, shape.options(), data.len(), Some(from.params))?;
    Ok((run, data))
}

impl RunArgs {
    fn data(&self) -> &Path {
        Path::new(self.data.as_deref().unwrap_or_default())
    }
}

/// Pictures of `path` as a model takes them, with its classes; those that cannot be read are named and left out.
pub(crate) fn pictures(path: &Path, description: &Description, threads: usize) -> anyhow::Result<Labelled> {
    let mut data = read_pictures(path, description, threads)?;
    take_classes(&mut data, path, description)?;
    Ok(data)
}

/// The same with the pictures' own classes.
fn read_pictures(path: &Path, description: &Description, threads: usize) -> anyhow::Result<Labelled> {
    let data = Labelled::read(path, description.config.image_size(), &description.preprocess, threads)?;
    data.skipped.iter().for_each(|line| output::warn(&format!("left out: {line}")));
    Ok(data)
}

/// Gives pictures the classes of a model; those of a model that does not name its classes are taken in their order.
fn take_classes(data: &mut Labelled, path: &Path, description: &Description) -> anyhow::Result<()> {
    let (expected, found) = (description.config.classes(), data.classes.len());
    if !description.classes.is_empty() {
        data.relabel(path, &description.classes)?;
    } else if found != expected {
        bail!("{}: expected pictures of {expected} classes, as the model has, found {found}", path.display());
    }
    Ok(())
}
