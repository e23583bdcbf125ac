//! Lens distortion: the radial-tangential model, and the pinhole camera that a distorted photograph is turned into.
//!
//! Source: D. C. Brown, "Close-range camera calibration", Photogrammetric Engineering 37(8), 1971, in the form of
//! OpenCV's `calib3d` (`k1 k2 p1 p2 k3`), with the term `k4·r⁸` of nerfstudio's camera files. For a ray `(x, y, 1)` of
//! the camera and `r² = x² + y²`, the photograph shows it at
//!
//! ```text
//! x' = x·(1 + k1·r² + k2·r⁴ + k3·r⁶ + k4·r⁸) + 2·p1·x·y + p2·(r² + 2·x²)
//! y' = y·(1 + k1·r² + k2·r⁴ + k3·r⁶ + k4·r⁸) + p1·(r² + 2·y²) + 2·p2·x·y
//! ```
//!
//! and at the pixel `focal·(x', y') + centre`. Other models are in [`crate::lens`]; the pinhole camera is found for all alike.

use crate::lens::{Lens, LensModel};
use glam::{DMat2, DVec2};

/// Largest widening or narrowing of the field of view, as a ratio of focal lengths.
const MAX_WIDENING: f64 = 4.0;
/// Tangent of the widest angle to the optical axis that the pinhole camera of a fisheye sees: 60 degrees, at which a pixel
/// of the flat picture sees a quarter of what one in its middle does.
const WIDEST: f64 = 1.732_050_807_568_877_2;
/// Steps of the search along a ray from the principal point outwards.
const STEPS: u32 = 256;
/// Points along each side of the image that are followed outwards.
const SIDE_POINTS: u32 = 128;

/// Coefficients of the model; all zero for a pinhole camera.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Coefficients {
    /// `k1` to `k4`.
    pub radial: [f64; 4],
    /// `p1` and `p2`.
    pub tangential: [f64; 2],
}

impl Coefficients {
    /// Whether nothing is distorted.
    pub fn is_zero(&self) -> bool {
        self.radial == [0.0; 4] && self.tangential == [0.0; 2]
    }

    /// Where the ray `(x, y, 1)` is seen, in units of the focal length from the principal point.
    pub fn distort(&self, ray: DVec2) -> DVec2 {
        let DVec2 { x, y } = ray;
        let [p1, p2] = self.tangential;
        let r2 = ray.length_squared();
        let (factor, _) = self.radial(r2);
        let tangential =
            DVec2::new(2.0 * p1 * x * y + p2 * (r2 + 2.0 * x * x), p1 * (r2 + 2.0 * y * y) + 2.0 * p2 * x * y);
        ray * factor + tangential
    }

    /// The ray that is seen at `seen`: the inverse of [`distort`](Self::distort) near the principal point, by Newton's
    /// method; `None` if no ray is found.
    pub fn undistort(&self, seen: DVec2) -> Option<DVec2> {
        let mut ray = seen;
        for _ in 0..50 {
            let off = self.distort(ray) - seen;
            if off.length() <= 1e-13 * (1.0 + seen.length()) {
                return self.is_regular(ray).then_some(ray);
            }
            ray -= self.jacobian(ray).inverse() * off;
            if !ray.is_finite() {
                return None;
            }
        }
        None
    }

    /// Derivative of [`distort`](Self::distort).
    pub fn jacobian(&self, ray: DVec2) -> DMat2 {
        let DVec2 { x, y } = ray;
        let [p1, p2] = self.tangential;
        let (factor, slope) = self.radial(ray.length_squared());
        let across = 2.0 * x * y * slope + 2.0 * p1 * x + 2.0 * p2 * y;
        DMat2::from_cols(
            DVec2::new(factor + 2.0 * x * x * slope + 2.0 * p1 * y + 6.0 * p2 * x, across),
            DVec2::new(across, factor + 2.0 * y * y * slope + 6.0 * p1 * y + 2.0 * p2 * x),
        )
    }

    /// The radial factor at `r²` and its derivative by `r²`.
    fn radial(&self, r2: f64) -> (f64, f64) {
        let [k1, k2, k3, k4] = self.radial;
        let factor = 1.0 + r2 * (k1 + r2 * (k2 + r2 * (k3 + r2 * k4)));
        (factor, k1 + r2 * (2.0 * k2 + r2 * (3.0 * k3 + r2 * 4.0 * k4)))
    }

    /// Whether neighbouring rays are seen side by side and the right way round.
    pub(crate) fn is_regular(&self, ray: DVec2) -> bool {
        let jacobian = self.jacobian(ray);
        jacobian.is_finite() && jacobian.determinant() > 0.0 && self.radial(ray.length_squared()).0 > 0.0
    }
}

/// The lens of a stored photograph, and the pinhole camera of the same size and principal point that replaces it.
///
/// The pinhole camera has the smallest focal length for which every pixel lies in the photograph, so that it sees as
/// much as is possible without empty corners. Pixel coordinates are integers at pixel centres.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Distortion {
    lens: Lens,
    focal: DVec2,
    center: DVec2,
    zoom: f64,
    is_cut: bool,
}

impl Distortion {
    /// The lens with focal lengths `focal` and principal point `center` of a photograph of `size`, all in pixels.
    ///
    /// # Errors
    /// Says what was expected and found if a number is not finite, a focal length is not positive, the principal point
    /// is outside the photograph, or the lens folds the picture over before the pinhole camera's edges reach the
    /// photograph's, so that two rays would be seen at one pixel.
    pub fn new(
        lens: impl Into<Lens>,
        focal: DVec2,
        center: DVec2,
        size: (u32, u32),
    ) -> std::result::Result<Self, String> {
        let lens: Lens = lens.into();
        let named = || {
            if let LensModel::Brown(Coefficients { radial, tangential }) = lens.model {
                return format!("k {radial:?} and p {tangential:?}");
            }
            format!("{:?}", lens.model)
        };
        if !lens.model.numbers().iter().chain([&lens.shear]).all(|c| c.is_finite()) {
            return Err(format!("expected finite distortion, found {}", named()));
        }
        if !(focal.is_finite() && focal.min_element() > 0.0) {
            return Err(format!("expected positive focal lengths, found {focal}"));
        }
        let mut this = Self { lens, focal, center, zoom: 1.0, is_cut: false };
        let far_corner = DVec2::new(f64::from(size.0), f64::from(size.1)) - 0.5;
        let within = |pixel: DVec2| pixel.cmpge(DVec2::splat(-0.5)).all() && pixel.cmple(far_corner).all();
        if !within(center) {
            return Err(format!(
                "expected the principal point of a distorted image within its {}x{} pixels, found {center}",
                size.0, size.1
            ));
        }
        let radius = outline(far_corner).map(|edge| ((edge - center) / focal).length()).fold(0.0, f64::max);
        let most = if lens.model.is_fisheye() { MAX_WIDENING.min(WIDEST / radius) } else { MAX_WIDENING };
        let mut widest = most;
        let mut folds = false;
        for edge in outline(far_corner) {
            let ray = (edge - center) / focal;
            let (reach, fold) = this.reach(ray, &within, widest);
            if reach < widest {
                (widest, folds) = (reach, fold);
            }
        }
        if !folds && widest < 1.0 / MAX_WIDENING {
            return Err(format!(
                "expected distortion that leaves a pinhole camera some of the picture, found that {} leave {widest:.1e} of \
                 its width",
                named()
            ));
        }
        if folds {
            return Err(format!(
                "expected distortion that is one-to-one in the field of view, found that {} fold the image over within \
                 {:.3} of {radius:.3} focal lengths from its centre",
                named(),
                widest * radius
            ));
        }
        this.zoom = 1.0 / widest;
        this.is_cut = lens.model.is_fisheye() && widest == most;
        Ok(this)
    }

    /// The lens.
    pub fn lens(&self) -> &Lens {
        &self.lens
    }

    /// Whether the photograph sees more than the pinhole camera, which holds 60 degrees from its axis at most.
    pub fn is_cut(&self) -> bool {
        self.is_cut
    }

    /// Focal lengths of the photograph in pixels.
    pub fn focal(&self) -> DVec2 {
        self.focal
    }

    /// Principal point of both cameras in pixels of the photograph.
    pub fn center(&self) -> DVec2 {
        self.center
    }

    /// Focal length of the pinhole camera as a ratio to the photograph's.
    pub fn zoom(&self) -> f64 {
        self.zoom
    }

    /// Pixel of the photograph that shows what `pixel` of the pinhole camera sees; both in the photograph's size.
    pub fn stored_from_pinhole(&self, pixel: DVec2) -> DVec2 {
        self.center + self.focal * self.lens.distort((pixel - self.center) / (self.focal * self.zoom))
    }

    /// How far `ray` can be stretched, up to `limit`, before it leaves the photograph or, then true, before the lens
    /// folds the picture over.
    fn reach(&self, ray: DVec2, within: &impl Fn(DVec2) -> bool, limit: f64) -> (f64, bool) {
        let regular = |t: f64| self.lens.is_regular(ray * t);
        let inside = |t: f64| within(self.center + self.focal * self.lens.distort(ray * t));
        let mut good = 0.0;
        for step in 1..=STEPS {
            let mut bad = MAX_WIDENING * f64::from(step) / f64::from(STEPS);
            if regular(bad) && inside(bad) {
                good = bad;
            } else {
                let mut fold = !regular(bad);
                // Each halving is a bit of the result.
                for _ in 0..50 {
                    let middle = 0.5 * (good + bad);
                    if regular(middle) && inside(middle) {
                        good = middle;
                    } else {
                        (bad, fold) = (middle, !regular(middle));
                    }
                }
                return (good, fold);
            }
            if good >= limit {
                break;
            }
        }
        (good, false)
    }
}

/// Points along the edge of an image's area, corners included.
fn outline(far_corner: DVec2) -> impl Iterator<Item = DVec2> {
    let near_corner = DVec2::splat(-0.5);
    (0..=SIDE_POINTS).flat_map(move |i| {
        let along = near_corner.lerp(far_corner, f64::from(i) / f64::from(SIDE_POINTS));
        [
            DVec2::new(along.x, near_corner.y),
            DVec2::new(along.x, far_corner.y),
            DVec2::new(near_corner.x, along.y),
            DVec2::new(far_corner.x, along.y),
        ]
    })
}

#[cfg(test)]
#[path = "distortion_tests.rs"]
mod tests;
