//! AV1 by rav1e, which is written in Rust: for those whom H.264's patents concern, and for builds without a C++ compiler.
//! Files are about half as large, and take ten times as long.

use super::{Coded, Encoder, Failure, frames_of_group};
use rav1e::prelude::*;
use shiguredo_mp4::bitstream::av1::{Av1SampleEntryConfig, build_av01_box_from_config_obus};
use shiguredo_mp4::boxes::SampleEntry;

/// Quantisation, 0 to 255: visually without loss.
const QUANTISER: usize = 40;
/// How much the encoder tries, 0 to 10; the fastest of those that lose little.
const SPEED: u8 = 9;

/// Kinds of units of a stream.
const SEQUENCE_HEADER: u8 = 1;
const TEMPORAL_DELIMITER: u8 = 2;

/// An encoder of frames of a size.
pub(super) struct Av1 {
    context: Context<u8>,
    size: (usize, usize),
    entry: Option<SampleEntry>,
}

impl Av1 {
    pub fn new((width, height): (u32, u32), frame_rate: f32) -> Result<Self, Failure> {
        let size = (width as usize, height as usize);
        let mut config = EncoderConfig::with_speed_preset(SPEED);
        (config.width, config.height) = size;
        config.time_base = Rational::new(1000, (f64::from(frame_rate) * 1000.0).round().max(1.0) as u64);
        config.pixel_range = PixelRange::Limited;
        config.color_description = Some(ColorDescription {
            color_primaries: ColorPrimaries::BT709,
            transfer_characteristics: TransferCharacteristics::SRGB,
            matrix_coefficients: MatrixCoefficients::BT601,
        });
        let group = u64::from(frames_of_group(frame_rate));
        config.set_key_frame_interval(group, group);
        config.quantizer = QUANTISER;
        // The file does not depend on the machine.
        let context = Config::new().with_encoder_config(config).with_threads(1).new_context()?;
        Ok(Self { context, size, entry: None })
    }

    /// All frames that are ready; after the last one has been told, all that are left.
    fn ready(&mut self) -> Result<Vec<Coded>, Failure> {
        let mut frames = Vec::new();
        loop {
            match self.context.receive_packet() {
                Ok(packet) => frames.push(self.coded(&packet)?),
                Err(EncoderStatus::Encoded) => {}
                Err(EncoderStatus::NeedMoreData | EncoderStatus::LimitReached) => return Ok(frames),
                Err(status) => return Err(status.into()),
            }
        }
    }

    /// A frame as it stands in MP4: without the mark that separates frames in a stream.
    fn coded(&mut self, packet: &Packet<u8>) -> Result<Coded, Failure> {
        let mut bytes = Vec::with_capacity(packet.data.len());
        for (kind, unit) in units(&packet.data)? {
            if kind == SEQUENCE_HEADER && self.entry.is_none() {
                let config = Av1SampleEntryConfig { initial_presentation_delay_minus_one: None };
                self.entry = Some(SampleEntry::Av01(build_av01_box_from_config_obus(unit, &config)?));
            }
            if kind != TEMPORAL_DELIMITER {
                bytes.extend_from_slice(unit);
            }
        }
        Ok(Coded { bytes, is_key: packet.frame_type == FrameType::KEY })
    }
}

impl Encoder for Av1 {
    fn encode(&mut self, rgb: &[u8], _number: usize) -> Result<Vec<Coded>, Failure> {
        let mut frame = self.context.new_frame();
        let planes = yuv(rgb, self.size);
        let half = self.size.0 / 2;
        for ((plane, values), stride) in frame.planes.iter_mut().zip(&planes).zip([self.size.0, half, half]) {
            plane.copy_from_raw_u8(values, stride, 1);
        }
        self.context.send_frame(frame)?;
        self.ready()
    }

    fn finish(&mut self) -> Result<Vec<Coded>, Failure> {
        self.context.flush();
        self.ready()
    }

    fn entry(&self) -> Option<SampleEntry> {
        self.entry.clone()
    }
}

/// The units of a stream, each with its kind (AV1 specification, section 5.3).
fn units(stream: &[u8]) -> Result<Vec<(u8, &[u8])>, Failure> {
    let (mut units, mut rest) = (Vec::new(), stream);
    while let [header, ..] = rest {
        let has_extension = header & 0b100 != 0;
        let mut end = if has_extension { 2 } else { 1 };
        let mut length = rest.len() - end;
        if header & 0b10 != 0 {
            length = 0;
            for shift in (0..56).step_by(7) {
                let byte = *rest.get(end).ok_or("the encoder's stream ends early")?;
                end += 1;
                length |= usize::from(byte & 0x7F) << shift;
                if byte < 0x80 {
                    break;
                }
            }
        }
        let unit = rest.get(..end + length).ok_or("the encoder's stream ends early")?;
        units.push((header >> 3 & 0xF, unit));
        rest = &rest[end + length..];
    }
    Ok(units)
}

/// Brightness `[height, width]` and both differences `[height / 2, width / 2]` of a picture `[height, width, 3]` of even
/// sides, in the range 16 to 235 or 240 (BT.601).
fn yuv(rgb: &[u8], (width, height): (usize, usize)) -> [Vec<u8>; 3] {
    let colour = |x: usize, y: usize| {
        let at = (y * width + x) * 3;
        [0, 1, 2].map(|c| f32::from(rgb[at + c]))
    };
    let weighed = |weights: [f32; 3], [r, g, b]: [f32; 3]| weights[0] * r + weights[1] * g + weights[2] * b;
    let bright = |x: usize, y: usize| (16.0 + weighed([0.256_788, 0.504_129, 0.097_906], colour(x, y))).round() as u8;
    let difference = |weights: [f32; 3], x: usize, y: usize| {
        let four = [(0, 0), (1, 0), (0, 1), (1, 1)].map(|(dx, dy)| colour(2 * x + dx, 2 * y + dy));
        let mean = [0, 1, 2].map(|c| 0.25 * four.iter().map(|colour| colour[c]).sum::<f32>());
        (128.0 + weighed(weights, mean)).round() as u8
    };
    let halves = |weights: [f32; 3]| -> Vec<u8> {
        let places = (0..height / 2).flat_map(|y| (0..width / 2).map(move |x| (x, y)));
        places.map(|(x, y)| difference(weights, x, y)).collect()
    };
    [
        (0..height).flat_map(|y| (0..width).map(move |x| (x, y))).map(|(x, y)| bright(x, y)).collect(),
        halves([-0.148_223, -0.290_993, 0.439_216]),
        halves([0.439_216, -0.367_788, -0.071_427]),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::video::{Codec, VideoFormat};
    use crate::{Image, Result};

    #[test]
    fn colours_are_those_of_bt601() {
        let known = [
            ([0u8; 3], [16, 128, 128]),
            ([255; 3], [235, 128, 128]),
            ([255, 0, 0], [81, 90, 240]),
            ([0, 255, 0], [145, 54, 34]),
            ([0, 0, 255], [41, 240, 110]),
        ];
        for (rgb, expected) in known {
            let planes = yuv(&rgb.repeat(4), (2, 2));
            assert_eq!(planes.map(|plane| plane[0]), expected, "{rgb:?}");
        }
    }

    /// Every frame has a place, keys are where they can be jumped to, and frames begin with no mark of a stream.
    #[test]
    fn frames_stand_in_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.mp4");
        let picture = |i: usize| -> Result<Image> {
            let pixel = |p: usize| if p % 37 < 4 + i { [0.9, 0.5, 0.2] } else { [0.1, 0.3, 0.6] };
            Image::new(63, 48, (0..63 * 48).flat_map(pixel).collect())
        };
        let format = VideoFormat::of(&path, Some(Codec::Av1)).unwrap();
        format.write(&path, 4.0, (0..11).map(picture)).unwrap();
        let file = std::fs::read(&path).unwrap();
        let find = |name: &[u8]| file.windows(4).position(|part| part == name).unwrap();
        let number = |at: usize| u32::from_be_bytes(file[at..at + 4].try_into().unwrap());
        let (entry, sizes, keys) = (find(b"stsd") + 16, find(b"stsz"), find(b"stss"));
        assert_eq!(&file[entry..entry + 4], b"av01");
        assert_eq!(file[entry + 28..entry + 32], [0, 64, 0, 48]);
        assert_eq!((number(sizes + 12), number(keys + 8)), (11, 2));
        assert_eq!([number(keys + 12), number(keys + 16)], [1, 9]);
        let mut place = number(find(b"stco") + 12) as usize;
        for i in 0..11 {
            let length = number(sizes + 16 + 4 * i) as usize;
            let found: Vec<u8> = units(&file[place..place + length]).unwrap().iter().map(|unit| unit.0).collect();
            assert!(!found.is_empty() && !found.contains(&TEMPORAL_DELIMITER), "frame {i}: {found:?}");
            assert_eq!(found.contains(&SEQUENCE_HEADER), i == 0 || i == 8, "frame {i}: {found:?}");
            place += length;
        }
        assert!(units(&[0b1_0010, 9, 1]).is_err());
    }
}
