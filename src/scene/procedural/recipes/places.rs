//! What photographs of places are full of: thickets and hedges, fences, posters and signs, bright windows.

use super::Builder;
use crate::procedural::Material;
use crate::procedural::shape::{Cutout, Shape};
use crate::procedural::texture::{Pattern, Texture};
use glam::{Quat, Vec3};

impl Builder<'_> {
    /// Several hundred leaves or petals in a box around `at`, denser in the middle: a hedge, ivy, a flower bed.
    pub fn thicket(&mut self, at: Vec3, half: Vec3, leaves: usize) {
        let kinds = self.leaf_materials(at, 4);
        let size = half.min_element().max(0.3 * half.max_element()) * self.rng.log_range(0.15, 0.4);
        let width = self.rng.range(0.15, 0.9);
        // Leaves of one plant hang about the same way.
        let bias = self.rng.direction() * self.rng.range(0.0, 1.5);
        for _ in 0..leaves {
            let mut place = || self.rng.range(-0.5, 0.5) + self.rng.range(-0.5, 0.5);
            let from = at + half * Vec3::new(place(), place(), place());
            let tip = (self.rng.direction() + bias).normalize_or(Vec3::Y);
            let (hint, material) = (self.rng.direction(), self.rng.pick(&kinds));
            let length = size * self.rng.range(0.6, 1.3);
            self.blade(from, tip, hint, length, width, material);
        }
        for _ in 0..self.rng.count(2, 8) {
            let (a, b) = (self.rng.direction() * half, self.rng.direction() * half);
            let material = self.rng.pick(&kinds);
            self.rod(at + a, at + b, 0.05 * size, material);
        }
    }

    /// Posts and rails from `from` to `to` on the ground at their height (y points down), `high` above it.
    pub fn fence(&mut self, from: Vec3, to: Vec3, high: f32) {
        let material = self.surface((from + to) * 0.5, 0.2 * high);
        let length = from.distance(to);
        let gap = high * self.rng.log_range(0.08, 0.5);
        let count = ((length / gap) as usize).clamp(2, 60);
        let thick = gap * self.rng.range(0.06, 0.2);
        let up = Vec3::NEG_Y * high;
        for i in 0..=count {
            let foot = from.lerp(to, i as f32 / count as f32);
            self.rod(foot, foot + up, thick, material);
        }
        for _ in 0..self.rng.count(1, 4) {
            let lift = up * self.rng.range(0.1, 0.98);
            self.rod(from + lift, to + lift, thick * 1.2, material);
        }
    }

    /// A flat sign on a wall: lines of text, a plate of panels, or a picture, in strong contrast.
    pub fn poster(&mut self, at: Vec3, turn: Quat, half: Vec3) {
        let pixel = self.pixel(at);
        let pattern = match self.rng.count(0, 9) {
            0..=4 => Pattern::Glyphs,
            5..=6 => Pattern::Panels { aspect: self.rng.log_range(0.5, 2.0) },
            _ => Pattern::Flat,
        };
        let feature = pixel * self.rng.log_range(6.0, 24.0);
        let mut texture = self.palette.with_pattern(&mut self.rng, pattern, feature, pixel);
        texture.grain = 0.0;
        if self.rng.chance(0.6) {
            // Dark on light, or light on dark.
            let (paper, ink) = (Vec3::splat(self.rng.range(0.5, 0.9)), Vec3::splat(self.rng.range(0.015, 0.08)));
            let dark = self.rng.chance(0.3);
            (texture.colours[0], texture.colours[2]) = if dark { (ink, paper) } else { (paper, ink) };
        }
        let plain = pattern != Pattern::Flat;
        let material = if plain { self.finish_plain(texture, pixel) } else { self.finish_tinted(texture, pixel, 0.1) };
        self.add(Shape::Cube, at, turn, half, material);
    }

    /// A bright window with bars, in a wall that faces along the turned z axis.
    pub fn window(&mut self, at: Vec3, turn: Quat, half: Vec3) {
        let bright = Vec3::ONE + self.rng.direction() * 0.1;
        let pane = Texture::flat(bright * self.rng.log_range(0.5, 3.0));
        let pane = self.push(Material {
            texture: pane,
            specular: 0.0,
            shininess: 1.0,
            mirror: 0.0,
            emissive: true,
            bump: 0.0,
            bump_frequency: 1.0,
        });
        self.add(Shape::Sheet(Cutout::Whole), at, turn, half, pane);
        let frame = self.surface(at, 0.1 * half.x);
        let lattice = Cutout::Lattice { count: self.rng.count(1, 4) as f32, bar: self.rng.range(0.04, 0.1) };
        let front = turn * Vec3::NEG_Z * half.z;
        // Seen from the other side the bars are behind the pane, which then is a lamp.
        self.add(Shape::Sheet(lattice), at + front, turn, half * 1.05, frame);
    }
}
