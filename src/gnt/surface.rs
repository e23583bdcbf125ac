//! Where a source view's own rays end, and what that says of a sample: whether the view can see it.
//!
//! A sample that lies behind the surface which a source view sees is hidden from that view: what the view shows there is
//! something else. Where a depth map of each source is known, hidden views are left out (unless all are), and the others
//! tell how far before the surface the sample lies. In training the maps come from the exact depths of procedural scenes,
//! damaged as rendered ones are; a renderer makes them with the network itself.

use glam::Vec2;

/// Where the rays of a view end, at every few pixels of its photograph.
#[derive(Clone, Debug, PartialEq)]
pub struct SurfaceMap {
    size: (usize, usize),
    /// Pixels from one ray to the next, in x and y.
    cell: u32,
    /// Inverse depth (one over the depth along the optical axis) of the surface, and one standard deviation of it.
    cells: Vec<[f32; 2]>,
}

/// What is known of the surface that a source view sees.
#[derive(Clone, Copy, Debug, Default)]
pub enum Visibility<'a> {
    /// The network does not ask.
    #[default]
    Unasked,
    /// Nothing is known.
    Unknown,
    /// A map of it.
    Known(&'a SurfaceMap),
}

/// Clearance from which on down a sample counts as hidden: about two and a third deviations behind the surface.
pub const HIDDEN: f32 = -0.7;

/// Which component of a relative direction gives way to the clearance in networks that ask for it: in the axes of the
/// rendered camera this one runs along its optical axis and follows, up to its sign, from the two others.
pub const CLEARANCE: usize = 2;

impl SurfaceMap {
    /// A map of `size` (width, height) rays that are `cell` pixels apart, the first at pixel (0, 0); row after row, each
    /// inverse depth and deviation.
    ///
    /// # Panics
    /// If there are not as many cells, or none.
    pub fn new(size: (usize, usize), cell: u32, cells: Vec<[f32; 2]>) -> Self {
        assert!(size.0 * size.1 == cells.len() && !cells.is_empty(), "{} cells of {size:?}", cells.len());
        Self { size, cell, cells }
    }

    /// Pixels from one ray to the next.
    pub fn cell(&self) -> u32 {
        self.cell
    }

    /// Width and height.
    pub fn size(&self) -> (usize, usize) {
        self.size
    }

    /// Inverse depth of the surface and its deviation, `[height, width]`.
    pub fn cells(&self) -> &[[f32; 2]] {
        &self.cells
    }

    /// Depths of the surface at the corners of the cell that a pixel lies in, those above first.
    pub fn corners(&self, pixel: (u32, u32)) -> [f32; 4] {
        let (x, y) = ((pixel.0 / self.cell) as usize, (pixel.1 / self.cell) as usize);
        [(0, 0), (1, 0), (0, 1), (1, 1)].map(|(dx, dy)| {
            let (x, y) = ((x + dx).min(self.size.0 - 1), (y + dy).min(self.size.1 - 1));
            1.0 / self.cells[y * self.size.0 + x][0]
        })
    }

    /// How far a sample lies before the surface, from −1 (far behind it) over 0 (on it) to 1: `d / (|d| + deviation)`, `d` the
    /// difference in inverse depth. `pixel` is its place in the view's photograph, `z` its depth there.
    #[inline(always)]
    pub fn clearance(&self, pixel: Vec2, z: f32) -> f32 {
        let scale = 1.0 / self.cell as f32;
        // Saturating: pixels outside read the border.
        let at = |p: f32, cells: usize| ((p * scale + 0.5) as usize).min(cells - 1);
        let (x, y) = (at(pixel.x, self.size.0), at(pixel.y, self.size.1));
        let [inverse, deviation] = self.cells[y * self.size.0 + x];
        let before = inverse - 1.0 / z.max(1e-8);
        -before / (before.abs() + deviation)
    }
}

impl Visibility<'_> {
    /// The clearance of a sample, see [`SurfaceMap::clearance`]; 0 where nothing is known, `None` where it is not asked for.
    #[inline(always)]
    pub fn clearance(self, pixel: Vec2, z: f32) -> Option<f32> {
        match self {
            Self::Unasked => None,
            Self::Unknown => Some(0.0),
            Self::Known(map) => Some(map.clearance(pixel, z)),
        }
    }
}

/// Where a ray ends: inverse depth and its deviation, the median and half the middle two thirds of its weights.
///
/// A sample stands for the depths halfway to its neighbours; `least` is the smallest deviation. `depths` increase.
pub fn ray_end(depths: &[f32], weights: &[f32], least: f32) -> [f32; 2] {
    let total: f32 = weights.iter().sum();
    let last = depths.len() - 1;
    let edge = |i: usize| {
        // Before sample i, halfway from the one before it; beyond the ends half a step further.
        let (a, b) = if i == 0 {
            (0, 1.min(last))
        } else if i > last {
            (last, last.saturating_sub(1))
        } else {
            (i - 1, i)
        };
        let (a, b) = (1.0 / depths[a], 1.0 / depths[b]);
        if (1..=last).contains(&i) { 0.5 * (a + b) } else { a + 0.5 * (a - b) }
    };
    let quantile = |part: f32| {
        let (mut below, wanted) = (0.0, part * total);
        for (i, w) in weights.iter().enumerate() {
            if below + w >= wanted || i == last {
                let inside = ((wanted - below) / w.max(1e-20)).clamp(0.0, 1.0);
                return edge(i) + (edge(i + 1) - edge(i)) * inside;
            }
            below += w;
        }
        edge(last)
    };
    [quantile(0.5), (0.5 * (quantile(1.0 / 6.0) - quantile(5.0 / 6.0))).max(least)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clearance_has_the_sign_of_the_side_and_saturates() {
        let map = SurfaceMap::new((3, 2), 4, vec![[0.5, 0.01]; 6]);
        let at = |z: f32| map.clearance(Vec2::new(4.0, 2.0), z);
        assert_eq!(at(2.0), 0.0);
        assert!((at(1.0 / 0.51) - 0.5).abs() < 1e-4 && (at(1.0 / 0.49) + 0.5).abs() < 1e-4);
        assert!(at(0.5) > 0.99 && at(1e9) < -0.97 && at(-1.0) > 0.99);
        assert!(at(1.0 / 0.47) < HIDDEN && at(1.0 / 0.48) > HIDDEN);
        assert_eq!(Visibility::Unasked.clearance(Vec2::ZERO, 1.0), None);
        assert_eq!(Visibility::Unknown.clearance(Vec2::ZERO, 1.0), Some(0.0));
    }

    #[test]
    fn pixels_read_the_cell_next_to_them() {
        let cells = (0..6).map(|i| [1.0 + i as f32, 0.5]).collect();
        let map = SurfaceMap::new((3, 2), 4, cells);
        for (pixel, cell) in [((0.0, 0.0), 0), ((1.9, 1.9), 0), ((2.1, 0.0), 1), ((8.0, 4.0), 5), ((1e6, -1e6), 2)] {
            let z = 1.0 / (1.0 + cell as f32);
            assert_eq!(map.clearance(Vec2::from(pixel), z), 0.0, "{pixel:?}");
        }
    }

    #[test]
    fn a_ray_ends_at_the_median_of_its_weights() {
        let depths: Vec<f32> = (1..=9).rev().map(|i| 10.0 / i as f32).collect();
        let mut weights = [0.0; 9];
        weights[3] = 1.0;
        let [inverse, deviation] = ray_end(&depths, &weights, 0.001);
        assert!((inverse - 0.6).abs() < 1e-6 && (deviation - 0.1 / 3.0).abs() < 1e-6, "{inverse} {deviation}");
        assert_eq!(ray_end(&depths, &weights, 0.2)[1], 0.2);
        // Half here, half there: the deviation covers both.
        (weights[1], weights[3]) = (0.5, 0.5);
        assert!(ray_end(&depths, &weights, 0.0)[1] > 0.1);
        assert!(ray_end(&depths, &[0.0; 9], 0.01).iter().all(|v| v.is_finite()));
        assert!(ray_end(&[2.0], &[1.0], 0.01)[0] == 0.5);
    }
}
