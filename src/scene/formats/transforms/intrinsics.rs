//! Lens and pinhole camera of a photograph, from what the file gives for all frames and for one.
//!
//! What a frame gives of its own is not mixed with what the file gives for another camera:
//! - **size**: `w` and `h`, the frame's own or else the file's, or else the picture's.
//! - **focal lengths**: a frame that gives any gives both; the axis left out has square pixels.
//! - **pixels of another size**: focal lengths and principal points in pixels belong to the size beside them. A frame with
//!   a size of its own that differs from the file's takes none from the file.
//! - **distortion**: a frame that gives any coefficient, or a model without distortion, gives all. The file's is for the
//!   file's focal length: a frame whose own differs by more than a twentieth has to give its distortion, too.

use super::models::{self, COEFFICIENTS, FISHEYES, IS_FISHEYE, UNDISTORTED};
use crate::camera::center_from_corner;
use crate::distortion::{Coefficients, Distortion};
use crate::formats::pictures;
use crate::json::{self, is_neutral, kind, number};
use crate::lens::{self, LensModel};
use glam::DVec2;
use serde_json::{Map, Value};

/// How far a frame's focal length may be from the file's for the file's distortion to hold.
const SAME_ZOOM: f64 = 0.05;
/// How far pixels may be from square where one focal length stands for two.
const SQUARE: f64 = 0.01;
/// How far a focal length and a field of view that are both given may be apart.
const SAME_FOCAL: f64 = 0.03;

/// Intrinsics as they stand in the file or in one frame.
#[derive(Clone, Debug, Default)]
pub(super) struct Intrinsics {
    model: Option<String>,
    /// `fl_x`, `fl_y`.
    focal: [Option<f64>; 2],
    /// Fields of view in radians, with the names of their keys.
    angle: [Option<(f64, &'static str)>; 2],
    /// `cx`, `cy`.
    center: [Option<f64>; 2],
    /// `w`, `h`.
    size: [Option<f64>; 2],
    coefficients: [Option<f64>; 6],
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
    model: lens::Lens,
    size: (u32, u32),
    /// Scale from the size in the file to the picture.
    pub scale: f64,
    /// Whether `fl_x` or `fl_y` is used though the field of view beside it is another.
    pub angle_differs: bool,
}

impl Stored {
    /// The pinhole camera.
    ///
    /// # Errors
    /// As [`Distortion::new`].
    pub fn lens(&self) -> Result<Lens, String> {
        let Self { focal, center, model, size, .. } = *self;
        if model.is_pinhole() {
            return Ok(Lens { focal, center, distortion: None });
        }
        let distortion = Distortion::new(model, focal, center, size)?;
        Ok(Lens { focal: focal * distortion.zoom(), center, distortion: Some(distortion) })
    }
}

impl Intrinsics {
    /// Takes the intrinsics out of the file's object or a frame's.
    ///
    /// # Errors
    /// Says what was expected and found: values that are no numbers, and cameras other than pinhole cameras with radial
    /// and tangential distortion and OpenCV's fisheye, under whatever key.
    pub fn read(object: &Map<String, Value>) -> Result<Self, String> {
        models::check(object)?;
        let pair = |keys: [&str; 2]| Ok::<_, String>([number(object, keys[0])?, number(object, keys[1])?]);
        let mut angle = [None; 2];
        for (axis, [radians, degrees]) in
            [["camera_angle_x", "x_fov"], ["camera_angle_y", "y_fov"]].into_iter().enumerate()
        {
            let in_radians = number(object, radians)?.map(|angle| (angle, radians));
            angle[axis] = in_radians.or(number(object, degrees)?.map(|angle| (angle.to_radians(), degrees)));
        }
        let mut coefficients = [None; 6];
        for (key, coefficient) in COEFFICIENTS.iter().zip(&mut coefficients) {
            *coefficient = number(object, key)?;
        }
        Ok(Self {
            model: model(object)?,
            focal: pair(["fl_x", "fl_y"])?,
            angle,
            center: pair(["cx", "cy"])?,
            size: pair(["w", "h"])?,
            coefficients,
        })
    }

    /// Width by height of the picture that these intrinsics are for, as far as they tell.
    pub fn aspect(&self, shared: &Self) -> Option<f64> {
        let of = |own: [Option<f64>; 2], shared: [Option<f64>; 2]| Some(own[0].or(shared[0])? / own[1].or(shared[1])?);
        let tangents = |i: &Self| i.angle.map(|angle| angle.map(|(angle, _)| (0.5 * angle).tan()));
        of(self.size, shared.size)
            .or_else(|| of(self.center, shared.center))
            .or_else(|| of(tangents(self), tangents(shared)))
            .filter(|aspect| aspect.is_finite() && *aspect > 0.0)
    }

    /// Intrinsics of a frame with these own values, for its stored image.
    ///
    /// The file counts pixels from the image's corner: the first pixel's centre is at 0.5, as in COLMAP, nerfstudio and
    /// instant-ngp. That is why an image and its principal point are scaled by one factor.
    ///
    /// # Errors
    /// Says what was expected and found: numbers that are no size, focal length, principal point or angle, values that
    /// belong to another camera, or images of another shape.
    pub fn stored(&self, shared: &Self, size: (u32, u32)) -> Result<Stored, String> {
        let picture = DVec2::new(size.0.into(), size.1.into());
        let of = |axis: usize| self.size[axis].or(shared.size[axis]);
        let file = DVec2::new(positive("w", of(0).unwrap_or(picture.x))?, positive("h", of(1).unwrap_or(picture.y))?);
        let Some(scale) = pictures::scale(size, file) else {
            return Err(format!(
                "expected an image in the shape of {}x{}, found {}x{}",
                file.x, file.y, size.0, size.1
            ));
        };
        // Values in pixels that the file gives for all are those of a picture of this size.
        let own_size = (0..2).any(|i| matches!((self.size[i], shared.size[i]), (Some(a), Some(b)) if a != b));
        let for_other_size = |key: &str| {
            Err(format!(
                "expected {key} beside the frame's own w and h of {}x{}, found it only for another size at the file's \
                 beginning",
                file.x, file.y
            ))
        };

        if self.is_fisheye(shared) && [self, shared].iter().all(|i| i.focal == [None; 2]) {
            return Err("expected fl_x beside a fisheye, whose field of view tells no focal length, found none".into());
        }
        let own_focal = self.focal_lengths(file)?;
        let shared_file = DVec2::new(shared.size[0].unwrap_or(file.x), shared.size[1].unwrap_or(file.y));
        let at_this_size = |(focal, differs): (DVec2, bool)| (focal * file / shared_file, differs);
        let shared_focal = shared.focal_lengths(shared_file)?.map(at_this_size);
        let (focal, angle_differs) = match (own_focal, shared_focal) {
            (Some(own), _) => own,
            (None, Some(_)) if own_size && shared.focal != [None; 2] => return for_other_size("fl_x"),
            (None, Some(all)) => all,
            (None, None) => {
                return Err("expected fl_x, fl_y, camera_angle_x, camera_angle_y, x_fov or y_fov, found none".into());
            }
        };
        if angle_differs && of(0).is_none() {
            return Err(format!(
                "expected fl_x and camera_angle_x that agree where there are no w and h, found that they fit pictures of \
                 different sizes: fl_x {:?}, camera_angle_x {:?} of a picture {} pixels wide",
                self.focal[0].or(shared.focal[0]).unwrap_or(focal.x),
                self.angle[0].or(shared.angle[0]).map_or(0.0, |(angle, _)| angle),
                size.0
            ));
        }
        if let (Some((own, _)), Some((all, _))) = (own_focal, shared_focal) {
            let one_axis = self.axes_with_focal() == 1 && shared.axes_with_focal() == 2;
            if one_axis && (all.x / all.y - 1.0).abs() > SQUARE {
                return Err(format!(
                    "expected focal lengths for both axes, found one of {:?}, while the file's pixels are not square: {} \
                     and {}",
                    own.x, all.x, all.y
                ));
            }
        }

        let mut center = 0.5 * file;
        for (axis, key) in ["cx", "cy"].into_iter().enumerate() {
            let value = match (self.center[axis], shared.center[axis]) {
                (Some(own), _) => own,
                (None, Some(_)) if own_size => return for_other_size(key),
                (None, Some(all)) => all,
                (None, None) => continue,
            };
            if !(0.0..=file[axis]).contains(&value) {
                let side = ["width", "height"][axis];
                return Err(format!(
                    "expected {key} within the picture's {side} of {}, found {value}: the principal point lies outside, \
                     as for pictures that were reduced or cropped without their intrinsics",
                    file[axis]
                ));
            }
            center[axis] = value;
        }
        let model = self.distortion(shared, focal, shared_focal.map(|(all, _)| all))?;
        let scales = picture / file;
        let center = center_from_corner(center * scales);
        Ok(Stored { focal: focal * scales, center, model, size, scale, angle_differs })
    }

    fn is_fisheye(&self, shared: &Self) -> bool {
        self.model.as_ref().or(shared.model.as_ref()).is_some_and(|model| FISHEYES.contains(&model.as_str()))
    }

    /// Number of axes with a focal length or field of view.
    fn axes_with_focal(&self) -> usize {
        (0..2).filter(|&axis| self.focal[axis].is_some() || self.angle[axis].is_some()).count()
    }

    /// Focal lengths for an image of `size`, and whether a field of view beside one is another; none if nothing is given.
    fn focal_lengths(&self, size: DVec2) -> Result<Option<(DVec2, bool)>, String> {
        let mut differs = false;
        let mut lengths = [None; 2];
        for (axis, key) in ["fl_x", "fl_y"].into_iter().enumerate() {
            let of_angle = self.angle[axis].map(|(angle, key)| from_angle(angle, key, size[axis])).transpose()?;
            let given = self.focal[axis].map(|length| positive(key, length)).transpose()?;
            if let (Some(given), Some(of_angle)) = (given, of_angle) {
                differs |= (given / of_angle - 1.0).abs() > SAME_FOCAL;
            }
            lengths[axis] = given.or(of_angle);
        }
        let both = match lengths {
            [Some(x), Some(y)] => Some(DVec2::new(x, y)),
            [Some(one), None] | [None, Some(one)] => Some(DVec2::splat(one)),
            [None, None] => None,
        };
        Ok(both.map(|both| (both, differs)))
    }

    /// Lens of a frame with the focal lengths `focal`; `shared_focal` are those of the file's for this size.
    fn distortion(&self, shared: &Self, focal: DVec2, shared_focal: Option<DVec2>) -> Result<lens::Lens, String> {
        let is_pinhole = |i: &Self| i.model.as_deref().is_some_and(|model| UNDISTORTED.contains(&model));
        let gives = |i: &Self| i.coefficients.iter().any(Option::is_some);
        let from = if gives(self) || is_pinhole(self) { self } else { shared };
        let [k1, k2, k3, k4, p1, p2] = from.coefficients.map(|value| value.unwrap_or(0.0));
        let is_fisheye = self.is_fisheye(shared);
        if is_fisheye && [p1, p2] != [0.0; 2] {
            return Err(format!("expected a fisheye with k1 to k4 alone, found p1 {p1} and p2 {p2}"));
        }
        let coefficients = Coefficients { radial: [k1, k2, k3, k4], tangential: [p1, p2] };
        let zoom = shared_focal.map_or(1.0, |all| focal.x / all.x);
        if std::ptr::eq(from, shared) && !coefficients.is_zero() && (zoom - 1.0).abs() > SAME_ZOOM {
            return Err(format!(
                "expected k1 and its kind beside the frame's own focal length of {}, found them only for the file's of {}",
                focal.x,
                focal.x / zoom
            ));
        }
        Ok(if is_fisheye { LensModel::fisheye(&coefficients.radial).into() } else { coefficients.into() })
    }
}

/// The name of the camera's model in capitals, under whichever key.
fn model(object: &Map<String, Value>) -> Result<Option<String>, String> {
    match object.get(IS_FISHEYE) {
        Some(Value::Bool(true)) => return Ok(Some(FISHEYES[0].to_owned())),
        Some(other) if !is_neutral(other) => {
            return Err(format!("expected {IS_FISHEYE} to be true or false, found {}", kind(other)));
        }
        _ => {}
    }
    let named = json::text(object, "camera_model")?.or(json::text(object, "camera_type")?);
    Ok(named.map(str::to_uppercase))
}

/// Focal length in pixels for a field of view in radians over `extent` pixels.
fn from_angle(angle: f64, key: &str, extent: f64) -> Result<f64, String> {
    if angle > 0.0 && angle < std::f64::consts::PI {
        return Ok(0.5 * extent / (0.5 * angle).tan());
    }
    if key.ends_with("fov") {
        return Err(format!("expected {key} between 0 and 180 degrees, found {}", angle.to_degrees()));
    }
    Err(format!("expected {key} between 0 and π, found {angle}"))
}

fn positive(name: &str, value: f64) -> Result<f64, String> {
    if value > 0.0 && value.is_finite() {
        return Ok(value);
    }
    Err(format!("expected {name} to be a positive number, found {value}"))
}
