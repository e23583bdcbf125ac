//! Colours that go together, and random textures made of them.

use super::rng::Rng;
use super::texture::{Pattern, Texture};
use glam::Vec3;

/// Albedos measured by eye from photographs, sRGB: wood, stone, soil, leaves, skin, bone, brick, metal, cloth.
const NATURAL: [[u8; 3]; 32] = [
    [133, 94, 66],
    [186, 140, 99],
    [92, 62, 40],
    [222, 184, 135],
    [160, 120, 80],
    [120, 113, 105],
    [168, 162, 152],
    [90, 88, 86],
    [200, 193, 180],
    [70, 62, 52],
    [110, 86, 60],
    [60, 84, 40],
    [96, 122, 58],
    [140, 158, 84],
    [44, 62, 34],
    [164, 178, 120],
    [232, 222, 200],
    [214, 200, 172],
    [150, 70, 52],
    [178, 96, 70],
    [120, 50, 42],
    [84, 98, 112],
    [52, 60, 72],
    [180, 190, 198],
    [236, 236, 232],
    [30, 30, 32],
    [206, 170, 60],
    [62, 92, 130],
    [170, 60, 60],
    [110, 130, 150],
    [225, 205, 190],
    [140, 125, 95],
];

/// sRGB bytes to a linear albedo.
pub(super) fn srgb(rgb: [u8; 3]) -> Vec3 {
    let [r, g, b] = rgb.map(|v| (f32::from(v) / 255.0).powf(2.2));
    Vec3::new(r, g, b).clamp(Vec3::splat(0.015), Vec3::splat(0.9))
}

/// Hue, saturation and value in `[0, 1]` to a linear albedo.
fn hsv(h: f32, s: f32, v: f32) -> Vec3 {
    let channel = |shift: f32| {
        let k = (h + shift).rem_euclid(1.0) * 6.0;
        let x = ((k - 3.0).abs() - 1.0).clamp(0.0, 1.0);
        (v * (1.0 - s + s * x)).powf(2.2)
    };
    Vec3::new(channel(0.0), channel(2.0 / 3.0), channel(1.0 / 3.0)).clamp(Vec3::splat(0.015), Vec3::splat(0.9))
}

/// The colours of one world.
pub(super) struct Palette(Vec<Vec3>);

impl Palette {
    pub fn random(rng: &mut Rng) -> Self {
        let natural = rng.range(0.45, 1.1);
        let hue = rng.unit();
        let saturation = rng.range(0.15, 0.8);
        let colours = (0..rng.count(6, 14)).map(|i| {
            if rng.chance(natural) {
                let tint = Vec3::ONE + rng.direction() * 0.15;
                srgb(rng.pick(&NATURAL)) * tint
            } else {
                let h = hue + rng.pick(&[0.0, 0.04, 0.5, 0.08, 0.33]) + rng.range(-0.05, 0.05);
                hsv(
                    h,
                    saturation * rng.range(0.4, 1.0),
                    if i % 3 == 0 { rng.range(0.2, 0.5) } else { rng.range(0.4, 0.95) },
                )
            }
        });
        Self(colours.collect())
    }

    pub fn colour(&self, rng: &mut Rng) -> Vec3 {
        let at = rng.count(0, self.0.len() - 1);
        let brightness = rng.range(0.75, 1.2);
        (self.0[at] * brightness).clamp(Vec3::splat(0.015), Vec3::splat(0.92))
    }

    /// Four colours: now and then shades of one, else different ones.
    fn four(&self, rng: &mut Rng) -> [Vec3; 4] {
        let first = self.colour(rng);
        if rng.chance(0.4) {
            let shades = [1.0, rng.range(0.5, 0.8), rng.range(0.8, 1.3), rng.range(0.2, 0.6)];
            return shades.map(|s| (first * s).min(Vec3::splat(0.92)));
        }
        let other = self.colour(rng);
        let [a, b] = [self.colour(rng), self.colour(rng)];
        if rng.chance(0.5) { [first, first.lerp(other, 0.35), other, a] } else { [first, other, a, b] }
    }

    /// A texture whose features are `feature` world units large, where a pixel measures `pixel`.
    pub fn texture(&self, rng: &mut Rng, feature: f32, pixel: f32) -> Texture {
        let pattern = match rng.count(0, 99) {
            0..=11 => Pattern::Flat,
            12..=31 => Pattern::Clouds { octaves: rng.count(3, 7) as u32, gain: rng.range(0.5, 0.95) },
            32..=38 => Pattern::Marble { warp: rng.range(0.5, 4.0) },
            39..=48 => Pattern::Wood { warp: rng.range(0.3, 2.5) },
            49..=52 => Pattern::Checker,
            53..=57 => Pattern::Bricks { mortar: rng.range(0.02, 0.06) },
            58..=63 => Pattern::Stripes {
                warp: if rng.chance(0.5) { 0.0 } else { rng.range(0.2, 2.0) },
                soft: rng.chance(0.4),
            },
            64..=68 => Pattern::Cells { edge: if rng.chance(0.5) { 0.0 } else { rng.range(0.03, 0.15) } },
            69..=73 => Pattern::Spots { radius: rng.range(0.2, 0.48) },
            74..=79 => Pattern::Posterised { levels: rng.count(2, 6) as f32 },
            80..=84 => Pattern::Glyphs,
            85..=89 => Pattern::Panels { aspect: rng.log_range(0.4, 2.5) },
            90..=91 => Pattern::Books,
            92..=97 => Pattern::Cracks,
            _ => Pattern::Windows,
        };
        self.with_pattern(rng, pattern, feature, pixel)
    }

    /// A texture of the given pattern.
    pub fn with_pattern(&self, rng: &mut Rng, pattern: Pattern, feature: f32, pixel: f32) -> Texture {
        let cells = if pattern == Pattern::Glyphs { feature.min(pixel * 14.0).max(pixel * 3.0) } else { feature };
        let stretch =
            if rng.chance(0.3) { Vec3::new(rng.log_range(0.4, 2.0), rng.log_range(0.4, 2.0), 1.0) } else { Vec3::ONE };
        Texture {
            pattern,
            frequency: stretch / cells,
            colours: self.four(rng),
            grain: if rng.chance(0.25) { 0.0 } else { rng.log_range(0.06, 0.8) },
            grain_frequency: 1.0 / (pixel * rng.log_range(2.0, 16.0)),
            seed: rng.bits() as u32,
            swatch: None,
        }
    }
}
