//! Scenes of NeX and Shiny: `poses_bounds.npy` of 14 columns with `hwf_cxcy.npy`, beside a folder of photographs.
//!
//! A row has a row-major 3×4 camera-to-world matrix with LLFF's columns (down, right, backwards, camera centre), then near
//! and far depth. The other file has height, width, both focal lengths and the principal point, counted from the image's
//! corner, of all photographs, which are in the order of their names.

use super::folder::ImageFolder;
use super::posed::{Intrinsics, Photograph, Posed};
use super::{LoadOptions, MAX_POSE_BYTES, format_error, llff, masks, photographs_error, stray_bounds};
use crate::distortion::Coefficients;
use crate::file::read_limited;
use crate::{Format, Result, Scene, depth, npy};
use glam::{DMat3, DMat4, DVec2, DVec3};
use std::path::{Path, PathBuf};

/// Numbers of a row.
pub(super) const COLUMNS: usize = 14;
/// The file of intrinsics.
pub(super) const INTRINSICS_FILE: &str = "hwf_cxcy.npy";

/// The file of intrinsics, if the poses beside it are of this layout.
pub(super) fn find(root: &Path) -> Option<PathBuf> {
    let (columns, _) = depth::npy_size(&root.join(llff::POSE_FILE))?;
    Some(root.join(INTRINSICS_FILE)).filter(|file| columns == COLUMNS && file.is_file())
}

/// Loads a scene of NeX.
///
/// # Errors
/// [`crate::Error::Io`], `Format` or `Camera` naming file and row: files that are no such tables, or another number of
/// photographs than rows; otherwise as for all formats, see `posed.rs`.
pub fn load(root: &Path, options: &LoadOptions) -> Result<Scene> {
    let (file, intrinsics) = (root.join(llff::POSE_FILE), root.join(INTRINSICS_FILE));
    let read =
        |file: &Path| npy::parse(&read_limited(file, MAX_POSE_BYTES)?).map_err(|problem| format_error(file, problem));
    let table = read(&file)?;
    if table.columns != COLUMNS || table.rows == 0 {
        let problem = format!("expected N x {COLUMNS} numbers, found {} x {}", table.rows, table.columns);
        return Err(format_error(&file, problem));
    }
    let numbers = read(&intrinsics)?;
    let &[height, width, fx, fy, cx, cy] = &numbers.values[..] else {
        let problem = format!(
            "expected height, width, two focal lengths and a principal point, found {} x {} numbers",
            numbers.rows, numbers.columns
        );
        return Err(format_error(&intrinsics, problem));
    };
    let mut warnings = Vec::new();
    let folder = ImageFolder::find(root, options.factor, &mut warnings)?;
    let paths = super::list_images(&folder.path)?;
    if paths.len() != table.rows {
        let (rows, found, folder) = (table.rows, paths.len(), folder.path.display());
        let problem = format!("expected one row per image, found {rows} rows and {found} images in {folder}");
        return Err(photographs_error(&file, problem));
    }
    let intrinsics_of_all = Intrinsics {
        size: Some(DVec2::new(width, height)),
        focal: DVec2::new(fx, fy),
        center: Some(DVec2::new(cx, cy)),
        lens: Coefficients::default().into(),
    };
    let masks = masks::folder(&folder.path);
    let photographs = paths.into_iter().zip(table.values.as_chunks::<COLUMNS>().0).enumerate();
    let photographs = photographs.map(|(i, (path, row))| Photograph {
        what: format!("{}: row {i} ({})", file.display(), super::file_name(&path)),
        mask: masks::find(&masks, &path),
        path,
        pose: pose(row),
        intrinsics: intrinsics_of_all,
        bounds: Some([row[12], row[13]]),
    });
    let mut photographs: Vec<Photograph> = photographs.collect();
    if options.bounds.is_none() {
        stray_bounds::mend(&file.display().to_string(), &mut photographs, &mut warnings);
    }
    let stored_factor = options.factor.map(|_| folder.stored_factor);
    Posed {
        root,
        format: Format::Nex,
        pose_files: vec![file, intrinsics],
        photographs,
        missing: 0,
        stored_factor,
        warnings,
    }
    .into_scene(options)
}

/// The pose of a row in OpenGL axes.
fn pose(row: &[f64; COLUMNS]) -> DMat4 {
    let column = |c: usize| DVec3::new(row[c], row[4 + c], row[8 + c]);
    let mut pose = DMat4::from_mat3(DMat3::from_cols(column(1), -column(0), column(2)));
    pose.w_axis = column(3).extend(1.0);
    pose
}
