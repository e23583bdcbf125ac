//! `shiftray train`: training a dense model.

use super::device::Device;
use super::output;
use anyhow::{Context, bail};
use gnt::Config;
use gnt::checkpoint::Checkpoint;
use std::path::PathBuf;
use train::data::Dataset;
use train::run::{LogLine, Options, Plan, Run, STATE_FILE};
use train::schedule::Schedule;

/// Train a dense model on scenes in LLFF layout.
///
/// The run's folder receives `model.safetensors` (averaged weights), `state.safetensors` (all that is needed to go on)
/// and `log.jsonl`. An interrupted run goes on with `--resume`, exactly as if it had not been interrupted.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Folder of scenes, or `synth` to generate procedural scenes first
    #[arg(long, required_unless_present = "resume")]
    data: Option<String>,
    /// Folder of the run
    #[arg(long, required_unless_present = "resume")]
    out: Option<PathBuf>,
    /// Go on with the run in this folder; its options are kept
    #[arg(long, value_name = "RUN", conflicts_with_all = ["out", "config", "from", "rays", "samples", "rate", "seed", "depth_weight", "steps", "views", "guided", "guided_share"])]
    resume: Option<PathBuf>,
    /// Network: compact, full, or a JSON file
    #[arg(long, default_value = "compact")]
    config: String,
    /// Start from the weights of this model
    #[arg(long, value_name = "MODEL")]
    from: Option<PathBuf>,
    /// Steps of the whole run
    #[arg(long)]
    steps: Option<u64>,
    /// Stop at this step; the run can be gone on with later
    #[arg(long, value_name = "STEP")]
    stop_at: Option<u64>,
    /// Stop after this many minutes
    #[arg(long)]
    minutes: Option<f64>,
    /// Rays a step
    #[arg(long, default_value_t = 512)]
    rays: usize,
    /// Samples a ray; by default those of the network
    #[arg(long)]
    samples: Option<usize>,
    /// Samples a ray of the steps that place them as after a coarse pass; no such steps by default
    #[arg(long, value_name = "SAMPLES", value_parser = clap::value_parser!(u16).range(4..=256))]
    guided: Option<u16>,
    /// Part of the steps that do so
    #[arg(long, default_value_t = 0.5, requires = "guided", value_name = "PART", value_parser = parse_share)]
    guided_share: f32,
    /// Fewest and most source views
    #[arg(long, num_args = 2, value_names = ["MIN", "MAX"], default_values_t = [6, 10])]
    views: Vec<usize>,
    /// Peak learning rate of the transformer
    #[arg(long, default_value_t = 1e-3)]
    rate: f32,
    /// Weight of the loss on depth, where the scenes have exact depth: 0.02 finds geometry quickly, 0.001 is best to
    /// finish with
    #[arg(long, default_value_t = 0.005)]
    depth_weight: f32,
    /// Seed of weights and batches
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Scenes to generate with `--data synth`
    #[arg(long, default_value_t = 200)]
    scenes: usize,
    /// Scene whose first held-out view is rendered at every checkpoint (name or folder)
    #[arg(long, value_name = "SCENE")]
    validate: Option<String>,
    /// Where steps are computed: auto, cpu, cuda or cuda:N; a run can be gone on with on either
    #[arg(long, default_value = "auto")]
    device: Device,
    /// Threads; the result does not depend on it
    #[arg(long)]
    threads: Option<usize>,
    /// Steps between checkpoints
    #[arg(long, default_value_t = 500)]
    save_every: u64,
    /// Steps between lines of the log
    #[arg(long, default_value_t = 50)]
    log_every: u64,
}

fn parse_share(text: &str) -> Result<f32, String> {
    let share = text.parse().ok().filter(|share| (0.0..=1.0).contains(share));
    share.ok_or_else(|| "expected a number from 0 to 1".to_owned())
}

const DATA_FILE: &str = "data.txt";

/// Runs the subcommand.
///
/// # Errors
/// If the data or the run cannot be read, or a file cannot be written.
pub fn run(args: Args) -> anyhow::Result<()> {
    let threads = args.threads.unwrap_or_else(tensor::parallel::available).max(1);
    let (mut run, out, data) = match &args.resume {
        Some(folder) => {
            let stored = std::fs::read_to_string(folder.join(DATA_FILE)).ok();
            let data = args.data.clone().or(stored.map(|s| s.trim().to_owned()));
            let data = data.with_context(|| format!("{}: expected --data, found none stored", folder.display()))?;
            (Run::resume(folder)?, folder.clone(), data)
        }
        None => {
            let (Some(out), Some(data)) = (&args.out, &args.data) else { bail!("expected --out and --data") };
            if out.join(STATE_FILE).exists() {
                bail!("{}: holds a run already; go on with --resume {0}", out.display());
            }
            (start(&args)?, out.clone(), data.clone())
        }
    };
    run = args.device.train_on(run, threads)?;
    std::fs::create_dir_all(&out).with_context(|| out.display().to_string())?;
    let folder = if data == "synth" {
        let folder = out.join("scenes");
        super::synth::generate(&folder, args.scenes, run.state().options.seed)?;
        folder
    } else {
        PathBuf::from(&data)
    };
    std::fs::write(out.join(DATA_FILE), &data).with_context(|| out.join(DATA_FILE).display().to_string())?;
    let dataset = Dataset::open(&folder)?;
    let steps = run.state().options.schedule.steps;
    let until = args.stop_at.map_or(steps, |stop| stop.min(steps));
    let bar = super::progress(until, "steps");
    bar.set_position(run.state().step);
    output::note(format_args!(
        "training on {} scenes, {} parameters, {threads} threads",
        dataset.len(),
        run.model().layout.len()
    ));
    let plan = Plan {
        out: out.clone(),
        until,
        seconds: args.minutes.map(|m| m * 60.0),
        save_every: args.save_every,
        log_every: args.log_every,
        threads,
        validation: args.validate.as_deref().map(validation_scene).transpose()?,
    };
    run.train(&dataset, &plan, |line: &LogLine| {
        bar.set_position(line.step);
        bar.set_message(format!("PSNR {:.2} depth {:.3} {:.3} s/step", line.psnr, line.depth, line.seconds));
    })?;
    bar.finish();
    output::note(format_args!(
        "{} steps done; model in {}",
        run.state().step,
        out.join(train::run::MODEL_FILE).display()
    ));
    Ok(())
}

fn validation_scene(name: &str) -> anyhow::Result<scene::Scene> {
    let folder = scene::locate(name, &[])?;
    Ok(scene::formats::load(&folder, &scene::LoadOptions::default())?)
}

fn start(args: &Args) -> anyhow::Result<Run> {
    let config = match args.config.as_str() {
        "compact" => Config::compact(),
        "full" => Config::official(8),
        file => {
            let text = std::fs::read_to_string(file)
                .with_context(|| format!("{file}: expected compact, full or a JSON file"))?;
            serde_json::from_str(&text).with_context(|| file.to_owned())?
        }
    };
    if args.views[0] < 1 || args.views[0] > args.views[1] {
        bail!("--views: expected MIN from 1 to MAX, found {} {}", args.views[0], args.views[1]);
    }
    let samples = args.samples.unwrap_or(config.samples);
    if !(2..=4096).contains(&samples) || args.rays == 0 {
        bail!("expected 2 to 4096 samples and at least one ray, found {samples} and {}", args.rays);
    }
    let steps = args.steps.unwrap_or(20_000);
    let options = Options {
        seed: args.seed,
        rays: args.rays,
        samples,
        views: (args.views[0], args.views[1]),
        depth_weight: args.depth_weight,
        schedule: Schedule { peak: args.rate, feature_factor: 1.0, warmup: 200, steps },
        average_decay: 0.998,
        clip_norm: 1.0,
        freeze_features: false,
        distillation: Default::default(),
        balance: None,
        form: Default::default(),
        guided: args.guided.map(|samples| train::guided::Guided { samples: samples.into(), share: args.guided_share }),
    };
    let weights = args.from.as_deref().map(Checkpoint::read).transpose()?;
    Ok(Run::start(config, options, weights)?)
}
