//! `shiftray finetune`: some minutes of training on one scene's own photographs.

pub mod score;

use super::device::{self, Device};
use super::folder::FolderLock;
use super::guard::Inputs;
use super::one_scene::SceneArgs;
use super::steps::Steps;
use super::{hash, kept, numbers, output, usage};
use anyhow::bail;
use clap::value_parser;
use gnt::checkpoint::Checkpoint;
use gnt::engine::Engine;
use gnt::renderer::Renderer;
use gnt::{Head, Model};
use scene::{FAR_EVAL, Scene};
use score::Score;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use train::data::Dataset;
use train::guided::GuidedSteps;
use train::run::{LOG_FILE, LogLine, MODEL_FILE, MOST_RAYS, Run, RunOptions, RunSettings, STATE_FILE};
use train::schedule::Schedule;

/// Train a model a little further on one scene's own photographs.
///
/// Photographs that are held out for evaluation are neither trained on nor used as sources; where a scene has none, every
/// eighth is left out. PSNR on them is told before and after. The same command goes on where an interrupted one stopped.
/// `render --model DIR/model.safetensors` uses what it makes.
#[derive(Debug, clap::Args)]
#[command(override_usage = "shiftray finetune <SCENE> --out <DIR> [OPTIONS]")]
pub struct Args {
    #[command(flatten)]
    scene: SceneArgs,
    /// Folder of the run, which receives model.safetensors
    #[arg(short, long)]
    out: Option<PathBuf>,
    /// Stop after this many minutes; the same command goes on
    #[arg(long, value_parser = numbers::parse_minutes)]
    minutes: Option<f64>,
    #[command(flatten)]
    shape: Shape,
    /// Where steps are computed: auto, cpu, cuda or cuda:N
    #[arg(long, default_value = "auto")]
    device: Device,
    /// Threads; the result does not depend on it
    #[arg(long, value_parser = value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
    /// Print one JSON object instead of a summary
    #[arg(long)]
    json: bool,
    /// Say nothing about progress and device
    #[arg(short, long)]
    quiet: bool,
}

// What shapes the result; the run's folder keeps it. No doc comment: it would be taken for the help of the command.
#[derive(Clone, Debug, clap::Args, Serialize, Deserialize)]
struct Shape {
    /// Model to start from: a built-in name or a file
    #[arg(long, default_value = "gnt-dense", value_name = "NAME|FILE")]
    model: String,
    /// Reduction of the photographs that is trained on, as 8 or 1/8
    #[arg(long, visible_alias = "scale", value_parser = usage::parse_scale, value_name = "N|1/N")]
    factor: Option<u32>,
    /// Steps of the whole run
    #[arg(long, default_value_t = 300, value_parser = numbers::parse_steps)]
    steps: u64,
    /// Rays a step
    #[arg(long, default_value_t = 600, value_parser = value_parser!(u32).range(1..=MOST_RAYS as i64))]
    rays: u32,
    /// Peak learning rate
    #[arg(long, default_value_t = 3e-4, value_parser = numbers::parse_rate)]
    rate: f32,
    /// Seed of batches
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Hash of the scene's files and of the model, so that a folder is not gone on with for others.
    #[arg(skip)]
    finetuned: String,
}

/// Fewest source views: one is the target, and its surface is found from the others.
const LEAST_SOURCES: usize = 3;
/// Without held-out photographs, every so many are left out.
const LEAVE_OUT: usize = 8;
/// Samples a ray of guided steps, and their part; the others are even.
const GUIDED: GuidedSteps = GuidedSteps { samples: 16, share: 0.75 };

/// Runs the subcommand.
///
/// # Errors
/// If an input cannot be used, which shows before training, or a file cannot be read or written.
pub fn run(args: Args) -> anyhow::Result<()> {
    let name = args.scene.name("finetune")?;
    let out = args.out.clone().ok_or_else(|| usage::missing_out("finetune", "the folder of the run"))?;
    output::be_quiet(args.quiet);
    let threads = args.threads.map_or_else(compute::parallel::available, usize::from).max(1);
    let mut scene = args.scene.load(name, args.shape.factor)?;
    if scene.held_out.is_empty() {
        leave_out(&mut scene)?;
    }
    if scene.source_ids.len() < LEAST_SOURCES {
        let (root, found) = (scene.root.display(), scene.source_ids.len());
        bail!("{root}: expected at least {LEAST_SOURCES} source views, found {found}");
    }
    let (model, params, model_name) = gnt::builtin::load(&args.shape.model)?;
    let side = model.features.min_size() as u32;
    if scene.size().0.min(scene.size().1) < side {
        let (w, h) = scene.size();
        bail!("{name}: expected at least {side} pixels on each side, which the feature network needs, found {w}x{h}");
    }
    scene.check_images(threads)?;
    let shape = Shape {
        finetuned: [hash::files(&scene.root, &scene::formats::files(&scene))?, hash::model(&model.config, &params)?]
            .join(" "),
        ..args.shape.clone()
    };
    let inputs = Inputs::of(&scene);
    inputs.expect_other_folder("--out", &out)?;
    let _lock = FolderLock::take(&out, "finetune").map_err(|problem| problem.context("--out"))?;
    let run = begin(&out, &shape, &model, &params, threads, args.device)?;
    let until = run.state().options.schedule.steps;
    finish(Work { args: &args, scene, out: &out, run, until, threads, model_name }, model, params)
}

/// Keeps every eighth photograph of a scene that has none for evaluation, beginning with the fifth.
fn leave_out(scene: &mut Scene) -> anyhow::Result<()> {
    let all = std::mem::take(&mut scene.source_ids);
    let out = |i: usize| i % LEAVE_OUT == LEAVE_OUT / 2 || (all.len() <= LEAVE_OUT / 2 && i + 1 == all.len());
    scene.held_out = (0..all.len()).filter(|i| out(*i)).map(|i| all[i]).collect();
    scene.source_ids = (0..all.len()).filter(|i| !out(*i)).map(|i| all[i]).collect();
    output::warn(&format!(
        "{}: no photographs are held out for evaluation; {} of {} are left out of training",
        scene.name,
        scene.held_out.len(),
        all.len()
    ));
    Ok(())
}

/// The run in `out`: that which is there, if it is this one, or a new one.
fn begin(
    out: &Path,
    shape: &Shape,
    model: &Model,
    params: &[f32],
    threads: usize,
    device: Device,
) -> anyhow::Result<Run> {
    if out.join(STATE_FILE).exists() {
        let Some(kept) = kept::read::<Shape>(out)? else {
            bail!("--out {}: holds a run of another command; choose another folder", out.display());
        };
        if kept.finetuned != shape.finetuned {
            bail!(
                "--out {}: holds a run on other photographs or from another model; choose another folder",
                out.display()
            );
        }
        kept::expect_no_other(out, &kept, shape)?;
        return device::train_on(device, Run::resume(out)?, threads);
    }
    kept::expect_maker(out, "shiftray finetune")?;
    for file in [MODEL_FILE, LOG_FILE] {
        if out.join(file).symlink_metadata().is_ok() {
            bail!("--out {}: expected a folder for a new run, found {file} in it", out.display());
        }
    }
    let views = model.config.views;
    let options = RunOptions {
        seed: shape.seed,
        rays: shape.rays as usize,
        samples: model.config.samples,
        views: (views.div_ceil(2).max(2), views.max(2)),
        depth_weight: 0.0,
        seconds: None,
        schedule: Schedule {
            peak: shape.rate,
            feature_factor: 1.0,
            warmup: (shape.steps / 10).clamp(1, 50),
            steps: shape.steps,
        },
        average_decay: 0.98,
        clip_norm: 1.0,
        freeze_features: false,
        distillation: Default::default(),
        balance: None,
        hold_routers: false,
        form: Default::default(),
        guided: (model.config.head == Head::Blend).then_some(GUIDED),
    };
    let run = Run::start(model.config, options, Some(Checkpoint::from_params(&model.config, &model.layout, params)))?;
    let run = device::train_on(device, run, threads)?;
    kept::write(out, shape)?;
    run.state().write(&out.join(STATE_FILE))?;
    Ok(run)
}

/// A run with all that it needs.
struct Work<'a> {
    args: &'a Args,
    scene: Scene,
    out: &'a Path,
    run: Run,
    until: u64,
    threads: usize,
    model_name: String,
}

/// Trains, and tells what it brought.
fn finish(work: Work, model: Model, params: Vec<f32>) -> anyhow::Result<()> {
    let Work { args, scene, out, mut run, until, threads, model_name } = work;
    let mut renderer = Renderer::new(Engine::new(model.clone(), &params), scene.clone());
    output::note(&format!("{}: the model as it is, on the photographs that are left out", scene.name));
    let before = Score::of(&mut renderer, threads)?;
    let surfaces = if model.config.head == Head::Blend {
        output::note("where the photographs' own rays end");
        let settings = score::settings(&scene, &model.config, threads);
        scene
            .source_ids
            .iter()
            .map(|id| Ok((*id, renderer.surface_map(*id, &settings)?)))
            .collect::<gnt::Result<_>>()?
    } else {
        Vec::new()
    };
    drop(renderer);
    let dataset = Dataset::of_capture(scene.clone(), surfaces, scene.depth_range(FAR_EVAL).into())?;
    let bar = Steps::new(until, run.state().step, "steps");
    let settings = RunSettings {
        out: out.to_owned(),
        until,
        seconds: args.minutes.map(|m| m * 60.0),
        save_every: 50,
        log_every: 10,
        threads,
        validation: None,
    };
    run.train(&dataset, &settings, |line: &LogLine| {
        bar.set(line.step, format!("PSNR {:.2} {:.2} s/step", line.psnr, line.seconds));
    })?;
    bar.finish();
    let step = run.state().step;
    let tuned = Engine::new(model, &run.state().average);
    let after = Score::of(&mut Renderer::new(tuned, scene.clone()), threads)?;
    let file = out.join(MODEL_FILE);
    if args.json {
        let report = serde_json::json!({
            "scene": scene.name, "model": model_name, "steps": step, "of_steps": until, "before": before, "after": after,
            "gain_db": after.psnr - before.psnr, "file": file,
        });
        return output::line(&serde_json::to_string(&report)?);
    }
    output::line(&format!(
        "{} on {} photographs that were left out, in dB: {:.2} before, {:.2} after {step} steps ({:+.2}); worst {:.2} and \
         {:.2}\nmodel in {}",
        scene.name,
        before.views.len(),
        before.psnr,
        after.psnr,
        after.psnr - before.psnr,
        before.worst(),
        after.worst(),
        file.display()
    ))?;
    if step < until {
        output::note(&format!("stopped at step {step} of {until}; the same command goes on"));
    }
    Ok(())
}
