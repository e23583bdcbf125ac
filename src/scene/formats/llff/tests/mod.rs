//! LLFF scenes: whole folders that load.

mod hostile;
mod official;

use super::poses::COLUMNS;
use super::*;
use crate::Split;
use crate::npy;
use ::image::{GrayImage, Luma};
use glam::Vec2;

fn npy_bytes(rows: &[[f64; COLUMNS]]) -> Vec<u8> {
    let header = format!("{{'descr': '<f8', 'fortran_order': False, 'shape': ({}, 17), }}\n", rows.len());
    npy::tests::file(&header, &rows.iter().flatten().flat_map(|v| v.to_le_bytes()).collect::<Vec<_>>())
}

fn folder(rows: &[[f64; COLUMNS]], images: &str, (width, height): (u32, u32)) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("poses_bounds.npy"), npy_bytes(rows)).unwrap();
    std::fs::create_dir(dir.path().join(images)).unwrap();
    for i in 0..rows.len() {
        let path = dir.path().join(images).join(format!("image{i:03}.png"));
        GrayImage::from_fn(width, height, |x, _| Luma([(x % 2) as u8 * 255])).save(path).unwrap();
    }
    dir
}

/// Cameras on a line, looking the same way; images of 64×48 at full size.
fn line(count: usize) -> Vec<[f64; COLUMNS]> {
    let row = |i| [0., 1., 0., f64::from(i), 48., -1., 0., 0., 0., 64., 0., 0., 1., 0., 50., 2., 9.];
    (0..count as i32).map(row).collect()
}

fn error(dir: &tempfile::TempDir, options: LoadOptions) -> String {
    load(dir.path(), &options).unwrap_err().to_string()
}

#[test]
fn missing_sizes_are_made_from_larger_images() {
    let dir = folder(&line(9), "images_2", (33, 25));
    let scene = load(dir.path(), &LoadOptions { factor: Some(4), hold_every: 4, ..LoadOptions::default() }).unwrap();
    assert_eq!((scene.size(), scene.held_out.as_slice()), ((16, 12), [0, 4, 8].as_slice()));
    assert_eq!(scene.views[3].camera.focal, Vec2::splat(12.5));
    assert!(scene.warnings[0].contains("images_4 is missing"), "{:?}", scene.warnings);
    let image = scene.views[3].load_image().unwrap();
    assert_eq!((image.width, image.height), (16, 12));
    assert!(image.data.iter().all(|v| (0.4..0.6).contains(v)));
    for (factor, expected) in [(None, "images_2"), (Some(3), "images_3"), (Some(0), "factor"), (Some(64), "reduced")] {
        let message = error(&dir, LoadOptions { factor, ..LoadOptions::default() });
        assert!(message.contains(expected), "{message}");
    }
}

#[test]
fn one_split_and_masks_beside_the_images() {
    let dir = folder(&line(9), "images_8", (7, 5));
    let options = |split| LoadOptions { split, ..LoadOptions::default() };
    assert_eq!(crate::formats::splits(dir.path(), None).unwrap(), [Split::HeldOut]);
    let scene = load(dir.path(), &options(Some(Split::HeldOut))).unwrap();
    assert_eq!((scene.split, scene.held_out.len()), (Some(Split::HeldOut), 2));
    assert!(load(dir.path(), &options(Some(Split::Val))).unwrap_err().to_string().contains("found held-out"));

    for (masks, name) in [("masks", "image000.png"), ("masks_8", "image001.png"), ("masks_8", "other.png")] {
        std::fs::create_dir_all(dir.path().join(masks)).unwrap();
        GrayImage::from_fn(7, 5, |x, _| Luma([x as u8 * 40])).save(dir.path().join(masks).join(name)).unwrap();
    }
    let scene = load(dir.path(), &LoadOptions::default()).unwrap();
    assert_eq!(scene.views.iter().filter(|v| v.mask.is_some()).count(), 1);
    let mask = scene.views[1].load_mask().unwrap().unwrap();
    assert_eq!(mask, [false, false, false, false, true, true, true].repeat(5));
    let files = crate::formats::files(&scene);
    assert_eq!((files.len(), files[0].clone()), (11, dir.path().join("poses_bounds.npy")));
    assert_eq!(files[10], dir.path().join("masks_8/image001.png"));
}

#[test]
fn odd_scenes_load_with_a_warning() {
    let mut same_place = line(3);
    same_place.iter_mut().for_each(|row| row[3] = 1.0);
    let mut zoom = line(3);
    zoom[2][14] = 500.0;
    let mut all_ways = line(2);
    for i in [1, 2, 6, 7, 11, 12] {
        // Half a turn around the up axis: right and back change sign.
        all_ways[1][i] = -all_ways[0][i];
    }
    for (rows, expected) in [(same_place, "degenerate"), (zoom, "focal"), (all_ways, "all ways")] {
        let dir = folder(&rows, "images", (64, 48));
        let scene = load(dir.path(), &LoadOptions::default()).unwrap();
        assert!(scene.warnings.iter().any(|w| w.contains(expected)), "{expected}: {:?}", scene.warnings);
        scene.views.iter().for_each(|v| v.camera.validate(&v.name).unwrap());
    }
    let dir = folder(&line(3), "images", (8, 6));
    let scene = load(dir.path(), &LoadOptions::default()).unwrap();
    assert!(scene.warnings[0].contains("full size"), "{:?}", scene.warnings);
    assert_eq!(scene.views[0].camera.focal, Vec2::splat(50.0 / 8.0));
}

#[test]
#[ignore = "needs SHIFTRAY_SCENES"]
fn real_fern_loads() {
    let root = crate::locate("llff/fern", &[]).unwrap();
    let scene = crate::formats::load(&root, &LoadOptions::default()).unwrap();
    assert_eq!((scene.name.as_str(), scene.views.len(), scene.size()), ("fern", 20, (504, 378)));
    assert_eq!((scene.held_out.as_slice(), scene.warnings.len()), ([0, 8, 16].as_slice(), 0));
    let image = scene.views[19].load_image().unwrap();
    assert_eq!((image.width, image.height), (504, 378));
    let reduced = load(&root, &LoadOptions { factor: Some(16), ..LoadOptions::default() }).unwrap();
    assert_eq!((reduced.size(), reduced.warnings.len()), ((252, 189), 1));
}

#[test]
fn stray_poses_and_bounds_do_not_decide() {
    let good = load(folder(&line(10), "images_8", (8, 6)).path(), &LoadOptions::default()).unwrap();
    let mut rows = line(10);
    (rows[4][3], rows[6][15], rows[7][16]) = (4000.0, 0.002, 1e6);
    let scene = load(folder(&rows, "images_8", (8, 6)).path(), &LoadOptions::default()).unwrap();
    assert_eq!((scene.near, scene.far, scene.views.len()), (good.near, good.far, 9));
    assert_eq!((scene.held_out.as_slice(), scene.views[7].name.as_str()), ([0, 7].as_slice(), "image008"));
    for (row, what) in [(4, "absurdly far"), (6, "near bound of 0.002"), (7, "far bound of 1000000")] {
        let said = scene.warnings.iter().any(|w| w.contains(&format!("row {row} ")) && w.contains(what));
        assert!(said, "{row}: {:?}", scene.warnings);
    }
}

#[test]
fn map_coordinates_keep_their_precision() {
    let near = load(folder(&line(9), "images_8", (8, 6)).path(), &LoadOptions::default()).unwrap();
    let mut rows = line(9);
    for row in &mut rows {
        (row[3], row[8], row[13]) = (row[3] + 5.0e5, row[8] + 4.6e6, row[13] + 120.0);
    }
    let far = load(folder(&rows, "images_8", (8, 6)).path(), &LoadOptions::default()).unwrap();
    for (a, b) in near.views.iter().zip(&far.views) {
        assert!(a.camera.world_from_camera.abs_diff_eq(b.camera.world_from_camera, 1e-6), "{}", a.name);
    }
}
