//! A smooth walk past the cameras of the photographs.

use super::{Frame, curve, tour};
use crate::capture::{Capture, CaptureKind};
use crate::pose::{center, flip_axes, look_along};
use crate::{Camera, Result, Scene};
use glam::{DMat3, DMat4, DQuat, DVec3};

/// Samples of the curve between two cameras.
const SAMPLES: usize = 24;
/// Cameras on a walk above which it is smoothed over several of them, so that it does not jitter from one to the next.
const WAYPOINTS: f64 = 25.0;
/// Largest turn around the place that is looked at between two waypoints, in radians.
const TURN: f64 = 1.0;
/// How much faster than on average a camera may turn along its way before it goes slower.
const FASTEST_TURN: f64 = 10.0;

/// `count` frames past all cameras, in an order that makes a short way, at constant speed, from one end to the other.
///
/// Of cameras around a place, the directions from it and the distances are interpolated, so that the way leads around it
/// at the photographs' distances and never through it. The horizon is level unless the camera looks up or down.
///
/// # Errors
/// [`crate::Error::Scene`] if the scene has no views.
pub fn frames(scene: &Scene, capture: &Capture, count: usize) -> Result<Vec<Frame>> {
    let template = super::template(scene)?;
    let walk = Walk::new(capture);
    let last = (walk.points.len() - 1) * SAMPLES;
    let samples: Vec<(DVec3, DQuat)> = (0..=last).map(|i| walk.at(i as f64 / SAMPLES as f64)).collect();
    let moves: Vec<f64> = samples.windows(2).map(|pair| pair[0].0.distance(pair[1].0)).collect();
    let turns: Vec<f64> = samples.windows(2).map(|pair| pair[0].1.angle_between(pair[1].1)).collect();
    let (way, turn) = (moves.iter().sum::<f64>(), turns.iter().sum::<f64>());
    // Turns count alone where all cameras stand in one place.
    let on_the_spot = way <= 1e-3 * f64::from(scene.near);
    // Around a place turns go with moves, but for those at its poles.
    let per_turn = if turn > 0.0 && walk.focus.is_none() { way / (FASTEST_TURN * turn) } else { 0.0 };
    let apart = |(length, angle): (&f64, &f64)| if on_the_spot { *angle } else { length.max(angle * per_turn) };
    let lengths: Vec<f64> = moves.iter().zip(&turns).map(apart).collect();
    let between = |a: f64, b: f64| {
        let [a, b] = [a, b].map(|position| walk.at(position / SAMPLES as f64));
        apart((&a.0.distance(b.0), &a.1.angle_between(b.1)))
    };
    let camera = |position: f64| {
        let (point, rotation) = walk.at(position / SAMPLES as f64);
        let pose = level(rotation, point, capture.up);
        Camera { world_from_camera: flip_axes(pose).as_mat4(), ..template }
    };
    Ok(super::numbered(curve::even_steps(&lengths, count, false, between).into_iter().map(camera)))
}

/// The pose of a rotation at a point, rolled upright unless it looks nearly along `up`.
fn level(rotation: DQuat, point: DVec3, up: DVec3) -> DMat4 {
    let axes = DMat3::from_quat(rotation);
    // From 0 to 1 as the viewing direction comes near to `up`.
    let steep = ((axes.z_axis.dot(up).abs() - 0.9) / 0.09).clamp(0.0, 1.0);
    let own = steep * steep * (3.0 - 2.0 * steep);
    let upright = up * (1.0 - own) + axes.y_axis * own;
    look_along(axes.z_axis, upright, point).unwrap_or(DMat4::from_rotation_translation(rotation, point))
}

/// A waypoint: a place and a rotation. Around a focus the place is a unit vector from it and the logarithm of the
/// distance, and the rotation is against looking at it; else they are the camera's own, and 0.
#[derive(Clone, Copy, Debug)]
struct Waypoint {
    place: DVec3,
    log_distance: f64,
    rotation: DQuat,
}

/// Waypoints in the order of the walk.
struct Walk {
    focus: Option<DVec3>,
    up: DVec3,
    points: Vec<Waypoint>,
    /// Least and greatest logarithm of a distance.
    distances: [f64; 2],
}

impl Walk {
    fn new(capture: &Capture) -> Self {
        let focus = capture.focus.filter(|_| capture.kind == CaptureKind::Around);
        let waypoint = |pose: &DMat4| {
            let rotation = DQuat::from_mat3(&DMat3::from_mat4(*pose)).normalize();
            let Some(focus) = focus else { return Waypoint { place: center(pose), log_distance: 0.0, rotation } };
            let place = (center(pose) - focus).normalize_or(capture.up);
            let log_distance = center(pose).distance(focus).ln();
            Waypoint { place, log_distance, rotation: looking(place, capture.up).inverse() * rotation }
        };
        let order = tour::order(capture);
        let mut points: Vec<Waypoint> = order.into_iter().map(|i| waypoint(&capture.poses[i])).collect();
        let known = points.iter().map(|point| point.log_distance).filter(|d| d.is_finite());
        let distances = known.fold([f64::INFINITY, f64::NEG_INFINITY], |[a, b], d| [a.min(d), b.max(d)]);
        if focus.is_some() {
            points = subdivided(&points, capture.up);
        }
        let mut walk = Self { focus, up: capture.up, points, distances };
        walk.smooth((walk.points.len() as f64 / WAYPOINTS).max(0.0));
        walk
    }

    /// Replaces each waypoint by a mean of its neighbours, weighted by a bell curve `width` waypoints wide; the ends are
    /// mirrored.
    fn smooth(&mut self, width: f64) {
        if width < 0.5 {
            return;
        }
        let (count, reach) = (self.points.len() as i64, (3.0 * width) as i64);
        let period = (2 * (count - 1)).max(1);
        let mirrored = |i: i64| {
            let i = i.rem_euclid(period);
            self.points[if i < count { i } else { period - i } as usize]
        };
        let mean = |i: i64| {
            let own = self.points[i as usize];
            let (mut place, mut log_distance, mut rotation, mut total) =
                (DVec3::ZERO, 0.0, DQuat::from_array([0.0; 4]), 0.0);
            for step in -reach..=reach {
                let weight = (-0.5 * (step as f64 / width).powi(2)).exp();
                let point = mirrored(i + step);
                place += point.place * weight;
                log_distance += point.log_distance * weight;
                rotation += point.rotation * (weight * point.rotation.dot(own.rotation).signum());
                total += weight;
            }
            let place = if self.focus.is_some() { place.normalize_or(own.place) } else { place / total };
            let rotation = if rotation.length() > 1e-6 { rotation.normalize() } else { own.rotation };
            Waypoint { place, log_distance: log_distance / total, rotation }
        };
        self.points = (0..count).map(mean).collect();
    }

    /// Place and rotation at `position`, where whole numbers are the waypoints.
    fn at(&self, position: f64) -> (DVec3, DQuat) {
        let last = self.points.len() - 1;
        let from = (position.floor() as usize).min(last);
        let to = (from + 1).min(last);
        let t = (position - from as f64).clamp(0.0, 1.0);
        let four = [from.saturating_sub(1), from, to, (to + 1).min(last)].map(|i| self.points[i]);
        let place = catmull_rom(four.map(|point| point.place), t);
        let rotation = four[1].rotation.slerp(four[2].rotation, t);
        let Some(focus) = self.focus else { return (place, rotation) };
        let log_distance = catmull_rom(four.map(|point| DVec3::X * point.log_distance), t).x;
        let distance = log_distance.clamp(self.distances[0], self.distances[1]).exp();
        let place = place.normalize_or(four[1].place);
        (focus + place * distance, looking(place, self.up) * rotation)
    }
}

/// The rotation that looks back from `place`, a unit vector, level.
fn looking(place: DVec3, up: DVec3) -> DQuat {
    let pose =
        look_along(place, up, DVec3::ZERO).or_else(|| look_along(place, up.any_orthonormal_vector(), DVec3::ZERO));
    pose.map_or(DQuat::IDENTITY, |pose| DQuat::from_mat3(&DMat3::from_mat4(pose)))
}

/// Waypoints around a place with more of them put in where it is a long way round from one to the next.
fn subdivided(points: &[Waypoint], up: DVec3) -> Vec<Waypoint> {
    let mut all = vec![points[0]];
    for pair in points.windows(2) {
        let parts = (pair[0].place.angle_between(pair[1].place) / TURN).ceil().max(1.0);
        for i in 1..parts as usize {
            let t = i as f64 / parts;
            all.push(Waypoint {
                place: between(pair[0].place, pair[1].place, up, t),
                log_distance: pair[0].log_distance + (pair[1].log_distance - pair[0].log_distance) * t,
                rotation: pair[0].rotation.slerp(pair[1].rotation, t),
            });
        }
        all.push(pair[1]);
    }
    all
}

/// The direction on the level way from `a` to `b`, over even azimuths and elevations; across the pole if one is near it.
fn between(a: DVec3, b: DVec3, up: DVec3, t: f64) -> DVec3 {
    let elevation = |v: DVec3| v.dot(up).clamp(-1.0, 1.0).asin();
    let (from, to) = (elevation(a), elevation(b));
    let level = [a, b].map(|v| v.reject_from_normalized(up).normalize_or_zero());
    if from.abs().max(to.abs()) > 1.3 {
        let axis = a.cross(b).try_normalize().unwrap_or(up);
        return DQuat::from_axis_angle(axis, a.angle_between(b) * t) * a;
    }
    let turn = level[0].cross(level[1]).dot(up).atan2(level[0].dot(level[1]));
    let elevation = from + (to - from) * t;
    DQuat::from_axis_angle(up, turn * t) * level[0] * elevation.cos() + up * elevation.sin()
}

/// Uniform Catmull-Rom spline from the second to the third point.
pub fn catmull_rom([a, b, c, d]: [DVec3; 4], t: f64) -> DVec3 {
    let linear = c - a;
    let square = 2.0 * a - 5.0 * b + 4.0 * c - d;
    let cube = 3.0 * (b - c) + d - a;
    b + 0.5 * t * (linear + t * (square + t * cube))
}

#[cfg(test)]
#[path = "interpolate_tests.rs"]
mod tests;
