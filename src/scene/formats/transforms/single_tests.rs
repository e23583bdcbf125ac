//! nerfstudio scenes: whole folders, intrinsics, splits, bounds, and files that must be refused.

use super::*;
use crate::formats::load;
use crate::pose::{look_along, opengl_pose};
use crate::{FAR_EVAL, Similarity};
use ::image::{GrayImage, Luma};
use glam::DVec3;
use proptest::prelude::*;
use serde_json::{Value, json};

/// f32 rounding of poses and intrinsics.
const TOLERANCE: f32 = 1e-4;
/// Where the test cameras look.
const CENTER: DVec3 = DVec3::new(3.0, -2.0, 7.0);
/// How far they are from it.
const DISTANCE: f64 = 5.0;

fn matrix(pose: DMat4) -> Value {
    json!(pose.transpose().to_cols_array_2d())
}

/// Cameras around [`CENTER`], with names that sort in the order of the cameras.
fn ring(count: usize) -> Value {
    let frame = |i: usize| {
        let angle = 0.2 + i as f64 * 0.7;
        let offset = DVec3::new(0.8 * angle.cos(), 0.8 * angle.sin(), 0.6) * DISTANCE;
        let pose = look_along(offset, DVec3::Z, CENTER + offset).unwrap();
        json!({"file_path": format!("images/{i:02}.png"), "transform_matrix": matrix(pose)})
    };
    json!({"fl_x": 40.0, "fl_y": 42.0, "w": 31, "h": 33.0, "frames": (0..count).map(frame).collect::<Vec<_>>()})
}

/// A folder with the file and an image of 31×33 for each frame that has none.
fn folder(json: &Value) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    write(&dir, json);
    for frame in json["frames"].as_array().unwrap() {
        add_image(&dir, frame["file_path"].as_str().unwrap(), (31, 33));
    }
    dir
}

fn write(dir: &tempfile::TempDir, json: &Value) {
    std::fs::write(dir.path().join("transforms.json"), json.to_string()).unwrap();
}

fn add_image(dir: &tempfile::TempDir, name: &str, (width, height): (u32, u32)) {
    let path = dir.path().join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    GrayImage::from_fn(width, height, |x, y| Luma([(x * 5 + y) as u8])).save(path).unwrap();
}

fn scene(json: &Value, options: LoadOptions) -> Scene {
    load(folder(json).path(), &options).unwrap()
}

fn error(json: &Value) -> String {
    load(folder(json).path(), &LoadOptions::default()).unwrap_err().to_string()
}

/// Scene with one value more or other in the file, and in its second frame.
fn edited(shared: &[(&str, Value)], own: &[(&str, Value)]) -> Value {
    let mut json = ring(5);
    shared.iter().for_each(|(key, value)| json[*key] = value.clone());
    own.iter().for_each(|(key, value)| json["frames"][1][*key] = value.clone());
    json
}

#[test]
fn the_place_that_is_looked_at_becomes_the_origin() {
    let scene = scene(&ring(9), LoadOptions::default());
    assert!(scene.warnings.is_empty(), "{:?}", scene.warnings);
    assert_eq!((scene.format, scene.views.len(), scene.size()), (Format::Nerfstudio, 9, (31, 33)));
    assert_eq!((scene.held_out.as_slice(), scene.source_ids.len()), ([0, 8].as_slice(), 7));
    assert_eq!((scene.split, scene.views[3].name.as_str()), (Some(Split::HeldOut), "03"));
    // Half the distance is near, and that is 4/3.
    assert!((scene.scene_from_file.scale * DISTANCE - 8.0 / 3.0).abs() < 1e-6, "{:?}", scene.scene_from_file);
    assert_eq!(scene.depth_range(FAR_EVAL), scene.depth_range(1.0));
    assert!((scene.near - 4.0 / 3.0).abs() < TOLERANCE && (scene.far / scene.near - 16.0).abs() < TOLERANCE);
    for view in &scene.views {
        let camera = view.camera;
        assert!((camera.origin().length() - 8.0 / 3.0).abs() < TOLERANCE);
        assert!((camera.forward() + camera.origin().normalize()).length() < TOLERANCE, "{}", camera.forward());
        // Axes as in the file: up is z.
        assert!((camera.origin().z - 1.6).abs() < TOLERANCE, "{}", camera.origin());
        assert!((camera.focal - glam::Vec2::new(40.0, 42.0)).length() < TOLERANCE);
        // The middle of 31×33 pixels is the centre of pixel (15, 16).
        assert!((camera.center - glam::Vec2::new(15.0, 16.0)).length() < TOLERANCE, "{}", camera.center);
    }
}

#[test]
fn cameras_that_face_one_way_are_recentred_as_llff() {
    let mut json = ring(0);
    let turned = DMat4::from_rotation_translation(glam::DQuat::from_rotation_y(0.8), DVec3::splat(9.0));
    let frame = |i: i32| {
        let pose = turned * DMat4::from_translation(DVec3::X * f64::from(i));
        json!({"file_path": format!("{i}.png"), "transform_matrix": &matrix(pose).as_array().unwrap()[..3]})
    };
    json["frames"] = (0..5).map(frame).collect();
    let scene = scene(&json, LoadOptions { hold_every: 0, ..LoadOptions::default() });
    assert_eq!((scene.source_ids.len(), scene.held_out.len(), scene.split), (5, 0, None));
    // The extent is 4, so that near is 3.
    for (i, view) in scene.views.iter().enumerate() {
        let pose = opengl_pose(view.camera.world_from_camera);
        let expected = DMat4::from_translation(DVec3::X * (i as f64 - 2.0) * 4.0 / 9.0);
        assert!(pose.abs_diff_eq(expected, 1e-5), "{i}: {pose}");
    }
    assert!((scene.far - 80.0 * 4.0 / 9.0).abs() < TOLERANCE, "{}", scene.far);
}

#[test]
fn bounds_in_the_file_count() {
    let options = LoadOptions::default();
    let wide = scene(&edited(&[("near", json!(0.5)), ("far", json!(50.0))], &[]), options);
    assert!((wide.far / wide.near - 100.0).abs() < 1e-3 && (wide.scene_from_file.scale - 4.0 / 1.5).abs() < 1e-4);
    let near = scene(&edited(&[("near", json!(0.5))], &[]), options);
    assert!((near.far / near.near - 80.0).abs() < 1e-3, "{}", near.far);
    // One camera tells no depth, but may be told.
    let mut single = ring(1);
    assert!(error(&single).contains("near and far"), "{}", error(&single));
    (single["near"], single["far"]) = (json!(1.0), json!(2.0));
    let single = scene(&single, LoadOptions { hold_every: 0, ..options });
    assert!((single.depth_range(FAR_EVAL)[1] - 8.0 / 3.0).abs() < TOLERANCE);
    assert!(single.warnings.iter().any(|w| w.contains("degenerate")), "{:?}", single.warnings);
    for (near, far) in [(0.0, 1.0), (-1.0, 1.0), (2.0, 2.0), (2.0, 1.0), (1e-300, 1.0), (1e-30, 1e30)] {
        let message = error(&edited(&[("near", json!(near)), ("far", json!(far))], &[]));
        assert!(message.contains("transforms.json") && message.contains("0 < near < far"), "{message}");
    }
    assert!(error(&edited(&[("far", json!(0.1))], &[])).contains("from the cameras"));
}

#[test]
fn intrinsics_fit_the_stored_and_the_reduced_image() {
    let centre = [("cx", json!(60.0)), ("cy", json!(70.0))];
    let full = [("w", json!(124)), ("h", json!(132)), ("fl_x", json!(160)), ("fl_y", json!(168.0))];
    let json = edited(&[centre.as_slice(), &full].concat(), &[]);
    let camera = scene(&json, LoadOptions::default()).views[0].camera;
    assert!((camera.focal - glam::Vec2::new(40.0, 42.0)).length() < TOLERANCE, "{}", camera.focal);
    assert!((camera.center - glam::Vec2::new(14.5, 17.0)).length() < TOLERANCE, "{}", camera.center);
    let reduced = scene(&json, LoadOptions { factor: Some(2), ..LoadOptions::default() });
    assert_eq!((reduced.size(), reduced.views[2].stored_size), ((15, 16), (31, 33)));
    let camera = reduced.views[0].camera;
    let expected = glam::Vec2::new(15.0 * 15.0 / 31.0 - 0.5, 17.5 * 16.0 / 33.0 - 0.5);
    assert!((camera.center - expected).length() < TOLERANCE, "{} {expected}", camera.center);
    assert!(load(folder(&json).path(), &LoadOptions { factor: Some(32), ..LoadOptions::default() }).is_err());
}

/// What a frame gives is not mixed with what the file gives for another camera.
#[test]
fn a_frame_overrides_what_all_have() {
    let own = [("fl_x", json!(50.0)), ("fl_y", json!(52.0)), ("cx", json!(10.0)), ("k1", json!(0.1))];
    let changed = scene(&edited(&[("k2", json!(0.05))], &own), LoadOptions::default());
    let lens = |i: usize| changed.views[i].distortion.unwrap();
    assert_eq!((lens(0).coefficients().radial, lens(0).focal().x), ([0.0, 0.05, 0.0, 0.0], 40.0));
    // The file's k2 is for the file's focal length.
    assert_eq!((lens(1).coefficients().radial, lens(1).focal()), ([0.1, 0.0, 0.0, 0.0], DVec2::new(50.0, 52.0)));
    assert_eq!((lens(1).center(), lens(2)), (DVec2::new(9.5, 16.0), lens(0)));
    // Without coefficients of its own, the frame is incomplete, unless its focal length is nearly the file's.
    let zoomed = &[("fl_x", json!(50.0)), ("fl_y", json!(52.0))];
    let message = error(&edited(&[("k2", json!(0.05))], zoomed));
    assert!(message.contains("frame 1") && message.contains("k1 and its kind"), "{message}");
    assert!(scene(&edited(&[], zoomed), LoadOptions::default()).views[1].distortion.is_none());
    let nearly = &[("fl_x", json!(40.5)), ("fl_y", json!(42.5))];
    let nearly = scene(&edited(&[("k2", json!(0.05))], nearly), LoadOptions::default());
    assert_eq!(nearly.views[1].distortion.unwrap().coefficients().radial[1], 0.05);
    // One focal length means square pixels; the file's are not.
    let message = error(&edited(&[], &[("fl_x", json!(50.0))]));
    assert!(message.contains("both axes") && message.contains("40 and 42"), "{message}");
    // A size of its own: what is in pixels has to stand beside it.
    let double = [("w", json!(62)), ("h", json!(66))];
    assert!(error(&edited(&[], &double)).contains("fl_x beside the frame's own w and h of 62x66"));
    let whole = [double.as_slice(), &[("fl_x", json!(80.0)), ("fl_y", json!(84.0))]].concat();
    let camera = scene(&edited(&[], &whole), LoadOptions::default()).views[1].camera;
    assert!((camera.focal - glam::Vec2::new(40.0, 42.0)).length() < TOLERANCE, "{}", camera.focal);
    assert!(error(&edited(&[("cx", json!(15.0))], &whole)).contains("cx beside the frame's own w and h"));
    // The pinhole camera is the lens's.
    for view in &changed.views {
        let expected = view.distortion.unwrap().focal() * view.distortion.unwrap().zoom();
        assert!((view.camera.focal.as_dvec2() - expected).length() < 1e-4);
        assert!(!view.load_image().unwrap_err().to_string().contains("transforms"));
    }
    // A right angle sees as far to the side as ahead.
    let mut angle = edited(&[("camera_angle_x", json!(std::f64::consts::FRAC_PI_2))], &[]);
    angle.as_object_mut().unwrap().retain(|key, _| !key.starts_with("fl"));
    let camera = scene(&angle, LoadOptions::default()).views[0].camera;
    assert!((camera.focal - 15.5).length() < TOLERANCE, "{}", camera.focal);
    angle["frames"][1]["camera_angle_y"] = json!(std::f64::consts::FRAC_PI_2);
    let camera = scene(&angle, LoadOptions::default()).views[1].camera;
    assert!((camera.focal - 16.5).length() < TOLERANCE, "the frame's own, with square pixels: {}", camera.focal);
}

#[test]
fn distorted_photographs_are_straightened() {
    let dir = folder(&edited(&[("k1", json!(0.2)), ("p2", json!(-0.01)), ("camera_model", json!("OPENCV"))], &[]));
    let scene = load(dir.path(), &LoadOptions { factor: Some(2), ..LoadOptions::default() }).unwrap();
    let image = scene.views[4].load_image().unwrap();
    assert_eq!((image.width, image.height), (15, 16));
    assert!(scene.views[4].camera.focal.x > 20.0, "{}", scene.views[4].camera.focal);
    // The colours are a plane over the pixels, so that those of the middle stay and the corner's come from inside.
    assert!((image.pixel(7, 8)[0] - (7.5 * 10.0 + 8.0 * 2.0) / 255.0).abs() < 0.03, "{:?}", image.pixel(7, 8));
    assert!(image.pixel(0, 0)[0] > 0.0);
}

#[test]
fn images_are_found_and_named() {
    let mut json = ring(4);
    for (i, path) in ["./b/1.5", "a/0001", "a/0002.png", "b/0001.JPG"].iter().enumerate() {
        json["frames"][i]["file_path"] = json!(path);
    }
    let dir = tempfile::tempdir().unwrap();
    json["frames"][2]["file_path"] = json!(dir.path().join("a/0002.png"));
    json["frames"][2]["mask_path"] = json!("m/0002");
    write(&dir, &json);
    for name in ["b/1.5.jpg", "a/0001.jpeg", "a/0002.png", "b/0001.JPG", "m/0002.png"] {
        add_image(&dir, name, (31, 33));
    }
    let scene = load(dir.path(), &LoadOptions::default()).unwrap();
    let names: Vec<_> = scene.views.iter().map(|v| v.name.as_str()).collect();
    assert_eq!(names, ["a_0001", "a_0002", "b_0001", "b_1.5"]);
    let expected = ["transforms.json", "a/0001.jpeg", "a/0002.png", "b/0001.JPG", "b/1.5.jpg", "m/0002.png"];
    assert_eq!(crate::formats::files(&scene), expected.map(|name| dir.path().join(name)));
    // The gradient's darker corner is left out.
    let mask = scene.views[1].load_mask().unwrap().unwrap();
    assert_eq!((mask.len(), mask[0], mask[mask.len() - 1]), (31 * 33, false, true));
    assert_eq!(scene.views[0].load_mask().unwrap(), None);

    std::fs::remove_file(dir.path().join("b/1.5.jpg")).unwrap();
    let message = load(dir.path(), &LoadOptions::default()).unwrap_err().to_string();
    assert!(message.contains("frame 0") && message.contains("b/1.5"), "{message}");
    add_image(&dir, "b/1.5.jpg", (31, 32));
    assert!(load(dir.path(), &LoadOptions::default()).unwrap_err().to_string().contains("31x32"));
}

#[test]
fn lists_in_the_file_are_the_splits() {
    let names = |ids: &[usize]| json!(ids.iter().map(|i| format!("images/{i:02}.png")).collect::<Vec<_>>());
    let lists = [("train_filenames", names(&[0, 2])), ("val_filenames", names(&[4, 1]))];
    let dir = folder(&edited(&[lists.as_slice(), &[("test_filenames", names(&[3]))]].concat(), &[]));
    assert_eq!(crate::formats::splits(dir.path()).unwrap(), [Split::Test, Split::Val]);
    let options = |split| LoadOptions { split, ..LoadOptions::default() };
    for (split, held_out) in [(None, [3].as_slice()), (Some(Split::Test), &[3]), (Some(Split::Val), &[1, 4])] {
        let scene = load(dir.path(), &options(split)).unwrap();
        assert_eq!(
            (scene.source_ids.as_slice(), scene.held_out.as_slice()),
            ([0, 2].as_slice(), held_out),
            "{split:?}"
        );
        assert_eq!((scene.split, scene.views.len()), (split.or(Some(Split::Test)), 5));
    }
    let message = load(dir.path(), &options(Some(Split::HeldOut))).unwrap_err().to_string();
    assert!(message.contains("held-out") && message.contains("test and val"), "{message}");

    // Without a training list the rest is for training.
    let dir = folder(&edited(&[("val_filenames", names(&[4]))], &[]));
    assert_eq!(load(dir.path(), &options(None)).unwrap().source_ids, [0, 1, 2, 3]);
    assert!(load(dir.path(), &options(Some(Split::Test))).unwrap_err().to_string().contains("found val"));
    let dir = folder(&edited(&[("train_filenames", names(&[4]))], &[]));
    let scene = load(dir.path(), &options(None)).unwrap();
    assert_eq!((scene.source_ids.as_slice(), scene.held_out.len(), scene.split), ([4].as_slice(), 0, None));
    assert!(scene.warnings[0].contains("no view is held out"));
    // What is held out is no source, even if it is listed for training.
    let dir = folder(&edited(&[lists[0].clone(), ("test_filenames", names(&[1, 2]))], &[]));
    let scene = load(dir.path(), &options(None)).unwrap();
    assert_eq!((scene.source_ids.as_slice(), scene.held_out.as_slice()), ([0].as_slice(), [1, 2].as_slice()));
    assert!(scene.warnings[0].ends_with("no sources: 1"), "{:?}", scene.warnings);
    // Lists without names say nothing.
    let dir = folder(&edited(&[("test_filenames", names(&[])), ("val_filenames", names(&[1]))], &[]));
    assert_eq!(crate::formats::splits(dir.path()).unwrap(), [Split::Val]);
    assert_eq!(load(dir.path(), &options(None)).unwrap().held_out, [1]);
    let dir = folder(&edited(&[("test_filenames", names(&[])), ("train_filenames", names(&[]))], &[]));
    assert_eq!(crate::formats::splits(dir.path()).unwrap(), [Split::HeldOut]);
    let message = error(&edited(&[("val_filenames", names(&[7]))], &[]));
    assert!(message.contains("val_filenames") && message.contains("07.png"), "{message}");

    let dir = folder(&ring(3));
    assert_eq!(crate::formats::splits(dir.path()).unwrap(), [Split::HeldOut]);
    assert!(load(dir.path(), &options(Some(Split::HeldOut))).is_ok());
    let none = LoadOptions { hold_every: 0, ..options(Some(Split::HeldOut)) };
    assert!(load(dir.path(), &none).unwrap_err().to_string().contains("found none"));
}

#[test]
fn bad_values_are_named() {
    let mut skewed = matrix(DMat4::IDENTITY);
    skewed[0][1] = json!(0.3);
    let mut projective = matrix(DMat4::IDENTITY);
    projective[3][0] = json!(1.0);
    let mirrored = matrix(DMat4::from_scale(DVec3::new(-1.0, 1.0, 1.0)));
    let scaled = matrix(DMat4::from_scale(DVec3::splat(2.0)));
    let far = matrix(DMat4::from_translation(DVec3::X * 1e60));
    for (key, value, expected) in [
        ("fl_x", json!(0.0), "fl_x"),
        ("fl_x", json!(-3.0), "fl_x"),
        ("fl_y", json!(0.0), "fl_y"),
        ("fl_x", json!(1e300), "both axes"),
        ("x_fov", json!(180), "x_fov between 0 and 180"),
        ("k5", json!(0.1), "\"k5\" of 0.1"),
        ("ftheta_p0", json!(1), "\"ftheta_p0\""),
        ("latlong", json!(true), "\"latlong\""),
        ("equirectangular", json!(true), "\"equirectangular\""),
        ("camera_type", json!("fisheye"), "\"FISHEYE\""),
        ("cx", json!(31.5), "cx within the picture's width of 31"),
        ("cy", json!(-1), "cy within the picture's height of 33"),
        ("cx", json!("a"), "cx to be a number, found the text"),
        ("w", json!(0), "w to be"),
        ("h", json!(-31), "h to be"),
        ("w", json!(1e300), "shape"),
        ("h", json!(66), "shape"),
        ("cx", json!(1e300), "cx within"),
        ("camera_angle_x", json!(3.2), "camera_angle_x"),
        ("camera_angle_y", json!(0.0), "camera_angle_y"),
        ("k1", json!(-20.0), "fold"),
        ("k1", json!(1e300), "fold"),
        ("camera_model", json!("OPENCV_FISHEYE"), "\"OPENCV_FISHEYE\""),
        ("camera_model", json!("EQUIRECTANGULAR"), "SIMPLE_RADIAL"),
        ("is_fisheye", json!(true), "is_fisheye"),
        ("transform_matrix", skewed, "orthonormal"),
        ("transform_matrix", scaled, "orthonormal"),
        ("transform_matrix", mirrored, "right-handed"),
        ("transform_matrix", projective, "0 0 0 1"),
        ("transform_matrix", far, "finite"),
        ("transform_matrix", json!([]), "4 rows of 4 numbers, found 0"),
        ("transform_matrix", json!(vec![[0.0; 4]; 5]), "4 rows of 4 numbers, found 5"),
    ] {
        let message = error(&edited(&[], &[(key, value)]));
        for part in ["transforms.json", "frame 1", "01.png", expected] {
            assert!(message.contains(part), "{key}: {message}");
        }
    }
    let mut json = ring(3);
    json.as_object_mut().unwrap().remove("fl_x");
    json.as_object_mut().unwrap().remove("fl_y");
    assert!(error(&json).contains("fl_x, fl_y, camera_angle_x"), "{}", error(&json));
    json["frames"] = json!([]);
    assert!(error(&json).contains("at least one frame"));
    let message = error(&edited(&[], &[("file_path", json!("images/./00.png"))]));
    assert!(message.contains("frames 0 and 1") && message.contains("twice"), "{message}");
    let message = error(&edited(&[], &[("mask_path", json!("masks/none.png"))]));
    assert!(message.contains("frame 1") && message.contains("mask_path") && message.contains("none.png"), "{message}");
}

#[test]
fn text_that_is_no_such_json_is_refused() {
    let dir = folder(&ring(2));
    let text = ring(2).to_string();
    let cases = [
        (text.replace("40.0", "NaN"), "frame 0 (images/00.png): expected fl_x to be a positive number, found NaN"),
        (text.replacen("10.0", "NaN", 1), "frame 0 (images/00.png): expected a finite pose, found NaN"),
        (text.replace("40.0", "1e999"), "JSON"),
        (text.replace("40.0", "\"40\""), "fl_x to be a number, found the text \"40\""),
        (
            text.replace("\"frames\"", "\"frame\""),
            "the key frames with a list of photographs, found the keys fl_x, fl_y",
        ),
        (text.replace("\"file_path\"", "\"file\""), "frame 0: expected file_path"),
        (text.replace("\"transform_matrix\"", "\"matrix\""), "frame 0 (images/00.png): expected transform_matrix"),
        ("[".repeat(100_000), "JSON"),
        ("{ // of Tuesday\n}".to_owned(), "line 1"),
        (String::new(), "JSON"),
        (r#"{"frames": [3]}"#.to_owned(), "frame 0: expected an object, found 3"),
        (r#"{"frames": {}}"#.to_owned(), "frames to be a list"),
    ];
    for (case, expected) in cases {
        std::fs::write(dir.path().join("transforms.json"), &case).unwrap();
        let message = load(dir.path(), &LoadOptions::default()).unwrap_err().to_string();
        assert!(message.contains("transforms.json") && message.contains(expected), "{case}: {message}");
    }
    // What nothing uses does no harm, and neither does a mark before the text.
    let odd = text.replacen('{', "{\"exposure\": NaN, \"camera_model\": \"opencv\",", 1);
    std::fs::write(dir.path().join("transforms.json"), format!("\u{feff}{odd}")).unwrap();
    load(dir.path(), &LoadOptions::default()).unwrap();
}

/// One camera, given in every way.
#[test]
fn intrinsics_of_every_form_are_one_camera() {
    let square = |value: Value| {
        let mut json = ring(3);
        let object = json.as_object_mut().unwrap();
        for key in ["fl_x", "fl_y", "w", "h"] {
            object.remove(key);
        }
        object.extend(value.as_object().unwrap().clone());
        scene(&json, LoadOptions::default()).views[1].camera
    };
    let radians = |extent: f64| 2.0 * (0.5 * extent / 40.0f64).atan();
    let expected = square(json!({"fl_x": 40.0}));
    for form in [
        json!({"fl_y": 40.0}),
        json!({"fl_x": 40.0, "fl_y": 40.0, "cx": 15.5, "cy": 16.5, "w": 31, "h": 33}),
        json!({"fl_x": 80.0, "cx": 31.0, "cy": 33.0, "w": 62, "h": 66}),
        json!({"camera_angle_x": radians(31.0)}),
        json!({"camera_angle_y": radians(33.0)}),
        json!({"camera_angle_x": radians(31.0), "camera_angle_y": radians(33.0), "fl_x": null}),
        json!({"x_fov": radians(31.0).to_degrees()}),
        json!({"y_fov": radians(33.0).to_degrees(), "k1": 0, "k5": 0.0, "is_fisheye": false, "rolling_shutter": [0, 0, 0]}),
    ] {
        let camera = square(form.clone());
        assert!((camera.focal - expected.focal).length() < 1e-4, "{form}: {}", camera.focal);
        assert!((camera.center - expected.center).length() < 1e-4, "{form}: {}", camera.center);
    }
    assert_eq!(expected.center, crate::middle(31, 33));
    // Values for pictures of another size that show by the field of view beside them.
    let mut json = ring(3);
    for key in ["fl_y", "w", "h"] {
        json.as_object_mut().unwrap().remove(key);
    }
    json["camera_angle_x"] = json!(radians(31.0) / 2.0);
    assert!(error(&json).contains("pictures of different sizes"), "{}", error(&json));
    (json["w"], json["h"]) = (json!(31), json!(33));
    assert!(scene(&json, LoadOptions::default()).warnings[0].contains("contradicts"));
}

#[test]
fn missing_pictures_stop_what_needs_them() {
    let dir = folder(&ring(17));
    let remove = |i: usize| std::fs::remove_file(dir.path().join(format!("images/{i:02}.png"))).unwrap();
    let load = |split| load(dir.path(), &LoadOptions { split, ..LoadOptions::default() });
    remove(8);
    let scene = load(None).unwrap();
    assert_eq!((scene.views.len(), scene.held_out.len(), scene.source_ids.len(), scene.split), (16, 0, 14, None));
    assert!(scene.warnings[0].contains("1 of 17 missing: \"images/08.png\" of frame 8"), "{:?}", scene.warnings);
    assert!(load(Some(Split::HeldOut)).unwrap_err().to_string().contains("1 of 17 missing"));
    (3..6).for_each(remove);
    let message = load(None).unwrap_err().to_string();
    assert!(message.contains("4 of 17 missing: \"images/03.png\" of frame 3"), "{message}");
}

#[test]
fn names_of_other_systems_are_read_with_a_word() {
    let mut json = ring(5);
    for i in 0..5 {
        json["frames"][i]["file_path"] = json!(format!(".\\Images\\{i:02}.PNG"));
    }
    let dir = folder(&ring(5));
    write(&dir, &json);
    let scene = load(dir.path(), &LoadOptions::default()).unwrap();
    assert_eq!(scene.views[4].path, dir.path().join("images/04.png"));
    assert_eq!(scene.warnings.len(), 1);
    assert!(scene.warnings[0].contains("backslashes and letter case; 5 such names"), "{:?}", scene.warnings);
}

#[test]
fn a_stray_pose_is_left_out() {
    let good = scene(&ring(10), LoadOptions::default());
    let mut json = ring(10);
    let pose = DMat4::from_cols_array_2d(
        &serde_json::from_value::<[[f64; 4]; 4]>(json["frames"][3]["transform_matrix"].clone()).unwrap(),
    );
    let mut away = pose.transpose();
    away.w_axis = (away.w_axis.truncate() * 100.0).extend(1.0);
    json["frames"][3]["transform_matrix"] = matrix(away);
    let stray = scene(&json, LoadOptions::default());
    assert_eq!((stray.views.len(), stray.held_out.as_slice()), (9, [0, 7].as_slice()));
    assert_eq!(stray.views[7].name, "08");
    assert!(
        stray.warnings[0].contains("frame 3 (images/03.png): its camera stands absurdly far"),
        "{:?}",
        stray.warnings
    );
    assert!((stray.far / good.far - 1.0).abs() < 0.2, "{} {}", stray.far, good.far);
}

/// Moved, scaled and turned worlds, frames in another order and cropped pictures are the same scene.
#[test]
fn the_worlds_frame_and_the_order_of_frames_do_not_matter() {
    let original = scene(&ring(9), LoadOptions::default());
    for (scale, offset) in
        [(1.0, DVec3::new(5.0e5, 4.6e6, 120.0)), (1e4, DVec3::ZERO), (1e-4, DVec3::new(1.0, 2.0, -3.0))]
    {
        let turn = glam::DQuat::from_euler(glam::EulerRot::XYZ, 0.3, -1.2, 2.0);
        let to = Similarity { rotation: glam::DMat3::from_quat(turn), scale, translation: offset };
        let mut json = ring(9);
        for frame in json["frames"].as_array_mut().unwrap() {
            let rows: [[f64; 4]; 4] = serde_json::from_value(frame["transform_matrix"].clone()).unwrap();
            frame["transform_matrix"] = matrix(to.pose(DMat4::from_cols_array_2d(&rows).transpose()));
        }
        json["frames"].as_array_mut().unwrap().rotate_left(4);
        let moved = scene(&json, LoadOptions::default());
        assert!((moved.far - original.far).abs() < 1e-3 && (moved.near - original.near).abs() < 1e-6);
        assert_eq!((&moved.source_ids, &moved.held_out), (&original.source_ids, &original.held_out));
        // The axes stay as in the file, so that only the turn is left.
        let turned = glam::Mat4::from_quat(turn.as_quat());
        for (a, b) in original.views.iter().zip(&moved.views) {
            assert_eq!(a.name, b.name);
            let expected = turned * a.camera.world_from_camera;
            assert!(b.camera.world_from_camera.abs_diff_eq(expected, 1e-4), "{} {scale}", a.name);
            // The transform leads from the one file to the scene as from the other.
            let place = DVec3::new(0.3, -0.2, 0.7) + CENTER;
            let [from_moved, from_original] =
                [moved.scene_from_file.point(to.point(place)), turn * original.scene_from_file.point(place)];
            assert!((from_moved - from_original).length() < 1e-5, "{from_moved} {from_original}");
        }
    }
    // Six columns less on the left and four rows less below.
    let mut json = ring(9);
    (json["cx"], json["cy"], json["w"], json["h"]) = (json!(9.5), json!(16.5), json!(25), json!(29));
    let dir = tempfile::tempdir().unwrap();
    write(&dir, &json);
    (0..9).for_each(|i| add_image(&dir, &format!("images/{i:02}.png"), (25, 29)));
    let cropped = load(dir.path(), &LoadOptions::default()).unwrap();
    for (a, b) in original.views.iter().zip(&cropped.views) {
        let (whole, part) = (a.camera.ray(glam::Vec2::new(17.0, 11.0)), b.camera.ray(glam::Vec2::new(11.0, 11.0)));
        assert!((whole.direction - part.direction).length() < 1e-6 && whole.origin == part.origin);
    }
}

#[test]
#[ignore = "needs SHIFTRAY_SCENES"]
fn real_fox_loads() {
    let root = crate::locate("nerfstudio/fox", &[]).unwrap();
    let scene = load(&root, &LoadOptions::default()).unwrap();
    assert_eq!((scene.name.as_str(), scene.views.len(), scene.size()), ("fox", 50, (270, 480)));
    assert_eq!((scene.held_out.as_slice(), scene.warnings.len()), ([0, 8, 16, 24, 32, 40, 48].as_slice(), 0));
    assert_eq!(crate::formats::files(&scene).len(), 51);
    let image = scene.views[49].load_image().unwrap();
    assert_eq!((image.width, image.height), (270, 480));
    let zoom = scene.views[0].distortion.unwrap().zoom();
    assert!((0.97..1.03).contains(&zoom), "{zoom}");
    // The fox is what all look at.
    let orbit = crate::paths::frames(&scene, &crate::PathKind::Orbit, Some(3)).unwrap();
    let distance = orbit[0].camera.origin().length();
    assert!(distance > scene.near && distance < scene.far, "{distance}");
    let reduced = load(&root, &LoadOptions { factor: Some(7), ..LoadOptions::default() }).unwrap();
    assert_eq!(reduced.size(), (38, 68));
    assert_eq!(reduced.views[7].load_image().unwrap().height, 68);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn damaged_files_never_panic(cut in 0usize..3000, at in 0usize..3000, to in any::<u8>()) {
        let json = edited(&[("k1", json!(0.1)), ("near", json!(1.0))], &[("p1", json!(0.01))]);
        let dir = folder(&json);
        let mut bytes = json.to_string().into_bytes();
        let at = at % bytes.len();
        bytes[at] = to;
        bytes.truncate(cut);
        std::fs::write(dir.path().join("transforms.json"), bytes).unwrap();
        if let Ok(scene) = load(dir.path(), &LoadOptions::default()) {
            prop_assert!(scene.views.iter().all(|v| v.camera.validate("read").is_ok()));
        }
    }

    /// Whatever numbers are in the file, loading ends with a scene or an error.
    #[test]
    fn any_numbers_never_panic(
        values in proptest::collection::vec(any::<f64>(), 14), pose in proptest::collection::vec(any::<f64>(), 12),
        good in 0usize..20,
    ) {
        const KEYS: [&str; 14] = [
            "fl_x", "fl_y", "cx", "cy", "w", "h", "k1", "k2", "k3", "k4", "p1", "p2", "near", "far",
        ];
        // Often a single bad value, since many are refused at the first.
        let mut json = ring(3);
        for (i, (key, value)) in KEYS.iter().zip(values).enumerate() {
            if good >= KEYS.len() || i == good {
                json[*key] = json!(value);
            }
        }
        if good == 15 {
            json["frames"][1]["transform_matrix"] = json!(pose.as_chunks::<4>().0);
        }
        let dir = folder(&json);
        if let Ok(scene) = load(dir.path(), &LoadOptions::default()) {
            prop_assert!(scene.views.iter().all(|v| v.camera.validate("read").is_ok()));
            prop_assert!(scene.near > 0.0 && scene.near < scene.far && scene.far.is_finite());
        }
    }
}
