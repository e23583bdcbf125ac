//! COLMAP's camera models: names, numbers, parameters, and the lenses that they are.

use crate::distortion::Coefficients;
use crate::formats::posed::Intrinsics;
use crate::lens::LensModel;
use glam::DVec2;

/// Name and number of parameters of each model; the position is its number in binary files.
pub(crate) const MODELS: [(&str, usize); 18] = [
    ("SIMPLE_PINHOLE", 3),
    ("PINHOLE", 4),
    ("SIMPLE_RADIAL", 4),
    ("RADIAL", 5),
    ("OPENCV", 8),
    ("OPENCV_FISHEYE", 8),
    ("FULL_OPENCV", 12),
    ("FOV", 5),
    ("SIMPLE_RADIAL_FISHEYE", 4),
    ("RADIAL_FISHEYE", 5),
    ("THIN_PRISM_FISHEYE", 12),
    ("RAD_TAN_THIN_PRISM_FISHEYE", 16),
    ("SIMPLE_DIVISION", 4),
    ("DIVISION", 5),
    ("SIMPLE_FISHEYE", 3),
    ("FISHEYE", 4),
    ("EUCM", 6),
    ("EQUIRECTANGULAR", 2),
];

/// A camera of a model: several images may share it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct ModelCamera {
    /// Position in [`MODELS`].
    pub model: usize,
    pub size: [u64; 2],
    /// As many as the model has.
    pub params: Vec<f64>,
}

impl ModelCamera {
    /// Focal lengths, principal point and lens.
    ///
    /// # Errors
    /// Says what was expected and found for a panorama, numbers that are not finite, or an image without size.
    pub fn intrinsics(&self) -> Result<Intrinsics, String> {
        let (name, count) = MODELS[self.model];
        if name == "EQUIRECTANGULAR" {
            return Err(
                "expected a camera with a flat picture, found a panorama (EQUIRECTANGULAR): cut it into pinhole \
                        pictures first, for instance with COLMAP's panorama_sfm.py"
                    .into(),
            );
        }
        if self.params.len() != count || !self.params.iter().all(|p| p.is_finite()) {
            return Err(format!("expected {count} finite parameters of {name}, found {:?}", self.params));
        }
        let [width, height] = self.size;
        if width == 0 || height == 0 || width.max(height) > 1 << 20 {
            return Err(format!("expected a camera with a size, found {width}x{height}"));
        }
        // Models with one focal length have it alone before the principal point.
        let one = matches!(self.model, 0 | 2 | 3 | 8 | 9 | 12 | 14);
        let (focal, rest) = match (one, &self.params[..]) {
            (true, [f, rest @ ..]) => (DVec2::splat(*f), rest),
            (false, [x, y, rest @ ..]) => (DVec2::new(*x, *y), rest),
            _ => return Err(format!("expected parameters of {name}, found none")),
        };
        let (center, k) = (DVec2::new(rest[0], rest[1]), &rest[2..]);
        let fisheye = |radial: &[f64], tangential: [f64; 2], prism: [f64; 4], after_radial: bool| {
            let mut all = [0.0; 6];
            all[..radial.len()].copy_from_slice(radial);
            LensModel::Fisheye { radial: all, tangential, prism, after_radial }
        };
        let brown = |k1: f64, k2: f64, p1: f64, p2: f64| {
            LensModel::Brown(Coefficients { radial: [k1, k2, 0.0, 0.0], tangential: [p1, p2] })
        };
        let lens = match (name, k) {
            ("SIMPLE_PINHOLE" | "PINHOLE", _) => brown(0.0, 0.0, 0.0, 0.0),
            ("SIMPLE_RADIAL", [k]) => brown(*k, 0.0, 0.0, 0.0),
            ("RADIAL", [k1, k2]) => brown(*k1, *k2, 0.0, 0.0),
            ("OPENCV", [k1, k2, p1, p2]) => brown(*k1, *k2, *p1, *p2),
            ("FULL_OPENCV", [k1, k2, p1, p2, k3, k4, k5, k6]) => {
                LensModel::Rational { radial: [*k1, *k2, *k3, *k4, *k5, *k6], tangential: [*p1, *p2] }
            }
            ("FOV", [omega]) => LensModel::FieldOfView { omega: *omega },
            ("SIMPLE_DIVISION" | "DIVISION", [k]) => LensModel::Division { k: *k },
            ("EUCM", [alpha, beta]) => LensModel::Unified { alpha: *alpha, beta: *beta },
            ("THIN_PRISM_FISHEYE", [k1, k2, p1, p2, k3, k4, sx, sy]) => {
                fisheye(&[*k1, *k2, *k3, *k4], [*p1, *p2], [*sx, 0.0, *sy, 0.0], false)
            }
            ("RAD_TAN_THIN_PRISM_FISHEYE", [radial @ .., p0, p1, s0, s1, s2, s3]) => {
                fisheye(radial, [*p0, *p1], [*s0, *s1, *s2, *s3], true)
            }
            // The others are fisheyes with as many coefficients as there are.
            _ => fisheye(k, [0.0; 2], [0.0; 4], false),
        };
        let size = Some(DVec2::new(width as f64, height as f64));
        Ok(Intrinsics { size, focal, center: Some(center), lens: lens.into() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers of COLMAP's own code (pycolmap 4.2.1, `Camera.img_from_cam`) for the rays (0.3, −0.2, 1) and (−0.7, 0.45, 1).
    #[test]
    fn every_model_sees_rays_where_colmap_does() {
        let cases: [(&str, &[f64], [f64; 4]); 17] = [
            ("SIMPLE_RADIAL", &[98.0, 101.0, 74.0, -0.08], [130.09424, 54.60384, 36.200440000000015, 115.65686]),
            (
                "RADIAL",
                &[98.0, 101.0, 74.0, -0.08, 0.02],
                [130.1041772, 54.597215199999994, 35.54248882500001, 116.0798286125],
            ),
            (
                "OPENCV",
                &[98.0, 97.0, 101.0, 74.0, -0.08, 0.02, 0.004, -0.003],
                [129.9659972, 54.9116028, 34.803813825000006, 116.25960260625],
            ),
            (
                "OPENCV_FISHEYE",
                &[98.0, 97.0, 101.0, 74.0, -0.03, 0.01, -0.004, 0.001],
                [129.11947814786276, 55.444970201750415, 44.502291048228685, 109.94934396129473],
            ),
            (
                "FULL_OPENCV",
                &[98.0, 97.0, 101.0, 74.0, -0.08, 0.02, 0.004, -0.003, 0.01, 0.05, -0.01, 0.002],
                [129.7834134285225, 55.0320832478457, 36.51971097225406, 115.16778175380628],
            ),
            (
                "FOV",
                &[98.0, 97.0, 101.0, 74.0, 0.7],
                [130.98227485999894, 54.2157778134701, 36.70776282396402, 114.90898181827946],
            ),
            (
                "SIMPLE_RADIAL_FISHEYE",
                &[98.0, 101.0, 74.0, -0.03],
                [129.1156199267787, 55.256253382147534, 44.6125504938547, 110.24907468252198],
            ),
            (
                "RADIAL_FISHEYE",
                &[98.0, 101.0, 74.0, -0.03, 0.01],
                [129.11966615768762, 55.25355589487492, 44.47979133432736, 110.33441985650384],
            ),
            (
                "THIN_PRISM_FISHEYE",
                &[98.0, 97.0, 101.0, 74.0, -0.03, 0.01, 0.004, -0.003, -0.004, 0.001, 0.002, -0.001],
                [129.01566542853058, 55.540575544603016, 44.08288177621646, 110.32635112250301],
            ),
            (
                "RAD_TAN_THIN_PRISM_FISHEYE",
                &[
                    98.0, 97.0, 101.0, 74.0, -0.03, 0.01, -0.004, 0.001, -0.0005, 0.0002, 0.004, -0.003, 0.002, -0.001,
                    0.0015, 0.0005,
                ],
                [129.28483917128148, 55.364464437945855, 45.143649734611756, 109.64558633049481],
            ),
            (
                "SIMPLE_DIVISION",
                &[98.0, 101.0, 74.0, -0.1],
                [130.0274255562083, 54.64838296252779, 36.588192499614706, 115.40759053596199],
            ),
            (
                "DIVISION",
                &[98.0, 97.0, 101.0, 74.0, -0.1],
                [130.0274255562083, 54.845848442502, 36.588192499614706, 114.98506410192155],
            ),
            (
                "SIMPLE_FISHEYE",
                &[98.0, 101.0, 74.0],
                [129.21698816870696, 55.18867455419536, 43.78574064348796, 110.78059530061489],
            ),
            (
                "FISHEYE",
                &[98.0, 97.0, 101.0, 74.0],
                [129.21698816870696, 55.38062685466275, 43.78574064348796, 110.40528310366983],
            ),
            (
                "EUCM",
                &[98.0, 97.0, 101.0, 74.0, 0.55, 1.1],
                [129.32338618714928, 55.3104186384117, 42.86539800348322, 110.99089471061163],
            ),
            ("SIMPLE_PINHOLE", &[98.0, 101.0, 74.0], [130.4, 54.4, 32.400000000000006, 118.1]),
            ("PINHOLE", &[98.0, 97.0, 101.0, 74.0], [130.4, 54.599999999999994, 32.400000000000006, 117.65]),
        ];
        for (name, params, expected) in cases {
            let model = MODELS.iter().position(|(known, _)| *known == name).unwrap();
            let camera = ModelCamera { model, size: [200, 150], params: params.to_vec() };
            let Intrinsics { focal, center, lens, .. } = camera.intrinsics().unwrap();
            for (ray, seen) in [(DVec2::new(0.3, -0.2), &expected[..2]), (DVec2::new(-0.7, 0.45), &expected[2..])] {
                let found = center.unwrap() + focal * lens.distort(ray);
                assert!((found - DVec2::new(seen[0], seen[1])).length() < 1e-9, "{name} {ray}: {found} {seen:?}");
            }
        }
    }

    #[test]
    fn cameras_that_are_none_are_refused() {
        let camera =
            |model: usize, size: [u64; 2], params: &[f64]| ModelCamera { model, size, params: params.to_vec() };
        for (camera, said) in [
            (camera(17, [200, 100], &[200.0, 100.0]), "EQUIRECTANGULAR"),
            (camera(1, [200, 100], &[200.0, f64::NAN, 100.0, 50.0]), "4 finite parameters of PINHOLE"),
            (camera(1, [200, 100], &[200.0]), "4 finite parameters"),
            (camera(0, [0, 100], &[200.0, 1.0, 1.0]), "0x100"),
        ] {
            let message = camera.intrinsics().unwrap_err();
            assert!(message.contains(said), "{message}");
        }
    }
}
