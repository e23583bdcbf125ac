//! `shiftray train`: training a model.

pub(crate) mod classifier;
mod start;

use super::device::{self, Device};
use super::folder::FolderLock;
use super::steps::Steps;
use super::training_data::{SYNTH, open, validation_scene, warn_of, whole_path};
use super::{kept, numbers, output};
use anyhow::bail;
use clap::value_parser;
use serde::{Deserialize, Serialize};
use start::{generated, start};
use std::path::{Path, PathBuf};
use train::data::Dataset;
use train::reparam::expect_dense;
use train::run::{LOG_FILE, LogLine, MODEL_FILE, MOST_RAYS, Run, RunSettings, STATE_FILE, expect_replaceable};

/// Train a model on scenes in LLFF layout.
///
/// The network is dense unless the one to start from is not, whose codes and shifts are trained as they are; `reparam` makes
/// them from a dense model.
///
/// The run's folder receives `model.safetensors` (averaged weights), `state.safetensors` (all that is needed to go on),
/// `options.json` (the options that shape the result) and `log.jsonl`. An interrupted run goes on with `--resume`, exactly
/// as if it had not been interrupted (one that is as long as its `--minutes` does as many steps as the time holds); it keeps
/// its options, and those that are given again must be the same.
///
/// `train classifier` trains a vision transformer on labelled pictures instead.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct Args {
    #[command(subcommand)]
    task: Option<Task>,
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
    /// Without --steps, the length of the whole run: the rate falls over these minutes of training, however many steps they
    /// hold. With --steps, or of a run that is gone on with: stop after this many minutes, if it does not end before
    #[arg(long, value_parser = numbers::parse_minutes)]
    minutes: Option<f64>,
    /// Scene whose first held-out view is rendered at every checkpoint (name or folder)
    #[arg(long, value_name = "SCENE")]
    validate: Option<String>,
    /// Where steps are computed: auto, cpu, cuda or cuda:N; a run can be gone on with on either
    #[arg(long, default_value = "auto")]
    device: Device,
    /// Threads; the result does not depend on it
    #[arg(long, value_parser = value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
    /// Steps between checkpoints
    #[arg(long, default_value_t = 500, value_parser = numbers::parse_steps)]
    save_every: u64,
    /// Steps between lines of the log
    #[arg(long, default_value_t = 50, value_parser = numbers::parse_steps)]
    log_every: u64,
}

/// What else can be trained.
#[derive(Debug, clap::Subcommand)]
enum Task {
    #[command(after_help = super::examples::TRAIN_CLASSIFIER)]
    Classifier(Box<classifier::Args>),
}

// What shapes the result; the run's folder keeps it. No doc comment: it would be taken for the help of the command.
#[derive(Clone, Debug, Default, clap::Args, Serialize, Deserialize)]
struct RunArgs {
    /// Folder of scenes, or `synth` to generate procedural scenes first
    #[arg(long, required_unless_present = "resume")]
    data: Option<String>,
    /// Scenes to generate with `--data synth` [default: 200]
    #[arg(long, value_parser = value_parser!(u32).range(1..=super::synth::MOST_SCENES))]
    scenes: Option<u32>,
    /// Network: compact, medium, full, or a JSON file [default: compact, or that of the model to start from]
    #[arg(long)]
    config: Option<String>,
    /// Start from the weights of this model: a built-in name or a file
    #[arg(long, value_name = "NAME|FILE")]
    from: Option<String>,
    /// Steps of the whole run [default: 20000, or as many as --minutes hold]
    #[arg(long, value_parser = numbers::parse_steps)]
    steps: Option<u64>,
    /// Length of a run that was started with --minutes and without --steps.
    #[arg(skip)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    in_minutes: Option<f64>,
    /// Rays a step [default: 512]
    #[arg(long, value_parser = value_parser!(u32).range(1..=MOST_RAYS as i64))]
    rays: Option<u32>,
    /// Samples a ray [default: those of the network]
    #[arg(long, value_parser = value_parser!(u16).range(2..=4096))]
    samples: Option<u16>,
    /// Samples a ray of the steps that place them as after a coarse pass [default: no such steps]
    #[arg(long, value_name = "SAMPLES", value_parser = value_parser!(u16).range(4..=256))]
    guided: Option<u16>,
    /// Part of the steps that do so [default: 0.5]
    #[arg(long, requires = "guided", value_name = "PART", value_parser = numbers::parse_share)]
    guided_share: Option<f32>,
    /// Fewest and most source views [default: 6 10]
    #[arg(long, num_args = 2, value_names = ["MIN", "MAX"], value_parser = value_parser!(u16).range(1..=1000))]
    views: Option<Vec<u16>>,
    /// Peak learning rate of the transformer [default: 0.001]
    #[arg(long, value_parser = numbers::parse_rate)]
    rate: Option<f32>,
    /// Weight of the loss on depth, where the scenes have exact depth and the network blends colours: 0.02 finds geometry
    /// quickly, 0.001 is best to finish with [default: 0.005]
    #[arg(long, value_parser = numbers::parse_weight)]
    depth_weight: Option<f32>,
    /// Seed of weights and batches [default: 0]
    #[arg(long)]
    seed: Option<u64>,
}

/// Runs the subcommand.
///
/// # Errors
/// If the data or the run cannot be read, options contradict those of the run, or a file cannot be written.
pub fn run(mut args: Args) -> anyhow::Result<()> {
    if let Some(Task::Classifier(args)) = args.task {
        return classifier::run(*args);
    }
    let threads = args.threads.map_or_else(compute::parallel::available, usize::from);
    args.shape.data = args.shape.data.map(|data| whole_path(&data));
    match (args.resume.take(), args.out.take()) {
        (Some(folder), _) => resume(&args, &folder, threads),
        (None, Some(folder)) => begin(&args, &folder, threads),
        (None, None) => bail!("expected --out or --resume, found neither"),
    }
}

/// Starts a run; what can be checked is checked before the folder is made.
fn begin(args: &Args, folder: &Path, threads: usize) -> anyhow::Result<()> {
    expect_free(folder)?;
    let (run, shape) = start(&args.shape, args.minutes)?;
    if let Err(problem) = expect_dense(&run.model().config) {
        let name = shape.config.as_deref().or(shape.from.as_deref()).unwrap_or_default();
        output::warn(&format!("{name}: {problem}; codes and shifts are trained as they are"));
    }
    let mut run = device::train_on(args.device, run, threads)?;
    let side = run.model().features.min_size();
    let dataset = match shape.data.as_deref() {
        None | Some(SYNTH) => None,
        Some(data) => Some(open(Path::new(data), side, threads)?),
    };
    let validation = args.validate.as_deref().map(|name| validation_scene(name, side, threads)).transpose()?;
    let folders = kept::absent(folder.ancestors());
    let lock = FolderLock::take(folder, "train")?;
    expect_free(folder)?;
    let files = [kept::FILE, STATE_FILE, MODEL_FILE, LOG_FILE].map(|file| folder.join(file));
    let files = kept::absent(files.iter().map(PathBuf::as_path));
    let work = || {
        expect_replaceable(folder)?;
        kept::write(folder, &shape)?;
        // From here on the run can be gone on with, whenever it is stopped.
        run.state().write(&folder.join(STATE_FILE))?;
        let dataset = dataset.map_or_else(|| generated(folder, &shape, run.state().options.seed), Ok)?;
        finish(args, folder, &mut run, &dataset, validation, threads)
    };
    let done = work();
    if done.is_err() && run.state().step == 0 {
        // No half run stays. Scenes that were generated do: the next run goes on with them.
        kept::take_back(&files);
        drop(lock);
        kept::take_back(&folders);
    }
    done
}

/// Checks that nothing in `folder` would be taken for a part of the new run, or be replaced by it. The options of a run that
/// was killed before its first state are no obstacle.
fn expect_free(folder: &Path) -> anyhow::Result<()> {
    if folder.join(STATE_FILE).exists() {
        bail!("{0}: holds a run already ({STATE_FILE}); go on with --resume {0}", folder.display());
    }
    kept::expect_maker(folder, "shiftray train")?;
    if folder.join(MODEL_FILE).symlink_metadata().is_ok() {
        let (folder, hint) = (folder.display(), kept::HINT);
        bail!("--out {folder}: expected a folder for a new run, found {MODEL_FILE} and no {STATE_FILE} in it; {hint}");
    }
    Ok(())
}

/// Goes on with a run.
fn resume(args: &Args, folder: &Path, threads: usize) -> anyhow::Result<()> {
    if !folder.join(STATE_FILE).exists() {
        bail!("--resume {}: expected the folder of a run, found no {STATE_FILE} in it", folder.display());
    }
    let lock = FolderLock::take(folder, "train")?;
    let Some(mut shape) = kept::read::<RunArgs>(folder)? else {
        bail!("--resume {}: expected the folder of a run, found no {} in it", folder.display(), kept::FILE);
    };
    let (mut given, before) = (args.shape.clone(), shape.data.clone());
    // Scenes may have been moved; the folder that is given is taken if the one that is kept is gone.
    if let (Some(data), Some(before)) = (&given.data, &before)
        && data != SYNTH
        && before != SYNTH
        && !Path::new(before).exists()
    {
        output::warn(&format!("{before} is gone; the run goes on with the scenes in {data}"));
        shape.data = given.data.take();
    }
    kept::expect_no_other(folder, &shape, &given)?;
    let run = Run::resume(folder)?;
    if run.is_over() {
        let model = folder.join(MODEL_FILE);
        output::warn(&format!(
            "{}: this run was {} minutes long and has had them; another goes on with --from {}",
            folder.display(),
            shape.in_minutes.unwrap_or_default(),
            model.display()
        ));
    }
    let mut run = device::train_on(args.device, run, threads)?;
    let side = run.model().features.min_size();
    let validation = args.validate.as_deref().map(|name| validation_scene(name, side, threads)).transpose()?;
    let dataset = match shape.data.as_deref() {
        None | Some(SYNTH) => generated(folder, &shape, run.state().options.seed)?,
        Some(data) => open(Path::new(data), side, threads)?,
    };
    // Only now: a folder that holds no scenes is not kept.
    if shape.data != before {
        kept::write(folder, &shape)?;
    }
    let done = finish(args, folder, &mut run, &dataset, validation, threads);
    drop(lock);
    done
}

/// Trains until the end, or as far as is asked for.
fn finish(
    args: &Args,
    folder: &Path,
    run: &mut Run,
    dataset: &Dataset,
    validation: Option<scene::Scene>,
    threads: usize,
) -> anyhow::Result<()> {
    let steps = run.state().options.schedule.steps;
    let until = args.stop_at.map_or(steps, |stop| stop.min(steps));
    let whole = run.state().options.seconds;
    warn_of(dataset, validation.as_ref(), run.state().options.views, run.state().options.guided.is_some());
    let bar = match whole {
        Some(seconds) => Steps::new(seconds as u64, run.state().seconds as u64, "seconds of training"),
        None => Steps::new(until, run.state().step, "steps"),
    };
    let (from, before) = (std::time::Instant::now(), run.state().seconds as u64);
    let parameters = run.model().layout.len();
    output::note(&format!("training on {} scenes, {parameters} parameters, {threads} threads", dataset.len()));
    let settings = RunSettings {
        out: folder.to_owned(),
        until,
        // A run in time ends by itself; of one that is gone on with, the minutes are those of this call.
        seconds: args.minutes.map(|m| m * 60.0).filter(|limit| whole.is_none_or(|all| *limit < all)),
        save_every: args.save_every,
        log_every: args.log_every,
        threads,
        validation,
    };
    run.train(dataset, &settings, |line: &LogLine| {
        let about = format!("PSNR {:.2} depth {:.3} {:.3} s/step", line.psnr, line.depth, line.seconds);
        let done = whole.map_or(line.step, |all| (before + from.elapsed().as_secs()).min(all as u64));
        bar.set(done, about);
    })?;
    bar.finish();
    output::note(&format!("{} steps done; model in {}", run.state().step, folder.join(MODEL_FILE).display()));
    Ok(())
}
