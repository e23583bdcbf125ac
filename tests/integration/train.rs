//! `shiftray train`, interrupted and not.

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
    assert_eq!(place.list("out"), ["frame_0000.png", "path.json"]);
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
