//! Photographs and masks as the camera sees them: sizes, turning, distortion, and files that must be refused.

use super::*;
use crate::distortion::Coefficients;
use ::image::{GrayImage, ImageBuffer, Luma};
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
        turn: Orientation::NoTransforms,
    }
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
        Luma([(colour(lens.lens().undistort(seen).unwrap()) * 65_535.0).round() as u16])
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

#[test]
fn turned_pictures_and_their_masks_fit_the_camera() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.png");
    // Lies on its side: viewers turn it by a quarter, clockwise.
    GrayImage::from_fn(5, 3, |x, y| Luma([(10 * x + y) as u8])).save(&path).unwrap();
    let mut view = view(path, (3, 5), (3, 5));
    assert!(view.load_image().unwrap_err().to_string().contains("expected an image of 3x5, found 5x3"));
    view.turn = Orientation::Rotate90;
    let image = view.load_image().unwrap();
    // The stored picture's lower left corner is up left.
    assert_eq!((image.pixel(0, 0)[0] * 255.0).round(), 2.0);
    assert_eq!((image.pixel(2, 4)[0] * 255.0).round(), 40.0);
    for (name, width, height) in [("turned.png", 3, 5), ("stored.png", 5, 3)] {
        let mask = dir.path().join(name);
        GrayImage::from_fn(width, height, |x, _| Luma([if x == 0 { 255 } else { 0 }])).save(&mask).unwrap();
        view.mask = Some(mask);
        let counts = view.load_mask().unwrap().unwrap();
        let expected: Vec<usize> = if width == 3 { vec![0, 3, 6, 9, 12] } else { vec![0, 1, 2] };
        assert_eq!((0..15).filter(|i| counts[*i]).collect::<Vec<_>>(), expected, "{name}");
    }
}

#[test]
fn all_pictures_of_a_scene_are_checked_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let mut scene = crate::testing::scene(&[glam::Vec3::ZERO; 12]);
    for (i, view) in scene.views.iter_mut().enumerate() {
        view.path = dir.path().join(format!("{i:02}.jpg"));
        GrayImage::from_fn(31, 17, |x, y| Luma([(x * y) as u8])).save(&view.path).unwrap();
    }
    for threads in [0, 1, 3, 99] {
        scene.check_images(threads).unwrap();
    }
    let cut = |i: usize| {
        let bytes = std::fs::read(&scene.views[i].path).unwrap();
        std::fs::write(&scene.views[i].path, &bytes[..bytes.len() - 20]).unwrap();
    };
    cut(7);
    let message = scene.check_images(2).unwrap_err().to_string();
    assert!(message.contains("07.jpg") && message.contains("ends early"), "{message}");
    (0..6).chain(8..11).for_each(cut);
    let message = scene.check_images(2).unwrap_err().to_string();
    for part in ["10 of 12 photographs", "00.jpg", "05.jpg", "07.jpg", "and 2 more"] {
        assert!(message.contains(part), "{part}: {message}");
    }
    assert!(!message.contains("06.jpg"), "{message}");
}
