//! Writing images and arrays: whole or not at all.

use crate::file::replace;
use crate::npy;
use crate::{Error, Image, Result};
use ::image::codecs::jpeg::JpegEncoder;
use ::image::codecs::png::PngEncoder;
use ::image::codecs::webp::WebPEncoder;
use ::image::{ExtendedColorType, ImageEncoder, ImageError};
use std::io::Write;
use std::path::Path;

/// Writes bytes as they are.
///
/// # Errors
/// As [`replace`].
pub fn write_bytes(path: &Path, bytes: &[u8]) -> Result<()> {
    replace(path, |out| out.write_all(bytes).map_err(|source| Error::Io { path: path.to_owned(), source }))
}

/// A format that pictures are written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PictureFormat {
    /// PNG, without loss.
    Png,
    /// WebP, without loss.
    WebP,
    /// JPEG, with loss.
    Jpeg {
        /// How close it stays to the original, from 1 to 100.
        quality: u8,
    },
}

/// The file of an 8-bit RGB picture.
///
/// # Errors
/// [`Error::Shape`] if the image's data do not fit its size; [`Error::Scene`] if the format has no picture of the size.
pub fn encode(image: &Image, format: PictureFormat) -> Result<Vec<u8>> {
    let bytes = checked_rgb8(Path::new("picture"), image)?;
    let mut file: Vec<u8> = Vec::new();
    // The encoders are compiled for any writer once.
    let out: &mut dyn Write = &mut file;
    let (size, color) = ((image.width, image.height), ExtendedColorType::Rgb8);
    let encoded = match format {
        PictureFormat::Png => encode_png(out, &bytes, size, color),
        PictureFormat::WebP => WebPEncoder::new_lossless(out).encode(&bytes, size.0, size.1, color),
        PictureFormat::Jpeg { quality } => {
            JpegEncoder::new_with_quality(out, quality.clamp(1, 100)).encode(&bytes, size.0, size.1, color)
        }
    };
    encoded.map_err(|e| Error::Scene(format!("picture of {}x{}: cannot be encoded: {e}", size.0, size.1)))?;
    Ok(file)
}

/// Writes an 8-bit RGB PNG.
///
/// # Errors
/// As [`replace`]; [`Error::Shape`] if the image's data do not fit its size.
pub fn write_png(path: &Path, image: &Image) -> Result<()> {
    let bytes = checked_rgb8(path, image)?;
    replace(path, |out| {
        encode_png(out, &bytes, (image.width, image.height), ExtendedColorType::Rgb8).map_err(|e| image_error(path, e))
    })
}

/// Writes depths `[height, width]` as a 16-bit gray PNG of `round(depth · scale)` and returns the scale.
///
/// Without a scale the largest finite depth becomes 65535. Larger values are clipped; depths that are negative or not
/// finite become 0, which stands for "unknown".
///
/// # Errors
/// As [`replace`]; [`Error::Shape`] if the length does not match, [`Error::Scene`] if the scale is not positive.
pub fn write_depth_png(path: &Path, width: u32, height: u32, depth: &[f32], scale: Option<f32>) -> Result<f32> {
    check_length(path, depth.len(), width as usize * height as usize)?;
    let largest = depth.iter().copied().filter(|d| d.is_finite()).fold(0.0, f32::max);
    let scale = scale.unwrap_or(if largest > 0.0 { 65_535.0 / largest } else { 1.0 });
    if !(scale > 0.0 && scale.is_finite()) {
        let problem = format!("{}: expected a positive depth scale, found {scale}", path.display());
        return Err(Error::Scene(problem));
    }
    let levels = depth.iter().map(|d| if d.is_finite() { (d * scale).round() as u16 } else { 0 });
    let bytes: Vec<u8> = levels.flat_map(u16::to_ne_bytes).collect();
    replace(path, |out| {
        encode_png(out, &bytes, (width, height), ExtendedColorType::L16).map_err(|e| image_error(path, e))
    })?;
    Ok(scale)
}

/// Writes `[height, width]` values as an f32 `.npy` file.
///
/// # Errors
/// As [`replace`]; [`Error::Shape`] if the length does not match.
pub fn write_npy(path: &Path, width: u32, height: u32, values: &[f32]) -> Result<()> {
    check_length(path, values.len(), width as usize * height as usize)?;
    replace(path, |out| {
        let shape = [height as usize, width as usize];
        npy::write(out, &shape, values).map_err(|source| Error::Io { path: path.to_owned(), source })
    })
}

fn encode_png(
    out: &mut dyn Write,
    bytes: &[u8],
    (width, height): (u32, u32),
    color: ExtendedColorType,
) -> std::result::Result<(), ImageError> {
    PngEncoder::new(out).write_image(bytes, width, height, color)
}

pub(crate) fn checked_rgb8(path: &Path, image: &Image) -> Result<Vec<u8>> {
    check_length(path, image.data.len(), image.width as usize * image.height as usize * 3)?;
    Ok(image.to_rgb8())
}

pub(crate) fn check_length(path: &Path, found: usize, expected: usize) -> Result<()> {
    if found != expected {
        return Err(Error::Shape { what: path.display().to_string(), expected, found });
    }
    Ok(())
}

pub(crate) fn image_error(path: &Path, error: ImageError) -> Error {
    match error {
        ImageError::IoError(source) => Error::Io { path: path.to_owned(), source },
        other => Error::Format { path: path.to_owned(), problem: format!("cannot be encoded: {other}") },
    }
}

#[cfg(test)]
#[path = "write_tests.rs"]
mod tests;
