//! Once around in front of a scene whose photographs all face one way.

use super::{Frame, curve};
use crate::capture::{Capture, CaptureKind};
use crate::pose::{center, flip_axes, look_along};
use crate::robust::{quantile, sorted};
use crate::{Camera, Error, Result, Scene};
use glam::{DMat2, DVec2, DVec3};
use std::f64::consts::TAU;

/// Points of the curve from which frames are taken.
const POINTS: usize = 720;
/// Largest extent of the curve in standard deviations of the cameras: gentle, with photographs on all sides of each
/// frame; 1.7 would be the edge of evenly spread ones.
const EXTENT: f64 = 1.0;
/// Least extent of the curve in near bounds, for captures from one place: a few pixels of parallax.
const LEAST: f64 = 0.03;
/// Part of the cameras that may stand farther out on each side than the region which frames keep to.
const OUTER: f64 = 0.05;

/// `count` frames once around an ellipse that follows the spread of the cameras and stays among them; the last frame
/// stops short of the first one's place, so that the frames can be looped.
///
/// All frames look at one point, at the depth of the usual LLFF spiral: `1 / (0.25 / close + 0.75 / far)` with `close` at
/// 0.9 near bounds and `far` at 5 far bounds.
///
/// # Errors
/// [`Error::Scene`] if the cameras do not all face the same way.
pub fn frames(scene: &Scene, capture: &Capture, count: usize) -> Result<Vec<Frame>> {
    if capture.kind != CaptureKind::Forward {
        let found = match capture.kind {
            CaptureKind::Around => "these look at one place from several sides; expected orbit, interpolate or auto",
            _ => "these look to several sides or go along a way; expected interpolate or auto",
        };
        return Err(Error::Scene(format!(
            "{}: a spiral needs forward-facing photographs, taken from close by and all facing the same way: {found}",
            scene.name
        )));
    }
    let template = super::template(scene)?;
    let focus = focus(scene, capture);
    let up = capture.up_for(capture.back);
    let look = |point: DVec3| {
        // The focus is far in front of the curve, and the curve's up is not along the viewing direction.
        let pose = look_along(point - focus, up, point).unwrap_or(capture.poses[0]);
        Camera { world_from_camera: flip_axes(pose).as_mat4(), ..template }
    };
    let points = curve::closed(&ellipse(scene, capture, up), count);
    Ok(super::numbered(points.into_iter().map(look)))
}

/// The point that all frames look at.
pub(crate) fn focus(scene: &Scene, capture: &Capture) -> DVec3 {
    let (close, far) = (0.9 * f64::from(scene.near), 5.0 * f64::from(scene.far));
    capture.center - capture.back / (0.25 / close + 0.75 / far)
}

/// The closed curve of camera centres: across the mean viewing direction the symmetric root of the cameras' covariance
/// times a circle, along it the plane that fits them best.
fn ellipse(scene: &Scene, capture: &Capture, up: DVec3) -> Vec<DVec3> {
    let back = capture.back;
    let right = up.cross(back).normalize();
    let above = back.cross(right);
    let count = capture.poses.len() as f64;
    let offsets: Vec<DVec3> = capture.poses.iter().map(|pose| center(pose) - capture.center).collect();
    let flat: Vec<DVec2> = offsets.iter().map(|o| DVec2::new(o.dot(right), o.dot(above))).collect();
    let covariance = flat.iter().map(|p| DMat2::from_cols(*p * p.x, *p * p.y)).fold(DMat2::ZERO, |a, b| a + b);
    let covariance = covariance * (1.0 / count);
    let trace = covariance.x_axis.x + covariance.y_axis.y;
    let least = LEAST * f64::from(scene.near);
    let root = square_root(covariance);

    // The ridge keeps the plane level in directions that the cameras say nothing about.
    let ridge = DMat2::IDENTITY * (1e-3 * trace + f64::MIN_POSITIVE);
    let slope = flat.iter().zip(&offsets).map(|(p, o)| *p * o.dot(back)).sum::<DVec2>() / count;
    let slope = if trace > 0.0 { (covariance + ridge).inverse() * slope } else { DVec2::ZERO };

    let scale = EXTENT.min(largest(root, &flat));
    let point = |i: usize| {
        let turn = TAU * i as f64 / POINTS as f64;
        let circle = DVec2::new(turn.cos(), -turn.sin());
        let p = root * circle * scale + circle * least;
        capture.center + right * p.x + above * p.y + back * p.dot(slope)
    };
    (0..POINTS).map(point).collect()
}

/// The symmetric root of a symmetric matrix that is not negative.
fn square_root(matrix: DMat2) -> DMat2 {
    let det = matrix.determinant().max(0.0).sqrt();
    let scale = (matrix.x_axis.x + matrix.y_axis.y + 2.0 * det).sqrt();
    if scale > 0.0 { (matrix + DMat2::IDENTITY * det) * (1.0 / scale) } else { DMat2::ZERO }
}

/// How many times the ellipse `root · circle` fits between the cameras: in no direction it reaches out as far as the
/// outermost of them, of which a small part does not count.
fn largest(root: DMat2, flat: &[DVec2]) -> f64 {
    let directions = (0..64).map(|i| DVec2::from_angle(TAU * f64::from(i) / 64.0));
    let ratio = |direction: DVec2| {
        let outer = quantile(&sorted(flat.iter().map(|p| p.dot(direction))), 1.0 - OUTER);
        let own = (root * direction).length();
        // An ellipse that is flat in this direction reaches nowhere.
        if own > 1e-6 * root.x_axis.length().max(root.y_axis.length()) { outer.max(0.0) / own } else { f64::INFINITY }
    };
    directions.map(ratio).fold(f64::INFINITY, f64::min)
}

#[cfg(test)]
#[path = "spiral_tests.rs"]
mod tests;
