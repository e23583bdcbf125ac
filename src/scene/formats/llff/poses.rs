//! The rows of `poses_bounds.npy`: poses, focal lengths and depth bounds, and the scene's frame that follows from them.

use crate::file::read_limited;
use crate::formats::folder::ImageFolder;
use crate::formats::world::Bounded;
use crate::formats::{MAX_POSE_BYTES, file_name, format_error, nex, pictures};
use crate::npy;
use crate::pose::{check_rigid, flip_axes};
use crate::{Camera, Error, Result, Similarity, camera};
use glam::{DMat3, DMat4, DVec2, DVec3, Vec2};
use std::path::Path;

/// Numbers per row of the pose file.
pub(super) const COLUMNS: usize = 17;
/// Reads the rows of a pose file.
///
/// # Errors
/// [`Error::Io`] or [`Error::Format`] if it is no table of rows with 17 numbers.
pub(super) fn read_rows(file: &Path) -> Result<Vec<[f64; COLUMNS]>> {
    let bytes = read_limited(file, MAX_POSE_BYTES)?;
    let table = npy::parse(&bytes).map_err(|problem| format_error(file, problem))?;
    if table.columns == nex::COLUMNS {
        let problem = format!(
            "expected N x {COLUMNS} numbers, found {} x {}: the layout of NeX and Shiny, which has {} beside it and is read \
             with --format nex",
            table.rows,
            nex::COLUMNS,
            nex::INTRINSICS_FILE
        );
        return Err(format_error(file, problem));
    }
    if table.columns != COLUMNS || table.rows == 0 {
        let problem = format!("expected N x {COLUMNS} numbers, found {} x {}", table.rows, table.columns);
        return Err(format_error(file, problem));
    }
    Ok(table.values.as_chunks().0.to_vec())
}

/// The photographs that rows are for.
pub(super) struct Images<'a> {
    pub names: &'a [String],
    /// Size of the stored pictures, and that of the cameras.
    pub stored: (u32, u32),
    pub size: (u32, u32),
    pub folder: &'a ImageFolder,
}

/// Cameras in the scene's frame and their scaled depth bounds.
pub(super) struct Posed {
    pub cameras: Vec<Camera>,
    pub bounds: Vec<[f32; 2]>,
    pub scene_from_file: Similarity,
    /// Rows that are not to be used.
    pub strays: Vec<usize>,
}

impl Posed {
    /// Poses, focal lengths and bounds of all rows of `file`, one for each of the images.
    ///
    /// # Errors
    /// [`Error::Camera`] or [`Error::Bounds`] naming the row and image with what is wrong with its pose, focal length or bounds.
    pub fn from_rows(
        file: &Path,
        rows: &[[f64; COLUMNS]],
        images: &Images,
        warnings: &mut Vec<String>,
    ) -> Result<Self> {
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
                let problem = format!("expected bounds 0 < near < far, found {} and {}", row[15], row[16]);
                return Err(Error::Bounds { what: what(i), problem });
            }
        }
        let focals = focals(rows, images, &what, warnings)?;

        let pairs: Vec<[f64; 2]> = rows.iter().map(|row| [row[15], row[16]]).collect();
        let Bounded { scene_from_file, bounds, strays } = Bounded::new(&poses, &pairs, &what, warnings);
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
                return Err(Error::Bounds { what: what(i), problem });
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
