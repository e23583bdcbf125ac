//! The beginning of a run: its network, its options and their defaults.

use super::RunArgs;
use crate::cli::training_data::{SYNTH, generate};
use anyhow::{Context, bail};
use gnt::{Config, Head};
use std::path::Path;
use train::data::Dataset;
use train::guided::GuidedSteps;
use train::run::{Run, RunOptions};
use train::schedule::Schedule;

/// Scenes that are generated when no number is given.
const SCENES: u32 = 200;
/// Longest JSON file of a network.
const MOST_CONFIG_BYTES: u64 = 1 << 16;

/// The scenes of a run that generates them, in its folder; those that are missing are made.
pub(super) fn generated(folder: &Path, shape: &RunArgs, seed: u64) -> anyhow::Result<Dataset> {
    generate(folder, shape.scenes.unwrap_or(SCENES), seed)
}

/// A run from the options that are given, and all options with their defaults. Without a number of steps it is as long as the
/// `minutes`, where they are given.
pub(super) fn start(given: &RunArgs, minutes: Option<f64>) -> anyhow::Result<(Run, RunArgs)> {
    let weights = given.from.as_deref().map(gnt::builtin::checkpoint).transpose()?;
    let config = match (given.config.as_deref(), &weights) {
        (None, Some(weights)) => weights.config,
        (None | Some("compact"), _) => Config::compact(),
        (Some("medium"), _) => Config::medium(),
        (Some("full"), _) => Config::official(8),
        (Some(file), _) => {
            let text = scene::file::read_text(Path::new(file), MOST_CONFIG_BYTES)
                .with_context(|| format!("--config {file}: expected compact, medium, full or a JSON file"))?;
            serde_json::from_str(&text).with_context(|| format!("--config {file}"))?
        }
    };
    if given.scenes.is_some() && given.data.as_deref() != Some(SYNTH) {
        bail!(
            "--scenes: expected --data {SYNTH}, whose scenes it counts, found {}",
            given.data.as_deref().unwrap_or_default()
        );
    }
    let name = given.config.as_deref().or(given.from.as_deref()).unwrap_or("compact");
    config.validate().with_context(|| name.to_owned())?;
    if config.head == Head::Mean && given.depth_weight.is_some_and(|weight| weight > 0.0) {
        bail!(
            "--depth-weight: expected a network whose head blends colours, which alone learns from depth, found {name}"
        );
    }
    let views = given.views.clone().unwrap_or_else(|| vec![6, 10]);
    let [least, most] = views[..] else { bail!("--views: expected two numbers, found {}", views.len()) };
    if least > most {
        bail!("--views: expected MIN up to MAX, found {least} {most}");
    }
    let samples = given.samples.map_or(config.samples, usize::from);
    let in_time = minutes.filter(|minutes| *minutes > 0.0 && given.steps.is_none());
    let shape = RunArgs {
        data: given.data.clone(),
        scenes: (given.data.as_deref() == Some(SYNTH)).then(|| given.scenes.unwrap_or(SCENES)),
        config: given.config.clone().or_else(|| given.from.is_none().then(|| "compact".to_owned())),
        from: given.from.clone(),
        steps: given.steps.or_else(|| in_time.is_none().then_some(20_000)),
        in_minutes: in_time,
        rays: Some(given.rays.unwrap_or(512)),
        samples: Some(samples as u16),
        guided: given.guided,
        guided_share: GuidedSteps::of_options(given.guided, given.guided_share).map(|guided| guided.share),
        views: Some(views.clone()),
        rate: Some(given.rate.unwrap_or(1e-3)),
        depth_weight: Some(given.depth_weight.unwrap_or(0.005)),
        seed: Some(given.seed.unwrap_or(0)),
    };
    let options = RunOptions {
        seed: shape.seed.unwrap_or_default(),
        rays: shape.rays.unwrap_or_default() as usize,
        samples,
        views: (least.into(), most.into()),
        depth_weight: shape.depth_weight.unwrap_or_default(),
        schedule: Schedule {
            peak: shape.rate.unwrap_or_default(),
            feature_factor: 1.0,
            warmup: 200,
            steps: shape.steps.unwrap_or(u64::from(u32::MAX)),
        },
        seconds: shape.in_minutes.map(|minutes| 60.0 * minutes),
        average_decay: 0.998,
        clip_norm: 1.0,
        freeze_features: false,
        distillation: Default::default(),
        balance: None,
        hold_routers: false,
        form: Default::default(),
        guided: GuidedSteps::of_options(shape.guided, shape.guided_share),
    };
    Ok((Run::start(config, options, weights)?, shape))
}
