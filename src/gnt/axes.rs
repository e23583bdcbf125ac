//! The axes in which a network is told directions and places.

use glam::{DMat3, DMat4, DVec3};
use scene::Camera;
use serde::{Deserialize, Serialize};

/// The frame that a network's directions are given in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Axes {
    /// The scene's world (GNT): a picture depends on how the world is turned.
    #[default]
    World,
    /// The rendered camera's own: x right, y up, z backwards, the camera in the origin. A picture depends only on where
    /// cameras stand towards each other.
    Target,
}

impl Axes {
    /// `camera` in the frame in which `target` is rendered; worked out in f64.
    pub fn place(self, target: &Camera, camera: &Camera) -> Camera {
        match self {
            Self::World => *camera,
            Self::Target => {
                let from_world = target_from_world(target);
                let pose = from_world * camera.world_from_camera.as_dmat4();
                Camera { world_from_camera: pose.as_mat4(), ..*camera }
            }
        }
    }
}

/// From the world to the target camera's frame: x right, y up, z backwards.
fn target_from_world(target: &Camera) -> DMat4 {
    let pose = target.world_from_camera.as_dmat4();
    let [right, down, forward] = [pose.x_axis, pose.y_axis, pose.z_axis].map(|axis| axis.truncate().normalize());
    let turn = DMat3::from_cols(right, -down, -forward).transpose();
    let origin: DVec3 = -(turn * pose.w_axis.truncate());
    let mut matrix = DMat4::from_mat3(turn);
    matrix.w_axis = origin.extend(1.0);
    matrix
}

#[cfg(test)]
mod tests {
    use super::*;
    use glam::{Mat4, Quat, Vec2, Vec3};

    fn camera(turn: Quat, center: Vec3) -> Camera {
        Camera {
            width: 31,
            height: 17,
            focal: Vec2::splat(20.0),
            center: Vec2::new(15.0, 8.0),
            world_from_camera: Mat4::from_rotation_translation(turn, center),
        }
    }

    #[test]
    fn the_target_stands_in_the_origin_and_looks_along_minus_z() {
        let target = camera(Quat::from_euler(glam::EulerRot::XYZ, 0.3, -1.2, 2.0), Vec3::new(4.0, -2.0, 9.0));
        let placed = Axes::Target.place(&target, &target);
        assert!(placed.origin().length() < 1e-6 && (placed.forward() + Vec3::Z).length() < 1e-6, "{placed:?}");
        // The camera's down axis is the second column.
        assert!((placed.world_from_camera.y_axis.truncate() + Vec3::Y).length() < 1e-6);
        assert_eq!(Axes::World.place(&target, &target), target);
    }

    /// What one camera sees of another's ray is the same before and after.
    #[test]
    fn pixels_stay_where_they_are() {
        let target = camera(Quat::from_rotation_y(0.4), Vec3::new(1.0, 2.0, 3.0));
        let source = camera(Quat::from_rotation_x(-0.2), Vec3::new(0.5, 2.5, 2.0));
        let pixel = |target: Camera, source: Camera| {
            let ray = target.ray(Vec2::new(3.0, 11.0));
            let q = source.pixel_from_world() * (ray.origin + 5.0 * ray.direction).extend(1.0);
            Vec2::new(q.x, q.y) / q.z
        };
        let placed = [target, source].map(|camera| Axes::Target.place(&target, &camera));
        assert!((pixel(target, source) - pixel(placed[0], placed[1])).length() < 1e-3);
    }
}
