//! Few samples in the right place: a coarse grid of rays is cast first, and every ray of the frame then takes its samples
//! from what the four coarse rays around it found.
//!
//! A coarse ray tells a weight for each of its samples, which are spread evenly in inverse depth. A pixel's density over
//! inverse depth is the mean of its four neighbours' weights, so that both sides of an edge are covered, blurred by two
//! samples' width, with a floor for what the coarse rays missed. Its samples are quantiles of that density.

use crate::sampling;
use crate::surface::{SurfaceMap, ray_end};
use glam::UVec2;

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

/// What is spread over the whole range, as a multiple of what the coarse rays found. Networks that were trained on placed
/// samples gain 0.1 dB by less of it than 1, and 0.02 by half of 0.3; counting nearer neighbours more gains nothing.
const FLOOR: f32 = 0.15;
/// How often the density is blurred with the weights 1, 2, 1: with finer maps once is better than twice by 0.02 dB.
const BLURS: usize = 1;

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
    /// Weights of the coarse rays `[rays, coarse]`.
    pub weights: Vec<f32>,
}

impl Guide {
    /// An empty guide for every `stride`-th pixel of a picture of `size`; its [`weights`](Self::weights) are to be filled
    /// in.
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
        Self { how, size, lines, range, weights }
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
            let weights = &self.weights[(row * self.lines[0].len() + column) * k..][..k];
            density.iter_mut().zip(weights).for_each(|(d, w)| *d += 0.25 * w);
        }
        for _ in 0..BLURS {
            let mut before = density[0];
            for i in 0..k {
                let (here, after) = (density[i], density[(i + 1).min(k - 1)]);
                density[i] = 0.25 * before + 0.5 * here + 0.25 * after;
                before = here;
            }
        }
        density.iter_mut().for_each(|d| *d += FLOOR / k as f32);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOW: Guided = Guided { cell: 4, coarse: 17 };

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
                guide.weights[i * 17 + ((7 * x + 3 * y) % 17) as usize] = 1.0;
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

    #[test]
    fn both_sides_of_an_edge_are_covered() {
        let mut guide = Guide::new(HOW, (8, 5), 1, (1.0, 10.0));
        let coarse = guide.coarse_depths();
        for i in 0..guide.rays() {
            let surface = if guide.pixel(i).0 < 4 { 2 } else { 12 };
            guide.weights[i * 17 + surface] = 1.0;
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
