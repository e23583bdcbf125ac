//! Where one starts, and how one moves, by what kind of capture a scene is.

use super::{Mode, Place};
use crate::eye::{Eye, Lens};
use glam::DVec3;
use scene::Scene;
use scene::capture::{Capture, CaptureKind};

/// Where one may go around a forward-facing scene.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bounds {
    /// The direction to look in, by and large.
    pub forward: DVec3,
    /// Largest angle from it, in radians.
    pub angle_rad: f64,
    /// Where the pivot started.
    pub pivot: DVec3,
    /// How far it may go.
    pub reach: f64,
    /// Nearest and farthest distance from it.
    pub distance: [f64; 2],
}

/// A good first view.
#[derive(Clone, Debug)]
pub struct Home {
    /// How one moves.
    pub mode: Mode,
    /// Where one starts.
    pub place: Place,
    /// With which lens.
    pub lens: Lens,
    /// The source view that stands there.
    pub view: usize,
    /// Upwards, of unit length.
    pub up: DVec3,
    /// Where one may go; none for everywhere.
    pub bounds: Option<Bounds>,
    /// A length that suits the scene, for speeds.
    pub unit: f64,
}

impl Home {
    /// Of a scene: photographs that face one way are seen in a bounded orbit around what they look at, those around an
    /// object in an orbit, rooms and walks in flight. The up axis is that of the cameras.
    ///
    /// None if the scene has no views.
    pub fn of(scene: &Scene) -> Option<Self> {
        let capture = Capture::of(scene)?;
        let view = middle_view(scene, &capture)?;
        let eye = Eye::of(&scene.views[view].camera);
        let ahead = |point: DVec3| (point - eye.center).dot(eye.forward());
        // The middle of the depths in inverse depth, which is where most of a picture is.
        let between = 2.0 / (1.0 / f64::from(scene.near) + 1.0 / f64::from(scene.far));
        let distance = capture.focus.map(ahead).filter(|depth| *depth > 0.2 * f64::from(scene.near));
        let distance = match capture.kind {
            CaptureKind::Forward | CaptureKind::Around => distance.unwrap_or(between),
            CaptureKind::Inside | CaptureKind::Walk => between,
        }
        .min(f64::from(scene.far));
        let place = Place::at(eye.center, eye.rotation, distance);
        let mode = match capture.kind {
            CaptureKind::Forward | CaptureKind::Around => Mode::Orbit,
            CaptureKind::Inside | CaptureKind::Walk => Mode::Fly,
        };
        let bounds = (capture.kind == CaptureKind::Forward).then(|| Bounds {
            forward: place.forward(),
            // Seen from the pivot, half as far again as the photographs go.
            angle_rad: (1.5 * 0.5 * capture.extent / distance).atan().clamp(0.1, 0.8),
            pivot: place.pivot,
            reach: 0.5 * distance,
            distance: [0.4 * distance, 1.6 * distance],
        });
        Some(Self { mode, place, lens: eye.lens, view, up: capture.up, bounds, unit: distance })
    }
}

/// The view that stands and looks most like the middle of all.
fn middle_view(scene: &Scene, capture: &Capture) -> Option<usize> {
    let far = |id: &usize| {
        let eye = Eye::of(&scene.views[*id].camera);
        let away = (eye.center - capture.center).length() / capture.extent.max(1e-9);
        let turned = 1.0 + eye.forward().dot(capture.back);
        away + turned
    };
    (0..scene.views.len()).min_by(|a, b| far(a).total_cmp(&far(b)))
}
