//! The pose files of rendered worlds, in every layout that is read: a scene can be handed to other programs, and the same
//! scene in all of them shows that they are read alike.

mod colmap;
mod json;
mod text;

use crate::formats::llff::POSE_FILE;
use crate::{Camera, Error, Format, Result, npy};
use glam::{Mat4, Vec3};
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;

/// What is known of the pictures that were written.
pub(super) struct Written {
    /// Cameras as they are told, in OpenCV axes; each picture has the middle as its principal point.
    pub cameras: Vec<Camera>,
    /// Names of the files of pictures.
    pub names: Vec<String>,
    /// Near and far depth of each view.
    pub bounds: Vec<(f32, f32)>,
    /// Places on surfaces, for layouts with points.
    pub points: Vec<Point>,
}

/// A place on a surface.
pub(super) struct Point {
    pub place: Vec3,
    pub colour: [u8; 3],
    /// The views that see it.
    pub seen_by: Vec<u32>,
}

/// The folder of pictures of a layout.
pub(super) fn picture_folder(format: Format) -> &'static str {
    match format {
        Format::Blender => "train",
        Format::Ibrnet | Format::Record3d => "rgb",
        Format::Polycam => "keyframes/images",
        _ => "images",
    }
}

/// Whether a layout has points.
pub(super) fn has_points(format: Format) -> bool {
    format == Format::Colmap
}

/// Writes the pose files of a layout.
///
/// # Errors
/// [`Error::Io`] if a file cannot be written.
pub(super) fn write(dir: &Path, format: Format, written: &Written) -> Result<()> {
    match format {
        Format::Llff => {
            let rows = written.cameras.iter().zip(&written.bounds).flat_map(|(c, bounds)| pose_bounds_row(c, *bounds));
            write_npy(&dir.join(POSE_FILE), &[written.cameras.len(), 17], &rows.collect::<Vec<f64>>())
        }
        Format::Nex => write_nex(dir, written),
        Format::Colmap => colmap::write(&dir.join("sparse/0"), written),
        Format::Nerfstudio => json::nerfstudio(dir, written),
        Format::Blender => json::blender(dir, written),
        Format::Polycam => json::polycam(dir, written),
        Format::Record3d => json::record3d(dir, written),
        Format::Ibrnet => text::ibrnet(dir, written),
        Format::RealityCapture => text::realitycapture(dir, written),
        Format::Metashape => text::metashape(dir, written),
    }
}

/// A row of `poses_bounds.npy` in LLFF's layout.
pub(super) fn pose_bounds_row(camera: &Camera, (near, far): (f32, f32)) -> [f64; 17] {
    let axis = |i: usize| camera.world_from_camera.col(i).truncate();
    let size = Vec3::new(camera.height as f32, camera.width as f32, camera.focal.x);
    let columns = [axis(1), axis(0), -axis(2), axis(3), size];
    let mut row = [0.0; 17];
    for (c, column) in columns.iter().enumerate() {
        for r in 0..3 {
            row[r * 5 + c] = f64::from(column[r]);
        }
    }
    (row[15], row[16]) = (f64::from(near), f64::from(far));
    row
}

/// The tables of NeX: LLFF's rows without the sizes, which all views share.
fn write_nex(dir: &Path, written: &Written) -> Result<()> {
    let mut rows = Vec::with_capacity(14 * written.cameras.len());
    for (camera, bounds) in written.cameras.iter().zip(&written.bounds) {
        let row = pose_bounds_row(camera, *bounds);
        rows.extend(row.iter().enumerate().filter(|(i, _)| ![4, 9, 14].contains(i)).map(|(_, value)| *value));
    }
    write_npy(&dir.join(POSE_FILE), &[written.cameras.len(), 14], &rows)?;
    let Shared { size: [width, height], focal, center } = shared(written);
    let values = [height, width, focal[0], focal[1], center[0], center[1]];
    write_npy(&dir.join("hwf_cxcy.npy"), &[6, 1], &values)
}

/// Intrinsics of all views, which do not differ; pixels are counted from the image's corner.
struct Shared {
    size: [f64; 2],
    focal: [f64; 2],
    center: [f64; 2],
}

fn shared(written: &Written) -> Shared {
    // Views without a camera are not written.
    let camera = &written.cameras[0];
    Shared {
        size: [camera.width, camera.height].map(f64::from),
        focal: camera.focal.to_array().map(f64::from),
        center: (camera.center + 0.5).to_array().map(f64::from),
    }
}

/// Camera-to-world, row by row, in OpenCV axes or in OpenGL's (y up, z backwards).
fn rows(world_from_camera: Mat4, is_opengl: bool) -> [[f64; 4]; 4] {
    let pose = world_from_camera.as_dmat4();
    let pose = if is_opengl { crate::pose::flip_axes(pose) } else { pose };
    pose.transpose().to_cols_array_2d()
}

/// Writes a text file.
fn write_text(path: &Path, text: &str) -> Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(io(folder))?;
    }
    fs::write(path, text).map_err(io(path))
}

pub(super) fn write_npy<T: npy::Number>(path: &Path, shape: &[usize], values: &[T]) -> Result<()> {
    let mut out = BufWriter::new(File::create(path).map_err(io(path))?);
    npy::write(&mut out, shape, values).map_err(io(path))?;
    out.flush().map_err(io(path))
}

pub(super) fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Error + use<> {
    let path = path.to_owned();
    move |source| Error::Io { path, source }
}
