//! The script for a rented GPU, rehearsed on the processor: what it prints, what it leaves, and that it survives being killed.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// The script, with the program of this build.
fn script(args: &str) -> Command {
    let mut command = Command::new("bash");
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/gpu.sh")).args(args.split_whitespace());
    command.args(["--binary", env!("CARGO_BIN_EXE_shiftray")]).env_remove("OUT").stdin(Stdio::null());
    command
}

fn run(mut command: Command) -> (String, String, Option<i32>) {
    let output = command.output().expect("bash");
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    (text(output.stdout), text(output.stderr), output.status.code())
}

/// All files below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().path());
    // What is being written does not count.
    let entries = entries.filter(|path| !path.ends_with(".gpu-new"));
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

/// At most eight files of at most 16 MB come back from a rented machine.
fn expect_within_limits(folder: &Path) {
    let files = files(folder);
    assert!(files.len() <= 8, "{files:?}");
    assert!(files.iter().all(|file| file.metadata().unwrap().len() <= 16_000_000), "{files:?}");
}

#[test]
fn a_dry_run_tells_what_everything_takes() {
    for (task, least) in [("check --minutes 8", 300), ("train --minutes 10", 500)] {
        let (text, problem, code) = run(script(&format!("{task} --dry-run")));
        assert_eq!(code, Some(0), "{problem}");
        let last = text.lines().last().unwrap();
        let words: Vec<&str> = last.split(' ').collect();
        let (seconds, minutes): (u32, u32) = (words[1].parse().unwrap(), words[6].parse().unwrap());
        assert!(seconds >= least && seconds <= 60 * minutes, "{last}");
        assert!(text.lines().rev().skip(1).all(|line| line.contains(" (about ") && line.contains(" s")), "{text}");
    }
}

#[test]
fn what_is_wrong_is_told_before_anything_is_done() {
    for (args, expected) in [
        ("train", "--minutes: expected a number of minutes, found ''"),
        ("train --minutes ten", "--minutes: expected a number of minutes, found 'ten'"),
        ("check --data somewhere", "--data, --textures, --scenes and -- belong to gpu.sh train"),
        ("train --minutes 1 --gnt somewhere", "--gnt belongs to gpu.sh check"),
        ("check --gnt /nowhere", "found no gnt/transformer_network.py"),
        ("check --fast", "unknown option --fast"),
    ] {
        let (_, problem, code) = run(script(args));
        assert_eq!(code, Some(2), "{args}: {problem}");
        assert!(problem.contains(expected), "{args}: {problem}");
    }
}

/// A leg is killed at a moment when it has kept something, and the next one goes on from there.
#[test]
fn a_leg_of_training_survives_being_killed() {
    let dir = TempDir::new().unwrap();
    let out = dir.path().join("out");
    let leg = |minutes: f32| {
        let mut command = script(&format!("train --device cpu --tiny --minutes {minutes}"));
        command.arg("--out").arg(&out).env("TMPDIR", dir.path()).stdout(Stdio::null()).stderr(Stdio::null());
        command.process_group(0);
        command
    };
    let mut first = leg(5.0).spawn().expect("bash");
    let log = out.join("gpu-train-run/log.jsonl");
    let started = Instant::now();
    while !log.exists() {
        assert!(first.try_wait().unwrap().is_none(), "it ends by itself, and has kept {:?}", files(&out));
        assert!(started.elapsed() < Duration::from_secs(240), "nothing is kept but {:?}", files(&out));
        std::thread::sleep(Duration::from_millis(50));
    }
    // With all that it has started, as when a machine is gone.
    let group = format!("-{}", first.id());
    assert!(Command::new("kill").args(["-KILL", "--", &group]).status().unwrap().success());
    first.wait().unwrap();
    expect_within_limits(&out);
    let steps = || fs::read_to_string(&log).unwrap().lines().filter(|line| line.contains("\"step\"")).count();
    let before = steps();
    assert!(before > 0);
    let mut second = leg(0.5);
    let done = second.stdout(Stdio::piped()).stderr(Stdio::piped()).output().unwrap();
    let text = String::from_utf8_lossy(&done.stdout);
    assert!(done.status.success(), "{text}{}", String::from_utf8_lossy(&done.stderr));
    assert!(steps() > before && text.contains("steps done"), "{before} steps before, {}: {text}", steps());
    expect_within_limits(&out);
    let names = ["gpu-train.json", "gpu-train.md", "gpu-train-logs.tar.gz", "gpu-train-run/model.safetensors"];
    assert!(names.iter().all(|name| out.join(name).exists()), "{:?}", files(&out));
}
