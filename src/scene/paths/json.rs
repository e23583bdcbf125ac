//! Camera paths from JSON files.
//!
//! **Poses are in the frame of the loaded scene**: for LLFF scenes after recentring and rescaling (the average camera
//! is the origin, x right, y up, z backwards; the nearest depth bound is 4/3), for Blender scenes as in the files.
//!
//! Our own format lists frames; everything but the pose may be left out and then comes from the first view:
//! ```json
//! {"frames": [{
//!   "name": "left",
//!   "camera_to_world": [[1, 0, 0, -0.5], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]],
//!   "w": 504, "h": 378, "fl_x": 407.6, "fl_y": 407.6, "cx": 252, "cy": 189
//! }]}
//! ```
//! `camera_to_world` has OpenGL axes (x right, y up, z backwards) and is 4×4, or 16 numbers row by row. Lengths are in
//! pixels; with `fl_x` alone pixels are square, and without it the first view's field of view is kept. The camera
//! paths of nerfstudio are read too: `camera_path` with `camera_to_world` (16 numbers) and `fov` (vertical, degrees),
//! beside `render_width` and `render_height`.

use super::{Frame, MAX_FRAMES};
use crate::pose::flip_axes;
use crate::{Camera, Error, Result, Scene};
use glam::{DMat4, Vec2};
use serde::Deserialize;
use std::path::Path;

/// Longest side of a frame.
const MAX_SIDE: u32 = 16_384;

#[derive(Deserialize)]
struct PathFile {
    frames: Option<Vec<JsonFrame>>,
    camera_path: Option<Vec<NerfstudioFrame>>,
    render_width: Option<f64>,
    render_height: Option<f64>,
}

#[derive(Deserialize)]
struct JsonFrame {
    name: Option<String>,
    camera_to_world: Matrix,
    fl_x: Option<f64>,
    fl_y: Option<f64>,
    cx: Option<f64>,
    cy: Option<f64>,
    w: Option<f64>,
    h: Option<f64>,
}

#[derive(Deserialize)]
struct NerfstudioFrame {
    camera_to_world: Matrix,
    fov: Option<f64>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Matrix {
    Rows([[f64; 4]; 4]),
    Flat([f64; 16]),
}

impl Matrix {
    fn rows(&self) -> [[f64; 4]; 4] {
        match self {
            Self::Rows(rows) => *rows,
            Self::Flat(values) => std::array::from_fn(|r| std::array::from_fn(|c| values[4 * r + c])),
        }
    }
}

/// Reads a camera path; see the module for the formats.
///
/// # Errors
/// [`Error::Io`] or [`Error::Format`] if the file cannot be read or has no frames, [`Error::Camera`] naming the frame
/// if its pose or intrinsics cannot be rendered.
pub fn load(path: &Path, scene: &Scene) -> Result<Vec<Frame>> {
    let file: PathFile = crate::formats::read_json(path)?;
    let template = super::template(scene)?;
    let fail = |problem: String| Error::Format { path: path.to_owned(), problem };
    let what = |i: usize| format!("{}: frame {i}", path.display());
    let mut names = Vec::new();
    let mut cameras = Vec::new();
    match (file.frames, file.camera_path) {
        (Some(frames), None) => {
            for (i, frame) in frames.into_iter().enumerate().take(MAX_FRAMES + 1) {
                cameras.push(own_camera(&frame, template, &what(i))?);
                names.push(frame.name);
            }
        }
        (None, Some(frames)) => {
            let (w, h) = (file.render_width, file.render_height);
            for (i, frame) in frames.into_iter().enumerate().take(MAX_FRAMES + 1) {
                cameras.push(nerfstudio_camera(&frame, (w, h), template, &what(i))?);
                names.push(None);
            }
        }
        _ => return Err(fail("expected either \"frames\" or \"camera_path\" (nerfstudio)".into())),
    }
    if cameras.is_empty() || cameras.len() > MAX_FRAMES {
        return Err(fail(format!("expected 1 to {MAX_FRAMES} frames, found {}", cameras.len())));
    }
    let mut frames = super::numbered(cameras);
    let mut seen = std::collections::HashSet::new();
    for (i, (frame, name)) in frames.iter_mut().zip(names).enumerate() {
        if let Some(name) = name {
            frame.name = checked_name(name, &what(i))?;
        }
        // Frames of one name would overwrite each other.
        if !seen.insert(frame.name.clone()) {
            return Err(fail(format!("frame {i}: expected names that differ, found {:?} again", frame.name)));
        }
    }
    Ok(frames)
}

/// A name that is safe as a file stem.
fn checked_name(name: String, what: &str) -> Result<String> {
    let safe = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.');
    if name.is_empty() || name.len() > 100 || name.starts_with('.') || !name.chars().all(safe) {
        let start: String = name.chars().take(40).collect();
        let problem = format!("expected a name of letters, digits, '_', '-' and '.', found {start:?}");
        return Err(Error::Camera { what: what.to_owned(), problem });
    }
    Ok(name)
}

fn own_camera(frame: &JsonFrame, template: Camera, what: &str) -> Result<Camera> {
    let mut camera = sized(template, (frame.w, frame.h), what)?;
    if let Some(fl_x) = frame.fl_x.or(frame.fl_y) {
        camera.focal = Vec2::new(fl_x as f32, frame.fl_y.unwrap_or(fl_x) as f32);
    }
    if let Some(cx) = frame.cx {
        camera.center.x = cx as f32;
    }
    if let Some(cy) = frame.cy {
        camera.center.y = cy as f32;
    }
    posed(camera, &frame.camera_to_world, what)
}

fn nerfstudio_camera(
    frame: &NerfstudioFrame,
    size: (Option<f64>, Option<f64>),
    template: Camera,
    what: &str,
) -> Result<Camera> {
    let mut camera = sized(template, size, what)?;
    if let Some(fov) = frame.fov {
        if !(fov > 0.0 && fov < 180.0) {
            let problem = format!("expected a vertical field of view between 0 and 180 degrees, found {fov}");
            return Err(Error::Camera { what: what.to_owned(), problem });
        }
        let focal = 0.5 * f64::from(camera.height) / (0.5 * fov.to_radians()).tan();
        camera.focal = Vec2::splat(focal as f32);
        camera.center = Vec2::new(camera.width as f32, camera.height as f32) * 0.5;
    }
    posed(camera, &frame.camera_to_world, what)
}

/// The template at another size, each side by default its own.
fn sized(template: Camera, (width, height): (Option<f64>, Option<f64>), what: &str) -> Result<Camera> {
    let side = |value: Option<f64>, default: u32| match value {
        None => Ok(default),
        Some(v) if v >= 1.0 && v <= f64::from(MAX_SIDE) && v.fract() == 0.0 => Ok(v as u32),
        Some(v) => Err(Error::Camera {
            what: what.to_owned(),
            problem: format!("expected an image side of 1 to {MAX_SIDE} pixels, found {v}"),
        }),
    };
    Ok(template.resized(side(width, template.width)?, side(height, template.height)?))
}

/// The camera at a pose in OpenGL axes.
fn posed(mut camera: Camera, matrix: &Matrix, what: &str) -> Result<Camera> {
    let rows = matrix.rows();
    if rows[3].iter().zip([0.0, 0.0, 0.0, 1.0]).any(|(found, expected)| (found - expected).abs() > 1e-6) {
        let problem = format!("expected camera_to_world to end with the row 0 0 0 1, found {:?}", rows[3]);
        return Err(Error::Camera { what: what.to_owned(), problem });
    }
    camera.world_from_camera = flip_axes(DMat4::from_cols_array_2d(&rows).transpose()).as_mat4();
    camera.validate(what)?;
    Ok(camera)
}

#[cfg(test)]
#[path = "json_tests.rs"]
mod tests;
