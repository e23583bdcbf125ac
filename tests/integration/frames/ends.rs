//! Runs that end before their time, beside each other, or with nobody listening.

use super::*;
use crate::support::{TINY, pixels};
use std::process::{Child, Stdio};
use std::time::Duration;

/// The program at work on many slow frames, once the second one is there.
fn long_run(place: &Place, line: &str) -> Child {
    let mut child = place.command(line).stderr(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
    place.wait_for(&mut child, "out/frame_0001.png");
    child
}

#[test]
fn two_processes_do_not_share_a_folder() {
    let place = Place::with_scene(5);
    let line = "render tiny -o out --frames 400 --samples 64 --device cpu";
    let mut child = long_run(&place, line);
    for second in [line, "eval tiny --scale 1 --samples 5 --out out"] {
        let output = place.run(second);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{errors}");
        let parts = ["--out", "no run is writing to", "shiftray render", &format!("process {}", child.id())];
        assert!(parts.iter().all(|part| errors.contains(part)), "{errors}");
    }
    child.kill().unwrap();
    child.wait().unwrap();
    // A killed process holds nothing, and what it left goes.
    fs::write(place.path(&format!("out/.frame_0007.png.{}-3.tmp", child.id())), b"half").unwrap();
    place.ok(&line.replace("--frames 400", "--frames 1 --overwrite"));
    place.assert_no_litter();
}

/// Killed again and again, a run ends with the files of one that was not.
#[test]
fn a_killed_run_ends_like_an_uninterrupted_one() {
    let place = Place::with_scene(5);
    let line = "render tiny -o out --frames 6 --samples 24 --size 40x30 --depth --device cpu";
    place.ok(&line.replace("-o out", "-o whole"));
    for (kill, wait) in [30, 60, 90, 120, 150, 180, 240, 300].into_iter().enumerate() {
        let mut child = place.command(line).stderr(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(wait));
        child.kill().unwrap();
        child.wait().unwrap();
        if place.path("out").exists() {
            for name in place.list("out").iter().filter(|name| !name.starts_with('.') && name.ends_with(".png")) {
                assert_eq!(pixels(&place.path(&format!("out/{name}"))).width, 40, "kill {kill}");
            }
        }
    }
    place.ok(line);
    let files = |folder: &str| -> Vec<String> {
        place.list(folder).into_iter().filter(|name| name != "frames.jsonl").collect()
    };
    assert_eq!(files("out"), files("whole"));
    for name in files("whole") {
        let read = |folder: &str| fs::read(place.path(&format!("{folder}/{name}"))).unwrap();
        assert!(read("out") == read("whole"), "{name}");
    }
    place.assert_no_litter();
}

/// A model whose finite weights overflow.
fn overflowing(place: &Place) {
    fs::write(place.path("tiny.json"), TINY).unwrap();
    place.ok("train --data scenes --out run --config tiny.json --steps 1 --rays 31 --views 1 3 --device cpu");
    let mut bytes = fs::read(place.path("run/model.safetensors")).unwrap();
    let start = 8 + u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    for number in bytes[start..].chunks_exact_mut(4) {
        let value = f32::from_le_bytes([number[0], number[1], number[2], number[3]]);
        number.copy_from_slice(&(value.signum() * (value.abs() * 1e25).min(1e37)).to_le_bytes());
    }
    fs::write(place.path("huge.safetensors"), bytes).unwrap();
}

/// Colours that are no numbers are an error each time, and never a picture.
#[test]
fn weights_that_overflow_are_an_error() {
    let place = Place::with_scene(9);
    overflowing(&place);
    let wanted = ["huge.safetensors", "numbers", "pixel (0, 0)", "overflow"];
    for line in ["render tiny -o out --frames 2", "render tiny -o out --path test --depth"] {
        let line = format!("{line} --model huge.safetensors {CHEAP}");
        for _ in 0..2 {
            place.fails(1, &line, &[&["frame "][..], &wanted].concat());
            assert!(!place.path("out").exists(), "nothing is written of such a frame, and no folder is left");
        }
    }
    place.fails(
        1,
        &format!("eval tiny --scale 1 --out report --model huge.safetensors {CHEAP}"),
        &["huge on tiny, image 000", "numbers", "pixel"],
    );
    assert!(!place.path("report").exists());
    place.fails(1, "bench --model huge.safetensors --size 64x48 --seconds 0.1 --repeat 1 --device cpu", &wanted[..2]);
}

/// Stdout and stderr that are closed or full make no panic and no message, whatever the command.
#[cfg(target_os = "linux")]
#[test]
fn nobody_listening_is_no_panic() {
    let place = Place::with_scene(9);
    fs::write(place.path("tiny.json"), TINY).unwrap();
    let commands = [
        "render tiny -o out --frames 2 --samples 3 --size 9x7 --json",
        "render tiny -o out --frames 1 --samples 3 --size 9x7 --json",
        "render nothing -o out",
        "render --help",
        "render",
        "eval tiny --scale 1 --stride 4 --samples 5 --images 1 --json",
        "eval --baseline report --samples 5",
        "bench --size 64x48 --seconds 0.1 --repeat 1 --samples 8 --json",
        "info --json",
        "--help",
        "--version",
        "none",
        "synth --out more --scenes 1 --spp 1 --views 3 --size 32x24",
        "train --data scenes --out run --config tiny.json --steps 1 --rays 31 --views 1 3",
        "reparam --model run/model.safetensors --out less --stages none",
    ];
    let full = || Stdio::from(fs::OpenOptions::new().write(true).open("/dev/full").unwrap());
    for line in commands {
        let expected =
            place.run(&line.replace("-o out", "-o expected").replace("--out ", "--out first-")).status.code();
        // A full stderr: the same end as ever.
        let status = place.command(line).stderr(full()).stdout(Stdio::null()).status().unwrap();
        assert!(
            status.code() == expected || status.code() == Some(1),
            "{line}: {status} where {expected:?} was expected"
        );
        // A reader that went away.
        let mut child = place.command(line).stderr(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        drop((child.stdout.take(), child.stderr.take()));
        let status = child.wait().unwrap();
        assert!(matches!(status.code(), Some(0..=2)), "{line}: {status}");
    }
    let last = LINE.replace("-o out", "-o last");
    // Only stdout is gone: stderr stays free of complaints.
    let mut child =
        place.command(&format!("{last} --json --quiet")).stderr(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    // A full disk is told.
    let output = place.command(&format!("{last} --json")).stdout(full()).output().unwrap();
    assert!(output.status.code() == Some(1) && String::from_utf8_lossy(&output.stderr).contains("stdout"));
}
