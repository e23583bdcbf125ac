//! Blender scenes: parity with the official loader, whole folders, and files that must be refused.

use super::*;
use crate::formats::load;
use crate::testing::{Fixture, assert_close, camera_vector};
use crate::{FAR_EVAL, nearest_sources};
use ::image::{Rgba, RgbaImage};
use proptest::prelude::*;

fn write_split(dir: &Path, name: &str, angle: f64, matrices: &[[f64; 16]]) {
    let frames: Vec<_> = matrices
        .iter()
        .enumerate()
        .map(|(i, m)| serde_json::json!({"file_path": format!("./{name}/r_{i}"), "transform_matrix": m.as_chunks::<4>().0}))
        .collect();
    let json = serde_json::json!({"camera_angle_x": angle, "frames": frames});
    std::fs::write(dir.join(format!("transforms_{name}.json")), json.to_string()).unwrap();
    std::fs::create_dir_all(dir.join(name)).unwrap();
    for i in 0..matrices.len() {
        RgbaImage::from_pixel(20, 20, Rgba([9, 8, 7, 0])).save(dir.join(format!("{name}/r_{i}.png"))).unwrap();
    }
}

const POSE: [f64; 16] = [1., 0., 0., 0., 0., 1., 0., 0., 0., 0., 1., 4., 0., 0., 0., 1.];

#[test]
fn matches_the_official_loader() {
    let fixture = Fixture::loaders();
    let angle = fixture.get("blender.camera_angle_x")[0];
    let [train, val] = ["train", "val"].map(|s| fixture.get(&format!("blender.{s}.transform_matrix")));
    let dir = tempfile::tempdir().unwrap();
    write_split(dir.path(), "train", angle, train.as_chunks().0);
    write_split(dir.path(), "val", angle, val.as_chunks().0);
    let rgba = fixture.get("blender.val1.rgba_u8").iter().map(|v| *v as u8).collect();
    RgbaImage::from_raw(20, 20, rgba).unwrap().save(dir.path().join("val/r_8.png")).unwrap();

    let scene = load(dir.path(), &LoadOptions::default()).unwrap();
    assert_eq!((scene.source_ids.len(), scene.held_out.len()), (14, 17));
    assert!(scene.warnings[0].contains("transforms_test.json"), "{:?}", scene.warnings);
    // The official validation skips to every 8th frame; its second one is frame 8.
    let view = &scene.views[scene.held_out[8]];
    assert_close("camera", &camera_vector(&view.camera), &fixture.get("blender.val1.camera"), 2e-5);
    assert_eq!(scene.depth_range(FAR_EVAL).map(f64::from).to_vec(), fixture.get("blender.val1.depth_range"));
    let sources = nearest_sources(&scene, &view.camera, &scene.source_ids, 10).unwrap();
    assert_eq!(sources, fixture.ids("blender.val1.nearest_ids"));
    let image: Vec<f64> = view.load_image().unwrap().data.into_iter().map(f64::from).collect();
    assert_close("on white", &image, &fixture.get("blender.val1.rgb_white"), 1e-6);
    assert!(scene.views[0].load_image().unwrap().data.iter().all(|v| *v == 1.0));
}

#[test]
fn splits_and_factor() {
    let dir = tempfile::tempdir().unwrap();
    write_split(dir.path(), "train", 1.0, &[POSE; 3]);
    let scene = load(dir.path(), &LoadOptions { factor: Some(3), ..LoadOptions::default() }).unwrap();
    assert_eq!((scene.size(), scene.held_out.len()), ((6, 6), 0));
    assert_eq!(scene.views[2].load_image().unwrap().width, 6);
    assert!(scene.warnings.iter().any(|w| w.contains("no view is held out")));
    assert!(scene.warnings.iter().any(|w| w.contains("degenerate")));
    write_split(dir.path(), "val", 1.0, &[POSE]);
    write_split(dir.path(), "test", 1.0, &[POSE; 2]);
    let scene = load(dir.path(), &LoadOptions::default()).unwrap();
    assert_eq!((scene.held_out, scene.views[4].path.clone()), (vec![3, 4], dir.path().join("test/r_1.png")));
    assert!(load(dir.path(), &LoadOptions { factor: Some(21), ..LoadOptions::default() }).is_err());
}

#[test]
fn splits_are_asked_for_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let options = |split| LoadOptions { split, ..LoadOptions::default() };
    write_split(dir.path(), "train", 1.0, &[POSE; 3]);
    assert_eq!(crate::formats::splits(dir.path(), None).unwrap(), []);
    assert!(load(dir.path(), &options(Some(Split::Test))).unwrap_err().to_string().contains("found none"));
    assert_eq!(load(dir.path(), &options(None)).unwrap().split, None);
    write_split(dir.path(), "val", 1.0, &[POSE; 17]);
    assert_eq!(load(dir.path(), &options(None)).unwrap().held_out.len(), 17);
    write_split(dir.path(), "test", 1.0, &[POSE; 2]);
    assert_eq!(crate::formats::splits(dir.path(), None).unwrap(), [Split::Test, Split::Val]);

    let val = load(dir.path(), &options(Some(Split::Val))).unwrap();
    let names: Vec<_> = val.held_out.iter().map(|&i| val.views[i].name.as_str()).collect();
    assert_eq!((names, val.views.len(), val.split), (vec!["r_0", "r_8", "r_16"], 6, Some(Split::Val)));
    assert!(val.warnings.iter().all(|w| w.contains("degenerate")), "{:?}", val.warnings);
    let files = crate::formats::files(&val);
    let ends = [(0, "transforms_train.json"), (1, "transforms_val.json"), (2, "train/r_0.png"), (7, "val/r_16.png")];
    assert_eq!(files.len(), 8);
    ends.iter().for_each(|(i, end)| assert_eq!(files[*i], dir.path().join(end)));
    let test = load(dir.path(), &options(Some(Split::Test))).unwrap();
    assert_eq!((test.held_out.as_slice(), test.split), ([3, 4].as_slice(), Some(Split::Test)));
    let message = load(dir.path(), &options(Some(Split::HeldOut))).unwrap_err().to_string();
    assert!(message.contains("held-out") && message.contains("test and val"), "{message}");
    // A frame keeps its number where others are left out.
    std::fs::remove_file(dir.path().join("val/r_8.png")).unwrap();
    assert!(load(dir.path(), &options(Some(Split::Val))).unwrap_err().to_string().contains("r_8.png"));
}

#[test]
fn masks_belong_to_one_image() {
    let dir = tempfile::tempdir().unwrap();
    write_split(dir.path(), "train", 1.0, &[POSE; 2]);
    write_split(dir.path(), "test", 1.0, &[POSE; 1]);
    std::fs::create_dir_all(dir.path().join("masks/test")).unwrap();
    let white = RgbaImage::from_pixel(20, 20, Rgba([255; 4]));
    for name in ["masks/r_0.png", "masks/r_1.png", "masks/test/r_0.png"] {
        white.save(dir.path().join(name)).unwrap();
    }
    let scene = load(dir.path(), &LoadOptions::default()).unwrap();
    let masks: Vec<_> = scene.views.iter().map(|v| v.mask.clone()).collect();
    let at = |name: &str| Some(dir.path().join(name));
    assert_eq!(masks, [None, at("masks/r_1.png"), at("masks/test/r_0.png")]);
    assert_eq!(scene.views[2].load_mask().unwrap().unwrap(), [true; 400]);
    assert_eq!(crate::formats::files(&scene)[5..], [at("masks/r_1.png").unwrap(), at("masks/test/r_0.png").unwrap()]);
}

#[test]
fn bad_files_say_what_is_wrong() {
    let mut skewed = POSE;
    skewed[1] = 0.3;
    let mut projective = POSE;
    projective[14] = 1.0;
    let cases: [(f64, &[[f64; 16]], &str); 6] = [
        (1.0, &[POSE, skewed], "frame 1"),
        (1.0, &[POSE, projective], "0 0 0 1"),
        (1.0, &[], "no"),
        (0.0, &[POSE], "camera_angle_x"),
        (4.0, &[POSE], "camera_angle_x"),
        (-1.0, &[POSE], "camera_angle_x"),
    ];
    for (angle, matrices, expected) in cases {
        let dir = tempfile::tempdir().unwrap();
        write_split(dir.path(), "train", angle, matrices);
        let message = load(dir.path(), &LoadOptions::default()).unwrap_err().to_string();
        assert!(message.contains("transforms_train.json") && message.contains(expected), "{expected}: {message}");
    }
    let dir = tempfile::tempdir().unwrap();
    write_split(dir.path(), "train", 1.0, &[POSE; 2]);
    std::fs::remove_file(dir.path().join("train/r_1.png")).unwrap();
    assert!(load(dir.path(), &LoadOptions::default()).unwrap_err().to_string().contains("r_1.png"));
}

/// A test file that lists training images, as copied files do, must not let an image be its own source.
#[test]
fn no_image_is_its_own_source() {
    let dir = tempfile::tempdir().unwrap();
    write_split(dir.path(), "train", 1.0, &[POSE; 3]);
    let frame = serde_json::json!({"file_path": "train/../train/r_1", "transform_matrix": POSE.as_chunks::<4>().0});
    let test = serde_json::json!({"camera_angle_x": 1.0, "k1": 0.1, "frames": [frame]});
    std::fs::write(dir.path().join("transforms_test.json"), test.to_string()).unwrap();
    let scene = load(dir.path(), &LoadOptions::default()).unwrap();
    assert_eq!((scene.source_ids.as_slice(), scene.held_out.as_slice()), ([0, 2].as_slice(), [3].as_slice()));
    assert!(scene.warnings.iter().any(|w| w.ends_with("no sources: 1")), "{:?}", scene.warnings);
    // Each file has its own lens.
    assert!(scene.views[3].distortion.is_some() && scene.views[0].distortion.is_none());
}

#[test]
#[ignore = "needs SHIFTRAY_SCENES"]
fn real_lego_loads() {
    let root = crate::locate("blender/lego", &[]).unwrap();
    let scene = load(&root, &LoadOptions::default()).unwrap();
    assert_eq!((scene.name.as_str(), scene.source_ids.len(), scene.held_out.len()), ("lego", 100, 25));
    assert_eq!((scene.size(), scene.warnings.len()), ((400, 400), 0));
    assert_eq!(scene.views[101].name, "r_8");
    assert_eq!(scene.views[101].load_image().unwrap().pixel(0, 0), [1.0; 3]);
    let orbit = crate::paths::frames(&scene, &crate::PathKind::Orbit, Some(5)).unwrap();
    let distance = orbit[0].camera.origin().length();
    assert!((3.0..5.0).contains(&distance), "{distance}");
}

#[test]
fn intrinsics_and_names_are_read_as_in_one_file() {
    let dir = tempfile::tempdir().unwrap();
    write_split(dir.path(), "train", 1.0, &[POSE; 2]);
    let frame = |name: &str| serde_json::json!({"file_path": name, "transform_matrix": POSE});
    let write = |more: serde_json::Value| {
        let mut json = serde_json::json!({"frames": [frame("train\\r_0"), frame("./train/R_1.PNG")]});
        json.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        std::fs::write(dir.path().join("transforms_train.json"), json.to_string()).unwrap();
    };
    write(serde_json::json!({"fl_x": 30.0, "cx": 8.0, "cy": 10.0, "w": 20, "h": 20}));
    let scene = load(dir.path(), &LoadOptions::default()).unwrap();
    let camera = scene.views[1].camera;
    assert_eq!((camera.focal, camera.center), (glam::Vec2::splat(30.0), glam::Vec2::new(7.5, 9.5)));
    assert_eq!(scene.views[0].path, dir.path().join("train/r_0.png"));
    assert!(
        scene.warnings.iter().any(|w| w.contains("transforms_train.json: frame 0 (train\\r_0)")),
        "{:?}",
        scene.warnings
    );
    write(serde_json::json!({"camera_angle_x": 1.0, "camera_model": "OPENCV_FISHEYE"}));
    let message = load(dir.path(), &LoadOptions::default()).unwrap_err().to_string();
    assert!(message.contains("fl_x beside a fisheye"), "{message}");
    write(serde_json::json!({"camera_angle_x": 1.0, "w": 20, "h": 30}));
    let message = load(dir.path(), &LoadOptions::default()).unwrap_err().to_string();
    assert!(message.contains("20x30") && message.contains("20x20"), "{message}");
}

/// Cameras around a place, at a distance and looking at it.
fn around(place: glam::DVec3, distance: f64) -> Vec<[f64; 16]> {
    let pose = |i: usize| {
        let angle = i as f64 * 0.7;
        let offset = glam::DVec3::new(0.8 * angle.cos(), 0.8 * angle.sin(), 0.6) * distance;
        crate::pose::look_along(offset, glam::DVec3::Z, place + offset).unwrap().transpose().to_cols_array()
    };
    (0..9).map(pose).collect()
}

#[test]
fn depths_2_to_6_are_for_cameras_that_fit() {
    let load = |poses: &[[f64; 16]], opaque: bool| {
        let dir = tempfile::tempdir().unwrap();
        write_split(dir.path(), "train", 1.0, poses);
        if opaque {
            let paths = (0..poses.len()).map(|i| dir.path().join(format!("train/r_{i}.png")));
            paths.for_each(|path| ::image::RgbImage::new(20, 20).save(path).unwrap());
        }
        load(dir.path(), &LoadOptions::default()).unwrap()
    };
    let synthetic = load(&around(glam::DVec3::ZERO, 4.031_128_874), false);
    assert_eq!((synthetic.near, synthetic.far, synthetic.scene_from_file), (2.0, 6.0, crate::Similarity::IDENTITY));
    assert_eq!(synthetic.warnings.len(), 1, "{:?}", synthetic.warnings);
    // Smaller, larger and elsewhere: the same scene.
    for (place, distance) in [(glam::DVec3::ZERO, 1.6), (glam::DVec3::ZERO, 12.0), (glam::DVec3::X * 40.0, 4.0)] {
        let other = load(&around(place, distance), false);
        assert!((other.near - 2.0).abs() < 1e-3 && (other.far - 6.0).abs() < 1e-3, "{} {}", other.near, other.far);
        assert!(other.warnings.iter().any(|w| w.contains("depths are 2 to 6")), "{:?}", other.warnings);
        for (a, b) in synthetic.views.iter().zip(&other.views) {
            assert!(a.camera.world_from_camera.abs_diff_eq(b.camera.world_from_camera, 1e-4));
        }
        assert!(other.scene_from_file.point(place).length() < 1e-9);
    }
    // Photographs have a background, as with one file.
    let photographs = load(&around(glam::DVec3::ZERO, 1.6), true);
    assert!((photographs.near - 4.0 / 3.0).abs() < 1e-6 && (photographs.far / photographs.near - 16.0).abs() < 1e-3);
}

#[test]
fn missing_test_pictures_stop_only_the_test() {
    let dir = tempfile::tempdir().unwrap();
    for (name, count) in [("train", 5), ("test", 3)] {
        write_split(dir.path(), name, 1.0, &around(glam::DVec3::ZERO, 4.0)[..count]);
    }
    std::fs::remove_file(dir.path().join("test/r_1.png")).unwrap();
    let scene = load(dir.path(), &LoadOptions::default()).unwrap();
    assert_eq!((scene.source_ids.len(), scene.held_out.len(), scene.split), (5, 0, None));
    assert!(scene.warnings[0].contains("1 of 8 missing") && scene.warnings[0].contains("no view is held out"));
    let options = LoadOptions { split: Some(Split::Test), ..LoadOptions::default() };
    let message = load(dir.path(), &options).unwrap_err().to_string();
    assert!(message.contains("transforms_test.json") && message.contains("test/r_1.png"), "{message}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn damaged_files_never_panic(cut in 0usize..400, at in 0usize..400, to in any::<u8>()) {
        let dir = tempfile::tempdir().unwrap();
        write_split(dir.path(), "train", 1.0, &[POSE]);
        let path = dir.path().join("transforms_train.json");
        let mut bytes = std::fs::read(&path).unwrap();
        let at = at % bytes.len();
        bytes[at] = to;
        bytes.truncate(cut);
        std::fs::write(&path, bytes).unwrap();
        if let Ok(scene) = load(dir.path(), &LoadOptions::default()) {
            prop_assert!(scene.views.iter().all(|v| v.camera.validate("read").is_ok()));
        }
    }
}
