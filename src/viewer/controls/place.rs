//! A pose around a pivot, and gliding from one to another.

use glam::{DQuat, DVec3};

/// A pose that looks at a pivot.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Place {
    /// World from camera: x right, y down, z forward.
    pub rotation: DQuat,
    /// What lies ahead and is turned around.
    pub pivot: DVec3,
    /// Distance of the pivot; positive.
    pub distance: f64,
}

/// What glides on a straight way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Anchor {
    /// The pivot: the camera turns around it.
    Pivot,
    /// The camera: it turns on the spot.
    Camera,
}

impl Place {
    /// At `center`, with the pivot `distance` ahead.
    pub fn at(center: DVec3, rotation: DQuat, distance: f64) -> Self {
        Self { rotation, pivot: center + rotation * DVec3::Z * distance, distance }
    }

    /// Forward (optical) axis.
    pub fn forward(&self) -> DVec3 {
        self.rotation * DVec3::Z
    }

    /// The camera's centre.
    pub fn center(&self) -> DVec3 {
        self.pivot - self.forward() * self.distance
    }

    /// The part `t` of the way to `goal`, from 0 to 1. Never beyond: every quantity stays between its two ends.
    #[must_use]
    pub fn towards(&self, goal: &Self, anchor: Anchor, t: f64) -> Self {
        let t = t.clamp(0.0, 1.0);
        let rotation = self.rotation.slerp(goal.rotation, t).normalize();
        let distance = (self.distance.ln() * (1.0 - t) + goal.distance.ln() * t).exp();
        match anchor {
            Anchor::Pivot => Self { rotation, distance, pivot: self.pivot.lerp(goal.pivot, t) },
            Anchor::Camera => Self::at(self.center().lerp(goal.center(), t), rotation, distance),
        }
    }

    /// Whether nobody would see the difference: less than about a thousandth of a pixel.
    pub fn is_close(&self, goal: &Self) -> bool {
        let angle = self.rotation.angle_between(goal.rotation);
        let moved = (self.center() - goal.center()).length() + (self.pivot - goal.pivot).length();
        angle < 1e-6 && moved < 2e-6 * goal.distance && (self.distance / goal.distance).ln().abs() < 1e-6
    }
}

/// The part of the way that is gone in `seconds` by exponential smoothing with a time constant, whatever the frame rate:
/// two steps of half the time go as far as one.
pub fn part(seconds: f64, constant: f64) -> f64 {
    1.0 - (-seconds.max(0.0) / constant).exp()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ends() -> (Place, Place) {
        let from = Place::at(DVec3::new(1.0, 2.0, 3.0), DQuat::from_rotation_y(0.3), 2.0);
        (from, Place::at(DVec3::new(4.0, 2.5, 1.0), DQuat::from_rotation_x(-0.8), 7.0))
    }

    /// However long a frame takes, the camera never passes its goal, and it always comes nearer.
    #[test]
    fn gliding_never_overshoots() {
        let (from, goal) = ends();
        for anchor in [Anchor::Pivot, Anchor::Camera] {
            for seconds in [0.0, 0.001, 0.016, 0.3, 2.0, 60.0, 1e9] {
                let mut at = from;
                let mut last = at.rotation.angle_between(goal.rotation);
                for _ in 0..200 {
                    at = at.towards(&goal, anchor, part(seconds, 0.08));
                    let left = at.rotation.angle_between(goal.rotation);
                    assert!(left <= last + 1e-7, "{seconds}: {left} after {last}");
                    last = left;
                    assert!((2.0 - 1e-9..=7.0 + 1e-9).contains(&at.distance));
                    let (low, high) = match anchor {
                        Anchor::Pivot => (from.pivot.min(goal.pivot), from.pivot.max(goal.pivot)),
                        Anchor::Camera => (from.center().min(goal.center()), from.center().max(goal.center())),
                    };
                    let point = if anchor == Anchor::Pivot { at.pivot } else { at.center() };
                    assert!(point.cmpge(low - 1e-9).all() && point.cmple(high + 1e-9).all());
                }
                assert!(seconds < 0.01 || at.is_close(&goal), "{seconds}");
            }
        }
    }

    #[test]
    fn frame_rate_does_not_matter() {
        let (from, goal) = ends();
        let mut many = from;
        for _ in 0..10 {
            many = many.towards(&goal, Anchor::Pivot, part(0.01, 0.08));
        }
        let once = from.towards(&goal, Anchor::Pivot, part(0.1, 0.08));
        assert!((many.pivot - once.pivot).length() < 1e-9 && (many.distance - once.distance).abs() < 1e-9);
        assert!(many.rotation.angle_between(once.rotation) < 1e-6);
    }

    #[test]
    fn a_place_knows_its_center() {
        let place = Place::at(DVec3::X, DQuat::from_rotation_y(1.0), 5.0);
        assert!((place.center() - DVec3::X).length() < 1e-12);
        assert!((place.pivot - place.center()).dot(place.forward()) - 5.0 < 1e-12);
    }
}
