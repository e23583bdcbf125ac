//! Joining the parts that `--shard` made.

use super::record::ImageFiles;
use super::{Args, FolderLock, Inputs, costs, output};
use anyhow::{Context, bail};
use eval::report::data::Metrics;
use eval::report::merge::merge;
use std::path::Path;

/// Reads the parts, joins them, and copies their images and sheets. The lock of the report's folder comes with the figures.
///
/// # Errors
/// If a part cannot be read, they do not fit together, an image is not the one that its figures are of, or a file cannot be
/// copied.
pub fn run(args: &Args) -> anyhow::Result<(Metrics, FolderLock)> {
    let mut parts = Vec::new();
    for path in &args.merge {
        parts.push((path.display().to_string(), output::read(path)?));
    }
    let mut metrics = match merge(&parts) {
        Ok(metrics) => metrics,
        Err(problem) => bail!("--merge: {problem}"),
    };
    costs::fill(&mut metrics)?;
    let lock = args.take_out(&[Inputs::default()])?;
    let out = args.out();
    output::earlier(args, &metrics, &output::images(&metrics))?;
    // All images are checked before the first one is copied.
    let mut absent = 0;
    let mut copies = Vec::new();
    for (path, (name, part)) in args.merge.iter().zip(&parts) {
        let folder = output::folder(path);
        for image in part.cases.iter().flat_map(|case| &case.images) {
            let files = ImageFiles::of(image).with_context(|| name.clone())?;
            if !files.expect(folder, image)? {
                files.expect(&out, image)?;
            }
            copies.extend(files.all().map(|file| (folder.join(&file), out.join(&file))));
        }
    }
    for (from, to) in copies {
        absent += usize::from(!copy(&from, &to)?);
    }
    if absent > 0 {
        crate::cli::output::warn(&format!(
            "{absent} images and sheets are not beside the parts' metrics.json: the report lacks them"
        ));
    }
    Ok((metrics, lock))
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
