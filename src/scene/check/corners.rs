//! Corners of a photograph and what they look like.
//!
//! Corners are those of Harris and Stephens, "A combined corner and edge detector", 1988, the best of each cell of a grid. A
//! corner is described by its surroundings at two scales, freed from brightness and contrast; two are a match if each is the
//! other's best and plainly better than the second (Lowe, 2004).

use crate::{Image, Result, resample};
use glam::Vec2;

/// Cells of the grid along the longer side.
const CELLS: usize = 32;
/// Corners of a cell.
const OF_A_CELL: usize = 2;
/// Samples along a side of a description, and pixels between them at each scale.
const SAMPLES: i32 = 7;
const STEPS: [i32; 2] = [1, 3];
/// Numbers of a description.
const LENGTH: usize = (SAMPLES * SAMPLES) as usize * STEPS.len();
/// Pixels around a corner that its description looks at.
const MARGIN: i32 = SAMPLES / 2 * STEPS[1] + 1;
/// Least likeness of a match, and how far the second best has to be behind, as a ratio of distances.
const LEAST: f32 = 0.75;
const RATIO: f32 = 0.85;

/// A photograph's brightness, reduced.
pub(super) struct Gray {
    pub width: usize,
    pub height: usize,
    pub data: Vec<f32>,
    /// Pixels of the view's camera by pixels here.
    pub scale: Vec2,
}

impl Gray {
    /// The brightness of a photograph whose longest side becomes `side` pixels at most.
    pub fn of(image: &Image, side: u32) -> Result<Self> {
        let by = (f64::from(side) / f64::from(image.width.max(image.height))).min(1.0);
        let to = |length: u32| ((f64::from(length) * by).round() as u32).max(1);
        let small = resample::area_downscale(image, to(image.width), to(image.height))?;
        let data = small.data.as_chunks::<3>().0.iter().map(|[r, g, b]| 0.299 * r + 0.587 * g + 0.114 * b).collect();
        let scale = Vec2::new(image.width as f32 / small.width as f32, image.height as f32 / small.height as f32);
        Ok(Self { width: small.width as usize, height: small.height as usize, data, scale })
    }

    fn at(&self, x: i32, y: i32) -> f32 {
        let (x, y) = (x.clamp(0, self.width as i32 - 1), y.clamp(0, self.height as i32 - 1));
        self.data[y as usize * self.width + x as usize]
    }
}

/// The corners of a photograph.
pub(super) struct Corners {
    /// Places in pixels of the view's camera, integers at pixel centres.
    pub places: Vec<Vec2>,
    /// Descriptions of unit length and zero mean at each scale.
    descriptions: Vec<[f32; LENGTH]>,
    /// Pixels of the view's camera by pixels of the reduced photograph.
    pub scale: f32,
}

impl Corners {
    /// Finds the corners.
    pub fn of(gray: &Gray) -> Self {
        let (width, height) = (gray.width as i32, gray.height as i32);
        let smooth = blurred(gray);
        let cell = (gray.width.max(gray.height).div_ceil(CELLS) as i32).max(4);
        let (mut places, mut descriptions) = (Vec::new(), Vec::new());
        for top in (MARGIN..height - MARGIN).step_by(cell as usize) {
            for left in (MARGIN..width - MARGIN).step_by(cell as usize) {
                let mut best: Vec<(f32, i32, i32)> = Vec::new();
                for y in top..(top + cell).min(height - MARGIN) {
                    for x in left..(left + cell).min(width - MARGIN) {
                        let strength = strength(gray, x, y);
                        if strength > 1e-6 && is_peak(gray, x, y, strength) {
                            best.push((strength, x, y));
                        }
                    }
                }
                best.sort_by(|a, b| b.0.total_cmp(&a.0));
                for (_, x, y) in best.into_iter().take(OF_A_CELL) {
                    if let Some(description) = describe([gray, &smooth], x, y) {
                        let pixel = (Vec2::new(x as f32, y as f32) + 0.5) * gray.scale - 0.5;
                        places.push(pixel);
                        descriptions.push(description);
                    }
                }
            }
        }
        Self { places, descriptions, scale: gray.scale.max_element() }
    }

    /// Matches with another photograph's corners, as indices of both.
    pub fn matches(&self, other: &Self) -> Vec<(usize, usize)> {
        let best = |a: &[f32; LENGTH], all: &[[f32; LENGTH]]| {
            let (mut best, mut second, mut at) = (f32::MIN, f32::MIN, usize::MAX);
            for (i, b) in all.iter().enumerate() {
                let likeness = product(a, b);
                if likeness > best {
                    (second, best, at) = (best, likeness, i);
                } else if likeness > second {
                    second = likeness;
                }
            }
            (at, best, second)
        };
        let back: Vec<usize> = other.descriptions.iter().map(|b| best(b, &self.descriptions).0).collect();
        let forth = self.descriptions.iter().enumerate().filter_map(|(i, a)| {
            let (j, likeness, second) = best(a, &other.descriptions);
            // Distances of unit vectors, squared.
            let is_plain = 1.0 - likeness < RATIO * RATIO * (1.0 - second.max(-1.0));
            (j != usize::MAX && likeness > LEAST && is_plain && back[j] == i).then_some((i, j))
        });
        forth.collect()
    }
}

/// The inner product of two descriptions, in lanes of which processors take many at once.
fn product(a: &[f32; LENGTH], b: &[f32; LENGTH]) -> f32 {
    const LANES: usize = 14;
    let mut sums = [0.0f32; LANES];
    for (a, b) in a.as_chunks::<LANES>().0.iter().zip(b.as_chunks::<LANES>().0) {
        sums.iter_mut().zip(a.iter().zip(b)).for_each(|(sum, (a, b))| *sum += a * b);
    }
    sums.iter().sum()
}

/// The lesser eigenvalue of the structure of 5×5 pixels.
fn strength(gray: &Gray, x: i32, y: i32) -> f32 {
    let (mut xx, mut xy, mut yy) = (0.0, 0.0, 0.0);
    for dy in -2..=2 {
        for dx in -2..=2 {
            let (u, v) = (x + dx, y + dy);
            let gx = gray.at(u + 1, v) - gray.at(u - 1, v);
            let gy = gray.at(u, v + 1) - gray.at(u, v - 1);
            xx += gx * gx;
            xy += gx * gy;
            yy += gy * gy;
        }
    }
    let middle = 0.5 * (xx + yy);
    middle - (0.25 * (xx - yy) * (xx - yy) + xy * xy).sqrt()
}

fn is_peak(gray: &Gray, x: i32, y: i32, here: f32) -> bool {
    [(-1, 0), (1, 0), (0, -1), (0, 1)].iter().all(|(dx, dy)| strength(gray, x + dx, y + dy) <= here)
}

/// The surroundings of a corner at both scales; none where they are plain.
fn describe(grays: [&Gray; 2], x: i32, y: i32) -> Option<[f32; LENGTH]> {
    let mut all = [0.0; LENGTH];
    let half = SAMPLES / 2;
    for (part, (gray, step)) in all.chunks_exact_mut(LENGTH / STEPS.len()).zip(grays.into_iter().zip(STEPS)) {
        let places = (-half..=half).flat_map(|dy| (-half..=half).map(move |dx| (dx, dy)));
        part.iter_mut().zip(places).for_each(|(value, (dx, dy))| *value = gray.at(x + dx * step, y + dy * step));
        let mean = part.iter().sum::<f32>() / part.len() as f32;
        part.iter_mut().for_each(|value| *value -= mean);
        let length = part.iter().map(|value| value * value).sum::<f32>().sqrt();
        if length < 0.05 {
            return None;
        }
        // Both scales count alike, and the whole has unit length.
        let by = 1.0 / (length * (STEPS.len() as f32).sqrt());
        part.iter_mut().for_each(|value| *value *= by);
    }
    Some(all)
}

/// Means of 3×3 pixels, for samples that lie three apart.
fn blurred(gray: &Gray) -> Gray {
    let mut data = Vec::with_capacity(gray.data.len());
    for y in 0..gray.height as i32 {
        for x in 0..gray.width as i32 {
            let around = (-1..=1).flat_map(|dy| (-1..=1).map(move |dx| (dx, dy)));
            data.push(around.map(|(dx, dy)| gray.at(x + dx, y + dy)).sum::<f32>() / 9.0);
        }
    }
    Gray { width: gray.width, height: gray.height, data, scale: gray.scale }
}
