//! Picture files: formats, alpha, animations, and files that must be refused.

use super::*;
use ::image::{GrayImage, ImageBuffer, Luma, Rgb, RgbImage, Rgba, RgbaImage};

#[test]
fn alpha_is_composited_on_white_or_ignored() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.png");
    RgbaImage::from_fn(3, 1, |x, _| Rgba([51, 102, 255, [0, 51, 255][x as usize]])).save(&path).unwrap();
    let white = read_image(&path, Alpha::White).unwrap();
    assert_eq!(white.pixel(0, 0), [1.0, 1.0, 1.0]);
    assert!((white.pixel(1, 0)[0] - (0.2 * 0.2 + 0.8)).abs() < 1e-6);
    assert_eq!(white.pixel(2, 0), [51.0 / 255.0, 102.0 / 255.0, 1.0]);
    assert_eq!(read_image(&path, Alpha::Ignore).unwrap().pixel(0, 0), [51.0 / 255.0, 102.0 / 255.0, 1.0]);
}

#[test]
fn gray_and_16_bit_images_are_read() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("gray.png");
    GrayImage::from_fn(5, 3, |x, _| Luma([x as u8 * 10])).save(&path).unwrap();
    assert_eq!(read_image(&path, Alpha::Ignore).unwrap().pixel(3, 2), [30.0 / 255.0; 3]);
    let path = dir.path().join("deep.png");
    ImageBuffer::from_fn(3, 1, |x, _| Luma([x as u16 * 257 + 1])).save(&path).unwrap();
    assert_eq!(read_image(&path, Alpha::Ignore).unwrap().pixel(1, 0), [258.0 / 65_535.0; 3]);
}

#[test]
fn broken_files_give_errors() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.png");
    assert!(matches!(read_image(&path, Alpha::Ignore), Err(Error::Io { .. })));
    GrayImage::new(31, 33).save(&path).unwrap();
    let bytes = std::fs::read(&path).unwrap();
    for length in 0..bytes.len() - 13 {
        std::fs::write(&path, &bytes[..length]).unwrap();
        let message = read_image(&path, Alpha::Ignore).expect_err("truncated").to_string();
        assert!(message.contains("a.png") && message.contains("expected") && message.contains("found"), "{message}");
    }
    // What a file is, if that can be told.
    let others: [(&[u8], &str); 4] = [
        (b"", "found an empty file"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "found a HEIC picture"),
        (b"\xff\x0a\0\0\0\0\0\0\0\0\0\0\0\0\0\0", "found a JPEG XL picture"),
        (b"II\x2b\0\x08\0\0\0\0\0\0\0\0\0\0\0", "found a BigTIFF picture"),
    ];
    for (content, found) in others {
        std::fs::write(&path, content).unwrap();
        let message = read_image(&path, Alpha::Ignore).unwrap_err().to_string();
        assert!(message.contains(found), "{message}");
    }
    // A header that promises 2^31 x 2^31 pixels must not be believed.
    let mut huge = bytes;
    huge[16..24].copy_from_slice(&[0x7f, 0xff, 0xff, 0xff, 0x7f, 0xff, 0xff, 0xff]);
    std::fs::write(&path, &huge).unwrap();
    assert!(read_image(&path, Alpha::Ignore).is_err());
}

#[test]
fn every_format_gives_the_same_colours() {
    let dir = tempfile::tempdir().unwrap();
    let picture = RgbImage::from_fn(33, 31, |x, y| Rgb([(x * 7) as u8, (y * 8) as u8, (x + y) as u8]));
    let expected: Vec<f32> = picture.as_raw().iter().map(|v| f32::from(*v) / 255.0).collect();
    for extension in ["png", "tiff", "tif", "bmp", "webp"] {
        let path = dir.path().join("a").with_extension(extension);
        picture.save(&path).unwrap();
        assert_eq!(image_size(&path).unwrap(), (33, 31));
        assert_eq!(read_image(&path, Alpha::White).unwrap().data, expected, "{extension}");
        assert!(is_read(&path) && !is_unread(&path));
        // Whatever is cut off is missed.
        let bytes = std::fs::read(&path).unwrap();
        for part in [1, 3, 5, 7] {
            std::fs::write(&path, &bytes[..bytes.len() * part / 8]).unwrap();
            assert!(read_image(&path, Alpha::White).is_err(), "{extension}: {part} eighths");
        }
    }
    // The content counts, not the name.
    let path = dir.path().join("b.webp");
    picture.save_with_format(&path, ImageFormat::Bmp).unwrap();
    assert_eq!(read_image(&path, Alpha::White).unwrap().data, expected);
}

#[test]
fn a_jpeg_that_ends_early_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.jpg");
    RgbImage::from_fn(64, 48, |x, y| Rgb([(x * 3) as u8, (y * 5) as u8, (x * y) as u8])).save(&path).unwrap();
    assert!(read_image(&path, Alpha::White).is_ok());
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&path, &bytes[..bytes.len() - 100]).unwrap();
    let message = read_image(&path, Alpha::White).unwrap_err().to_string();
    assert!(message.contains("a.jpg") && message.contains("ends early"), "{message}");
    // Film or preview behind the picture.
    std::fs::write(&path, [bytes.as_slice(), b"\0\0\0\x18ftypmp42", &bytes].concat()).unwrap();
    assert!(read_image(&path, Alpha::White).is_ok());
}

#[test]
fn sizes_that_no_file_can_hold_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.jpg");
    RgbImage::new(8, 8).save(&path).unwrap();
    let mut bytes = std::fs::read(&path).unwrap();
    let frame = bytes.windows(2).position(|pair| pair == [0xFF, 0xC0]).unwrap();
    bytes[frame + 5..frame + 9].copy_from_slice(&[0x2D, 0x41, 0x2D, 0x41]);
    std::fs::write(&path, &bytes).unwrap();
    for message in [header(&path).unwrap_err().to_string(), read_image(&path, Alpha::White).unwrap_err().to_string()] {
        assert!(message.contains("a.jpg") && message.contains("11585x11585"), "{message}");
    }
    // Plain pictures and masks are small files rightly.
    let path = dir.path().join("plain.png");
    GrayImage::from_pixel(1200, 1500, Luma([255])).save(&path).unwrap();
    assert!(read_image(&path, Alpha::White).is_ok());
}

#[test]
fn animations_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let image = |v: f32| Ok(Image::new(3, 2, vec![v; 18]).unwrap());
    let path = dir.path().join("a.gif");
    crate::video::gif::write(&path, 10.0, [image(0.0), image(1.0)]).unwrap();
    assert!(read_image(&path, Alpha::White).unwrap_err().to_string().contains("animation"));
    crate::video::gif::write(&path, 10.0, [image(1.0)]).unwrap();
    assert_eq!(read_image(&path, Alpha::White).unwrap().pixel(2, 1), [1.0; 3]);
}

#[test]
fn unread_formats_say_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("IMG_1.HEIC");
    std::fs::write(&path, b"\0\0\0\x18ftypheic\0\0\0\0mif1heic").unwrap();
    assert!(is_unread(&path) && !is_read(&path));
    let message = read_image(&path, Alpha::White).unwrap_err().to_string();
    assert!(message.contains("IMG_1.HEIC: HEIC pictures are not read: convert"), "{message}");
}

#[test]
fn transparency_is_told_from_an_alpha_channel() {
    let opaque = DynamicImage::from(RgbaImage::from_pixel(3, 2, Rgba([1, 2, 3, 255])));
    let mut glass = RgbaImage::from_pixel(3, 2, Rgba([1, 2, 3, 255]));
    glass.put_pixel(2, 1, Rgba([1, 2, 3, 254]));
    let glass = DynamicImage::from(glass);
    assert_eq!((transparent_share(&opaque), transparent_share(&glass)), (0.0, 1.0 / 6.0));
    assert_eq!(transparent_share(&DynamicImage::from(glass.to_rgba16())), 1.0 / 6.0);
    assert_eq!(transparent_share(&DynamicImage::from(glass.to_rgb8())), 0.0);
}

/// Progressive JPEG, and JPEG of four inks as printers' programs write it, made by `tests/fixtures/jpegs.py`.
#[test]
fn jpegs_of_other_kinds_have_their_colours() {
    for name in ["progressive.jpg", "cmyk.jpg"] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures").join(name);
        let image = read_image(&path, Alpha::White).unwrap();
        assert_eq!((image.width, image.height), (24, 16), "{name}");
        for (x, y) in [(2, 3), (12, 8), (21, 13)] {
            let expected = [40 + 8 * x, 30 + 12 * y, 128].map(|v| v as f32 / 255.0);
            let found = image.pixel(x, y);
            // Compression at quality 95.
            let off = found.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(off < 0.03, "{name} {x} {y}: {found:?}, expected {expected:?}");
        }
    }
}
