//! Pinhole cameras and rays.
//!
//! Axes of a camera: x right, y down, z forward (OpenCV). Pixel coordinates are integers **at pixel centres**, as in
//! the GNT code: the ray of pixel (0, 0) goes through `u = 0, v = 0`. The image reaches from −½ to `width` − ½, so that its
//! middle is at (`width` − 1) / 2.
//!
//! Files (COLMAP, LLFF, nerfstudio, instant-ngp, Blender) count from the image's corner instead, and have its middle at
//! `width` / 2. [`center_from_corner`] is the one place where the half pixel is taken off.

use crate::{Error, Result, pose};
use glam::{DVec2, Mat3, Mat4, Vec2, Vec3};

/// A principal point in this crate's coordinates, integers at pixel centres, from one that is counted from the image's
/// corner, both in pixels.
pub fn center_from_corner(corner: DVec2) -> DVec2 {
    corner - 0.5
}

/// The middle of an image in this crate's coordinates.
pub fn middle(width: u32, height: u32) -> Vec2 {
    center_from_corner(DVec2::new(width.into(), height.into()) * 0.5).as_vec2()
}

/// A ray in world space.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ray {
    /// Camera centre.
    pub origin: Vec3,
    /// Direction, not normalised: its component along the optical axis is 1, so that the ray parameter is z-depth.
    pub direction: Vec3,
}

/// A pinhole camera with its pose; right-handed, x right, y down, z forward.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Camera {
    /// Image width in pixels.
    pub width: u32,
    /// Image height in pixels.
    pub height: u32,
    /// Focal lengths in pixels; x may be negative for mirrored images.
    pub focal: Vec2,
    /// Principal point in pixels.
    pub center: Vec2,
    /// Camera-to-world transform; its columns are the camera's right, down and forward axes and its centre.
    pub world_from_camera: Mat4,
}

impl Camera {
    /// Camera centre in world space.
    pub fn origin(&self) -> Vec3 {
        self.world_from_camera.w_axis.truncate()
    }

    /// Forward (optical) axis in world space.
    pub fn forward(&self) -> Vec3 {
        self.world_from_camera.z_axis.truncate()
    }

    /// Ray through `pixel` (integers are pixel centres).
    pub fn ray(&self, pixel: Vec2) -> Ray {
        let local = ((pixel - self.center) / self.focal).extend(1.0);
        Ray { origin: self.origin(), direction: Mat3::from_mat4(self.world_from_camera) * local }
    }

    /// Homogeneous projection `K · camera_from_world`: `(x·z, y·z, z, 1)` of a world point.
    pub fn pixel_from_world(&self) -> Mat4 {
        let k = Mat4::from_cols_array_2d(&[
            [self.focal.x, 0.0, 0.0, 0.0],
            [0.0, self.focal.y, 0.0, 0.0],
            [self.center.x, self.center.y, 1.0, 0.0],
            [0.0, 0.0, 0.0, 1.0],
        ]);
        k * self.world_from_camera.inverse()
    }

    /// The same camera with another image size; the field of view in x and y is kept, and corners stay corners.
    pub fn resized(&self, width: u32, height: u32) -> Self {
        let scale = Vec2::new(width as f32 / self.width as f32, height as f32 / self.height as f32);
        Self { width, height, focal: self.focal * scale, center: (self.center + 0.5) * scale - 0.5, ..*self }
    }

    /// Checks that the camera can be rendered from or to.
    ///
    /// # Errors
    /// [`Error::Camera`] naming `what` if a number is not finite, the size or a focal length is zero, or the axes are
    /// not orthonormal and right-handed to within 1 %.
    pub fn validate(&self, what: &str) -> Result<()> {
        let fail = |problem: String| Err(Error::Camera { what: what.to_owned(), problem });
        if self.width == 0 || self.height == 0 {
            return fail(format!("expected a positive image size, found {}x{}", self.width, self.height));
        }
        if !self.focal.is_finite() || self.focal.x == 0.0 || self.focal.y == 0.0 || !self.center.is_finite() {
            return fail(format!("expected finite intrinsics, found focal {} and centre {}", self.focal, self.center));
        }
        pose::check_rigid(self.world_from_camera.as_dmat4()).or_else(fail)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The rays through an image's corners and its middle do not depend on its size.
    #[test]
    fn corners_stay_corners_at_every_size() {
        let whole = Camera {
            width: 62,
            height: 34,
            focal: Vec2::new(50.0, 52.0),
            center: middle(62, 34) + Vec2::new(3.0, -2.0),
            world_from_camera: Mat4::from_rotation_y(0.3),
        };
        for (width, height) in [(31, 17), (124, 68), (7, 90), (1, 1)] {
            let other = whole.resized(width, height);
            for part in [Vec2::ZERO, Vec2::ONE, Vec2::splat(0.5), Vec2::new(0.2, 0.7)] {
                let at = |c: &Camera| c.ray(part * Vec2::new(c.width as f32, c.height as f32) - 0.5).direction;
                assert!((at(&other) - at(&whole)).length() < 1e-5, "{width}x{height} {part}");
            }
            let back = other.resized(62, 34);
            assert!((back.center - whole.center).length() < 1e-4 && (back.focal - whole.focal).length() < 1e-4);
        }
        // One pixel of the small image is four of the large one: its centre is the corner between them.
        let small = Camera { center: middle(62, 34), ..whole }.resized(31, 17);
        assert_eq!(small.center, middle(31, 17));
        assert_eq!(middle(2, 1), Vec2::new(0.5, 0.0));
    }
}
