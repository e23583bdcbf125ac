//! Reducing images with a box filter, and warping them.

use crate::{Error, Image, Result};
use glam::DVec2;

/// One output cell along an axis: first input cell and the weights of the cells it covers; they sum to 1.
struct Cover {
    first: usize,
    weights: Vec<f64>,
}

/// How each of `to` equal cells covers `from` equal cells of the same extent.
fn coverage(from: u32, to: u32) -> Vec<Cover> {
    let step = f64::from(from) / f64::from(to);
    (0..to)
        .map(|cell| {
            let (start, end) = (f64::from(cell) * step, f64::from(cell + 1) * step);
            let first = (start.floor() as usize).min(from as usize - 1);
            let last = (end.ceil() as usize).clamp(first + 1, from as usize);
            let weights = (first..last)
                .map(|i| ((end.min(i as f64 + 1.0) - start.max(i as f64)) / step).max(0.0))
                .collect::<Vec<_>>();
            Cover { first, weights }
        })
        .collect()
}

/// Reduces an image so that each pixel is the mean of the area it covers, fractions of pixels included.
///
/// # Errors
/// [`Error::Scene`] if the new size is zero or larger than the image.
pub fn area_downscale(image: &Image, width: u32, height: u32) -> Result<Image> {
    if width == 0 || height == 0 || width > image.width || height > image.height {
        return Err(Error::Scene(format!(
            "area filter: expected a size from 1x1 to {}x{}, found {width}x{height}",
            image.width, image.height
        )));
    }
    if (width, height) == (image.width, image.height) {
        return Ok(image.clone());
    }
    Image::new(width, height, area::<3>(&image.data, (image.width, image.height), (width, height)))
}

/// [`area_downscale`] of `[height, width, N]` values.
pub(crate) fn area<const N: usize>(data: &[f32], from: (u32, u32), to: (u32, u32)) -> Vec<f32> {
    let (columns, to_width) = (coverage(from.0, to.0), to.0 as usize);
    let mut tall = vec![0.0f32; from.1 as usize * to_width * N];
    for (row, out) in data.chunks_exact(from.0 as usize * N).zip(tall.chunks_exact_mut(to_width * N)) {
        for (cover, pixel) in columns.iter().zip(out.chunks_exact_mut(N)) {
            for (channel, value) in pixel.iter_mut().enumerate() {
                let inputs = row[cover.first * N + channel..].iter().step_by(N);
                *value = cover.weights.iter().zip(inputs).map(|(w, v)| w * f64::from(*v)).sum::<f64>() as f32;
            }
        }
    }
    let row_length = to_width * N;
    let mut out = Vec::with_capacity(row_length * to.1 as usize);
    for cover in coverage(from.1, to.1) {
        out.extend((0..row_length).map(|column| {
            let inputs = tall[cover.first * row_length + column..].iter().step_by(row_length);
            cover.weights.iter().zip(inputs).map(|(w, v)| w * f64::from(*v)).sum::<f64>() as f32
        }));
    }
    out
}

/// An image of the same size whose pixel `p` is the colour at `map(p)`, by Catmull-Rom interpolation (bicubic with
/// `a = −1/2`); pixel coordinates are integers at pixel centres.
///
/// Bilinear interpolation would blur what falls between pixels and so cost likeness to the photograph. Colours are
/// clipped to `[0, 1]`, as the cubic overshoots at edges. Outside, the nearest pixels of the edge continue.
pub(crate) fn warp(image: &Image, map: impl Fn(DVec2) -> DVec2) -> Image {
    let mut data = Vec::with_capacity(image.data.len());
    for y in 0..image.height {
        for x in 0..image.width {
            let at = map(DVec2::new(x.into(), y.into()));
            let (columns, rows) = (taps(at.x, image.width), taps(at.y, image.height));
            let mut colour = [0.0f32; 3];
            for (row, row_weight) in rows {
                for (column, weight) in columns {
                    let pixel = image.pixel(column, row);
                    (0..3).for_each(|c| colour[c] += row_weight * weight * pixel[c]);
                }
            }
            data.extend(colour.map(|c| c.clamp(0.0, 1.0)));
        }
    }
    Image { width: image.width, height: image.height, data }
}

/// The four cells around a position along an axis and their Catmull-Rom weights; these sum to 1.
fn taps(at: f64, count: u32) -> [(u32, f32); 4] {
    let at = at.clamp(0.0, f64::from(count) - 1.0);
    let t = (at - at.floor()) as f32;
    let weights = [
        t * (-0.5 + t * (1.0 - 0.5 * t)),
        1.0 + t * t * (-2.5 + 1.5 * t),
        t * (0.5 + t * (2.0 - 1.5 * t)),
        t * t * (-0.5 + 0.5 * t),
    ];
    std::array::from_fn(|i| {
        let cell = (at.floor() as i64 + i as i64 - 1).clamp(0, i64::from(count) - 1);
        (cell as u32, weights[i])
    })
}

/// `[height, width]` values at `map(p)` by bilinear interpolation, so that they stay in their range.
pub(crate) fn warp_linear(values: &[f32], (width, height): (u32, u32), map: impl Fn(DVec2) -> DVec2) -> Vec<f32> {
    let last = DVec2::new(f64::from(width) - 1.0, f64::from(height) - 1.0);
    let mut out = Vec::with_capacity(values.len());
    for y in 0..height {
        for x in 0..width {
            let at = map(DVec2::new(x.into(), y.into())).clamp(DVec2::ZERO, last);
            let (low, t) = (at.floor(), (at - at.floor()).as_vec2());
            let high = (low + 1.0).min(last);
            let value = |x: f64, y: f64| values[y as usize * width as usize + x as usize];
            let row = |y: f64| value(low.x, y) + t.x * (value(high.x, y) - value(low.x, y));
            out.push(row(low.y) + t.y * (row(high.y) - row(low.y)));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ramp(width: u32, height: u32) -> Image {
        let count = width * height * 3;
        Image::new(width, height, (0..count).map(|i| i as f32).collect()).unwrap()
    }

    #[test]
    fn averages_whole_blocks() {
        let small = area_downscale(&ramp(4, 2), 2, 1).unwrap();
        // Red of the pixels (0,0) (1,0) (0,1) (1,1) is 0, 3, 12, 15.
        assert_eq!(small.pixel(0, 0), [7.5, 8.5, 9.5]);
        assert_eq!(small.pixel(1, 0), [13.5, 14.5, 15.5]);
    }

    #[test]
    fn splits_pixels_by_the_covered_fraction() {
        let image = Image::new(3, 1, [0.0, 3.0, 6.0].iter().flat_map(|v| [*v; 3]).collect()).unwrap();
        let small = area_downscale(&image, 2, 1).unwrap();
        assert!((small.pixel(0, 0)[0] - 1.0).abs() < 1e-6, "{:?}", small);
        assert!((small.pixel(1, 0)[2] - 5.0).abs() < 1e-6, "{:?}", small);
    }

    #[test]
    fn keeps_the_mean_for_odd_sizes() {
        let image = ramp(31, 17);
        for (w, h) in [(31, 17), (30, 5), (7, 16), (1, 1)] {
            let small = area_downscale(&image, w, h).unwrap();
            let mean = |i: &Image| i.data.iter().map(|v| f64::from(*v)).sum::<f64>() / i.data.len() as f64;
            assert!((mean(&small) - mean(&image)).abs() < 1e-3, "{w}x{h}");
        }
        assert!(area_downscale(&image, 32, 17).is_err());
        assert!(area_downscale(&image, 0, 1).is_err());
    }

    /// A cubic through four cells reproduces straight lines, and even parabolas, away from the edges.
    #[test]
    fn warping_reproduces_smooth_colours_and_stays_in_range() {
        let (width, height) = (33, 31);
        let smooth = |x: f64, y: f64| 0.1 + 0.015 * x + 0.0004 * y * y;
        let colours = (0..height).flat_map(|y| (0..width).map(move |x| smooth(x.into(), y.into()) as f32));
        let image = Image::new(width, height, colours.flat_map(|c| [c, 0.5, c]).collect()).unwrap();
        assert_eq!(warp(&image, |p| p), image);
        let moved = warp(&image, |p| p + DVec2::new(0.3, -0.45));
        for (x, y) in [(1, 2), (17, 9), (30, 29)] {
            let expected = smooth(f64::from(x) + 0.3, f64::from(y) - 0.45) as f32;
            let [red, green, _] = moved.pixel(x, y);
            assert!((red - expected).abs() < 1e-5 && (green - 0.5).abs() < 1e-6, "({x}, {y}): {red} {expected}");
        }
        let steps = Image::new(31, 1, (0..93).map(|i| (i / 45) as f32).collect()).unwrap();
        assert!(warp(&steps, |p| p + DVec2::new(0.5, 7.0)).data.iter().all(|v| (0.0..=1.0).contains(v)));
        assert_eq!(warp(&image, |_| DVec2::new(-9.0, 99.0)).pixel(3, 3), image.pixel(0, 30));
    }

    #[test]
    fn linear_warping_mixes_neighbours() {
        let values = [0.0, 1.0, 0.5, 1.0, 1.0, 1.0];
        assert_eq!(warp_linear(&values, (3, 2), |p| p), values);
        let half = warp_linear(&values, (3, 2), |p| p + DVec2::new(0.5, 0.0));
        assert_eq!(half, [0.5, 0.75, 0.5, 1.0, 1.0, 1.0]);
        assert_eq!(warp_linear(&values, (3, 2), |p| p + DVec2::splat(0.5))[0], 0.75);
        assert_eq!(warp_linear(&[0.25], (1, 1), |p| p + 5.0), [0.25]);
    }
}
