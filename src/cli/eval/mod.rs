//! `shiftray eval`: quality, latency and energy on scenes with held-out photographs.

mod compare;
mod costs;
mod definitions;
mod evaluate;
mod evaluation;
mod merge;
mod models;
mod output;
mod record;
mod score;
mod targets;
mod timing;
mod work;

use super::device::{Device, PrecisionArg};
use super::folder::FolderLock;
use super::guard::Inputs;
use super::numbers;
use super::usage;
use anyhow::Context;
use clap::value_parser;
use eval::report::data::Shard;
use eval::ssim::SsimKind;
use gnt::renderer::Samples;
use std::path::PathBuf;

/// Measure quality, latency and energy on the held-out photographs of scenes.
///
/// Writes metrics.json (all figures, with hashes, commands and versions), report.html (one page that needs no network),
/// the rendered images and a sheet for each. Protocol gnt: LLFF scenes at every second pixel of factor 4 where there are
/// images of that size or larger, else at factor 8; every 8th photograph held out; 10 source views; 192 samples. Blender
/// scenes have their val split (every 8th image, as the GNT script takes it) and test split evaluated apart. All
/// differences from it are recorded. Images are compared as they are saved, in 8 bits.
///
/// Finished images are not rendered again by a second run of the same command. A run with other settings says what differs
/// from the figures that are there, and stops; other metrics are computed of the images that are there.
///
/// With --baseline and no scene, what the baseline holds is evaluated again with its settings. With --merge, parts that
/// --shard made are joined.
#[derive(Clone, Debug, clap::Args)]
#[command(override_usage = "shiftray eval <SCENE>... [OPTIONS]")]
pub struct Args {
    /// Scenes: folders, or names that are looked up in --scenes, SHIFTRAY_SCENES and scenes/
    #[arg(value_name = "SCENE")]
    places: Vec<String>,
    /// A scene, in another way; may be repeated
    #[arg(long = "scene", value_name = "NAME|DIR", required_unless_present_any = ["baseline", "merge", "places"], help_heading = "Scenes and models")]
    scene: Vec<String>,
    /// Folder of scenes; may be repeated
    #[arg(long, value_name = "DIR", help_heading = "Scenes and models")]
    scenes: Vec<PathBuf>,
    /// Model: a built-in name or a file; may be repeated [default: gnt-shiftadd]
    #[arg(long = "model", value_name = "NAME|FILE", help_heading = "Scenes and models")]
    model: Vec<String>,
    /// Folder for the report [default: report; with --baseline, the baseline's folder with -now appended]
    #[arg(short, long, value_name = "DIR", help_heading = "Output")]
    out: Option<PathBuf>,
    /// Which protocol; few-view has cases of 1, 2 and 3 source views
    #[arg(long, value_enum, help_heading = "What is rendered")]
    protocol: Option<Protocol>,
    /// Split of Blender scenes: test or val; may be repeated [default: those that a scene has]
    #[arg(long = "split", value_name = "SPLIT", value_parser = ["test", "val"], help_heading = "What is rendered")]
    split: Vec<String>,
    /// Source views instead of the protocol's; several, as in 1,2,3, make a case each
    #[arg(long, value_delimiter = ',', value_name = "N,..", value_parser = value_parser!(u32).range(1..=1000), help_heading = "What is rendered")]
    views: Vec<u32>,
    /// Samples a ray instead of the protocol's 192: N (even in inverse depth), CELL:COARSE+SAMPLES (guided by a coarse grid
    /// of rays), or auto (as render takes them)
    #[arg(long, value_name = "SAMPLES", help_heading = "What is rendered")]
    samples: Option<Samples>,
    /// Samples of a second pass, placed where the first found something
    #[arg(long, value_parser = value_parser!(u32).range(0..=4096), help_heading = "What is rendered")]
    importance: Option<u32>,
    /// Reduction of the photographs instead of the protocol's, as 8 or 1/8; every pixel is then rendered
    #[arg(long, visible_alias = "factor", value_parser = usage::parse_scale, value_name = "N|1/N", help_heading = "What is rendered")]
    scale: Option<u32>,
    #[command(flatten)]
    reading: super::reading::Reading,
    /// Every how many pixels in x and y are rendered, instead of the protocol's
    #[arg(long, value_parser = value_parser!(u32).range(1..=1024), value_name = "N", help_heading = "What is rendered")]
    stride: Option<u32>,
    /// At most so many held-out images of each split
    #[arg(long, value_parser = value_parser!(u32).range(1..), value_name = "N", help_heading = "What is rendered")]
    images: Option<u32>,
    /// How products are computed [default: auto]
    #[arg(long, help_heading = "What is rendered")]
    precision: Option<PrecisionArg>,
    /// Render each image so often, for its time; a single time may be a chance
    #[arg(long, default_value_t = 1, value_parser = value_parser!(u32).range(1..=1000), value_name = "N", help_heading = "Metrics")]
    repeat: u32,
    /// Which SSIM: gnt, gaussian (scikit-image's, of the paper) or uniform (scikit-image's default)
    #[arg(long, value_parser = parse_ssim, help_heading = "Metrics")]
    ssim: Option<SsimKind>,
    /// LPIPS weights: torchvision's backbone (vgg16-397923af.pth or alexnet-owt-7be5be79.pth) and the package's vgg.pth or
    /// alex.pth
    #[arg(long, num_args = 2, value_names = ["BACKBONE", "LINEAR"], help_heading = "Metrics")]
    lpips: Vec<PathBuf>,
    /// Range of the colours that LPIPS is given: scaled is -1 to 1, as its package expects; gnt is 0 to 1
    #[arg(long, value_enum, default_value = "scaled", help_heading = "Metrics")]
    lpips_range: LpipsRange,
    /// Compare with an earlier metrics.json: exit code 1 past the tolerances
    #[arg(long, value_name = "FILE", help_heading = "Comparison")]
    baseline: Option<PathBuf>,
    /// Largest difference in PSNR, of an image or a mean, in dB
    #[arg(long, default_value_t = 0.1, value_parser = compare::parse_tolerance, value_name = "DB", help_heading = "Comparison")]
    tolerance_psnr: f64,
    /// Largest difference in SSIM, LPIPS and FLIP, of an image or a mean
    #[arg(long, default_value_t = 0.005, value_parser = compare::parse_tolerance, value_name = "X", help_heading = "Comparison")]
    tolerance_likeness: f64,
    /// Largest ratio of the median times, such as 1.2; without it times are printed only
    #[arg(long, value_parser = compare::parse_ratio, value_name = "RATIO", help_heading = "Comparison")]
    tolerance_time: Option<f64>,
    /// Differences to the better do not count
    #[arg(long, help_heading = "Comparison")]
    allow_better: bool,
    /// Evaluate part I of N, from 1/N to N/N
    #[arg(long, value_parser = numbers::parse_shard, value_name = "I/N", conflicts_with = "merge", help_heading = "Parts")]
    shard: Option<Shard>,
    /// Join parts: their folders or metrics.json files
    #[arg(long, num_args = 1.., value_name = "DIR", conflicts_with_all = ["scene", "places"], help_heading = "Parts")]
    merge: Vec<PathBuf>,
    /// Images of each scene in report.html; sheets/ has all
    #[arg(long, default_value_t = 2, value_name = "N", help_heading = "Output")]
    sheets: u32,
    /// Print metrics.json instead of a summary
    #[arg(long, conflicts_with = "markdown", help_heading = "Output")]
    json: bool,
    /// Print Markdown tables instead of a summary
    #[arg(long, help_heading = "Output")]
    markdown: bool,
    /// Say nothing about progress and device
    #[arg(short, long, help_heading = "Output")]
    quiet: bool,
    /// Render images again that are there already, and replace the figures of another run
    #[arg(long, help_heading = "Output")]
    overwrite: bool,
    /// Threads; the images do not depend on it
    #[arg(long, value_parser = value_parser!(u16).range(1..=1024), help_heading = "Machine")]
    threads: Option<u16>,
    /// Where to compute: auto, cpu, cuda or cuda:N
    #[arg(long, default_value = "auto", help_heading = "Machine")]
    device: Device,
}

/// A set of settings by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Protocol {
    /// As the GNT evaluation: 10 source views
    Gnt,
    /// The same with 1, 2 and 3 source views
    FewView,
}

/// Range of the colours that LPIPS is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum LpipsRange {
    /// -1 to 1
    Scaled,
    /// 0 to 1
    Gnt,
}

fn parse_ssim(text: &str) -> Result<SsimKind, String> {
    text.parse().map_err(|e: eval::Error| e.to_string())
}

impl Args {
    fn threads(&self) -> usize {
        self.threads.map_or_else(compute::parallel::available, usize::from).max(1)
    }

    fn precision(&self) -> PrecisionArg {
        self.precision.unwrap_or(PrecisionArg::Auto)
    }

    /// The report's folder, for this process alone, if no file of a scene is in its way.
    ///
    /// # Errors
    /// If one is, or the folder cannot be written to.
    fn take_out(&self, inputs: &[Inputs]) -> anyhow::Result<FolderLock> {
        let out = self.out();
        let check = || inputs.iter().try_for_each(|inputs| inputs.expect_other_folder("--out", &out));
        check()?;
        let lock = FolderLock::take(&out, "eval").context("--out")?;
        // Once more, now that the folder is there: its name may lead through links.
        check()?;
        record::FOLDERS.iter().for_each(|below| lock.remove_leftovers_below(below));
        Ok(lock)
    }

    fn out(&self) -> PathBuf {
        let beside = || self.baseline.as_deref().map(compare::folder_beside);
        self.out.clone().or_else(beside).unwrap_or_else(|| "report".into())
    }
}

/// Evaluates, or merges; reports; and compares.
///
/// # Errors
/// If an input cannot be used, which shows before anything is rendered, a file cannot be read or written, or a figure
/// differs from the baseline's by more than the tolerance.
pub fn run(mut args: Args) -> anyhow::Result<()> {
    args.scene = usage::scenes("eval", &args.places, &args.scene)?.to_vec();
    super::output::be_quiet(args.quiet);
    let baseline = args.baseline.as_deref().map(output::read).transpose()?;
    if let Some(baseline) = &baseline
        && args.scene.is_empty()
        && args.merge.is_empty()
    {
        compare::adopt(&mut args, baseline)?;
    }
    compare::expect_another_folder(&args)?;
    let (metrics, lock) = if args.merge.is_empty() { evaluate::evaluate(&args)? } else { merge::run(&args)? };
    output::write(&args.out(), &metrics, args.sheets)?;
    drop(lock);
    let text = if args.json {
        serde_json::to_string(&metrics)?
    } else if args.markdown {
        eval::report::words::markdown(&metrics)
    } else {
        let page = args.out().join(output::PAGE);
        format!("{}\n{}", eval::report::words::words(&metrics).trim_end(), page.display())
    };
    super::output::line(&text)?;
    match &baseline {
        Some(baseline) => compare::run(&args, &metrics, baseline),
        None => Ok(()),
    }
}
