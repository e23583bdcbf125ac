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
}
