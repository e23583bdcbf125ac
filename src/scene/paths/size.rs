//! Frames of another size: never stretched.

use crate::Camera;
use glam::{DVec2, Vec2};

/// Cut below which the field of view counts as the same: sizes are whole pixels.
const SAME: f64 = 0.01;

/// What a change of size did to the picture: the part of its width and of its height that was cut off.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Cropped {
    /// Part of the width.
    pub width: f64,
    /// Part of the height.
    pub height: f64,
}

impl Cropped {
    /// In words: `same field of view` or `height cropped by 12 %`.
    pub fn words(self) -> String {
        match (self.width > SAME, self.height > SAME) {
            (true, _) => format!("width cropped by {:.0} %", 100.0 * self.width),
            (_, true) => format!("height cropped by {:.0} %", 100.0 * self.height),
            _ => "same field of view".into(),
        }
    }
}

/// The camera with pictures of `width` by `height` pixels: scaled by the larger of the two factors, so that pixels keep
/// their shape, and cropped evenly on both sides of what is then too long.
///
/// Pixel coordinates are integers at pixel centres: scaling by `s` takes `c` to `(c + 1/2)·s − 1/2`.
pub fn fitted(camera: &Camera, width: u32, height: u32) -> (Camera, Cropped) {
    let old = DVec2::new(camera.width.into(), camera.height.into());
    let new = DVec2::new(width.into(), height.into());
    let scale = (new / old).max_element();
    let cut = old * scale - new;
    let center = (camera.center.as_dvec2() + 0.5) * scale - 0.5 - 0.5 * cut;
    let focal: Vec2 = (camera.focal.as_dvec2() * scale).as_vec2();
    let part = cut / (old * scale);
    (Camera { width, height, focal, center: center.as_vec2(), ..*camera }, Cropped { width: part.x, height: part.y })
}

/// The camera with another vertical field of view, in degrees; pixels keep their shape.
///
/// # Errors
/// Says what was expected and found, for an angle that is not between 0 and 180 degrees.
pub fn with_fov(camera: &Camera, fov: f64) -> Result<Camera, String> {
    if !(fov > 0.0 && fov < 180.0) {
        return Err(format!("expected a vertical field of view between 0 and 180 degrees, found {fov}"));
    }
    let focal = (0.5 * f64::from(camera.height) / (0.5 * fov.to_radians()).tan()) as f32;
    Ok(Camera { focal: camera.focal * (focal / camera.focal.y.abs()), ..*camera })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;
    use glam::Vec3;

    #[test]
    fn pixels_stay_square_and_what_is_too_long_is_cropped() {
        let camera = Camera { width: 504, height: 378, center: Vec2::new(251.5, 188.5), ..testing::camera(Vec3::ZERO) };
        let (half, cropped) = fitted(&camera, 252, 189);
        assert_eq!((half.focal, half.center, cropped), (Vec2::splat(10.0), Vec2::new(125.5, 94.0), Cropped::default()));
        assert_eq!(cropped.words(), "same field of view");
        let (wide, cropped) = fitted(&camera, 504, 189);
        assert_eq!((wide.focal, wide.center), (camera.focal, Vec2::new(251.5, 94.0)));
        assert_eq!(cropped.words(), "height cropped by 50 %");
        let (tall, cropped) = fitted(&camera, 252, 378);
        assert_eq!((tall.focal, tall.center), (camera.focal, Vec2::new(125.5, 188.5)));
        assert_eq!(cropped.words(), "width cropped by 50 %");
        assert_eq!(fitted(&camera, 640, 480).1.words(), "same field of view");
        assert_eq!(fitted(&camera, 504, 378).0, camera);
    }

    #[test]
    fn a_field_of_view_is_vertical_and_keeps_the_shape_of_pixels() {
        let camera = Camera { focal: Vec2::new(-20.0, 10.0), height: 20, ..testing::camera(Vec3::ZERO) };
        let wide = with_fov(&camera, 90.0).unwrap();
        assert!((wide.focal - Vec2::new(-20.0, 10.0)).length() < 1e-4, "{}", wide.focal);
        assert!((with_fov(&camera, 53.130_102_354).unwrap().focal.y - 20.0).abs() < 1e-4);
        assert_eq!((wide.center, wide.width), (camera.center, camera.width));
        for wrong in [0.0, 180.0, -3.0, f64::NAN] {
            assert!(with_fov(&camera, wrong).unwrap_err().contains("between 0 and 180"));
        }
    }

    /// A pixel of half the size lies in the middle of the four that it stands for, and the middle stays the middle.
    #[test]
    fn rays_do_not_shift() {
        let camera = Camera { width: 30, height: 20, center: Vec2::new(13.0, 11.0), ..testing::camera(Vec3::Y) };
        let (half, _) = fitted(&camera, 15, 10);
        for (x, y) in [(0.0, 0.0), (7.0, 3.0), (14.0, 9.0)] {
            let four = camera.ray(Vec2::new(2.0 * x + 0.5, 2.0 * y + 0.5));
            assert!((half.ray(Vec2::new(x, y)).direction - four.direction).length() < 1e-6);
        }
        let middle_of = |camera: &Camera| camera.ray(crate::middle(camera.width, camera.height)).direction;
        for (width, height) in [(15, 10), (60, 20), (7, 33)] {
            let (other, _) = fitted(&camera, width, height);
            assert!((middle_of(&other) - middle_of(&camera)).length() < 1e-6, "{width}x{height}");
        }
    }
}
