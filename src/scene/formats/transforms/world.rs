//! Depth bounds and the scene's frame.
//!
//! The files have depth bounds only as the keys `near` and `far` (depths along the optical axis, in the units of the
//! poses), which are an addition of this program; otherwise they follow from the cameras, see [`range`](super::super::range).
//!
//! - Split files whose cameras fit NeRF's synthetic scenes (around the origin, at distance 4 of it, looking at it) keep
//!   their frame and have the depths 2 to 6.
//! - Photographs around one place, all with a transparent background, show an object before nothing: it becomes the
//!   origin, the cameras get NeRF's distance, and depths end behind the object.
//! - In other cases the near bound is scaled to 4/3, as for LLFF. If the cameras look at one place, it becomes the origin
//!   and the axes stay; otherwise the average camera becomes the origin (x right, y up, z backwards).
//!
//! Poses absurdly far from all others take no part, and are left out of the scene.

use super::super::range::{self, Range};
use super::super::world::World;
use super::CameraFile;
use crate::{Format, Result, Similarity, SourceOrder};
use glam::DMat4;

/// Depth range of NeRF's synthetic scenes.
const SYNTHETIC_DEPTHS: [f64; 2] = [2.0, 6.0];
/// Distance of their cameras from the origin.
const SYNTHETIC_DISTANCE: f64 = 4.031_128_874;
/// How far that distance may be off for the cameras to be such, as a ratio.
const SYNTHETIC_TOLERANCE: f64 = 0.1;
/// How far past the origin such cameras may look, by their distance.
const SYNTHETIC_MISS: f64 = 0.15;

impl World {
    /// The world of poses in OpenGL axes; `given` are the bounds that the user gives, `before_nothing` tells whether all photographs show an object
    /// before a transparent background, `what` names a pose.
    ///
    /// # Errors
    /// [`crate::Error::Bounds`] if the bounds are not `0 < near < far` or nothing tells them.
    pub(super) fn of_files(
        files: &[CameraFile],
        layout: Format,
        all_poses: &[DMat4],
        given: Option<[f64; 2]>,
        before_nothing: &dyn Fn() -> bool,
        what: &dyn Fn(usize) -> String,
        warnings: &mut Vec<String>,
    ) -> Result<Self> {
        let strays = range::stray_poses(all_poses, what, warnings);
        let kept = (0..all_poses.len()).filter(|i| !strays.contains(i));
        let poses: Vec<DMat4> = kept.map(|i| all_poses[i]).collect();
        let keys =
            |get: fn(&CameraFile) -> Option<f64>, best: fn(f64, f64) -> f64| files.iter().filter_map(get).reduce(best);
        let (near, far) = match given {
            Some([near, far]) => (Some(near), Some(far)),
            None => (keys(|file| file.near, f64::min), keys(|file| file.far, f64::max)),
        };

        let no_keys = near.is_none() && far.is_none();
        if layout == Format::Blender && no_keys {
            if is_synthetic(&poses) {
                let [near, far] = SYNTHETIC_DEPTHS.map(|depth| depth as f32);
                let (scene_from_file, order) = (Similarity::IDENTITY, SourceOrder::Direction);
                return Ok(Self { scene_from_file, bounds: [near, far], order, strays });
            }
            warnings.push(format!(
                "{}: the cameras are not those of NeRF's synthetic scenes, whose depths are 2 to 6 around the origin: \
                 depth bounds follow from the cameras, unless the file has the keys near and far",
                files[0].path.display()
            ));
        }
        let range = Range::of(&poses);
        if let Some((focus, Range { distances: [nearest, usual, farthest], .. })) =
            range.and_then(|range| Some((range.focus?, range))).filter(|_| no_keys && before_nothing())
        {
            let scale = SYNTHETIC_DISTANCE / usual;
            // The depths of the synthetic scenes, for objects of their size.
            let [before, behind] = SYNTHETIC_DEPTHS.map(|depth| depth / SYNTHETIC_DISTANCE - 1.0);
            let bounds = [nearest * (1.0 + before), farthest + nearest * behind].map(|depth| (depth * scale) as f32);
            let scene_from_file = Similarity::recentre(DMat4::from_translation(focus), scale);
            return Ok(Self { scene_from_file, bounds, order: SourceOrder::Direction, strays });
        }
        Self::scaled(&files[0].path, [near, far], range, &poses, strays, warnings)
    }
}

/// Whether nine of ten cameras stand around the origin at the distance of NeRF's synthetic scenes and look at it.
fn is_synthetic(poses: &[DMat4]) -> bool {
    let fits = |pose: &&DMat4| {
        let center = pose.w_axis.truncate();
        let depth = center.dot(pose.z_axis.truncate());
        let miss = (center - pose.z_axis.truncate() * depth).length();
        (center.length() / SYNTHETIC_DISTANCE - 1.0).abs() < SYNTHETIC_TOLERANCE && miss < SYNTHETIC_MISS * depth
    };
    10 * poses.iter().filter(fits).count() >= 9 * poses.len()
}
