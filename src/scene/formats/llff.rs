//! LLFF scenes: `poses_bounds.npy` beside folders of photographs.
//!
//! The file has one row of 17 numbers per photograph, in the order of their names: a row-major 3×5 matrix with the
//! columns down, right, backwards, camera centre and (height, width, focal length) of the full-size image, then the
//! near and far depth. The scene is moved so that the average camera is the origin (x right, y up, z backwards) and
//! scaled so that the nearest bound is 4/3; a bound or pose far from all others takes no part in that. Masks may lie in
//! `masks_8` beside `images_8`, under the photographs' stems.

use super::pictures::{self, Pictures};
use super::range::{stray_poses, without_strays};
use super::{LoadOptions, file_name, format_error, masks, npy};
use crate::file::read_limited;
use crate::pose::{Mean, check_rigid, flip_axes};
use crate::{Camera, Error, Format, Result, Scene, Similarity, SourceOrder, View, camera};
use glam::{DMat3, DMat4, DVec2, DVec3, Vec2};
use std::path::{Path, PathBuf};

/// The file that tells this format from others.
pub(super) const POSE_FILE: &str = "poses_bounds.npy";
/// Numbers per row of the pose file.
const COLUMNS: usize = 17;
/// Numbers per row without height, width and focal length, which [`SHINY_FILE`] then has.
const SHINY_COLUMNS: usize = 14;
/// Intrinsics of the Shiny data of NeX.
const SHINY_FILE: &str = "hwf_cxcy.npy";

/// Loads an LLFF scene.
///
/// # Errors
/// [`Error::Io`], [`Error::Format`] or [`Error::Camera`] naming the file and row: unreadable files, another number of
/// photographs than poses, photographs of different sizes or of another shape than the rows say, poses that are not
/// orthonormal, bounds that are not `0 < near < far`, or no folder of photographs for the factor. [`Error::Scene`] if a
/// split is asked for that the scene does not have.
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
    let aspects: Vec<_> = rows.iter().map(|row| Some(row[9] / row[4]).filter(|a| a.is_finite() && *a > 0.0)).collect();
    let found = Pictures::survey(&paths, &aspects, &mut warnings)?;
    let size = super::reduced_size(&folder.path, found.size, folder.factor / folder.stored_factor)?;
    let names: Vec<String> = paths.iter().map(|p| file_name(p)).collect();
    let images = Images { names: &names, stored: found.size, size, folder: &folder };
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
            stored_size: found.size,
            turn,
            distortion: None,
        })
        .collect();
    super::warn_degenerate(&views, &mut warnings);
    let (source_ids, held_out) = split(views.len(), options.hold_every);
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
        pose_files: vec![file],
        bounds_are_tight: true,
        scene_from_file: posed.scene_from_file,
        order: SourceOrder::Distance,
        warnings,
    };
    super::leave_out(&mut scene, &posed.strays);
    scene.near = scene.views.iter().map(|view| view.near).fold(f32::INFINITY, f32::min);
    scene.far = scene.views.iter().map(|view| view.far).fold(0.0, f32::max);
    Ok(scene)
}

/// Sources and held-out views: every `hold_every`-th view from 0 is held out; 0 holds none out.
pub fn split(count: usize, hold_every: usize) -> (Vec<usize>, Vec<usize>) {
    (0..count).partition(|&i| hold_every == 0 || i % hold_every != 0)
}

fn read_rows(file: &Path) -> Result<Vec<[f64; COLUMNS]>> {
    let bytes = read_limited(file, super::MAX_POSE_BYTES)?;
    let table = npy::parse(&bytes).map_err(|problem| format_error(file, problem))?;
    let shiny = file.with_file_name(SHINY_FILE);
    if table.columns == SHINY_COLUMNS && shiny.exists() {
        let problem = format!(
            "expected N x {COLUMNS} numbers, found {} x {SHINY_COLUMNS} beside {SHINY_FILE}: the Shiny layout of NeX, which is \
             not read. Write its poses and the numbers of {SHINY_FILE} as a transforms.json, which has room for fl_x, \
             fl_y, cx and cy",
            table.rows
        );
        return Err(format_error(file, problem));
    }
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
            let factor = found.ok_or_else(|| {
                let other = (1..=super::MAX_FACTOR).find(|&f| named(f).is_dir());
                let hint = other.map_or_else(String::new, |f| format!("; --factor {f} reads {}", file_name(&named(f))));
                missing(root, "images_8, images_4 or images", &hint)
            })?;
            return Ok(Self { path: named(factor), stored_factor: factor, factor });
        };
        let stored = (1..=factor).rev().filter(|f| factor.is_multiple_of(*f)).find(|&f| named(f).is_dir());
        let wanted = file_name(&named(factor));
        let stored_factor =
            stored.ok_or_else(|| missing(root, &format!("{wanted}, or a larger size to reduce from"), ""))?;
        let path = named(stored_factor);
        if stored_factor != factor {
            let (by, from) = (factor / stored_factor, file_name(&path));
            warnings.push(format!("{wanted} is missing: the images in {from} are reduced by {by} while loading"));
        }
        Ok(Self { path, stored_factor, factor })
    }
}

/// Error for a missing image folder that names those that exist.
fn missing(root: &Path, expected: &str, hint: &str) -> Error {
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
    format_error(root, format!("expected {expected}, found {found}{hint}"))
}

/// The photographs that rows are for.
struct Images<'a> {
    names: &'a [String],
    /// Size of the stored pictures, and that of the cameras.
    stored: (u32, u32),
    size: (u32, u32),
    folder: &'a ImageFolder,
}

/// Cameras in the scene's frame and their scaled depth bounds.
struct Posed {
    cameras: Vec<Camera>,
    bounds: Vec<[f32; 2]>,
    scene_from_file: Similarity,
    /// Rows that are not to be used.
    strays: Vec<usize>,
}

impl Posed {
    fn from_rows(file: &Path, rows: &[[f64; COLUMNS]], images: &Images, warnings: &mut Vec<String>) -> Result<Self> {
        let name = |i: usize| images.names.get(i).map_or("no image", |name| name);
        let what = |i: usize| format!("{}: row {i} ({})", file.display(), name(i));
        let mut poses = Vec::with_capacity(rows.len());
        for (i, row) in rows.iter().enumerate() {
            let fail = |problem: String| Error::Camera { what: what(i), problem };
            poses.push(pose(row).map_err(fail)?);
            if !(row[14] > 0.0 && row[14].is_finite()) {
                return Err(fail(format!("expected a positive focal length, found {}", row[14])));
            }
            let (near, far) = (row[15] as f32, row[16] as f32);
            if !(near > 0.0 && near < far && far.is_finite()) {
                return Err(fail(format!("expected bounds 0 < near < far, found {} and {}", row[15], row[16])));
            }
        }
        let focals = focals(rows, images, &what, warnings)?;

        let strays = stray_poses(&poses, &what, warnings);
        let kept: Vec<usize> = (0..rows.len()).filter(|i| !strays.contains(i)).collect();
        let limits = [15, 16].map(|column| without_strays(kept.iter().map(|&i| rows[i][column])));
        let nearest = limits[0][0] as f32;
        let scale = 1.0 / (f64::from(nearest) * 0.75);
        let bound = |i: usize, column: usize| {
            let [low, high] = limits[column - 15];
            rows[i][column].clamp(if column == 15 { low } else { 0.0 }, if column == 16 { high } else { f64::INFINITY })
        };
        for &i in &kept {
            for (column, name) in [(15, "near"), (16, "far")] {
                if bound(i, column) != rows[i][column] {
                    let (found, used) = (rows[i][column], bound(i, column));
                    warnings.push(format!(
                        "{}: its {name} bound of {found} is far from those of all other rows, so that {used} is used",
                        what(i)
                    ));
                }
            }
        }
        let bounds: Vec<[f32; 2]> =
            (0..rows.len()).map(|i| [15, 16].map(|c| (f64::from(bound(i, c) as f32) * scale) as f32)).collect();
        let used: Vec<DMat4> = kept.iter().map(|&i| poses[i]).collect();
        let average = Mean::of(&used).pose().unwrap_or_else(|| {
            warnings.push("the cameras look all ways, so the first one is taken as the average".to_owned());
            used[0]
        });
        let scene_from_file = Similarity::recentre(average, scale);
        let (width, height) = images.size;
        let mut cameras = Vec::with_capacity(rows.len());
        for (i, (focal, pose)) in focals.into_iter().zip(&poses).enumerate() {
            let camera = Camera {
                width,
                height,
                focal: Vec2::splat(focal as f32),
                center: camera::middle(width, height),
                world_from_camera: flip_axes(scene_from_file.pose(*pose)).as_mat4(),
            };
            camera.validate(&what(i))?;
            if !(bounds[i][0] < bounds[i][1] && bounds[i][1].is_finite()) {
                let problem = format!("expected bounds of one magnitude, found {} and {}", rows[i][15], rows[i][16]);
                return Err(Error::Camera { what: what(i), problem });
            }
            cameras.push(camera);
        }
        Ok(Self { cameras, bounds, scene_from_file, strays })
    }
}

/// The pose of a row in OpenGL axes.
fn pose(row: &[f64; COLUMNS]) -> Result<DMat4, String> {
    let column = |c: usize| DVec3::new(row[c], row[5 + c], row[10 + c]);
    let mut pose = DMat4::from_mat3(DMat3::from_cols(column(1), -column(0), column(2)));
    pose.w_axis = column(3).extend(1.0);
    check_rigid(pose).map(|()| pose)
}

/// Focal length of each row for the images, by one scale for both sides.
fn focals(
    rows: &[[f64; COLUMNS]],
    images: &Images,
    what: &dyn Fn(usize) -> String,
    warnings: &mut Vec<String>,
) -> Result<Vec<f64>> {
    let (stored, factor) = (images.stored, images.folder.factor);
    let by = f64::from(factor / images.folder.stored_factor);
    let mut focals = Vec::with_capacity(rows.len());
    let mut scaled = None;
    for (i, row) in rows.iter().enumerate() {
        let full = DVec2::new(row[9], row[4]);
        let Some(scale) = pictures::scale(stored, full) else {
            let problem = format!(
                "expected photographs in the shape of its width and height of {}x{}, found {}x{}: were they turned, \
                 cropped or stretched after their poses were found?",
                full.x, full.y, stored.0, stored.1
            );
            return Err(Error::Camera { what: what(i), problem });
        };
        let named = 1.0 / f64::from(images.folder.stored_factor);
        // Sizes are rounded to whole pixels; the folder's name is exact where it fits them.
        if (full * named - DVec2::new(stored.0.into(), stored.1.into())).abs().max_element() <= 1.0 {
            focals.push(row[14] / f64::from(factor));
        } else {
            scaled = scaled.or(Some((i, full)));
            focals.push(row[14] * scale / by);
        }
    }
    if let Some((i, full)) = scaled {
        let (folder, (width, height)) = (file_name(&images.folder.path), stored);
        warnings.push(format!(
            "{}: the full size is {}x{}, which images of {width}x{height} in {folder} do not fit by their folder's name; \
             the focal length is scaled with the images instead",
            what(i),
            full.x,
            full.y
        ));
    }
    let (least, most) = focals.iter().fold((f64::INFINITY, 0.0f64), |(a, b), f| (a.min(*f), b.max(*f)));
    if most > 2.0 * least {
        warnings.push(format!("focal lengths differ widely between views: {least:.1} to {most:.1} pixels"));
    }
    Ok(focals)
}

#[cfg(test)]
#[path = "llff_tests.rs"]
mod tests;
