//! A circle around the point that the cameras look at.

use super::Frame;
use crate::pose::{Mean, axes_meet, flip_axes, look_along, opengl_pose};
use crate::{Error, Result, Scene};
use glam::{DMat3, DMat4, DVec3};

/// Least spread of the optical axes, for [`axes_meet`]; reached by axes within about half a degree of each other, whose
/// point of closest approach would be noise.
const SPREAD: f64 = 1e-4;

/// One turn of `count` frames around the point of closest approach of all optical axes, at the cameras' mean radius
/// and height, starting where the first view stands and looking at that point.
///
/// # Errors
/// [`Error::Scene`] if the optical axes do not meet in front of the cameras, or the cameras have no common up.
pub fn frames(scene: &Scene, count: usize) -> Result<Vec<Frame>> {
    let fail = |problem: &str| Error::Scene(format!("{}: an orbit needs {problem}", scene.name));
    let template = super::template(scene)?;
    let poses: Vec<DMat4> = scene.views.iter().map(|v| opengl_pose(v.camera.world_from_camera)).collect();
    let focus = axes_meet(&poses, SPREAD).ok_or_else(|| fail("cameras that look at one place, not parallel ones"))?;
    let in_front: f64 = poses.iter().map(|p| (p.w_axis.truncate() - focus).dot(p.z_axis.truncate())).sum();
    if in_front <= 0.0 {
        return Err(fail("cameras that look at one place, found ones that look apart"));
    }
    let up = Mean::of(&poses).up;
    if up.length() < 1e-3 * poses.len() as f64 {
        return Err(fail("cameras with a common up direction"));
    }
    let up = level_up(&poses, up.normalize()).ok_or_else(|| fail("cameras with a common up direction"))?;
    let offsets: Vec<DVec3> = poses.iter().map(|p| p.w_axis.truncate() - focus).collect();
    let mean = |f: &dyn Fn(&DVec3) -> f64| offsets.iter().map(f).sum::<f64>() / offsets.len() as f64;
    let height = mean(&|o| o.dot(up));
    let radius = mean(&|o| o.reject_from_normalized(up).length());
    let outward = offsets[0].reject_from_normalized(up);
    let start = if outward.length() > 1e-6 { outward.normalize() } else { up.any_orthonormal_vector() };
    let side = up.cross(start);

    let mut cameras = Vec::with_capacity(count);
    for i in 0..count {
        let angle = std::f64::consts::TAU * i as f64 / count as f64;
        let offset = (start * angle.cos() + side * angle.sin()) * radius + up * height;
        let pose = look_along(offset, up, focus + offset).ok_or_else(|| fail("cameras beside the place, not above"))?;
        let mut camera = template;
        camera.world_from_camera = flip_axes(pose).as_mat4();
        cameras.push(camera);
    }
    Ok(super::numbered(cameras))
}

/// The up direction that is most nearly perpendicular to all cameras' right axes.
///
/// The cameras' own up axes lean over where they look down, and over a part of a circle that does not average out;
/// people hold cameras level, so the right axes are the better witness. Where these say nothing, as for cameras that
/// all face one way, the result stays near `mean_up`.
fn level_up(poses: &[DMat4], mean_up: DVec3) -> Option<DVec3> {
    // Weight of the mean against the right axes: the square of an unsteady hand's 2 degrees.
    const PRIOR: f64 = 1e-3;
    let mut matrix = DMat3::IDENTITY * (PRIOR * poses.len() as f64);
    for pose in poses {
        let right = pose.x_axis.truncate();
        matrix += DMat3::from_cols(right * right.x, right * right.y, right * right.z);
    }
    let inverse = matrix.inverse();
    // Steps of the inverse power iteration; each gains the ratio of the prior to the spread of the right axes.
    (0..3).try_fold(mean_up, |up, _| (inverse * up).try_normalize())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;
    use glam::Vec3;

    fn ring(center: DVec3, radius: f64, height: f64, outward: f64) -> Scene {
        let camera = |i: usize| {
            let angle = 0.3 + 0.5 * i as f64;
            let offset = DVec3::new(radius * angle.cos(), radius * angle.sin(), height);
            let pose = look_along(offset * outward, DVec3::Z, center + offset).unwrap();
            let mut camera = testing::camera(Vec3::ZERO);
            camera.world_from_camera = flip_axes(pose).as_mat4();
            camera
        };
        testing::scene_of((0..5).map(camera).collect())
    }

    #[test]
    fn circles_the_common_point() {
        let center = DVec3::new(1.0, -2.0, 0.5);
        let scene = ring(center, 4.0, 3.0, 1.0);
        let path = frames(&scene, 9).unwrap();
        assert!((path[0].camera.origin() - scene.views[0].camera.origin()).length() < 1e-4);
        for frame in &path {
            frame.camera.validate(&frame.name).unwrap();
            let to_center = center.as_vec3() - frame.camera.origin();
            assert!((to_center.length() - 5.0).abs() < 1e-4);
            assert!((to_center.normalize() - frame.camera.forward()).length() < 1e-4);
        }
    }

    #[test]
    fn parallel_and_diverging_cameras_are_refused() {
        let parallel = testing::scene(&[Vec3::X, Vec3::Y, -Vec3::X]);
        assert!(frames(&parallel, 3).unwrap_err().to_string().contains("parallel"));
        let apart = ring(DVec3::ZERO, 4.0, 1.0, -1.0);
        assert!(frames(&apart, 3).unwrap_err().to_string().contains("apart"));
    }
}
