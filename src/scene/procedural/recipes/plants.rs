//! What grows: ferns, palms, grass and bushes.

use super::Builder;
use crate::procedural::shape::{Cutout, Shape};
use crate::procedural::texture::{Pattern, Texture};
use glam::{Quat, Vec3};

impl Builder<'_> {
    /// Colours of leaves, or of blossom.
    pub fn leaf_texture(&mut self, pixel: f32) -> Texture {
        let rng = &mut self.rng;
        let pattern = match rng.count(0, 3) {
            0 => Pattern::Stripes { warp: 0.3, soft: true },
            1 => Pattern::Clouds { octaves: 4, gain: 0.6 },
            2 => Pattern::Flat,
            _ => Pattern::Spots { radius: 0.3 },
        };
        let feature = pixel * rng.log_range(4.0, 30.0);
        let mut texture = self.palette.with_pattern(rng, pattern, feature, pixel);
        if rng.chance(0.7) {
            let green = Vec3::new(rng.range(0.04, 0.3), rng.range(0.16, 0.45), rng.range(0.02, 0.12));
            texture.colours = [1.0, 0.75, 1.25, 0.55].map(|s| green * s);
        }
        texture
    }

    /// As many materials of leaves, for what grows at a place.
    pub fn leaf_materials(&mut self, at: Vec3, count: usize) -> Vec<u32> {
        let pixel = self.pixel(at);
        (0..count)
            .map(|_| {
                let texture = self.leaf_texture(pixel);
                self.finish_tinted(texture, pixel, 0.8)
            })
            .collect()
    }

    /// Stems from one point, each with blades to both sides: a fern, a palm or a bunch of grass.
    pub fn plant(&mut self, at: Vec3, r: f32) {
        let count = self.rng.count(1, 3);
        let kinds = self.leaf_materials(at, count);
        let stems = self.rng.count(3, 9);
        let pairs = self.rng.count(3, 9);
        let (length, width) = (self.rng.range(0.18, 0.4), self.rng.range(0.12, 0.4));
        let droop = self.rng.range(0.1, 1.2);
        let lean = self.rng.range(0.2, 1.3);
        let foot = at + Vec3::Y * 0.85 * r;
        for s in 0..stems {
            let turn = Quat::from_rotation_y((s as f32 + self.rng.unit()) / stems as f32 * std::f32::consts::TAU);
            let out = turn * Vec3::X;
            let material = self.rng.pick(&kinds);
            let reach = r * self.rng.range(0.75, 1.0);
            let point = |t: f32| {
                let side = lean * t * (0.35 + 0.5 * t);
                let up = t * (1.7 - droop * t * 0.9);
                foot + (out * side.min(0.9) - Vec3::Y * up) * reach * 0.8
            };
            for i in 0..pairs {
                let (t0, t1) = (i as f32 / pairs as f32, (i + 1) as f32 / pairs as f32);
                let (a, b) = (point(t0), point(t1));
                self.rod(a, b, 0.012 * r, material);
                let along = (b - a).normalize_or(Vec3::NEG_Y);
                let across = along.cross(out).normalize_or(Vec3::Z);
                let size = length * r * (1.1 - 0.7 * t1) * self.rng.range(0.8, 1.1);
                for side in [-1.0, 1.0] {
                    let tip = (across * side + along * 0.5 + Vec3::Y * self.rng.range(-0.1, 0.5)).normalize();
                    self.blade(b, tip, along, size, width, material);
                }
            }
        }
    }

    /// Long stems that bend outwards from one point, with narrow leaves close to each other on both sides: a cycad, a fern, a
    /// palm. What lies behind shows between the leaves.
    pub fn fronds(&mut self, at: Vec3, r: f32) {
        let kinds = self.leaf_materials(at, 2);
        let (stems, pairs) = (self.rng.count(7, 16), self.rng.count(12, 32));
        // Length of a leaf, and how much of the way to the next one it is wide.
        let (length, cover) = (r * self.rng.range(0.12, 0.3), self.rng.range(0.35, 0.9));
        let (rise, droop) = (self.rng.range(0.5, 1.4), self.rng.range(0.3, 1.6));
        let forward = self.rng.range(0.2, 0.9);
        let foot = at + Vec3::Y * 0.6 * r;
        for s in 0..stems {
            let turn = Quat::from_rotation_y((s as f32 + self.rng.unit()) / stems as f32 * std::f32::consts::TAU);
            let (out, material) = (turn * Vec3::X, self.rng.pick(&kinds));
            let (reach, rise) = (r * self.rng.range(0.7, 1.0), rise * self.rng.range(0.7, 1.3));
            // A parabola: up and out, then down (y points down).
            let point = |t: f32| foot + (out * t - Vec3::Y * (rise * t - droop * t * t)) * reach;
            let width = cover * reach / (pairs as f32 * length);
            for i in 0..pairs {
                let (a, b) = (point(i as f32 / pairs as f32), point((i + 1) as f32 / pairs as f32));
                self.rod(a, b, 0.006 * r, material);
                let along = (b - a).normalize_or(Vec3::NEG_Y);
                let across = along.cross(Vec3::Y).normalize_or(Vec3::Z);
                let t = (i as f32 + 0.5) / pairs as f32;
                let size = length * (0.35 + 2.6 * t * (1.0 - t)) * self.rng.range(0.9, 1.1);
                for side in [-1.0, 1.0] {
                    let tip = (across * side + along * forward).normalize_or(across);
                    self.blade(b, tip, along, size, width, material);
                }
            }
        }
    }

    /// A leaf from `from` along `tip`; `hint` lies about in its plane.
    pub fn blade(&mut self, from: Vec3, tip: Vec3, hint: Vec3, length: f32, width: f32, material: u32) {
        let normal = tip.cross(hint).normalize_or(Vec3::Z);
        let side = tip.cross(normal);
        let turn = Quat::from_mat3(&glam::Mat3::from_cols(side, tip, normal)).normalize();
        let scale = Vec3::new(0.5 * length * width, 0.5 * length, 1.0);
        self.add(Shape::Sheet(Cutout::Leaf), from + tip * length * 0.5, turn, scale, material);
    }

    /// Leaves in a ball: a bush or the crown of a tree.
    pub fn foliage(&mut self, at: Vec3, r: f32) {
        let kinds = self.leaf_materials(at, 3);
        let (size, width) = (r * self.rng.range(0.12, 0.35), self.rng.range(0.3, 0.9));
        for _ in 0..self.rng.count(25, 70) {
            let out = self.rng.direction();
            let from = at + out * (r - size) * self.rng.unit().cbrt();
            let tip = (out + self.rng.direction()).normalize_or(Vec3::Y);
            let hint = self.rng.direction();
            let material = self.rng.pick(&kinds);
            self.blade(from, tip, hint, size, width, material);
        }
    }
}
