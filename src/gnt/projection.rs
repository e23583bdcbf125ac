//! Projection of samples into source views: pixels, masks, relative directions and bilinear look-ups.

use glam::{Mat4, Vec2, Vec3};
use scene::{Camera, Image};

/// The camera of one source view, prepared for projecting many points.
#[derive(Clone, Copy, Debug)]
pub struct Projector {
    pixel_from_world: Mat4,
    origin: Vec3,
    limit: Vec2,
}

/// Where one sample falls in one source view.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Projection {
    /// Pixel, clamped to ±10⁶.
    pub pixel: Vec2,
    /// Whether the sample lies in front of the camera and inside its image, borders included.
    pub visible: bool,
    /// Depth along the camera's optical axis.
    pub z: f32,
    /// Unit difference of the directions to the target and to the source camera, and their dot product.
    pub direction: [f32; 4],
}

impl Projector {
    /// Prepares `camera`.
    pub fn new(camera: &Camera) -> Self {
        Self {
            pixel_from_world: camera.pixel_from_world(),
            origin: camera.origin(),
            limit: Vec2::new(camera.width as f32 - 1.0, camera.height as f32 - 1.0),
        }
    }

    /// Projects `point`; `to_target` is the unit vector from the point to the target camera ([`toward`]).
    #[inline(always)]
    pub fn project(&self, point: Vec3, to_target: Vec3) -> Projection {
        let q = self.pixel_from_world * point.extend(1.0);
        let pixel = (q.truncate().truncate() / q.z.max(1e-8)).clamp(Vec2::splat(-1e6), Vec2::splat(1e6));
        let visible =
            q.z > 0.0 && pixel.x >= 0.0 && pixel.y >= 0.0 && pixel.x <= self.limit.x && pixel.y <= self.limit.y;
        let to_source = toward(point, self.origin);
        let difference = to_target - to_source;
        let unit = difference / difference.length().max(1e-6);
        Projection { pixel, visible, z: q.z, direction: [unit.x, unit.y, unit.z, to_target.dot(to_source)] }
    }
}

/// Eight samples projected at once, structure of arrays, so that the compiler vectorises.
#[derive(Clone, Copy, Debug, Default)]
pub struct Projection8 {
    /// Pixel columns, clamped to ±10⁶.
    pub x: [f32; 8],
    /// Pixel rows, clamped to ±10⁶.
    pub y: [f32; 8],
    /// Whether each sample is seen.
    pub visible: [bool; 8],
    /// As [`Projection::z`].
    pub z: [f32; 8],
    /// As [`Projection::direction`], component by component.
    pub direction: [[f32; 8]; 4],
}

impl Projector {
    /// As [`Projector::project`] for eight samples of a ray: `points` and `to_target` component by component.
    #[inline(always)]
    pub fn project8(&self, points: &[[f32; 8]; 3], to_target: &[[f32; 8]; 3]) -> Projection8 {
        let m = self.pixel_from_world.to_cols_array();
        let eye = self.origin.to_array();
        let mut out = Projection8::default();
        for i in 0..8 {
            let p = [points[0][i], points[1][i], points[2][i]];
            let q: [f32; 3] = std::array::from_fn(|r| m[r] * p[0] + m[4 + r] * p[1] + m[8 + r] * p[2] + m[12 + r]);
            let z = q[2].max(1e-8);
            let (x, y) = ((q[0] / z).clamp(-1e6, 1e6), (q[1] / z).clamp(-1e6, 1e6));
            out.x[i] = x;
            out.z[i] = q[2];
            out.y[i] = y;
            let inside = (x >= 0.0) & (y >= 0.0) & (x <= self.limit.x) & (y <= self.limit.y);
            out.visible[i] = (q[2] > 0.0) & inside;
            let d: [f32; 3] = std::array::from_fn(|c| eye[c] - p[c]);
            let scale = 1.0 / ((d[0] * d[0] + d[1] * d[1] + d[2] * d[2]).sqrt() + 1e-6);
            let b: [f32; 3] = std::array::from_fn(|c| d[c] * scale);
            let a = [to_target[0][i], to_target[1][i], to_target[2][i]];
            let e: [f32; 3] = std::array::from_fn(|c| a[c] - b[c]);
            let scale = 1.0 / (e[0] * e[0] + e[1] * e[1] + e[2] * e[2]).sqrt().max(1e-6);
            for c in 0..3 {
                out.direction[c][i] = e[c] * scale;
            }
            out.direction[3][i] = a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
        }
        out
    }
}

/// Unit vector from `point` to `eye`; the length is raised by 1e-6, as upstream does.
#[inline(always)]
pub fn toward(point: Vec3, eye: Vec3) -> Vec3 {
    let d = eye - point;
    d / (d.length() + 1e-6)
}

/// The four neighbours of a bilinear look-up; neighbours outside the map have weight 0.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Taps {
    /// Pixel indices (`y · width + x`), always inside the map.
    pub index: [u32; 4],
    /// Weights; their sum is 1 inside the map and less across its border.
    pub weight: [f32; 4],
}

impl Taps {
    /// The pixel of the greatest weight, the first of equals.
    #[inline(always)]
    pub fn nearest(&self) -> u32 {
        let mut best = 0;
        for i in 1..4 {
            if self.weight[i] > self.weight[best] {
                best = i;
            }
        }
        self.index[best]
    }
}

/// Taps of `pixel`, given in a grid of `from` pixels, in a map of `to` pixels: corners aligned, zero padding
/// (PyTorch's `grid_sample` with `align_corners=True`).
#[inline(always)]
pub fn taps(pixel: Vec2, from: (usize, usize), to: (usize, usize)) -> Taps {
    let scale = |p: f32, from: usize, to: usize| p / (from as f32 - 1.0) * (to as f32 - 1.0);
    let (x, y) = (scale(pixel.x, from.0, to.0), scale(pixel.y, from.1, to.1));
    let (x0, y0) = (x.floor(), y.floor());
    let (fx, fy) = (x - x0, y - y0);
    // Pixels are clamped to ±10⁶, so the conversion cannot overflow.
    let (x0, y0) = (x0 as i64, y0 as i64);
    let mut taps = Taps::default();
    for (i, (dx, dy, w)) in
        [(0, 0, (1.0 - fx) * (1.0 - fy)), (1, 0, fx * (1.0 - fy)), (0, 1, (1.0 - fx) * fy), (1, 1, fx * fy)]
            .into_iter()
            .enumerate()
    {
        let (x, y) = (x0 + dx, y0 + dy);
        if x >= 0 && y >= 0 && x < to.0 as i64 && y < to.1 as i64 {
            taps.index[i] = (y * to.0 as i64 + x) as u32;
            taps.weight[i] = w;
        }
    }
    taps
}

/// Taps of eight pixels, tap by tap.
#[derive(Clone, Copy, Debug, Default)]
pub struct Taps8 {
    index: [[u32; 8]; 4],
    weight: [[f32; 8]; 4],
}

impl Taps8 {
    /// The taps of one pixel.
    #[inline(always)]
    pub fn at(&self, i: usize) -> Taps {
        let [a, b, c, d] = &self.weight;
        Taps { index: self.pixels(i), weight: [a[i], b[i], c[i], d[i]] }
    }

    /// The indices of one pixel's taps.
    #[inline(always)]
    pub fn pixels(&self, i: usize) -> [u32; 4] {
        // Not `map`, which would copy all eight of each.
        let [a, b, c, d] = &self.index;
        [a[i], b[i], c[i], d[i]]
    }
}

/// As [`taps`] for eight pixels, so that the compiler vectorises.
#[inline(always)]
pub fn taps8(x: &[f32; 8], y: &[f32; 8], from: (usize, usize), to: (usize, usize)) -> Taps8 {
    let (last, most) = ((from.0 as f32 - 1.0, from.1 as f32 - 1.0), (to.0 as f32 - 1.0, to.1 as f32 - 1.0));
    let (width, height) = (to.0 as i32, to.1 as i32);
    let mut out = Taps8::default();
    for i in 0..8 {
        let (x, y) = (x[i] / last.0 * most.0, y[i] / last.1 * most.1);
        let (x0, y0) = (x.floor(), y.floor());
        let (fx, fy) = (x - x0, y - y0);
        // Pixels are clamped to ±10⁶, and a map is not wider than its photograph, so that no conversion overflows.
        let (x0, y0) = (x0 as i32, y0 as i32);
        let weights = [(1.0 - fx) * (1.0 - fy), fx * (1.0 - fy), (1.0 - fx) * fy, fx * fy];
        for t in 0..4 {
            let (x, y) = (x0 + (t & 1) as i32, y0 + (t >> 1) as i32);
            let inside = (x >= 0) & (y >= 0) & (x < width) & (y < height);
            out.index[t][i] = if inside { y as u32 * width as u32 + x as u32 } else { 0 };
            out.weight[t][i] = if inside { weights[t] } else { 0.0 };
        }
    }
    out
}

/// Bilinear colour of a photograph.
#[inline(always)]
pub fn colour(image: &Image, taps: &Taps, out: &mut [f32]) {
    out.fill(0.0);
    for (index, weight) in taps.index.iter().zip(taps.weight) {
        let pixel = &image.data[*index as usize * 3..][..3];
        for (o, p) in out.iter_mut().zip(pixel) {
            *o += weight * p;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn taps_of_eight_pixels_are_those_of_each() {
        let x = [-1e6, -0.75, 0.0, 3.25, 8.999, 9.0, 9.5, 1e6];
        let y = [0.5, 0.0, -0.25, 2.5, 5.0, 4.999, f32::NAN, -1e6];
        for to in [(10, 6), (4, 3), (20, 12), (1, 1)] {
            let eight = taps8(&x, &y, (10, 6), to);
            for i in 0..8 {
                let (got, want) = (eight.at(i), taps(Vec2::new(x[i], y[i]), (10, 6), to));
                assert_eq!(got.index, want.index, "{i} in {to:?}");
                assert!(got.weight.iter().zip(want.weight).all(|(a, b)| a.to_bits() == b.to_bits()), "{i} in {to:?}");
            }
        }
    }

    #[test]
    fn taps_align_corners_and_pad_with_zero() {
        let corner = taps(Vec2::new(9.0, 5.0), (10, 6), (4, 3));
        assert_eq!((corner.index[0], corner.weight[0]), (2 * 4 + 3, 1.0));
        let outside = taps(Vec2::new(-0.75, 0.0), (10, 10), (10, 10));
        assert_eq!(outside.weight, [0.0, 0.25, 0.0, 0.0]);
        let far = taps(Vec2::new(-1e6, 1e6), (10, 6), (4, 3));
        assert_eq!(far.weight, [0.0; 4]);
    }
}
