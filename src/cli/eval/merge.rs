//! Joining the parts that `--shard` made.

use super::record::Files;
use super::{Args, costs, output};
use anyhow::{Context, bail};
use eval::report::data::Metrics;
use eval::report::merge::merge;
use std::path::Path;

/// Reads the parts, joins them, and copies their images and sheets.
///
/// # Errors
/// If a part cannot be read, they do not fit together, or a file cannot be copied.
pub fn run(args: &Args) -> anyhow::Result<Metrics> {
    let mut parts = Vec::new();
    for path in &args.merge {
        parts.push((path.display().to_string(), output::read(path)?));
    }
    let mut metrics = match merge(&parts) {
        Ok(metrics) => metrics,
        Err(problem) => bail!("--merge: {problem}"),
    };
    costs::fill(&mut metrics)?;
    let out = args.out();
    std::fs::create_dir_all(&out).with_context(|| format!("--out {}: cannot be created", out.display()))?;
    let mut absent = 0;
    for (path, (_, part)) in args.merge.iter().zip(&parts) {
        let folder = output::folder(path);
        for case in &part.cases {
            for image in &case.images {
                for file in Files::new(&case.key, &image.name).all() {
                    absent += usize::from(!copy(&folder.join(&file), &out.join(&file))?);
                }
            }
        }
    }
    if absent > 0 {
        eprintln!("warning: {absent} images and sheets are not beside the parts' metrics.json: the report lacks them");
    }
    Ok(metrics)
}

/// Copies a file, whole or not at all; tells whether it was there.
fn copy(from: &Path, to: &Path) -> anyhow::Result<bool> {
    if !from.is_file() {
        return Ok(to.is_file());
    }
    if to.canonicalize().ok() == Some(from.canonicalize().with_context(|| from.display().to_string())?) {
        return Ok(true);
    }
    if let Some(folder) = to.parent() {
        std::fs::create_dir_all(folder).with_context(|| format!("{}: cannot be created", folder.display()))?;
    }
    let bytes = std::fs::read(from).with_context(|| from.display().to_string())?;
    scene::write::write_bytes(to, &bytes)?;
    Ok(true)
}
