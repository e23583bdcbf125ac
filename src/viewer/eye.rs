//! Where one looks from: a pose and a lens that fit any size of picture.

use glam::{DMat3, DMat4, DQuat, DVec2, DVec3};
use scene::Camera;
use scene::paths::keyframes::Key;

/// A lens, in pixels of a picture of a reference size. Pixel coordinates are integers at pixel centres.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Lens {
    /// Width and height of the reference picture.
    pub size: DVec2,
    /// Focal lengths.
    pub focal: DVec2,
    /// Principal point.
    pub center: DVec2,
}

impl Lens {
    /// A camera's own.
    pub fn of(camera: &Camera) -> Self {
        let size = DVec2::new(camera.width.into(), camera.height.into());
        Self { size, focal: camera.focal.as_dvec2(), center: camera.center.as_dvec2() }
    }

    /// Vertical field of view of the reference picture, in degrees.
    pub fn fov_degrees(&self) -> f64 {
        2.0 * (0.5 * self.size.y / self.focal.y).atan().to_degrees()
    }

    /// The same with another vertical field of view in degrees; pixels keep their shape.
    #[must_use]
    pub fn with_fov_degrees(self, fov: f64) -> Self {
        let focal = 0.5 * self.size.y / (0.5 * fov.clamp(2.0, 150.0).to_radians()).tan();
        Self { focal: self.focal * (focal / self.focal.y), ..self }
    }
}

/// A pose with a lens.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Eye {
    /// The camera's centre.
    pub center: DVec3,
    /// World from camera: x right, y down, z forward.
    pub rotation: DQuat,
    /// The lens.
    pub lens: Lens,
}

impl Eye {
    /// Where a camera stands.
    pub fn of(camera: &Camera) -> Self {
        let pose = camera.world_from_camera.as_dmat4();
        let rotation = DQuat::from_mat3(&DMat3::from_mat4(pose)).normalize();
        Self { center: pose.w_axis.truncate(), rotation, lens: Lens::of(camera) }
    }

    /// As a key frame.
    pub fn key(&self) -> Key {
        let Lens { size, focal, center: principal } = self.lens;
        Key { center: self.center, rotation: self.rotation, size, focal, principal }
    }

    /// From a key frame.
    pub fn of_key(key: Key) -> Self {
        let Key { center, rotation, size, focal, principal } = key;
        Self { center, rotation, lens: Lens { size, focal, center: principal } }
    }

    /// Forward (optical) axis.
    pub fn forward(&self) -> DVec3 {
        self.rotation * DVec3::Z
    }

    /// The camera of a picture of `size` pixels, which shows all of the reference picture, in its middle.
    pub fn camera(&self, (width, height): (u32, u32)) -> Camera {
        let Lens { size: reference, focal, center } = self.lens;
        let size = DVec2::new(width.into(), height.into());
        let scale = (size / reference).min_element();
        let center = (center + 0.5) * scale - 0.5 + 0.5 * (size - reference * scale);
        Camera {
            width,
            height,
            focal: (focal * scale).as_vec2(),
            center: center.as_vec2(),
            world_from_camera: DMat4::from_rotation_translation(self.rotation, self.center).as_mat4(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use glam::Vec2;

    fn camera() -> Camera {
        Camera {
            width: 60,
            height: 40,
            focal: Vec2::new(50.0, 52.0),
            center: Vec2::new(28.0, 20.5),
            world_from_camera: glam::Mat4::from_rotation_translation(
                glam::Quat::from_rotation_y(0.4),
                glam::Vec3::new(1.0, -2.0, 0.5),
            ),
        }
    }

    #[test]
    fn at_its_own_size_a_camera_comes_back() {
        let camera = camera();
        let back = Eye::of(&camera).camera((60, 40));
        assert_eq!((back.focal, back.center, back.width, back.height), (camera.focal, camera.center, 60, 40));
        let off = back.world_from_camera - camera.world_from_camera;
        assert!(off.to_cols_array().iter().all(|v| v.abs() < 1e-6));
    }

    /// A wide window shows more at the sides, a tall one above and below; what the photograph shows stays in the middle.
    #[test]
    fn other_shapes_show_all_of_the_photograph() {
        let camera = camera();
        let eye = Eye::of(&camera);
        for (size, scale, left, top) in [((240, 80), 2.0, 60.0, 0.0), ((30, 100), 0.5, 0.0, 40.0)] {
            let other = eye.camera(size);
            for pixel in [Vec2::new(-0.5, -0.5), Vec2::new(59.5, 39.5), Vec2::new(20.0, 10.0)] {
                let there = (pixel + 0.5) * scale - 0.5 + Vec2::new(left, top);
                assert!((other.ray(there).direction - camera.ray(pixel).direction).length() < 1e-5, "{size:?}");
            }
        }
    }

    #[test]
    fn fields_of_view_are_kept() {
        let lens = Lens::of(&camera());
        let wide = lens.with_fov_degrees(90.0);
        assert!((wide.fov_degrees() - 90.0).abs() < 1e-9 && (wide.focal.y - 20.0).abs() < 1e-9);
        assert!((wide.focal.x / wide.focal.y - lens.focal.x / lens.focal.y).abs() < 1e-12);
        assert!((lens.with_fov_degrees(lens.fov_degrees()).focal - lens.focal).length() < 1e-9);
    }
}
