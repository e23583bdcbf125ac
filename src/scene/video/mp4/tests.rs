//! Videos are decoded again, and their boxes looked at by hand: what players read is what was meant.

use super::*;
use crate::video::{Codec, VideoFormat};
use openh264::decoder::Decoder;
use openh264::formats::YUVSource;

/// A smooth picture, whose bright spot moves with the frame's number.
fn picture(width: u32, height: u32, number: u32) -> Image {
    let colour = |x: u32, y: u32| {
        let (u, v) = (x as f32 / width as f32, y as f32 / height as f32);
        let spot = (-30.0 * ((u - 0.2 - 0.03 * number as f32).powi(2) + (v - 0.4).powi(2))).exp();
        [0.2 + 0.6 * spot, 0.25 + 0.5 * u, 0.7 - 0.4 * v]
    };
    let data = (0..height).flat_map(|y| (0..width).flat_map(move |x| colour(x, y))).collect();
    Image::new(width, height, data).unwrap()
}

/// The boxes of a part of a file: kind and content.
fn boxes(bytes: &[u8]) -> Vec<(String, &[u8])> {
    let (mut out, mut rest) = (Vec::new(), bytes);
    while !rest.is_empty() {
        let number = |at: usize| u32::from_be_bytes(rest[at..at + 4].try_into().unwrap()) as usize;
        let kind = String::from_utf8(rest[4..8].to_vec()).unwrap();
        // A length of 1 stands for one of 64 bits behind the kind.
        let (head, length) = if number(0) == 1 { (16, number(12)) } else { (8, number(0)) };
        out.push((kind, &rest[head..length]));
        rest = &rest[length..];
    }
    out
}

/// The content of a box by the kinds on the way to it.
fn at<'a>(bytes: &'a [u8], way: &[&str]) -> &'a [u8] {
    way.iter().fold(bytes, |bytes, kind| {
        let found = boxes(bytes).into_iter().find(|(found, _)| found == kind);
        found.unwrap_or_else(|| panic!("expected a box {kind} of {way:?}")).1
    })
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap())
}

const STBL: [&str; 5] = ["moov", "trak", "mdia", "minf", "stbl"];

fn table<'a>(file: &'a [u8], kind: &str) -> &'a [u8] {
    at(file, &[&STBL[..], &[kind]].concat())
}

/// The frames of a file, by its tables alone.
fn decoded(file: &[u8]) -> Vec<(Vec<u8>, (usize, usize))> {
    let avcc = at(&table(file, "stsd")[8..], &["avc1"]);
    let avcc = at(&avcc[78..], &["avcC"]);
    // One set of each kind of parameters, with two bytes of length.
    let sps_end = 8 + usize::from(u16::from_be_bytes([avcc[6], avcc[7]]));
    assert_eq!((avcc[4] & 3, avcc[5] & 31, avcc[sps_end]), (3, 1, 1));
    let mut decoder = Decoder::new().unwrap();
    let start = |unit: &[u8]| [&[0, 0, 0, 1], unit].concat();
    // Behind them, profiles above Main repeat what kind of samples they have.
    let pps_end = sps_end + 3 + usize::from(u16::from_be_bytes([avcc[sps_end + 1], avcc[sps_end + 2]]));
    let mut parameters = [start(&avcc[8..sps_end]), start(&avcc[sps_end + 3..pps_end])].concat();
    let sizes = table(file, "stsz");
    let offsets = table(file, "stco");
    assert_eq!(u32_at(offsets, 4), 1, "one chunk");
    let mut place = u32_at(offsets, 8) as usize;
    let mut frames = Vec::new();
    for i in 0..u32_at(sizes, 8) as usize {
        let length = u32_at(sizes, 12 + 4 * i) as usize;
        let (mut rest, mut stream) = (&file[place..place + length], std::mem::take(&mut parameters));
        while !rest.is_empty() {
            let end = 4 + u32_at(rest, 0) as usize;
            stream.extend(start(&rest[4..end]));
            rest = &rest[end..];
        }
        place += length;
        let picture = decoder.decode(&stream).unwrap().expect("a picture");
        let size = picture.dimensions();
        let mut rgb = vec![0; size.0 * size.1 * 3];
        picture.write_rgb8(&mut rgb);
        frames.push((rgb, size));
    }
    frames
}

fn written(size: (u32, u32), rate: f32, count: u32) -> Vec<u8> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.mp4");
    let frames = (0..count).map(|i| Ok(picture(size.0, size.1, i)));
    VideoFormat::of(&path, None).unwrap().write(&path, rate, frames).unwrap();
    std::fs::read(path).unwrap()
}

#[test]
fn what_is_decoded_is_what_was_written() {
    for size in [(64, 48), (63, 47), (17, 33), (5, 3), (1, 90)] {
        let file = written(size, 24.0, 7);
        let frames = decoded(&file);
        assert_eq!(frames.len(), 7, "{size:?}");
        for (i, (rgb, stored)) in frames.iter().enumerate() {
            let (width, height) = padded(size.0, size.1);
            assert_eq!(*stored, (width as usize, height as usize));
            let expected = repeat_edge(&picture(size.0, size.1, i as u32).to_rgb8(), size, (width, height));
            let error: f64 = rgb.iter().zip(&expected).map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2)).sum();
            let psnr = crate::image::psnr(error / rgb.len() as f64 / 255.0f64.powi(2), 0.0);
            // Colours at half the resolution, and their rounding to 8 bits in another space; of pictures of a few pixels
            // half of the resolution is little.
            let least = if size.0.min(size.1) > 40 { 36.0 } else { 30.0 };
            assert!(psnr > least, "{size:?} frame {i}: {psnr:.1} dB");
        }
    }
}

#[test]
fn boxes_tell_size_time_and_frames() {
    for (size, rate, count) in [((63, 48), 25.0, 60), ((64, 36), 29.97, 31), ((64, 36), 0.1, 1), ((64, 36), 240.0, 3)] {
        let file = written(size, rate, count);
        let kinds: Vec<String> = boxes(&file).into_iter().map(|(kind, _)| kind).collect();
        assert_eq!(kinds, ["ftyp", "moov", "free", "mdat"], "the table stands in front");
        let seconds = f64::from(count) / f64::from(rate);
        let header = at(&file, &["moov", "mvhd"]);
        let timescale = f64::from(u32_at(header, 12));
        assert!((f64::from(u32_at(header, 16)) / timescale - seconds).abs() < 1e-3, "{rate}");
        let media = at(&file, &["moov", "trak", "mdia", "mdhd"]);
        assert_eq!(u32_at(media, 12), 90_000);
        assert!((f64::from(u32_at(media, 16)) / 90_000.0 - seconds).abs() < 1e-4, "{rate}");
        let track = at(&file, &["moov", "trak", "tkhd"]);
        let (width, height) = padded(size.0, size.1);
        assert_eq!([u32_at(track, 76) >> 16, u32_at(track, 80) >> 16], [width, height]);
        let entry = at(&table(&file, "stsd")[8..], &["avc1"]);
        assert_eq!(&entry[24..28], [width as u16, height as u16].map(u16::to_be_bytes).as_flattened());
        assert_eq!(u32_at(table(&file, "stsz"), 8), count);
        // Runs of frames of one duration.
        let times = table(&file, "stts");
        let runs = (0..u32_at(times, 4) as usize).map(|i| (u32_at(times, 8 + 8 * i), u32_at(times, 12 + 8 * i)));
        let (frames, total) =
            runs.fold((0, 0.0), |(n, t), (run, each)| (n + run, t + f64::from(run) * f64::from(each)));
        assert_eq!(frames, count);
        assert!((total / 90_000.0 - seconds).abs() < 1e-4);
        // A frame to begin with at the start and every two seconds; no table stands for all of them.
        let all = boxes(at(&file, &STBL));
        let keys = all.iter().find(|(kind, _)| kind == "stss").map_or(count, |(_, table)| u32_at(table, 4));
        let group = (2.0 * rate).round().max(1.0) as u32;
        assert_eq!(keys, count.div_ceil(group), "{rate}");
    }
}

#[test]
fn what_cannot_be_a_video_is_said_and_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.mp4");
    std::fs::write(&path, b"older").unwrap();
    let fails = |rate: f32, frames: Vec<Result<Image>>, wanted: &str| {
        let message = write(&path, Codec::H264, rate, frames).unwrap_err().to_string();
        assert!(message.contains(wanted), "{message}");
    };
    let one = || Ok(picture(20, 18, 0));
    fails(25.0, vec![one(), Ok(picture(18, 20, 0))], "frame 1 of 18x20");
    fails(25.0, vec![one(), Err(Error::Scene("late".into()))], "late");
    fails(25.0, vec![], "at least one frame");
    fails(f32::NAN, vec![one()], "frames a second");
    fails(300.0, vec![one()], "a.mp4: expected 0.1 to 240 frames a second, found 300");
    fails(25.0, vec![Ok(Image::black(4000, 20))], "expected frames of 1x1 to 3840x2160, found 4000x20");
    let too_high = check(&path, (2200, 3000), 25.0).unwrap_err().to_string();
    assert!(too_high.contains("2160x3840, found 2200x3000"), "{too_high}");
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    assert_eq!(std::fs::read(&path).unwrap(), b"older");
    assert_eq!(check(&path, (64, 48), 25.0).unwrap(), None);
    assert!(check(&path, (63, 48), 25.0).unwrap().unwrap().contains("63x48 frames are stored as 64x48"));
    assert!(check(&path, (5, 48), 25.0).unwrap().unwrap().contains("at least 16 pixels"));
}
