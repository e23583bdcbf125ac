//! Reading and writing reports.

use super::Args;
use super::record::ImageFiles;
use crate::cli::device::{self, Device};
use crate::cli::machine;
use crate::cli::made::{Made, difference, listed};
use anyhow::{Context, bail};
use eval::report::data::{Case, CaseKey, FORMAT, Metrics, Shard};
use eval::report::html;
use eval::report::sheet::{Sheet, split};
use scene::file::read_limited;
use scene::view::{Alpha, read_image};
use scene::write::write_bytes;
use serde::Deserialize;
use std::collections::{BTreeSet, HashSet};
use std::path::{Path, PathBuf};

pub use crate::cli::own_files::METRICS;
/// File name of the report that people read.
pub const PAGE: &str = "report.html";

/// Largest file of figures that is read: some 30 000 images.
const MAX_BYTES: u64 = 64 << 20;

/// The file of figures that a path means: itself, or the one in the folder of a report.
pub fn file(path: &Path) -> PathBuf {
    if path.is_dir() { path.join(METRICS) } else { path.to_owned() }
}

/// The folder of the report that a path means.
pub fn folder(path: &Path) -> &Path {
    if path.is_dir() { path } else { path.parent().unwrap_or(Path::new("")) }
}

/// Reads figures from a file, or from the folder of a report.
///
/// # Errors
/// If there are none, or they are of another format.
pub fn read(path: &Path) -> anyhow::Result<Metrics> {
    let file = file(path);
    let name = file.display().to_string();
    let bytes = read_limited(&file, MAX_BYTES)?;
    // The format first: another one would only be told as a field that is missing.
    #[derive(Deserialize)]
    struct Header {
        format: Option<String>,
    }
    let header: Header =
        serde_json::from_slice(&bytes).with_context(|| format!("{name}: expected the JSON of shiftray eval"))?;
    match header.format.as_deref() {
        Some(FORMAT) => {}
        found => bail!("{name}: expected the format {FORMAT:?}, found {:?}", found.unwrap_or("none")),
    }
    serde_json::from_slice(&bytes).with_context(|| format!("{name}: not the expected JSON"))
}

/// An image of an evaluation: its case, and its number in the split.
pub type ImageKey = (CaseKey, u32);

/// The images that figures are of.
pub fn images(metrics: &Metrics) -> HashSet<ImageKey> {
    let of = |case: &Case| case.images.iter().map(|image| (case.key.clone(), image.index)).collect::<Vec<_>>();
    metrics.cases.iter().flat_map(of).collect()
}

/// The figures that an earlier run of the same evaluation, or of a part of it, left in the report's folder; `now` has what is
/// to be evaluated, and `images` those of the new figures.
///
/// # Errors
/// If there are figures of another evaluation, or of images that the new ones lack, or a file that cannot be read, and
/// `--overwrite` is not given.
pub fn earlier(args: &Args, now: &Metrics, images: &HashSet<ImageKey>) -> anyhow::Result<Option<Metrics>> {
    const HINT: &str = "choose another folder with --out, or --overwrite replaces them";
    let file = args.out().join(METRICS);
    if !file.exists() {
        return Ok(None);
    }
    let earlier = match read(&file) {
        Err(_) if args.overwrite => return Ok(None),
        read => read.with_context(|| format!("earlier figures cannot be read; {HINT}"))?,
    };
    let mut differences = made_of(now).differences(&made_of(&earlier));
    if let (true, Some(run)) = (now.runs.is_empty(), earlier.runs.last()) {
        let device = device::choose(args.device, args.threads())?;
        // Where auto takes a GPU, the processor may have stepped in for a network that it has no kernels for.
        let stepped_in = args.device == Device::Auto && device.kind() != "cpu";
        let before = if run.device.starts_with("cuda") { "cuda" } else { "cpu" };
        let instructions = compute::isa().name();
        if device.kind() != before && !stepped_in {
            differences.push(difference("device", device.kind(), before));
        } else if before == "cpu" && run.instructions != instructions {
            differences.push(difference("instructions", instructions, &run.instructions));
        }
    }
    let lost = self::images(&earlier).difference(images).count();
    if lost > 0 && differences.is_empty() {
        let part = |shard: Option<Shard>| shard.map_or("the whole".into(), |s| format!("{} of {}", s.index, s.count));
        let before = format!("{}, with figures of {lost} images that would be lost", part(earlier.shard));
        differences.push(difference("part", part(now.shard), before));
    }
    if !args.overwrite && !differences.is_empty() {
        bail!("{}: figures of another run; {HINT}. What differs:{}", file.display(), listed(&differences));
    }
    Ok(Some(earlier))
}

/// What the images of an evaluation follow from. Metrics are not part of it: they are computed anew of images that are there.
fn made_of(metrics: &Metrics) -> Made {
    let set = &metrics.settings;
    let or = |value: Option<u32>| value.map_or_else(|| "the protocol's".to_owned(), |value| value.to_string());
    let list = |values: Vec<String>| if values.is_empty() { "the protocol's".into() } else { values.join(",") };
    let views = set.views.iter().flatten().map(u32::to_string).collect();
    let mut made = match metrics.runs.last() {
        Some(run) => Made::default().with_content("program", format!("shiftray {}", run.version), &run.build),
        None => {
            let program = concat!("shiftray ", env!("CARGO_PKG_VERSION"));
            Made::default().with_content("program", program, machine::short_build())
        }
    };
    made = made
        .with("protocol", &set.protocol)
        .with("splits", list(set.splits.clone()))
        .with("views", list(views))
        .with("samples", set.guided.clone().unwrap_or_else(|| or(set.samples)))
        .with("importance", set.importance)
        .with("scale", or(set.scale))
        .with("stride", or(set.stride))
        .with("images", set.images.map_or_else(|| "all".to_owned(), |images| images.to_string()))
        .with("precision", &set.precision);
    for model in &metrics.models {
        made = made.with_content(&format!("model {}", model.name), &model.given, &model.sha256);
    }
    for scene in &metrics.scenes {
        made = made.with_content(&format!("scene {}", scene.name), &scene.given, &scene.sha256);
    }
    made
}

/// Writes figures and page. In the page are the sheets of the first `count` images of each split of a scene.
///
/// # Errors
/// If a file cannot be written.
pub fn write(out: &Path, metrics: &Metrics, count: u32) -> anyhow::Result<()> {
    let mut json = serde_json::to_vec_pretty(metrics)?;
    json.push(b'\n');
    write_bytes(&out.join(METRICS), &json)?;
    let page = html::page(metrics, &sheets(out, metrics, count as usize));
    Ok(write_bytes(&out.join(PAGE), page.as_bytes())?)
}

/// The sheets that the page shows: the same images of a split by all models. Sheets that are not there are left out.
fn sheets(out: &Path, metrics: &Metrics, count: usize) -> Vec<Sheet> {
    let mut sheets = Vec::new();
    for case in &metrics.cases {
        let same = |other: &&Case| (&other.key.scene, &other.key.split) == (&case.key.scene, &case.key.split);
        let all = metrics.cases.iter().filter(same).flat_map(|other| other.images.iter().map(|image| image.index));
        let shown: Vec<u32> = all.collect::<BTreeSet<u32>>().into_iter().take(count).collect();
        for image in case.images.iter().filter(|image| shown.contains(&image.index)) {
            let Ok(files) = ImageFiles::of(image) else { continue };
            let file = out.join(files.sheet());
            let Ok(picture) = read_image(&file, Alpha::Ignore) else { continue };
            let sheet = split(&picture, case.size)
                .and_then(|panels| Sheet::new(case.key.clone(), image.name.clone(), &panels, case.depth_range));
            match sheet {
                Ok(sheet) => sheets.push(sheet),
                Err(problem) => crate::cli::output::warn(&format!("{}: {problem}", file.display())),
            }
        }
    }
    sheets
}
