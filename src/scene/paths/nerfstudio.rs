//! Camera paths of nerfstudio's viewer: `camera_path` with `camera_to_world` and `fov` (vertical, degrees), beside
//! `render_width` and `render_height`.
//!
//! Their poses are in a world that nerfstudio makes when it loads a scene: turned upright, centred and scaled. The
//! transform to it is in the `dataparser_transforms.json` of the training run.

use super::fields::Fields;
use crate::formats::transforms::SINGLE_FILE;
use crate::json::{self, matrix};
use crate::{Error, Result, Scene, Similarity};
use glam::{DMat3, DMat4, DVec3};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// The file that nerfstudio writes beside a trained model's configuration.
const FILE: &str = "dataparser_transforms.json";

/// From the coordinates of a viewer's path to those of the loaded scene, by `dataparser` or the transform beside the path
/// or in the scene's folder; without one the coordinates of the scene's files are assumed, with a warning.
///
/// # Errors
/// [`Error::Io`] or [`Error::Format`] if a transform is there and cannot be read.
pub(super) fn scene_from_path(
    path: &Path,
    scene: &Scene,
    dataparser: Option<&Path>,
    warnings: &mut Vec<String>,
) -> Result<Similarity> {
    let beside = path.parent().unwrap_or(Path::new("")).join(FILE);
    let found = match dataparser {
        Some(file) => Some(file.to_owned()),
        None => [beside, scene.root.join(FILE)].into_iter().find(|file| file.is_file()),
    };
    let Some(file) = found else {
        warnings.push(format!(
            "{}: no {FILE} beside it or in the scene's folder, nor given by --dataparser: the poses are taken to be in \
             the coordinates of the scene's files (see --path-frame)",
            path.display()
        ));
        return Ok(scene.scene_from_file);
    };
    let path_from_file = read(&file, scene)?;
    Ok(chained(scene.scene_from_file, path_from_file.inverse()))
}

/// The pose of a key frame: `matrix`, as a list or in a string. Old viewers wrote it column by column, later ones row by
/// row; where the translation stands tells which.
pub(super) fn key_pose(fields: &Fields) -> Result<DMat4> {
    const EXPECTED: &str = "expected matrix with 16 numbers of a camera-to-world matrix";
    let found = fields.get("matrix").ok_or_else(|| fields.fail(format!("{EXPECTED}, found none")))?;
    let written = found.as_str().and_then(|text| serde_json::from_str::<Value>(text).ok());
    let numbers = matrix(written.as_ref().unwrap_or(found)).and_then(|numbers| <[f64; 16]>::try_from(numbers).ok());
    let numbers = numbers.ok_or_else(|| fields.fail(format!("{EXPECTED}, found {}", json::kind(found))))?;
    let last_is_one = |at: [usize; 4]| at.iter().zip([0.0, 0.0, 0.0, 1.0]).all(|(i, v)| (numbers[*i] - v).abs() < 1e-4);
    let columns = DMat4::from_cols_array(&numbers);
    match (last_is_one([12, 13, 14, 15]), last_is_one([3, 7, 11, 15])) {
        // At the origin both are there; only the old viewers wrote strings.
        (true, true) if written.is_some() => Ok(columns),
        (true, _) => Ok(columns.transpose()),
        (false, true) => Ok(columns),
        (false, false) => Err(fields.fail(format!("{EXPECTED}, found none with a last row or column of 0 0 0 1"))),
    }
}

/// From the coordinates of the loaded scene to those of nerfstudio's viewer, for a path that is to be written to `path`: by
/// the transform that reading it from there would find. Without one, to the coordinates of the scene's files.
///
/// # Errors
/// [`Error::Io`] or [`Error::Format`] if a transform is there and cannot be read.
pub fn viewer_from_scene(path: &Path, scene: &Scene) -> Result<Similarity> {
    Ok(scene_from_path(path, scene, None, &mut Vec::new())?.inverse())
}

/// First `inner`, then `outer`.
fn chained(outer: Similarity, inner: Similarity) -> Similarity {
    Similarity {
        rotation: outer.rotation * inner.rotation,
        scale: outer.scale * inner.scale,
        translation: outer.point(inner.translation),
    }
}

/// From the coordinates of the scene's files to nerfstudio's: `scale · (transform · point)`.
fn read(file: &Path, scene: &Scene) -> Result<Similarity> {
    let value = Value::Object(json::read(file)?);
    let bad = |problem: &str| Error::Format { path: file.to_owned(), problem: problem.to_owned() };
    let fields = Fields::of(&value, file.display().to_string())?;
    let (rotation, translation) = fields
        .get("transform")
        .and_then(rigid)
        .ok_or_else(|| bad("expected \"transform\" to be a 3x4 matrix that turns and moves"))?;
    let scale = fields.number("scale")?.filter(|scale| *scale > 0.0 && scale.is_finite());
    let scale = scale.ok_or_else(|| bad("expected \"scale\" to be a positive number"))?;
    // nerfstudio's transform begins at the poses before what the `transforms.json` says was applied to them.
    let applied = Applied::of(scene)?;
    let scale = scale / applied.scale;
    let from_original = Similarity { rotation, scale, translation: translation * scale };
    Ok(chained(from_original, applied.file_from_original.inverse()))
}

/// What was done to the poses of a `transforms.json` before they were written there, as far as the file says so.
struct Applied {
    file_from_original: Similarity,
    scale: f64,
}

impl Applied {
    fn of(scene: &Scene) -> Result<Self> {
        let is_transforms = |path: &&PathBuf| path.file_name().is_some_and(|name| name == SINGLE_FILE);
        let Some(path) = scene.pose_files.iter().find(is_transforms) else {
            return Ok(Self { file_from_original: Similarity::IDENTITY, scale: 1.0 });
        };
        let value = Value::Object(json::read(path)?);
        let fields = Fields::of(&value, path.display().to_string())?;
        let scale = match fields.number("applied_scale")? {
            None => 1.0,
            Some(scale) if scale > 0.0 && scale.is_finite() => scale,
            Some(scale) => {
                return Err(fields.fail(format!("expected \"applied_scale\" to be a positive number, found {scale}")));
            }
        };
        let (rotation, translation) = match fields.get("applied_transform") {
            None => (DMat3::IDENTITY, DVec3::ZERO),
            Some(matrix) => rigid(matrix).ok_or_else(|| {
                fields.fail("expected \"applied_transform\" to be a 3x4 matrix that turns and moves, found another")
            })?,
        };
        Ok(Self { file_from_original: Similarity { rotation, scale: 1.0, translation }, scale })
    }
}

/// Rotation and translation of a 3x4 or 4x4 matrix.
fn rigid(value: &Value) -> Option<(DMat3, DVec3)> {
    let n = matrix(value).filter(|n| matches!(n.len(), 12 | 16) && n.iter().all(|v| v.is_finite()))?;
    let rotation = DMat3::from_cols_array(&[n[0], n[4], n[8], n[1], n[5], n[9], n[2], n[6], n[10]]);
    let off = rotation.transpose() * rotation - DMat3::IDENTITY;
    let rigid = off.to_cols_array().iter().all(|v| v.abs() < 1e-3) && rotation.determinant() > 0.0;
    rigid.then(|| (rotation, DVec3::new(n[3], n[7], n[11])))
}

#[cfg(test)]
#[path = "nerfstudio_tests.rs"]
mod tests;
