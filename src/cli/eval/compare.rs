//! Comparing an evaluation with an earlier one.

use super::{Args, Protocol, output};
use crate::cli::device::PrecisionArg;
use anyhow::{Context, bail};
use clap::ValueEnum;
use eval::report::compare::{Tolerance, compare};
use eval::report::data::Metrics;
use gnt::renderer::Samples;
use std::path::{Path, PathBuf};

/// Reads a tolerance, which is 0 or more.
pub fn parse_tolerance(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|x: &f64| x.is_finite() && *x >= 0.0);
    number.ok_or_else(|| "expected a number of 0 or more".into())
}

/// Reads a ratio, which is 1 or more.
pub fn parse_ratio(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|x: &f64| x.is_finite() && *x >= 1.0);
    number.ok_or_else(|| "expected a number of 1 or more".into())
}

/// Takes scenes, models and settings that the command line does not give from the baseline.
///
/// # Errors
/// If the baseline has settings that this program does not know.
pub fn adopt(args: &mut Args, baseline: &Metrics) -> anyhow::Result<()> {
    let file = args.baseline.clone().unwrap_or_default();
    let bad = |what: &str, found: &str| format!("{}: expected a known {what}, found {found:?}", file.display());
    let settings = &baseline.settings;
    args.scene = baseline.scenes.iter().map(|scene| scene.given.clone()).collect();
    if args.scene.is_empty() {
        bail!("{}: expected at least one scene, found none", file.display());
    }
    if args.model.is_empty() {
        args.model = baseline.models.iter().map(|model| model.given.clone()).collect();
    }
    if args.protocol.is_none() && args.views.is_empty() {
        let known = |_| anyhow::anyhow!(bad("protocol", &settings.protocol));
        args.protocol = Some(Protocol::from_str(&settings.protocol, false).map_err(known)?);
        args.views = settings.views.clone().unwrap_or_default();
    }
    if args.split.is_empty() {
        args.split.clone_from(&settings.splits);
    }
    if args.scale.is_none() && args.stride.is_none() {
        (args.scale, args.stride) = (settings.scale, settings.stride);
    }
    if args.samples.is_none() {
        let guided = settings.guided.as_deref();
        let known = |text: &str| text.parse().ok().with_context(|| bad("way to place samples", text));
        let even = settings.samples.map(|samples| Samples::Even(samples as usize));
        args.samples = guided.map(known).transpose()?.or(even);
    }
    args.importance = args.importance.or(Some(settings.importance));
    args.images = args.images.or(settings.images);
    if args.ssim.is_none() {
        args.ssim = Some(settings.ssim.parse().ok().with_context(|| bad("SSIM", &settings.ssim))?);
    }
    if args.precision.is_none() {
        let known = |_| anyhow::anyhow!(bad("precision", &settings.precision));
        args.precision = Some(PrecisionArg::from_str(&settings.precision, false).map_err(known)?);
    }
    Ok(())
}

/// The baseline's folder with `-now` appended.
pub fn folder_beside(baseline: &Path) -> PathBuf {
    let folder = output::folder(baseline);
    let name = folder.file_name().map_or_else(|| "report".into(), |name| name.to_string_lossy());
    let beside = if folder.file_name().is_some() { folder.parent() } else { None };
    beside.unwrap_or(Path::new("")).join(format!("{name}-now"))
}

/// What is compared must not take the place of what it is compared with.
///
/// # Errors
/// If the report's figures would.
pub fn expect_another_folder(args: &Args) -> anyhow::Result<()> {
    let Some(baseline) = &args.baseline else { return Ok(()) };
    let (old, new) = (output::file(baseline).canonicalize(), args.out().join(output::METRICS).canonicalize());
    if matches!((old, new), (Ok(old), Ok(new)) if old == new) {
        bail!("--out {}: expected another folder than the baseline's, found the same", args.out().display());
    }
    Ok(())
}

/// Prints the differences: to stdout, or to stderr where that has JSON.
///
/// # Errors
/// If one is past its tolerance.
pub fn run(args: &Args, metrics: &Metrics, baseline: &Metrics) -> anyhow::Result<()> {
    let tolerance = Tolerance {
        psnr: args.tolerance_psnr,
        likeness: args.tolerance_likeness,
        time: args.tolerance_time,
        allow_better: args.allow_better,
    };
    let mut found = compare(metrics, baseline, &tolerance);
    for case in &metrics.cases {
        if let Some(before) =
            baseline.cases.iter().find(|before| before.key == case.key && before.guided != case.guided)
        {
            let [now, before] = [case, before].map(|case| case.guided.as_deref().unwrap_or("evenly"));
            let (scene, model) = (&case.key.scene, &case.key.model);
            let what = "samples placed as in the baseline";
            found.failures.push(format!("{model} on {scene}: expected {what}, {before}, found {now}"));
        }
    }
    let words = found.words.trim_end();
    if args.json || args.markdown {
        crate::cli::output::note(words);
    } else {
        crate::cli::output::line(&format!("\n{words}"))?;
    }
    let Tolerance { psnr, likeness, .. } = tolerance;
    if found.failures.is_empty() {
        let text = format!("no difference past {psnr} dB and {likeness} in {} cases", found.compared);
        crate::cli::output::note(&text);
        return Ok(());
    }
    let list: String = found.failures.iter().map(|failure| format!("\n  {failure}")).collect();
    bail!("{} differences from the baseline past {psnr} dB or {likeness}:{list}", found.failures.len())
}
