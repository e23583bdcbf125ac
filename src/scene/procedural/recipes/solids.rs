//! Solid things alone and in heaps: primitives, solids of a distance function, stacks, pebbles and horns.

use super::Builder;
use crate::procedural::sdf::Solid;
use crate::procedural::shape::Shape;
use glam::{Quat, Vec2, Vec3};

impl Builder<'_> {
    pub fn primitive(&mut self, at: Vec3, r: f32, standing: bool) {
        let material = self.surface(at, r);
        let rng = &mut self.rng;
        let turn = if standing { rng.yaw() } else { rng.rotation() };
        let scale = Vec3::new(rng.log_range(0.3, 1.0), rng.log_range(0.3, 1.0), rng.log_range(0.3, 1.0));
        // The corners of the box of ±1 are at sqrt(3).
        let (shape, fit) = match rng.count(0, 9) {
            0..=2 => (Shape::Sphere, 1.0),
            3..=6 => (Shape::Cube, 0.58),
            7..=8 => (Shape::Cylinder, 0.7),
            _ => (Shape::Cone { top: if rng.chance(0.5) { 0.0 } else { rng.range(0.2, 0.9) } }, 0.7),
        };
        let scale = match shape {
            Shape::Sphere if rng.chance(0.5) => Vec3::ONE,
            Shape::Cylinder | Shape::Cone { .. } => Vec3::new(scale.x, scale.y, scale.x),
            _ => scale,
        };
        let scale = scale / scale.max_element() * fit * r;
        self.add(shape, at, turn, scale, material);
    }

    pub fn solid(&mut self, at: Vec3, r: f32, standing: bool) {
        let material = self.surface(at, r);
        let rng = &mut self.rng;
        let turn = if standing { rng.yaw() } else { rng.rotation() };
        let solid = match rng.count(0, 7) {
            0..=1 => {
                let balls = (0..rng.count(3, 7))
                    .map(|_| {
                        let radius = rng.range(0.15, 0.4);
                        (rng.direction() * rng.range(0.1, 0.88 - radius), radius)
                    })
                    .collect();
                Solid::Blobs { balls, blend: rng.range(0.05, 0.3) }
            }
            2 => {
                let half = Vec3::new(rng.range(0.3, 0.95), rng.range(0.3, 0.95), rng.range(0.3, 0.95));
                Solid::RoundBox { half, radius: rng.range(0.05, 0.28) }
            }
            3 => {
                let minor = rng.range(0.08, 0.35);
                Solid::Torus { major: 0.97 - minor, minor }
            }
            4 => {
                let half = Vec2::new(rng.range(0.15, 0.45), rng.range(0.15, 0.45));
                Solid::Twisted { half, rate: rng.range(-3.0, 3.0) }
            }
            5 => {
                let seed = rng.bits() as u32;
                Solid::Rock { amount: rng.range(0.08, 0.3), frequency: rng.range(1.2, 2.8), seed }
            }
            6 => {
                let (belly, phase) = (rng.range(0.25, 0.6), rng.range(0.0, std::f32::consts::TAU));
                Solid::Vase { belly, waves: rng.range(1.5, 4.5), phase }
            }
            _ => {
                Solid::Ribbed { ribs: rng.count(3, 8) as f32, depth: rng.range(0.05, 0.16), flat: rng.range(0.6, 0.95) }
            }
        };
        self.add(Shape::Solid(solid), at, turn, Vec3::splat(r * 0.8), material);
    }

    /// Boxes, cylinders or books upon each other.
    pub fn stack(&mut self, at: Vec3, r: f32) {
        let count = self.rng.count(2, 6);
        let step = 1.6 * r / count as f32;
        let round = self.rng.chance(0.25);
        for i in 0..count {
            let material = self.surface(at, r);
            let rng = &mut self.rng;
            let height = 0.5 * step * rng.range(0.85, 1.0);
            let centre =
                at + Vec3::new(rng.range(-0.1, 0.1) * r, 0.8 * r - (i as f32 + 0.5) * step, rng.range(-0.1, 0.1) * r);
            let wide = rng.range(0.2, 0.42) * r;
            let deep = if round { wide } else { rng.range(0.2, 0.42) * r };
            let turn = rng.yaw();
            let shape = if round { Shape::Cylinder } else { Shape::Cube };
            self.add(shape, centre, turn, Vec3::new(wide, height, deep), material);
        }
    }

    /// Many small rounded things on a level.
    pub fn pebbles(&mut self, at: Vec3, r: f32) {
        let kinds = [self.surface(at, 0.2 * r), self.surface(at, 0.2 * r), self.surface(at, 0.2 * r)];
        for _ in 0..self.rng.count(8, 30) {
            let rng = &mut self.rng;
            let size = r * rng.range(0.04, 0.16);
            let out = Vec2::from_angle(rng.range(0.0, std::f32::consts::TAU)) * (0.8 * r * rng.unit().sqrt());
            let place = at + Vec3::new(out.x, 0.9 * r - size * 0.6, out.y).clamp_length_max(r - size);
            let scale = Vec3::new(size, size * rng.range(0.4, 1.0), size * rng.range(0.6, 1.0));
            let (turn, material) = (rng.yaw(), rng.pick(&kinds));
            let shape = if rng.chance(0.85) { Shape::Sphere } else { Shape::Cube };
            self.add(shape, place, turn, scale * 0.9, material);
        }
    }

    /// Tapered bent tubes from one foot: horns, roots, branches.
    pub fn horns(&mut self, at: Vec3, r: f32) {
        let material = self.surface(at, 0.4 * r);
        for _ in 0..self.rng.count(2, 5) {
            let rng = &mut self.rng;
            let mut p = Vec3::new(0.0, 0.8, 0.0);
            let mut heading = (Vec3::NEG_Y * 1.2 + rng.direction()).normalize_or(Vec3::NEG_Y);
            let bend = rng.direction() * 0.5;
            let thick = rng.range(0.06, 0.16);
            let mut joints = vec![(p, thick)];
            for i in 1..7 {
                p = (p + heading * 0.28).clamp(Vec3::splat(-0.85), Vec3::splat(0.85));
                heading = (heading + bend + rng.direction() * 0.2).normalize_or(heading);
                // A joint may not repeat: the segment between would have no direction.
                if joints.last().is_some_and(|(q, _)| q.distance(p) > 1e-3) {
                    joints.push((p, thick * (1.0 - 0.14 * i as f32)));
                }
            }
            self.add(Shape::Solid(Solid::Horn { joints }), at, Quat::IDENTITY, Vec3::splat(r * 0.6), material);
        }
    }
}
