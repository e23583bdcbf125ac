//! COLMAP reconstructions: `cameras`, `images` and `points3D` in binary or text, beside a folder of photographs.
//!
//! Poses are camera-from-world in OpenCV axes (x right, y down, z forward) as a quaternion and a translation; pixels are
//! counted from the image's corner. Every version writes them so: 4.x adds `rigs.bin` and `frames.bin`, which say how
//! cameras are mounted together, and keeps each image's whole pose in `images.bin`, so that nothing is needed of them.
//!
//! All camera models but panoramas are undistorted on load. Depths of the points that each photograph sees tell its near and
//! far bounds, as in LLFF's conversion; the nearest of them becomes 4/3. Of several models the one with most photographs
//! is taken. Photographs without a pose are left out and told.

mod binary;
mod cameras;
mod depths;
mod places;
#[cfg(test)]
mod tests;
mod text;

use super::posed::{self, Photograph, Posed};
use super::{LoadOptions, masks};
use crate::pose::flip_axes;
use crate::{Error, Format, Result, Scene};
use cameras::ModelCamera;
use depths::Depths;
use glam::{DMat4, DQuat, DVec3};
use std::collections::HashMap;
use std::path::{Path, PathBuf};

pub(super) use places::cameras_file as find;

/// What the files of a model say, but for the points.
#[derive(Debug, Default)]
struct Model {
    cameras: HashMap<u32, ModelCamera>,
    images: Vec<ModelImage>,
}

/// A photograph with its pose.
#[derive(Clone, Debug)]
struct ModelImage {
    id: u32,
    camera: u32,
    /// Path below the folder of photographs.
    name: String,
    /// Camera-from-world in OpenCV axes: the quaternion as w, x, y, z.
    rotation: [f64; 4],
    translation: [f64; 3],
}

/// A point with what a bound needs of it.
struct ModelPoint<'a> {
    place: DVec3,
    /// Mean reprojection error in pixels; negative if it was not computed.
    error: f64,
    /// Identifiers of the images that see it.
    seen_by: &'a [u32],
}

impl ModelImage {
    /// Camera-from-world.
    ///
    /// # Errors
    /// Says what was expected and found if the numbers are not finite or the quaternion has no direction.
    fn camera_from_world(&self) -> Result<DMat4, String> {
        let [w, x, y, z] = self.rotation;
        let (rotation, translation) = (DQuat::from_xyzw(x, y, z, w), DVec3::from_array(self.translation));
        let length = rotation.length();
        if !(length.is_finite() && translation.is_finite() && (length - 1.0).abs() < 0.1) {
            return Err(format!(
                "expected a unit quaternion and a finite translation, found {:?} and {:?}",
                self.rotation, self.translation
            ));
        }
        Ok(DMat4::from_rotation_translation(rotation.normalize(), translation))
    }
}

/// Names of COLMAP's camera models.
pub fn model_names() -> Vec<&'static str> {
    cameras::MODELS.iter().map(|(name, _)| *name).collect()
}

/// Loads the COLMAP model in or below the folder `root`.
///
/// # Errors
/// [`Error::Io`], [`Error::Format`] or [`Error::Camera`] naming file and image: files that end early or hold something
/// else, camera models that no flat picture replaces, images without a camera, or no photographs for most of them;
/// otherwise as for all formats, see `posed.rs`.
pub fn load(root: &Path, options: &LoadOptions) -> Result<Scene> {
    let mut warnings = Vec::new();
    let found = places::model(root, &mut warnings)?;
    let Model { cameras, images } = found.read()?;
    if images.is_empty() {
        return Err(super::format_error(&found.images(), "expected photographs with poses, found none"));
    }
    let names: Vec<&str> = images.iter().map(|image| image.name.as_str()).collect();
    let pictures = places::pictures(root, &found.folder, &names, options.factor, &found.images(), &mut warnings)?;
    let mut depths = Depths::of(&images, &found)?;

    let masks_folder = masks::folder(&pictures.folder);
    let (mut photographs, mut missing) = (Vec::with_capacity(images.len()), Vec::new());
    for (image, path) in images.iter().zip(pictures.paths) {
        let what = format!("{}: image {} ({})", found.images().display(), image.id, image.name);
        let bad = |problem: String| Error::Camera { what: what.clone(), problem };
        let Some(camera) = cameras.get(&image.camera) else {
            return Err(bad(format!("expected a camera of the model, found number {}", image.camera)));
        };
        let intrinsics = camera.intrinsics().map_err(bad)?;
        let pose = flip_axes(image.camera_from_world().map_err(bad)?.inverse());
        let Some(path) = path else {
            missing.push(image.name.as_str());
            continue;
        };
        let bounds = depths.bounds(image.id);
        // COLMAP keeps masks under the whole name of the picture with `.png` behind.
        let appended = PathBuf::from(format!("{}.png", masks_folder.join(&image.name).display()));
        let mask = Some(appended).filter(|mask| mask.is_file()).or_else(|| masks::find(&masks_folder, &path));
        photographs.push(Photograph { what, path, mask, pose, intrinsics, bounds });
    }
    if let Some(first) = missing.first() {
        let (count, all) = (missing.len(), images.len());
        let problem = format!("expected the photographs of all {all} images, found {count} missing, such as {first}");
        if 2 * count > all {
            return Err(super::photographs_error(&found.images(), problem));
        }
        warnings.push(format!("{}: {problem}; these are left out", found.images().display()));
    }
    depths.fill(&mut photographs, &mut warnings);
    posed::say_unused(
        &photographs,
        "not among the images of the COLMAP model, so without a pose: not used",
        &mut warnings,
    );
    Posed {
        root,
        format: Format::Colmap,
        pose_files: found.files(),
        photographs,
        missing: missing.len(),
        stored_factor: pictures.stored_factor,
        warnings,
    }
    .into_scene(options)
}
