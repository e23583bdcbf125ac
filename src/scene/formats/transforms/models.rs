//! Camera models: which are read, and the keys by which others show.

use crate::json::{self, is_neutral, kind};
use serde_json::{Map, Value};

/// Camera models whose distortion is a polynomial of `k1` to `k4`, `p1` and `p2`; other models have further terms.
const MODELS: [&str; 9] = [
    "OPENCV",
    "PINHOLE",
    "SIMPLE_PINHOLE",
    "SIMPLE_RADIAL",
    "RADIAL",
    "PERSPECTIVE",
    FISHEYES[0],
    FISHEYES[1],
    FISHEYES[2],
];
/// Those of them whose polynomial is one of the angle to the optical axis (OpenCV's fisheye).
pub(super) const FISHEYES: [&str; 3] = ["OPENCV_FISHEYE", "FISHEYE", "RADIAL_FISHEYE"];
/// instant-ngp's key for such a camera.
pub(super) const IS_FISHEYE: &str = "is_fisheye";
/// Those of them that have no distortion.
pub(super) const UNDISTORTED: [&str; 2] = ["PINHOLE", "SIMPLE_PINHOLE"];
/// Names of the coefficients, `k1` to `k4` and `p1`, `p2`.
pub(super) const COEFFICIENTS: [&str; 6] = ["k1", "k2", "k3", "k4", "p1", "p2"];

/// Checks that the file's object or a frame's is of a camera that is read.
///
/// # Errors
/// Says what was expected and found for cameras other than pinhole cameras with radial and tangential distortion and OpenCV's fisheye, under
/// whatever key.
pub(super) fn check(object: &Map<String, Value>) -> Result<(), String> {
    for key in ["camera_model", "camera_type"] {
        let model = json::text(object, key)?.map(str::to_uppercase);
        if let Some(model) = model.filter(|model| !MODELS.contains(&model.as_str())) {
            return Err(format!("expected a {key} of {}, found {model:?}", MODELS.join(", ")));
        }
    }
    if let Some((key, value)) = object.iter().find(|(key, value)| is_other_camera(key) && !is_neutral(value)) {
        return Err(format!(
            "expected a pinhole camera with distortion k1 to k4, p1 and p2, or a fisheye with k1 to k4, found {key:?} of {}, which changes the \
             camera and is not read",
            kind(value)
        ));
    }
    Ok(())
}

/// Whether a key, if set, stands for a camera that is not read.
fn is_other_camera(key: &str) -> bool {
    const NAMES: [&str; 14] = [
        "latlong",
        "equirectangular",
        "spherical",
        "panorama",
        "panoramic",
        "omnidirectional",
        "orthographic",
        "rolling_shutter",
        "from_na",
        "xi",
        "k",
        "distortion",
        "distortion_params",
        "distortion_coefficients",
    ];
    let key = key.to_lowercase();
    if key == IS_FISHEYE {
        return false;
    }
    let key = key.strip_prefix("is_").unwrap_or(&key);
    // `k5`, `p3`, `s1`: terms of models with more of them.
    let is_term =
        key.strip_prefix(['k', 'p', 's']).is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()));
    NAMES.contains(&key)
        || key.starts_with("ftheta")
        || key.starts_with("fisheye")
        || (is_term && !COEFFICIENTS.contains(&key))
}
