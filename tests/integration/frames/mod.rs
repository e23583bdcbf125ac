//! What made the frames of a folder, and what they are never written over.

mod ends;

use crate::support::Place;
use std::fs;

/// Options that make a frame cheap.
const CHEAP: &str = "--samples 5 --views 3 --device cpu";
/// A cheap command.
const LINE: &str = "render tiny -o out --path test --samples 5 --views 3 --device cpu";

/// Names of the frames that were rendered, not found.
fn rendered(report: &serde_json::Value) -> Vec<&str> {
    let frames = report["frames"].as_array().unwrap().iter().filter(|frame| frame["skipped"] == false);
    frames.map(|frame| frame["name"].as_str().unwrap()).collect()
}

/// Neither the pictures of another scene nor those of other settings are taken for one's own, nor is their likeness told.
#[test]
fn another_command_says_what_differs_and_stops() {
    let place = Place::with_scene(9);
    place.ok("synth --out more --scenes 1 --spp 1 --views 9 --size 64x48 --rig forward --seed 7");
    fs::rename(place.path("more/scene_00000"), place.path("scenes/other")).unwrap();
    let report = place.json(&format!("{LINE} --json"));
    assert_eq!(report["record"], "out/frames.jsonl");
    let before = fs::read(place.path("out/000.png")).unwrap();
    for (now, differs) in [
        (LINE.replace("tiny", "other"), "scene: expected other ("),
        (format!("{LINE} --model gnt-dense"), "model: expected gnt-dense ("),
        (LINE.replace("--samples 5", "--samples 6"), "samples: expected 6, found 5"),
        (LINE.replace("--views 3", "--views 2"), "views: expected 2, found 3"),
        (format!("{LINE} --importance 4"), "importance: expected 4, found 0"),
        (format!("{LINE} --precision f32"), "precision: expected f32, found"),
        (format!("{LINE} --size 48x64"), "size: expected 48x64, found 64x48"),
        (format!("{LINE} --stride 2"), "stride: expected 2, found 1"),
        (LINE.replace("--path test", "--frames 3"), "path: expected spiral, 3 frames, found test, 2 frames"),
    ] {
        let errors = place.fails(1, &now, &["out/000.png and 1 more: made by another command", "--overwrite", differs]);
        assert!(errors.lines().any(|line| line.trim_start().starts_with(differs)), "one line a difference: {errors}");
    }
    assert_eq!(fs::read(place.path("out/000.png")).unwrap(), before);
    // Another photograph is another scene, though its folder is the same.
    let photograph = place.path("scenes/tiny/images/003.png");
    let kept = fs::read(&photograph).unwrap();
    fs::copy(place.path("scenes/other/images/003.png"), &photograph).unwrap();
    place.fails(1, LINE, &["scene: expected tiny ("]);
    fs::write(&photograph, kept).unwrap();
    // Threads change nothing, and the same scene may be given in another way.
    let again = place.json(
        "render --scene scenes/tiny --out ./out --path test --samples 5 --views 3 --device cpu --threads 3 --json",
    );
    assert!(rendered(&again).is_empty() && again["mean_psnr"] == report["mean_psnr"], "{again}");
    let other = LINE.replace("--samples 5", "--samples 6");
    let replaced = place.json(&format!("{other} --overwrite --json"));
    assert_eq!(rendered(&replaced), ["000", "008"]);
    assert_ne!(replaced["mean_psnr"], report["mean_psnr"]);
    place.fails(1, LINE, &["samples: expected 5, found 6"]);
    place.assert_no_litter();
}

#[test]
fn changed_and_missing_frames_are_rendered_again() {
    let place = Place::with_scene(9);
    place.ok(LINE);
    let good = fs::read(place.path("out/000.png")).unwrap();
    // A whole picture of the right size that is not the one which was made.
    fs::copy(place.path("scenes/tiny/images/000.png"), place.path("out/000.png")).unwrap();
    let output = place.run(&format!("{LINE} --json"));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(rendered(&report), ["000"]);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(errors.contains("warning: out/000.png: was changed"), "{errors}");
    assert_eq!(fs::read(place.path("out/000.png")).unwrap(), good);
    fs::write(place.path("out/000.png"), &good[..good.len() / 2]).unwrap();
    fs::remove_file(place.path("out/008.png")).unwrap();
    assert_eq!(rendered(&place.json(&format!("{LINE} --json"))), ["000", "008"]);
    assert_eq!(fs::read(place.path("out/000.png")).unwrap(), good);
    // Neither are paths that nobody recorded.
    fs::create_dir(place.path("mine")).unwrap();
    fs::write(place.path("mine/path.json"), "{}").unwrap();
    place.fails(1, &LINE.replace("-o out", "-o mine"), &["mine/path.json: exists already", "--overwrite"]);
    // Pictures that nobody recorded are nobody's to replace.
    fs::remove_file(place.path("out/frames.jsonl")).unwrap();
    place.fails(1, LINE, &["out/000.png and 1 more: exists already", "--overwrite", "another folder"]);
    place.ok(&format!("{LINE} --overwrite"));
    assert!(rendered(&place.json(&format!("{LINE} --json"))).is_empty());
}

#[test]
fn leftovers_of_a_longer_run_are_named_and_stay() {
    let place = Place::with_scene(5);
    let line = format!("render tiny -o out --path test {CHEAP}");
    place.ok(&line.replace("--path test", "--frames 4"));
    let output = place.run(&format!("{} --overwrite", line.replace("--path test", "--frames 2")));
    let errors = String::from_utf8_lossy(&output.stderr);
    let warning = "left as they are, since this run does not write them: frame_0002.png to frame_0003.png (2 files)";
    assert!(output.status.success() && errors.contains(warning), "{errors}");
    assert!(place.path("out/frame_0003.png").exists());
    assert_eq!(errors.matches("warning: ").count(), 1, "{errors}");
}

#[test]
fn photographs_and_other_scenes_are_never_written_over() {
    let place = Place::with_scene(9);
    for folder in ["images_4", "masks", "frames"] {
        fs::create_dir(place.path(&format!("scenes/tiny/{folder}"))).unwrap();
    }
    fs::copy(place.path("scenes/tiny/images/000.png"), place.path("scenes/tiny/images_4/000.png")).unwrap();
    fs::copy(place.path("scenes/tiny/images/000.png"), place.path("scenes/tiny/masks/000.png")).unwrap();
    fs::create_dir_all(place.path("scenes/other/images")).unwrap();
    fs::write(place.path("scenes/other/transforms.json"), "{}").unwrap();
    fs::write(place.path("scenes/other/images/000.png"), "x").unwrap();
    let hashes = || -> Vec<(std::path::PathBuf, Vec<u8>)> {
        let mut files = Vec::new();
        for folder in ["scenes/tiny/images", "scenes/tiny/images_4", "scenes/tiny/masks", "scenes/other/images"] {
            let read = |name: &String| (place.path(&format!("{folder}/{name}")), name.clone());
            files.extend(place.list(folder).iter().map(|name| (read(name).0, fs::read(read(name).0).unwrap())));
        }
        files
    };
    let before = hashes();
    let mut folders = vec!["scenes/tiny", "scenes/tiny/images", "scenes/tiny/images_4", "scenes/tiny/masks"];
    folders.extend(["scenes/tiny/depth", "scenes/tiny/images/../images_4", "scenes/other", "scenes/other/images"]);
    #[cfg(unix)]
    {
        // The folder that holds what the links of a scene lead to, and a link to a folder of photographs.
        let link = |to: &str, at: &str| std::os::unix::fs::symlink(place.path(to), place.path(at)).unwrap();
        fs::create_dir_all(place.path("camera")).unwrap();
        fs::copy(place.path("scenes/tiny/images/000.png"), place.path("camera/000.png")).unwrap();
        fs::create_dir(place.path("scenes/tiny/images_2")).unwrap();
        link("camera/000.png", "scenes/tiny/images_2/000.png");
        link("scenes/tiny/images", "linked");
        folders.extend(["camera", "linked"]);
    }
    for folder in folders {
        for options in ["", "--overwrite"] {
            place.fails(
                1,
                &LINE.replace("-o out", &format!("-o {folder} --factor 1 {options}")),
                &["--out", "expected"],
            );
        }
        place.fails(1, &format!("eval tiny --scale 1 --samples 5 --out {folder}"), &["--out", "expected"]);
    }
    // Folders that are not there yet, and that would be read as photographs, masks or a split once they are.
    for folder in ["images_8", "images_new/deep", "masks_4", "test", "none/../train", "val"] {
        let out = format!("-o scenes/tiny/{folder} --factor 1 --overwrite");
        place.fails(1, &LINE.replace("-o out", &out), &["--out", "no photographs"]);
        place.fails(1, &format!("eval tiny --scale 1 --samples 5 --out scenes/tiny/{folder}"), &["--out"]);
        let video = format!("{LINE} --factor 1 --video scenes/tiny/{folder}/fly.gif");
        place.fails(1, &video, &["--video", "no photographs"]);
        assert!(!place.path(&format!("scenes/tiny/{folder}")).exists(), "{folder}");
    }
    assert!(!place.path("out").exists());
    assert!(hashes() == before, "a photograph was changed");
    place.ok(&LINE.replace("-o out", "-o scenes/tiny/frames --factor 1"));
    assert!(rendered(&place.json(&LINE.replace("-o out", "-o scenes/tiny/frames --factor 1 --json"))).is_empty());
    // A picture that is called as an animation.
    fs::rename(place.path("scenes/tiny/images/000.png"), place.path("scenes/tiny/images/000.gif")).unwrap();
    place.fails(1, &format!("{LINE} --factor 1 --video scenes/tiny/images/000.gif"), &["--video", "photographs"]);
}

/// What is in the way of a late frame or of the path is told before the first frame is rendered.
#[cfg(unix)]
#[test]
fn obstacles_are_found_first() {
    let place = Place::with_scene(9);
    fs::create_dir_all(place.path("out/008.png")).unwrap();
    let fails = |file: &str| {
        place.fails(1, &format!("{LINE} --overwrite"), &[file, "expected a regular file"]);
        assert!(!place.path("out/000.png").exists(), "a frame was rendered before");
    };
    fails("out/008.png");
    fs::remove_dir(place.path("out/008.png")).unwrap();
    for file in ["out/008.png", "out/path.json", "out/frames.jsonl"] {
        std::os::unix::fs::symlink(place.path("nowhere"), place.path(file)).unwrap();
        fails(file);
        fs::remove_file(place.path(file)).unwrap();
    }
    place.ok(LINE);
}

/// Photographs are compared with what comes out, so that nothing is faded and the option changes nothing.
#[test]
fn no_fade_is_the_same_command_on_the_test_path() {
    let place = Place::with_scene(9);
    place.ok(LINE);
    assert!(rendered(&place.json(&format!("{LINE} --no-fade --json"))).is_empty());
    let free = format!("render tiny -o free --frames 1 --size 9x7 {CHEAP}");
    place.ok(&free);
    place.fails(1, &format!("{free} --no-fade"), &["fade: expected false, found true"]);
}

#[test]
fn names_that_differ_in_odd_characters_do_not_share_a_file() {
    let place = Place::with_scene(5);
    let pose = "[[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]";
    let names = ["Front", "front", "fro\u{e9}", "FRONT"];
    let frames: Vec<String> =
        names.iter().map(|name| format!(r#"{{"camera_to_world": {pose}, "name": "{name}"}}"#)).collect();
    fs::write(place.path("path.json"), format!(r#"{{"frames": [{}]}}"#, frames.join(","))).unwrap();
    let report = place.json(&format!("render tiny -o out --path path.json --size 9x5 {CHEAP} --json"));
    let files: std::collections::BTreeSet<String> =
        report["frames"].as_array().unwrap().iter().map(|f| f["file"].as_str().unwrap().to_lowercase()).collect();
    assert_eq!(files.len(), names.len(), "{report}");
}
