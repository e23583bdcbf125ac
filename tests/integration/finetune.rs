//! `shiftray finetune`: some steps on one scene's own photographs.

use crate::support::{Place, TINY};
use std::fs;

/// A tiny model with visibility, as the weights of a run of no consequence.
fn place_with_model(views: usize) -> Place {
    let place = Place::with_scene(views);
    let visible = TINY.replacen('{', "{\"visibility\":true,\"axes\":\"target\",", 1);
    fs::write(place.path("tiny.json"), visible).unwrap();
    place.ok("train --data scenes --out base --config tiny.json --steps 2 --rays 8 --views 1 2");
    place
}

const COMMAND: &str = "finetune --scene tiny --model base/model.safetensors --rays 40 --steps 6 --device cpu";

/// What an interrupted run ends with is that of one that is not; the gain is told on what was left out.
#[test]
fn an_interrupted_run_goes_on() {
    let place = place_with_model(6);
    let report = place.json(&format!("{COMMAND} --out whole --json"));
    assert_eq!((report["steps"].as_u64(), report["of_steps"].as_u64()), (Some(6), Some(6)));
    let [before, after] = ["before", "after"].map(|when| report[when]["psnr"].as_f64().unwrap());
    assert!(before.is_finite() && before != after, "{report}");
    assert_eq!(report["gain_db"].as_f64(), Some(after - before));
    assert!(!report["before"]["views"].as_array().unwrap().is_empty());

    let mut runs = 0;
    loop {
        let report = place.json(&format!("{COMMAND} --out parts --minutes 0.00002 --json"));
        runs += 1;
        if report["steps"] == 6 {
            break;
        }
        assert!(runs < 50, "no progress");
    }
    assert!(runs > 1, "the run was not interrupted");
    let read = |run: &str| fs::read(place.path(&format!("{run}/model.safetensors"))).unwrap();
    assert!(read("whole") == read("parts"), "the models differ");
    place.ok("render --scene tiny --out out --model whole/model.safetensors --frames 1 --size 9x7 --device cpu");
    // Other options, or another model, are another run.
    place.fails(1, &format!("{COMMAND} --out whole --rate 0.1"), &["--rate", "0.1"]);
    place.fails(1, &COMMAND.replace("base/model.safetensors", "gnt-dense --out whole"), &["whole", "another model"]);
    place.assert_no_litter();
}

/// A photograph that is held out has no part in the result.
#[test]
fn held_out_photographs_are_not_trained_on() {
    let place = place_with_model(6);
    place.ok(&format!("{COMMAND} --out first"));
    let images = fs::read_dir(place.path("scenes/tiny/images")).unwrap();
    let mut images: Vec<_> = images.map(|entry| entry.unwrap().path()).collect();
    images.sort();
    // The first of every eight is held out; it becomes another picture of the same size.
    fs::copy(&images[3], &images[0]).unwrap();
    place.ok(&format!("{COMMAND} --out second"));
    let read = |run: &str| fs::read(place.path(&format!("{run}/model.safetensors"))).unwrap();
    assert!(read("first") == read("second"), "the models differ");
    fs::copy(&images[3], &images[1]).unwrap();
    place.ok(&format!("{COMMAND} --out third"));
    assert!(read("first") != read("third"), "a source photograph makes no difference");
}

#[test]
fn what_cannot_be_tuned_is_refused_at_once() {
    let place = place_with_model(3);
    place.fails(1, &format!("{COMMAND} --out out"), &["tiny", "expected at least 3 source views, found 2"]);
    assert!(!place.path("out/state.safetensors").exists());
    let place = place_with_model(6);
    place.fails(1, "finetune --scene tiny --model base/model.safetensors --out scenes/tiny", &["--out"]);
    place.fails(2, "finetune --scene tiny", &["--out"]);
}
