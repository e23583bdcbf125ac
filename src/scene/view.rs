//! One photograph of a scene with its camera.

use crate::{Camera, Distortion, Error, Image, Result, picture, resample};
use ::image::DynamicImage;
use ::image::metadata::Orientation;
use std::path::{Path, PathBuf};

pub use crate::picture::{Alpha, image_size, read_image};

/// Part of a pixel that must count for the pixel to count, where a mask is reduced or warped. Less than all, so that a
/// mask's edge need not coincide with a pixel's to the last bit.
const MASK_SHARE: f32 = 0.9;

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
    /// Width and height of the stored image after [`turn`](Self::turn); larger than the camera's if the image is reduced
    /// when loaded.
    pub stored_size: (u32, u32),
    /// How the stored pixels are turned when loaded; as they are unless the poses are those of the turned picture.
    pub turn: Orientation,
    /// The lens, in pixels of the stored image; none if a pinhole camera took it.
    pub distortion: Option<Distortion>,
}

impl View {
    /// Reads the image as the camera sees it: it is turned if need be, transparent pixels are composited on white,
    /// distortion is removed at the stored size by Catmull-Rom interpolation, then the image is reduced to the camera's
    /// size by an area filter if it is stored larger.
    ///
    /// # Errors
    /// [`Error::Io`] or [`Error::Format`] if the file cannot be read, cannot be decoded or has changed its size since
    /// the scene was loaded.
    pub fn load_image(&self) -> Result<Image> {
        let _memory = picture::reserve(self.stored_size);
        let mut image = self.read_stored(&self.path, Alpha::White)?;
        if let Some(lens) = &self.distortion {
            image = resample::warp(&image, |pixel| lens.stored_from_pinhole(pixel));
        }
        resample::area_downscale(&image, self.camera.width, self.camera.height)
    }

    /// Reads the image and the mask to see that they can be used.
    ///
    /// # Errors
    /// As [`load_image`](Self::load_image) and [`load_mask`](Self::load_mask).
    pub fn check_files(&self) -> Result<()> {
        {
            let _memory = picture::reserve(self.stored_size);
            self.decode_stored(&self.path)?;
        }
        self.load_mask().map(|_| ())
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
        let _memory = picture::reserve(self.stored_size);
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
        picture::colours(self.decode_stored(path)?, alpha)
    }

    /// Decodes an image that has the stored size before or after it is turned; a mask may be made of either.
    fn decode_stored(&self, path: &Path) -> Result<DynamicImage> {
        let expected = |found: (u32, u32)| {
            let (width, height) = self.stored_size;
            let problem = format!("expected an image of {width}x{height}, found {}x{}", found.0, found.1);
            Error::Format { path: path.to_owned(), problem }
        };
        // Before it is decoded: memory was counted for the stored size.
        let (width, height) = image_size(path)?;
        if ![(width, height), (height, width)].contains(&self.stored_size) {
            return Err(expected((width, height)));
        }
        let mut image = picture::decode(path)?;
        let size = |image: &DynamicImage| (image.width(), image.height());
        let found = size(&image);
        if path == self.path || found != self.stored_size {
            image.apply_orientation(self.turn);
        }
        if size(&image) != self.stored_size {
            return Err(expected(found));
        }
        Ok(image)
    }
}

#[cfg(test)]
#[path = "view_tests.rs"]
mod tests;
