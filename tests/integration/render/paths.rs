//! Camera paths: chosen, written, read again, cropped.

use super::*;

#[test]
fn the_other_paths_have_numbered_frames() {
    for (path, rig) in [("spiral", "forward"), ("interpolate", "orbit"), ("orbit", "orbit")] {
        let place = Place::with_rig(5, rig);
        place.ok(&format!("render --scene tiny --out {path} --path {path} --frames 2 --size 13x7 {CHEAP}"));
        assert_eq!(place.list(path), ["frame_0000.png", "frame_0001.png", "frames.jsonl", "path.json"]);
        let image = pixels(&place.path(&format!("{path}/frame_0001.png")));
        assert_eq!((image.width, image.height), (13, 7));
    }
    let place = Place::with_scene(5);
    let pose = "[[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]";
    let frames =
        format!(r#"{{"frames": [{{"camera_to_world": {pose}, "name": "front"}}, {{"camera_to_world": {pose}}}]}}"#);
    fs::write(place.path("path.json"), frames).unwrap();
    let text = place.ok(&format!("render --scene scenes/tiny --out file --path path.json --size 9x5 {CHEAP}"));
    assert_eq!(place.list("file"), ["frame_0001.png", "frames.jsonl", "front.png", "path.json"]);
    assert!(text.contains("2 frames of 9x5 rendered") && text.contains("rays/s"), "{text}");
}

/// The default path is chosen from the cameras and written beside the frames; read again it gives the same pictures, its
/// sources included, on the test path too.
#[test]
fn paths_are_chosen_written_and_read_again() {
    for (rig, chosen) in [("forward", "spiral"), ("orbit", "orbit")] {
        let place = Place::with_rig(9, rig);
        let line = format!("render --scene tiny --frames 3 --size 32x24 {CHEAP}");
        let output = place.run(&format!("{line} --out first --json"));
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success() && errors.contains("path: a"), "{errors}");
        assert!(errors.contains("--size 32x24 of 64x48 photographs: same field of view"), "{errors}");
        let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(report["path"], chosen);
        assert!(report["path_reason"].as_str().unwrap().starts_with('a'), "{report}");
        assert!(report["size_note"].as_str().unwrap().contains("32x24 of 64x48"), "{report}");
        for frame in report["frames"].as_array().unwrap() {
            assert!((0.5..=1.0).contains(&frame["coverage"].as_f64().unwrap()), "{frame}");
        }
        // Where nothing is said, the report has it.
        let quiet = place.run(&format!("{line} --out first --json --quiet"));
        let told: serde_json::Value = serde_json::from_slice(&quiet.stdout).unwrap();
        assert!(!String::from_utf8_lossy(&quiet.stderr).contains("path: "), "{told}");
        assert_eq!(told["path_reason"], report["path_reason"]);
        let again = format!("render --scene tiny --path first/path.json {CHEAP}");
        place.ok(&format!("{again} --out again"));
        let same = |a: &str, b: &str| {
            pixels(&place.path(a)).data.iter().zip(&pixels(&place.path(b)).data).all(|(a, b)| (a - b).abs() < 0.02)
        };
        for name in ["frame_0000.png", "frame_0001.png", "frame_0002.png"] {
            assert!(same(&format!("first/{name}"), &format!("again/{name}")), "{name}");
        }
        place.ok(&format!("render --scene tiny --path test --out test {CHEAP}"));
        let report =
            place.json(&format!("render --scene tiny --path test/path.json --no-fade --out test2 --json {CHEAP}"));
        let sources = report["frames"][0]["sources"].to_string();
        assert!(
            report["frames"][0]["name"] == "000" && !sources.contains("000") && !sources.contains("008"),
            "{report}"
        );
    }
}

#[test]
fn other_shapes_are_cropped_and_poor_coverage_is_told() {
    let place = Place::with_scene(5);
    let output = place.run(&format!("render --scene tiny --out out --frames 1 --size 64x24 {CHEAP}"));
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(errors.contains("height cropped by 50 %"), "{errors}");
    // Turned away from what all photographs see.
    let pose = "[[-1, 0, 0, 0], [0, 1, 0, 0], [0, 0, -1, 0]]";
    fs::write(place.path("away.json"), format!(r#"{{"frame": "scene", "frames": [{{"camera_to_world": {pose}}}]}}"#))
        .unwrap();
    let report = place.json(&format!("render --scene tiny --out away --path away.json --json {CHEAP}"));
    assert!(report["warnings"].to_string().contains("frame_0000 (0 %)"), "{report}");
    assert_eq!(report["frames"][0]["coverage"], 0.0);
    let image = pixels(&place.path("away/frame_0000.png"));
    assert!(image.data.iter().all(|value| *value == image.data[0]), "nothing is seen, so all is background");
}
