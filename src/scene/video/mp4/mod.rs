//! H.264 or AV1 in MP4 files.
//!
//! Pictures are stored at half the resolution of colour (4:2:0), in the range and by the matrix of BT.601, of sRGB
//! primaries and transfer, all of which the file says. The table of frames stands in front of them, so that a browser begins
//! to play before it has the whole file.

#[cfg(feature = "av1")]
mod av1;
#[cfg(feature = "h264")]
mod h264;
#[cfg(all(test, feature = "h264"))]
mod tests;

use super::Codec;
use crate::file::replace;
use crate::write::checked_rgb8;
use crate::{Error, Image, Result};
use shiguredo_mp4::TrackKind;
use shiguredo_mp4::boxes::SampleEntry;
use shiguredo_mp4::mux::{Mp4FileMuxer, Mp4FileMuxerOptions, Sample, estimate_maximum_moov_box_size};
use std::fmt::Display;
use std::num::NonZeroU32;
use std::path::Path;

/// Least and greatest number of frames a second.
pub const RATES: [f32; 2] = [0.1, 240.0];
/// Longest and shortest side of the largest frame that the encoders take.
const LARGEST: [u32; 2] = [3840, 2160];
/// Shortest side that it takes.
const SMALLEST: u32 = 16;
/// Units of time a second, in which all usual frame rates have whole numbers.
const TIMESCALE: NonZeroU32 = NonZeroU32::new(90_000).expect("positive");
/// Seconds from one frame that can be jumped to to the next.
const SECONDS_OF_GROUP: f32 = 2.0;

/// Checks that frames of this size can be written at this rate. Returns what will be done to them, in words, if anything:
/// sides are even and at least 16 pixels long.
///
/// # Errors
/// [`Error::Scene`] naming `path` with what was expected and found.
pub fn check(path: &Path, (width, height): (u32, u32), frame_rate: f32) -> Result<Option<String>> {
    super::check_rate(path, frame_rate, RATES)?;
    let [long, short] = LARGEST;
    super::check_size(path, (width, height), if width >= height { (long, short) } else { (short, long) })?;
    let (w, h) = padded(width, height);
    let differs = (w, h) != (width, height);
    let why = if width.min(height) < SMALLEST { "at least 16 pixels a side" } else { "even sides" };
    let path = path.display();
    Ok(differs.then(|| {
        format!(
            "{path}: {width}x{height} frames are stored as {w}x{h}, their last row or column repeated: videos have {why}"
        )
    }))
}

/// Size of the stored frame.
fn padded(width: u32, height: u32) -> (u32, u32) {
    let side = |length: u32| length.max(SMALLEST).next_multiple_of(2);
    (side(width), side(height))
}

/// Writes a video at `frame_rate` frames a second, whole or not at all. Frames are taken one at a time; what is in memory is
/// the encoded video.
///
/// # Errors
/// As [`check`] and [`replace`]; [`Error::Shape`] if a frame differs in size from the first; [`Error::Scene`] for no frames
/// or if one cannot be encoded; whatever an item of `frames` fails with.
pub fn write(
    path: &Path,
    codec: Codec,
    frame_rate: f32,
    frames: impl IntoIterator<Item = Result<Image>>,
) -> Result<()> {
    replace(path, |out| {
        let file = encode(path, codec, frame_rate, frames)?;
        out.write_all(&file).map_err(|source| Error::Io { path: path.to_owned(), source })
    })
}

/// What an encoder fails with.
type Failure = Box<dyn std::error::Error>;

/// An encoded frame.
struct Coded {
    bytes: Vec<u8>,
    /// Whether it can be decoded on its own.
    is_key: bool,
}

/// What encodes frames, which it may keep for a while.
trait Encoder {
    /// Takes frame `number`, `[height, width, 3]`, and gives what is ready.
    fn encode(&mut self, rgb: &[u8], number: usize) -> std::result::Result<Vec<Coded>, Failure>;

    /// Gives the rest.
    fn finish(&mut self) -> std::result::Result<Vec<Coded>, Failure>;

    /// What tells a player how to decode the frames; there is one when the first frame is ready.
    fn entry(&self) -> Option<SampleEntry>;
}

/// An encoder of frames of a size.
fn encoder(codec: Codec, size: (u32, u32), frame_rate: f32) -> std::result::Result<Box<dyn Encoder>, Failure> {
    match codec {
        #[cfg(feature = "h264")]
        Codec::H264 => Ok(Box::new(h264::H264::new(size, frame_rate)?)),
        #[cfg(feature = "av1")]
        Codec::Av1 => Ok(Box::new(av1::Av1::new(size, frame_rate)?)),
        #[cfg(not(all(feature = "h264", feature = "av1")))]
        _ => Err(format!("this build has no encoder of {}", codec.name()).into()),
    }
}

/// Frames from one that can be jumped to to the next.
fn frames_of_group(frame_rate: f32) -> u32 {
    (frame_rate * SECONDS_OF_GROUP).round().max(1.0) as u32
}

/// Encoded frames one after the other.
#[derive(Default)]
struct Track {
    bytes: Vec<u8>,
    /// Length in bytes, and whether it can be decoded on its own.
    frames: Vec<(usize, bool)>,
}

fn encode(
    path: &Path,
    codec: Codec,
    frame_rate: f32,
    frames: impl IntoIterator<Item = Result<Image>>,
) -> Result<Vec<u8>> {
    let mut track = Track::default();
    let mut open: Option<((u32, u32), Box<dyn Encoder>)> = None;
    let fail = |i: usize, problem: &dyn Display| Error::Scene(format!("{}: frame {i}: {problem}", path.display()));
    let mut count = 0;
    for (i, image) in frames.into_iter().enumerate() {
        let image = image?;
        let rgb = checked_rgb8(path, &image)?;
        let found = (image.width, image.height);
        if open.is_none() {
            check(path, found, frame_rate)?;
            let made = encoder(codec, padded(found.0, found.1), frame_rate).map_err(|e| fail(i, &e))?;
            open = Some((found, made));
        }
        let Some((size, encoder)) = &mut open else { unreachable!("an encoder was opened") };
        if found != *size {
            let what = format!("{}: frame {i} of {}x{}", path.display(), found.0, found.1);
            return Err(Error::Shape { what, expected: size.0 as usize * size.1 as usize * 3, found: rgb.len() });
        }
        let rgb = repeat_edge(&rgb, found, padded(found.0, found.1));
        track.add(encoder.encode(&rgb, i).map_err(|e| fail(i, &e))?);
        count = i + 1;
    }
    let Some((_, mut encoder)) = open else {
        return Err(Error::Scene(format!("{}: expected at least one frame, found none", path.display())));
    };
    track.add(encoder.finish().map_err(|e| fail(count, &e))?);
    let made = track.frames.len();
    let entry =
        encoder.entry().filter(|_| made == count).ok_or_else(|| format!("{made} of {count} frames came out").into());
    entry
        .and_then(|entry| track.file(entry, frame_rate))
        .map_err(|e: Failure| Error::Scene(format!("{}: cannot be made: {e}", path.display())))
}

/// A picture `[height, width, 3]` with its last column and row repeated up to another size.
fn repeat_edge(rgb: &[u8], (width, height): (u32, u32), to: (u32, u32)) -> Vec<u8> {
    let mut out = Vec::with_capacity(to.0 as usize * to.1 as usize * 3);
    for y in 0..to.1.max(height) {
        let row = &rgb[3 * width as usize * y.min(height - 1) as usize..][..3 * width as usize];
        out.extend_from_slice(row);
        (width..to.0).for_each(|_| out.extend_from_slice(&row[row.len() - 3..]));
    }
    out
}

impl Track {
    fn add(&mut self, frames: Vec<Coded>) {
        for Coded { bytes, is_key } in frames {
            self.frames.push((bytes.len(), is_key));
            self.bytes.extend(bytes);
        }
    }

    /// The whole file.
    fn file(mut self, entry: SampleEntry, frame_rate: f32) -> std::result::Result<Vec<u8>, Failure> {
        let mut entry = Some(entry);
        let reserved_moov_box_size = estimate_maximum_moov_box_size(&[self.frames.len()]);
        let mut muxer =
            Mp4FileMuxer::with_options(Mp4FileMuxerOptions { reserved_moov_box_size, ..Default::default() })?;
        let mut file = muxer.initial_boxes_bytes().to_vec();
        let mut data_offset = file.len() as u64;
        // Rounding is spread, so that the whole keeps its length.
        let time = |i: usize| (i as f64 * f64::from(TIMESCALE.get()) / f64::from(frame_rate)).round() as u64;
        for (i, (data_size, keyframe)) in self.frames.iter().copied().enumerate() {
            muxer.append_sample(&Sample {
                track_kind: TrackKind::Video,
                sample_entry: entry.take(),
                keyframe,
                timescale: TIMESCALE,
                duration: u32::try_from(time(i + 1) - time(i))?,
                composition_time_offset: None,
                data_offset,
                data_size,
            })?;
            data_offset += data_size as u64;
        }
        file.append(&mut self.bytes);
        for (offset, bytes) in muxer.finalize()?.offset_and_bytes_pairs() {
            let (offset, end) = (usize::try_from(offset)?, usize::try_from(offset)? + bytes.len());
            file.resize(file.len().max(end), 0);
            file[offset..end].copy_from_slice(bytes);
        }
        Ok(file)
    }
}
