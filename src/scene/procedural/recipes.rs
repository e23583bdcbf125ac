//! Groups of shapes: plants, railings, stacks, tables and single solids. Each stays inside a given ball.

use super::Material;
use super::palette::Palette;
use super::rng::Rng;
use super::sdf::Solid;
use super::shape::{Cutout, Object, Shape};
use super::texture::{Pattern, Texture};
use glam::{Quat, Vec2, Vec3};

/// Kinds of groups.
pub(super) const KINDS: usize = 11;

/// A world under construction.
pub(super) struct Builder {
    pub rng: Rng,
    pub palette: Palette,
    pub objects: Vec<Object>,
    pub materials: Vec<Material>,
    /// Where cameras are, about, and the size of a pixel at distance 1; they set the scale of textures.
    pub eye: Vec3,
    pub spread: f32,
    /// Chance that a surface mirrors.
    pub mirrors: f32,
    /// How often each kind of group is chosen.
    pub taste: [f32; KINDS],
}

impl Builder {
    pub fn add(&mut self, shape: Shape, at: Vec3, rotation: Quat, scale: Vec3, material: u32) {
        self.objects.push(Object::new(shape, at, rotation, scale, material));
    }

    pub fn push(&mut self, material: Material) -> u32 {
        self.materials.push(material);
        self.materials.len() as u32 - 1
    }

    /// Size of a pixel at `at`.
    pub fn pixel(&self, at: Vec3) -> f32 {
        (at - self.eye).length().max(1e-3) * self.spread
    }

    /// A surface with this texture and a random finish.
    pub fn finish(&mut self, texture: Texture, pixel: f32) -> u32 {
        let rng = &mut self.rng;
        let shiny = rng.chance(0.35);
        let material = Material {
            texture,
            specular: if shiny { rng.range(0.05, 0.7) } else { 0.0 },
            shininess: rng.log_range(6.0, 150.0),
            mirror: if rng.chance(self.mirrors) { rng.range(0.05, 0.6) } else { 0.0 },
            emissive: false,
            bump: if rng.chance(0.3) { rng.range(0.03, 0.3) } else { 0.0 },
            bump_frequency: 1.0 / (pixel * rng.log_range(4.0, 40.0)),
        };
        self.push(material)
    }

    /// Any surface, for a thing at `at` of about `size`.
    pub fn surface(&mut self, at: Vec3, size: f32) -> u32 {
        let pixel = self.pixel(at);
        let feature = (pixel * self.rng.log_range(4.0, 70.0)).min(1.2 * size).max(2.0 * pixel);
        let texture = self.palette.texture(&mut self.rng, feature, pixel);
        self.finish(texture, pixel)
    }

    /// A bar from `a` to `b`.
    pub fn rod(&mut self, a: Vec3, b: Vec3, radius: f32, material: u32) {
        let along = b - a;
        let turn = Quat::from_rotation_arc(Vec3::Y, along.normalize_or(Vec3::Y));
        let scale = Vec3::new(radius, 0.5 * along.length(), radius);
        self.add(Shape::Cylinder, (a + b) * 0.5, turn, scale, material);
    }

    /// A random group inside the ball (`at`, `r`); `standing` ones keep upright.
    pub fn group(&mut self, at: Vec3, r: f32, standing: bool) {
        let total: f32 = self.taste.iter().sum();
        let mut left = self.rng.unit() * total;
        let kind = self.taste.iter().position(|weight| {
            left -= weight;
            left <= 0.0
        });
        match kind.unwrap_or(0) {
            0 => self.primitive(at, r, standing),
            1 => self.solid(at, r, standing),
            2 => self.stack(at, r),
            3 => self.plant(at, r),
            4 => self.foliage(at, r),
            5 => self.railing(at, r),
            6 => self.table(at, r),
            7 => self.sheet(at, r),
            8 => self.rods(at, r),
            9 => self.pebbles(at, r),
            _ => self.horns(at, r),
        }
    }

    /// Gives this world its own mixture of groups: some are thickets, some rooms full of boxes.
    pub fn shuffle_taste(&mut self) {
        let usual = [24.0, 16.0, 8.0, 14.0, 5.0, 6.0, 6.0, 7.0, 5.0, 6.0, 6.0];
        self.taste = usual.map(|weight| weight * self.rng.log_range(0.15, 6.0));
    }

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

    /// Stems from one point, each with blades to both sides: a fern, a palm or a bunch of grass.
    pub fn plant(&mut self, at: Vec3, r: f32) {
        let pixel = self.pixel(at);
        let kinds: Vec<u32> = (0..self.rng.count(1, 3))
            .map(|_| {
                let texture = self.leaf_texture(pixel);
                self.finish(texture, pixel)
            })
            .collect();
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
        let pixel = self.pixel(at);
        let kinds: Vec<u32> = (0..3)
            .map(|_| {
                let texture = self.leaf_texture(pixel);
                self.finish(texture, pixel)
            })
            .collect();
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
