//! What kind of capture a scene is, told from its cameras alone: all facing one way, around a place, or looking out.
//!
//! Everything here is robust (`scene/robust.rs`): medians instead of means, and cameras far from all others have no say.
//! Nothing depends on the world's axes, origin and unit, nor on the cameras' order.

use crate::pose::{SPREAD_AROUND, axes_point, center, opengl_pose};
use crate::robust::{far_places, geometric_median, median, quantile, sorted};
use crate::{Camera, Scene};
use glam::{DMat3, DMat4, DVec3};

/// Least spread of the optical axes for a place that is looked at, for [`axes_point`]: about half a degree, below which
/// the point of closest approach is noise.
const SPREAD_FOCUS: f64 = 1e-4;
/// Part of the cameras that must agree.
const MOST: f64 = 0.8;
/// Cosine of the angle up to which cameras face the same way.
const SAME_WAY: f64 = 0.7;
/// Extent of cameras that face one way, in near bounds, above which they no longer see the same things.
const LONG_WALK: f64 = 4.0;

/// What the photographer did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CaptureKind {
    /// All cameras stand close together and face the same way.
    Forward,
    /// The cameras look at one place from several sides.
    Around,
    /// The cameras look out to all sides, as from the middle of a room.
    Inside,
    /// The cameras go along a way.
    Walk,
}

/// What the cameras of a scene have in common; lengths in scene units.
#[derive(Clone, Debug)]
pub struct Capture {
    /// What the photographer did.
    pub kind: CaptureKind,
    /// Poses of the cameras that are no strays, in OpenGL axes.
    pub poses: Vec<DMat4>,
    /// Mean of their centres.
    pub center: DVec3,
    /// Upwards, of unit length: most nearly perpendicular to the cameras' right axes.
    pub up: DVec3,
    /// Median of their backwards axes; of unit length, or zero if they cancel out.
    pub back: DVec3,
    /// Diameter of the region they stand in.
    pub extent: f64,
    /// The place that they look at, if it is in front of most of them.
    pub focus: Option<DVec3>,
}

impl Capture {
    /// Looks at the cameras of a scene; `None` if it has none.
    pub fn of(scene: &Scene) -> Option<Self> {
        Self::of_cameras(scene.views.iter().map(|view| &view.camera), f64::from(scene.near))
    }

    /// Looks at cameras; `near` is the nearest depth of interest.
    pub fn of_cameras<'a>(cameras: impl IntoIterator<Item = &'a Camera>, near: f64) -> Option<Self> {
        let all: Vec<DMat4> = cameras.into_iter().map(|camera| opengl_pose(camera.world_from_camera)).collect();
        let strays = far_places(&all.iter().map(center).collect::<Vec<_>>())?;
        let poses: Vec<DMat4> = (0..all.len()).filter(|i| !strays.contains(i)).map(|i| all[i]).collect();

        let axis = |column: usize| poses.iter().map(|p| p.col(column).truncate()).collect::<Vec<_>>();
        let back = geometric_median(&axis(2))?.try_normalize().unwrap_or_default();
        let count = poses.len() as f64;
        let mean = poses.iter().map(center).sum::<DVec3>() / count;
        let far_out = poses.iter().map(|pose| center(pose).distance(mean)).fold(0.0, f64::max);
        let up = up(&poses, geometric_median(&axis(1))?, back);
        let (focus, spread) = focus(&poses, near).map_or((None, 0.0), |(point, spread)| (Some(point), spread));
        let mut capture = Self { kind: CaptureKind::Walk, poses, center: mean, up, back, extent: 2.0 * far_out, focus };
        capture.kind = capture.kind_for(spread, near);
        Some(capture)
    }

    fn kind_for(&self, spread: f64, near: f64) -> CaptureKind {
        if self.focus.is_some() && spread >= SPREAD_AROUND {
            return CaptureKind::Around;
        }
        let along = |pose: &DMat4| pose.z_axis.truncate().dot(self.back);
        let same_way = self.poses.iter().filter(|pose| along(pose) >= SAME_WAY).count() as f64;
        let share = same_way / self.poses.len() as f64;
        if share < MOST {
            return if share < 0.5 { CaptureKind::Inside } else { CaptureKind::Walk };
        }
        let offsets = || self.poses.iter().map(|pose| center(pose) - self.center);
        let forwards = median(offsets().map(|o| o.dot(self.back).abs()));
        let sideways = median(offsets().map(|o| o.reject_from_normalized(self.back).length()));
        if self.poses.len() > 4 && (forwards > 2.0 * sideways || self.extent > LONG_WALK * near) {
            return CaptureKind::Walk;
        }
        CaptureKind::Forward
    }

    /// Up for a camera that looks along `-back`: [`Capture::up`], or the cameras' own up axes where that is nearly the
    /// viewing direction, as for photographs taken from straight above.
    pub fn up_for(&self, back: DVec3) -> DVec3 {
        if back.dot(self.up).abs() < 0.9 * back.length() {
            return self.up;
        }
        let ups: Vec<DVec3> = self.poses.iter().map(|pose| pose.y_axis.truncate()).collect();
        let middle = geometric_median(&ups).unwrap_or_default().reject_from(back);
        middle.try_normalize().unwrap_or_else(|| ups[0])
    }
}

/// The direction that is most nearly perpendicular to the cameras' right axes.
///
/// The cameras' own up axes lean over where they look down, and over a part of a circle that does not average out;
/// people hold cameras level, so the right axes are the better witness. Where these say nothing, as for cameras that
/// all face one way, the result stays near the middle of the up axes, or of the backwards axes where those cancel out
/// as in photographs taken from straight above.
fn up(poses: &[DMat4], middle_up: DVec3, back: DVec3) -> DVec3 {
    let tilt = |pose: &DMat4, up: DVec3| pose.x_axis.truncate().dot(up).abs();
    let typical = |up: DVec3| median(poses.iter().map(|pose| tilt(pose, up)));
    let from = |start: DVec3| {
        let mut up = start.try_normalize()?;
        for _ in 0..3 {
            // Six degrees are an unsteady hand and no stray.
            let limit = (3.0 * typical(up)).max(0.1);
            let level: Vec<&DMat4> = poses.iter().filter(|pose| tilt(pose, up) <= limit).collect();
            up = level_up(&level, up)?;
        }
        Some(up)
    };
    let found = from(middle_up).filter(|up| typical(*up) < 0.5).or_else(|| from(back));
    found.unwrap_or(poses[0].y_axis.truncate())
}

fn level_up(poses: &[&DMat4], start: DVec3) -> Option<DVec3> {
    // Weight of the start against the right axes: the square of an unsteady hand's 2 degrees.
    const PRIOR: f64 = 1e-3;
    let mut matrix = DMat3::IDENTITY * (PRIOR * poses.len().max(1) as f64);
    for pose in poses {
        let right = pose.x_axis.truncate();
        matrix += DMat3::from_cols(right * right.x, right * right.y, right * right.z);
    }
    let inverse = matrix.inverse();
    // Steps of the inverse power iteration; each gains the ratio of the prior to the spread of the right axes.
    (0..3).try_fold(start, |up, _| (inverse * up).try_normalize())
}

/// The point where the optical axes meet, without those that miss it by far, and the axes' spread; `None` if they are
/// nearly parallel, or it is not in front of most cameras and well away from them, or much nearer than `near`, where
/// nothing is.
fn focus(poses: &[DMat4], near: f64) -> Option<(DVec3, f64)> {
    let meet = |poses: &[DMat4]| axes_point(poses).filter(|(_, spread)| *spread > SPREAD_FOCUS);
    let (mut focus, mut spread) = meet(poses)?;
    for _ in 0..4 {
        // The sine of the angle by which a camera looks past the point.
        let miss = |pose: &DMat4| {
            let way = (center(pose) - focus).normalize_or_zero();
            if way.dot(pose.z_axis.truncate()) > 0.0 { way.cross(pose.z_axis.truncate()).length() } else { 1.0 }
        };
        let limit = (3.0 * median(poses.iter().map(miss))).max(0.03);
        let agreeing: Vec<DMat4> = poses.iter().filter(|pose| miss(pose) <= limit).copied().collect();
        if agreeing.len() < poses.len().div_ceil(2) {
            break;
        }
        (focus, spread) = meet(&agreeing)?;
    }
    let miss = |pose: &DMat4| (center(pose) - focus).normalize_or_zero().cross(pose.z_axis.truncate()).length();
    // Axes that look anywhere have such a point, too, but miss it by as much as they turn.
    if median(poses.iter().map(miss)) > 0.5 * spread.sqrt() {
        return None;
    }
    let depths = sorted(poses.iter().map(|p| (center(p) - focus).dot(p.z_axis.truncate())));
    let at = |part: f64| quantile(&depths, part);
    // From the inside of a room the axes meet as well, but behind the cameras or amidst them.
    (at(1.0 - MOST) > 0.1 * at(0.95) && at(0.5) > 0.25 * near).then_some((focus, spread))
}

#[cfg(test)]
#[path = "capture_tests.rs"]
mod tests;
