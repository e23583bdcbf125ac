//! Spiral around the average camera of a forward-facing scene.

use super::Frame;
use crate::pose::{Mean, flip_axes, look_along, opengl_pose};
use crate::{Error, Format, Result, Scene};
use glam::{DMat4, DVec3, DVec4};

/// Turns of the usual spiral.
pub const DEFAULT_TURNS: f64 = 2.0;

/// `count` frames over `turns` turns; the last frame stops short of the first one's place, so that it can be looped.
///
/// The extent along each axis of the average camera is the 90th percentile of the cameras' distances from it, and all
/// frames look at one point at a depth between the near and far bounds. The view nearest the average camera is
/// excluded from the sources.
///
/// # Errors
/// [`Error::Scene`] if the scene is not forward-facing or has no usable average camera, or `turns` is not finite.
pub fn frames(scene: &Scene, count: usize, turns: f64) -> Result<Vec<Frame>> {
    let fail = |problem: &str| Error::Scene(format!("{}: {problem}", scene.name));
    if scene.format != Format::Llff {
        return Err(fail("a spiral needs a forward-facing scene; expected orbit, test or interpolate for this one"));
    }
    if !turns.is_finite() {
        return Err(fail("expected a finite number of turns"));
    }
    let template = super::template(scene)?;
    let poses: Vec<DMat4> = scene.views.iter().map(|v| opengl_pose(v.camera.world_from_camera)).collect();
    let mean = Mean::of(&poses);
    let average = mean.pose().ok_or_else(|| fail("a spiral needs cameras that look roughly the same way"))?;
    let radii = DVec3::from_array([0, 1, 2].map(|axis| percentile_90(poses.iter().map(|p| p.w_axis[axis].abs()))));
    let (close, far) = (0.9 * f64::from(scene.near), 5.0 * f64::from(scene.far));
    let focus_depth = 1.0 / (0.25 / close + 0.75 / far);
    let focus = average.transform_point3(DVec3::new(0.0, 0.0, -focus_depth));

    let mut cameras = Vec::with_capacity(count);
    for i in 0..count {
        let angle = std::f64::consts::TAU * turns * i as f64 / count as f64;
        let offset = DVec4::new(angle.cos(), -angle.sin(), -(0.5 * angle).sin(), 1.0) * radii.extend(1.0);
        let center = (average * offset).truncate();
        let pose = look_along(center - focus, mean.up, center)
            .ok_or_else(|| fail("a spiral frame would look along the up axis"))?;
        let mut camera = template;
        camera.world_from_camera = flip_axes(pose).as_mat4();
        cameras.push(camera);
    }
    let distance = |i: &usize| poses[*i].w_axis.truncate().distance_squared(mean.center);
    let central = (0..poses.len()).min_by(|a, b| distance(a).total_cmp(&distance(b)));
    let mut frames = super::numbered(cameras);
    frames.iter_mut().for_each(|f| f.excluded = central.into_iter().collect());
    Ok(frames)
}

/// 90th percentile with linear interpolation between neighbours; 0 for no values.
fn percentile_90(values: impl Iterator<Item = f64>) -> f64 {
    let mut sorted: Vec<f64> = values.collect();
    sorted.sort_by(f64::total_cmp);
    let Some(last) = sorted.len().checked_sub(1) else { return 0.0 };
    let at = 0.9 * last as f64;
    let below = at.floor() as usize;
    let above = (below + 1).min(last);
    sorted[below] + (sorted[above] - sorted[below]) * (at - below as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;
    use glam::Vec3;

    #[test]
    fn percentile_interpolates() {
        assert_eq!(percentile_90([3.0].into_iter()), 3.0);
        assert!((percentile_90((0..=4).rev().map(f64::from)) - 3.6).abs() < 1e-12);
        assert_eq!(percentile_90(std::iter::empty()), 0.0);
    }

    #[test]
    fn any_number_of_frames_looks_at_the_focus() {
        let scene = testing::scene(&[Vec3::X, -Vec3::X, Vec3::Y, -Vec3::Y, Vec3::ZERO]);
        for count in [1, 7, 31] {
            let path = frames(&scene, count, 1.5).unwrap();
            assert_eq!(path.len(), count);
            for frame in &path {
                frame.camera.validate(&frame.name).unwrap();
                assert_eq!(frame.excluded, [4]);
                assert!(frame.camera.forward().z > 0.8, "{:?}", frame.camera);
            }
        }
        assert!(frames(&scene, 3, f64::NAN).is_err());
    }

    #[test]
    fn object_scenes_are_pointed_to_other_paths() {
        let mut scene = testing::scene(&[Vec3::X, Vec3::Y]);
        scene.format = Format::Blender;
        assert!(frames(&scene, 3, 2.0).unwrap_err().to_string().contains("orbit"));
    }
}
