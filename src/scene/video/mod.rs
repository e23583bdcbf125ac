//! Moving pictures: animated GIF, and H.264 or AV1 in MP4.

pub mod gif;
#[cfg(any(feature = "h264", feature = "av1"))]
pub mod mp4;

use crate::{Error, Image, Result};
use std::path::Path;

/// A format that moving pictures are written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VideoFormat {
    /// Animated GIF, of 256 colours a frame.
    Gif,
    /// MP4.
    Mp4(Codec),
}

/// How the pictures of an MP4 file are coded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Codec {
    /// H.264, which everything plays.
    H264,
    /// AV1, which is free of licences: smaller files, made slowly.
    Av1,
}

impl Codec {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::H264, Self::Av1];

    /// Name as on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::H264 => "h264",
            Self::Av1 => "av1",
        }
    }

    /// Whether this build has its encoder.
    pub fn is_there(self) -> bool {
        match self {
            Self::H264 => cfg!(feature = "h264"),
            Self::Av1 => cfg!(feature = "av1"),
        }
    }
}

impl VideoFormat {
    /// The format that a file's name ends in; MP4 by `codec`, else by the first that this build has.
    pub fn of(path: &Path, codec: Option<Codec>) -> Option<Self> {
        let extension = path.extension()?.to_string_lossy().to_lowercase();
        let first = || Codec::ALL.into_iter().find(|codec| codec.is_there()).unwrap_or(Codec::H264);
        match extension.as_str() {
            "gif" => Some(Self::Gif),
            "mp4" => Some(Self::Mp4(codec.unwrap_or_else(first))),
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
            Self::Mp4(codec) if !codec.is_there() => Err(no_encoder(path, codec)),
            #[cfg(any(feature = "h264", feature = "av1"))]
            Self::Mp4(_) => mp4::check(path, size, frame_rate),
            #[cfg(not(any(feature = "h264", feature = "av1")))]
            Self::Mp4(codec) => Err(no_encoder(path, codec)),
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
            #[cfg(any(feature = "h264", feature = "av1"))]
            Self::Mp4(codec) => mp4::write(path, codec, frame_rate, frames),
            #[cfg(not(any(feature = "h264", feature = "av1")))]
            Self::Mp4(codec) => Err(no_encoder(path, codec)),
        }
    }
}

fn no_encoder(path: &Path, codec: Codec) -> Error {
    let (path, name) = (path.display(), codec.name());
    Error::Scene(format!(
        "{path}: this build has no encoder of {name} (feature {name}); expected a name that ends in .gif"
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
