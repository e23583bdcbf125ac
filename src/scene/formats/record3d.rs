//! Record3D's export: `metadata.json` beside `rgb/0.jpg`, `rgb/1.jpg` and so on.
//!
//! The file has `poses`, a quaternion (x, y, z, w) and a place for each picture: camera-to-world in the axes of ARKit
//! (OpenGL's: x right, y up, z backwards), in metres. `K` is the matrix of intrinsics column by column, in pixels of a picture
//! of `w`×`h`; `perFrameIntrinsicCoeffs` has focal lengths and principal point for each picture instead.

use super::posed::{Intrinsics, Photograph, Posed};
use super::{LoadOptions, photographs_error, stem};
use crate::distortion::Coefficients;
use crate::json::{self, as_number, kind, list, number};
use crate::{Error, Format, Result, Scene};
use glam::{DMat4, DQuat, DVec2, DVec3};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// The file of poses.
pub(super) const POSE_FILE: &str = "metadata.json";
/// Folders of pictures.
const FOLDERS: [&str; 2] = ["rgb", "EXR_RGBD/rgb"];

/// The file of poses beside a folder of pictures.
pub(super) fn find(root: &Path) -> Option<PathBuf> {
    let pictures = FOLDERS.iter().any(|folder| root.join(folder).is_dir());
    Some(root.join(POSE_FILE)).filter(|file| pictures && file.is_file())
}

/// Loads a capture of Record3D.
///
/// # Errors
/// [`Error::Io`], [`Error::Format`] or [`Error::Camera`] naming file and frame: another number of pictures than of poses,
/// or keys that are missing or of another kind; otherwise as for all formats, see `posed.rs`.
pub fn load(root: &Path, options: &LoadOptions) -> Result<Scene> {
    let file = root.join(POSE_FILE);
    let object = json::read(&file)?;
    let bad = |problem: String| Error::Format { path: file.clone(), problem };
    let poses = list(&object, "poses").map_err(bad)?;
    let poses = poses.ok_or_else(|| bad("expected the key poses with a list, found none".into()))?;
    let folder = FOLDERS.iter().map(|folder| root.join(folder)).find(|folder| folder.is_dir());
    let folder = folder.ok_or_else(|| bad("expected the folder rgb with pictures beside it, found none".into()))?;
    let mut paths = super::list_images(&folder)?;
    // By number where names are numbers: 10 comes after 9.
    let place = |path: &PathBuf| stem(path).parse::<u64>().ok();
    if paths.iter().all(|path| place(path).is_some()) {
        paths.sort_by_key(place);
    }
    if paths.len() != poses.len() {
        let (all, found, folder) = (poses.len(), paths.len(), folder.display());
        let problem = format!("expected one picture for each pose, found {all} poses and {found} in {folder}");
        return Err(photographs_error(&file, problem));
    }
    let numbers = |key: &str| -> Result<Option<Vec<f64>>> {
        let Some(found) = list(&object, key).map_err(bad)? else { return Ok(None) };
        let numbers: Option<Vec<f64>> = found.iter().map(as_number).collect();
        numbers
            .map(Some)
            .ok_or_else(|| bad(format!("expected {key} to be a list of numbers, found other values in it")))
    };
    let of = |key: &str| number(&object, key).map_err(bad);
    let size = match (of("w")?, of("h")?) {
        (Some(w), Some(h)) => Some(DVec2::new(w, h)),
        _ => None,
    };
    let shared = match numbers("K")?.as_deref() {
        Some(&[fx, _, _, _, fy, _, cx, cy, _]) => Some([fx, fy, cx, cy]),
        Some(other) => return Err(bad(format!("expected K to have 9 numbers, found {}", other.len()))),
        None => None,
    };
    let own = list(&object, "perFrameIntrinsicCoeffs").map_err(bad)?.filter(|list| !list.is_empty());
    if let Some(own) = own.filter(|own| own.len() != poses.len()) {
        let (all, found) = (poses.len(), own.len());
        return Err(bad(format!("expected perFrameIntrinsicCoeffs for {all} poses, found {found}")));
    }
    let mut photographs = Vec::with_capacity(poses.len());
    for (i, (value, path)) in poses.iter().zip(paths).enumerate() {
        let what = format!("{}: frame {i} ({})", file.display(), super::file_name(&path));
        let bad = |problem: String| Error::Camera { what: what.clone(), problem };
        let pose = pose(value).map_err(bad)?;
        let own = own.map(|own| fixed::<4>(&own[i], "four numbers of a camera").map_err(bad)).transpose()?;
        let Some([fx, fy, cx, cy]) = own.or(shared) else {
            return Err(bad("expected K or perFrameIntrinsicCoeffs, found neither".into()));
        };
        let intrinsics = Intrinsics {
            size,
            focal: DVec2::new(fx, fy),
            center: Some(DVec2::new(cx, cy)),
            lens: Coefficients::default().into(),
        };
        photographs.push(Photograph { what, path, mask: None, pose, intrinsics, bounds: None });
    }
    let pose_files = vec![file];
    let (format, warnings) = (Format::Record3d, Vec::new());
    Posed { root, format, pose_files, photographs, missing: 0, stored_factor: None, warnings }.into_scene(options)
}

/// A list of so many numbers.
fn fixed<const N: usize>(value: &Value, what: &str) -> Result<[f64; N], String> {
    let numbers = value.as_array().and_then(|list| list.iter().map(as_number).collect::<Option<Vec<f64>>>());
    let found = || kind(value);
    numbers.and_then(|numbers| numbers.try_into().ok()).ok_or_else(|| format!("expected {what}, found {}", found()))
}

/// The pose of a quaternion and a place.
fn pose(value: &Value) -> Result<DMat4, String> {
    let [x, y, z, w, px, py, pz] = fixed::<7>(value, "a pose of 7 numbers")?;
    let (rotation, place) = (DQuat::from_xyzw(x, y, z, w), DVec3::new(px, py, pz));
    if !(place.is_finite() && (rotation.length() - 1.0).abs() < 0.1) {
        return Err(format!("expected a unit quaternion and a finite place, found {}", value));
    }
    Ok(DMat4::from_rotation_translation(rotation.normalize(), place))
}
