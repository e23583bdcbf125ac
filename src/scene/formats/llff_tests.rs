//! LLFF scenes: parity with the official loader, whole folders, and files that must be refused.

use super::*;
use crate::paths::{self, PathKind};
use crate::testing::{Fixture, assert_close, camera_vector, rows};
use crate::{Camera, FAR_EVAL, Split, nearest_sources};
use ::image::{GrayImage, Luma};
use glam::Mat4;
use proptest::prelude::*;

/// Suggested for all loader outputs; f32 rounding of recentred poses.
const TOLERANCE: f64 = 2e-5;
/// Of values up to a hundred.
const TOLERANCE_LARGE: f64 = 1e-4;

fn npy_bytes(rows: &[[f64; COLUMNS]]) -> Vec<u8> {
    let header = format!("{{'descr': '<f8', 'fortran_order': False, 'shape': ({}, 17), }}\n", rows.len());
    npy::tests::file(&header, &rows.iter().flatten().flat_map(|v| v.to_le_bytes()).collect::<Vec<_>>())
}

/// The fixture's pose file with images of its size.
fn fixture_scene(fixture: &Fixture) -> (tempfile::TempDir, Scene) {
    let hw = fixture.ids("llff.image_hw");
    let table = fixture.get("llff.poses_bounds");
    let dir = folder(table.as_chunks().0, "images_4", (hw[1] as u32, hw[0] as u32));
    let scene = load(dir.path(), &LoadOptions::default()).unwrap();
    (dir, scene)
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
fn cameras_and_bounds_match_the_official_loader() {
    let fixture = Fixture::loaders();
    let (_dir, scene) = fixture_scene(&fixture);
    assert!(scene.warnings.is_empty(), "{:?}", scene.warnings);
    let poses: Vec<f64> = scene.views.iter().flat_map(|v| rows(v.camera.world_from_camera)).collect();
    assert_close("c2w", &poses, &fixture.get("llff.c2w"), TOLERANCE);
    let bounds: Vec<f64> = scene.views.iter().flat_map(|v| [v.near.into(), v.far.into()]).collect();
    assert_close("bounds", &bounds, &fixture.get("llff.bds"), TOLERANCE_LARGE);
    let intrinsics: Vec<f64> = scene.views.iter().flat_map(|v| camera_vector(&v.camera)[2..18].to_vec()).collect();
    assert_close("intrinsics", &intrinsics, &fixture.get("llff.intrinsics"), TOLERANCE_LARGE);
    let cameras: Vec<f64> = scene.held_out.iter().flat_map(|&i| camera_vector(&scene.views[i].camera)).collect();
    assert_close("held-out cameras", &cameras, &fixture.get("llff.val.camera"), TOLERANCE_LARGE);
    assert!((scene.near - 4.0 / 3.0).abs() < 1e-6, "{}", scene.near);
}

#[test]
fn holdout_sources_and_depths_match_the_official_loader() {
    let fixture = Fixture::loaders();
    let (_dir, scene) = fixture_scene(&fixture);
    assert_eq!(scene.held_out, fixture.ids("llff.val.holdout"));
    let expected = fixture.ids("llff.val.nearest_ids_in_train_split");
    for (&id, expected) in scene.held_out.iter().zip(expected.chunks(10)) {
        let expected: Vec<usize> = expected.iter().map(|&i| scene.source_ids[i]).collect();
        assert_eq!(nearest_sources(&scene, &scene.views[id].camera, &scene.source_ids, 10).unwrap(), expected);
    }
    let range = scene.depth_range(FAR_EVAL).map(f64::from).repeat(scene.held_out.len());
    assert_close("depth range", &range, &fixture.get("llff.val.depth_range"), TOLERANCE_LARGE);
    let range = scene.depth_range(1.5).map(f64::from);
    assert_close("render depth range", &range, &fixture.get("llff.render7.depth_range"), TOLERANCE_LARGE);
}

/// Ours goes around once where the official spiral goes around twice, but looks at the same point and stays within it; the official frames' sources are those of the official code.
#[test]
fn spiral_is_within_the_official_one() {
    let fixture = Fixture::loaders();
    let (_dir, scene) = fixture_scene(&fixture);
    let official = fixture.get("llff.render_poses_3x5");
    let official: Vec<Mat4> = official
        .chunks(15)
        .map(|rows| {
            Mat4::from_cols_array(&std::array::from_fn(|i| match (i / 4, i % 4) {
                (3, 3) => 1.0,
                (_, 3) => 0.0,
                (column, row) => rows[5 * row + column] as f32 * [1.0, -1.0, -1.0, 1.0][column],
            }))
        })
        .collect();
    let focus = paths::spiral::focus(&scene, &crate::capture::Capture::of(&scene).unwrap()).as_vec3();
    for pose in &official {
        let way = (focus - pose.w_axis.truncate()).normalize();
        assert!(way.distance(pose.z_axis.truncate()) < 0.02, "{way} {pose}");
    }
    let widest = official.iter().map(|pose| pose.w_axis.truncate().length()).fold(0.0, f32::max);
    let frames = paths::frames(&scene, &PathKind::Spiral, None).unwrap();
    assert_eq!(frames.len(), 120);
    for frame in &frames {
        assert!(frame.camera.origin().length() < widest);
    }

    let seventh = Camera { world_from_camera: official[7], ..frames[7].camera };
    assert_close("camera", &camera_vector(&seventh), &fixture.get("llff.render7.camera"), TOLERANCE_LARGE);
    let central = fixture.ids("llff.i_test");
    let candidates: Vec<usize> = (0..scene.views.len()).filter(|id| !central.contains(id)).collect();
    let sources = nearest_sources(&scene, &seventh, &candidates, 10).unwrap();
    let sources: Vec<f64> = sources.iter().flat_map(|&i| camera_vector(&scene.views[i].camera)).collect();
    assert_close("sources", &sources, &fixture.get("llff.render7.src_cameras"), TOLERANCE_LARGE);
}

#[test]
fn missing_sizes_are_made_from_larger_images() {
    let dir = folder(&line(9), "images_2", (33, 25));
    let scene = load(dir.path(), &LoadOptions { factor: Some(4), hold_every: 4, split: None }).unwrap();
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
fn no_holdout_makes_every_view_a_source() {
    assert_eq!(split(3, 0), (vec![0, 1, 2], vec![]));
    assert_eq!(split(3, 1), (vec![], vec![0, 1, 2]));
    assert_eq!(split(17, 8).1, [0, 8, 16]);
}

#[test]
fn one_split_and_masks_beside_the_images() {
    let dir = folder(&line(9), "images_8", (7, 5));
    let options = |split| LoadOptions { split, ..LoadOptions::default() };
    assert_eq!(super::super::splits(dir.path()).unwrap(), [Split::HeldOut]);
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
    let files = super::super::files(&scene);
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
fn bad_rows_are_named() {
    let cases: [(usize, f64, &str); 9] = [
        (3, f64::NAN, "finite"),
        (1, 1.5, "orthonormal"),
        (5, 0.0, "orthonormal"),
        (14, 0.0, "focal"),
        (14, f64::INFINITY, "focal"),
        (15, 0.0, "0 < near < far"),
        (15, 9.0, "0 < near < far"),
        (15, f64::NAN, "0 < near < far"),
        (16, 1e300, "0 < near < far"),
    ];
    for (column, value, expected) in cases {
        let mut rows = line(3);
        rows[1][column] = value;
        let dir = folder(&rows, "images_8", (7, 5));
        let message = error(&dir, LoadOptions::default());
        for part in ["poses_bounds.npy", "row 1", "image001.png", expected] {
            assert!(message.contains(part), "column {column}: {message}");
        }
    }
    let mut tiny = line(3);
    tiny[1][15] = 1e-44;
    // A bound far from the others is no fault of the rest.
    let scene = load(folder(&tiny, "images_8", (7, 5)).path(), &LoadOptions::default()).unwrap();
    assert!(scene.warnings[0].contains("row 1 (image001.png): its near bound"), "{:?}", scene.warnings);
    let plain = load(folder(&line(3), "images_8", (7, 5)).path(), &LoadOptions::default()).unwrap();
    assert_eq!((scene.near, scene.far, scene.views[1].near), (plain.near, plain.far, plain.views[1].near));
}

#[test]
fn counts_and_sizes_must_agree() {
    let dir = folder(&line(3), "images_8", (7, 5));
    std::fs::remove_file(dir.path().join("images_8/image001.png")).unwrap();
    let message = error(&dir, LoadOptions::default());
    assert!(message.contains("3 rows") && message.contains("2 images"), "{message}");
    GrayImage::new(7, 6).save(dir.path().join("images_8/image001.png")).unwrap();
    let message = error(&dir, LoadOptions::default());
    assert!(message.contains("image001.png") && message.contains("7x5") && message.contains("7x6"), "{message}");
    let dir = folder(&[], "images_8", (7, 5));
    assert!(error(&dir, LoadOptions::default()).contains("0 x 17"));
}

#[test]
#[ignore = "needs SHIFTRAY_SCENES"]
fn real_fern_loads() {
    let root = crate::locate("llff/fern", &[]).unwrap();
    let scene = super::super::load(&root, &LoadOptions::default()).unwrap();
    assert_eq!((scene.name.as_str(), scene.views.len(), scene.size()), ("fern", 20, (504, 378)));
    assert_eq!((scene.held_out.as_slice(), scene.warnings.len()), ([0, 8, 16].as_slice(), 0));
    let image = scene.views[19].load_image().unwrap();
    assert_eq!((image.width, image.height), (504, 378));
    let reduced = load(&root, &LoadOptions { factor: Some(16), ..LoadOptions::default() }).unwrap();
    assert_eq!((reduced.size(), reduced.warnings.len()), ((252, 189), 1));
}

#[test]
fn rows_are_compared_with_the_photographs() {
    let mut swapped = line(3);
    swapped.iter_mut().for_each(|row| row.swap(4, 9));
    for (rows, size, expected) in [
        (swapped, (64, 48), ["48x64", "64x48", "row 0"]),
        (line(3), (64, 40), ["64x48", "64x40", "image000.png"]),
        (line(3), (48, 64), ["64x48", "48x64", "turned"]),
    ] {
        let message = error(&folder(&rows, "images", size), LoadOptions::default());
        expected.iter().for_each(|part| assert!(message.contains(part), "{message}"));
    }
    // One size for poses and another for pictures is fine, and is said.
    let scene = load(folder(&line(3), "images_4", (64, 48)).path(), &LoadOptions::default()).unwrap();
    assert_eq!(scene.views[0].camera.focal, Vec2::splat(50.0));
    assert!(scene.warnings[0].contains("row 0") && scene.warnings[0].contains("64x48"), "{:?}", scene.warnings);
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

#[test]
fn other_layouts_and_folders_say_what_to_do() {
    let dir = folder(&line(3), "images_2", (32, 24));
    let message = error(&dir, LoadOptions::default());
    assert!(message.contains("images_8, images_4 or images, found images_2; --factor 2 reads images_2"), "{message}");
    let narrow: Vec<u8> = vec![0; 3 * 14 * 8];
    let header = "{'descr': '<f8', 'fortran_order': False, 'shape': (3, 14), }\n";
    std::fs::write(dir.path().join("poses_bounds.npy"), npy::tests::file(header, &narrow)).unwrap();
    assert!(error(&dir, LoadOptions::default()).contains("found 3 x 14"));
    std::fs::write(dir.path().join("hwf_cxcy.npy"), b"x").unwrap();
    let message = error(&dir, LoadOptions::default());
    assert!(message.contains("3 x 14") && message.contains("hwf_cxcy.npy") && message.contains("NeX"), "{message}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever is in the file, loading ends with a scene or an error.
    #[test]
    fn any_numbers_never_panic(values in proptest::collection::vec(any::<f64>(), 34), good in any::<bool>()) {
        let mut rows = line(2);
        for (value, new) in rows.as_flattened_mut().iter_mut().zip(values) {
            if !good || !new.is_finite() {
                *value = new;
            }
        }
        let names = ["a.png".to_owned(), "b.png".to_owned()];
        let folder = ImageFolder { path: PathBuf::from("images_8"), stored_factor: 8, factor: 8 };
        let images = Images { names: &names, stored: (8, 6), size: (8, 6), folder: &folder };
        let posed = Posed::from_rows(Path::new("p"), &rows, &images, &mut Vec::new());
        if let Ok(posed) = posed {
            prop_assert!(posed.cameras.iter().all(|c| c.validate("read").is_ok()));
        }
    }

    #[test]
    fn damaged_files_never_panic(cut in 0usize..500, at in 0usize..500, to in any::<u8>()) {
        let dir = tempfile::tempdir().unwrap();
        let mut bytes = npy_bytes(&line(2));
        let at = at % bytes.len();
        bytes[at] = to;
        bytes.truncate(cut);
        let path = dir.path().join("poses_bounds.npy");
        std::fs::write(&path, bytes).unwrap();
        if let Ok(rows) = read_rows(&path) {
            prop_assert_eq!(rows.len(), 2);
        }
    }
}
