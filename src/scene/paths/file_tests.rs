//! Camera path files: what is read, what is refused, what is written.

use super::*;
use crate::paths::{DEFAULT_FRAMES, PathKind, rigs};
use crate::testing;
use glam::{DVec3, Vec2, Vec3};
use proptest::prelude::*;

const POSE: &str = "[[1,0,0,-0.5],[0,1,0,2],[0,0,1,3],[0,0,0,1]]";

fn read_in(text: &str, scene: &Scene, options: &PathFileOptions) -> Result<(Vec<Frame>, Vec<String>)> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("path.json");
    std::fs::write(&path, text).unwrap();
    load(&path, scene, DEFAULT_FRAMES, options)
}

fn read(text: &str) -> Result<Vec<Frame>> {
    read_in(text, &testing::scene(&[Vec3::ZERO]), &PathFileOptions::default()).map(|(frames, _)| frames)
}

#[test]
fn own_format_takes_what_is_given_and_the_rest_from_the_photographs() {
    let text = format!(
        r#"{{"frames": [{{"camera_to_world": {POSE}}}, {{"camera_to_world": {POSE}, "name": "left",
        "w": 62, "h": 51, "fl_x": 33, "cx": 4.5}}, {{"camera_to_world": {POSE}, "w": 62, "h": 34}},
        {{"camera_to_world": {POSE}, "w": 40, "h": 100, "fov": 90}}]}}"#
    );
    let frames = read(&text).unwrap();
    let first = frames[0].camera;
    assert_eq!((frames[0].name.as_str(), first.width, first.height), ("frame_0000", 31, 17));
    assert_eq!((first.focal, first.center), (Vec2::splat(20.0), Vec2::new(15.5, 8.5)));
    assert_eq!(first.origin(), Vec3::new(-0.5, 2.0, 3.0));
    assert_eq!(first.forward(), -Vec3::Z);
    let second = frames[1].camera;
    assert_eq!((frames[1].name.as_str(), second.width, second.height), ("left", 62, 51));
    // Three times as high; of the principal point's half pixel more to the right of the middle three are left.
    assert_eq!((second.focal, second.center), (Vec2::splat(33.0), Vec2::new(4.5, 26.5)));
    // Twice the size: pixel centres stay where they are in the picture.
    assert_eq!((frames[2].camera.focal, frames[2].camera.center), (Vec2::splat(40.0), Vec2::new(31.5, 17.5)));
    assert!((frames[3].camera.focal - 50.0).length() < 1e-4);
}

/// Ours, and nerfstudio's of both ages: the frames go from the first to the last, and what one excludes, none has.
#[test]
fn key_frames_become_a_way() {
    let scene = testing::scene(&[Vec3::ZERO, Vec3::X]);
    let place = |x: f64| format!("[[1,0,0,{x}],[0,1,0,2],[0,0,1,3],[0,0,0,1]]");
    let name = &scene.views[1].name;
    let own = format!(
        r#"{{"keyframes": [{{"camera_to_world": {}, "exclude": ["{name}"]}}, {{"camera_to_world": {}}}]}}"#,
        place(0.0),
        place(4.0)
    );
    let rows = |x: f64| format!("[1,0,0,{x},0,1,0,2,0,0,1,3,0,0,0,1]");
    let columns = |x: f64| format!("\"[1,0,0,0,0,1,0,0,0,0,1,0,{x},2,3,1]\"");
    let viewer = |matrix: &dyn Fn(f64) -> String| {
        format!(
            r#"{{"keyframes": [{{"matrix": {}, "fov": 50}}, {{"matrix": {}, "fov": 50}}]}}"#,
            matrix(0.0),
            matrix(4.0)
        )
    };
    for (i, text) in [own, viewer(&rows), viewer(&columns)].iter().enumerate() {
        let (frames, warnings) = read_in(text, &scene, &PathFileOptions::default()).unwrap();
        assert_eq!(frames.len(), DEFAULT_FRAMES);
        let x: Vec<f32> = frames.iter().map(|frame| frame.camera.origin().x).collect();
        assert!(x.is_sorted() && x[0].abs() < 1e-6 && (x[119] - 4.0).abs() < 1e-5, "{i}: {x:?}");
        assert!(frames.iter().all(|frame| frame.camera.origin().z == 3.0 && frame.camera.forward() == -Vec3::Z));
        assert_eq!((frames[7].name.as_str(), frames[7].excluded.len()), ("frame_0007", usize::from(i == 0)));
        assert!(warnings.iter().any(|warning| warning.contains("past its 2 key frames")), "{warnings:?}");
    }
}

#[test]
fn lists_of_poses_are_read() {
    let scene = testing::scene(&[Vec3::ZERO]);
    let list = format!("[{POSE}, {{\"camera_to_world\": {POSE}, \"name\": \"second\"}}]");
    let frames = read(&list).unwrap();
    assert_eq!(frames.iter().map(|frame| frame.name.as_str()).collect::<Vec<_>>(), ["frame_0000", "second"]);
    assert!(frames.iter().all(|frame| frame.camera.origin() == Vec3::new(-0.5, 2.0, 3.0)));
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("poses.txt");
    let read_text = |text: &str| {
        std::fs::write(&path, text).unwrap();
        load(&path, &scene, DEFAULT_FRAMES, &PathFileOptions::default())
    };
    let (frames, _) =
        read_text("# row by row\n1 0 0 -0.5 0 1 0 2 0 0 1 3\n\n1,0,0,1, 0,1,0,2, 0,0,1,3, 0,0,0,1\n").unwrap();
    assert_eq!(frames.iter().map(|frame| frame.camera.origin().x).collect::<Vec<_>>(), [-0.5, 1.0]);
    for (text, problem) in [("1 2 3", "line 1: expected 12 or 16"), ("\n1 x", "line 2"), ("", "found 0")] {
        let message = read_text(text).unwrap_err().to_string();
        assert!(message.contains(problem) && message.contains("poses.txt"), "{message}");
    }
}

/// Training and test views may share their names; their files differ.
#[test]
fn photographs_of_one_name_are_excluded_by_their_files() {
    let mut scene = testing::scene(&[Vec3::ZERO, Vec3::X, Vec3::Y]);
    scene.root = "scene".into();
    for (view, file) in scene.views.iter_mut().zip(["train/r_0.png", "test/r_0.png", "train/r_1.png"]) {
        view.path = scene.root.join(file);
        view.name = view.path.file_stem().unwrap().to_string_lossy().into_owned();
    }
    let text = |name: &str| format!(r#"{{"frames": [{{"camera_to_world": {POSE}, "exclude": ["{name}"]}}]}}"#);
    let excluded =
        |name: &str| read_in(&text(name), &scene, &PathFileOptions::default()).map(|(f, _)| f[0].excluded.clone());
    assert_eq!(excluded("test/r_0.png").unwrap(), [1]);
    assert_eq!(excluded("r_1").unwrap(), [2]);
    let message = excluded("r_0").unwrap_err().to_string();
    assert!(message.contains("train/r_0.png and test/r_0.png"), "{message}");
    // What is written says it in the way that is read.
    let mut frame = crate::paths::numbered([scene.views[0].camera]).remove(0);
    frame.excluded = vec![1];
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("path.json");
    write(&path, &scene, std::slice::from_ref(&frame)).unwrap();
    assert_eq!(load(&path, &scene, DEFAULT_FRAMES, &PathFileOptions::default()).unwrap().0[0].excluded, [1]);
}

#[test]
fn nerfstudio_paths_are_read() {
    let text = r#"{"camera_type": "perspective", "render_height": 100.0, "render_width": 151, "seconds": 4, "crop": null,
        "default_fov": 75, "keyframes": [{"matrix": "[]"}],
        "camera_path": [{"camera_to_world": [1,0,0,1, 0,1,0,2, 0,0,1,3, 0,0,0,1], "fov": 90, "aspect": 1.51}]}"#;
    let (frames, warnings) = read_in(text, &testing::scene(&[Vec3::ZERO]), &PathFileOptions::default()).unwrap();
    let camera = frames[0].camera;
    assert_eq!((camera.width, camera.height), (151, 100));
    assert!((camera.focal - Vec2::splat(50.0)).length() < 1e-4);
    // The middle, where pixel centres are whole numbers.
    assert_eq!(camera.center, Vec2::new(75.0, 49.5));
    assert_eq!(camera.origin(), Vec3::new(1.0, 2.0, 3.0));
    assert!(warnings.len() == 1 && warnings[0].contains("dataparser_transforms.json"), "{warnings:?}");
    let around = text.replace("perspective", "equirectangular");
    let read_around = |panoramas| {
        read_in(&around, &testing::scene(&[Vec3::ZERO]), &PathFileOptions { panoramas, ..Default::default() })
    };
    assert_eq!(read_around(true).unwrap().0.len(), 1);
    assert!(read_around(false).unwrap_err().to_string().contains("add --panorama WIDTH"));
    let square = text.replace("\"render_width\": 151", "\"render_width\": 100").replace("\"fov\": 90, ", "");
    let (frames, warnings) = read_in(&square, &testing::scene(&[Vec3::ZERO]), &PathFileOptions::default()).unwrap();
    assert!(warnings.iter().any(|w| w.contains("frame 0") && w.contains("aspect")), "{warnings:?}");
    assert!((frames[0].camera.focal.y - 50.0 / 37.5f32.to_radians().tan()).abs() < 1e-3);
}

#[test]
fn matrices_have_three_or_four_rows_or_none() {
    for pose in [
        "[[1,0,0,-0.5],[0,1,0,2],[0,0,1,3]]",
        "[1,0,0,-0.5,0,1,0,2,0,0,1,3]",
        "[1,0,0,-0.5,0,1,0,2,0,0,1,3,0,0,0,1.0000001]",
    ] {
        let frames = read(&format!(r#"{{"frames": [{{"camera_to_world": {pose}}}]}}"#)).unwrap();
        assert_eq!(frames[0].camera.origin(), Vec3::new(-0.5, 2.0, 3.0), "{pose}");
    }
}

/// Poses are in the coordinates of the scene's files unless the path or the user says otherwise; in f64, so that a scene
/// a hundred kilometres from its origin keeps its millimetres.
#[test]
fn poses_are_in_the_files_coordinates() {
    let mut scene = testing::scene(&[Vec3::ZERO]);
    let mut world = rigs::other_world(5);
    let far = DVec3::new(1e5, -2e5, 300.0);
    world.translation = -(world.rotation * far * world.scale);
    scene.scene_from_file = world;
    let at = far + DVec3::new(0.001, 0.25, 3.0);
    let pose = format!("[[1,0,0,{}],[0,1,0,{}],[0,0,1,{}]]", at.x, at.y, at.z);
    let text = |frame: &str| format!(r#"{{{frame} "frames": [{{"camera_to_world": {pose}}}]}}"#);
    let expected = world.point(at);
    let found =
        |text: &str, options: &PathFileOptions| read_in(text, &scene, options).unwrap().0[0].camera.origin().as_dvec3();
    for (frame, asked) in
        [("", None), (r#""frame": "file","#, None), (r#""frame": "scene","#, Some(PathCoordinates::File))]
    {
        let options = PathFileOptions { frame: asked, ..Default::default() };
        let off = found(&text(frame), &options).distance(expected) / world.scale;
        assert!(off < 1e-5, "{frame} {off}");
    }
    let options = PathFileOptions { frame: Some(PathCoordinates::Scene), ..Default::default() };
    assert!(found(&text(""), &options).distance(at) < 0.02);
    assert!(found(&text(r#""frame": "scene","#), &PathFileOptions::default()).distance(at) < 0.02);
    let message = read_in(&text(r#""frame": "world","#), &scene, &PathFileOptions::default()).unwrap_err().to_string();
    assert!(message.contains("world") && message.contains("scene"), "{message}");
}

#[test]
fn what_is_written_is_read_again() {
    let mut scene = rigs::around(4, 20, 360.0, DVec3::new(1.0, 2.0, 3.0));
    scene.scene_from_file = rigs::other_world(4);
    for kind in [PathKind::Auto, PathKind::Interpolate, PathKind::Test] {
        let frames = crate::paths::frames(&scene, &kind, Some(7)).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("path.json");
        write(&path, &scene, &frames).unwrap();
        let (again, warnings) = load(&path, &scene, DEFAULT_FRAMES, &PathFileOptions::default()).unwrap();
        assert!(warnings.is_empty(), "{warnings:?}");
        assert_eq!(again.len(), frames.len());
        for (a, b) in frames.iter().zip(&again) {
            let (pose, other) = (a.camera.world_from_camera, b.camera.world_from_camera);
            assert!(pose.abs_diff_eq(other, 1e-6), "{pose} {other}");
            assert_eq!(Camera { world_from_camera: pose, ..b.camera }, a.camera);
            assert_eq!((&a.name, source_candidates(&scene, a)), (&b.name, source_candidates(&scene, b)));
        }
    }
}

#[test]
fn keys_that_mean_nothing_are_told_in_one_warning() {
    let text =
        format!(r#"{{"fps": 3, "frames": [{{"camera_to_world": {POSE}, "lens": 1}}, {{"camera_to_world": {POSE}}}]}}"#);
    let (_, warnings) = read_in(&text, &testing::scene(&[Vec3::ZERO]), &PathFileOptions::default()).unwrap();
    assert!(warnings.len() == 1 && warnings[0].contains("fps, lens"), "{warnings:?}");
}

#[test]
fn bad_files_say_what_is_wrong() {
    let own = |rest: &str| format!(r#"{{"frames": [{{"camera_to_world": {POSE}{rest}}}]}}"#);
    let viewer = |root: &str, rest: &str| format!(r#"{{{root} "camera_path": [{{"camera_to_world": {POSE}{rest}}}]}}"#);
    let scaled = POSE.replace("[1,0,0,-0.5]", "[2,0,0,-0.5]");
    let cases = [
        ("{}".to_owned(), "camera_path"),
        ("[1, 2]".to_owned(), "frame 0: expected camera_to_world"),
        ("7".to_owned(), "expected an object in braces, found"),
        (r#"{"frames": []}"#.to_owned(), "found 0"),
        (r#"{"frames": {}}"#.to_owned(), "expected frames to be a list, found an object"),
        (r#"{"frames": ["a.png"]}"#.to_owned(), r#"frame 0: expected an object in braces, found the text "a.png""#),
        (r#"{"camera_path": null, "keyframes": [1]}"#.to_owned(), "key frame 0: expected an object"),
        (r#"{"keyframes": [{"matrix": [1, 2]}]}"#.to_owned(), "key frame 0: expected matrix with 16 numbers"),
        (r#"{"camera_path": [], "frames": []}"#.to_owned(), "found frames and camera_path"),
        (own(r#", "w": 1e9"#), "frame 0"),
        (own(r#", "h": -3"#), "-3"),
        (own(r#", "w": 10.5"#), "10.5"),
        (own(r#", "w": "10""#), r#"expected w to be a number, found the text "10""#),
        (own(r#", "fl_x": 0"#), "intrinsics"),
        (own(r#", "fl_x": 1e300"#), "intrinsics"),
        (own(r#", "fov": 180"#), "180"),
        (own(r#", "k1": 0.1"#), "k1"),
        (own(r#", "camera_model": "OPENCV_FISHEYE""#), "OPENCV_FISHEYE"),
        (own(r#", "name": "../evil""#), "evil"),
        (own(r#", "name": 3"#), "name"),
        (own(r#", "exclude": ["nobody"]"#), "nobody"),
        (own("").replace(POSE, &scaled), "orthonormal"),
        (own("").replace("[0,0,0,1]]", "[0,0,1,1]]"), "0 0 0 1"),
        (own("").replace(POSE, "[1,0,0,0,0,1,0,0,0,0,1,0,4,5,6,1]"), "column by column"),
        (own("").replace(POSE, "[[1,0,0],[0,1,0],[0,0,1]]"), "3x4"),
        (own("").replace(POSE, "\"[1,0]\""), "4x4"),
        (r#"{"frames": [{"name": "a"}]}"#.to_owned(), "found none"),
        (own("").replace("-0.5", "1e39"), "finite"),
        (own("").replace("-0.5", "1e999"), "path.json"),
        (viewer(r#""camera_type": "equirectangular","#, ""), "equirectangular"),
        (viewer("", r#", "camera_type": "fisheye""#), "fisheye"),
        (viewer(r#""crop": {"crop_scale": 1},"#, ""), "crop"),
        (viewer("", r#", "fov": -1"#), "-1"),
        (viewer(r#""render_width": 0,"#, ""), "render_width"),
        ("[".repeat(100_000), "path.json"),
    ];
    for (text, expected) in cases {
        let message = read(&text).unwrap_err().to_string();
        assert!(message.contains(expected) && message.contains("path.json"), "{expected}: {message}");
        assert!(!message.contains("untagged"), "{message}");
    }
    let twice = format!(
        r#"{{"frames": [{{"camera_to_world": {POSE}, "name": "a"}}, {{"camera_to_world": {POSE}, "name": "a"}}]}}"#
    );
    assert!(read(&twice).unwrap_err().to_string().contains("again"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn damaged_files_never_panic(cut in 0usize..400, at in 0usize..400, to in any::<u8>()) {
        let text = format!(r#"{{"frames": [{{"camera_to_world": {POSE}, "w": 62, "fl_x": 33.5, "name": "left"}}]}}"#);
        let mut bytes = text.into_bytes();
        let at = at % bytes.len();
        bytes[at] = to;
        bytes.truncate(cut.max(1));
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("path.json");
        std::fs::write(&path, &bytes).unwrap();
        if let Ok((frames, _)) = load(&path, &testing::scene(&[Vec3::ZERO]), DEFAULT_FRAMES, &PathFileOptions::default()) {
            prop_assert!(frames.iter().all(|f| f.camera.validate("read").is_ok()));
        }
    }
}
