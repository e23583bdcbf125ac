//! H.264 in MP4 files, encoded by OpenH264.
//!
//! Pictures are stored at half the resolution of colour (4:2:0), in the range and by the matrix of BT.601, of sRGB
//! primaries and transfer, all of which the file says. The table of frames stands in front of them, so that a browser begins
//! to play before it has the whole file.

use crate::file::replace;
use crate::write::checked_rgb8;
use crate::{Error, Image, Result};
use openh264::encoder::{
    BitRate, ColorPrimaries, Encoder, EncoderConfig, FrameRate, IntraFramePeriod, Profile, QpRange, RateControlMode,
    TransferCharacteristics, VuiConfig,
};
use openh264::formats::{RgbSliceU8, YUVBuffer};
use openh264::{OpenH264API, Timestamp};
use shiguredo_mp4::TrackKind;
use shiguredo_mp4::bitstream::h264::{
    H264SampleEntryConfig, LengthSize, annexb_to_length_prefixed, build_avc1_box_from_annexb,
};
use shiguredo_mp4::boxes::SampleEntry;
use shiguredo_mp4::mux::{Mp4FileMuxer, Mp4FileMuxerOptions, Sample, estimate_maximum_moov_box_size};
use std::fmt::Display;
use std::num::NonZeroU32;
use std::path::Path;

/// Least and greatest number of frames a second.
pub const RATES: [f32; 2] = [0.1, 240.0];
/// Longest and shortest side of the largest frame that the encoder takes.
const LARGEST: [u32; 2] = [3840, 2160];
/// Shortest side that it takes.
const SMALLEST: u32 = 16;
/// Units of time a second, in which all usual frame rates have whole numbers.
const TIMESCALE: NonZeroU32 = NonZeroU32::new(90_000).expect("positive");
/// Bits a pixel that rate control aims at; what the quantisation below does not need is not spent.
const BITS_A_PIXEL: f64 = 1.0;
/// Least and greatest quantisation, 0 to 51: visually without loss, and still clean.
const QUANTISATION: QpRange = QpRange::new(10, 20);
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
            "{path}: {width}x{height} frames are stored as {w}x{h}, their last row or column repeated: H.264 has {why}"
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
pub fn write(path: &Path, frame_rate: f32, frames: impl IntoIterator<Item = Result<Image>>) -> Result<()> {
    replace(path, |out| {
        let file = encode(path, frame_rate, frames)?;
        out.write_all(&file).map_err(|source| Error::Io { path: path.to_owned(), source })
    })
}

/// Encoded frames one after the other.
#[derive(Default)]
struct Track {
    bytes: Vec<u8>,
    /// Length in bytes, and whether it can be decoded on its own.
    frames: Vec<(usize, bool)>,
    entry: Option<SampleEntry>,
}

fn encode(path: &Path, frame_rate: f32, frames: impl IntoIterator<Item = Result<Image>>) -> Result<Vec<u8>> {
    let mut track = Track::default();
    let mut open: Option<((u32, u32), Encoder)> = None;
    for (i, image) in frames.into_iter().enumerate() {
        let image = image?;
        let rgb = checked_rgb8(path, &image)?;
        let found = (image.width, image.height);
        let fail = |problem: &dyn Display| Error::Scene(format!("{}: frame {i}: {problem}", path.display()));
        if open.is_none() {
            check(path, found, frame_rate)?;
            open = Some((found, encoder(padded(found.0, found.1), frame_rate).map_err(|e| fail(&e))?));
        }
        let Some((size, encoder)) = &mut open else { unreachable!("an encoder was opened") };
        if found != *size {
            let what = format!("{}: frame {i} of {}x{}", path.display(), found.0, found.1);
            return Err(Error::Shape { what, expected: size.0 as usize * size.1 as usize * 3, found: rgb.len() });
        }
        let (width, height) = padded(found.0, found.1);
        let rgb = repeat_edge(&rgb, found, (width, height));
        let picture = YUVBuffer::from_rgb8_source(RgbSliceU8::new(&rgb, (width as usize, height as usize)));
        let time = Timestamp::from_millis((i as f64 * 1000.0 / f64::from(frame_rate)).round() as u64);
        let stream = encoder.encode_at(&picture, time).map_err(|e| fail(&e))?.to_vec();
        track.add(&stream).map_err(|e| fail(&e))?;
    }
    if track.frames.is_empty() {
        return Err(Error::Scene(format!("{}: expected at least one frame, found none", path.display())));
    }
    track.file(frame_rate).map_err(|e| Error::Scene(format!("{}: cannot be made: {e}", path.display())))
}

fn encoder((width, height): (u32, u32), frame_rate: f32) -> Result<Encoder, openh264::Error> {
    let pixels = f64::from(width) * f64::from(height);
    // The encoder controls the rate of 1 to 60 frames a second; players go by the file's own times.
    let rate = frame_rate.clamp(1.0, 60.0);
    let group = (frame_rate * SECONDS_OF_GROUP).round().max(1.0) as u32;
    let colour = VuiConfig::bt601()
        .color_primaries(ColorPrimaries::Bt709)
        .transfer_characteristics(TransferCharacteristics::Srgb);
    let config = EncoderConfig::new()
        .profile(Profile::High)
        // The others warn on the standard error that no picture may be left out.
        .rate_control_mode(RateControlMode::Bufferbased)
        .bitrate(BitRate::from_bps((pixels * f64::from(rate) * BITS_A_PIXEL).min(2e9) as u32))
        .max_frame_rate(FrameRate::from_hz(rate))
        .qp(QUANTISATION)
        .intra_frame_period(IntraFramePeriod::from_num_frames(group))
        // Each picture is a frame of the video.
        .skip_frames(false)
        // The file does not depend on the machine.
        .num_threads(1)
        .vui(colour);
    Encoder::with_api_config(OpenH264API::from_source(), config)
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
    /// Adds a frame as the encoder gives it: units of H.264 with start codes in front.
    fn add(&mut self, stream: &[u8]) -> Result<(), Box<dyn std::error::Error>> {
        if stream.is_empty() {
            return Err("the encoder left it out".into());
        }
        let config = H264SampleEntryConfig { length_size: LengthSize::FourBytes };
        if self.entry.is_none() {
            self.entry = Some(SampleEntry::Avc1(build_avc1_box_from_annexb(stream, &config)?));
        }
        let bytes = annexb_to_length_prefixed(stream, config.length_size)?;
        /// Kind of a unit: a picture, or part of one, that needs no other.
        const KEY: u8 = 5;
        let mut key = false;
        let mut rest = bytes.as_slice();
        while let [a, b, c, d, unit @ ..] = rest {
            key |= unit.first().is_some_and(|header| header & 0x1F == KEY);
            rest = unit.get(u32::from_be_bytes([*a, *b, *c, *d]) as usize..).unwrap_or_default();
        }
        self.frames.push((bytes.len(), key));
        self.bytes.extend(bytes);
        Ok(())
    }

    /// The whole file.
    fn file(mut self, frame_rate: f32) -> Result<Vec<u8>, Box<dyn std::error::Error>> {
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
                sample_entry: self.entry.take(),
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

#[cfg(test)]
#[path = "mp4_tests.rs"]
mod tests;
