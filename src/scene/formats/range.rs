//! Depth bounds for scenes whose files have none.
//!
//! The rule looks at the cameras only. If they look at one place, the bounds are multiples of their distances to it.
//! Otherwise, as for photographs taken all in one direction, they are multiples of the size of the region the cameras
//! stand in, since depth is seen by moving and people move about as far as suits the scene. Samples are spread evenly in
//! inverse depth, so that a far bound that is too far costs little; a near bound that is too near costs more, one that
//! is too far loses what is in front of it.

use crate::pose::axes_meet;
use glam::{DMat4, DVec3};

/// Least spread of the optical axes of cameras around a place, for [`axes_meet`]: they turn by about 13 degrees from
/// their mean. The LLFF scenes, which are forward-facing, have 0.001 to 0.02; captures around an object 0.2 and more.
const SPREAD: f64 = 0.05;
/// Near bound of a place that is looked at, by the distance of the nearest camera. The object reaches half-way.
const NEAR_OF_NEAREST: f64 = 0.5;
/// Far bound of a place that is looked at, by the distance of the farthest camera.
const FAR_OF_FARTHEST: f64 = 8.0;
/// Near bound by the extent of the cameras. The LLFF scenes' own bounds are at 0.8 to 1.9.
const NEAR_OF_EXTENT: f64 = 0.75;
/// Far bound by the extent of the cameras. The LLFF scenes' own bounds are at 7 to 19.
const FAR_OF_EXTENT: f64 = 20.0;
/// Part of the cameras that may be anywhere: strays are not to decide.
const STRAY: f64 = 0.05;

/// What the cameras tell about a scene; lengths in the units of the poses.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Range {
    /// The place that the cameras look at.
    pub focus: Option<DVec3>,
    /// Near bound.
    pub near: f64,
    /// Far bound.
    pub far: f64,
}

impl Range {
    /// Bounds from poses in OpenGL axes; `None` if all cameras stand in one place and look at none.
    pub fn of(poses: &[DMat4]) -> Option<Self> {
        if let Some(focus) = axes_meet(poses, SPREAD) {
            let depth = |pose: &DMat4| (pose.w_axis.truncate() - focus).dot(pose.z_axis.truncate());
            let depths = sorted(poses.iter().map(depth));
            let (nearest, farthest) = (quantile(&depths, STRAY), quantile(&depths, 1.0 - STRAY));
            // From the inside of a room the axes meet as well, but behind the cameras or amidst them.
            if nearest > 0.1 * farthest {
                let (near, far) = (NEAR_OF_NEAREST * nearest, FAR_OF_FARTHEST * farthest);
                return Some(Self { focus: Some(focus), near, far });
            }
        }
        let center = poses.iter().map(|pose| pose.w_axis.truncate()).sum::<DVec3>() / poses.len().max(1) as f64;
        let offsets = sorted(poses.iter().map(|pose| pose.w_axis.truncate().distance(center)));
        let extent = 2.0 * quantile(&offsets, 1.0 - STRAY);
        // Below this the distances are rounding of the coordinates.
        let apart = extent > 1e-6 * center.length() && extent > 0.0 && extent.is_finite();
        apart.then_some(Self { focus: None, near: NEAR_OF_EXTENT * extent, far: FAR_OF_EXTENT * extent })
    }
}

fn sorted(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut sorted: Vec<f64> = values.collect();
    sorted.sort_by(f64::total_cmp);
    sorted
}

/// The value with about `part` of the sorted values below it; 0 for no values.
fn quantile(sorted: &[f64], part: f64) -> f64 {
    let at = (part * sorted.len().saturating_sub(1) as f64).round() as usize;
    sorted.get(at).copied().unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pose::look_along;

    fn ring(count: usize, center: DVec3, radius: f64, back: f64) -> Vec<DMat4> {
        let pose = |i: usize| {
            let angle = i as f64 * std::f64::consts::TAU / count as f64;
            let offset = DVec3::new(angle.cos(), angle.sin(), 0.3) * radius;
            look_along(offset * back, DVec3::Z, center + offset).unwrap()
        };
        (0..count).map(pose).collect()
    }

    #[test]
    fn cameras_around_a_place_are_bounded_by_their_distance() {
        let center = DVec3::new(5.0, -3.0, 1.0);
        let mut poses = ring(31, center, 4.0, 1.0);
        let distance = 4.0 * 1.09f64.sqrt();
        let range = Range::of(&poses).unwrap();
        assert!(range.focus.unwrap().distance(center) < 1e-9);
        assert!((range.near - 0.5 * distance).abs() < 1e-9 && (range.far - 8.0 * distance).abs() < 1e-9, "{range:?}");
        // A stray camera moves the place a little and does not decide.
        poses.push(look_along(DVec3::X, DVec3::Z, DVec3::new(5.5, -3.0, 1.0)).unwrap());
        let stray = Range::of(&poses).unwrap();
        assert!((stray.near / range.near - 1.0).abs() < 0.1, "{stray:?} {range:?}");
    }

    #[test]
    fn others_are_bounded_by_their_extent() {
        let line: Vec<_> = (0..3).map(|i| DMat4::from_translation(DVec3::X * f64::from(i))).collect();
        assert_eq!(Range::of(&line).unwrap(), Range { focus: None, near: 1.5, far: 40.0 });
        // Outwards from the middle of a room.
        let room = Range::of(&ring(33, DVec3::ZERO, 1.0, -1.0)).unwrap();
        assert!(room.focus.is_none() && (room.near - 1.5).abs() < 0.01, "{room:?}");
    }

    #[test]
    fn one_place_tells_nothing() {
        assert_eq!(Range::of(&[]), None);
        assert_eq!(Range::of(&[DMat4::IDENTITY]), None);
        assert_eq!(Range::of(&vec![DMat4::from_translation(DVec3::splat(1e5)); 31]), None);
        let turned: Vec<_> = (0..5).map(|i| DMat4::from_rotation_y(f64::from(i))).collect();
        assert_eq!(Range::of(&turned), None);
    }
}
