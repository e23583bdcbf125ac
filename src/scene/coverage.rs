//! How much of a frame the source views see.
//!
//! Before anything is rendered depths are unknown, so that a pixel is looked at in several depths within the scene's
//! range, spread evenly in inverse depth. Afterwards the rendered depth tells where a pixel's point is.

use crate::Camera;
use crate::image::every_pixel;
use glam::{Vec2, Vec3};

/// Pixels of the grid along each side of a frame.
const SIDE: u32 = 7;
/// Depths of each pixel.
const DEPTHS: u32 = 4;
/// Width of the soft edge around what a source sees, as a part of its picture's smaller side.
const EDGE: f32 = 0.04;
/// Width over which weights are evened out, as a part of a frame's smaller side: rendered depths are noisy.
const EVEN: f32 = 0.02;

/// How much of a frame is seen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Coverage {
    /// Part of the frame's pixels that one source at least sees in some depth.
    pub one: f32,
    /// Part that two sources see in one depth, without which depth cannot be told.
    pub two: f32,
}

/// Points in a target camera's field of view, at several depths of each pixel of a coarse grid.
#[derive(Clone, Debug)]
pub struct Probe {
    /// In world space, `[pixels, DEPTHS]`.
    points: Vec<Vec3>,
}

impl Probe {
    /// Points of `target` between the depths `near` and `far`.
    pub fn new(target: &Camera, [near, far]: [f32; 2]) -> Self {
        let size = Vec2::new(target.width as f32, target.height as f32);
        // In the middle of each cell of the grid and of each part of the range.
        let middle = |i: u32, count: u32| (i as f32 + 0.5) / count as f32;
        let depth = |i: u32| 1.0 / ((1.0 - middle(i, DEPTHS)) / near + middle(i, DEPTHS) / far);
        let pixels = (0..SIDE * SIDE).map(|i| Vec2::new(middle(i % SIDE, SIDE), middle(i / SIDE, SIDE)) * size - 0.5);
        let points = pixels.flat_map(|pixel| {
            let ray = target.ray(pixel);
            (0..DEPTHS).map(move |i| ray.origin + ray.direction * depth(i))
        });
        Self { points: points.collect() }
    }

    /// Part of the points that `source` sees.
    pub fn overlap(&self, source: &Camera) -> f32 {
        self.seen_by(source).filter(|seen| *seen).count() as f32 / self.points.len() as f32
    }

    /// How much of the target `sources` see.
    pub fn coverage<'a>(&self, sources: impl IntoIterator<Item = &'a Camera>) -> Coverage {
        let mut counts = vec![0u32; self.points.len()];
        for source in sources {
            counts.iter_mut().zip(self.seen_by(source)).for_each(|(count, seen)| *count += u32::from(seen));
        }
        let pixels = counts.chunks(DEPTHS as usize).map(|depths| depths.iter().copied().max().unwrap_or(0));
        let part = |least| pixels.clone().filter(|count| *count >= least).count() as f32 / (SIDE * SIDE) as f32;
        Coverage { one: part(1), two: part(2) }
    }

    /// For each point, whether `source` sees it.
    fn seen_by(&self, source: &Camera) -> impl Iterator<Item = bool> {
        let view = Sight::of(source);
        self.points.iter().map(move |point| view.inside(*point) > 0.0)
    }
}

/// Where points lie in a camera's picture.
struct Sight {
    pixel_from_world: glam::Mat4,
    size: Vec2,
}

impl Sight {
    fn of(camera: &Camera) -> Self {
        let size = Vec2::new(camera.width as f32, camera.height as f32);
        Self { pixel_from_world: camera.pixel_from_world(), size }
    }

    /// Distance of a point's picture from the edge in pixels, positive inside; far outside behind the camera.
    fn inside(&self, point: Vec3) -> f32 {
        let p = self.pixel_from_world * point.extend(1.0);
        if p.z.is_nan() || p.z <= 0.0 {
            return f32::NEG_INFINITY;
        }
        let corner = Vec2::new(p.x, p.y) / p.z + 0.5;
        corner.min(self.size - corner).min_element()
    }
}

/// How far each pixel of a rendered frame is seen by a source at its depth: 1 where one sees it, 0 where none does, with
/// a soft edge around the sources' pictures.
///
/// # Shapes
/// - `depth`: along the optical axis, `[height, width]` of every `stride`-th pixel of `target` in x and y
/// - returns weights of the same shape; 0 where the depth is not positive and finite
///
/// # Panics
/// If `depth` is not of that size.
pub fn weights(target: &Camera, depth: &[f32], stride: u32, sources: &[Camera]) -> Vec<f32> {
    let (width, height) = (target.width.div_ceil(stride), target.height.div_ceil(stride));
    assert_eq!(depth.len(), width as usize * height as usize, "depths of {width}x{height} pixels");
    let sights: Vec<Sight> = sources.iter().map(Sight::of).collect();
    let weight = |(i, z): (usize, &f32)| {
        if !(*z > 0.0 && z.is_finite()) {
            return 0.0;
        }
        let pixel = Vec2::new((i as u32 % width * stride) as f32, (i as u32 / width * stride) as f32);
        let ray = target.ray(pixel);
        let point = ray.origin + ray.direction * *z;
        let mut best: f32 = 0.0;
        for sight in &sights {
            let t = (1.0 + sight.inside(point) / (EDGE * sight.size.min_element())).clamp(0.0, 1.0);
            best = best.max(t * t * (3.0 - 2.0 * t));
            if best == 1.0 {
                break; // No other can see it better.
            }
        }
        best
    };
    let weights: Vec<f32> = depth.iter().enumerate().map(weight).collect();
    let reach = (EVEN * width.min(height) as f32).round() as usize;
    // Twice, so that there is no edge at the reach either.
    evened(&evened(&weights, width as usize, reach), width as usize, reach)
}

/// How many of `sources` have the point in their picture that each pixel of a rendered frame shows. What may stand between
/// is not looked at.
///
/// # Shapes
/// - `depth`: as for [`weights`]
/// - returns counts of the same shape; 0 where the depth is not positive and finite
///
/// # Panics
/// If `depth` is not of that size.
pub fn num_views(target: &Camera, depth: &[f32], stride: u32, sources: &[Camera]) -> Vec<u16> {
    let (width, height) = (target.width.div_ceil(stride), target.height.div_ceil(stride));
    assert_eq!(depth.len(), width as usize * height as usize, "depths of {width}x{height} pixels");
    let sights: Vec<Sight> = sources.iter().map(Sight::of).collect();
    let count = |((x, y), z): ((u32, u32), &f32)| {
        let ray = target.ray(Vec2::new(x as f32, y as f32));
        let point = ray.origin + ray.direction * *z;
        let known = *z > 0.0 && z.is_finite();
        if known { sights.iter().filter(|sight| sight.inside(point) > 0.0).count() as u16 } else { 0 }
    };
    every_pixel((target.width, target.height), stride).zip(depth).map(count).collect()
}

/// The mean over a square of `2·reach + 1` pixels around each, of rows of `width` pixels; less where the frame ends.
fn evened(values: &[f32], width: usize, reach: usize) -> Vec<f32> {
    let height = values.len() / width;
    let mean = |at: usize, count: usize, value: &dyn Fn(usize) -> f32| {
        let (from, to) = (at.saturating_sub(reach), (at + reach + 1).min(count));
        (from..to).map(value).sum::<f32>() / (to - from) as f32
    };
    let across: Vec<f32> = (0..values.len()).map(|i| mean(i % width, width, &|x| values[i - i % width + x])).collect();
    (0..values.len()).map(|i| mean(i / width, height, &|y| across[y * width + i % width])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::camera;

    #[test]
    fn the_same_view_sees_everything_and_one_that_looks_away_nothing() {
        let target = camera(Vec3::ZERO);
        let probe = Probe::new(&target, [1.0, 10.0]);
        assert_eq!(probe.overlap(&target), 1.0);
        let mut away = target;
        away.world_from_camera *= glam::Mat4::from_rotation_y(std::f32::consts::PI);
        assert_eq!(probe.overlap(&away), 0.0);
        assert_eq!(probe.coverage([&target, &away]), Coverage { one: 1.0, two: 0.0 });
        assert_eq!(probe.coverage([&target, &target]), Coverage { one: 1.0, two: 1.0 });
        assert_eq!(probe.coverage([]), Coverage { one: 0.0, two: 0.0 });
        // Half of the field of view to the right: about half the pixels.
        let mut turned = target;
        turned.world_from_camera *= glam::Mat4::from_rotation_y((15.5f32 / 20.0).atan());
        let part = probe.coverage([&turned]).one;
        assert!((0.3..0.7).contains(&part), "{part}");
    }

    #[test]
    fn pixels_are_weighed_at_their_depth() {
        let target = camera(Vec3::ZERO);
        let (w, h) = (target.width, target.height);
        let depth = vec![4.0; (w * h) as usize];
        let same = weights(&target, &depth, 1, &[target]);
        assert!(same.iter().all(|w| *w == 1.0));
        // Moved by half a picture at this depth.
        let moved = camera(Vec3::X * (4.0 * 15.5 / 20.0));
        let half = weights(&target, &depth, 1, &[moved]);
        let row = &half[(8 * w) as usize..(9 * w) as usize];
        assert!(row[..14].iter().all(|w| *w == 0.0) && row[17..].iter().all(|w| *w == 1.0), "{row:?}");
        // Farther away it is seen.
        assert_eq!(weights(&target, &vec![400.0; depth.len()], 1, &[moved])[(8 * w + 8) as usize], 1.0);
        assert!(weights(&target, &vec![f32::NAN; depth.len()], 1, &[moved]).iter().all(|w| *w == 0.0));
        let sparse = weights(&target, &[4.0; 8 * 5], 4, &[moved]);
        assert_eq!((sparse[2 * 8], sparse[2 * 8 + 6]), (half[(8 * w) as usize], half[(8 * w + 24) as usize]));
        let counts = num_views(&target, &depth, 1, &[target, moved]);
        assert_eq!(&counts[(8 * w) as usize..(8 * w + 14) as usize], [1; 14]);
        assert_eq!(&counts[(8 * w + 18) as usize..(9 * w) as usize], vec![2; w as usize - 18]);
        assert!(num_views(&target, &vec![f32::NAN; depth.len()], 1, &[target]).iter().all(|count| *count == 0));
        // A single depth that is off leaves no hole.
        let mut noisy = vec![4.0; 301 * 201];
        noisy[100 * 301 + 150] = f32::NAN;
        let large = Camera { width: 301, height: 201, center: glam::Vec2::new(150.0, 100.0), ..target };
        assert!(weights(&large, &noisy, 1, &[large]).iter().all(|w| *w > 0.9));
    }
}
