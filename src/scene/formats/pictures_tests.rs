//! Sizes, orientation tags and transparency of a scene's photographs.

use super::*;
use ::image::{ExtendedColorType, ImageEncoder, Rgba, RgbaImage, codecs::jpeg::JpegEncoder};
use std::path::Path;

/// A JPEG of this size with an orientation tag.
fn tagged(path: &Path, (width, height): (u32, u32), tag: u8) {
    let mut exif = b"MM\0\x2A\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0".to_vec();
    exif.extend([tag, 0, 0, 0, 0, 0, 0]);
    let mut encoder = JpegEncoder::new(std::fs::File::create(path).unwrap());
    encoder.set_exif_metadata(exif).unwrap();
    encoder.write_image(&vec![99; (width * height * 3) as usize], width, height, ExtendedColorType::Rgb8).unwrap();
}

fn survey(files: &[((u32, u32), u8)], aspects: &[Option<f64>]) -> (Result<Pictures>, Vec<String>) {
    let dir = tempfile::tempdir().unwrap();
    let path = |i: usize| dir.path().join(format!("{i}.jpg"));
    files.iter().enumerate().for_each(|(i, (size, tag))| tagged(&path(i), *size, *tag));
    let mut warnings = Vec::new();
    let paths: Vec<PathBuf> = (0..files.len()).map(path).collect();
    (Pictures::survey(&paths, aspects, &mut warnings), warnings)
}

#[test]
fn a_tag_counts_only_where_the_shape_says_so() {
    use Orientation::{NoTransforms, Rotate90, Rotate180};
    let wide = Some(4.0 / 3.0);
    let tall = Some(0.75);
    for (files, aspects, size, turns, said) in [
        // Upright as they are: no word.
        (vec![((40, 30), 1); 2], vec![wide; 2], (40, 30), vec![NoTransforms; 2], ""),
        // A stale tag.
        (
            vec![((40, 30), 6); 2],
            vec![wide; 2],
            (40, 30),
            vec![NoTransforms; 2],
            "0.jpg and 1 more: EXIF orientation 6 is ignored, since the pixels",
        ),
        // Pixels lie on their side.
        (vec![((40, 30), 6); 2], vec![tall; 2], (30, 40), vec![Rotate90; 2], "orientation 6 is applied"),
        (
            vec![((30, 40), 1), ((40, 30), 6)],
            vec![tall; 2],
            (30, 40),
            vec![NoTransforms, Rotate90],
            "1.jpg: EXIF orientation 6 is applied",
        ),
        // Sizes do not tell.
        (vec![((40, 30), 3)], vec![wide], (40, 30), vec![NoTransforms], "orientation 3 is ignored, as by structure"),
        (vec![((30, 30), 6)], vec![Some(1.0)], (30, 30), vec![NoTransforms], "do not tell"),
        (vec![((40, 30), 6); 2], vec![None; 2], (40, 30), vec![NoTransforms; 2], "do not tell"),
        // The other photographs tell.
        (vec![((30, 40), 1), ((40, 30), 6)], vec![None; 2], (30, 40), vec![NoTransforms, Rotate90], "is applied"),
    ] {
        let (pictures, warnings) = survey(&files, &aspects);
        let pictures = pictures.unwrap();
        assert_eq!((pictures.sizes[0], &pictures.turns), (size, &turns), "{said}");
        assert_eq!(warnings.len(), usize::from(!said.is_empty()), "{warnings:?}");
        assert!(warnings.iter().all(|w| w.contains(said)), "{warnings:?}");
    }
    assert_ne!(Rotate180, NoTransforms);
}

#[test]
fn other_sizes_are_named() {
    let (pictures, _) = survey(&[((40, 30), 1), ((40, 31), 1)], &[None; 2]);
    let (pictures, paths) = (pictures.unwrap(), ["0.jpg", "1.jpg"].map(PathBuf::from));
    assert_eq!(pictures.sizes, [(40, 30), (40, 31)]);
    let message = pictures.one_size(&paths).unwrap_err().to_string();
    assert!(message.contains("1.jpg: expected 40x30 like 0.jpg, found 40x31"), "{message}");
    let mut warnings = Vec::new();
    say_sizes(&pictures.sizes, &paths, &mut warnings);
    assert!(warnings[0].contains("1 of 2 differ from the first of 40x30, such as 1.jpg of 40x31"), "{warnings:?}");
    say_sizes(&pictures.sizes[..1], &paths, &mut warnings);
    assert_eq!(warnings.len(), 1);
    assert!(survey(&[], &[]).0.is_err());
}

#[test]
fn transparent_photographs_are_counted_and_opaque_ones_are_not() {
    let dir = tempfile::tempdir().unwrap();
    let paths: Vec<PathBuf> = (0..3).map(|i| dir.path().join(format!("{i}.png"))).collect();
    for (i, path) in paths.iter().enumerate() {
        RgbaImage::from_pixel(3, 2, Rgba([9, 9, 9, [255, 254, 0][i]])).save(path).unwrap();
    }
    let mut warnings = Vec::new();
    let pictures = Pictures::survey(&paths, &[], &mut warnings).unwrap();
    let shares = pictures.transparent(&paths);
    assert_eq!(shares, [0.0, 1.0, 1.0]);
    say_transparent(&shares[..1], &mut warnings);
    assert_eq!(warnings.len(), 0);
    say_transparent(&shares, &mut warnings);
    assert!(warnings[0].contains("2 of 3 photographs"), "{warnings:?}");
    // Corners that straightening left empty are no background.
    assert!(are_before_nothing(&shares[1..]) && !are_before_nothing(&shares) && !are_before_nothing(&[0.5, 0.02]));
}

#[test]
fn one_scale_or_none() {
    let file = DVec2::new(4032.0, 3024.0);
    for (size, expected) in [((504, 378), 0.125), ((4032, 3024), 1.0), ((8064, 6048), 2.0), ((505, 378), 0.125)] {
        assert!((scale(size, file).unwrap() - expected).abs() < 1e-3, "{size:?}");
    }
    for size in [(378, 504), (504, 400), (480, 378), (4032, 3000)] {
        assert_eq!(scale(size, file), None, "{size:?}");
    }
    assert_eq!(scale((7, 5), DVec2::new(f64::NAN, 1.0)), None);
}
