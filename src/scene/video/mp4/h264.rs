//! H.264 by OpenH264.

use super::{Coded, Encoder, Failure, frames_of_group};
use openh264::encoder::{
    BitRate, ColorPrimaries, EncoderConfig, FrameRate, IntraFramePeriod, Profile, QpRange, RateControlMode,
    TransferCharacteristics, VuiConfig,
};
use openh264::formats::{RgbSliceU8, YUVBuffer};
use openh264::{OpenH264API, Timestamp};
use shiguredo_mp4::bitstream::h264::{
    H264SampleEntryConfig, LengthSize, annexb_to_length_prefixed, build_avc1_box_from_annexb,
};
use shiguredo_mp4::boxes::SampleEntry;

/// Bits a pixel that rate control aims at; what the quantisation below does not need is not spent.
const BITS_A_PIXEL: f64 = 1.0;
/// Least and greatest quantisation, 0 to 51: visually without loss, and still clean.
const QUANTISATION: QpRange = QpRange::new(10, 20);

const CONFIG: H264SampleEntryConfig = H264SampleEntryConfig { length_size: LengthSize::FourBytes };

/// An encoder of frames of a size.
pub(super) struct H264 {
    encoder: openh264::encoder::Encoder,
    size: (u32, u32),
    frame_rate: f32,
    entry: Option<SampleEntry>,
}

impl H264 {
    pub fn new((width, height): (u32, u32), frame_rate: f32) -> Result<Self, Failure> {
        let pixels = f64::from(width) * f64::from(height);
        // The encoder controls the rate of 1 to 60 frames a second; players go by the file's own times.
        let rate = frame_rate.clamp(1.0, 60.0);
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
            .intra_frame_period(IntraFramePeriod::from_num_frames(frames_of_group(frame_rate)))
            // Each picture is a frame of the video.
            .skip_frames(false)
            // The file does not depend on the machine.
            .num_threads(1)
            .vui(colour);
        let encoder = openh264::encoder::Encoder::with_api_config(OpenH264API::from_source(), config)?;
        Ok(Self { encoder, size: (width, height), frame_rate, entry: None })
    }
}

impl Encoder for H264 {
    fn encode(&mut self, rgb: &[u8], number: usize) -> Result<Vec<Coded>, Failure> {
        let (width, height) = self.size;
        let picture = YUVBuffer::from_rgb8_source(RgbSliceU8::new(rgb, (width as usize, height as usize)));
        let milliseconds = (number as f64 * 1000.0 / f64::from(self.frame_rate)).round();
        let stream = self.encoder.encode_at(&picture, Timestamp::from_millis(milliseconds as u64))?.to_vec();
        // Units with start codes in front.
        if stream.is_empty() {
            return Err("the encoder left it out".into());
        }
        if self.entry.is_none() {
            self.entry = Some(SampleEntry::Avc1(build_avc1_box_from_annexb(&stream, &CONFIG)?));
        }
        let bytes = annexb_to_length_prefixed(&stream, CONFIG.length_size)?;
        /// Kind of a unit: a picture, or part of one, that needs no other.
        const KEY: u8 = 5;
        let mut is_key = false;
        let mut rest = bytes.as_slice();
        while let [a, b, c, d, unit @ ..] = rest {
            is_key |= unit.first().is_some_and(|header| header & 0x1F == KEY);
            rest = unit.get(u32::from_be_bytes([*a, *b, *c, *d]) as usize..).unwrap_or_default();
        }
        Ok(vec![Coded { bytes, is_key }])
    }

    fn finish(&mut self) -> Result<Vec<Coded>, Failure> {
        Ok(Vec::new())
    }

    fn entry(&self) -> Option<SampleEntry> {
        self.entry.clone()
    }
}
