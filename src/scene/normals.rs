//! Normals of the surfaces that a depth map shows.

use crate::{Camera, Error, Image, Result};
use glam::{Vec2, Vec3};

/// Ratio of depths of neighbouring pixels from which on they are of two surfaces, and have no common normal.
const STEP: f32 = 1.05;

/// The depth map of a camera, of every `stride`-th pixel in x and y.
#[derive(Clone, Copy, Debug)]
pub struct DepthMap<'a> {
    /// The camera, of all pixels.
    pub camera: &'a Camera,
    /// Every how many of its pixels have a depth.
    pub stride: u32,
    /// Width and height of the map.
    pub size: (u32, u32),
    /// Depth along the optical axis, `[height, width]`; none where it is not positive and finite.
    pub depth: &'a [f32],
}

impl DepthMap<'_> {
    /// The place in world space that a pixel of the map shows; none beyond the map or without a depth.
    pub fn place(&self, x: u32, y: u32) -> Option<Vec3> {
        let inside = x < self.size.0 && y < self.size.1;
        let depth = *self.depth.get(y as usize * self.size.0 as usize + x as usize).filter(|_| inside)?;
        let ray = self.camera.ray(Vec2::new(x as f32, y as f32) * self.stride as f32);
        (depth > 0.0 && depth.is_finite()).then(|| ray.origin + ray.direction * depth)
    }

    /// The unit normal in world space at a pixel, towards the camera, from its neighbours to the right and below, or to the
    /// left and above where those are of another surface; zero where there are none.
    pub fn normal(&self, x: u32, y: u32) -> Vec3 {
        let Some(place) = self.place(x, y) else { return Vec3::ZERO };
        let z = |place: Vec3| (place - self.camera.origin()).dot(self.camera.forward());
        let one_surface = |other: &Vec3| z(place).max(z(*other)) <= STEP * z(place).min(z(*other));
        // The way along an axis from its later to its earlier neighbour, or from the pixel to one of them.
        let along = |later: Option<Vec3>, earlier: Option<Vec3>| {
            let [later, earlier] = [later, earlier].map(|other| other.filter(|other| one_surface(other)));
            match (later, earlier) {
                (Some(later), _) => Some(later - place),
                (None, Some(earlier)) => Some(place - earlier),
                (None, None) => None,
            }
        };
        let before = |at: u32| at.checked_sub(1);
        let right = along(self.place(x + 1, y), before(x).and_then(|x| self.place(x, y)));
        let down = along(self.place(x, y + 1), before(y).and_then(|y| self.place(x, y)));
        let (Some(right), Some(down)) = (right, down) else { return Vec3::ZERO };
        let normal = right.cross(down).normalize_or_zero();
        // Mirrored cameras turn it round.
        if normal.dot(self.camera.origin() - place) < 0.0 { -normal } else { normal }
    }

    /// The normals as a picture: red, green and blue are (n + 1) / 2 of the axes x to the right, y up and z towards the
    /// camera, as in most normal maps; black where there is none.
    ///
    /// # Errors
    /// [`Error::Shape`] if the depths do not fit the size.
    pub fn normal_picture(&self) -> Result<Image> {
        let (width, height) = self.size;
        let expected = width as usize * height as usize;
        if self.depth.len() != expected {
            return Err(Error::Shape { what: "depths for normals".into(), expected, found: self.depth.len() });
        }
        let axes = self.camera.world_from_camera;
        let [right, down, forward] = [axes.x_axis, axes.y_axis, axes.z_axis].map(|axis| axis.truncate());
        let colour = |(x, y): (u32, u32)| match self.normal(x, y) {
            Vec3::ZERO => [0.0; 3],
            normal => [normal.dot(right), -normal.dot(down), -normal.dot(forward)].map(|n| 0.5 * n + 0.5),
        };
        Image::new(width, height, crate::image::every_pixel(self.size, 1).flat_map(colour).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::camera;
    use glam::Mat4;

    /// Depths of a plane through `point` with a normal, both in the camera's coordinates.
    fn plane(camera: &Camera, stride: u32, size: (u32, u32), point: Vec3, normal: Vec3) -> Vec<f32> {
        let local = Camera { world_from_camera: Mat4::IDENTITY, ..*camera };
        let depth = |(x, y): (u32, u32)| {
            let ray = local.ray(Vec2::new(x as f32, y as f32) * stride as f32);
            point.dot(normal) / ray.direction.dot(normal)
        };
        crate::image::every_pixel(size, 1).map(depth).collect()
    }

    #[test]
    fn a_plane_has_its_normal_everywhere_and_in_every_world() {
        let stride = 2;
        for world in [Mat4::IDENTITY, Mat4::from_rotation_y(0.7) * Mat4::from_translation(Vec3::new(3.0, 1.0, -2.0))] {
            let camera = Camera { world_from_camera: world, ..camera(Vec3::ZERO) }.resized(93, 51);
            let size = (camera.width.div_ceil(stride), camera.height.div_ceil(stride));
            // The camera's axes are right, down and forward: this one faces it, from the left and above.
            let normal = Vec3::new(-0.3, -0.4, -1.0).normalize();
            let depth = plane(&camera, stride, size, Vec3::Z * 5.0, normal);
            let map = DepthMap { camera: &camera, stride, size, depth: &depth };
            let picture = map.normal_picture().unwrap();
            for (x, y) in crate::image::every_pixel(size, 1) {
                assert!((map.normal(x, y) - world.transform_vector3(normal)).length() < 1e-3, "{x} {y}");
                let expected = Vec3::new(normal.x, -normal.y, -normal.z) * 0.5 + 0.5;
                assert!((Vec3::from(picture.pixel(x, y)) - expected).length() < 1e-3);
            }
        }
    }

    #[test]
    fn steps_between_surfaces_have_no_normal_of_their_own() {
        let camera = camera(Vec3::ZERO);
        let size = (camera.width, camera.height);
        let depth: Vec<f32> = crate::image::every_pixel(size, 1).map(|(x, _)| if x < 5 { 2.0 } else { 4.0 }).collect();
        let map = DepthMap { camera: &camera, stride: 1, size, depth: &depth };
        assert!((map.normal(4, 3) + camera.forward()).length() < 1e-4);
        assert!((map.normal(5, 3) + camera.forward()).length() < 1e-4);
        let holes = vec![f32::NAN; depth.len()];
        assert_eq!(DepthMap { depth: &holes, ..map }.normal(4, 3), Vec3::ZERO);
        assert!(DepthMap { depth: &depth[1..], ..map }.normal_picture().is_err());
    }
}
