//! Depth bounds for scenes whose files have none, told from the cameras.
//!
//! The rule looks at the cameras only. If they stand around one place that they look at, the bounds are
//! multiples of their distances to it. Otherwise, as for photographs taken all in one direction, they are multiples of
//! how far the cameras stand apart across their view, since depth is seen by moving and people move about as far as suits
//! the scene. Few photographs of a scene stand closer together, so that their spacing counts besides their extent, and the
//! depth where their axes converge does: the LLFF captures converge at 1.4 to 4.5 times their near bound, with three
//! photographs as with all. Samples are spread evenly in inverse depth, so that a far bound that is too far costs little;
//! a near bound that is too near costs more, and one that is too far most (2 dB for a fifth), as what is in front is lost.

use crate::pose::{SPREAD_AROUND, axes_meet, center};
use crate::robust::{STRAY, absurd_places, median, quantile, sorted};
use glam::{DMat4, DVec3};

/// Least spread for axes to meet anywhere that can be computed.
const CONVERGING: f64 = 1e-7;
/// Near bound of a place that is looked at, by the distance of the nearest camera. The object reaches half-way.
const NEAR_OF_NEAREST: f64 = 0.5;
/// Far bound of a place that is looked at, by the distance of the farthest camera.
const FAR_OF_FARTHEST: f64 = 8.0;
/// Near bound by the extent of the cameras. The LLFF scenes' own bounds are at 0.8 to 1.9.
const NEAR_OF_EXTENT: f64 = 0.75;
/// Near bound by the spacing of cameras whose axes do not converge. Three to twelve neighbours of an LLFF scene have their
/// near bound at 5 to 20, as many taken from anywhere in it at 2.5 to 15.
const NEAR_OF_SPACING: f64 = 3.0;
/// Near bound by the depth where axes converge that do not surround a place. The LLFF scenes' own are at 0.22 to 0.7.
const NEAR_OF_CONVERGENCE: f64 = 0.2;
/// Near bound by the extent of rigs that look several ways from each place: they are carried through the scene.
const NEAR_OF_RIG: f64 = 0.25;
/// Far bound by the near bound where that is no multiple of a distance. The LLFF scenes' own are at 5 to 21.
const FAR_OF_NEAR: f64 = 80.0 / 3.0;
/// Least extent across the view by the whole extent, for cameras that move along it.
const LEAST_ACROSS: f64 = 0.2;

/// What the cameras tell about a scene; lengths in the units of the poses.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Range {
    /// The place that the cameras look at.
    pub focus: Option<DVec3>,
    /// Near bound.
    pub near: f64,
    /// Far bound.
    pub far: f64,
    /// Smallest, median and largest distance of the place that is looked at, strays apart; zero without one.
    pub distances: [f64; 3],
}

impl Range {
    /// Bounds from poses in OpenGL axes; `None` if all cameras stand in one place and look at none.
    pub fn of(poses: &[DMat4]) -> Option<Self> {
        let apart = Apart::of(poses);
        if let Some(focus) = axes_meet(poses, SPREAD_AROUND) {
            let views: Vec<(f64, f64)> = poses.iter().map(|pose| depth_and_offset(pose, focus)).collect();
            // From the inside of a room the axes meet as well, but behind the cameras or amidst them.
            let depths = sorted(views.iter().filter(|(depth, off)| *depth > 0.0 && *off < 0.5 * depth).map(|v| v.0));
            let (nearest, farthest) = (quantile(&depths, STRAY), quantile(&depths, 1.0 - STRAY));
            let share = depths.len() as f64 / poses.len() as f64;
            // Of a rig that looks both ways, half look at the place.
            if share >= 0.9 && nearest > 0.1 * farthest || share >= 0.4 && nearest > 0.3 * farthest {
                return Some(Self {
                    focus: Some(focus),
                    near: NEAR_OF_NEAREST * nearest,
                    far: FAR_OF_FARTHEST * farthest,
                    distances: [nearest, quantile(&depths, 0.5), farthest],
                });
            }
        }
        let Apart { extent, across, spacing, is_rig } = apart?;
        let near = match convergence(poses) {
            _ if is_rig => NEAR_OF_RIG * extent,
            Some(depth) => (NEAR_OF_EXTENT * across).max(NEAR_OF_CONVERGENCE * depth),
            None => (NEAR_OF_EXTENT * across).max(NEAR_OF_SPACING * spacing),
        };
        Some(Self { focus: None, near, far: FAR_OF_NEAR * near, distances: [0.0; 3] })
    }
}

/// Depth of a place along a camera's axis, and its distance from the axis.
fn depth_and_offset(pose: &DMat4, place: DVec3) -> (f64, f64) {
    let (back, to_camera) = (pose.z_axis.truncate(), center(pose) - place);
    let depth = to_camera.dot(back);
    (depth, (to_camera - back * depth).length())
}

/// How far cameras stand apart.
struct Apart {
    /// Diameter of the region in which all but strays stand.
    extent: f64,
    /// The same across their mean view.
    across: f64,
    /// Median distance to the nearest other camera.
    spacing: f64,
    /// Whether most cameras share their place with one that looks elsewhere.
    is_rig: bool,
}

impl Apart {
    /// `None` if all cameras stand in one place.
    fn of(poses: &[DMat4]) -> Option<Self> {
        let centers: Vec<DVec3> = poses.iter().map(center).collect();
        let middle = centers.iter().sum::<DVec3>() / centers.len().max(1) as f64;
        let diameter = |offset: &dyn Fn(DVec3) -> f64| {
            2.0 * quantile(&sorted(centers.iter().map(|center| offset(*center - middle))), 1.0 - STRAY)
        };
        let extent = diameter(&DVec3::length);
        // Below this the distances are rounding of the coordinates.
        if !(extent > 1e-12 * middle.length() && extent > 0.0 && extent.is_finite()) {
            return None;
        }
        let mean = poses.iter().map(|pose| pose.z_axis.truncate()).sum::<DVec3>() / poses.len() as f64;
        let across = if mean.length() > 0.5 {
            let axis = mean.normalize();
            diameter(&|offset| (offset - axis * axis.dot(offset)).length()).max(LEAST_ACROSS * extent)
        } else {
            extent
        };
        // Of many cameras every n-th is enough.
        let some: Vec<usize> = (0..poses.len()).step_by(poses.len().div_ceil(500)).collect();
        let others = |i: usize| (0..poses.len()).filter(move |&j| j != i);
        let nearest = |&i: &usize| others(i).map(|j| centers[i].distance(centers[j])).fold(f64::INFINITY, f64::min);
        let spacing = median(some.iter().map(nearest));
        let shares = |&&i: &&usize| {
            let elsewhere = |j: usize| poses[i].z_axis.dot(poses[j].z_axis) < 0.7;
            others(i).any(|j| centers[i].distance(centers[j]) < 1e-2 * extent && elsewhere(j))
        };
        let is_rig = 2 * some.iter().filter(shares).count() > some.len();
        Some(Self { extent, across, spacing, is_rig })
    }
}

/// Depth where the axes of cameras come close to each other, if they plainly do: in front of all, and at a fifth of the
/// cameras' own scatter, by squares.
fn convergence(poses: &[DMat4]) -> Option<f64> {
    let place = axes_meet(poses, CONVERGING).filter(|place| poses.len() > 2 && place.is_finite())?;
    let views: Vec<(f64, f64)> = poses.iter().map(|pose| depth_and_offset(pose, place)).collect();
    let mean = poses.iter().map(|pose| pose.z_axis.truncate()).sum::<DVec3>().try_normalize()?;
    let middle = poses.iter().map(center).sum::<DVec3>() / poses.len() as f64;
    let scatter: f64 = poses.iter().map(|pose| (center(pose) - middle).reject_from(mean).length_squared()).sum();
    let off: f64 = views.iter().map(|(_, off)| off * off).sum();
    let in_front = views.iter().all(|(depth, _)| *depth > 0.0);
    (in_front && off < 0.2 * scatter).then(|| median(views.iter().map(|v| v.0)))
}

/// Poses absurdly far from all others, which are left out and said so; `what` names a pose.
pub(super) fn stray_poses(poses: &[DMat4], what: &dyn Fn(usize) -> String, warnings: &mut Vec<String>) -> Vec<usize> {
    let places: Vec<DVec3> = poses.iter().map(center).collect();
    let strays = absurd_places(&places);
    let say = |&i: &usize| {
        let (what, place) = (what(i), places[i]);
        format!("{what}: its camera stands absurdly far from all others, at {place:.3}: the view is left out")
    };
    warnings.extend(strays.iter().map(say));
    strays
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
        // Their spacing says more than their extent, as they are few.
        let range = Range::of(&line).unwrap();
        assert!((range.focus, range.near) == (None, 3.0) && (range.far - 3.0 * FAR_OF_NEAR).abs() < 1e-9, "{range:?}");
        let line: Vec<_> = (0..31).map(|i| DMat4::from_translation(DVec3::X * f64::from(i))).collect();
        assert!((Range::of(&line).unwrap().near - 0.75 * 30.0).abs() < 1e-9);
        // Forwards through a scene, most of the way is not across the view.
        let walk: Vec<_> = (0..31).map(|i| DMat4::from_translation(DVec3::Z * f64::from(i))).collect();
        assert!((Range::of(&walk).unwrap().near - 0.15 * 30.0).abs() < 1e-9);
        // Outwards from the middle of a room.
        let room = Range::of(&ring(33, DVec3::ZERO, 1.0, -1.0)).unwrap();
        assert!(room.focus.is_none() && (room.near - 1.5).abs() < 0.01, "{room:?}");
    }

    #[test]
    fn few_cameras_are_bounded_by_where_their_axes_converge() {
        let at = |x: f64, y: f64| {
            let center = DVec3::new(x, y, 0.0);
            look_along(center - DVec3::new(0.3, 0.2, -20.0), DVec3::Y, center).unwrap()
        };
        let range = Range::of(&[at(0.0, 0.0), at(1.0, 0.0), at(0.0, 1.0)]).unwrap();
        let expected = 0.2 * 20.0;
        assert!(range.focus.is_none() && (range.near / expected - 1.0).abs() < 0.02, "{range:?} {expected}");
    }

    #[test]
    fn rigs_that_look_both_ways_are_bounded_by_what_half_of_them_see() {
        let front = ring(20, DVec3::ZERO, 4.0, 1.0);
        let back = front.iter().map(|pose| *pose * DMat4::from_rotation_y(std::f64::consts::PI));
        let both: Vec<_> = front.iter().copied().chain(back).collect();
        let (one, two) = (Range::of(&front).unwrap(), Range::of(&both).unwrap());
        assert!((two.near / one.near - 1.0).abs() < 1e-6 && two.focus.is_some(), "{one:?} {two:?}");
        // Six faces of panoramas along a way.
        let faces = (0..9).flat_map(|i| {
            let place = DMat4::from_translation(DVec3::new(f64::from(i), 0.0, 0.1 * f64::from(i % 2)));
            (0..6).map(move |face| place * DMat4::from_rotation_y(f64::from(face) * std::f64::consts::FRAC_PI_3))
        });
        let range = Range::of(&faces.collect::<Vec<_>>()).unwrap();
        assert!(range.focus.is_none() && (1.5..2.1).contains(&range.near), "{range:?}");
    }

    #[test]
    fn one_place_tells_nothing() {
        assert_eq!(Range::of(&[]), None);
        assert_eq!(Range::of(&[DMat4::IDENTITY]), None);
        assert_eq!(Range::of(&vec![DMat4::from_translation(DVec3::splat(1e5)); 31]), None);
        let turned: Vec<_> = (0..5).map(|i| DMat4::from_rotation_y(f64::from(i))).collect();
        assert_eq!(Range::of(&turned), None);
    }

    /// Few photographs of a forward-facing scene, next to each other or from anywhere, tell its near bound to a factor.
    #[test]
    #[ignore = "needs SHIFTRAY_SCENES"]
    fn subsets_of_real_scenes_are_bounded_like_the_whole() {
        let names = ["fern", "flower", "fortress", "horns", "room", "iconic_apples", "iconic_piano", "pinecone"];
        let mut ratios = Vec::new();
        for name in names {
            let root = crate::locate(&format!("llff/{name}"), &[]).unwrap();
            let scene = crate::formats::load(&root, &crate::LoadOptions::default()).unwrap();
            let pose = |id: &usize| crate::pose::opengl_pose(scene.views[*id].camera.world_from_camera);
            let near_of = |ids: &[usize]| {
                let truth = ids.iter().map(|id| f64::from(scene.views[*id].near)).fold(f64::INFINITY, f64::min);
                Range::of(&ids.iter().map(pose).collect::<Vec<_>>()).unwrap().near / truth
            };
            for first in 0..scene.views.len() {
                let place = |id: usize| scene.views[id].camera.origin();
                let mut nearest: Vec<usize> = (0..scene.views.len()).collect();
                nearest.sort_by(|a, b| place(*a).distance(place(first)).total_cmp(&place(*b).distance(place(first))));
                for count in [3, 4, 6] {
                    ratios.push(near_of(&nearest[..count]));
                    let step = scene.views.len() / count;
                    let spread: Vec<usize> = (0..count).map(|i| (first + i * step) % scene.views.len()).collect();
                    ratios.push(near_of(&spread));
                }
            }
        }
        let ratios = sorted(ratios);
        let parts = [0.02, 0.1, 0.5, 0.9, 0.98].map(|part| quantile(&ratios, part));
        eprintln!("near bound by the true one, of {} subsets: {parts:.2?}", ratios.len());
        assert!(parts[0] > 0.1 && parts[1] > 0.18 && parts[3] < 1.1 && parts[4] < 1.3, "{parts:.2?}");
    }
}
