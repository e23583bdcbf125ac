//! Moving pictures: animated GIF, and H.264 in MP4.

pub mod gif;
#[cfg(feature = "h264")]
pub mod mp4;

use crate::{Error, Image, Result};
use std::path::Path;

/// A format that moving pictures are written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VideoFormat {
    /// Animated GIF, of 256 colours a frame.
    Gif,
    /// H.264 in MP4.
    Mp4,
}

impl VideoFormat {
    /// The format that a file's name ends in.
    pub fn of(path: &Path) -> Option<Self> {
        let extension = path.extension()?.to_string_lossy().to_lowercase();
        match extension.as_str() {
            "gif" => Some(Self::Gif),
            "mp4" => Some(Self::Mp4),
            _ => None,
        }
    }

    /// Checks that frames of this size can be written at this rate, in frames a second, before they are made. Returns what
    /// will be done to them, in words, if anything.
    ///
    /// # Errors
    /// [`Error::Scene`] naming `path` with what was expected and found.
    pub fn check(self, path: &Path, size: (u32, u32), frame_rate: f32) -> Result<Option<String>> {
        match self {
            Self::Gif => gif::check(path, size, frame_rate).map(|()| None),
            #[cfg(feature = "h264")]
            Self::Mp4 => mp4::check(path, size, frame_rate),
            #[cfg(not(feature = "h264"))]
            Self::Mp4 => Err(no_h264(path)),
        }
    }

    /// Writes a moving picture, whole or not at all; frames are taken one at a time.
    ///
    /// # Errors
    /// As [`VideoFormat::check`]; as [`crate::file::replace`]; [`Error::Shape`] if a frame differs in size from the first;
    /// [`Error::Scene`] for no frames; whatever an item of `frames` fails with.
    pub fn write(self, path: &Path, frame_rate: f32, frames: impl IntoIterator<Item = Result<Image>>) -> Result<()> {
        match self {
            Self::Gif => gif::write(path, frame_rate, frames),
            #[cfg(feature = "h264")]
            Self::Mp4 => mp4::write(path, frame_rate, frames),
            #[cfg(not(feature = "h264"))]
            Self::Mp4 => Err(no_h264(path)),
        }
    }
}

#[cfg(not(feature = "h264"))]
fn no_h264(path: &Path) -> Error {
    Error::Scene(format!(
        "{}: this build has no H.264 encoder (feature h264); expected a name that ends in .gif",
        path.display()
    ))
}

fn check_rate(path: &Path, frame_rate: f32, [least, most]: [f32; 2]) -> Result<()> {
    if (least..=most).contains(&frame_rate) {
        return Ok(());
    }
    Err(Error::Scene(format!("{}: expected {least} to {most} frames a second, found {frame_rate}", path.display())))
}

fn check_size(path: &Path, (width, height): (u32, u32), (widest, highest): (u32, u32)) -> Result<()> {
    if width > 0 && height > 0 && width <= widest && height <= highest {
        return Ok(());
    }
    let path = path.display();
    Err(Error::Scene(format!("{path}: expected frames of 1x1 to {widest}x{highest}, found {width}x{height}")))
}
