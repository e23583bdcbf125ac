//! OpenEXR files: colours of linear light, and channels of numbers such as depths. Compressed without loss.

use crate::{Error, Image, Result};
use exr::meta::MetaData;
use exr::prelude::{
    AnyChannel, AnyChannels, Encoding, FlatSamples, Layer, LayerAttributes, ReadChannels, ReadLayers, SmallVec,
    WritableImage, f16, read,
};
use std::io::Cursor;

/// Linear light of a colour value as pictures store it (sRGB, IEC 61966-2-1), below 0 and above 1 as well.
pub fn linear_from_srgb(value: f32) -> f32 {
    let v = value.abs();
    let linear = if v <= 0.040_45 { v / 12.92 } else { ((v + 0.055) / 1.055).powf(2.4) };
    linear.copysign(value)
}

/// The inverse of [`linear_from_srgb`].
pub fn srgb_from_linear(light: f32) -> f32 {
    let l = light.abs();
    let value = if l <= 0.003_130_8 { l * 12.92 } else { 1.055 * l.powf(1.0 / 2.4) - 0.055 };
    value.copysign(light)
}

/// The file of a picture: channels R, G and B of half floats, linear light of sRGB's primaries, not clipped.
///
/// # Errors
/// [`Error::Shape`] if the image's data do not fit its size; [`Error::Scene`] if it cannot be encoded.
pub fn encode_colours(image: &Image) -> Result<Vec<u8>> {
    let (width, height) = (image.width, image.height);
    let channel = |c: usize| {
        let values = image.data.iter().skip(c).step_by(3);
        FlatSamples::F16(values.map(|value| f16::from_f32(linear_from_srgb(*value))).collect())
    };
    let comment = "R, G, B: linear light, sRGB primaries (IEC 61966-2-1)";
    encode(width, height, [("R", channel(0)), ("G", channel(1)), ("B", channel(2))], comment)
}

/// The file of channels `[height, width]` of 32-bit floats; `comment` tells what they are.
///
/// # Errors
/// As [`encode_colours`].
pub fn encode_channels<const N: usize>(
    (width, height): (u32, u32),
    channels: [(&str, &[f32]); N],
    comment: &str,
) -> Result<Vec<u8>> {
    encode(width, height, channels.map(|(name, values)| (name, FlatSamples::F32(values.to_vec()))), comment)
}

fn encode<const N: usize>(
    width: u32,
    height: u32,
    channels: [(&str, FlatSamples); N],
    comment: &str,
) -> Result<Vec<u8>> {
    let expected = width as usize * height as usize;
    let mut list = SmallVec::new();
    for (name, samples) in channels {
        if samples.len() != expected || expected == 0 {
            return Err(Error::Shape { what: format!("EXR channel {name}"), expected, found: samples.len() });
        }
        list.push(AnyChannel::new(name, samples));
    }
    let attributes = LayerAttributes { comments: Some(comment.into()), ..LayerAttributes::default() };
    let size = (width as usize, height as usize);
    let layer = Layer::new(size, attributes, Encoding::SMALL_LOSSLESS, AnyChannels::sort(list));
    let mut file = Cursor::new(Vec::new());
    let written = exr::prelude::Image::from_layer(layer).write().non_parallel().to_buffered(&mut file);
    written.map_err(|e| Error::Scene(format!("EXR picture of {width}x{height}: cannot be encoded: {e}")))?;
    Ok(file.into_inner())
}

/// The colours of a file of [`encode_colours`], of the given `(width, height)`, as pictures store them.
///
/// # Errors
/// As [`decode_channels`]; `what` names the file.
pub fn decode_colours(what: &str, bytes: &[u8], size: (u32, u32)) -> Result<Image> {
    let [r, g, b] = decode_channels(what, bytes, size, ["R", "G", "B"])?;
    let pixels = r.iter().zip(&g).zip(&b).flat_map(|((r, g), b)| [*r, *g, *b].map(srgb_from_linear));
    Image::new(size.0, size.1, pixels.collect())
}

/// Channels of a file of the given `(width, height)`, each `[height, width]`.
///
/// # Errors
/// [`Error::Scene`] naming `what` if the file is damaged, of another size or lacks a channel.
pub fn decode_channels<const N: usize>(
    what: &str,
    bytes: &[u8],
    (width, height): (u32, u32),
    names: [&str; N],
) -> Result<[Vec<f32>; N]> {
    let fail = |problem: String| Error::Scene(format!("{what}: {problem}"));
    let broken = |e: exr::error::Error| fail(format!("expected an EXR picture that can be decoded, found: {e}"));
    // A header may claim any size, and room is made for it.
    let meta = MetaData::read_from_buffered(Cursor::new(bytes), false).map_err(broken)?;
    let claims = meta.headers.iter().map(|header| (header.layer_size.width(), header.layer_size.height()));
    for (w, h) in claims {
        if (w, h) != (width as usize, height as usize) {
            return Err(fail(format!("expected an EXR picture of {width}x{height}, found {w}x{h}")));
        }
    }
    let reader = read().no_deep_data().largest_resolution_level().all_channels().first_valid_layer().all_attributes();
    let layer = reader.non_parallel().from_buffered(Cursor::new(bytes)).map_err(broken)?.layer_data;
    let mut found = Vec::with_capacity(N);
    for name in names {
        let channel = layer.channel_data.list.iter().find(|channel| channel.name.eq(name));
        let channel = channel.ok_or_else(|| fail(format!("expected a channel {name}, found none")))?;
        found.push(channel.sample_data.values_as_f32().collect());
    }
    Ok(found.try_into().expect("a channel for each name"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transfer_is_that_of_srgb() {
        // Values of the standard's two parts, and middle grey.
        for (value, light) in [(0.0, 0.0), (0.04, 0.04 / 12.92), (0.5, 0.214_041_14), (1.0, 1.0), (-0.5, -0.214_041_14)]
        {
            assert!((linear_from_srgb(value) - light).abs() < 1e-6, "{value}");
            assert!((srgb_from_linear(light) - value).abs() < 1e-6, "{value}");
        }
        assert!(linear_from_srgb(1.2) > 1.0 && (srgb_from_linear(linear_from_srgb(1.2)) - 1.2).abs() < 1e-5);
    }

    #[test]
    fn colours_come_back_finer_than_8_bits() {
        for (width, height) in [(1, 1), (31, 33), (7, 200)] {
            let count = width * height * 3;
            let data = (0..count).map(|i| (i as f32 * 0.37).sin() * 0.7 + 0.5).collect();
            let image = Image::new(width, height, data).unwrap();
            let file = encode_colours(&image).unwrap();
            let back = decode_colours("a.exr", &file, (width, height)).unwrap();
            for (a, b) in back.data.iter().zip(&image.data) {
                // Half floats have 11 bits, of which the transfer function takes one near black.
                assert!((a - b).abs() < 1e-3, "{a} {b}");
            }
        }
        let wrong = Image { width: 2, height: 2, data: vec![0.0; 3] };
        assert!(matches!(encode_colours(&wrong), Err(Error::Shape { .. })));
    }

    #[test]
    fn channels_come_back_the_same_and_are_not_confused() {
        let (z, range): (Vec<f32>, Vec<f32>) = (0..21).map(|i| (i as f32 / 7.0, 1e6 + i as f32)).unzip();
        let file = encode_channels((7, 3), [("Z", &z), ("range", &range)], "two").unwrap();
        let [a, b] = decode_channels("d.exr", &file, (7, 3), ["range", "Z"]).unwrap();
        assert!(a == range && b == z);
        for (size, name, wanted) in
            [((3, 7), "Z", "expected an EXR picture of 3x7, found 7x3"), ((7, 3), "z", "expected a channel z")]
        {
            let message = decode_channels("d.exr", &file, size, [name]).unwrap_err().to_string();
            assert!(message.contains("d.exr") && message.contains(wanted), "{message}");
        }
        for length in 0..file.len() {
            assert!(decode_channels("d.exr", &file[..length], (7, 3), ["Z"]).is_err(), "{length} bytes");
        }
        for at in 0..file.len() {
            let mut damaged = file.clone();
            damaged[at] ^= 0x55;
            // Whatever it gives, it ends, and has the size that is expected.
            let _ = decode_channels("d.exr", &damaged, (7, 3), ["Z"]).is_ok_and(|[z]| z.len() == 21);
        }
    }
}
