//! Surface maps of source views as a renderer would have them, made from exact depths.
//!
//! A renderer finds where the rays of each source view end with the network itself, which errs: by a part of the deviation
//! that it states, more beside edges, and here and there by far. Maps in training are damaged likewise, each in its own
//! measure.

use gnt::surface::SurfaceMap;
use layers::params::SplitMix;

/// Samples of the coarse pass that a deviation is measured in: one step of so many evenly spread in inverse depth.
const STEPS: f32 = 47.0;
/// Cells between the knots of smooth noise.
const KNOTS: usize = 10;
/// Most patches that are wrong altogether.
const PATCHES: usize = 7;

/// A damaged map of a view whose exact depths are `depth` `[height, width]`, for `size` (width, height) and near and far bound
/// `range`.
pub(crate) fn damaged(depth: &[f32], size: (usize, usize), range: (f32, f32), rng: &mut SplitMix) -> SurfaceMap {
    let cell = 2 + rng.below(3);
    let [w, h] = [size.0, size.1].map(|pixels| (pixels - 1).div_ceil(cell) + 1);
    let (near, far) = (1.0 / range.0, 1.0 / range.1);
    let step = (near - far) / STEPS;
    let base = step * (0.25f32.ln() + rng.uniform() * 8f32.ln()).exp();
    let reach = 2.0 * rng.uniform();
    let [shift_x, shift_y, error, doubt] = [(); 4].map(|()| smooth_noise(w, h, rng));
    // A column or row of the exact map, moved a little.
    let place =
        |i: usize, pixels: usize, moved: f32| (((i * cell) as f32 + moved).round().max(0.0) as usize).min(pixels - 1);
    let mut cells = Vec::with_capacity(w * h);
    for y in 0..h {
        for x in 0..w {
            let i = y * w + x;
            let (px, py) = (place(x, size.0, reach * shift_x[i]), place(y, size.1, reach * shift_y[i]));
            let inverse = 1.0 / depth[py * size.0 + px];
            // Rays beside an edge find something of both sides.
            let beside = 1.0 / depth[py * size.0 + (px + cell).min(size.0 - 1)];
            let below = 1.0 / depth[(py + cell).min(size.1 - 1) * size.0 + px];
            let edge = (beside - inverse).abs().max((below - inverse).abs());
            let deviation = base * (0.8 * doubt[i]).exp() + 0.4 * rng.uniform() * edge;
            let white = rng.uniform() + rng.uniform() - 1.0;
            cells.push([inverse + deviation * (0.8 * error[i] + 0.5 * white), deviation]);
        }
    }
    for _ in 0..rng.below(PATCHES) {
        let (cx, cy) = (rng.below(w), rng.below(h));
        let [rx, ry] = [(); 2].map(|()| 1.0 + rng.uniform() * rng.uniform() * 0.15 * w as f32);
        let wrong = far + (near - far) * rng.uniform();
        // Most say that they are not sure.
        let deviation = step * (8f32.ln() * rng.uniform()).exp();
        for (i, cell) in cells.iter_mut().enumerate() {
            let (dx, dy) = (((i % w) as f32 - cx as f32) / rx, ((i / w) as f32 - cy as f32) / ry);
            if dx * dx + dy * dy < 1.0 {
                *cell = [wrong, deviation];
            }
        }
    }
    SurfaceMap::new((w, h), cell as u32, cells)
}

/// Noise between −1 and 1 that changes over some cells, `[h, w]`.
fn smooth_noise(w: usize, h: usize, rng: &mut SplitMix) -> Vec<f32> {
    let (columns, rows) = (w / KNOTS + 2, h / KNOTS + 2);
    let knots: Vec<f32> = (0..columns * rows).map(|_| 2.0 * rng.uniform() - 1.0).collect();
    let mut noise = Vec::with_capacity(w * h);
    for y in 0..h {
        let (row, down) = (y / KNOTS, (y % KNOTS) as f32 / KNOTS as f32);
        for x in 0..w {
            let (column, right) = (x / KNOTS, (x % KNOTS) as f32 / KNOTS as f32);
            let at = |dx: usize, dy: usize| knots[(row + dy) * columns + column + dx];
            let (above, below) = (at(0, 0) + right * (at(1, 0) - at(0, 0)), at(0, 1) + right * (at(1, 1) - at(0, 1)));
            noise.push(above + down * (below - above));
        }
    }
    noise
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Most cells lie within their deviations of the truth, some do not, and every one is usable.
    #[test]
    fn errors_are_mostly_as_large_as_is_said() {
        let (size, range) = ((65, 49), (1.0, 20.0));
        let depth: Vec<f32> = (0..65 * 49).map(|i| if i % 65 < 30 { 2.0 } else { 8.0 }).collect();
        let (mut within, mut off, mut all) = (0, 0, 0);
        for seed in 0..30 {
            let map = damaged(&depth, size, range, &mut SplitMix(seed));
            let (w, h) = map.size();
            let cell = map.cell() as usize;
            assert!(
                (2..=4).contains(&cell) && (w, h) == (64usize.div_ceil(cell) + 1, 48usize.div_ceil(cell) + 1),
                "{w}x{h}"
            );
            for (i, [inverse, deviation]) in map.cells().iter().enumerate() {
                assert!(inverse.is_finite() && *deviation > 0.0);
                let x = ((i % w * cell).min(64)) as f32;
                if (x - 30.0).abs() > 5.0 {
                    let truth = if x < 30.0 { 0.5 } else { 0.125 };
                    let error = (inverse - truth).abs() / deviation;
                    (all, within, off) = (all + 1, within + usize::from(error < 1.0), off + usize::from(error > 4.0));
                }
            }
        }
        assert!(within * 10 > all * 8 && off > all / 500 && off * 10 < all, "{within} and {off} of {all}");
    }
}
