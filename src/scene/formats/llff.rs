//! LLFF scenes: `poses_bounds.npy` beside folders of photographs.
//!
//! The file has one row of 17 numbers per photograph, in the order of their names: a row-major 3×5 matrix with the
//! columns down, right, backwards, camera centre and (height, width, focal length) of the full-size image, then the
//! near and far depth. The scene is moved so that the average camera is the origin (x right, y up, z backwards) and
//! scaled so that the nearest bound is 4/3. Masks may lie in `masks_8` beside `images_8`, under the photographs' stems.

use super::{LoadOptions, file_name, format_error, masks, npy};
use crate::pose::{Mean, flip_axes};
use crate::{Alpha, Camera, Error, Format, Result, Scene, Similarity, SourceOrder, View};
use glam::{DMat3, DMat4, DVec3, Vec2};
use std::path::{Path, PathBuf};

/// The file that tells this format from others.
pub(super) const POSE_FILE: &str = "poses_bounds.npy";
/// Numbers per row of the pose file.
const COLUMNS: usize = 17;

/// Loads an LLFF scene.
///
/// # Errors
/// [`Error::Io`], [`Error::Format`] or [`Error::Camera`] naming the file and row: unreadable files, another number of
/// photographs than poses, photographs of different sizes, poses that are not orthonormal, bounds that are not
/// `0 < near < far`, or no folder of photographs for the factor. [`Error::Scene`] if a split is asked for that the scene
/// does not have.
pub fn load(root: &Path, options: &LoadOptions) -> Result<Scene> {
    let file = root.join(POSE_FILE);
    let wanted = super::hold_out(root, options)?;
    let rows = read_rows(&file)?;
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
        return Err(format_error(&file, problem));
    }
    let stored_size = super::shared_size(&paths)?;
    let (width, height) = super::reduced_size(&folder.path, stored_size, folder.factor / folder.stored_factor)?;
    let names: Vec<String> = paths.iter().map(|p| file_name(p)).collect();
    let posed = Posed::from_rows(&file, &rows, &names, (width, height), folder.factor, &mut warnings)?;

    let masks = masks::folder(&folder.path);
    let views: Vec<View> = paths
        .into_iter()
        .zip(posed.cameras)
        .zip(&posed.bounds)
        .map(|((path, camera), &[near, far])| View {
            name: super::stem(&path),
            mask: masks::find(&masks, &path),
            path,
            camera,
            near,
            far,
            stored_size,
            distortion: None,
            alpha: Alpha::Ignore,
        })
        .collect();
    super::warn_degenerate(&views, &mut warnings);
    let (source_ids, held_out) = split(views.len(), options.hold_every);
    Ok(Scene {
        name: super::scene_name(root),
        root: root.to_owned(),
        format: Format::Llff,
        near: posed.bounds.iter().map(|b| b[0]).fold(f32::INFINITY, f32::min),
        far: posed.bounds.iter().map(|b| b[1]).fold(0.0, f32::max),
        views,
        source_ids,
        held_out,
        split: wanted,
        pose_files: vec![file],
        bounds_are_tight: true,
        scene_from_file: posed.scene_from_file,
        order: SourceOrder::Distance,
        warnings,
    })
}

/// Sources and held-out views: every `hold_every`-th view from 0 is held out; 0 holds none out.
pub fn split(count: usize, hold_every: usize) -> (Vec<usize>, Vec<usize>) {
    (0..count).partition(|&i| hold_every == 0 || i % hold_every != 0)
}

fn read_rows(file: &Path) -> Result<Vec<[f64; COLUMNS]>> {
    let bytes = super::read_limited(file, super::MAX_POSE_BYTES)?;
    let table = npy::parse(&bytes).map_err(|problem| format_error(file, problem))?;
    if table.columns != COLUMNS || table.rows == 0 {
        let problem = format!("expected N x {COLUMNS} numbers, found {} x {}", table.rows, table.columns);
        return Err(format_error(file, problem));
    }
    Ok(table.values.as_chunks().0.to_vec())
}

/// Where photographs come from and how they are reduced.
struct ImageFolder {
    path: PathBuf,
    /// Reduction of the stored images against the full size.
    stored_factor: u32,
    /// Reduction that is asked for; a multiple of the stored one.
    factor: u32,
}

impl ImageFolder {
    fn find(root: &Path, factor: Option<u32>, warnings: &mut Vec<String>) -> Result<Self> {
        let named = |f: u32| root.join(if f == 1 { "images".to_owned() } else { format!("images_{f}") });
        let Some(factor) = factor.map(super::check_factor).transpose()? else {
            let found = [8, 4, 1].into_iter().find(|&f| named(f).is_dir());
            let factor = found.ok_or_else(|| missing(root, "images_8, images_4 or images"))?;
            return Ok(Self { path: named(factor), stored_factor: factor, factor });
        };
        let stored = (1..=factor).rev().filter(|f| factor.is_multiple_of(*f)).find(|&f| named(f).is_dir());
        let wanted = file_name(&named(factor));
        let stored_factor =
            stored.ok_or_else(|| missing(root, &format!("{wanted}, or a larger size to reduce from")))?;
        let path = named(stored_factor);
        if stored_factor != factor {
            let (by, from) = (factor / stored_factor, file_name(&path));
            warnings.push(format!("{wanted} is missing: the images in {from} are reduced by {by} while loading"));
        }
        Ok(Self { path, stored_factor, factor })
    }
}

/// Error for a missing image folder that names those that exist.
fn missing(root: &Path, expected: &str) -> Error {
    let mut found: Vec<String> = std::fs::read_dir(root)
        .into_iter()
        .flatten()
        .flatten()
        .filter(|e| e.path().is_dir())
        .map(|e| e.file_name().to_string_lossy().into_owned())
        .filter(|name| name.starts_with("images"))
        .take(8)
        .collect();
    found.sort();
    let found = if found.is_empty() { "no image folder".to_owned() } else { found.join(", ") };
    format_error(root, format!("expected {expected}, found {found}"))
}

/// Cameras in the scene's frame and their scaled depth bounds.
struct Posed {
    cameras: Vec<Camera>,
    bounds: Vec<[f32; 2]>,
    scene_from_file: Similarity,
}

impl Posed {
    fn from_rows(
        file: &Path,
        rows: &[[f64; COLUMNS]],
        names: &[String],
        (width, height): (u32, u32),
        factor: u32,
        warnings: &mut Vec<String>,
    ) -> Result<Self> {
        let what = |i: usize| format!("{}: row {i} ({})", file.display(), names.get(i).map_or("no image", |n| n));
        let mut poses = Vec::with_capacity(rows.len());
        let mut intrinsics = Vec::with_capacity(rows.len());
        for (i, row) in rows.iter().enumerate() {
            let camera = raw_camera(row, (width, height), factor);
            camera.0.validate(&what(i))?;
            if row[14] <= 0.0 {
                let problem = format!("expected a positive focal length, found {}", row[14]);
                return Err(Error::Camera { what: what(i), problem });
            }
            let (near, far) = (row[15] as f32, row[16] as f32);
            if !(near > 0.0 && near < far && far.is_finite()) {
                let problem = format!("expected bounds 0 < near < far, found {} and {}", row[15], row[16]);
                return Err(Error::Camera { what: what(i), problem });
            }
            intrinsics.push(camera.0);
            poses.push(camera.1);
        }
        check_focals(rows, (width, height), factor, &mut intrinsics, warnings);

        let nearest = rows.iter().map(|r| r[15] as f32).fold(f32::INFINITY, f32::min);
        let scale = 1.0 / (f64::from(nearest) * 0.75);
        let bounds = rows.iter().map(|r| [15, 16].map(|c| (f64::from(r[c] as f32) * scale) as f32)).collect::<Vec<_>>();
        let average = Mean::of(&poses).pose().unwrap_or_else(|| {
            warnings.push("the cameras look all ways, so the first one is taken as the average".to_owned());
            poses[0]
        });
        let scene_from_file = Similarity::recentre(average, scale);
        for (i, (camera, pose)) in intrinsics.iter_mut().zip(&poses).enumerate() {
            camera.world_from_camera = flip_axes(scene_from_file.pose(*pose)).as_mat4();
            camera.validate(&what(i))?;
            if !bounds[i][1].is_finite() {
                let problem = format!("expected bounds of one magnitude, found a far bound of {}", rows[i][16]);
                return Err(Error::Camera { what: what(i), problem });
            }
        }
        Ok(Self { cameras: intrinsics, bounds, scene_from_file })
    }
}

/// Camera with the pose as stored, and that pose in OpenGL axes, rounded to f32.
fn raw_camera(row: &[f64; COLUMNS], (width, height): (u32, u32), factor: u32) -> (Camera, DMat4) {
    let column = |c: usize| DVec3::new(row[c], row[5 + c], row[10 + c]).as_vec3().as_dvec3();
    let axes = DMat3::from_cols(column(1), -column(0), column(2));
    let mut pose = DMat4::from_mat3(axes);
    pose.w_axis = column(3).extend(1.0);
    let camera = Camera {
        width,
        height,
        focal: Vec2::splat((row[14] / f64::from(factor)) as f32),
        center: Vec2::new(width as f32, height as f32) * 0.5,
        world_from_camera: flip_axes(pose).as_mat4(),
    };
    (camera, pose)
}

/// Compares the pose file's image size with the images, and its focal lengths with each other.
fn check_focals(
    rows: &[[f64; COLUMNS]],
    (width, height): (u32, u32),
    factor: u32,
    cameras: &mut [Camera],
    warnings: &mut Vec<String>,
) {
    // Rounding of odd sizes stays far below this; a wrong folder does not.
    const TOLERANCE: f64 = 0.05;
    let (full_height, full_width) = (rows[0][4], rows[0][9]);
    let ratio = f64::from(width) * f64::from(factor) / full_width;
    if ratio.is_finite() && ratio > 0.0 && (ratio - 1.0).abs() > TOLERANCE {
        warnings.push(format!(
            "images of {width}x{height} at factor {factor} do not fit the full size {full_width}x{full_height} of \
             poses_bounds.npy; the focal length is scaled by the image width instead"
        ));
        cameras.iter_mut().for_each(|c| c.focal *= ratio as f32);
    }
    let focals = cameras.iter().map(|c| c.focal.x.abs());
    let (least, most) = focals.fold((f32::INFINITY, 0.0f32), |(a, b), f| (a.min(f), b.max(f)));
    if most > 2.0 * least {
        warnings.push(format!("focal lengths differ widely between views: {least:.1} to {most:.1} pixels"));
    }
}

#[cfg(test)]
#[path = "llff_tests.rs"]
mod tests;
