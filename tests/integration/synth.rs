//! `shiftray synth`: a folder holds one set, and what killed runs leave is no scene.

use crate::support::Place;
use std::fs;
use std::path::Path;

const LINE: &str = "synth --out set --seed 0 --views 3 --size 24x18 --spp 1 --rig mixed";

#[test]
fn a_set_can_be_made_larger_but_not_another() {
    let place = Place::new();
    place.ok(&format!("{LINE} --scenes 1"));
    assert_eq!(place.list("set"), ["options.json", "scene_00000"]);
    let first = fs::read(place.path("set/scene_00000/images/000.png")).unwrap();
    let output = place.run(&format!("{LINE} --scenes 2"));
    assert!(output.stdout.is_empty() && String::from_utf8_lossy(&output.stderr).contains("2 scenes in set"));
    for (before, option, wanted) in [
        ("--seed 0", "--seed 1", "--seed: expected 1, found 0"),
        ("--views 3", "--views 4", "--views: expected 4, found 3"),
        ("--size 24x18", "--size 24x20", "--size: expected 24 20, found 24 18"),
        ("--rig mixed", "--rig orbit", "--rig: expected orbit, found mixed"),
        ("--spp 1", "--spp 2", "--spp: expected 2, found 1"),
        ("--rig mixed", "--jpeg", "--jpeg: expected 94, found none"),
        ("--rig mixed", "--no-depth", "--no-depth: expected true, found false"),
    ] {
        place.fails(1, &LINE.replace(before, option), &["set", wanted, "choose another folder"]);
    }
    place.ok("synth --out jpeg --views 3 --size 24x18 --spp 1 --jpeg");
    place.fails(1, "synth --out jpeg --views 3 --size 24x18 --spp 1", &["--jpeg: expected none, found 94"]);
    assert_eq!(place.list("set"), ["options.json", "scene_00000", "scene_00001"]);
    assert_eq!(fs::read(place.path("set/scene_00000/images/000.png")).unwrap(), first);
    // Scenes that nobody says the options of are another set's, too.
    fs::remove_file(place.path("set/options.json")).unwrap();
    place.fails(1, LINE, &["set", "scene_00000", "options.json"]);
}

#[test]
fn the_demonstration_scene_is_kept_apart_from_others() {
    let place = Place::new();
    let line = "synth --out demo --showcase --views 2 --size 20x15 --spp 1";
    fs::create_dir_all(place.path(".demo.4294967295/images")).unwrap();
    let output = place.run(line);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && errors.contains("1 scene in demo"), "{errors}");
    place.assert_no_litter();
    assert!(place.list("demo").contains(&"options.json".to_owned()));
    place.ok(line);
    place.assert_no_litter();
    place.fails(1, &line.replace("--spp 1", "--spp 2"), &["demo", "--spp: expected 2, found 1"]);
    fs::create_dir_all(place.path("mine")).unwrap();
    fs::write(place.path("mine/notes.txt"), b"mine").unwrap();
    place.fails(1, &line.replace("--out demo", "--out mine"), &["mine", "other files"]);
    assert_eq!(place.list("mine"), ["notes.txt"]);
}

#[test]
fn leftovers_of_killed_runs_are_no_scenes_and_are_removed() {
    let place = Place::new();
    place.ok(&format!("{LINE} --scenes 1"));
    let copy = |from: &Path, to: &Path| {
        fs::create_dir_all(to.join("images")).unwrap();
        for name in ["poses_bounds.npy", "images/000.png", "images/001.png", "images/002.png"] {
            fs::copy(from.join(name), to.join(name)).unwrap();
        }
    };
    let left = place.path("set/.scene_00001.4294967295");
    copy(&place.path("set/scene_00000"), &left);
    fs::write(place.path("tiny.json"), crate::support::TINY).unwrap();
    let output = place.run("train --data set --out run --config tiny.json --steps 1 --rays 3 --views 1 2");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && errors.contains("training on 1 scenes"), "{errors}");
    place.ok(&format!("{LINE} --scenes 1"));
    assert!(!left.exists());
}

#[test]
fn wrong_numbers_are_refused() {
    let place = Place::new();
    for option in ["--scenes 0", "--scenes 99999999999", "--views 0", "--spp 0", "--jpeg 0", "--size 0x3"] {
        place.fails(2, &format!("synth --out set {option}"), &[option.split(' ').next().unwrap()]);
    }
    assert!(!place.path("set").exists());
}

#[test]
fn one_demonstration_scene_at_a_time() {
    let place = Place::new();
    let line = "synth --out a/demo --showcase --views 40 --size 320x240 --spp 64";
    let mut first = place.command(line).stderr(std::process::Stdio::null()).spawn().unwrap();
    place.wait_for(&mut first, "a/.demo.lock/.shiftray.lock");
    // The lock is taken at once after its file is made.
    std::thread::sleep(std::time::Duration::from_millis(200));
    let output = place.run(line);
    first.kill().unwrap();
    first.wait().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{errors}");
    assert!(errors.contains("shiftray synth") && errors.contains("at work"), "{errors}");
    // The lock of a killed run is no obstacle, and goes away with the next.
    place.ok("synth --out a/demo --showcase --views 2 --size 20x15 --spp 1");
    place.assert_no_litter();
    place.fails(1, "synth --out .. --showcase", &["--out ..", "expected a folder name"]);
}
