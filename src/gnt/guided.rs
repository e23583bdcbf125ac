//! Few samples in the right place: a coarse grid of rays is cast first, and every ray of the frame then takes its samples
//! from what the four coarse rays around it found.
//!
//! A coarse ray tells a weight for each of its samples, which are spread evenly in inverse depth. A pixel's density over
//! inverse depth is the mean of its four neighbours' weights, so that both sides of an edge are covered, blurred by two
//! samples' width, with a floor for what the coarse rays missed. Its samples are quantiles of that density.
//!
//! A surface that few source views see is easily found where none is, for few views agree by chance: near the camera, beside
//! what most of them show. Weights and floor therefore count by the part of the views that see a sample.

use crate::projection::Projector;
use crate::sampling;
use crate::surface::{SurfaceMap, ray_end};
use compute::parallel;
use glam::{UVec2, Vec2};
use scene::Camera;

/// How the samples of a frame are guided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Guided {
    /// Pixels from one coarse ray to the next, in x and y; of the whole picture, also where only every N-th pixel of it
    /// is rendered, so that a pixel has the same colour in both.
    pub cell: u32,
    /// Samples of a coarse ray.
    pub coarse: usize,
}

impl Guided {
    /// What `auto` takes, see `benches/results/cpu-2026-11-29-visibility.md`.
    pub const AUTO: Self = Self { cell: 8, coarse: 48 };
    /// Samples a ray that go with [`AUTO`](Self::AUTO).
    pub const AUTO_SAMPLES: usize = 12;
}

/// What is spread over the whole range, where it is seen, as a multiple of what the coarse rays found. Networks that were trained on placed
/// samples gain 0.1 dB by less of it than 1, and nothing more below this; counting nearer neighbours more gains nothing.
const FLOOR: f32 = 0.3;
/// Part of the most views that see a sample of a ray from which on a sample counts fully.
const ENOUGH: f32 = 0.6;
/// Power by which it counts less below that: 1 to 3 gain alike on most scenes, where a near bound is far too near 3 gains
/// most, see `benches/results/cpu-2026-12-01-sight.md`.
const SIGHT: f32 = 3.0;
/// Least that a sample counts.
const LEAST_SIGHT: f32 = 0.02;
/// How often the density is blurred with the weights 1, 2, 1.
const BLURS: usize = 2;

/// Least deviation of where a ray ends, in steps of the coarse samples.
const LEAST: f32 = 0.25;

/// What the coarse rays of a frame found.
#[derive(Clone, Debug)]
pub struct Guide {
    how: Guided,
    size: UVec2,
    /// Columns and rows of the grid that some pixel needs: a grid line each, increasing.
    lines: [Vec<u32>; 2],
    range: (f32, f32),
    /// Weights of the coarse rays, by what is seen of them, `[rays, coarse]`.
    weights: Vec<f32>,
    /// What each coarse sample counts, by how many source views see it; 1 for the most of its ray, `[rays, coarse]`.
    sight: Vec<f32>,
}

impl Guide {
    /// An empty guide for every `stride`-th pixel of a picture of `size`, to which all samples count the same; its
    /// [weights](Self::set_weights) are to be filled in.
    pub fn new(how: Guided, size: (u32, u32), stride: u32, range: (f32, f32)) -> Self {
        let size = UVec2::from(size);
        let lines = |length: u32| {
            let last = length.saturating_sub(1).div_ceil(how.cell);
            let mut lines: Vec<u32> =
                (0..length).step_by(stride as usize).flat_map(|at| [at / how.cell, at / how.cell + 1]).collect();
            lines.iter_mut().for_each(|line| *line = (*line).min(last));
            lines.dedup();
            lines.sort_unstable();
            lines.dedup();
            lines
        };
        let lines = [lines(size.x), lines(size.y)];
        let weights = vec![0.0; lines[0].len() * lines[1].len() * how.coarse];
        Self { how, size, lines, range, sight: vec![1.0; weights.len()], weights }
    }

    /// Learns how many of the `sources` see each coarse sample of the picture that `camera` takes.
    pub fn look(&mut self, camera: &Camera, sources: &[Projector], threads: usize) {
        let depths = self.coarse_depths();
        let mut sight = std::mem::take(&mut self.sight);
        let mut rays: Vec<&mut [f32]> = sight.chunks_mut(self.how.coarse).collect();
        parallel::for_each(&mut rays, threads, |i, counts| {
            let (x, y) = self.pixel(i);
            let ray = camera.ray(Vec2::new(x as f32, y as f32));
            for (count, depth) in counts.iter_mut().zip(&depths) {
                let point = ray.origin + ray.direction * *depth;
                *count = sources.iter().filter(|source| source.sees(point)).count() as f32;
            }
            let most = counts.iter().copied().fold(0.0, f32::max);
            if most == 0.0 {
                return counts.fill(1.0);
            }
            counts
                .iter_mut()
                .for_each(|count| *count = (*count / (ENOUGH * most)).min(1.0).powf(SIGHT).max(LEAST_SIGHT));
        });
        self.sight = sight;
    }

    /// Fills in the weights `[coarse]` of coarse ray `i`, as the network found them; they keep their sum.
    pub fn set_weights(&mut self, i: usize, found: &[f32]) {
        let place = i * self.how.coarse..(i + 1) * self.how.coarse;
        let (weights, sight) = (&mut self.weights[place.clone()], &self.sight[place]);
        weights.iter_mut().zip(found).zip(sight).for_each(|((w, found), sight)| *w = found * sight);
        let (all, kept) = (found.iter().sum::<f32>(), weights.iter().sum::<f32>());
        if kept > 0.0 {
            weights.iter_mut().for_each(|w| *w *= all / kept);
        }
    }

    /// Number of coarse rays.
    pub fn rays(&self) -> usize {
        self.lines[0].len() * self.lines[1].len()
    }

    /// Pixel of the whole picture that coarse ray `i` goes through; the last of a row or column is the picture's last
    /// pixel.
    pub fn pixel(&self, i: usize) -> (u32, u32) {
        let columns = self.lines[0].len();
        let at = UVec2::new(self.lines[0][i % columns], self.lines[1][i / columns]) * self.how.cell;
        at.min(self.size - 1).into()
    }

    /// Where the coarse rays of a whole picture end.
    ///
    /// # Panics
    /// If the guide is that of a part of the pixels.
    pub fn surface(&self) -> SurfaceMap {
        let size = (self.lines[0].len(), self.lines[1].len());
        let whole = [self.size.x, self.size.y].map(|length| (length - 1).div_ceil(self.how.cell) as usize + 1);
        assert_eq!([size.0, size.1], whole, "a guide of all pixels");
        let depths = self.coarse_depths();
        let step = (1.0 / self.range.0 - 1.0 / self.range.1) / (self.how.coarse - 1) as f32;
        let ends = self.weights.chunks_exact(self.how.coarse).map(|weights| ray_end(&depths, weights, LEAST * step));
        SurfaceMap::new(size, self.how.cell, ends.collect())
    }

    /// Where the line after the cell of a pixel, or that before it, stands among the lines that are there.
    fn line(&self, axis: usize, at: u32, after: u32) -> usize {
        let lines = &self.lines[axis];
        lines.partition_point(|line| *line < at / self.how.cell + after).min(lines.len() - 1)
    }

    /// Depths of the coarse rays, increasing.
    pub fn coarse_depths(&self) -> Vec<f32> {
        sampling::inverse_depth(self.range.0, self.range.1, self.how.coarse)
    }

    /// Appends `count` increasing depths for pixel `(x, y)` of the whole picture. `density` is scratch memory.
    pub fn depths(&self, (x, y): (u32, u32), count: usize, density: &mut Vec<f32>, out: &mut Vec<f32>) {
        self.density((x, y), density);
        let all: f32 = density.iter().sum();
        let (near, far) = (1.0 / self.range.0, 1.0 / self.range.1);
        let step = (far - near) / (self.how.coarse - 1) as f32;
        let (mut cell, mut below) = (0, 0.0);
        for i in 0..count {
            let u = (i as f32 + 0.5) / count as f32 * all;
            while cell + 1 < density.len() && below + density[cell] < u {
                below += density[cell];
                cell += 1;
            }
            let inside = ((u - below) / density[cell]).clamp(0.0, 1.0);
            // A coarse sample stands for half a step on both sides.
            let inverse = near + step * (cell as f32 - 0.5 + inside);
            out.push(1.0 / inverse.clamp(far, near));
        }
    }

    /// The density over the coarse samples' cells at a pixel: not normalised, positive everywhere.
    fn density(&self, (x, y): (u32, u32), density: &mut Vec<f32>) {
        let k = self.how.coarse;
        density.clear();
        density.resize(k, 0.0);
        for (dx, dy) in [(0, 0), (1, 0), (0, 1), (1, 1)] {
            let (column, row) = (self.line(0, x, dx), self.line(1, y, dy));
            let place = (row * self.lines[0].len() + column) * k;
            let parts = self.weights[place..][..k].iter().zip(&self.sight[place..][..k]);
            density.iter_mut().zip(parts).for_each(|(d, (w, sight))| *d += 0.25 * (w + FLOOR / k as f32 * sight));
        }
        for _ in 0..BLURS {
            let mut before = density[0];
            for i in 0..k {
                let (here, after) = (density[i], density[(i + 1).min(k - 1)]);
                density[i] = 0.25 * before + 0.5 * here + 0.25 * after;
                before = here;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOW: Guided = Guided { cell: 4, coarse: 17 };

    /// All weight on one sample.
    fn one(sample: usize) -> [f32; 17] {
        std::array::from_fn(|i| f32::from(u8::from(i == sample)))
    }

    #[test]
    fn the_grid_reaches_the_last_pixels() {
        for (size, grid) in [((1, 1), 1), ((5, 4), 2 * 2), ((9, 5), 3 * 2), ((31, 17), 9 * 5)] {
            let guide = Guide::new(HOW, size, 1, (1.0, 10.0));
            assert_eq!(guide.rays(), grid, "{size:?}");
            assert_eq!(guide.pixel(guide.rays() - 1), (size.0 - 1, size.1 - 1));
            // Every pixel finds its four neighbours.
            let (mut density, mut out) = (Vec::new(), Vec::new());
            for y in 0..size.1 {
                for x in 0..size.0 {
                    guide.depths((x, y), 3, &mut density, &mut out);
                }
            }
            assert_eq!(out.len(), 3 * (size.0 * size.1) as usize);
        }
    }

    /// Rendered with a stride, a pixel has the samples that it has in the whole picture.
    #[test]
    fn a_stride_changes_no_pixel() {
        let size = (31, 18);
        let filled = |stride: u32| {
            let mut guide = Guide::new(HOW, size, stride, (1.0, 10.0));
            for i in 0..guide.rays() {
                let (x, y) = guide.pixel(i);
                guide.set_weights(i, &one((7 * x + 3 * y) as usize % 17));
            }
            guide
        };
        let whole = filled(1);
        let depths = |guide: &Guide, pixel| {
            let mut out = Vec::new();
            guide.depths(pixel, 6, &mut Vec::new(), &mut out);
            out
        };
        for stride in [2, 3, 4, 5, 8, 13] {
            let guide = filled(stride);
            assert!(guide.rays() <= whole.rays());
            for y in (0..size.1).step_by(stride as usize) {
                for x in (0..size.0).step_by(stride as usize) {
                    assert_eq!(depths(&guide, (x, y)), depths(&whole, (x, y)), "stride {stride}, pixel {x}, {y}");
                }
            }
        }
    }

    #[test]
    fn without_a_finding_samples_are_even_in_inverse_depth() {
        let guide = Guide::new(HOW, (8, 8), 1, (2.0, 50.0));
        let (mut density, mut out) = (Vec::new(), Vec::new());
        guide.depths((3, 5), 8, &mut density, &mut out);
        let gaps: Vec<f32> = out.windows(2).map(|z| 1.0 / z[0] - 1.0 / z[1]).collect();
        assert!(gaps.iter().all(|gap| (gap / gaps[3] - 1.0).abs() < 0.1), "{out:?}");
    }

    /// What few views see counts less, whatever the network found there, and a ray that none sees is as without sources.
    #[test]
    fn samples_that_few_views_see_count_less() {
        let camera = |x: f32| Camera {
            width: 16,
            height: 16,
            focal: Vec2::splat(16.0),
            center: Vec2::splat(7.5),
            world_from_camera: glam::Mat4::from_translation(glam::vec3(x, 0.0, 0.0)),
        };
        // Near the target, only the first source shows what the target shows; farther away all three do.
        let sources = [0.0, 0.9, -0.9].map(|x| Projector::new(&camera(x)));
        let mut guide = Guide::new(HOW, (16, 16), 1, (1.0, 10.0));
        guide.look(&camera(0.0), &sources, 2);
        let middle = (0..guide.rays()).find(|i| guide.pixel(*i) == (8, 8)).unwrap();
        let sight = &guide.sight[middle * 17..][..17];
        assert!(sight.is_sorted() && (sight[0] - (1.0f32 / 3.0 / ENOUGH).powf(SIGHT)).abs() < 1e-6, "{sight:?}");
        assert_eq!(sight[16], 1.0);
        let even = [0.5, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.5];
        guide.set_weights(middle, &even);
        let weights = &guide.weights[middle * 17..][..17];
        assert!((weights.iter().sum::<f32>() - 1.0).abs() < 1e-6 && weights[0] < 0.2, "{weights:?}");
        // A surface that nothing speaks against stays one.
        guide.set_weights(middle, &one(0));
        assert!((guide.weights[middle * 17] - 1.0).abs() < 1e-6);
        guide.look(&camera(0.0), &[], 2);
        assert!(guide.sight.iter().all(|sight| *sight == 1.0));
    }

    #[test]
    fn both_sides_of_an_edge_are_covered() {
        let mut guide = Guide::new(HOW, (8, 5), 1, (1.0, 10.0));
        let coarse = guide.coarse_depths();
        for i in 0..guide.rays() {
            let surface = if guide.pixel(i).0 < 4 { 2 } else { 12 };
            guide.set_weights(i, &one(surface));
        }
        let (mut density, mut out) = (Vec::new(), Vec::new());
        for x in 0..4 {
            out.clear();
            guide.depths((x, 2), 24, &mut density, &mut out);
            assert!(out.windows(2).all(|z| z[0] <= z[1]), "{out:?}");
            // Evenly spaced, 6 of 24 would be there.
            let around = |i: usize| out.iter().filter(|z| **z > coarse[i - 2] && **z < coarse[i + 2]).count();
            assert!(around(2) >= 8 && around(12) >= 8, "{x}: {out:?}");
        }
    }
}
