//! `shiftray reparam`: from a trained dense model to Hamming attention, shift layers and experts.

mod classifier;
mod job;
mod stages;

use super::folder::FolderLock;
use super::training_data::{SYNTH, generate, open, warn_of, whole_path};
use super::{hash, kept, numbers};
use anyhow::{Context, bail};
use clap::value_parser;
use gnt::{Head, Model};
use job::{Job, file_name};
use serde::{Deserialize, Serialize};
use stages::{Form, Stages, parse_latencies, parse_stages};
use std::path::{Path, PathBuf};
use train::guided::GuidedSteps;
use train::reparam::{expect_convertible, expect_dense};
use train::run::{MODEL_FILE, MOST_RAYS, STATE_FILE};

/// Turn a trained model into one with Hamming attention, shift layers and experts.
///
/// Each stage replaces some pieces and fine-tunes the whole, with the dense model as teacher of states and colours beside
/// the scenes' own colours. A stage is a folder in the run's folder; an interrupted run goes on when the same command is
/// given again; `options.json` keeps the options that shape the result, and another command is refused. The last stage's
/// model is also written to `model.safetensors` in the run's folder, packed.
///
/// A classifier (vit-dense, or a file that `shiftray train classifier` wrote) is fine-tuned on labelled pictures, which --data must name;
/// of the options those about rays, samples, views, depth and features do not concern it.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Folder of the run
    #[arg(short, long)]
    out: PathBuf,
    #[command(flatten)]
    shape: RunArgs,
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
struct RunArgs {
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
    /// Samples a ray of the steps that place them as after a coarse pass [default: no such steps]
    #[arg(long, value_name = "SAMPLES", value_parser = value_parser!(u16).range(4..=256))]
    guided: Option<u16>,
    /// Part of the steps that do so [default: 0.5]
    #[arg(long, requires = "guided", value_name = "PART", value_parser = numbers::parse_share)]
    guided_share: Option<f32>,
    /// Fewest and most source views
    #[arg(long, num_args = 2, value_names = ["MIN", "MAX"], default_values_t = [6, 10],
          value_parser = value_parser!(u16).range(1..=1000))]
    views: Vec<u16>,
    /// Peak learning rate
    #[arg(long, default_value_t = 1e-3, value_parser = numbers::parse_rate)]
    rate: f32,
    /// Weight of the distance from the teacher's states; 0 learns from colours alone
    #[arg(long, default_value_t = 0.1, value_parser = numbers::parse_weight)]
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

/// Runs the subcommand.
///
/// # Errors
/// If model or data cannot be read, a piece does not fit the model, or a file cannot be written.
pub fn run(args: Args) -> anyhow::Result<()> {
    let threads = args.threads.map_or_else(compute::parallel::available, usize::from);
    if let Some((dense, bytes)) = super::classifiers::named(&args.shape.model)? {
        return classifier::run(&args, &dense, &bytes, threads);
    }
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
    super::device::choose(args.device, threads)?;
    let shape = RunArgs {
        // What the model is counts, not where it lies.
        model: format!("{} ({})", file_name(&name), &hash::model(&dense.config, &dense_params)?[..16]),
        data: whole_path(&args.shape.data),
        guided_share: GuidedSteps::of_options(args.shape.guided, args.shape.guided_share).map(|guided| guided.share),
        ..args.shape.clone()
    };
    let folders = kept::absent(args.out.ancestors());
    let lock = FolderLock::take(&args.out, "reparam")?;
    let files = kept::absent([args.out.join(kept::FILE).as_path()]);
    kept::expect_maker(&args.out, "shiftray reparam")?;
    match kept::read::<RunArgs>(&args.out)? {
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
        warn_of(&dataset, None, (least, most), args.shape.guided.is_some());
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
fn samples(shape: &RunArgs, dense: &Model) -> anyhow::Result<usize> {
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
