//! A tile of a photographic texture: looked up by a place on a surface, filtered to the size of a pixel.

use super::noise::floor;
use glam::{Vec2, Vec3};

/// A tile with its mipmaps, and how it lies on surfaces.
#[derive(Clone, Debug)]
pub(super) struct Swatch {
    levels: Vec<Level>,
    /// Tiles a world unit, along x and y of the tile before it is turned.
    tiles: Vec2,
    /// Size of a texel in world units.
    texel: f32,
    /// Cosine and sine of its direction.
    turn: Vec2,
    /// Where the tile begins, in tiles; another part for each axis.
    shift: Vec3,
    /// How strongly light and dark tilt the normal; 0 for a flat one.
    relief: f32,
}

/// Square roots of linear colours in 8 bits, `[height, width]`: as fine in the dark as sRGB is, and cheaper to undo.
#[derive(Clone, Debug)]
struct Level {
    width: usize,
    height: usize,
    texels: Vec<[u8; 4]>,
}

/// A fifth of the larger planes' weight or less counts as nothing: most places need one or two lookups of the three.
const BLEND_FROM: f32 = 0.55;

impl Swatch {
    /// A tile of `[height, width]` linear colours; `texel` is the size of a texel in world units, `stretch` that of its
    /// height to its width, `turn` the direction in radians, `shift` the place of its corner.
    pub fn new(
        (width, height): (usize, usize),
        colours: &[Vec3],
        texel: f32,
        stretch: f32,
        turn: f32,
        shift: Vec3,
        relief: f32,
    ) -> Self {
        assert_eq!(colours.len(), width * height, "texels of a tile of {width}x{height}");
        let mut levels = vec![Level::new(width, height, colours)];
        let (mut size, mut colours) = ((width, height), colours.to_vec());
        while size.0.max(size.1) > 1 {
            (size, colours) = half(size, &colours);
            levels.push(Level::new(size.0, size.1, &colours));
        }
        let tiles = Vec2::new(1.0 / (width as f32 * texel), 1.0 / (height as f32 * texel * stretch));
        Self { levels, tiles, texel, turn: Vec2::from_angle(turn), shift, relief }
    }

    /// Linear colour at a place in the object's axes, from the three planes that the normal leans to.
    pub fn colour(&self, position: Vec3, normal: Vec3, footprint: f32) -> Vec3 {
        let level = self.level(footprint);
        let mut sum = Vec3::ZERO;
        let weights = weights(normal);
        for axis in 0..3 {
            if weights[axis] > 0.0 {
                sum += self.at(self.place(position, axis), level) * weights[axis];
            }
        }
        sum
    }

    /// Slope of the surface in the object's axes, if light texels stand out; zero where it is too small to be seen.
    pub fn slope(&self, position: Vec3, normal: Vec3, footprint: f32) -> Vec3 {
        let visible = self.relief * (1.5 - footprint / (2.0 * self.texel)).clamp(0.0, 1.0);
        if visible <= 0.0 {
            return Vec3::ZERO;
        }
        let level = self.level(footprint);
        let step = self.texel.max(0.5 * footprint);
        let weights = weights(normal);
        let mut sum = Vec3::ZERO;
        for axis in 0..3 {
            if weights[axis] <= 0.0 {
                continue;
            }
            let (u, v) = axes(axis);
            let height = |offset: Vec3| {
                let colour = self.at(self.place(position + offset * step, axis), level);
                colour.dot(Vec3::new(0.3, 0.6, 0.1)).sqrt()
            };
            let here = height(Vec3::ZERO);
            sum += (u * (height(u) - here) + v * (height(v) - here)) * weights[axis];
        }
        sum * visible * 2.0
    }

    /// Mipmap level for a pixel of `footprint`; half a level finer than one texel a pixel, since pixels are averaged again.
    fn level(&self, footprint: f32) -> f32 {
        (footprint / self.texel).max(1e-6).log2() - 0.5
    }

    fn place(&self, position: Vec3, axis: usize) -> Vec2 {
        let flat = match axis {
            0 => Vec2::new(position.z, position.y),
            1 => Vec2::new(position.x, position.z),
            _ => Vec2::new(position.x, position.y),
        };
        self.turn.rotate(flat) * self.tiles + Vec2::new(self.shift[axis], self.shift[(axis + 1) % 3])
    }

    fn at(&self, tile: Vec2, level: f32) -> Vec3 {
        let last = self.levels.len() - 1;
        if level <= 0.0 || last == 0 {
            return self.levels[0].bilinear(tile);
        }
        let low = (level as usize).min(last);
        let fine = self.levels[low].bilinear(tile);
        let part = level - low as f32;
        if low == last || part < 0.02 { fine } else { fine.lerp(self.levels[low + 1].bilinear(tile), part.min(1.0)) }
    }
}

/// The axes of the plane that faces along `axis`, as [`Swatch::place`] takes them.
fn axes(axis: usize) -> (Vec3, Vec3) {
    [(Vec3::Z, Vec3::Y), (Vec3::X, Vec3::Z), (Vec3::X, Vec3::Y)][axis]
}

/// Shares of the planes that face along x, y and z.
fn weights(normal: Vec3) -> Vec3 {
    let a = normal.abs();
    let w = (a - Vec3::splat(BLEND_FROM * a.max_element())).max(Vec3::ZERO);
    let w = w * w;
    w / w.element_sum().max(1e-12)
}

fn half((width, height): (usize, usize), colours: &[Vec3]) -> ((usize, usize), Vec<Vec3>) {
    let size = (width.div_ceil(2), height.div_ceil(2));
    let at = |x: usize, y: usize| colours[y.min(height - 1) * width + x.min(width - 1)];
    let four = |x, y| (at(x, y) + at(x + 1, y) + at(x, y + 1) + at(x + 1, y + 1)) * 0.25;
    (size, (0..size.1).flat_map(|y| (0..size.0).map(move |x| four(2 * x, 2 * y))).collect())
}

impl Level {
    fn new(width: usize, height: usize, colours: &[Vec3]) -> Self {
        let code = |v: f32| (v.clamp(0.0, 1.0).sqrt() * 255.0).round() as u8;
        Self { width, height, texels: colours.iter().map(|c| [code(c.x), code(c.y), code(c.z), 0]).collect() }
    }

    /// Colour at a place in tiles, which repeat.
    fn bilinear(&self, tile: Vec2) -> Vec3 {
        let wrap = |x: f32, size: usize| {
            let part = (x - floor(x) as f32) * size as f32 - 0.5;
            let low = floor(part);
            let i = if low < 0 { size - 1 } else { (low as usize).min(size - 1) };
            (i, if i + 1 == size { 0 } else { i + 1 }, part - low as f32)
        };
        let (x, x1, fx) = wrap(tile.x, self.width);
        let (y, y1, fy) = wrap(tile.y, self.height);
        let at = |x: usize, y: usize| {
            let [r, g, b, _] = self.texels[y * self.width + x];
            let root = Vec3::new(f32::from(r), f32::from(g), f32::from(b));
            root * root
        };
        let top = at(x, y).lerp(at(x1, y), fx);
        top.lerp(at(x, y1).lerp(at(x1, y1), fx), fy) * (1.0 / (255.0 * 255.0))
    }
}
