//! LLFF scenes: `poses_bounds.npy` beside folders of photographs.
//!
//! The file has one row of 17 numbers per photograph, in the order of their names: a row-major 3×5 matrix with the
//! columns down, right, backwards, camera centre and (height, width, focal length) of the full-size image, then the
//! near and far depth. The scene is moved so that the average camera is the origin (x right, y up, z backwards) and
//! scaled so that the nearest bound is 4/3; a bound or pose far from all others takes no part in that. Masks may lie in
//! `masks_8` beside `images_8`, under the photographs' stems.

mod poses;
#[cfg(test)]
mod tests;

use super::folder::ImageFolder;
use super::pictures::{self, Pictures};
use super::{LoadOptions, file_name, masks, photographs_error, split};
use crate::{Format, Result, Scene, SourceOrder, View};
use poses::{Images, Posed, read_rows};
use std::path::Path;

/// The file that tells this format from others.
pub(crate) const POSE_FILE: &str = "poses_bounds.npy";
/// The reduction that GNT's published evaluation works at.
const EVAL_FACTOR: u32 = 4;
/// The one of ready-made downloads without larger images.
const SMALL_EVAL_FACTOR: u32 = 8;

/// The published evaluation's reduction where images of its size exist or can be made from larger ones.
pub(super) fn eval_factor(root: &Path) -> u32 {
    let large = ["images_4", "images_2", "images"].iter().any(|folder| root.join(folder).is_dir());
    if large { EVAL_FACTOR } else { SMALL_EVAL_FACTOR }
}

/// Loads an LLFF scene.
///
/// # Errors
/// [`crate::Error::Io`], `Format` or `Camera` naming the file and row: unreadable files, another number of
/// photographs than poses, photographs of different sizes or of another shape than the rows say, poses that are not
/// orthonormal, bounds that are not `0 < near < far`, or no folder of photographs for the factor. [`crate::Error::Scene`] if a
/// split is asked for that the scene does not have.
pub fn load(root: &Path, options: &LoadOptions) -> Result<Scene> {
    let file = root.join(POSE_FILE);
    let wanted = split::choose(root, options.split, split::of_positions(options.hold_every))?;
    let mut rows = read_rows(&file)?;
    if let Some([near, far]) = options.bounds {
        rows.iter_mut().for_each(|row| (row[15], row[16]) = (near, far));
    }
    let mut warnings = Vec::new();
    let folder = ImageFolder::find(root, options.factor, &mut warnings)?;
    let paths = super::list_images(&folder.path)?;
    if paths.len() != rows.len() {
        let problem = format!(
            "expected one row per image, found {} rows and {} images in {}",
            rows.len(),
            paths.len(),
            folder.path.display()
        );
        return Err(photographs_error(&file, problem));
    }
    let aspects: Vec<_> = rows.iter().map(|row| Some(row[9] / row[4]).filter(|a| a.is_finite() && *a > 0.0)).collect();
    let found = Pictures::survey(&paths, &aspects, &mut warnings)?;
    let stored = found.one_size(&paths)?;
    let size = super::reduced_size(&folder.path, stored, folder.factor / folder.stored_factor)?;
    let names: Vec<String> = paths.iter().map(|p| file_name(p)).collect();
    let images = Images { names: &names, stored, size, folder: &folder };
    let posed = Posed::from_rows(&file, &rows, &images, &mut warnings)?;
    pictures::say_transparent(&found.transparent(&paths), &mut warnings);

    let masks = masks::folder(&folder.path);
    let views: Vec<View> = paths
        .into_iter()
        .zip(posed.cameras)
        .zip(posed.bounds.iter().zip(found.turns))
        .map(|((path, camera), (&[near, far], turn))| View {
            name: super::stem(&path),
            mask: masks::find(&masks, &path),
            path,
            camera,
            near,
            far,
            stored_size: stored,
            turn,
            distortion: None,
        })
        .collect();
    super::warn_degenerate(&views, &mut warnings);
    let (source_ids, held_out) = split::by_position(views.len(), options.hold_every);
    let mut scene = Scene {
        name: super::scene_name(root),
        root: root.to_owned(),
        format: Format::Llff,
        near: 0.0,
        far: 0.0,
        views,
        source_ids,
        held_out,
        split: wanted,
        missing: 0,
        pose_files: vec![file],
        bounds_are_tight: options.bounds.is_none(),
        // The script's stride belongs to images of a quarter of the size.
        eval_stride: if folder.factor == EVAL_FACTOR { 2 } else { 1 },
        scene_from_file: posed.scene_from_file,
        order: SourceOrder::Distance,
        warnings,
    };
    super::leave_out(&mut scene, &posed.strays);
    super::span_views(&mut scene);
    Ok(scene)
}
