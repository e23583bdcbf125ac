//! The stages of a reparameterisation of a classifier: each replaces some pieces and trains the whole on labelled pictures,
//! with the dense model as teacher of its answers.

use super::{Args, RunArgs};
use crate::cli::folder::FolderLock;
use crate::cli::steps::Steps;
use crate::cli::train::classifier::pictures;
use crate::cli::training_data::{SYNTH, whole_path};
use crate::cli::{hash, kept, output};
use anyhow::{Context, bail};
use layers::feed_forward::experts::latency_shares;
use std::path::{Path, PathBuf};
use std::time::Instant;
use train::classification::{ClassifyOptions, ClassifyRun, ClassifySettings, MODEL_FILE, STATE_FILE, reparam};
use train::reparam::Piece;
use vit::checkpoint::{Checkpoint, Description};
use vit::data::Labelled;

/// Latencies of the experts where none are given: those of the paper's code (ShiftAddViT).
const LATENCIES: [f64; 2] = [6.0, 4.0];

/// Runs the stages on the classifier `dense`, which lies in the bytes of `--model`.
///
/// # Errors
/// If the data cannot be read, a piece does not fit the model, or a file cannot be written.
pub fn run(args: &Args, dense: &Checkpoint, bytes: &[u8], threads: usize) -> anyhow::Result<()> {
    let shape = &args.shape;
    let mut configs = Vec::new();
    let mut config = dense.description.config;
    for (stage, pieces) in &shape.stages.0 {
        // A classifier has no views, which the default of the option names.
        for piece in pieces.iter().filter(|piece| **piece != Piece::View) {
            config = reparam::apply(*piece, config, shape.bits)?;
        }
        config.validate().with_context(|| format!("--stages: {stage}"))?;
        configs.push(config);
    }
    if shape.data == SYNTH {
        bail!("--data: expected labelled pictures to fine-tune a classifier on, found none given");
    }
    let data = pictures(Path::new(&shape.data), &dense.description, threads)?;
    let lock = FolderLock::take(&args.out, "reparam")?;
    kept::expect_maker(&args.out, "shiftray reparam")?;
    let name = super::file_name(&shape.model);
    let model = format!("{name} ({})", &hash::bytes(bytes)[..16]);
    let given = RunArgs { model, data: whole_path(&shape.data), ..shape.clone() };
    match kept::read::<RunArgs>(&args.out)? {
        Some(before) => kept::expect_same(&args.out, &before, &given)?,
        None => kept::write(&args.out, &given)?,
    }
    let started = Instant::now();
    let mut current = dense.clone();
    for (i, ((stage, _), config)) in shape.stages.0.iter().zip(configs).enumerate() {
        let folder = args.out.join(format!("{}-{stage}", i + 1));
        let description = Description { config, ..dense.description.clone() };
        let run = if folder.join(STATE_FILE).exists() {
            let run = ClassifyRun::resume(&folder)?;
            if run.state().description != description {
                bail!("{}: holds a run of another network; choose another --out", folder.display());
            }
            run
        } else {
            let params = reparam::convert(&current, config, &data, shape.seed)?;
            ClassifyRun::start(description, options(shape, &data)?, data.len(), Some(params))?
        };
        let mut run = run.with_teacher(dense)?;
        let left = args.minutes.map(|m| (m * 60.0 - started.elapsed().as_secs_f64()).max(0.0));
        train(&mut run, &data, stage, folder, left, threads)?;
        if run.state().step < run.state().steps() {
            output::note(&format!("stopped at step {} of stage {stage}; the same command goes on", run.state().step));
            return Ok(());
        }
        current = run.checkpoint();
    }
    current.write(&args.out.join(MODEL_FILE))?;
    output::note(&format!("model in {}", args.out.join(MODEL_FILE).display()));
    drop(lock);
    Ok(())
}

/// Options of a stage: as many whole epochs as make the steps that are asked for.
fn options(shape: &RunArgs, data: &Labelled) -> anyhow::Result<ClassifyOptions> {
    let defaults = ClassifyOptions::default();
    let epoch = (data.len() as u64 / u64::from(defaults.batch)).max(1);
    let alpha = latency_shares(shape.alpha.unwrap_or(LATENCIES)).map_err(|e| anyhow::anyhow!("{e}"))?;
    Ok(ClassifyOptions {
        epochs: u32::try_from(shape.steps.div_ceil(epoch))?,
        rate: shape.rate,
        warmup: 0.5,
        balance: Some((alpha, shape.balance)),
        hold_routers: true,
        distillation: 0.5,
        seed: shape.seed,
        ..defaults
    })
}

fn train(
    run: &mut ClassifyRun,
    data: &Labelled,
    stage: &str,
    out: PathBuf,
    seconds: Option<f64>,
    threads: usize,
) -> anyhow::Result<()> {
    let until = run.state().steps();
    let bar = Steps::new(until, run.state().step, "steps");
    let (parameters, count) = (run.model().layout.len(), data.len());
    output::note(&format!("stage {stage}: {parameters} parameters, {count} pictures, {threads} threads"));
    let settings = ClassifySettings { out, until, seconds, save_every: 1, log_every: 50, threads };
    run.train(data, None, &settings, |line| {
        let (loss, accuracy, multiply) = (line.loss, 100.0 * line.accuracy, line.multiply_share);
        bar.set(
            line.step,
            format!("loss {loss:.3}, {accuracy:.1} %, multiply {multiply:.2}, {:.2} s/step", line.seconds),
        );
    })?;
    bar.finish();
    Ok(())
}
