//! Groups of shapes: plants, railings, stacks, tables and single solids, most of which stay inside a given ball.

mod furniture;
mod places;
mod plants;
mod solids;

use super::Material;
use super::album::Wardrobe;
use super::palette::Palette;
use super::rng::Rng;
use super::shape::{Object, Shape};
use super::texture::Texture;
use glam::{Quat, Vec3};

/// Kinds of groups.
pub(super) const KINDS: usize = 11;

/// A world under construction.
pub(super) struct Builder<'a> {
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
    /// Photographic textures, if there are any.
    pub wardrobe: Option<Wardrobe<'a>>,
}

impl Builder<'_> {
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

    /// A surface with this texture, or a photographic one, and a random finish.
    pub fn finish(&mut self, texture: Texture, pixel: f32) -> u32 {
        self.finish_tinted(texture, pixel, 0.35)
    }

    /// As [`Self::finish`]; photographic textures take on the texture's colour with the chance `tinted`.
    pub fn finish_tinted(&mut self, mut texture: Texture, pixel: f32, tinted: f32) -> u32 {
        if let Some(wardrobe) = &mut self.wardrobe {
            texture.swatch = wardrobe.dress(pixel, texture.colours[0], tinted);
        }
        self.finish_plain(texture, pixel)
    }

    /// A surface with just this texture and a random finish.
    pub fn finish_plain(&mut self, texture: Texture, pixel: f32) -> u32 {
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
}
