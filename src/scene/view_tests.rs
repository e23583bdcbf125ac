//! Images and masks: decoding, alpha, sizes, distortion, and files that must be refused.

use super::*;
use crate::distortion::Coefficients;
use ::image::{GrayImage, ImageBuffer, Luma, Rgba, RgbaImage};
use glam::{DVec2, Mat4, Vec2};

fn view(path: PathBuf, size: (u32, u32), stored_size: (u32, u32)) -> View {
    let camera = Camera {
        width: size.0,
        height: size.1,
        focal: Vec2::ONE,
        center: Vec2::ZERO,
        world_from_camera: Mat4::IDENTITY,
    };
    View {
        name: "a".into(),
        path,
        mask: None,
        camera,
        near: 1.0,
        far: 2.0,
        stored_size,
        distortion: None,
        alpha: Alpha::Ignore,
    }
}

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
fn size_is_checked_and_larger_files_are_reduced() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.png");
    GrayImage::from_fn(6, 4, |x, _| Luma([if x % 2 == 0 { 0 } else { 255 }])).save(&path).unwrap();
    let image = view(path.clone(), (3, 2), (6, 4)).load_image().unwrap();
    assert_eq!((image.width, image.height), (3, 2));
    assert!(image.data.iter().all(|v| (v - 0.5).abs() < 1e-6));
    let message = view(path, (5, 4), (5, 4)).load_image().unwrap_err().to_string();
    assert!(message.contains("5x4") && message.contains("6x4"), "{message}");
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
        assert!(message.contains("a.png"), "{message}");
    }
    // A header that promises 2^31 x 2^31 pixels must not be believed.
    let mut huge = bytes;
    huge[16..24].copy_from_slice(&[0x7f, 0xff, 0xff, 0xff, 0x7f, 0xff, 0xff, 0xff]);
    std::fs::write(&path, &huge).unwrap();
    assert!(read_image(&path, Alpha::Ignore).is_err());
}

/// A lens for images of 31×33 pixels.
fn pincushion() -> Distortion {
    let coefficients = Coefficients { radial: [0.2, 0.0, 0.0, 0.0], tangential: [0.01, 0.0] };
    Distortion::new(coefficients, DVec2::splat(30.0), DVec2::new(14.0, 17.0), (31, 33)).unwrap()
}

/// A photograph of a plane with smooth colours: what the pinhole camera sees is known without resampling.
#[test]
fn distortion_is_removed() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.png");
    let lens = pincushion();
    let colour = |ray: DVec2| 0.5 + 0.4 * ray.x - 0.3 * ray.y;
    ImageBuffer::from_fn(31, 33, |x, y| {
        let seen = (DVec2::new(x.into(), y.into()) - lens.center()) / lens.focal();
        Luma([(colour(lens.coefficients().undistort(seen).unwrap()) * 65_535.0).round() as u16])
    })
    .save(&path)
    .unwrap();
    let mut view = view(path, (31, 33), (31, 33));
    view.distortion = Some(lens);
    let image = view.load_image().unwrap();
    for (x, y) in [(0, 0), (30, 0), (0, 32), (30, 32), (14, 17), (3, 29)] {
        let ray = (DVec2::new(x.into(), y.into()) - lens.center()) / (lens.focal() * lens.zoom());
        let found = image.pixel(x, y)[1];
        // At the edges the half pixel outside is the edge again.
        assert!((found - colour(ray) as f32).abs() < 4e-3, "({x}, {y}): {found} {}", colour(ray));
    }
    // Straight lines of equal colour are straight again: second differences vanish inside.
    for y in 3..30 {
        let [a, b, c] = [3, 15, 27].map(|x| image.pixel(x, y)[0]);
        assert!((a + c - 2.0 * b).abs() < 2e-4, "row {y}: {a} {b} {c}");
    }
    view.camera = view.camera.resized(15, 11);
    assert_eq!((view.load_image().unwrap().width, view.load_image().unwrap().height), (15, 11));
}

#[test]
fn a_mask_counts_white_pixels_and_nine_tenths_of_reduced_ones() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("mask.png");
    let mut view = view(dir.path().join("unused.png"), (3, 1), (3, 1));
    assert_eq!(view.load_mask().unwrap(), None);
    GrayImage::from_fn(3, 1, |x, _| Luma([[127, 128, 255][x as usize]])).save(&path).unwrap();
    view.mask = Some(path.clone());
    assert_eq!(view.load_mask().unwrap().unwrap(), [false, true, true]);
    // Of 20 pixels each, 1, 2 and 3 are black: 95 %, 90 % and 85 % count.
    (view.stored_size, view.camera) = ((60, 1), view.camera.resized(3, 1));
    GrayImage::from_fn(60, 1, |x, _| Luma([if x % 20 <= x / 20 { 0 } else { 255 }])).save(&path).unwrap();
    assert_eq!(view.load_mask().unwrap().unwrap(), [true, true, false]);
}

#[test]
fn a_mask_is_warped_like_its_image() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("mask.png");
    let mut view = view(dir.path().join("unused.png"), (31, 33), (31, 33));
    let lens = pincushion();
    (view.mask, view.distortion) = (Some(path.clone()), Some(lens));
    GrayImage::from_fn(31, 33, |x, y| Luma([if x > 20 && y < 9 { 0 } else { 255 }])).save(&path).unwrap();
    let mask = view.load_mask().unwrap().unwrap();
    assert_eq!(mask.len(), 31 * 33);
    for (i, counts) in mask.iter().enumerate() {
        let seen = lens.stored_from_pinhole(DVec2::new((i % 31) as f64, (i / 31) as f64));
        // Within a pixel of the edge it is a matter of fractions.
        if seen.x > 21.0 && seen.y < 8.0 {
            assert!(!counts, "{seen}");
        } else if seen.x < 20.0 || seen.y > 9.0 {
            assert!(counts, "{seen}");
        }
    }
    assert!(mask.contains(&false));
}

#[test]
fn bad_masks_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("mask.png");
    let mut view = view(dir.path().join("unused.png"), (5, 3), (5, 3));
    view.mask = Some(path.clone());
    assert!(matches!(view.load_mask(), Err(Error::Io { .. })));
    GrayImage::from_pixel(5, 4, Luma([255])).save(&path).unwrap();
    let message = view.load_mask().unwrap_err().to_string();
    assert!(message.contains("mask.png") && message.contains("5x3") && message.contains("5x4"), "{message}");
    // Classes 0 and 1, which look black.
    GrayImage::from_fn(5, 3, |x, _| Luma([x as u8 % 2])).save(&path).unwrap();
    let message = view.load_mask().unwrap_err().to_string();
    assert!(message.contains("half white") && message.contains("0.004"), "{message}");
    // A line that no reduced pixel is made of.
    GrayImage::from_fn(5, 3, |x, _| Luma([if x == 2 { 255 } else { 0 }])).save(&path).unwrap();
    assert_eq!(view.load_mask().unwrap().unwrap().iter().filter(|counts| **counts).count(), 3);
    (view.camera.width, view.camera.height) = (2, 1);
    let message = view.load_mask().unwrap_err().to_string();
    assert!(message.contains("mask.png") && message.contains("2x1"), "{message}");
}
