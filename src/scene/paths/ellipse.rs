//! Once around a thing on an ellipse, fitted to where photographs were taken: steadier than an orbit, which follows every
//! bend of their row.

use super::orbit::Orbit;
use super::{Frame, curve};
use crate::capture::{Capture, CaptureKind};
use crate::{Result, Scene};
use glam::{DMat2, DVec2, DVec3};
use std::f64::consts::TAU;

/// Points of the curve from which frames are taken.
const POINTS: usize = 720;
/// Farthest that the ellipse may lie off the row of photographs, as a part of the distance from the thing.
const FARTHEST: f64 = 0.25;

/// An ellipse in a plane of its own around the place that photographs look at.
#[derive(Clone, Debug)]
pub struct Ellipse {
    orbit: Orbit,
    /// Its middle, in the orbit's level axes from the place.
    middle: DVec2,
    /// `v · shape v = 1` for the ways `v` from the middle to the ellipse.
    shape: DMat2,
    /// Height above the place: a constant, and what each level axis adds.
    height: [f64; 3],
}

impl Ellipse {
    /// The ellipse of a capture; why there is none, in words, where the photographs were not taken from all around a place.
    ///
    /// # Errors
    /// The reason.
    pub fn of(scene: &Scene, capture: &Capture) -> Result<Self, String> {
        let why = match capture.kind {
            CaptureKind::Forward => "the photographs all face the same way",
            CaptureKind::Inside => "the photographs look out to all sides",
            CaptureKind::Walk => "the photographs go along a way",
            CaptureKind::Around => "the photographs look apart",
        };
        let orbit = Orbit::of(scene, capture).ok().filter(|_| capture.kind == CaptureKind::Around);
        let orbit = orbit.ok_or(why)?;
        if !orbit.is_ring() {
            return Err(format!(
                "the photographs go {:.0} degrees around the place, not all round",
                orbit.span.to_degrees()
            ));
        }
        let row: Vec<DVec3> = orbit.curve().into_iter().map(|point| orbit.level(point)).collect();
        let bent = || "the photographs do not stand on anything like an ellipse".to_owned();
        let ellipse = Self::fitted(orbit, &row).ok_or_else(bent)?;
        let off = |point: &DVec3| {
            let on = ellipse.at(point.truncate() - ellipse.middle);
            on.distance(*point) / point.length().max(f64::MIN_POSITIVE)
        };
        let farthest = row.iter().map(off).fold(0.0, f64::max);
        if farthest < FARTHEST { Ok(ellipse) } else { Err(bent()) }
    }

    /// Least squares of the conic `a·x² + b·x·y + c·y² + d·x + e·y = 1`, and of a plane for the heights.
    fn fitted(orbit: Orbit, row: &[DVec3]) -> Option<Self> {
        // Of about one size, so that no term outweighs the others.
        let unit = row.iter().map(|p| p.truncate().length()).sum::<f64>() / row.len() as f64;
        let conic = |p: &DVec3| {
            let DVec2 { x, y } = p.truncate() / unit;
            ([x * x, x * y, y * y, x, y], 1.0)
        };
        let [a, b, c, d, e] = least_squares(row.iter().map(conic))?;
        let height = least_squares(row.iter().map(|p| ([1.0, p.x, p.y], p.z)))?;
        let quadratic = DMat2::from_cols(DVec2::new(a, 0.5 * b), DVec2::new(0.5 * b, c));
        if quadratic.determinant() <= 0.0 {
            return None;
        }
        let middle = quadratic.inverse() * DVec2::new(d, e) * -0.5;
        let level = 1.0 + middle.dot(quadratic * middle);
        let shape = quadratic * (1.0 / (level * unit * unit));
        (level * a > 0.0 && shape.is_finite()).then_some(Self { orbit, middle: middle * unit, shape, height })
    }

    /// The point of the ellipse in a direction from its middle, in the orbit's level axes and upwards.
    fn at(&self, way: DVec2) -> DVec3 {
        let way = way.try_normalize().unwrap_or(DVec2::X);
        let level = self.middle + way / way.dot(self.shape * way).sqrt();
        level.extend(self.height[0] + self.height[1] * level.x + self.height[2] * level.y)
    }

    /// `count` frames at even distances along it, all of which look at the place with a level horizon.
    ///
    /// # Errors
    /// [`crate::Error::Scene`] for a scene without views.
    pub fn frames(&self, scene: &Scene, count: usize) -> Result<Vec<Frame>> {
        let template = super::template(scene)?;
        let point = |i: usize| {
            let point = self.at(DVec2::from_angle(TAU * i as f64 / POINTS as f64));
            self.orbit.of_level(point)
        };
        let points = curve::closed(&(0..POINTS).map(point).collect::<Vec<_>>(), count);
        Ok(super::numbered(points.into_iter().map(|point| self.orbit.look(template, point))))
    }
}

/// The factors of `N` terms whose sum comes nearest to the values, in squares; none where terms depend on each other.
fn least_squares<const N: usize>(rows: impl Iterator<Item = ([f64; N], f64)>) -> Option<[f64; N]> {
    let (mut matrix, mut right) = ([[0.0; N]; N], [0.0; N]);
    for (terms, value) in rows {
        for i in 0..N {
            (0..N).for_each(|j| matrix[i][j] += terms[i] * terms[j]);
            right[i] += terms[i] * value;
        }
    }
    // Gauss's elimination, the largest number of a column first.
    for i in 0..N {
        let pivot = (i..N).max_by(|a, b| matrix[*a][i].abs().total_cmp(&matrix[*b][i].abs()))?;
        matrix.swap(i, pivot);
        right.swap(i, pivot);
        if matrix[i][i].abs() < 1e-12 {
            return None;
        }
        for below in i + 1..N {
            let factor = matrix[below][i] / matrix[i][i];
            (i..N).for_each(|j| matrix[below][j] -= factor * matrix[i][j]);
            right[below] -= factor * right[i];
        }
    }
    for i in (0..N).rev() {
        let known: f64 = (i + 1..N).map(|j| matrix[i][j] * right[j]).sum();
        right[i] = (right[i] - known) / matrix[i][i];
    }
    Some(right)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::paths::file::PathFileOptions;
    use crate::paths::rigs::{around, forward, looking_at, room, walk};
    use crate::paths::{PathKind, frames, plan};
    use crate::testing;

    const PLACE: DVec3 = DVec3::new(1.0, -2.0, 0.5);

    /// Photographs on an ellipse in a slanting plane, whose middle is not the place.
    fn on_ellipse(count: usize) -> (Scene, impl Fn(f64) -> DVec3) {
        let point = |turn: f64| {
            let (x, y) = (0.4 + 5.0 * turn.cos(), -0.3 + 3.5 * turn.sin());
            PLACE + DVec3::new(0.8 * x - 0.6 * y, 0.6 * x + 0.8 * y, 1.2 + 0.1 * x)
        };
        let camera = |i: usize| looking_at(PLACE, point(TAU * i as f64 / count as f64));
        (testing::scene_of((0..count).map(camera).collect()), point)
    }

    #[test]
    fn photographs_on_an_ellipse_are_followed() {
        let (scene, point) = on_ellipse(60);
        let path = frames(&scene, &PathKind::Ellipse, Some(40)).unwrap();
        let true_points: Vec<DVec3> = (0..3600).map(|i| point(f64::from(i) * TAU / 3600.0)).collect();
        for frame in &path {
            frame.camera.validate(&frame.name).unwrap();
            let at = frame.camera.origin().as_dvec3();
            let off = true_points.iter().map(|p| p.distance(at)).fold(f64::MAX, f64::min);
            // The row that the orbit finds is smoothed over some degrees.
            assert!(off < 0.15, "{}: {off}", frame.name);
            let to_place = (PLACE.as_vec3() - frame.camera.origin()).normalize();
            assert!((to_place - frame.camera.forward()).length() < 1e-3);
            assert!(frame.camera.world_from_camera.x_axis.z.abs() < 1e-3);
        }
        let at = |i: usize| path[i % 40].camera.origin();
        let steps: Vec<f32> = (0..40).map(|i| at(i).distance(at(i + 1))).collect();
        let [least, most] = [steps.iter().copied().fold(f32::MAX, f32::min), steps.iter().copied().fold(0.0, f32::max)];
        assert!(most < 1.02 * least, "{steps:?}");
    }

    #[test]
    fn others_get_the_path_that_suits_them_and_the_reason() {
        for (scene, kind, why) in [
            (forward(1, 20), PathKind::Spiral, "all face the same way"),
            (around(1, 20, 130.0, PLACE), PathKind::Orbit, "degrees around the place, not all round"),
            (walk(1, 20), PathKind::Interpolate, "go along a way"),
            (room(1, 24), PathKind::Interpolate, "look out to all sides"),
        ] {
            let plan = plan(&scene, &PathKind::Ellipse, Some(9), &PathFileOptions::default()).unwrap();
            assert_eq!(plan.kind, kind);
            let reason = plan.reason.unwrap();
            assert!(reason.contains("no ellipse") && reason.contains(why), "{reason}");
        }
        let plan = plan(&around(1, 40, 360.0, PLACE), &PathKind::Ellipse, None, &PathFileOptions::default()).unwrap();
        assert_eq!((plan.kind, plan.reason), (PathKind::Ellipse, None));
    }

    #[test]
    fn equations_are_solved_and_dependent_ones_told() {
        let rows = (0..9).map(|i| (f64::from(i), f64::from(i * i)));
        let [a, b] = least_squares(rows.clone().map(|(x, y)| ([x, y], 3.0 * x - 2.0 * y))).unwrap();
        assert!((a - 3.0).abs() < 1e-9 && (b + 2.0).abs() < 1e-9);
        assert!(least_squares(rows.map(|(x, _)| ([x, 2.0 * x], x))).is_none());
    }
}
