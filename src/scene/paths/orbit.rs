//! Around the place that the cameras look at, where photographs were taken: a ring if they go all round, else a loop
//! there and back within the arc they cover.

use super::row::{NEAR, Place, Row};
use super::{Frame, curve};
use crate::capture::Capture;
use crate::pose::{center, flip_axes, look_along};
use crate::robust::median;
use crate::{Camera, Error, Result, Scene};
use glam::{DMat4, DVec3};
use std::f64::consts::{PI, TAU};

/// Points of the curve from which frames are taken.
const POINTS: usize = 720;
/// Gap between neighbouring azimuths that nobody flies over: pictures half-way have no photograph within 25 degrees.
const GAP: f64 = 50.0 * PI / 180.0;
/// Highest elevation of a camera whose azimuth means something, and of a frame.
const STEEP: f64 = 75.0 * PI / 180.0;
/// Least and greatest elevation by which the way back of a loop differs from the way there.
const LIFT: [f64; 2] = [3.0 * PI / 180.0, 8.0 * PI / 180.0];

/// Where the cameras stand as seen from the place, and which part of the way round is flown.
#[derive(Clone, Debug)]
pub struct Orbit {
    focus: DVec3,
    up: DVec3,
    /// Directions of azimuth 0 and 90 degrees; the arc begins at 0.
    axes: [DVec3; 2],
    /// The cameras near the arc; azimuths are from its beginning.
    places: Vec<Place>,
    row: Row,
    /// Azimuth that is covered, in radians; a whole turn is a ring.
    pub span: f64,
}

impl Orbit {
    /// The orbit of a capture.
    ///
    /// # Errors
    /// [`Error::Scene`] if the optical axes do not meet in front of the cameras.
    pub fn of(scene: &Scene, capture: &Capture) -> Result<Self> {
        let Some(focus) = capture.focus else {
            let problem = "an orbit needs cameras that look at one place, not parallel ones or ones that look apart";
            return Err(Error::Scene(format!("{}: {problem}; expected spiral, interpolate or auto", scene.name)));
        };
        let up = capture.up;
        let across = up.any_orthonormal_vector();
        let axes = [across, up.cross(across)];
        let mut places: Vec<Place> = capture.poses.iter().map(|p| place(center(p) - focus, up, axes)).collect();
        if places.iter().any(|place| place[1] < STEEP) {
            places.retain(|place| place[1] < STEEP);
        }
        places.sort_by(|a, b| a[0].total_cmp(&b[0]));
        let (start, span) = covered(&places.iter().map(|place| place[0]).collect::<Vec<_>>());
        for place in &mut places {
            place[0] = (place[0] - start).rem_euclid(TAU);
        }
        places.retain(|place| place[0] <= span + 1e-9 || span == TAU);
        let turned = |angle: f64| axes[0] * angle.cos() + axes[1] * angle.sin();
        let row = Row::new(&places, span);
        Ok(Self { focus, up, axes: [turned(start), turned(start + PI / 2.0)], places, row, span })
    }

    /// Whether the photographs go all round.
    pub fn is_ring(&self) -> bool {
        self.span == TAU
    }

    /// The orbit and its reason in words.
    pub fn words(&self) -> String {
        const REASON: &str = "the photographs look at one place from";
        match self.is_ring() {
            true => format!("an orbit all round: {REASON} all sides"),
            false => format!(
                "an arc of {0:.0} degrees there and back: {REASON} {0:.0} degrees around it",
                self.span.to_degrees()
            ),
        }
    }

    /// The closed curve of camera centres.
    pub(super) fn curve(&self) -> Vec<DVec3> {
        let lift = (0.5 * self.deviation()).clamp(LIFT[0], LIFT[1]);
        // Within the ends, where photographs are on one side only.
        let half = 0.5 * self.span * 0.96;
        let point = |i: usize| {
            let turn = TAU * i as f64 / POINTS as f64;
            let (azimuth, lift) =
                if self.is_ring() { (turn, 0.0) } else { (0.5 * self.span - half * turn.cos(), lift * turn.sin()) };
            let [elevation, log_distance] = self.row.at(azimuth);
            let elevation = (elevation + lift).clamp(-STEEP, STEEP);
            let level = self.axes[0] * azimuth.cos() + self.axes[1] * azimuth.sin();
            self.focus + (level * elevation.cos() + self.up * elevation.sin()) * log_distance.exp()
        };
        (0..POINTS).map(point).collect()
    }

    /// Median deviation in elevation of the cameras near the row from it.
    fn deviation(&self) -> f64 {
        let off = self.places.iter().map(|[azimuth, elevation, log_distance]| {
            let row = self.row.at(*azimuth);
            ((elevation - row[0]).abs(), (log_distance - row[1]).abs())
        });
        median(off.filter(|(e, d)| e.max(*d) < NEAR).map(|(elevation, _)| elevation))
    }

    /// A point in the axes of azimuth 0, azimuth 90 degrees and up, from the place.
    pub(super) fn level(&self, point: DVec3) -> DVec3 {
        let offset = point - self.focus;
        DVec3::new(offset.dot(self.axes[0]), offset.dot(self.axes[1]), offset.dot(self.up))
    }

    /// The inverse of [`Self::level`].
    pub(super) fn of_level(&self, point: DVec3) -> DVec3 {
        self.focus + self.axes[0] * point.x + self.axes[1] * point.y + self.up * point.z
    }

    /// A level camera at `point` that looks at the place.
    pub(super) fn look(&self, template: Camera, point: DVec3) -> Camera {
        let pose = look_along(point - self.focus, self.up, point).unwrap_or(DMat4::from_translation(point));
        Camera { world_from_camera: flip_axes(pose).as_mat4(), ..template }
    }
}

fn place(offset: DVec3, up: DVec3, axes: [DVec3; 2]) -> Place {
    let azimuth = offset.dot(axes[1]).atan2(offset.dot(axes[0]));
    [azimuth, (offset.normalize_or_zero().dot(up)).clamp(-1.0, 1.0).asin(), offset.length().ln()]
}

/// Beginning and extent of the covered part of a turn, from sorted azimuths: all of it if no gap is wider than [`GAP`],
/// else the part with most cameras between such gaps. A ring begins opposite the widest gap.
fn covered(azimuths: &[f64]) -> (f64, f64) {
    let count = azimuths.len();
    let gap = |i: usize| {
        let next = if i + 1 == count { azimuths[0] + TAU } else { azimuths[i + 1] };
        next - azimuths[i]
    };
    let widest = (0..count).max_by(|a, b| gap(*a).total_cmp(&gap(*b))).unwrap_or(0);
    if gap(widest) <= GAP {
        return (azimuths[widest] + 0.5 * gap(widest) + PI, TAU);
    }
    // Once round from behind the widest gap.
    let (mut best, mut part): (Vec<usize>, Vec<usize>) = Default::default();
    for step in 1..=count {
        let i = (widest + step) % count;
        part.push(i);
        if gap(i) > GAP {
            if part.len() > best.len() {
                best.clone_from(&part);
            }
            part.clear();
        }
    }
    let (first, last) = (best[0], best[best.len() - 1]);
    (azimuths[first], (azimuths[last] - azimuths[first]).rem_euclid(TAU))
}

/// `count` frames at even distances along the closed curve, all of which look at the place with a level horizon.
///
/// # Errors
/// [`Error::Scene`] if the optical axes do not meet in front of the cameras.
pub fn frames(scene: &Scene, capture: &Capture, count: usize) -> Result<Vec<Frame>> {
    let template = super::template(scene)?;
    let orbit = Orbit::of(scene, capture)?;
    let points = curve::closed(&orbit.curve(), count);
    Ok(super::numbered(points.into_iter().map(|point| orbit.look(template, point))))
}

#[cfg(test)]
#[path = "orbit_tests.rs"]
mod tests;
