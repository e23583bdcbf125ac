//! Pinhole cameras and rays.
//!
//! Axes of a camera: x right, y down, z forward (OpenCV). Pixel coordinates are integers **at pixel centres**, as in
//! the GNT code: the ray of pixel (0, 0) goes through `u = 0, v = 0`, without a half-pixel offset.

use crate::{Error, Result};
use glam::{Mat3, Mat4, Vec2, Vec3};

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

    /// The same camera with another image size; the field of view in x and y is kept.
    pub fn resized(&self, width: u32, height: u32) -> Self {
        let scale = Vec2::new(width as f32 / self.width as f32, height as f32 / self.height as f32);
        Self { width, height, focal: self.focal * scale, center: self.center * scale, ..*self }
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
        if !self.world_from_camera.is_finite() {
            return fail("expected a finite pose, found NaN or infinity".to_owned());
        }
        let axes = Mat3::from_mat4(self.world_from_camera);
        let off = (axes.transpose() * axes - Mat3::IDENTITY).to_cols_array().iter().fold(0.0f32, |m, v| m.max(v.abs()));
        if off > 0.01 || axes.determinant() < 0.0 {
            return fail(format!(
                "expected orthonormal right-handed axes, found a deviation of {off:.3} and determinant {:.3}",
                axes.determinant()
            ));
        }
        Ok(())
    }
}
