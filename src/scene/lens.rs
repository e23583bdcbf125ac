//! Lens models: where in a photograph a ray of the camera is seen.
//!
//! Coordinates are in focal lengths from the principal point. A ray `(x, y, 1)` has `r² = x² + y²` and the angle
//! `θ = atan r` to the optical axis. Polynomials in `r` are of perspective lenses, those in `θ` of fisheyes, for which
//! `(u, v) = (x, y)·θ/r` is the picture of a lens without further terms.
//!
//! Sources: OpenCV's `calib3d` for the radial-tangential, rational and fisheye models; COLMAP's `sensor/models.h` for
//! names, parameter orders and the others; Devernay and Faugeras, "Straight lines have to be straight", 2001, for the
//! field-of-view model; Fitzgibbon, "Simultaneous linear estimation of multiple view geometry and lens distortion", 2001,
//! for the division model; Khomutenko and others, "An Enhanced Unified Camera Model", 2016; Project Aria for the last one
//! of the fisheyes. The tests hold them against numbers of COLMAP's own code.

use crate::distortion::Coefficients;
use glam::{DMat2, DVec2};

/// A model of a lens and its coefficients.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum LensModel {
    /// Radial polynomial and tangential terms.
    Brown(Coefficients),
    /// `(1 + k1·r² + k2·r⁴ + k3·r⁶) / (1 + k4·r² + k5·r⁴ + k6·r⁶)` and tangential terms (OpenCV's with eight coefficients).
    Rational {
        /// `k1` to `k6`.
        radial: [f64; 6],
        /// `p1` and `p2`.
        tangential: [f64; 2],
    },
    /// Angles as `θ·(1 + k1·θ² + k2·θ⁴ + …)`, then tangential and thin-prism terms.
    Fisheye {
        /// Coefficients of `θ²`, `θ⁴` and so on.
        radial: [f64; 6],
        /// `p1` and `p2`.
        tangential: [f64; 2],
        /// Thin-prism terms: of `r²` and `r⁴` in x, then in y.
        prism: [f64; 4],
        /// Whether tangential and prism terms see what the radial polynomial gives (Project Aria) instead of what it is
        /// given (COLMAP's thin-prism fisheye).
        after_radial: bool,
    },
    /// `atan(2·r·tan(ω/2)) / ω`: a field of view of `ω`.
    FieldOfView {
        /// `ω` in radians.
        omega: f64,
    },
    /// The ray is `seen / (1 + k·|seen|²)`.
    Division {
        /// `k`.
        k: f64,
    },
    /// `(x, y) / (α·√(β·r² + 1) + 1 − α)`.
    Unified {
        /// `α`, from 0 (a pinhole) to 1.
        alpha: f64,
        /// `β`, positive.
        beta: f64,
    },
}

/// A lens: its model, and how far columns of pixels lean.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Lens {
    /// The model.
    pub model: LensModel,
    /// Pixels to the right for one pixel down, by the ratio of the focal lengths; nearly always zero.
    pub shear: f64,
}

impl From<LensModel> for Lens {
    fn from(model: LensModel) -> Self {
        Self { model, shear: 0.0 }
    }
}

impl From<Coefficients> for Lens {
    fn from(coefficients: Coefficients) -> Self {
        LensModel::Brown(coefficients).into()
    }
}

impl LensModel {
    /// A fisheye without tangential and prism terms.
    pub fn fisheye(coefficients: &[f64]) -> Self {
        let mut radial = [0.0; 6];
        radial.iter_mut().zip(coefficients).for_each(|(to, from)| *to = *from);
        Self::Fisheye { radial, tangential: [0.0; 2], prism: [0.0; 4], after_radial: false }
    }

    /// All coefficients, for messages and checks.
    pub fn numbers(&self) -> Vec<f64> {
        match self {
            Self::Brown(c) => [&c.radial[..], &c.tangential].concat(),
            Self::Rational { radial, tangential } => [&radial[..], tangential].concat(),
            Self::Fisheye { radial, tangential, prism, .. } => [&radial[..], tangential, prism].concat(),
            Self::FieldOfView { omega } => vec![*omega],
            Self::Division { k } => vec![*k],
            Self::Unified { alpha, beta } => vec![*alpha, *beta],
        }
    }

    /// Whether wide angles are drawn closer together than a pinhole would, so that the picture may see more than any flat
    /// one can hold.
    pub fn is_fisheye(&self) -> bool {
        matches!(self, Self::Fisheye { .. } | Self::Unified { .. } | Self::FieldOfView { .. })
    }

    /// Whether nothing is distorted.
    pub fn is_pinhole(&self) -> bool {
        match self {
            Self::Brown(c) => c.is_zero(),
            Self::Rational { .. } => self.numbers().iter().all(|k| *k == 0.0),
            Self::Division { k } => *k == 0.0,
            Self::FieldOfView { omega } => *omega == 0.0,
            Self::Unified { alpha, .. } => *alpha == 0.0,
            Self::Fisheye { .. } => false,
        }
    }

    /// Where the ray `(x, y, 1)` is seen; not finite where it is not seen at all.
    pub fn distort(&self, ray: DVec2) -> DVec2 {
        let r2 = ray.length_squared();
        match self {
            Self::Brown(coefficients) => coefficients.distort(ray),
            Self::Rational { radial: [k1, k2, k3, k4, k5, k6], tangential } => {
                let above = 1.0 + r2 * (k1 + r2 * (k2 + r2 * k3));
                let below = 1.0 + r2 * (k4 + r2 * (k5 + r2 * k6));
                ray * (above / below) + tangential_shift(*tangential, ray)
            }
            Self::Fisheye { radial, tangential, prism, after_radial } => {
                let r = r2.sqrt();
                let flat = if r > 1e-12 { ray * (r.atan() / r) } else { ray };
                let t2 = flat.length_squared();
                let bent = flat * (1.0 + t2 * radial.iter().rev().fold(0.0, |sum, k| sum * t2 + k));
                let from = if *after_radial { bent } else { flat };
                let f2 = from.length_squared();
                let [s0, s1, s2, s3] = prism;
                let prism = DVec2::new(f2 * (s0 + f2 * s1), f2 * (s2 + f2 * s3));
                let [a, b] = *tangential;
                // Project Aria counts the two the other way round.
                bent + tangential_shift(if *after_radial { [b, a] } else { [a, b] }, from) + prism
            }
            Self::FieldOfView { omega } => {
                let slope = 2.0 * (0.5 * omega).tan();
                let r = r2.sqrt();
                // The limits of small angles and small fields of view.
                let factor = if omega.abs() < 1e-6 {
                    1.0
                } else if r < 1e-9 {
                    slope / omega
                } else {
                    (r * slope).atan() / (r * omega)
                };
                ray * factor
            }
            // The smaller root of r·(1 + k·s²) = s, in the form that does not cancel.
            Self::Division { k } => ray * (2.0 / (1.0 + (1.0 - 4.0 * k * r2).sqrt())),
            Self::Unified { alpha, beta } => ray / (alpha * (beta * r2 + 1.0).sqrt() + 1.0 - alpha),
        }
    }
}

impl Lens {
    /// Where the ray `(x, y, 1)` is seen, in focal lengths from the principal point; not finite where it is not.
    pub fn distort(&self, ray: DVec2) -> DVec2 {
        let seen = self.model.distort(ray);
        seen + DVec2::new(self.shear * seen.y, 0.0)
    }

    /// Whether rays are seen where a pinhole camera sees them.
    pub fn is_pinhole(&self) -> bool {
        self.model.is_pinhole() && self.shear == 0.0
    }

    /// Whether neighbouring rays are seen side by side and the right way round.
    pub(crate) fn is_regular(&self, ray: DVec2) -> bool {
        if let (LensModel::Brown(coefficients), true) = (&self.model, self.shear == 0.0) {
            return coefficients.is_regular(ray);
        }
        let seen = self.distort(ray);
        let jacobian = self.slopes(ray);
        // The sheared picture is turned by less than a right angle, too.
        jacobian.is_finite() && jacobian.determinant() > 0.0 && (ray == DVec2::ZERO || seen.dot(ray) > 0.0)
    }

    /// Derivative of [`distort`](Self::distort) by central differences, which are exact to about 1e-9.
    fn slopes(&self, ray: DVec2) -> DMat2 {
        let step = 1e-5 * (1.0 + ray.length());
        let along = |axis: DVec2| (self.distort(ray + axis * step) - self.distort(ray - axis * step)) / (2.0 * step);
        DMat2::from_cols(along(DVec2::X), along(DVec2::Y))
    }

    /// The ray that is seen at `seen`, by Newton's method from the middle outwards; `None` if none is found.
    pub fn undistort(&self, seen: DVec2) -> Option<DVec2> {
        let mut ray = seen;
        for _ in 0..100 {
            let off = self.distort(ray) - seen;
            if off.length() <= 1e-11 * (1.0 + seen.length()) {
                return self.is_regular(ray).then_some(ray);
            }
            let step = self.slopes(ray).inverse() * off;
            // Wide fisheyes grow without bound towards a right angle.
            ray -= step * (1.0 / (1.0 + step.length() / (1.0 + ray.length()))).max(0.1);
            if !ray.is_finite() {
                return None;
            }
        }
        None
    }
}

/// The tangential terms `p1` and `p2` at a place.
fn tangential_shift([p1, p2]: [f64; 2], at: DVec2) -> DVec2 {
    let DVec2 { x, y } = at;
    let r2 = at.length_squared();
    DVec2::new(2.0 * p1 * x * y + p2 * (r2 + 2.0 * x * x), p1 * (r2 + 2.0 * y * y) + 2.0 * p2 * x * y)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> Vec<LensModel> {
        let (radial, tangential) = ([-0.03, 0.01, -0.004, 0.001, 0.0, 0.0], [0.004, -0.003]);
        vec![
            LensModel::Brown(Coefficients { radial: [-0.08, 0.02, 0.0, 0.0], tangential }),
            LensModel::Rational { radial: [-0.08, 0.02, 0.01, 0.05, -0.01, 0.002], tangential },
            LensModel::fisheye(&radial),
            LensModel::Fisheye { radial, tangential, prism: [0.002, 0.0, -0.001, 0.0], after_radial: false },
            LensModel::Fisheye { radial, tangential, prism: [0.002, -0.001, 0.0015, 0.0005], after_radial: true },
            LensModel::FieldOfView { omega: 0.7 },
            LensModel::Division { k: -0.1 },
            LensModel::Unified { alpha: 0.55, beta: 1.1 },
        ]
    }

    #[test]
    fn what_is_distorted_is_found_again() {
        for model in all() {
            for shear in [0.0, 0.01] {
                let lens = Lens { model, shear };
                for ray in [DVec2::ZERO, DVec2::new(0.3, -0.2), DVec2::new(-0.9, 0.5), DVec2::new(0.0, 1.1)] {
                    let seen = lens.distort(ray);
                    let back = lens.undistort(seen).unwrap_or_else(|| panic!("{model:?} {ray}"));
                    assert!((back - ray).length() < 1e-8, "{model:?} {ray} {back}");
                }
            }
        }
    }

    #[test]
    fn lenses_without_distortion_are_told() {
        assert!(LensModel::Brown(Coefficients::default()).is_pinhole());
        assert!(LensModel::Division { k: 0.0 }.is_pinhole() && !LensModel::fisheye(&[]).is_pinhole());
        assert!(!Lens { model: LensModel::Division { k: 0.0 }, shear: 0.1 }.is_pinhole());
        for model in all() {
            assert!(!model.is_pinhole(), "{model:?}");
            assert_eq!(model.distort(DVec2::ZERO), DVec2::ZERO);
        }
        // Without coefficients they are as a pinhole, or as the angle alone.
        let ray = DVec2::new(0.6, 0.8);
        assert_eq!(LensModel::Unified { alpha: 0.0, beta: 1.0 }.distort(ray), ray);
        assert!((LensModel::fisheye(&[]).distort(ray).length() - std::f64::consts::FRAC_PI_4).abs() < 1e-15);
        assert!(LensModel::FieldOfView { omega: 1e-9 }.distort(ray) == ray);
    }
}
