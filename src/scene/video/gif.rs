//! Animated GIF files.

use crate::file::replace;
use crate::write::{checked_rgb8, image_error};
use crate::{Error, Image, Result};
use ::image::codecs::gif::{GifEncoder, Repeat};
use ::image::{Delay, RgbaImage};
use std::io::Write;
use std::path::Path;

/// Least and greatest number of frames a second.
pub const RATES: [f32; 2] = [0.1, 50.0];
/// Longest side of a frame.
pub const LONGEST: u32 = u16::MAX as u32;

/// Checks that frames of this size can be written at this rate.
///
/// # Errors
/// [`Error::Scene`] naming `path` with what was expected and found.
pub fn check(path: &Path, size: (u32, u32), frame_rate: f32) -> Result<()> {
    super::check_rate(path, frame_rate, RATES)?;
    super::check_size(path, size, (LONGEST, LONGEST))
}

/// Writes an endless animated GIF at `frame_rate` frames a second; frames are taken one at a time, so that they need
/// not all be in memory. GIF counts in 1/100 s; rounding is spread so that the whole keeps its length.
///
/// # Errors
/// As [`replace`]; [`Error::Scene`] for a rate outside 0.1 to 50 (players slow down faster ones) or no frames;
/// [`Error::Shape`] if a frame differs in size from the first; whatever an item of `frames` fails with.
pub fn write(path: &Path, frame_rate: f32, frames: impl IntoIterator<Item = Result<Image>>) -> Result<()> {
    super::check_rate(path, frame_rate, RATES)?;
    replace(path, |out| encode(path, out, frame_rate, frames))
}

pub(crate) fn encode(
    path: &Path,
    out: &mut dyn Write,
    frame_rate: f32,
    frames: impl IntoIterator<Item = Result<Image>>,
) -> Result<()> {
    let mut encoder = GifEncoder::new_with_speed(out, 10);
    encoder.set_repeat(Repeat::Infinite).map_err(|e| image_error(path, e))?;
    let time = |i: usize| (i as f64 * 100.0 / f64::from(frame_rate)).round() as u32;
    let mut size = None;
    for (i, image) in frames.into_iter().enumerate() {
        let image = image?;
        let rgb = checked_rgb8(path, &image)?;
        let expected = *size.get_or_insert((image.width, image.height));
        if (image.width, image.height) != expected || image.width.max(image.height) > LONGEST {
            let what = format!("{}: frame {i} of {}x{}", path.display(), image.width, image.height);
            let expected = expected.0 as usize * expected.1 as usize * 3;
            return Err(Error::Shape { what, expected, found: rgb.len() });
        }
        let rgba = rgb.as_chunks::<3>().0.iter().flat_map(|[r, g, b]| [*r, *g, *b, 255]).collect();
        let Some(buffer) = RgbaImage::from_raw(image.width, image.height, rgba) else {
            return Err(Error::Scene(format!("{}: frame {i} does not fit in memory", path.display())));
        };
        let delay = Delay::from_numer_denom_ms(10 * (time(i + 1) - time(i)), 1);
        let frame = ::image::Frame::from_parts(buffer, 0, 0, delay);
        encoder.encode_frame(frame).map_err(|e| image_error(path, e))?;
    }
    if size.is_none() {
        return Err(Error::Scene(format!("{}: expected at least one frame, found none", path.display())));
    }
    Ok(())
}
