//! Blender (NeRF-synthetic) scenes: `transforms_{train,test,val}.json` with renderings on a transparent background.

use super::{LoadOptions, format_error};
use crate::pose::flip_axes;
use crate::{Alpha, Camera, Error, Result, Scene, SceneKind, SourceOrder, View};
use glam::{DMat4, Vec2};
use serde::Deserialize;
use std::path::{Path, PathBuf};

/// Depth range of every scene in this format.
const DEPTHS: [f32; 2] = [2.0, 6.0];

#[derive(Deserialize)]
struct Transforms {
    camera_angle_x: f64,
    frames: Vec<TransformFrame>,
}

#[derive(Deserialize)]
struct TransformFrame {
    file_path: String,
    /// Camera-to-world, row-major, in OpenGL axes.
    transform_matrix: [[f64; 4]; 4],
}

/// Loads a Blender scene: training views are sources, test views are held out (validation views if there are no test
/// views).
///
/// # Errors
/// [`Error::Io`], [`Error::Format`] or [`Error::Camera`] naming the file and frame: unreadable or missing files,
/// images of different sizes, poses that are not orthonormal, or a field of view outside 0 to π.
pub fn load(root: &Path, options: &LoadOptions) -> Result<Scene> {
    let factor = super::check_factor(options.factor.unwrap_or(1))?;
    let mut warnings = Vec::new();
    let train = Split::read(root, "train")?;
    let held_out = match ["test", "val"].into_iter().find(|s| root.join(format!("transforms_{s}.json")).exists()) {
        Some(name) => {
            if name == "val" {
                warnings.push("transforms_test.json is missing: the validation views are held out".to_owned());
            }
            Some(Split::read(root, name)?)
        }
        None => {
            warnings.push("no transforms_test.json or transforms_val.json: no view is held out".to_owned());
            None
        }
    };
    let num_train = train.frames.len();
    let splits: Vec<Split> = [Some(train), held_out].into_iter().flatten().collect();
    let paths: Vec<PathBuf> = splits.iter().flat_map(|s| s.frames.iter().map(|f| f.path.clone())).collect();
    let stored_size = super::shared_size(&paths)?;
    let size = super::reduced_size(root, stored_size, factor)?;

    let mut views = Vec::with_capacity(paths.len());
    for split in splits {
        for (i, frame) in split.frames.into_iter().enumerate() {
            let camera = camera(&frame.matrix, split.angle, size);
            camera.validate(&format!("{}: frame {i} ({})", split.file.display(), frame.path.display()))?;
            views.push(View {
                name: super::stem(&frame.path),
                path: frame.path,
                camera,
                near: DEPTHS[0],
                far: DEPTHS[1],
                stored_size,
                alpha: Alpha::White,
            });
        }
    }
    super::warn_degenerate(&views, &mut warnings);
    Ok(Scene {
        name: super::scene_name(root),
        root: root.to_owned(),
        kind: SceneKind::Blender,
        source_ids: (0..num_train).collect(),
        held_out: (num_train..views.len()).collect(),
        views,
        near: DEPTHS[0],
        far: DEPTHS[1],
        scale: 1.0,
        order: SourceOrder::Direction,
        warnings,
    })
}

/// Camera of a frame; `angle` is the horizontal field of view in radians.
fn camera(matrix: &[[f64; 4]; 4], angle: f64, (width, height): (u32, u32)) -> Camera {
    let focal = 0.5 * f64::from(width) / (0.5 * angle).tan();
    let pose = DMat4::from_cols_array_2d(matrix).transpose();
    Camera {
        width,
        height,
        focal: Vec2::splat(focal as f32),
        center: Vec2::new(width as f32, height as f32) * 0.5,
        world_from_camera: flip_axes(pose).as_mat4(),
    }
}

/// One of the JSON files.
struct Split {
    file: PathBuf,
    angle: f64,
    frames: Vec<SplitFrame>,
}

struct SplitFrame {
    path: PathBuf,
    matrix: [[f64; 4]; 4],
}

impl Split {
    fn read(root: &Path, name: &str) -> Result<Self> {
        let file = root.join(format!("transforms_{name}.json"));
        let transforms: Transforms = super::read_json(&file)?;
        let angle = transforms.camera_angle_x;
        if !(angle > 0.0 && angle < std::f64::consts::PI) {
            return Err(format_error(&file, format!("expected camera_angle_x between 0 and π, found {angle}")));
        }
        if transforms.frames.is_empty() {
            return Err(format_error(&file, "expected at least one frame, found none"));
        }
        let frames = transforms.frames.into_iter().enumerate().map(|(i, frame)| {
            if frame.transform_matrix[3] != [0.0, 0.0, 0.0, 1.0] {
                let problem = format!("expected the last row 0 0 0 1, found {:?}", frame.transform_matrix[3]);
                return Err(Error::Camera { what: format!("{}: frame {i}", file.display()), problem });
            }
            Ok(SplitFrame { path: image_path(root, &frame.file_path), matrix: frame.transform_matrix })
        });
        let frames = frames.collect::<Result<_>>()?;
        Ok(Self { file, angle, frames })
    }
}

/// Path of a frame's image; those without a known extension mean PNG files.
fn image_path(root: &Path, file_path: &str) -> PathBuf {
    let path = root.join(file_path.strip_prefix("./").unwrap_or(file_path));
    let extension = path.extension().map(|e| e.to_string_lossy().to_lowercase());
    if matches!(extension.as_deref(), Some("png" | "jpg" | "jpeg")) {
        return path;
    }
    // Appended rather than set: names such as `r_0.5` have a point of their own.
    let mut name = path.into_os_string();
    name.push(".png");
    name.into()
}

#[cfg(test)]
#[path = "blender_tests.rs"]
mod tests;
