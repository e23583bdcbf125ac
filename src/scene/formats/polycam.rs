//! Polycam's raw data: `keyframes/cameras/NAME.json` for `keyframes/images/NAME.jpg`.
//!
//! Where Polycam has bettered the poses after the capture, they lie in `corrected_cameras` and `corrected_images`, which go
//! first. A file has `fx`, `fy`, `cx`, `cy`, `width` and `height` in pixels counted from the image's corner, and
//! camera-to-world in the axes of ARKit (OpenGL's: x right, y up, z backwards) as `t_00` to `t_23`, row and column.

use super::posed::{self, Intrinsics, Photograph, Posed};
use super::{LoadOptions, format_error, stem};
use crate::distortion::Coefficients;
use crate::json::{self, number};
use crate::{Error, Format, Result, Scene};
use glam::{DMat4, DVec2, DVec4};
use std::path::{Path, PathBuf};

/// The folders of cameras and pictures, the better ones first.
const FOLDERS: [[&str; 2]; 4] = [
    ["keyframes/corrected_cameras", "keyframes/corrected_images"],
    ["keyframes/cameras", "keyframes/images"],
    ["corrected_cameras", "corrected_images"],
    ["cameras", "images"],
];

/// The folder of cameras.
pub(super) fn find(root: &Path) -> Option<PathBuf> {
    let has_json = |folder: &Path| {
        let mut entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        entries.any(|entry| entry.path().extension().is_some_and(|extension| extension == "json"))
    };
    let pairs = FOLDERS.map(|pair| pair.map(|name| root.join(name)));
    pairs.into_iter().find(|[cameras, images]| images.is_dir() && has_json(cameras)).map(|[cameras, _]| cameras)
}

/// Loads a capture of Polycam.
///
/// # Errors
/// [`Error::Io`], [`Error::Format`] or [`Error::Camera`] naming the file: pictures without a camera, or keys that are
/// missing or no numbers; otherwise as for all formats, see `posed.rs`.
pub fn load(root: &Path, options: &LoadOptions) -> Result<Scene> {
    let cameras = find(root).ok_or_else(|| format_error(root, "expected keyframes/cameras of Polycam, found none"))?;
    let name = super::file_name(&cameras).replace("cameras", "images");
    let paths = super::list_images(&cameras.with_file_name(name))?;
    let (mut photographs, mut files) = (Vec::new(), Vec::new());
    let mut warnings = Vec::new();
    for path in paths {
        let file = cameras.join(format!("{}.json", stem(&path)));
        if !file.is_file() {
            continue;
        }
        let object = json::read(&file)?;
        let bad = |problem: String| Error::Format { path: file.clone(), problem };
        let of = |key: &str| {
            let found = number(&object, key).map_err(bad)?;
            found.ok_or_else(|| bad(format!("expected the number {key}, found none")))
        };
        let row = |r: usize| {
            let at = |c: usize| of(&format!("t_{r}{c}"));
            Ok::<_, Error>(DVec4::new(at(0)?, at(1)?, at(2)?, at(3)?))
        };
        let pose = DMat4::from_cols(row(0)?, row(1)?, row(2)?, DVec4::W).transpose();
        let intrinsics = Intrinsics {
            size: Some(DVec2::new(of("width")?, of("height")?)),
            focal: DVec2::new(of("fx")?, of("fy")?),
            center: Some(DVec2::new(of("cx")?, of("cy")?)),
            lens: Coefficients::default().into(),
        };
        let what = file.display().to_string();
        photographs.push(Photograph { what, path, mask: None, pose, intrinsics, bounds: None });
        files.push(file);
    }
    if files.is_empty() {
        return Err(format_error(&cameras, "expected a camera for each picture, found none of the same name"));
    }
    posed::say_unused(&photographs, "without a camera of the same name: not used", &mut warnings);
    let posed = Posed {
        root,
        format: Format::Polycam,
        pose_files: files,
        photographs,
        missing: 0,
        stored_factor: None,
        warnings,
    };
    posed.into_scene(options)
}
