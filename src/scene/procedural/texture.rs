//! Surface colours: solid and planar procedural patterns, filtered to the pixel size.

use super::noise::{cells, fbm, floor, hash, intervals, noise, unit};
use super::swatch::Swatch;
use glam::{Vec2, Vec3};
use std::sync::Arc;

/// Where a texture is looked up.
pub(super) struct Spot {
    /// Position in the object's own axes, in world units.
    pub position: Vec3,
    /// Normal in the object's own axes, for planar patterns.
    pub normal: Vec3,
    /// Size of a pixel on the surface, in world units.
    pub footprint: f32,
}

/// What varies over the surface.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Pattern {
    Flat,
    Clouds {
        octaves: u32,
        gain: f32,
    },
    Marble {
        warp: f32,
    },
    Wood {
        warp: f32,
    },
    Checker,
    Bricks {
        mortar: f32,
    },
    Stripes {
        warp: f32,
        soft: bool,
    },
    Cells {
        edge: f32,
    },
    Spots {
        radius: f32,
    },
    Posterised {
        levels: f32,
    },
    Glyphs,
    Panels {
        aspect: f32,
    },
    Books,
    Cracks,
    Windows,
    /// Colours by direction rather than position: hills and clouds painted on a distant dome.
    Sky {
        hills: u32,
        clouds: f32,
    },
}

/// A pattern with its colours and scale.
#[derive(Clone, Debug)]
pub(super) struct Texture {
    pub pattern: Pattern,
    /// Pattern cells per world unit, for each of the object's axes.
    pub frequency: Vec3,
    /// Linear albedos; patterns use them as a ramp or pick from them.
    pub colours: [Vec3; 4],
    /// Strength of fine luminance noise on top, and its frequency.
    pub grain: f32,
    pub grain_frequency: f32,
    pub seed: u32,
    /// A photographic tile in place of the pattern and its grain.
    pub swatch: Option<Arc<Swatch>>,
}

fn smooth(low: f32, high: f32, x: f32) -> f32 {
    let t = ((x - low) / (high - low)).clamp(0.0, 1.0);
    t * t * (3.0 - 2.0 * t)
}

/// 1 inside (`d > 0`), 0 outside, with an edge one pixel wide.
fn cover(d: f32, width: f32) -> f32 {
    (d / width.max(1e-5) + 0.5).clamp(0.0, 1.0)
}

impl Texture {
    /// A single colour without grain.
    pub fn flat(colour: Vec3) -> Self {
        let frequency = Vec3::ONE;
        Self {
            pattern: Pattern::Flat,
            frequency,
            colours: [colour; 4],
            grain: 0.0,
            grain_frequency: 1.0,
            seed: 0,
            swatch: None,
        }
    }

    fn ramp(&self, t: f32) -> Vec3 {
        let t = t.clamp(0.0, 0.9999) * 3.0;
        let i = t as usize;
        self.colours[i].lerp(self.colours[i + 1], t - i as f32)
    }

    fn choose(&self, hash: u32) -> Vec3 {
        // Between the listed colours as well, so that cells do not come in four flat shades only.
        let t = unit(hash.wrapping_mul(0x85eb_ca6b));
        self.colours[(hash >> 5) as usize & 3].lerp(self.colours[(hash >> 9) as usize & 3], t * 0.5)
    }

    fn mean(&self) -> Vec3 {
        (self.colours[0] + self.colours[1] + self.colours[2] + self.colours[3]) * 0.25
    }

    /// Linear albedo.
    pub fn colour(&self, spot: &Spot) -> Vec3 {
        if let Some(swatch) = &self.swatch {
            return swatch.colour(spot.position, spot.normal, spot.footprint);
        }
        let p = spot.position * self.frequency;
        let width = spot.footprint * self.frequency.max_element();
        let base = self.pattern_colour(p, planar(p, spot.normal), width);
        if self.grain == 0.0 {
            return base;
        }
        let g = self.grain_frequency;
        let grain = fbm(spot.position * g, self.seed ^ 0x55, 3, 0.6, spot.footprint * g);
        (base * (1.0 + self.grain * grain)).clamp(Vec3::ZERO, Vec3::splat(0.95))
    }

    fn pattern_colour(&self, p: Vec3, uv: Vec2, width: f32) -> Vec3 {
        let seed = self.seed;
        let c = &self.colours;
        // Cells smaller than a pixel turn into their average.
        let fade = |colour: Vec3, cells_per_pixel: f32| match smooth(0.35, 0.9, cells_per_pixel) {
            0.0 => colour,
            f => colour.lerp(self.mean(), f),
        };
        match self.pattern {
            Pattern::Flat => c[0],
            Pattern::Clouds { octaves, gain } => self.ramp(0.5 + 0.5 * fbm(p, seed, octaves, gain, width)),
            Pattern::Marble { warp } => {
                let x = p.x + warp * fbm(p, seed, 5, 0.5, width);
                fade(self.ramp(1.0 - (x * 3.0).sin().abs().powf(0.6)), width)
            }
            Pattern::Wood { warp } => {
                let q = p + Vec3::splat(warp) * noise(p * 0.5, seed);
                // Cut along or across the trunk.
                let q = if seed & 1 == 0 { q } else { Vec3::new(q.y, q.x, q.z) };
                let ring = (q.x * q.x + q.z * q.z).sqrt() * 4.0;
                let fibre = 0.15 * fbm(p * Vec3::new(14.0, 0.8, 14.0), seed, 2, 0.6, width * 14.0);
                fade(self.ramp((ring - floor(ring) as f32).powi(2) * 0.8 + 0.1 + fibre), width * 4.0)
            }
            Pattern::Checker => {
                let side =
                    |x: f32| (((x - 2.0 * floor(x * 0.5) as f32 - 1.0).abs() - 0.5) / width.max(1e-5)).clamp(-0.5, 0.5);
                c[0].lerp(c[2], 0.5 + 2.0 * side(uv.x) * side(uv.y))
            }
            Pattern::Bricks { mortar } => {
                let row = floor(uv.y * 2.0);
                let x = uv.x + 0.5 * (row & 1) as f32;
                let (fx, fy) = (x - floor(x) as f32, uv.y * 2.0 - row as f32);
                let inside = (fx.min(1.0 - fx)).min(fy.min(1.0 - fy) * 0.5) - mortar;
                let h = hash(floor(x), row, 1, seed);
                let brick = c[h as usize % 3] * (0.85 + 0.3 * unit(h));
                fade(c[3].lerp(brick, cover(inside, width)), width * 2.0)
            }
            Pattern::Stripes { warp, soft } => {
                let bend = if warp > 0.0 { warp * noise(p * 0.7, seed) } else { 0.0 };
                let x = uv.x + bend;
                let wave = (x - floor(x) as f32 - 0.5).abs() * 2.0;
                let t = if soft { wave } else { cover(wave - 0.5, 2.0 * width) };
                fade(c[0].lerp(self.choose(hash(floor(x), 0, 0, seed)), t), width)
            }
            Pattern::Cells { edge } => {
                let (first, second, id) = cells(uv, seed);
                let t = if edge > 0.0 { cover(second - first - edge, width) } else { 1.0 };
                fade(c[3].lerp(self.choose(id) * (1.0 - 0.35 * first), t), width)
            }
            Pattern::Spots { radius } => {
                let cell = corner(uv);
                let h = hash(cell.x as i32, cell.y as i32, 2, seed);
                let r = radius * (0.4 + 0.6 * unit(h.wrapping_mul(0x9e37_79b1)));
                let jitter = Vec2::new((h & 0xffff) as f32, (h >> 16) as f32) / 65536.0;
                let d = (uv - cell - (Vec2::splat(r) + jitter * (1.0 - 2.0 * r))).length();
                fade(c[0].lerp(c[1 + (h >> 7) as usize % 3], cover(r - d, width)), width)
            }
            Pattern::Posterised { levels } => {
                let t = (0.5 + 0.5 * fbm(p, seed, 4, 0.5, width)).clamp(0.0, 0.999) * levels;
                let below = floor(t) as f32;
                let step = below + smooth(0.5 - 2.0 * width, 0.5 + 2.0 * width + 1e-4, t - below);
                self.ramp(step / levels)
            }
            Pattern::Glyphs => self.glyphs(uv, width),
            Pattern::Panels { aspect } => {
                let (row, dy) = intervals(uv.y, seed);
                let (column, dx) = intervals(uv.x * aspect, seed ^ row as u32);
                let h = hash(row, column, 5, seed);
                let panel = self.choose(h) * (0.85 + 0.15 * ((uv.x + uv.y) * (2.0 + (h & 7) as f32)).sin());
                fade(c[3].lerp(panel, cover(dx.min(dy) - 0.04, width)), width)
            }
            Pattern::Books => {
                let shelf = floor(uv.y * 0.35);
                let (book, edge) = intervals(uv.x * 2.0, seed ^ shelf as u32);
                let h = hash(book, shelf, 6, seed);
                let y = uv.y * 0.35 - shelf as f32;
                let height = 0.72 + 0.2 * unit(h.wrapping_mul(0x2545_f491));
                let band = cover(0.04 - (y - height * (0.3 + 0.5 * unit(h))).abs(), width);
                let cover_colour = self.choose(h).lerp(c[(h >> 3) as usize & 3], band);
                let inside = edge.min(0.5 * (y - 0.05)).min(height - y) - 0.02;
                fade((c[0] * 0.15).lerp(cover_colour, cover(inside, width * 2.0)), width * 2.0)
            }
            Pattern::Cracks => {
                let (first, second, id) =
                    cells(uv + 0.25 * Vec2::new(noise(p * 2.0, seed), noise(p * 2.0, !seed)), seed);
                let stone = self.ramp(0.3 + 0.2 * unit(id) + 0.35 * fbm(p * 2.0, seed, 4, 0.6, width * 2.0));
                fade((c[3] * 0.5).lerp(stone, cover(second - first - 0.07, width)), width)
            }
            Pattern::Windows => {
                let cell = corner(uv);
                let f = uv - cell;
                let h = hash(cell.x as i32, cell.y as i32, 8, seed);
                let inside = (f.x - 0.2).min(0.8 - f.x).min(f.y - 0.15).min(0.75 - f.y);
                let cross = (f.x - 0.5).abs().min((f.y - 0.45).abs()) - 0.02;
                let pane = (c[1] * (0.3 + 0.7 * unit(h))).lerp(c[2], 0.5 * f.y);
                fade(c[0].lerp(pane, cover(inside, width) * cover(cross, width)), width * 2.0)
            }
            Pattern::Sky { hills, clouds } => self.sky(p.normalize_or(Vec3::NEG_Y), hills, clouds),
        }
    }

    /// Lines of made-up letters with gaps between words and between paragraphs.
    fn glyphs(&self, uv: Vec2, width: f32) -> Vec3 {
        let cell = corner(uv);
        let sub = (uv - cell) * Vec2::new(6.0, 10.0);
        let (x, y) = (cell.x as i32, cell.y as i32);
        let h = hash(x, y, 4, self.seed);
        let word_gap = h.is_multiple_of(5) || hash(0, y, 4, self.seed).is_multiple_of(6);
        let ink = if word_gap || sub.x >= 5.0 || sub.y >= 7.0 {
            0.0
        } else {
            let bits = h ^ (h >> 13);
            let (i, j) = (sub.x as u32, sub.y as u32);
            // Strokes rather than salt and pepper: a bit covers a column or a row of the letter.
            let column = bits >> i & 1 == 1 && (i & 1 == 0);
            let row = bits >> (8 + j / 2) & 1 == 1 && (j.is_multiple_of(3));
            if column || row { 1.0 } else { 0.0 }
        };
        let grey = 0.25 * if word_gap { 0.0 } else { 1.0 };
        self.colours[0].lerp(self.colours[2], ink + (grey - ink) * smooth(0.5, 1.3, width * 5.0))
    }

    fn sky(&self, d: Vec3, hills: u32, clouds: f32) -> Vec3 {
        let c = &self.colours;
        let height = -d.y;
        let around = Vec3::new(d.x, 0.0, d.z).normalize_or(Vec3::Z);
        for layer in 0..hills {
            let k = layer as f32 / hills as f32;
            let seed = self.seed + 31 * layer;
            let ridge = 0.02
                + 0.12 * k
                + 0.07 * (1.0 + k) * fbm(around * (3.0 + 2.0 * (hills - layer) as f32), seed, 6, 0.5, 0.004);
            if height < ridge {
                let detail = fbm(d * 26.0, seed ^ 0x77, 4, 0.65, 0.09);
                let hill = c[2].lerp(c[1], 0.5 + 0.5 * detail) * (0.75 + 0.25 * detail);
                return hill.lerp(c[3], 0.25 + 0.5 * k);
            }
        }
        let blue = c[3].lerp(c[0], height.clamp(0.0, 1.0).sqrt());
        let q = Vec3::new(d.x, d.y * 2.5, d.z) * 3.0;
        let cloud = smooth(1.0 - clouds, 1.6 - clouds, 0.5 + 0.7 * fbm(q, self.seed ^ 0xc1, 5, 0.55, 0.02));
        blue.lerp(Vec3::splat(0.9), cloud)
    }
}

/// The lattice point below `p`.
fn corner(p: Vec2) -> Vec2 {
    Vec2::new(floor(p.x) as f32, floor(p.y) as f32)
}

/// Coordinates on the face of a box that the normal points out of.
fn planar(p: Vec3, normal: Vec3) -> Vec2 {
    let a = normal.abs();
    if a.x > a.y && a.x > a.z {
        Vec2::new(p.z, p.y)
    } else if a.y > a.z {
        Vec2::new(p.x, p.z)
    } else {
        Vec2::new(p.x, p.y)
    }
}
