//! One photograph of a scene with its camera.

use crate::{Camera, Error, Image, Result, resample};
use ::image::{DynamicImage, ImageReader, Limits};
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

/// Longest side of an image that is read; larger ones are refused before anything is allocated.
const MAX_SIDE: u32 = 32_768;
/// Most pixels of an image that is read: 1.6 GB as `f32` colours.
const MAX_PIXELS: u64 = 1 << 27;

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
    /// Camera at the size the image is used in.
    pub camera: Camera,
    /// Nearest depth of interest in scene units.
    pub near: f32,
    /// Farthest depth of interest in scene units.
    pub far: f32,
    /// Width and height of the stored image; larger than the camera's if the image is reduced when loaded.
    pub stored_size: (u32, u32),
    /// What becomes of the alpha channel.
    pub alpha: Alpha,
}

impl View {
    /// Reads the image, reduced to the camera's size by an area filter if it is stored larger.
    ///
    /// # Errors
    /// [`Error::Io`] or [`Error::Format`] if the file cannot be read, cannot be decoded or has changed its size since
    /// the scene was loaded.
    pub fn load_image(&self) -> Result<Image> {
        let image = read_image(&self.path, self.alpha)?;
        if (image.width, image.height) != self.stored_size {
            let (width, height) = self.stored_size;
            let problem = format!("expected an image of {width}x{height}, found {}x{}", image.width, image.height);
            return Err(Error::Format { path: self.path.clone(), problem });
        }
        if self.stored_size == (self.camera.width, self.camera.height) {
            return Ok(image);
        }
        resample::area_downscale(&image, self.camera.width, self.camera.height)
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
mod tests {
    use super::*;
    use ::image::{GrayImage, ImageBuffer, Luma, Rgba, RgbaImage};
    use glam::{Mat4, Vec2};

    fn view(path: PathBuf, size: (u32, u32), stored_size: (u32, u32)) -> View {
        let camera = Camera {
            width: size.0,
            height: size.1,
            focal: Vec2::ONE,
            center: Vec2::ZERO,
            world_from_camera: Mat4::IDENTITY,
        };
        View { name: "a".into(), path, camera, near: 1.0, far: 2.0, stored_size, alpha: Alpha::Ignore }
    }

    #[test]
    fn alpha_is_composited_on_white_or_ignored() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.png");
        RgbaImage::from_fn(3, 1, |x, _| Rgba([51, 102, 255, [0, 51, 255][x as usize]])).save(&path).unwrap();
        let white = read_image(&path, Alpha::White).unwrap();
        assert_eq!(white.pixel(0, 0), [1.0, 1.0, 1.0]);
        assert!((white.pixel(1, 0)[0] - (0.2 * 0.2 + 0.8)).abs() < 1e-6);
        assert_eq!(white.pixel(2, 0), [51.0 / 255.0, 102.0 / 255.0, 1.0]);
        assert_eq!(read_image(&path, Alpha::Ignore).unwrap().pixel(0, 0), [51.0 / 255.0, 102.0 / 255.0, 1.0]);
    }

    #[test]
    fn gray_and_16_bit_images_are_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("gray.png");
        GrayImage::from_fn(5, 3, |x, _| Luma([x as u8 * 10])).save(&path).unwrap();
        assert_eq!(read_image(&path, Alpha::Ignore).unwrap().pixel(3, 2), [30.0 / 255.0; 3]);
        let path = dir.path().join("deep.png");
        ImageBuffer::from_fn(3, 1, |x, _| Luma([x as u16 * 257 + 1])).save(&path).unwrap();
        assert_eq!(read_image(&path, Alpha::Ignore).unwrap().pixel(1, 0), [258.0 / 65_535.0; 3]);
    }

    #[test]
    fn size_is_checked_and_larger_files_are_reduced() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.png");
        GrayImage::from_fn(6, 4, |x, _| Luma([if x % 2 == 0 { 0 } else { 255 }])).save(&path).unwrap();
        let image = view(path.clone(), (3, 2), (6, 4)).load_image().unwrap();
        assert_eq!((image.width, image.height), (3, 2));
        assert!(image.data.iter().all(|v| (v - 0.5).abs() < 1e-6));
        let message = view(path, (5, 4), (5, 4)).load_image().unwrap_err().to_string();
        assert!(message.contains("5x4") && message.contains("6x4"), "{message}");
    }

    #[test]
    fn broken_files_give_errors() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.png");
        assert!(matches!(read_image(&path, Alpha::Ignore), Err(Error::Io { .. })));
        GrayImage::new(31, 33).save(&path).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        for length in 0..bytes.len() - 13 {
            std::fs::write(&path, &bytes[..length]).unwrap();
            let message = read_image(&path, Alpha::Ignore).expect_err("truncated").to_string();
            assert!(message.contains("a.png"), "{message}");
        }
        // A header that promises 2^31 x 2^31 pixels must not be believed.
        let mut huge = bytes;
        huge[16..24].copy_from_slice(&[0x7f, 0xff, 0xff, 0xff, 0x7f, 0xff, 0xff, 0xff]);
        std::fs::write(&path, &huge).unwrap();
        assert!(read_image(&path, Alpha::Ignore).is_err());
    }
}
