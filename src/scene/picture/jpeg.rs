//! Whether a JPEG file is whole.

/// Whether the file's first picture goes on to its end-of-image marker.
///
/// Decoders fill in gray for what is missing at the end, so that a file that was cut off looks like a photograph. What
/// follows the marker does not matter: phones append previews, depth maps and films.
pub(super) fn is_whole(bytes: &[u8]) -> bool {
    const END: u8 = 0xD9;
    const START_OF_SCAN: u8 = 0xDA;
    // Behind the start-of-image marker.
    let mut at = 2;
    loop {
        let Some(marker) = next_marker(bytes, &mut at) else { return false };
        match marker {
            END => return true,
            // Stuffed zeros and restarts within a scan, and markers without a length.
            0x00 | 0x01 | 0xD0..=0xD8 => {}
            _ => {
                let Some(length) = bytes.get(at..at + 2) else { return false };
                at += usize::from(u16::from_be_bytes([length[0], length[1]])).max(2);
                if marker == START_OF_SCAN && at >= bytes.len() {
                    return false;
                }
            }
        }
    }
}

/// The byte behind the next 0xFF, other than fill bytes; `at` is moved behind it.
fn next_marker(bytes: &[u8], at: &mut usize) -> Option<u8> {
    *at += bytes.get(*at..)?.iter().position(|byte| *byte == 0xFF)?;
    *at += bytes[*at..].iter().position(|byte| *byte != 0xFF)? + 1;
    Some(bytes[*at - 1])
}

#[cfg(test)]
mod tests {
    use super::*;
    use ::image::{ExtendedColorType, ImageEncoder, codecs::jpeg::JpegEncoder};

    fn picture() -> Vec<u8> {
        let mut bytes = Vec::new();
        let pixels: Vec<u8> = (0..31 * 33 * 3u32).map(|i| (i * 7 % 251) as u8).collect();
        JpegEncoder::new(&mut bytes).write_image(&pixels, 31, 33, ExtendedColorType::Rgb8).unwrap();
        bytes
    }

    #[test]
    fn every_cut_is_seen_and_what_follows_is_not() {
        let whole = picture();
        assert!(is_whole(&whole));
        for length in 0..whole.len() {
            assert!(!is_whole(&whole[..length]), "{length} of {} bytes", whole.len());
        }
        assert!(is_whole(&[whole.as_slice(), b"\xFF\xD8 a film"].concat()));
        assert!(is_whole(&[whole.as_slice(), &whole].concat()));
    }

    #[test]
    fn a_preview_inside_is_not_the_end() {
        let whole = picture();
        let length = (whole.len() as u16 + 2).to_be_bytes();
        let preview = [&[0xFF, 0xD8, 0xFF, 0xE1], length.as_slice(), &whole].concat();
        assert!(!is_whole(&preview));
        assert!(is_whole(&[preview.as_slice(), &whole[2..]].concat()));
    }
}
