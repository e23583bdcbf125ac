//! Runs that are killed at any moment: the same command, or `--resume`, goes on and ends with the bytes of a run that was
//! not, and nothing temporary is left.
//!
//! A few kills of each command run with the other tests; `SHIFTRAY_ATTACKS=N` makes N times as many.

use crate::support::{Place, TINY};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Kills of a command, each at another moment.
const KILLS: u32 = 4;

fn kills() -> u32 {
    std::env::var("SHIFTRAY_ATTACKS").ok().map_or(1, |text| text.parse().expect("SHIFTRAY_ATTACKS is a number")) * KILLS
}

/// All files below a folder but logs, which hold times.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(below) = folders.pop() {
        for entry in fs::read_dir(&below).unwrap().map(Result::unwrap) {
            let (path, name) = (entry.path(), entry.file_name());
            if path.is_dir() {
                folders.push(path);
            } else if name != "log.jsonl" {
                let name = path.strip_prefix(folder).unwrap().to_str().unwrap().to_owned();
                found.insert(name, fs::read(path).unwrap());
            }
        }
    }
    found
}

/// Runs a command and kills it after a while; tells whether it was killed before its end.
fn killed(mut command: Command, after: Duration) -> bool {
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let started = Instant::now();
    while started.elapsed() < after {
        if let Some(status) = child.try_wait().unwrap() {
            assert!(status.success(), "the command failed");
            return false;
        }
        sleep(Duration::from_millis(1));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    true
}

/// Runs `line` with `OUT` replaced to the end in one folder, and with kills in another, where `again` tells how it goes on.
fn attack(place: &Place, line: &str, again: impl Fn() -> String) {
    let started = Instant::now();
    place.ok(&line.replace("OUT", "whole"));
    let mut reach = started.elapsed();
    let expected = files(&place.path("whole"));
    let check = || {
        let found = files(&place.path("parts"));
        assert_eq!(found.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
        for (name, bytes) in &expected {
            assert!(found[name] == *bytes, "{name} differs");
        }
        place.assert_no_litter();
    };
    // Moments spread evenly over a run, the same in every test run, as far as the machine is as busy as it was.
    let (mut at, mut count) = (0.0_f64, 0);
    while count < kills() {
        at = (at + 0.618_034).fract();
        if killed(place.command(&again()), reach.mul_f64(at)) {
            count += 1;
            continue;
        }
        // It came to its end: another one begins, and is killed earlier.
        check();
        fs::remove_dir_all(place.path("parts")).unwrap();
        reach = reach.mul_f64(0.8);
    }
    place.ok(&again());
    check();
}

#[test]
fn training_goes_on() {
    let place = Place::with_scene(4);
    fs::write(place.path("tiny.json"), TINY).unwrap();
    let line = "train --data scenes --out OUT --config tiny.json --steps 24 --rays 64 --views 1 3 --seed 5 --save-every 3 \
                --log-every 2 --device cpu";
    attack(&place, line, || match place.path("parts/state.safetensors").exists() {
        true => "train --resume parts --save-every 3 --log-every 2 --device cpu".to_owned(),
        false => line.replace("OUT", "parts"),
    });
    let log = |run: &str| {
        let text = fs::read_to_string(place.path(&format!("{run}/log.jsonl"))).unwrap();
        let steps = text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["step"].clone());
        steps.collect::<Vec<_>>()
    };
    assert_eq!(log("whole"), log("parts"), "steps of the logs");
}

#[test]
fn reparameterisation_goes_on() {
    let place = Place::with_scene(4);
    fs::write(place.path("tiny.json"), TINY).unwrap();
    place.ok("train --data scenes --out dense --config tiny.json --steps 2 --rays 31 --views 1 3 --device cpu");
    let line = "reparam --model dense/model.safetensors --data scenes --out OUT --stages ray+view,shift+experts \
                --alpha 6:4 --steps 8 --rays 31 --views 1 3 --seed 5 --save-every 2 --device cpu";
    attack(&place, line, || line.replace("OUT", "parts"));
}

#[test]
fn procedural_scenes_go_on() {
    let place = Place::new();
    let line = "synth --out OUT --scenes 4 --views 3 --size 80x60 --spp 2 --seed 3";
    attack(&place, line, || line.replace("OUT", "parts"));
    assert_eq!(place.list("parts").len(), 5);
}

#[test]
fn the_demonstration_scene_goes_on() {
    let place = Place::new();
    let line = "synth --out OUT --showcase --views 4 --size 80x60 --spp 2";
    attack(&place, line, || line.replace("OUT", "parts"));
}
