//! Reading and writing reports.

use super::record::Files;
use anyhow::{Context, bail};
use eval::report::data::{Case, FORMAT, Metrics};
use eval::report::html;
use eval::report::sheet::{Sheet, split};
use scene::view::{Alpha, read_image};
use scene::write::write_bytes;
use std::collections::BTreeSet;
use std::io::Read;
use std::path::{Path, PathBuf};

/// All figures.
pub const METRICS: &str = "metrics.json";
/// The page.
pub const PAGE: &str = "report.html";

/// Largest file of figures that is read.
const MAX_BYTES: u64 = 1 << 30;

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
    let mut bytes = Vec::new();
    let opened = std::fs::File::open(&file).with_context(|| name.clone())?;
    opened.take(MAX_BYTES + 1).read_to_end(&mut bytes).with_context(|| name.clone())?;
    if bytes.len() as u64 > MAX_BYTES {
        bail!("{name}: expected at most {MAX_BYTES} bytes, found more");
    }
    // The format first: another one would only be told as a field that is missing.
    let value: serde_json::Value =
        serde_json::from_slice(&bytes).with_context(|| format!("{name}: expected the JSON of shiftray eval"))?;
    match value.get("format").and_then(|format| format.as_str()) {
        Some(FORMAT) => {}
        found => bail!("{name}: expected the format {FORMAT:?}, found {:?}", found.unwrap_or("none")),
    }
    drop(value);
    serde_json::from_slice(&bytes).with_context(|| format!("{name}: not the expected JSON"))
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
            let file = out.join(Files::new(&case.key, &image.name).sheet());
            let Ok(picture) = read_image(&file, Alpha::Ignore) else { continue };
            let sheet = split(&picture, case.size)
                .and_then(|panels| Sheet::new(case.key.clone(), image.name.clone(), &panels, case.depth_range));
            match sheet {
                Ok(sheet) => sheets.push(sheet),
                Err(problem) => eprintln!("warning: {}: {problem}", file.display()),
            }
        }
    }
    sheets
}
