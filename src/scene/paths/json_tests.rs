//! Camera path files: what is read, what is refused.

use super::*;
use crate::testing;
use glam::Vec3;
use proptest::prelude::*;

const POSE: &str = "[[1,0,0,-0.5],[0,1,0,2],[0,0,1,3],[0,0,0,1]]";

fn read(text: &str) -> Result<Vec<Frame>> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("path.json");
    std::fs::write(&path, text).unwrap();
    load(&path, &testing::scene(&[Vec3::ZERO]))
}

#[test]
fn own_format_takes_what_is_given_and_the_rest_from_the_first_view() {
    let text = format!(
        r#"{{"frames": [{{"camera_to_world": {POSE}}}, {{"camera_to_world": {POSE}, "name": "left",
        "w": 62, "h": 51, "fl_x": 33, "cx": 4.5}}]}}"#
    );
    let frames = read(&text).unwrap();
    let first = frames[0].camera;
    assert_eq!((frames[0].name.as_str(), first.width, first.height), ("frame_0000", 31, 17));
    assert_eq!((first.focal, first.center), (Vec2::splat(20.0), Vec2::new(15.5, 8.5)));
    assert_eq!(first.origin(), Vec3::new(-0.5, 2.0, 3.0));
    assert_eq!(first.forward(), -Vec3::Z);
    let second = frames[1].camera;
    assert_eq!((frames[1].name.as_str(), second.width, second.height), ("left", 62, 51));
    assert_eq!((second.focal, second.center), (Vec2::splat(33.0), Vec2::new(4.5, 26.5)));
}

#[test]
fn nerfstudio_paths_are_read() {
    let text = r#"{"camera_type": "perspective", "render_height": 100, "render_width": 151, "seconds": 4,
        "camera_path": [{"camera_to_world": [1,0,0,1, 0,1,0,2, 0,0,1,3, 0,0,0,1], "fov": 90, "aspect": 1.51}]}"#;
    let camera = read(text).unwrap()[0].camera;
    assert_eq!((camera.width, camera.height), (151, 100));
    assert!((camera.focal - Vec2::splat(50.0)).length() < 1e-4);
    assert_eq!(camera.center, Vec2::new(75.5, 50.0));
    assert_eq!(camera.origin(), Vec3::new(1.0, 2.0, 3.0));
}

#[test]
fn bad_files_say_what_is_wrong() {
    let own = |rest: &str| format!(r#"{{"frames": [{{"camera_to_world": {POSE}{rest}}}]}}"#);
    let scaled = POSE.replace("[1,0,0,-0.5]", "[2,0,0,-0.5]");
    let cases = [
        ("{}".to_owned(), "camera_path"),
        (r#"{"frames": []}"#.to_owned(), "found 0"),
        (own(r#", "w": 1e9"#), "frame 0"),
        (own(r#", "h": -3"#), "-3"),
        (own(r#", "w": 10.5"#), "10.5"),
        (own(r#", "fl_x": 0"#), "intrinsics"),
        (own(r#", "fl_x": 1e300"#), "intrinsics"),
        (own(r#", "name": "../evil""#), "evil"),
        (own("").replace(POSE, &scaled), "orthonormal"),
        (own("").replace("[0,0,0,1]]", "[0,0,1,1]]"), "0 0 0 1"),
        (own("").replace("-0.5", "1e39"), "finite"),
        (own("").replace("-0.5", "1e999"), "path.json"),
        ("[".repeat(100_000), "path.json"),
    ];
    for (text, expected) in cases {
        let message = read(&text).unwrap_err().to_string();
        assert!(message.contains(expected), "{expected}: {message}");
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
        if let Ok(frames) = load(&path, &testing::scene(&[Vec3::ZERO])) {
            prop_assert!(frames.iter().all(|f| f.camera.validate("read").is_ok()));
        }
    }
}
