//! Images in memory.

use crate::{Error, Result};

/// An RGB image: `height × width × 3`, row-major, colours in `[0, 1]` as stored in the file (no gamma is undone).
#[derive(Clone, Debug, PartialEq)]
pub struct Image {
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// `[height, width, 3]`.
    pub data: Vec<f32>,
}

impl Image {
    /// Wraps `[height, width, 3]` values.
    ///
    /// # Errors
    /// [`Error::Shape`] if the length does not match.
    pub fn new(width: u32, height: u32, data: Vec<f32>) -> Result<Self> {
        let expected = width as usize * height as usize * 3;
        if data.len() != expected {
            return Err(Error::Shape { what: "image".into(), expected, found: data.len() });
        }
        Ok(Self { width, height, data })
    }

    /// A black image.
    pub fn black(width: u32, height: u32) -> Self {
        Self { width, height, data: vec![0.0; width as usize * height as usize * 3] }
    }

    /// Colour of a pixel.
    pub fn pixel(&self, x: u32, y: u32) -> [f32; 3] {
        let at = (y as usize * self.width as usize + x as usize) * 3;
        [self.data[at], self.data[at + 1], self.data[at + 2]]
    }

    /// Rounded to 8 bits, clipped to `[0, 1]`; NaN becomes 0.
    pub fn to_rgb8(&self) -> Vec<u8> {
        self.data.iter().map(|v| (v.clamp(0.0, 1.0) * 255.0).round() as u8).collect()
    }

    /// Pixels 0, `stride`, 2·`stride`, .. of both axes; a stride of 0 counts as 1.
    #[must_use]
    pub fn every(&self, stride: u32) -> Self {
        let stride = stride.max(1);
        let pixels = every_pixel((self.width, self.height), stride);
        let (width, height) = (self.width.div_ceil(stride), self.height.div_ceil(stride));
        Self { width, height, data: pixels.flat_map(|(x, y)| self.pixel(x, y)).collect() }
    }
}

/// Columns and rows 0, `stride`, 2·`stride`, .. of a width and height, row after row; a stride of 0 counts as 1.
pub fn every_pixel((width, height): (u32, u32), stride: u32) -> impl Iterator<Item = (u32, u32)> {
    let stride = stride.max(1) as usize;
    (0..height).step_by(stride).flat_map(move |y| (0..width).step_by(stride).map(move |x| (x, y)))
}

/// The floor of [`psnr`] in GNT's evaluation: equal images have 60 dB instead of infinitely many.
pub const EVAL_FLOOR: f64 = 1e-6;

/// The floor of [`psnr`] where two ways of rendering are compared: equal images have 120 dB.
pub const CHECK_FLOOR: f64 = 1e-12;

/// Peak signal-to-noise ratio in dB of colours in `[0, 1]`, from their mean squared error. `floor` is added to the error, so
/// that equal images have a finite ratio.
pub fn psnr(mean_squared_error: f64, floor: f64) -> f64 {
    -10.0 * (mean_squared_error + floor).log10()
}

/// The mean squared difference of two lists of values.
///
/// # Panics
/// If they differ in length.
pub fn mean_squared_error(a: &[f32], b: &[f32]) -> f64 {
    assert_eq!(a.len(), b.len(), "values to compare");
    a.iter().zip(b).map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>() / a.len() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenth_of_the_range_is_20_db() {
        assert!((psnr(mean_squared_error(&[0.5; 9], &[0.4; 9]), 0.0) - 20.0).abs() < 1e-5);
        assert!((psnr(mean_squared_error(&[0.5; 3], &[0.5; 3]), EVAL_FLOOR) - 60.0).abs() < 1e-9);
    }

    #[test]
    fn stride_keeps_the_first_pixel_of_each_step() {
        let data = (0..7 * 5).flat_map(|i| [i as f32; 3]).collect();
        let image = Image::new(7, 5, data).unwrap();
        let small = image.every(3);
        assert_eq!((small.width, small.height), (3, 2));
        let values: Vec<f32> = small.data.iter().step_by(3).copied().collect();
        assert_eq!(values, [0.0, 3.0, 6.0, 21.0, 24.0, 27.0]);
        assert_eq!(image.every(1), image);
        assert_eq!(image.every(u32::MAX).data, [0.0; 3]);
    }
}
