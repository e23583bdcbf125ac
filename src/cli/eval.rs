//! `shiftray eval`: quality, latency and energy on scenes with held-out photographs.

mod compare;
mod costs;
mod hash;
mod machine;
mod merge;
mod output;
mod plan;
mod record;
mod score;
mod work;

use super::device::{Device, PrecisionArg};
use clap::value_parser;
use eval::report::data::{Metrics, Shard};
use eval::ssim::SsimKind;
use std::path::PathBuf;

/// Measure quality, latency and energy on the held-out photographs of scenes.
///
/// Writes metrics.json (all figures, with hashes, commands and versions), report.html (one page that needs no network),
/// the rendered images and a sheet for each. Protocol gnt: LLFF scenes at every second pixel of factor 4 where there are
/// images of that size or larger, else at factor 8; every 8th photograph held out; 10 source views; 192 samples. Blender
/// scenes have their val split (every 8th image, as the GNT script takes it) and test split evaluated apart. All
/// differences from it are recorded. Images are compared as they are saved, in 8 bits. Finished images are not rendered
/// again by a second run of the same command.
///
/// With --baseline and no --scene, what the baseline holds is evaluated again with its settings. With --merge, parts that
/// --shard made are joined.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Scene: a folder, or a name that is looked up in --scenes, SHIFTRAY_SCENES and scenes/; may be repeated
    #[arg(long = "scene", value_name = "NAME|DIR", required_unless_present_any = ["baseline", "merge"])]
    scene: Vec<String>,
    /// Folder of scenes; may be repeated
    #[arg(long, value_name = "DIR")]
    scenes: Vec<PathBuf>,
    /// Model: a built-in name or a file; may be repeated [default: gnt-shiftadd]
    #[arg(long = "model", value_name = "NAME|FILE")]
    model: Vec<String>,
    /// Folder for the report [default: report; with --baseline, the baseline's folder with -now appended]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Which protocol; few-view has cases of 1, 2 and 3 source views
    #[arg(long, value_enum)]
    protocol: Option<Protocol>,
    /// Split of Blender scenes: test or val; may be repeated [default: those that a scene has]
    #[arg(long = "split", value_name = "SPLIT", value_parser = ["test", "val"])]
    split: Vec<String>,
    /// Source views instead of the protocol's; several, as in 1,2,3, make a case each
    #[arg(long, value_delimiter = ',', value_name = "N,..", value_parser = value_parser!(u32).range(1..=1000))]
    views: Vec<u32>,
    /// Samples a ray instead of the protocol's 192
    #[arg(long, value_parser = value_parser!(u32).range(2..=4096))]
    samples: Option<u32>,
    /// Samples of a second pass, placed where the first found something
    #[arg(long, value_parser = value_parser!(u32).range(0..=4096))]
    importance: Option<u32>,
    /// Reduction of the photographs instead of the protocol's, as 8 or 1/8; every pixel is then rendered
    #[arg(long, visible_alias = "factor", value_parser = parse_scale, value_name = "N|1/N")]
    scale: Option<u32>,
    /// Every how many pixels in x and y are rendered, instead of the protocol's
    #[arg(long, value_parser = value_parser!(u32).range(1..=1024), value_name = "N")]
    stride: Option<u32>,
    /// At most so many held-out images of each split
    #[arg(long, value_parser = value_parser!(u32).range(1..), value_name = "N")]
    images: Option<u32>,
    /// Render each image so often, for its time; a single time may be a chance
    #[arg(long, default_value_t = 1, value_parser = value_parser!(u32).range(1..=1000), value_name = "N")]
    repeat: u32,
    /// Which SSIM: gnt, gaussian (scikit-image's, of the paper) or uniform (scikit-image's default)
    #[arg(long, value_parser = parse_ssim)]
    ssim: Option<SsimKind>,
    /// LPIPS weights: torchvision's backbone (vgg16-397923af.pth or alexnet-owt-7be5be79.pth) and the package's vgg.pth or
    /// alex.pth
    #[arg(long, num_args = 2, value_names = ["BACKBONE", "LINEAR"])]
    lpips: Vec<PathBuf>,
    /// Range of the colours that LPIPS is given: scaled is -1 to 1, as its package expects; gnt is 0 to 1
    #[arg(long, value_enum, default_value = "scaled")]
    lpips_range: LpipsRange,
    /// Compare with an earlier metrics.json: exit code 1 past the tolerances
    #[arg(long, value_name = "FILE")]
    baseline: Option<PathBuf>,
    /// Largest difference in PSNR, of an image or a mean, in dB
    #[arg(long, default_value_t = 0.1, value_parser = compare::parse_tolerance, value_name = "DB")]
    tolerance_psnr: f64,
    /// Largest difference in SSIM, LPIPS and FLIP, of an image or a mean
    #[arg(long, default_value_t = 0.005, value_parser = compare::parse_tolerance, value_name = "X")]
    tolerance_likeness: f64,
    /// Largest ratio of the median times, such as 1.2; without it times are printed only
    #[arg(long, value_parser = compare::parse_ratio, value_name = "RATIO")]
    tolerance_time: Option<f64>,
    /// Differences to the better do not count
    #[arg(long)]
    allow_better: bool,
    /// Evaluate part I of N, from 1/N to N/N
    #[arg(long, value_parser = parse_shard, value_name = "I/N", conflicts_with = "merge")]
    shard: Option<Shard>,
    /// Join parts: their folders or metrics.json files
    #[arg(long, num_args = 1.., value_name = "DIR", conflicts_with = "scene")]
    merge: Vec<PathBuf>,
    /// Images of each scene in report.html; sheets/ has all
    #[arg(long, default_value_t = 2, value_name = "N")]
    sheets: u32,
    /// Print metrics.json instead of a summary
    #[arg(long, conflicts_with = "markdown")]
    json: bool,
    /// Print Markdown tables instead of a summary
    #[arg(long)]
    markdown: bool,
    /// Render images again that are there already
    #[arg(long)]
    overwrite: bool,
    /// Threads; the images do not depend on it
    #[arg(long, value_parser = value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
    /// How products are computed [default: auto]
    #[arg(long)]
    precision: Option<PrecisionArg>,
    /// Where to compute: auto, cpu, cuda or cuda:N
    #[arg(long, default_value = "auto")]
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

fn parse_scale(text: &str) -> Result<u32, String> {
    let number = text.strip_prefix("1/").unwrap_or(text).parse().ok();
    number.filter(|n| (1..=1024).contains(n)).ok_or_else(|| "expected N or 1/N with N from 1 to 1024".into())
}

fn parse_ssim(text: &str) -> Result<SsimKind, String> {
    text.parse().map_err(|e: eval::Error| e.to_string())
}

fn parse_shard(text: &str) -> Result<Shard, String> {
    let parts = text.split_once('/').and_then(|(i, n)| Some(Shard { index: i.parse().ok()?, count: n.parse().ok()? }));
    let valid = |shard: &Shard| (1..=shard.count).contains(&shard.index);
    parts.filter(valid).ok_or_else(|| "expected I/N with I from 1 to N, such as 1/2".into())
}

impl Args {
    fn threads(&self) -> usize {
        self.threads.map_or_else(tensor::parallel::available, usize::from).max(1)
    }

    fn precision(&self) -> PrecisionArg {
        self.precision.unwrap_or(PrecisionArg::Auto)
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
    let baseline = args.baseline.as_deref().map(output::read).transpose()?;
    if let Some(baseline) = &baseline
        && args.scene.is_empty()
        && args.merge.is_empty()
    {
        compare::adopt(&mut args, baseline)?;
    }
    compare::expect_another_folder(&args)?;
    let metrics: Metrics = if args.merge.is_empty() { work::evaluate(&args)? } else { merge::run(&args)? };
    output::write(&args.out(), &metrics, args.sheets)?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scales_and_shards_are_parsed() {
        assert_eq!((parse_scale("8"), parse_scale("1/4")), (Ok(8), Ok(4)));
        for bad in ["", "0", "1/0", "2/8", "1/", "-4", "0.5", "1025"] {
            assert!(parse_scale(bad).is_err(), "{bad}");
        }
        assert_eq!(parse_shard("31/33"), Ok(Shard { index: 31, count: 33 }));
        for bad in ["", "1", "0/2", "3/2", "1/0", "1/2/3", "-1/2", "a/b"] {
            assert!(parse_shard(bad).unwrap_err().contains("1/2"), "{bad}");
        }
    }
}
