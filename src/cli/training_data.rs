//! Scenes that are trained on: found or made, checked, and what of them looks odd.

use super::{output, synth};
use anyhow::{Context, bail};
use std::path::Path;
use train::data::Dataset;

/// The word for procedural scenes in the place of a folder.
pub const SYNTH: &str = "synth";

/// A folder of scenes from the root on, so that a run can be gone on with from anywhere; `synth` stays.
pub fn whole_path(data: &str) -> String {
    let whole = Path::new(data).canonicalize().ok().filter(|_| data != SYNTH);
    whole.and_then(|path| path.to_str().map(str::to_owned)).unwrap_or_else(|| data.to_owned())
}

/// The scenes in `folder`, all with images that the feature network can take. Of fewer than
/// [`MOST_CHECKED`](train::data::MOST_CHECKED) scenes all photographs are read first, so that a broken one shows now and not
/// at some step; of more, that would take too long, and a broken one stops the run, with its state saved.
pub fn open(folder: &Path, side: usize, threads: usize) -> anyhow::Result<Dataset> {
    let dataset = Dataset::open(folder)?;
    dataset.expect_sides(side)?;
    dataset.check_files(threads)?;
    Ok(dataset)
}

/// Most warnings about scenes that are shown.
const MOST_WARNINGS: usize = 20;

/// Shows what looked odd while scenes were loaded, and what of the options finds no use with them.
pub fn warn_of(dataset: &Dataset, validation: Option<&scene::Scene>, views: (usize, usize), guided: bool) {
    let mut warnings = dataset.warnings();
    if let Some(scene) = validation {
        warnings.extend(scene.warnings.iter().map(|warning| format!("{}: {warning}", scene.name)));
    }
    warnings.iter().take(MOST_WARNINGS).for_each(|warning| output::warn(warning));
    if let Some(more @ 1..) = warnings.len().checked_sub(MOST_WARNINGS) {
        output::warn(&format!("and {more} more about the scenes"));
    }
    // One view is the target.
    if let Some((name, count)) = dataset.fewest_views()
        && views.0 >= count
    {
        let (least, most) = views;
        output::warn(&format!(
            "--views {least} {most}: expected scenes with {least} views beside the target, found {name} with {}, and all \
             are taken there",
            count - 1
        ));
    }
    if guided && !dataset.has_depth() {
        output::warn("--guided: expected scenes with exact depth, found none; no step places its samples so");
    }
}

/// Procedural scenes in the run's folder, made as far as they are not there yet.
pub fn generate(folder: &Path, scenes: u32, seed: u64) -> anyhow::Result<Dataset> {
    let folder = folder.join("scenes");
    synth::generate(&folder, scenes, seed)?;
    let dataset = Dataset::open(&folder)?;
    if dataset.len() != scenes as usize {
        bail!("{}: expected the {scenes} scenes of the run, found {}", folder.display(), dataset.len());
    }
    Ok(dataset)
}

/// The scene that a run is validated with, if it can be.
pub fn validation_scene(name: &str, side: usize, threads: usize) -> anyhow::Result<scene::Scene> {
    let folder = scene::locate(name, &[])?;
    let scene = scene::formats::load(&folder, &scene::LoadOptions::default())?;
    if scene.held_out.is_empty() {
        bail!("--validate {name}: expected a scene with a view that is held out, found none");
    }
    if let Some(view) = scene.views.iter().find(|view| (view.camera.width.min(view.camera.height) as usize) < side) {
        let (name, camera) = (&view.name, &view.camera);
        let found = format!("found {}x{} of {name}", camera.width, camera.height);
        bail!("--validate {}: expected at least {side} pixels on each side, {found}", folder.display());
    }
    scene.check_images(threads).with_context(|| format!("--validate {name}"))?;
    Ok(scene)
}
