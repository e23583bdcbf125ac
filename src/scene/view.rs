//! One photograph of a scene with its camera.

use crate::{Camera, Distortion, Error, Image, Result, resample};
use ::image::{DynamicImage, ImageReader, Limits};
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

/// Longest side of an image that is read; larger ones are refused before anything is allocated.
const MAX_SIDE: u32 = 32_768;
/// Most pixels of an image that is read: 1.6 GB as `f32` colours.
const MAX_PIXELS: u64 = 1 << 27;

/// Part of a pixel that must count for the pixel to count, where a mask is reduced or warped. Less than all, so that a
/// mask's edge need not coincide with a pixel's to the last bit.
const MASK_SHARE: f32 = 0.9;

/// What becomes of an image's alpha channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Alpha {
    /// Colours are taken as they are stored (photographs).
    Ignore,
    /// Straight alpha is composited on white, `rgb·a + (1 − a)` (Blender scenes).
    White,
}

/// A posed photograph; its pixels are read on demand.
#[derive(Clone, Debug, PartialEq)]
pub struct View {
    /// File stem, such as `image000`.
    pub name: String,
    /// The image file.
    pub path: PathBuf,
    /// The image file of the mask, white where pixels count.
    pub mask: Option<PathBuf>,
    /// Camera at the size the image is used in, without distortion.
    pub camera: Camera,
    /// Nearest depth of interest in scene units.
    pub near: f32,
    /// Farthest depth of interest in scene units.
    pub far: f32,
    /// Width and height of the stored image; larger than the camera's if the image is reduced when loaded.
    pub stored_size: (u32, u32),
    /// The lens, in pixels of the stored image; none if a pinhole camera took it.
    pub distortion: Option<Distortion>,
    /// What becomes of the alpha channel.
    pub alpha: Alpha,
}

impl View {
    /// Reads the image as the camera sees it: distortion is removed at the stored size by Catmull-Rom interpolation,
    /// then the image is reduced to the camera's size by an area filter if it is stored larger.
    ///
    /// # Errors
    /// [`Error::Io`] or [`Error::Format`] if the file cannot be read, cannot be decoded or has changed its size since
    /// the scene was loaded.
    pub fn load_image(&self) -> Result<Image> {
        let mut image = self.read_stored(&self.path, self.alpha)?;
        if let Some(lens) = &self.distortion {
            image = resample::warp(&image, |pixel| lens.stored_from_pinhole(pixel));
        }
        resample::area_downscale(&image, self.camera.width, self.camera.height)
    }

    /// Reads which pixels count, `[height, width]` at the camera's size; none if the view has no mask.
    ///
    /// A stored pixel counts if it is at least half white. Distortion is removed by bilinear interpolation, and the mask
    /// is reduced as the image is; a pixel then counts if at least nine tenths of what it is made of do.
    ///
    /// # Errors
    /// As [`load_image`](Self::load_image), and [`Error::Format`] if the mask differs from the image in size or leaves
    /// everything out.
    pub fn load_mask(&self) -> Result<Option<Vec<bool>>> {
        let Some(path) = &self.mask else { return Ok(None) };
        let image = self.read_stored(path, Alpha::Ignore)?;
        let brightness = image.data.as_chunks::<3>().0.iter().map(|[r, g, b]| (r + g + b) / 3.0);
        let mut counts: Vec<f32> = brightness.clone().map(|v| if v >= 0.5 { 1.0 } else { 0.0 }).collect();
        if !counts.contains(&1.0) {
            let brightest = brightness.fold(0.0, f32::max);
            let problem = format!("expected a mask with pixels at least half white, found {brightest:.3} at most");
            return Err(Error::Format { path: path.clone(), problem });
        }
        if let Some(lens) = &self.distortion {
            counts = resample::warp_linear(&counts, self.stored_size, |pixel| lens.stored_from_pinhole(pixel));
        }
        let counts = resample::area::<1>(&counts, self.stored_size, (self.camera.width, self.camera.height));
        // The sum of fractions of pixels is off by rounding.
        let counts: Vec<bool> = counts.into_iter().map(|part| part >= MASK_SHARE - 1e-5).collect();
        if !counts.contains(&true) {
            let Camera { width, height, .. } = self.camera;
            let problem =
                format!("expected a mask with pixels that count when reduced to {width}x{height}, found none");
            return Err(Error::Format { path: path.clone(), problem });
        }
        Ok(Some(counts))
    }

    /// Reads an image that has the stored size.
    fn read_stored(&self, path: &Path, alpha: Alpha) -> Result<Image> {
        let image = read_image(path, alpha)?;
        if (image.width, image.height) != self.stored_size {
            let (width, height) = self.stored_size;
            let problem = format!("expected an image of {width}x{height}, found {}x{}", image.width, image.height);
            return Err(Error::Format { path: path.to_owned(), problem });
        }
        Ok(image)
    }
}

/// Width and height from the header of an image file.
///
/// # Errors
/// [`Error::Io`] if the file cannot be read, [`Error::Format`] if it is no PNG, JPEG or GIF, or too large.
pub fn image_size(path: &Path) -> Result<(u32, u32)> {
    let (width, height) = open(path)?.into_dimensions().map_err(|e| decode_error(path, e))?;
    if width == 0 || height == 0 || width.max(height) > MAX_SIDE || u64::from(width) * u64::from(height) > MAX_PIXELS {
        let problem = format!(
            "expected an image of 1x1 to {MAX_PIXELS} pixels with sides up to {MAX_SIDE}, found {width}x{height}"
        );
        return Err(Error::Format { path: path.to_owned(), problem });
    }
    Ok((width, height))
}

/// Reads a PNG, JPEG or GIF of 8 or 16 bits, gray or colour.
///
/// # Errors
/// As [`image_size`], and [`Error::Format`] if the pixels cannot be decoded.
pub fn read_image(path: &Path, alpha: Alpha) -> Result<Image> {
    image_size(path)?;
    let decoded = open(path)?.decode().map_err(|e| decode_error(path, e))?;
    let (width, height) = (decoded.width(), decoded.height());
    let data = match decoded {
        DynamicImage::ImageLuma8(_)
        | DynamicImage::ImageLumaA8(_)
        | DynamicImage::ImageRgb8(_)
        | DynamicImage::ImageRgba8(_) => {
            colours(decoded.into_rgba8().as_raw().iter().map(|v| f32::from(*v) / 255.0), alpha)
        }
        _ => colours(decoded.into_rgba16().as_raw().iter().map(|v| f32::from(*v) / 65_535.0), alpha),
    };
    Image::new(width, height, data)
}

/// RGB values from RGBA values.
fn colours(rgba: impl ExactSizeIterator<Item = f32>, alpha: Alpha) -> Vec<f32> {
    let mut rgb = Vec::with_capacity(rgba.len() / 4 * 3);
    let mut pixel = [0.0; 4];
    for (i, value) in rgba.enumerate() {
        pixel[i % 4] = value;
        if i % 4 == 3 {
            let [r, g, b, a] = pixel;
            match alpha {
                Alpha::Ignore => rgb.extend([r, g, b]),
                Alpha::White => rgb.extend([r, g, b].map(|c| c * a + (1.0 - a))),
            }
        }
    }
    rgb
}

/// Opens an image; the format comes from its first bytes, since extensions are often wrong.
fn open(path: &Path) -> Result<ImageReader<BufReader<File>>> {
    let io = |source| Error::Io { path: path.to_owned(), source };
    let mut reader = ImageReader::open(path).map_err(io)?.with_guessed_format().map_err(io)?;
    let mut limits = Limits::default();
    limits.max_image_width = Some(MAX_SIDE);
    limits.max_image_height = Some(MAX_SIDE);
    // Room for the largest allowed image with four 16-bit channels.
    limits.max_alloc = Some(MAX_PIXELS * 8);
    reader.limits(limits);
    Ok(reader)
}

fn decode_error(path: &Path, error: ::image::ImageError) -> Error {
    match error {
        ::image::ImageError::IoError(source) => Error::Io { path: path.to_owned(), source },
        other => Error::Format {
            path: path.to_owned(),
            problem: format!("expected a PNG or JPEG image that can be decoded, found: {other}"),
        },
    }
}

#[cfg(test)]
#[path = "view_tests.rs"]
mod tests;
