//! A path through the cameras of the photographs.

use super::Frame;
use crate::{Camera, Error, Format, Result, Scene};
use glam::{DMat3, DMat4, DQuat, DVec3};

/// `count` frames from the first view's camera to the last one's, in order: centres on a Catmull-Rom spline, rotations
/// by spherical interpolation, intrinsics by linear interpolation.
///
/// Blender scenes use the training views only, since the test views start over.
///
/// # Errors
/// [`Error::Scene`] if the scene has no views.
pub fn frames(scene: &Scene, count: usize) -> Result<Vec<Frame>> {
    let ids: Vec<usize> = match scene.format {
        Format::Llff | Format::Nerfstudio => (0..scene.views.len()).collect(),
        Format::Blender => scene.source_ids.clone(),
    };
    let keys: Vec<Camera> = ids.iter().map(|&i| scene.views[i].camera).collect();
    if keys.is_empty() {
        return Err(Error::Scene(format!("{}: expected views to interpolate between, found none", scene.name)));
    }
    let last_frame = count.saturating_sub(1).max(1) as f64;
    Ok(super::numbered((0..count).map(|i| at(&keys, (keys.len() - 1) as f64 * i as f64 / last_frame))))
}

/// Camera at `position`, where whole numbers are the keys.
fn at(keys: &[Camera], position: f64) -> Camera {
    let last = keys.len() - 1;
    let from = (position.floor() as usize).min(last);
    let to = (from + 1).min(last);
    let t = (position - from as f64).clamp(0.0, 1.0);
    let center = |i: usize| keys[i].origin().as_dvec3();
    let center = catmull_rom([center(from.saturating_sub(1)), center(from), center(to), center((to + 1).min(last))], t);
    let rotation = rotation(&keys[from]).slerp(rotation(&keys[to]), t);
    Camera {
        focal: keys[from].focal.lerp(keys[to].focal, t as f32),
        center: keys[from].center.lerp(keys[to].center, t as f32),
        world_from_camera: DMat4::from_rotation_translation(rotation, center).as_mat4(),
        ..keys[from]
    }
}

fn rotation(camera: &Camera) -> DQuat {
    DQuat::from_mat3(&DMat3::from_mat4(camera.world_from_camera.as_dmat4())).normalize()
}

/// Uniform Catmull-Rom spline from the second to the third point.
fn catmull_rom([a, b, c, d]: [DVec3; 4], t: f64) -> DVec3 {
    let linear = c - a;
    let square = 2.0 * a - 5.0 * b + 4.0 * c - d;
    let cube = 3.0 * (b - c) + d - a;
    b + 0.5 * t * (linear + t * (square + t * cube))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;
    use glam::{Mat4, Vec3};

    #[test]
    fn passes_through_every_view() {
        let mut scene = testing::scene(&[Vec3::ZERO, Vec3::X, Vec3::new(2.0, 3.0, 0.0), Vec3::Z]);
        scene.views[2].camera.world_from_camera *= Mat4::from_rotation_y(0.7);
        scene.views[2].camera.focal *= 1.5;
        let path = frames(&scene, 7).unwrap();
        for (view, frame) in scene.views.iter().zip(path.iter().step_by(2)) {
            let (a, b) = (view.camera, frame.camera);
            let off = (a.world_from_camera - b.world_from_camera).to_cols_array();
            assert!(off.iter().all(|v| v.abs() < 1e-6), "{off:?}");
            assert!((a.focal - b.focal).length() < 1e-4);
        }
        for frame in &path {
            frame.camera.validate(&frame.name).unwrap();
        }
    }

    #[test]
    fn even_motion_stays_even() {
        let scene = testing::scene(&[Vec3::ZERO, Vec3::X, Vec3::X * 2.0, Vec3::X * 3.0]);
        // Away from the ends, where the spline has no neighbour to continue from.
        let camera = at(&scene.views.iter().map(|v| v.camera).collect::<Vec<_>>(), 1.25);
        assert!((camera.origin() - Vec3::X * 1.25).length() < 1e-6);
    }

    #[test]
    fn one_view_or_one_frame_is_enough() {
        let scene = testing::scene(&[Vec3::Y]);
        assert!(frames(&scene, 3).unwrap().iter().all(|f| f.camera.origin() == Vec3::Y));
        let scene = testing::scene(&[Vec3::Y, Vec3::X]);
        assert_eq!(frames(&scene, 1).unwrap()[0].camera.origin(), Vec3::Y);
    }
}
