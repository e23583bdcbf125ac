//! COLMAP models in text and binary, in whatever folders, with whatever is missing.

use super::load;
use crate::procedural::{Rig, RigKind, World, WriteOptions, cameras, write_llff};
use crate::{Format, LoadOptions, Scene};
use std::fs;
use std::path::Path;

const VIEWS: usize = 9;

/// A scene in COLMAP's binary layout.
fn binary() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let world = World::random(3, RigKind::Forward);
    let rig = Rig { width: 48, height: 36, views: VIEWS, kind: RigKind::Forward, samples_per_pixel: 1 };
    let options = WriteOptions { samples_per_pixel: 1, depth: false, format: Format::Colmap, ..Default::default() };
    write_llff(&dir.path().join("scene"), &world, &cameras(&world, &rig, 3), &options, &|_| {}).unwrap();
    dir
}

fn read(root: &Path) -> Scene {
    load(root, &LoadOptions::default()).unwrap()
}

fn error(root: &Path) -> String {
    load(root, &LoadOptions::default()).unwrap_err().to_string()
}

/// Writes the model in a folder as text and takes the binary files away.
fn to_text(folder: &Path) {
    let found = super::places::model(folder, &mut Vec::new()).unwrap();
    let model = found.read().unwrap();
    let mut text = "# Camera list\n#   CAMERA_ID, MODEL, WIDTH, HEIGHT, PARAMS[]\n".to_owned();
    for (id, camera) in &model.cameras {
        let (name, [w, h]) = (super::cameras::MODELS[camera.model].0, camera.size);
        let params: Vec<String> = camera.params.iter().map(ToString::to_string).collect();
        text += &format!("{id} {name} {w} {h} {}\n", params.join(" "));
    }
    fs::write(found.folder.join("cameras.txt"), text).unwrap();
    let mut text = "# Image list\n".to_owned();
    for (i, image) in model.images.iter().enumerate() {
        let numbers: Vec<String> = image.rotation.iter().chain(&image.translation).map(ToString::to_string).collect();
        // Some images have no points, and some lines come from Windows.
        let points = if i % 2 == 0 { "" } else { "1.5 2.5 -1 7 8 3" };
        text += &format!("{} {} {} {}\r\n{points}\r\n", image.id, numbers.join(" "), image.camera, image.name);
    }
    fs::write(found.folder.join("images.txt"), text).unwrap();
    let mut text = String::new();
    found
        .each_point(&mut |point| {
            let place = point.place.to_array().map(|v| v.to_string()).join(" ");
            let track: Vec<String> = point.seen_by.iter().map(|id| format!("{id} 0")).collect();
            text += &format!("1 {place} 10 20 30 {} {}\n", point.error, track.join(" "));
        })
        .unwrap();
    fs::write(found.folder.join("points3D.txt"), text).unwrap();
    for name in ["cameras", "images", "points3D"] {
        fs::remove_file(found.folder.join(format!("{name}.bin"))).unwrap();
    }
}

#[test]
fn text_is_read_as_binary() {
    let dir = binary();
    let root = dir.path().join("scene");
    let first = read(&root);
    to_text(&root);
    let second = read(&root);
    assert_eq!(second.warnings, first.warnings);
    assert_eq!((second.near, second.far, &second.views), (first.near, first.far, &first.views));
}

#[test]
fn models_and_photographs_are_found_where_programs_leave_them() {
    for (model, images) in [
        ("sparse", "images"),
        ("sparse/2", "images"),
        ("colmap/sparse/0", "images"),
        ("dense/sparse", "dense/images"),
        ("", "images"),
        ("sparse/0", "input"),
        ("sparse/0", ""),
        ("distorted/sparse/0", "input"),
    ] {
        let dir = binary();
        let (root, to) = (dir.path().join("scene"), dir.path().join("moved"));
        for (from, folder) in [("sparse/0", model), ("images", images)] {
            fs::create_dir_all(to.join(folder)).unwrap();
            for entry in fs::read_dir(root.join(from)).unwrap().map(|entry| entry.unwrap()) {
                fs::rename(entry.path(), to.join(folder).join(entry.file_name())).unwrap();
            }
        }
        let scene = read(&to);
        assert_eq!((scene.views.len(), &scene.warnings), (VIEWS, &vec![]), "{model} {images}");
    }
    // A model may be named itself.
    let dir = binary();
    assert_eq!(read(&dir.path().join("scene/sparse/0")).views.len(), VIEWS);
}

#[test]
fn what_is_missing_is_told() {
    let dir = binary();
    let root = dir.path().join("scene");
    let image = |name: &str| root.join("images").join(name);
    fs::copy(image("000.png"), image("unregistered.png")).unwrap();
    fs::remove_file(image("004.png")).unwrap();
    let scene = read(&root);
    assert_eq!(scene.views.len(), VIEWS - 1);
    let said = |what: &[&str]| scene.warnings.iter().any(|w| what.iter().all(|part| w.contains(part)));
    assert!(said(&["images.bin", "1 missing", "004.png", "left out"]), "{:?}", scene.warnings);
    assert!(said(&["unregistered.png", "not among the images"]), "{:?}", scene.warnings);
    (5..9).for_each(|i| fs::remove_file(image(&format!("00{i}.png"))).unwrap());
    assert!(error(&root).contains("expected the photographs of 9 images"), "{}", error(&root));
    fs::rename(root.join("images"), root.join("elsewhere")).unwrap();
    let message = error(&root);
    assert!(message.contains("images.bin") && message.contains("000.png"), "{message}");
    fs::create_dir(root.join("images")).unwrap();
    (0..9).for_each(|i| fs::write(image(&format!("00{i}.HEIC")), b"ftypheic").unwrap());
    assert!(error(&root).contains("HEIC pictures are not read: convert"), "{}", error(&root));
}

#[test]
fn the_largest_of_several_models_is_taken_and_said() {
    let dir = binary();
    let root = dir.path().join("scene");
    for name in ["1", "2"] {
        fs::create_dir(root.join("sparse").join(name)).unwrap();
        for file in ["cameras.bin", "images.bin"] {
            fs::copy(root.join("sparse/0").join(file), root.join("sparse").join(name).join(file)).unwrap();
        }
    }
    // A model of no image.
    fs::write(root.join("sparse/0/images.bin"), 0u64.to_le_bytes()).unwrap();
    let scene = read(&root);
    assert!(scene.pose_files[0].ends_with("sparse/1/images.bin"), "{:?}", scene.pose_files);
    assert!(scene.warnings[0].contains("0 has 0, 1 has 9, 2 has 9"), "{:?}", scene.warnings);
    // It has no points, which is said, and so are bounds that are guessed.
    assert!(scene.warnings.iter().any(|w| w.contains("points3D is missing")), "{:?}", scene.warnings);
    assert!(scene.warnings.iter().any(|w| w.contains("--bounds")), "{:?}", scene.warnings);
}

#[test]
fn damage_is_named() {
    let dir = binary();
    let root = dir.path().join("scene");
    let images = root.join("sparse/0/images.bin");
    let good = fs::read(&images).unwrap();
    let with = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = good.clone();
        change(&mut bytes);
        fs::write(&images, bytes).unwrap();
        let message = error(&root);
        fs::write(&images, &good).unwrap();
        message
    };
    let cut = with(&|bytes| bytes.truncate(bytes.len() - 5));
    assert!(cut.contains("images.bin") && cut.contains("room for"), "{cut}");
    let huge = with(&|bytes| bytes[..8].copy_from_slice(&u64::MAX.to_le_bytes()));
    assert!(huge.contains("expected 18446744073709551615 images, found room for"), "{huge}");
    let more = with(&|bytes| bytes.push(0));
    assert!(more.contains("found 1 more bytes"), "{more}");
    let rotation = with(&|bytes| bytes[12..20].copy_from_slice(&7.0f64.to_le_bytes()));
    assert!(rotation.contains("image 1 (000.png)") && rotation.contains("unit quaternion"), "{rotation}");
    let camera = with(&|bytes| bytes[68..72].copy_from_slice(&9u32.to_le_bytes()));
    assert!(camera.contains("a camera of the model, found number 9"), "{camera}");
    let cameras = root.join("sparse/0/cameras.bin");
    let mut bytes = fs::read(&cameras).unwrap();
    bytes[12] = 17;
    bytes.truncate(bytes.len() - 16);
    fs::write(&cameras, &bytes).unwrap();
    assert!(error(&root).contains("panorama"), "{}", error(&root));
    bytes[12] = 99;
    fs::write(&cameras, &bytes).unwrap();
    assert!(error(&root).contains("to 17 (EQUIRECTANGULAR), found 99"), "{}", error(&root));
}

#[test]
fn several_cameras_and_reduced_folders_are_read() {
    let dir = binary();
    let root = dir.path().join("scene");
    to_text(&root);
    let cameras = root.join("sparse/0/cameras.txt");
    let second = "\n2 SIMPLE_RADIAL 48 36 40 24 18 -0.1\n";
    fs::write(&cameras, fs::read_to_string(&cameras).unwrap() + second).unwrap();
    let images = root.join("sparse/0/images.txt");
    let text = fs::read_to_string(&images).unwrap().replace(" 1 003.png", " 2 003.png");
    fs::write(&images, text).unwrap();
    let scene = read(&root);
    assert!(scene.views[3].distortion.is_some() && scene.views[2].distortion.is_none());
    assert!(scene.views.iter().all(|view| view.load_image().is_ok()));
    // images_2 is taken where it is there, else pictures are reduced.
    let half = LoadOptions { factor: Some(2), ..LoadOptions::default() };
    let made = load(&root, &half).unwrap();
    assert_eq!((made.size(), made.views[0].stored_size), ((24, 18), (48, 36)));
    fs::create_dir(root.join("images_2")).unwrap();
    for view in &scene.views {
        let image = crate::resample::area_downscale(&view.load_image().unwrap(), 24, 18).unwrap();
        crate::write::write_png(&root.join("images_2").join(format!("{}.png", view.name)), &image).unwrap();
    }
    let stored = load(&root, &half).unwrap();
    assert_eq!((stored.size(), stored.views[0].stored_size), ((24, 18), (24, 18)));
    assert!((stored.views[0].camera.focal - made.views[0].camera.focal).length() < 1e-3);
    assert!(load(&root, &LoadOptions { factor: Some(0), ..LoadOptions::default() }).is_err());
}

/// The model that COLMAP 4 wrote, and NeX's files beside it, are one scene.
#[test]
#[ignore = "needs SHIFTRAY_SCENES"]
fn real_canclip_is_one_scene_in_both_layouts() {
    let root = crate::locate("colmap/canclip", &[]).unwrap();
    let read = |format| {
        let options = LoadOptions { format: Some(format), ..LoadOptions::default() };
        crate::formats::load(&root, &options).unwrap()
    };
    let (colmap, nex) = (read(Format::Colmap), read(Format::Nex));
    assert_eq!((colmap.views.len(), colmap.size()), (30, (970, 543)));
    let mut ratios = [Vec::new(), Vec::new()];
    for (a, b) in colmap.views.iter().zip(&nex.views) {
        assert_eq!((&a.path, a.camera.focal, a.camera.center), (&b.path, b.camera.focal, b.camera.center));
        let [pose, other] = [(&colmap, a), (&nex, b)]
            .map(|(scene, view)| scene.scene_from_file.inverse().pose(view.camera.world_from_camera.as_dmat4()));
        let off = (pose - other).to_cols_array();
        assert!(off.iter().all(|v| v.abs() < 1e-4), "{}: {off:?}", a.name);
        let [bounds, other] = [(&colmap, a), (&nex, b)]
            .map(|(scene, view)| [view.near, view.far].map(|v| f64::from(v) / scene.scene_from_file.scale));
        for (ratios, end) in ratios.iter_mut().zip([0, 1]) {
            ratios.push(bounds[end] / other[end]);
        }
    }
    // NeX counts points that two pictures see as well, of which some are strays: its bounds are never tighter by far.
    let [near, far] = ratios.map(crate::robust::sorted);
    assert!((near[15] - 1.0).abs() < 0.01 && near[0] > 0.98, "{near:?}");
    assert!((far[15] - 1.0).abs() < 0.02 && far[29] < 1.02, "{far:?}");
    assert!((colmap.views[0].camera.center.x - 332.856).abs() < 1e-2, "{}", colmap.views[0].camera.center);
}
