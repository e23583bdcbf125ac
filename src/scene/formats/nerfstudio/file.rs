//! What `transforms.json` holds, and the intrinsics that follow from it.

use crate::distortion::{Coefficients, Distortion};
use glam::{DMat4, DVec2};
use serde::Deserialize;

/// Camera models whose distortion is the polynomial of [`Coefficients`]; other models have further terms.
const MODELS: [&str; 6] = ["OPENCV", "PINHOLE", "SIMPLE_PINHOLE", "SIMPLE_RADIAL", "RADIAL", "PERSPECTIVE"];
/// How much the stored images may differ in shape from the size in the file, by rounding.
const SHAPE_TOLERANCE: f64 = 0.05;

/// The file.
#[derive(Deserialize)]
pub(super) struct Transforms {
    #[serde(flatten)]
    pub shared: Intrinsics,
    pub frames: Vec<TransformFrame>,
    pub train_filenames: Option<Vec<String>>,
    pub val_filenames: Option<Vec<String>>,
    pub test_filenames: Option<Vec<String>>,
    /// Depth bounds along the optical axis in the units of the poses.
    pub near: Option<f64>,
    pub far: Option<f64>,
}

/// One photograph.
#[derive(Deserialize)]
pub(super) struct TransformFrame {
    #[serde(flatten)]
    pub own: Intrinsics,
    pub file_path: String,
    pub mask_path: Option<String>,
    /// Camera-to-world, row-major, in OpenGL axes; the last row may be left out.
    transform_matrix: Vec<[f64; 4]>,
}

impl TransformFrame {
    /// The pose in OpenGL axes.
    ///
    /// # Errors
    /// Says what was expected and found.
    pub fn pose(&self) -> Result<DMat4, String> {
        const LAST: [f64; 4] = [0.0, 0.0, 0.0, 1.0];
        let [x, y, z, rest @ ..] = self.transform_matrix.as_slice() else {
            return Err(format!("expected transform_matrix to have 4 rows, found {}", self.transform_matrix.len()));
        };
        match rest {
            [] | [LAST] => Ok(DMat4::from_cols_array_2d(&[*x, *y, *z, LAST]).transpose()),
            [last] => Err(format!("expected the last row 0 0 0 1 of transform_matrix, found {last:?}")),
            more => Err(format!("expected transform_matrix to have 4 rows, found {}", 3 + more.len())),
        }
    }
}

/// Intrinsics, of all frames or of one.
#[derive(Default, Deserialize)]
pub(super) struct Intrinsics {
    camera_model: Option<String>,
    fl_x: Option<f64>,
    fl_y: Option<f64>,
    cx: Option<f64>,
    cy: Option<f64>,
    w: Option<f64>,
    h: Option<f64>,
    k1: Option<f64>,
    k2: Option<f64>,
    k3: Option<f64>,
    k4: Option<f64>,
    p1: Option<f64>,
    p2: Option<f64>,
    camera_angle_x: Option<f64>,
    camera_angle_y: Option<f64>,
    is_fisheye: Option<bool>,
}

/// Lens and pinhole camera of a stored image.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Lens {
    /// Focal lengths of the pinhole camera in pixels of the stored image.
    pub focal: DVec2,
    /// Principal point in pixels of the stored image, integers at pixel centres.
    pub center: DVec2,
    /// The distortion; none if there is none.
    pub distortion: Option<Distortion>,
}

/// What decides about a lens; frames of one camera share it, and the search for the pinhole camera is made once.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Stored {
    focal: DVec2,
    center: DVec2,
    coefficients: Coefficients,
    size: (u32, u32),
}

impl Stored {
    /// The pinhole camera.
    ///
    /// # Errors
    /// As [`Distortion::new`].
    pub fn lens(&self) -> Result<Lens, String> {
        let Self { focal, center, coefficients, size } = *self;
        if coefficients.is_zero() {
            return Ok(Lens { focal, center, distortion: None });
        }
        let distortion = Distortion::new(coefficients, focal, center, size)?;
        Ok(Lens { focal: focal * distortion.zoom(), center, distortion: Some(distortion) })
    }
}

impl Intrinsics {
    /// Intrinsics of a frame with these own values, for its stored image.
    ///
    /// The file counts pixels from the image's corner: the first pixel's centre is at 0.5, as in COLMAP, nerfstudio and
    /// instant-ngp. That is why an image and its principal point are scaled by one factor. This crate has integers at
    /// pixel centres, so that half a pixel is taken off.
    ///
    /// # Errors
    /// Says what was expected and found: a model other than those with radial and tangential distortion, numbers that
    /// are no size, focal length or angle, or images of another shape.
    pub fn stored(&self, shared: &Self, size: (u32, u32)) -> Result<Stored, String> {
        let model = self.camera_model.as_deref().or(shared.camera_model.as_deref()).unwrap_or(MODELS[0]);
        let fisheye = self.is_fisheye.or(shared.is_fisheye).unwrap_or(false);
        if fisheye || !MODELS.contains(&model) {
            let found = if fisheye { "is_fisheye" } else { model };
            return Err(format!("expected a camera_model of {}, found {found:?}", MODELS.join(", ")));
        }
        let value = |get: fn(&Self) -> Option<f64>| get(self).or(get(shared));
        let (stored_width, stored_height) = (f64::from(size.0), f64::from(size.1));
        let width = positive("w", value(|i| i.w).unwrap_or(stored_width))?;
        let height = positive("h", value(|i| i.h).unwrap_or(stored_height))?;
        let scale = DVec2::new(stored_width / width, stored_height / height);
        let stretch = (scale.x / scale.y - 1.0).abs();
        if stretch.is_nan() || stretch > SHAPE_TOLERANCE {
            return Err(format!("expected an image in the shape of {width}x{height}, found {}x{}", size.0, size.1));
        }
        // A frame's own field of view goes before the focal length of all.
        let of_angle = |i: &Self| angle(i.camera_angle_x, "camera_angle_x", width);
        let focal_x = match (self.fl_x, of_angle(self)?, shared.fl_x, of_angle(shared)?) {
            (Some(f), ..) | (_, Some(f), ..) | (_, _, Some(f), _) | (_, _, _, Some(f)) => positive("fl_x", f)?,
            _ => return Err("expected fl_x or camera_angle_x, found neither".into()),
        };
        let of_angle = |i: &Self| angle(i.camera_angle_y, "camera_angle_y", height);
        let focal_y = self.fl_y.or(of_angle(self)?).or(shared.fl_y).or(of_angle(shared)?).unwrap_or(focal_x);
        let focal = DVec2::new(focal_x, positive("fl_y", focal_y)?);
        let center = DVec2::new(value(|i| i.cx).unwrap_or(0.5 * width), value(|i| i.cy).unwrap_or(0.5 * height));
        let coefficient = |get| value(get).unwrap_or(0.0);
        let coefficients = Coefficients {
            radial: [coefficient(|i| i.k1), coefficient(|i| i.k2), coefficient(|i| i.k3), coefficient(|i| i.k4)],
            tangential: [coefficient(|i| i.p1), coefficient(|i| i.p2)],
        };
        Ok(Stored { focal: focal * scale, center: center * scale - 0.5, coefficients, size })
    }
}

/// Focal length in pixels for a field of view in radians over `extent` pixels.
fn angle(angle: Option<f64>, name: &str, extent: f64) -> Result<Option<f64>, String> {
    let Some(angle) = angle else { return Ok(None) };
    if !(angle > 0.0 && angle < std::f64::consts::PI) {
        return Err(format!("expected {name} between 0 and π, found {angle}"));
    }
    Ok(Some(0.5 * extent / (0.5 * angle).tan()))
}

fn positive(name: &str, value: f64) -> Result<f64, String> {
    if value > 0.0 && value.is_finite() {
        return Ok(value);
    }
    Err(format!("expected {name} to be a positive number, found {value}"))
}
