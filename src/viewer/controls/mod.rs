//! How one moves: what mouse, keys and touch do to the camera.

pub mod home;
pub mod place;
#[cfg(test)]
mod tests;

use crate::eye::{Eye, Lens};
use glam::{DQuat, DVec2, DVec3};
use home::{Bounds, Home};
pub use place::{Anchor, Place};

/// Time constant of the smoothing, in seconds.
const SMOOTH: f64 = 0.07;
/// Radians a pixel of a drag turns.
pub const TURN: f64 = 0.005;
/// Cosine of the angle to the up axis that looking up or down stops at.
const STEEP: f64 = 0.98;

/// Ways to move.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Around a pivot.
    Orbit,
    /// Freely, by keys and mouse.
    Fly,
}

/// Keys of the flight that are held down: forward, back, left, right, up, down.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Held {
    /// Right, down and forward, each from -1 to 1.
    pub along: DVec3,
    /// Whether one goes faster.
    pub fast: bool,
}

/// The camera that is shown, and the one that it glides to.
#[derive(Clone, Debug)]
pub struct Controls {
    /// How one moves.
    pub mode: Mode,
    /// Speed in flight, in units of the scene a second.
    pub speed: f64,
    /// Keys that are held.
    pub held: Held,
    home: Home,
    /// Where one stays in orbit: those of the home, until another pivot is chosen.
    bounds: Option<Bounds>,
    goal: Place,
    shown: Place,
    lens: Lens,
    shown_lens: Lens,
    /// The source view that the goal is.
    view: Option<usize>,
}

impl Controls {
    /// At home.
    pub fn new(home: Home) -> Self {
        let (place, lens) = (home.place, home.lens);
        let view = Some(home.view);
        Self {
            mode: home.mode,
            speed: 0.5,
            held: Held::default(),
            goal: place,
            shown: place,
            lens,
            shown_lens: lens,
            view,
            bounds: home.bounds,
            home,
        }
    }

    /// Where one looks from now.
    pub fn eye(&self) -> Eye {
        Eye { center: self.shown.center(), rotation: self.shown.rotation, lens: self.shown_lens }
    }

    /// The pivot.
    pub fn pivot(&self) -> DVec3 {
        self.shown.pivot
    }

    /// Upwards.
    pub fn up(&self) -> DVec3 {
        self.home.up
    }

    /// A length that suits the scene.
    pub fn unit(&self) -> f64 {
        self.home.unit
    }

    /// Whether the camera stands still.
    pub fn rests(&self) -> bool {
        self.shown == self.goal && self.shown_lens == self.lens && self.held.along == DVec3::ZERO
    }

    /// The source view at which the camera stands, having come to rest.
    pub fn view(&self) -> Option<usize> {
        self.view.filter(|_| self.shown == self.goal && self.shown_lens == self.lens)
    }

    /// Lets `seconds` pass.
    pub fn pass(&mut self, seconds: f64) {
        let seconds = seconds.clamp(0.0, 1.0);
        if self.held.along != DVec3::ZERO {
            let speed = self.speed * self.home.unit * if self.held.fast { 4.0 } else { 1.0 };
            self.goal.pivot += self.goal.rotation * self.held.along.normalize_or_zero() * speed * seconds;
            self.left();
        }
        let t = place::part(seconds, SMOOTH);
        let anchor = match self.mode {
            Mode::Orbit => Anchor::Pivot,
            Mode::Fly => Anchor::Camera,
        };
        self.shown = self.shown.towards(&self.goal, anchor, t);
        self.shown_lens.focal = self.shown_lens.focal.lerp(self.lens.focal, t);
        self.shown_lens.center = self.shown_lens.center.lerp(self.lens.center, t);
        self.shown_lens.size = self.lens.size;
        let same_lens = (self.shown_lens.focal - self.lens.focal).length() < 1e-4 * self.lens.focal.y
            && (self.shown_lens.center - self.lens.center).length() < 1e-3;
        if self.shown.is_close(&self.goal) && same_lens {
            (self.shown, self.shown_lens) = (self.goal, self.lens);
        }
    }

    /// The goal is the user's own from now on.
    fn left(&mut self) {
        self.view = None;
        self.bound();
    }

    /// Turns by a drag in pixels: around the pivot, where the scene follows the mouse, or on the spot in flight, where the
    /// view does. For the direction in which one looks that is the same.
    pub fn turn(&mut self, pixels: DVec2) {
        let center = self.goal.center();
        let yaw = DQuat::from_axis_angle(self.home.up, -pixels.x * TURN);
        let right = self.goal.rotation * DVec3::X;
        let pitch = DQuat::from_axis_angle(right, -pixels.y * TURN);
        let pitched = pitch * self.goal.rotation;
        let steep = |rotation: DQuat| (rotation * DVec3::Z).dot(self.home.up).abs();
        // Over the poles left and right would change sides; whoever is beyond may come back.
        let too_steep = steep(pitched) > STEEP && steep(pitched) > steep(self.goal.rotation);
        let rotation = if too_steep { self.goal.rotation } else { pitched };
        self.goal.rotation = (yaw * rotation).normalize();
        if self.mode == Mode::Fly {
            self.goal = Place::at(center, self.goal.rotation, self.goal.distance);
        }
        self.left();
    }

    /// Moves sideways by a drag in pixels of a picture `height` high: what is at the pivot's depth follows the mouse.
    pub fn pan(&mut self, pixels: DVec2, height: f64) {
        let per_pixel = self.goal.distance * self.lens.size.y / self.lens.focal.y / height.max(1.0);
        let along = DVec3::new(-pixels.x, -pixels.y, 0.0) * per_pixel;
        self.goal.pivot += self.goal.rotation * along;
        self.left();
    }

    /// Goes nearer by a factor: halves the distance for 2. In flight the camera goes ahead instead.
    pub fn zoom(&mut self, factor: f64) {
        let factor = factor.clamp(0.1, 10.0);
        match self.mode {
            Mode::Orbit => {
                let unit = self.home.unit;
                self.goal.distance = (self.goal.distance / factor).clamp(1e-3 * unit, 1e3 * unit);
            }
            Mode::Fly => self.goal.pivot += self.goal.forward() * self.home.unit * 0.3 * factor.ln(),
        }
        self.left();
    }

    /// What the wheel does: zooms, or changes the speed in flight; `lines` is positive away from the user.
    pub fn wheel(&mut self, lines: f64) {
        match self.mode {
            Mode::Orbit => self.zoom((0.12 * lines).exp()),
            Mode::Fly => self.speed = (self.speed * (0.15 * lines).exp()).clamp(0.01, 20.0),
        }
    }

    /// Turns around a point from now on: the camera stays and looks at it.
    pub fn look_at(&mut self, point: DVec3) {
        let center = self.goal.center();
        let Some(way) = (point - center).try_normalize() else { return };
        let turn = DQuat::from_rotation_arc(self.goal.forward(), way);
        let (mut rotation, distance) = ((turn * self.goal.rotation).normalize(), (point - center).length());
        if let Some(bounds) = self.bounds.as_mut().filter(|_| self.mode == Mode::Orbit) {
            // What is looked at from now on is what one stays in front of.
            rotation = facing(bounds, rotation);
            bounds.pivot = center + rotation * DVec3::Z * distance;
            bounds.distance = [bounds.distance[0].min(distance), bounds.distance[1].max(distance)];
        }
        self.goal = Place::at(center, rotation, distance);
        self.view = None;
    }

    /// Back to where one started.
    pub fn go_home(&mut self) {
        (self.goal, self.lens, self.mode) = (self.home.place, self.home.lens, self.home.mode);
        self.bounds = self.home.bounds;
        self.view = Some(self.home.view);
    }

    /// To a source view, with its lens.
    pub fn go_to_view(&mut self, view: usize, eye: &Eye) {
        self.go_to(eye);
        self.view = Some(view);
    }

    /// To a pose and lens; the pivot stays as far ahead as it is.
    pub fn go_to(&mut self, eye: &Eye) {
        let ahead = (self.goal.pivot - eye.center).dot(eye.forward());
        let distance = if ahead > 0.1 * self.home.unit { ahead } else { self.goal.distance };
        (self.goal, self.lens, self.view) = (Place::at(eye.center, eye.rotation, distance), eye.lens, None);
    }

    /// At once, without gliding.
    pub fn jump(&mut self) {
        (self.shown, self.shown_lens) = (self.goal, self.lens);
    }

    /// Vertical field of view, in degrees.
    pub fn fov_degrees(&self) -> f64 {
        self.lens.fov_degrees()
    }

    /// Sets the vertical field of view, in degrees.
    pub fn set_fov_degrees(&mut self, fov: f64) {
        self.lens = self.lens.with_fov_degrees(fov);
        self.view = None;
    }

    /// Keeps the goal within the bounds of a forward-facing scene, unless one flies.
    fn bound(&mut self) {
        let Some(bounds) = self.bounds.filter(|_| self.mode == Mode::Orbit) else { return };
        self.goal = within(&bounds, self.goal);
    }
}

/// The nearest place within bounds.
fn within(bounds: &Bounds, place: Place) -> Place {
    let away = place.pivot - bounds.pivot;
    let pivot = bounds.pivot + away.clamp_length_max(bounds.reach);
    let distance = place.distance.clamp(bounds.distance[0], bounds.distance[1]);
    Place { rotation: facing(bounds, place.rotation), pivot, distance }
}

/// The nearest rotation that looks as far aside as bounds allow.
fn facing(bounds: &Bounds, rotation: DQuat) -> DQuat {
    let forward = rotation * DVec3::Z;
    let angle = bounds.forward.angle_between(forward);
    if angle <= bounds.angle_rad {
        return rotation;
    }
    let axis = forward.cross(bounds.forward).normalize_or(rotation * DVec3::Y);
    (DQuat::from_axis_angle(axis, angle - bounds.angle_rad) * rotation).normalize()
}
