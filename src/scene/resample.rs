//! Reducing images with a box filter.

use crate::{Error, Image, Result};

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
    let columns = coverage(image.width, width);
    let row_length = image.width as usize * 3;
    let mut tall = vec![0.0f32; image.height as usize * width as usize * 3];
    for (row, out) in image.data.chunks_exact(row_length).zip(tall.chunks_exact_mut(width as usize * 3)) {
        for (cover, pixel) in columns.iter().zip(out.chunks_exact_mut(3)) {
            for (channel, value) in pixel.iter_mut().enumerate() {
                let inputs = row[cover.first * 3 + channel..].iter().step_by(3);
                *value = cover.weights.iter().zip(inputs).map(|(w, v)| w * f64::from(*v)).sum::<f64>() as f32;
            }
        }
    }
    let row_length = width as usize * 3;
    let mut data = Vec::with_capacity(row_length * height as usize);
    for cover in coverage(image.height, height) {
        data.extend((0..row_length).map(|column| {
            let inputs = tall[cover.first * row_length + column..].iter().step_by(row_length);
            cover.weights.iter().zip(inputs).map(|(w, v)| w * f64::from(*v)).sum::<f64>() as f32
        }));
    }
    Image::new(width, height, data)
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
}
