//! Bad input: one error that names the thing, an exit code, and nothing left behind.

use crate::support::Place;
use std::fs;

const LINE: &str = "render --scene tiny --out out --frames 2 --samples 3 --size 9x7";

#[test]
fn scenes_that_are_not_there() {
    let place = Place::new();
    let line = "render --scene llff/fern --scenes here --scenes there/too --out out";
    place.fails(1, line, &["llff/fern", "here/llff/fern", "there/too/llff/fern", "scenes/llff/fern", "synth"]);
    let output = place.command(line).env("SHIFTRAY_SCENES", place.path("set")).output().unwrap();
    assert!(String::from_utf8_lossy(&output.stderr).contains("set/llff/fern"));
    fs::create_dir_all(place.path("scenes/tiny")).unwrap();
    place.fails(1, LINE, &["poses_bounds.npy", "transforms_train.json"]);
    assert!(!place.path("out").exists());
}

#[test]
fn damaged_poses() {
    let place = Place::with_scene(5);
    let file = place.path("scenes/tiny/poses_bounds.npy");
    let good = fs::read(&file).unwrap();
    let rows = good.len() - 5 * 17 * 8;
    // The number 3 of the third row: part of a camera centre.
    let mut not_a_number = good.clone();
    not_a_number[rows + (2 * 17 + 3) * 8..][..8].copy_from_slice(&f64::NAN.to_le_bytes());
    let mut shape = good.clone();
    let at = good.windows(2).position(|w| w == b"(5").unwrap();
    shape[at + 1] = b'9';
    for bytes in [&good[..good.len() - 9], &good[..40], &good[..0], b"not an array at all", &not_a_number, &shape] {
        fs::write(&file, bytes).unwrap();
        place.fails(1, LINE, &["poses_bounds.npy"]);
    }
    fs::write(&file, &not_a_number).unwrap();
    place.fails(1, LINE, &["002.png"]);
    assert!(!place.path("out").exists(), "nothing is written before the scene is known to be good");
}

#[test]
fn damaged_photographs() {
    let place = Place::with_scene(5);
    let file = place.path("scenes/tiny/images/003.png");
    let good = fs::read(&file).unwrap();
    fs::write(&file, &good[..good.len() / 2]).unwrap();
    place.fails(1, LINE, &["003.png"]);
    assert!(!place.path("out").exists(), "no partial frame");
    fs::write(&file, b"").unwrap();
    place.fails(1, LINE, &["003.png"]);
    fs::remove_file(&file).unwrap();
    place.fails(1, LINE, &["poses_bounds.npy", "5 rows and 4 images"]);
}

#[test]
fn scenes_that_do_not_suit_the_path() {
    let place = Place::with_scene(1);
    place.fails(1, "render --scene tiny --out out --path test", &["frame 000", "source view"]);
    place.fails(1, "render --scene tiny --out out --path none.json", &["none.json"]);
    let forward = Place::with_scene(5);
    forward.fails(1, &format!("{LINE} --path orbit"), &["tiny", "orbit"]);
    assert!(!place.path("out").exists());
}

#[test]
fn folders_that_cannot_be_written() {
    let place = Place::with_scene(3);
    fs::write(place.path("file"), b"mine").unwrap();
    for out in ["file", "file/below"] {
        place.fails(1, &LINE.replace("--out out", &format!("--out {out}")), &["--out", out]);
    }
    assert_eq!(fs::read(place.path("file")).unwrap(), b"mine");
    place.fails(1, &LINE.replace("--out out", "--out scenes/tiny/images"), &["photographs"]);
    place.fails(1, &format!("{LINE} --video none/a.gif"), &["--video", "none/a.gif"]);
    assert!(!place.path("out").exists(), "nothing is rendered for a video that cannot be made");
}

#[test]
fn frames_of_another_command_are_kept() {
    let place = Place::with_scene(3);
    place.ok(LINE);
    let before = fs::read(place.path("out/frame_0001.png")).unwrap();
    place.fails(1, &LINE.replace("9x7", "7x9"), &["frame_0000.png", "expected 7x9, found 9x7", "--overwrite"]);
    assert_eq!(fs::read(place.path("out/frame_0001.png")).unwrap(), before);
    place.ok(&format!("{} --overwrite", LINE.replace("9x7", "7x9")));
}

#[test]
fn devices_that_are_not_there() {
    let place = Place::with_scene(3);
    for device in ["cuda", "cuda:3"] {
        place.fails(
            1,
            &format!("{LINE} --device {device}"),
            &[&format!("--device {}: ", if device == "cuda" { "cuda:0" } else { device }), "driver"],
        );
    }
    assert!(!place.path("out").exists());
}

#[test]
fn hostile_models() {
    let place = Place::with_scene(3);
    let file = |header: &str, length: u64| [&length.to_le_bytes(), header.as_bytes(), &[0; 64]].concat();
    let sized = |header: &str| file(header, header.len() as u64);
    let huge = r#"{"a":{"dtype":"F32","shape":[4294967295,4294967295,4294967295],"data_offsets":[0,64]}}"#;
    let config = r#"{"__metadata__":{"config":"{\"width\":1000000000}"}}"#;
    let cases = [
        Vec::new(),
        b"PK\x03\x04 not a model".to_vec(),
        file("{}", u64::MAX),
        file("{}", 1 << 40),
        sized("{}"),
        sized("{\"a\":"),
        sized(huge),
        sized(config),
        sized(&"[".repeat(100_000)),
    ];
    for bytes in cases {
        fs::write(place.path("model.safetensors"), &bytes).unwrap();
        place.fails(1, &format!("{LINE} --model model.safetensors"), &["model.safetensors"]);
        place.fails(1, "info --model model.safetensors", &["model.safetensors"]);
    }
    place.fails(1, &format!("{LINE} --model nothing"), &["nothing", "gnt-dense"]);
    place.fails(1, &format!("{LINE} --model scenes"), &["scenes"]);
    assert!(!place.path("out").exists());
}

#[test]
fn wrong_usage_has_its_own_exit_code() {
    let place = Place::new();
    for option in [
        "--views 0",
        "--samples 1",
        "--samples=-3",
        "--importance 5000",
        "--size 0x5",
        "--size 64",
        "--stride 0",
        "--threads 0",
        "--frames 0",
        "--factor 0",
        "--path circle",
        "--video film.mkv",
        "--contact-sheet film.gif",
        "--frame-format gif",
        "--depth-format tiff",
        "--shard 3/2",
        "--every 0",
        "--stereo=-1",
        "--fps NaN",
        "--fps 0",
        "--device gpu",
        "--unknown",
    ] {
        place.fails(2, &format!("render --scene tiny --out out {option}"), &[option.split([' ', '=']).next().unwrap()]);
    }
    place.fails(2, "render --out out", &["--scene"]);
    assert!(!place.path("out").exists());
}

#[test]
fn misspelt_instruction_sets_are_refused() {
    let place = Place::new();
    let output = place.command("info").env("SHIFTRAY_SIMD", "avx-2").output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{errors}");
    assert!(errors.contains("SHIFTRAY_SIMD") && errors.contains("portable, avx2, avx2+vnni, avx512"), "{errors}");
}

/// A set that the processor has is used, another one ignored with a sentence.
#[test]
fn missing_instruction_sets_are_said_to_be_ignored() {
    let place = Place::new();
    for set in [
        "portable",
        "avx2",
        "avx2+vnni",
        "avx512",
        "avx512+vnni",
        "avx512+bitalg",
        "avx512+vnni+bitalg",
        "avx512+vnni+bitalg+bf16",
        "avx512+vnni+bitalg+bf16+amx",
    ] {
        let output = place.command("info --json").env("SHIFTRAY_SIMD", set).output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{set}: {errors}");
        let info: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let present = compute::Isa::available().any(|isa| isa.name() == set);
        let used = if present { set } else { compute::Isa::detect().name() };
        assert_eq!(info["cpu_level"], used, "{set}");
        assert_eq!(
            errors.matches(&format!("SHIFTRAY_SIMD={set} is ignored")).count(),
            usize::from(!present),
            "{errors}"
        );
    }
}

/// A rename over a device would take the device away.
#[cfg(unix)]
#[test]
fn models_are_not_written_over_devices_and_links() {
    let place = Place::new();
    let fixture = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/torch_zip.pth");
    let status = std::process::Command::new("mkfifo").arg(place.path("pipe")).status().unwrap();
    assert!(status.success());
    std::os::unix::fs::symlink("/dev/null", place.path("link")).unwrap();
    for (out, found) in
        [("/dev/null", "device"), ("/dev/stdout", ""), ("pipe", "pipe"), ("link", "symbolic link"), (".", "folder")]
    {
        place.fails(1, &format!("import {fixture} --out {out}"), &["--out", "expected a regular file", found]);
    }
    use std::os::unix::fs::FileTypeExt;
    assert!(fs::metadata("/dev/null").unwrap().file_type().is_char_device());
    assert!(fs::symlink_metadata(place.path("link")).unwrap().is_symlink());
}
