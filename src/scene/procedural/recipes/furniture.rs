//! What people build: railings, tables, boards and lattices, bars.

use super::Builder;
use crate::procedural::shape::{Cutout, Shape};
use glam::{Quat, Vec3};

impl Builder<'_> {
    pub fn railing(&mut self, at: Vec3, r: f32) {
        let material = self.surface(at, 0.3 * r);
        let turn = if self.rng.chance(0.5) { Quat::from_rotation_y(self.rng.range(-0.6, 0.6)) } else { self.rng.yaw() };
        let posts = self.rng.count(4, 12);
        let (thick, high) = (r * self.rng.range(0.015, 0.05), r * self.rng.range(0.3, 0.6));
        let place = |x: f32, y: f32| at + turn * Vec3::new(x * 0.75 * r, y * high, 0.0);
        for i in 0..posts {
            let x = 2.0 * i as f32 / (posts - 1) as f32 - 1.0;
            self.rod(place(x, -1.0), place(x, 1.0), thick, material);
        }
        for y in [-1.0, 0.7] {
            self.rod(place(-1.05, y), place(1.05, y), thick * 1.3, material);
        }
    }

    /// A board on legs, with things on it.
    pub fn table(&mut self, at: Vec3, r: f32) {
        let (top, legs) = (self.surface(at, r), self.surface(at, 0.2 * r));
        let turn = self.rng.yaw();
        let (wide, deep, thick) = (0.62 * r, r * self.rng.range(0.3, 0.5), r * self.rng.range(0.02, 0.07));
        self.add(Shape::Cube, at, turn, Vec3::new(wide, thick, deep), top);
        let leg = r * self.rng.range(0.02, 0.06);
        for (x, z) in [(-0.9, -0.9), (-0.9, 0.9), (0.9, -0.9), (0.9, 0.9)] {
            let foot = at + turn * Vec3::new(x * wide, 0.0, z * deep);
            self.rod(foot + Vec3::Y * thick, foot + Vec3::Y * 0.65 * r, leg, legs);
        }
        for _ in 0..self.rng.count(1, 4) {
            let size = r * self.rng.range(0.08, 0.25);
            let x = self.rng.range(-0.7, 0.7) * wide;
            let z = self.rng.range(-0.7, 0.7) * deep;
            let on = at + turn * Vec3::new(x, 0.0, z) - Vec3::Y * (thick + size * 0.75);
            if self.rng.chance(0.5) { self.primitive(on, size, true) } else { self.solid(on, size, true) }
        }
    }

    /// A board, a lattice or a perforated sheet.
    pub fn sheet(&mut self, at: Vec3, r: f32) {
        let material = self.surface(at, r);
        let rng = &mut self.rng;
        let cutout = match rng.count(0, 3) {
            0 => Cutout::Whole,
            1 => Cutout::Disc,
            2 => Cutout::Lattice { count: rng.count(2, 8) as f32, bar: rng.range(0.05, 0.25) },
            _ => Cutout::Lace { count: rng.range(1.5, 4.0), seed: rng.bits() as u32 },
        };
        let turn = Quat::from_rotation_y(rng.range(-1.1, 1.1)) * Quat::from_rotation_x(rng.range(-0.5, 0.5));
        let turn = if rng.chance(0.2) { rng.rotation() } else { turn };
        let scale = Vec3::new(rng.range(0.3, 0.7), rng.range(0.3, 0.7), 1.0) * r;
        self.add(Shape::Sheet(cutout), at, turn, scale, material);
    }

    /// Bars in all directions.
    pub fn rods(&mut self, at: Vec3, r: f32) {
        let material = self.surface(at, 0.2 * r);
        let thick = r * self.rng.log_range(0.01, 0.06);
        for _ in 0..self.rng.count(3, 14) {
            let (a, b) = (self.rng.direction() * 0.95 * r, self.rng.direction() * 0.95 * r);
            self.rod(at + a, at + b, thick, material);
        }
    }
}
