//! The formats that frames are written in and read again from.

use anyhow::bail;
use scene::file::read_limited;
use scene::view::{Alpha, read_image};
use scene::write::{PictureFormat, encode};
use scene::{Image, exr};
use std::path::Path;

/// How close JPEG frames stay to what was rendered, of 100.
const JPEG_QUALITY: u8 = 95;

/// The format of frames.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum FrameFormat {
    /// 8 bits, without loss
    #[default]
    Png,
    /// 8 bits, with loss, of quality 95
    Jpg,
    /// 8 bits, without loss
    Webp,
    /// Half floats of linear light, sRGB primaries, not clipped
    Exr,
}

impl FrameFormat {
    /// Its name, which files end in.
    pub fn name(self) -> &'static str {
        match self {
            Self::Png => "png",
            Self::Jpg => "jpg",
            Self::Webp => "webp",
            Self::Exr => "exr",
        }
    }

    /// Checks that there are pictures of this size.
    ///
    /// # Errors
    /// If the format has none.
    pub fn check_size(self, (width, height): (u32, u32)) -> anyhow::Result<()> {
        let longest = match self {
            Self::Png | Self::Exr => return Ok(()),
            Self::Jpg => 65_535,
            Self::Webp => 16_383,
        };
        if width.max(height) > longest {
            bail!("--frame-format {}: expected sides of at most {longest} pixels, found {width}x{height}", self.name());
        }
        Ok(())
    }

    fn picture(self) -> Option<PictureFormat> {
        match self {
            Self::Png => Some(PictureFormat::Png),
            Self::Jpg => Some(PictureFormat::Jpeg { quality: JPEG_QUALITY }),
            Self::Webp => Some(PictureFormat::WebP),
            Self::Exr => None,
        }
    }

    /// The file of a frame.
    ///
    /// # Errors
    /// If it cannot be encoded.
    pub fn encode(self, image: &Image) -> anyhow::Result<Vec<u8>> {
        Ok(match self.picture() {
            Some(format) => encode(image, format)?,
            None => exr::encode_colours(image)?,
        })
    }

    /// A rendered image as its file has it, clipped: what is compared with photographs.
    ///
    /// # Errors
    /// If it cannot be encoded.
    pub fn as_saved(self, image: &Image) -> anyhow::Result<Image> {
        match self {
            Self::Png | Self::Webp => crate::cli::compared::as_saved(image),
            Self::Jpg => Ok(scene::upright_from_bytes(Path::new("JPEG in memory"), &self.encode(image)?)?),
            Self::Exr => Ok(clipped(exr::decode_colours("EXR in memory", &self.encode(image)?, size(image))?)),
        }
    }

    /// The colours of a frame's file, of the given `(width, height)`, clipped.
    ///
    /// # Errors
    /// If it cannot be read, or is of another size.
    pub fn read(self, path: &Path, (width, height): (u32, u32)) -> scene::Result<Image> {
        if self != Self::Exr {
            return read_image(path, Alpha::Ignore);
        }
        // Three halves a pixel, a header, and what packing adds at worst.
        let most = 7 * u64::from(width) * u64::from(height) + (1 << 20);
        let bytes = read_limited(path, most)?;
        Ok(clipped(exr::decode_colours(&path.display().to_string(), &bytes, (width, height))?))
    }
}

fn size(image: &Image) -> (u32, u32) {
    (image.width, image.height)
}

fn clipped(mut image: Image) -> Image {
    image.data.iter_mut().for_each(|value| *value = value.clamp(0.0, 1.0));
    image
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::ValueEnum;

    /// What is compared is what is read, whatever the format.
    #[test]
    fn files_are_read_as_they_are_compared() {
        let dir = tempfile::tempdir().unwrap();
        let data: Vec<f32> = (0..31 * 17 * 3).map(|i| 0.5 + 0.6 * (i as f32 * 0.013).sin()).collect();
        let image = Image::new(31, 17, data).unwrap();
        for format in FrameFormat::value_variants() {
            let path = dir.path().join("a").with_extension(format.name());
            scene::write::write_bytes(&path, &format.encode(&image).unwrap()).unwrap();
            let read = format.read(&path, (31, 17)).unwrap();
            assert_eq!(read, format.as_saved(&image).unwrap(), "{format:?}");
            let off = read.data.iter().zip(&image.data).map(|(a, b)| (a - b.clamp(0.0, 1.0)).abs()).fold(0.0, f32::max);
            let most = match format {
                FrameFormat::Png | FrameFormat::Webp => 0.5 / 255.0 + 1e-6,
                FrameFormat::Jpg => 0.2,
                FrameFormat::Exr => 1e-3,
            };
            assert!(off <= most, "{format:?}: {off}");
        }
        assert!(FrameFormat::Exr.read(&dir.path().join("a.exr"), (17, 31)).is_err());
        assert!(
            FrameFormat::Webp.check_size((16_384, 1)).unwrap_err().to_string().contains("16383 pixels, found 16384x1")
        );
        FrameFormat::Jpg.check_size((16_384, 1)).unwrap();
    }
}
