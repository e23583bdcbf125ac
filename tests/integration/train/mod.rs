//! `shiftray train`, interrupted and not.

mod recipe;
mod refused;

use crate::support::{Place, TINY};
use std::fs;

const STEPS: u64 = 8;

/// A run that is stopped again and again, each time after a step or two, ends with the bits of one that is not.
#[test]
fn a_resumed_run_equals_an_uninterrupted_one() {
    let place = Place::with_scene(4);
    fs::write(place.path("tiny.json"), TINY).unwrap();
    let start = |out: &str| {
        format!("train --data scenes --out {out} --config tiny.json --steps {STEPS} --rays 96 --views 1 3 --seed 5")
    };
    place.ok(&format!("{} --threads 2", start("whole")));

    // Time for about one step: the loop looks at the clock before each.
    let brief = "--threads 1 --minutes 0.00002";
    let mut output = place.run(&format!("{} {brief}", start("parts")));
    let mut runs = 1;
    let finished = |output: &std::process::Output| {
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stderr).contains(&format!("{STEPS} steps done"))
    };
    while !finished(&output) {
        assert!(runs < 200, "no progress");
        output = place.run(&format!("train --resume parts {brief}"));
        runs += 1;
    }
    assert!(runs > 2, "the run was not interrupted");
    for file in ["state.safetensors", "model.safetensors"] {
        let read = |run: &str| fs::read(place.path(&format!("{run}/{file}"))).unwrap();
        assert!(read("whole") == read("parts"), "{file} differs");
    }
    place.assert_no_litter();

    // What was trained renders.
    place.ok("render --scene tiny --out out --model parts/model.safetensors --frames 1 --size 9x7 --device cpu");
    assert_eq!(place.list("out"), ["frame_0000.png", "frames.jsonl", "path.json"]);
    place.fails(1, &start("whole"), &["whole", "--resume"]);
}

#[test]
fn damaged_runs_are_refused() {
    let place = Place::with_scene(4);
    fs::write(place.path("tiny.json"), TINY).unwrap();
    place.ok("train --data scenes --out run --config tiny.json --steps 1 --rays 3 --views 1 2");
    let file = place.path("run/state.safetensors");
    let good = fs::read(&file).unwrap();
    for bytes in [&good[..good.len() - 5], &good[..9], &good[..0]] {
        fs::write(&file, bytes).unwrap();
        place.fails(1, "train --resume run", &["state.safetensors"]);
    }
    place.fails(1, "train --resume none", &["none"]);
    place.fails(1, "train --data empty --out new --steps 1", &["empty"]);
}

/// A place with a scene and a network, and the options of a short run on them.
fn cheap() -> (Place, String) {
    let place = Place::with_scene(4);
    fs::write(place.path("tiny.json"), TINY).unwrap();
    (place, "train --data scenes --config tiny.json --steps 2 --rays 3 --views 1 2 --device cpu".to_owned())
}

/// What shapes a run is kept with it; what is given again must be the same.
#[test]
fn a_run_keeps_its_options() {
    let (place, line) = cheap();
    place.ok(&format!("{line} --out run --stop-at 1 --seed 7 --rate 0.002 --depth-weight 0.01"));
    assert_eq!(place.list("run"), ["model.safetensors", "options.json", "state.safetensors"]);
    for (option, wanted) in [
        ("--steps 3", "--steps: expected 3, found 2"),
        ("--rays 4", "--rays: expected 4, found 3"),
        ("--seed 8", "--seed: expected 8, found 7"),
        ("--views 1 3", "--views: expected 1 3, found 1 2"),
        ("--rate 0.001", "--rate: expected 0.001, found 0.002"),
        ("--depth-weight 0.02", "--depth-weight: expected 0.02, found 0.01"),
        ("--samples 9", "--samples: expected 9, found 8"),
        ("--config compact", "--config: expected compact, found tiny.json"),
        ("--data synth", "--data: expected"),
        ("--scenes 300", "--scenes: expected 300, found none"),
    ] {
        place.fails(1, &format!("train --resume run {option}"), &["run", wanted]);
    }
    place.fails(2, "train --resume run --out other", &["--out"]);
    let again = "train --resume run --steps 2 --rays 3 --seed 7 --data scenes --rate 0.002 --device cpu";
    place.ok(again);
    // From elsewhere, and with the scenes moved.
    fs::rename(place.path("scenes"), place.path("moved")).unwrap();
    place.fails(1, "train --resume run", &["scenes"]);
    // A folder that holds no scenes is not kept in the place of the one that is gone.
    let kept = fs::read(place.path("run/options.json")).unwrap();
    fs::create_dir(place.path("wrong")).unwrap();
    place.fails(1, "train --resume run --data wrong --device cpu", &["wrong", "expected scenes", "found none"]);
    assert_eq!(fs::read(place.path("run/options.json")).unwrap(), kept);
    let output = place.run("train --resume run --data moved --device cpu");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && errors.contains("warning") && errors.contains("moved"), "{errors}");
}

/// Procedural scenes of a run that is stopped while they are made are those that it was started with.
#[test]
fn a_run_keeps_the_number_of_its_scenes() {
    let (place, line) = cheap();
    let line = line.replace("--data scenes", "--data synth --scenes 1");
    place.ok(&format!("{line} --out run --stop-at 1 --seed 3"));
    assert_eq!(place.list("run/scenes"), ["options.json", "scene_00000"]);
    place.ok("train --resume run --device cpu");
    assert_eq!(place.list("run/scenes"), ["options.json", "scene_00000"]);
    place.fails(1, "train --resume run --scenes 2", &["--scenes: expected 2, found 1"]);
}

#[test]
fn a_failed_run_leaves_nothing() {
    let (place, line) = cheap();
    let base = format!("{line} --out a/run");
    for (before, after, wanted) in [
        ("--data scenes", "--data none", "none"),
        ("tiny.json", "none.json", "none.json"),
        ("tiny.json", ".", "found a folder"),
        ("--views 1 2", "--views 3 2", "MIN"),
        ("--device cpu", "--device cuda:9", "cuda:9"),
        ("--config tiny.json", "--from none", "none"),
        ("--device cpu", "--validate none", "none"),
        ("--device cpu", "--scenes 3", "--scenes"),
    ] {
        place.fails(1, &base.replace(before, after), &[wanted]);
        assert!(!place.path("a").exists(), "{after}");
    }
    // An image that cannot be read is found before anything is written.
    for i in 0..4 {
        let file = place.path(&format!("scenes/tiny/images/{i:03}.png"));
        let bytes = fs::read(&file).unwrap();
        fs::write(&file, &bytes[..bytes.len() / 2]).unwrap();
    }
    place.fails(1, &base, &[".png"]);
    assert!(!place.path("a").exists());
    fs::create_dir(place.path("mine")).unwrap();
    fs::write(place.path("mine/notes.txt"), b"mine").unwrap();
    place.fails(1, &base.replace("a/run", "mine"), &[".png"]);
    assert_eq!(place.list("mine"), ["notes.txt"]);
}

#[test]
fn a_run_starts_from_a_built_in_model() {
    let place = Place::with_scene(4);
    let line = "train --data scenes --out run --from gnt-dense --steps 1 --rays 3 --views 1 2 --samples 4 --device cpu";
    place.ok(line);
    place.fails(1, &line.replace("gnt-dense", "gnt-dens").replace("--out run", "--out b"), &["gnt-dens", "gnt-dense"]);
}

/// A rate that drives the weights out of all bounds stops the run, with the last weights that were numbers in its folder.
#[test]
fn a_loss_that_is_no_number_stops_the_run() {
    let (place, line) = cheap();
    let line = line.replace("--steps 2", "--steps 40 --rate 1 --depth-weight 1000 --save-every 1");
    let output = place.run(&format!("{line} --out run"));
    let errors = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        assert!(errors.contains("error: step ") && errors.contains("finite"), "{errors}");
    }
    place.ok("info --model run/model.safetensors");
    place.assert_no_litter();
}

/// What the options ask for and the scenes do not have is said.
#[test]
fn options_without_use_are_told() {
    let (place, line) = cheap();
    let errors = |line: &str| {
        let output = place.run(line);
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{errors}");
        errors
    };
    let guided = format!("{line} --guided 4");
    let told = errors(&format!("{guided} --out depth"));
    assert!(!told.contains("--guided") && !told.contains("--views"), "{told}");
    let told = errors(&format!("{} --out many", line.replace("--views 1 2", "--views 20 30")));
    assert!(told.contains("warning: --views 20 30: expected scenes with 20 views beside the target"), "{told}");
    assert!(told.contains("found tiny with 3"), "{told}");
    fs::remove_dir_all(place.path("scenes/tiny/depth")).unwrap();
    let told = errors(&format!("{guided} --out plain"));
    assert!(told.contains("warning: --guided: expected scenes with exact depth"), "{told}");
    let coded = "train --data scenes --from gnt-shiftadd --steps 1 --rays 3 --views 1 2 --samples 4 --device cpu";
    let told = errors(&format!("{coded} --out coded"));
    assert!(told.contains("warning: gnt-shiftadd: ") && told.contains("trained as they are"), "{told}");
}

/// What looks odd in scenes is said, up to a number of lines.
#[test]
fn warnings_of_scenes_are_shown() {
    let (place, line) = cheap();
    fs::write(place.path("scenes/tiny/transforms.json"), b"{}").unwrap();
    let warnings = |line: &str| {
        let output = place.run(line);
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{errors}");
        errors.lines().filter(|line| line.starts_with("warning: ")).map(str::to_owned).collect::<Vec<_>>()
    };
    let told = warnings(&format!("{line} --out one --validate scenes/tiny"));
    assert!(told.len() == 2 && told[0].contains("tiny") && told[0].contains("transforms.json"), "{told:?}");
    for copy in 0..21 {
        place.copy_scene(&format!("copy{copy}"));
    }
    let told = warnings(&format!("{line} --out many"));
    assert_eq!(told.len(), 21, "{told:?}");
    assert_eq!(told[20], "warning: and 2 more about the scenes");
}
