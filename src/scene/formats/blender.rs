//! Blender (NeRF-synthetic) scenes: `transforms_{train,test,val}.json` with renderings on a transparent background.
//!
//! Masks may lie in `masks/test/r_0.png` for `test/r_0.png`, or in `masks/r_0.png` if no other image is called so.

use super::{LoadOptions, Split, format_error, masks, split};
use crate::pose::flip_axes;
use crate::{Alpha, Camera, Error, Format, Result, Scene, Similarity, SourceOrder, View};
use glam::{DMat4, Vec2};
use serde::Deserialize;
use std::path::{Path, PathBuf};

/// The file that tells this format from others.
pub(super) const TRAIN_FILE: &str = "transforms_train.json";
/// Every how many validation views one is held out if they are asked for by name, as in GNT's evaluation script.
pub const VAL_EVERY: usize = 8;
/// Depth range of every scene in this format.
const DEPTHS: [f32; 2] = [2.0, 6.0];

#[derive(Deserialize)]
struct TransformsFile {
    camera_angle_x: f64,
    frames: Vec<TransformFrame>,
    // Renderings have no lens; files of photographs in this layout may tell one.
    k1: Option<f64>,
    k2: Option<f64>,
    p1: Option<f64>,
    p2: Option<f64>,
}

#[derive(Deserialize)]
struct TransformFrame {
    file_path: String,
    /// Camera-to-world, row-major, in OpenGL axes.
    transform_matrix: [[f64; 4]; 4],
}

/// The splits whose files exist.
pub(super) fn splits(root: &Path) -> Vec<Split> {
    [Split::Test, Split::Val].into_iter().filter(|split| transforms_file(root, split.name()).exists()).collect()
}

fn transforms_file(root: &Path, name: &str) -> PathBuf {
    root.join(format!("transforms_{name}.json"))
}

/// Loads a Blender scene: training views are sources, test views are held out.
///
/// Validation views are held out if [`LoadOptions::split`] says so, then only every [`VAL_EVERY`]-th from the first is
/// loaded, as in GNT's evaluation; or by default if there are no test views, then all of them.
///
/// # Errors
/// [`Error::Io`], [`Error::Format`] or [`Error::Camera`] naming the file and frame: unreadable or missing files,
/// images of different sizes, poses that are not orthonormal, or a field of view outside 0 to π. [`Error::Scene`] if the
/// split that is asked for is missing.
pub fn load(root: &Path, options: &LoadOptions) -> Result<Scene> {
    let factor = super::check_factor(options.factor.unwrap_or(1))?;
    let mut warnings = Vec::new();
    let wanted = split::choose(root, options.split, &splits(root))?;
    let train = Transforms::read(root, "train")?;
    let held_out = wanted.map(|split| Transforms::read(root, split.name())).transpose()?.map(|mut held_out| {
        if options.split == Some(Split::Val) {
            held_out.frames = held_out.frames.into_iter().step_by(VAL_EVERY).collect();
        }
        held_out
    });
    match (wanted, options.split) {
        (None, _) => warnings.push("no transforms_test.json or transforms_val.json: no view is held out".to_owned()),
        (Some(Split::Val), None) => {
            warnings.push("transforms_test.json is missing: the validation views are held out".to_owned());
        }
        _ => {}
    }
    let num_train = train.frames.len();
    let parts: Vec<Transforms> = [Some(train), held_out].into_iter().flatten().collect();
    for part in parts.iter().filter(|part| part.distorted) {
        let file = part.file.display();
        warnings.push(format!(
            "{file}: lens distortion is left in: only the layout with one transforms.json has it removed"
        ));
    }
    let pose_files = parts.iter().map(|part| part.file.clone()).collect();
    let paths: Vec<PathBuf> = parts.iter().flat_map(|part| part.frames.iter().map(|f| f.path.clone())).collect();
    let stored_size = super::shared_size(&paths)?;
    let size = super::reduced_size(root, stored_size, factor)?;

    let mut masks = masks::find_all(&root.join("masks"), &paths).into_iter();
    let mut views = Vec::with_capacity(paths.len());
    for part in parts {
        for frame in part.frames {
            let camera = camera(&frame.matrix, part.angle, size);
            camera.validate(&format!("{}: frame {} ({})", part.file.display(), frame.index, frame.path.display()))?;
            views.push(View {
                name: super::stem(&frame.path),
                path: frame.path,
                mask: masks.next().flatten(),
                camera,
                near: DEPTHS[0],
                far: DEPTHS[1],
                stored_size,
                distortion: None,
                alpha: Alpha::White,
            });
        }
    }
    super::warn_degenerate(&views, &mut warnings);
    Ok(Scene {
        name: super::scene_name(root),
        root: root.to_owned(),
        format: Format::Blender,
        source_ids: (0..num_train).collect(),
        held_out: (num_train..views.len()).collect(),
        split: wanted,
        pose_files,
        views,
        near: DEPTHS[0],
        far: DEPTHS[1],
        bounds_are_tight: false,
        scene_from_file: Similarity::IDENTITY,
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
struct Transforms {
    file: PathBuf,
    angle: f64,
    /// Whether it tells of a lens that distorts.
    distorted: bool,
    frames: Vec<PosedFrame>,
}

struct PosedFrame {
    /// Position in the file.
    index: usize,
    path: PathBuf,
    matrix: [[f64; 4]; 4],
}

impl Transforms {
    fn read(root: &Path, name: &str) -> Result<Self> {
        let file = transforms_file(root, name);
        let transforms: TransformsFile = super::read_json(&file)?;
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
            Ok(PosedFrame { index: i, path: image_path(root, &frame.file_path), matrix: frame.transform_matrix })
        });
        let frames = frames.collect::<Result<_>>()?;
        let TransformsFile { k1, k2, p1, p2, .. } = transforms;
        let distorted = [k1, k2, p1, p2].into_iter().flatten().any(|coefficient| coefficient != 0.0);
        Ok(Self { file, angle, distorted, frames })
    }
}

/// Path of a frame's image; those without a known extension mean PNG files.
fn image_path(root: &Path, file_path: &str) -> PathBuf {
    let path = root.join(file_path.strip_prefix("./").unwrap_or(file_path));
    if super::is_image_name(&path) {
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
