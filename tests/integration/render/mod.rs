//! `shiftray render` as it is meant to be used.

mod depth;
mod outputs;
mod paths;

use crate::support::{Place, pixels};
use std::fs;
use std::io::{BufRead, BufReader};
use std::process::Stdio;

/// Options that make a frame cheap.
const CHEAP: &str = "--samples 5 --views 3 --device cpu";

#[test]
fn test_path_is_compared_with_the_photographs() {
    let place = Place::with_scene(9);
    let line = format!("render --scene tiny --out out --path test --depth --json {CHEAP}");
    let report = place.json(&line);
    assert_eq!(
        place.list("out"),
        [
            "000.png",
            "000_depth.npy",
            "000_depth.png",
            "000_range.npy",
            "008.png",
            "008_depth.npy",
            "008_depth.png",
            "008_range.npy",
            "frames.jsonl",
            "path.json"
        ]
    );
    for (key, expected) in [("scene", "tiny"), ("model", "gnt-shiftadd"), ("device", "cpu"), ("path", "test")] {
        assert_eq!(report[key], expected, "{report}");
    }
    assert_eq!(report["size"], serde_json::json!([64, 48]));
    assert_eq!((&report["views"], &report["samples"]), (&3.into(), &5.into()));
    for key in ["threads", "seconds_per_frame", "rays_per_second", "seconds_features"] {
        assert!(report[key].as_f64().unwrap() > 0.0, "{key}: {report}");
    }
    assert!(report["warnings"].is_array());
    let rows = report["scene_from_file"].as_array().unwrap();
    assert_eq!(rows.len(), 4);
    assert_eq!(rows[3], serde_json::json!([0.0, 0.0, 0.0, 1.0]));
    let column = |i: usize| (0..3).map(|row| rows[row][i].as_f64().unwrap().powi(2)).sum::<f64>().sqrt();
    let scale = report["scene_scale"].as_f64().unwrap();
    assert!((0..3).all(|i| (column(i) - scale).abs() < 1e-5 * scale), "{report}");
    let frames = report["frames"].as_array().unwrap();
    assert_eq!(frames.len(), 2);
    for (frame, name) in frames.iter().zip(["000", "008"]) {
        assert_eq!(frame["name"], name);
        assert_eq!(frame["file"], format!("out/{name}.png"));
        assert_eq!(frame["skipped"], false);
        assert!(frame["seconds"].as_f64().unwrap() > 0.0 && frame["rays_per_second"].as_f64().unwrap() > 0.0);
        assert_eq!(frame["depth_files"]["range"], format!("out/{name}_range.npy"));
        let sources = frame["sources"].as_array().unwrap();
        assert!(sources.len() == 3 && !sources.contains(&"000".into()) && !sources.contains(&"008".into()));
        let image = pixels(&place.path(&format!("out/{name}.png")));
        let truth = pixels(&place.path(&format!("scenes/tiny/images/{name}.png")));
        assert!((frame["psnr"].as_f64().unwrap() - eval::psnr(&image, &truth, None).unwrap()).abs() < 1e-9);
        assert!(
            (frame["ssim"].as_f64().unwrap() - eval::ssim(&image, &truth, eval::SsimKind::Gnt, None).unwrap()).abs()
                < 1e-9
        );
    }
    depths_are_consistent(&place, &report);

    // A second run renders nothing and still compares.
    let written = fs::metadata(place.path("out/000.png")).unwrap().modified().unwrap();
    let again = place.json(&line);
    assert!(again["frames"].as_array().unwrap().iter().all(|f| f["skipped"] == true && f["seconds"].is_null()));
    assert_eq!(again["mean_psnr"], report["mean_psnr"]);
    assert!(again["seconds_per_frame"].is_null() && again["rays_per_second"].is_null());
    assert_eq!(fs::metadata(place.path("out/000.png")).unwrap().modified().unwrap(), written);

    // A frame whose depth is missing is rendered again, as all are with --overwrite.
    fs::remove_file(place.path("out/008_range.npy")).unwrap();
    let skipped = |report: &serde_json::Value| {
        report["frames"].as_array().unwrap().iter().map(|f| f["skipped"] == true).collect::<Vec<_>>()
    };
    assert_eq!(skipped(&place.json(&line)), [true, false]);
    assert_eq!(skipped(&place.json(&format!("{line} --overwrite"))), [false, false]);
    place.assert_no_litter();
}

/// Depth lies between the bounds, range is at least as far, and the 16-bit image is the depth times its scale.
fn depths_are_consistent(place: &Place, report: &serde_json::Value) {
    let read = |name: &str| scene::depth::read_npy(&place.path(name), (64, 48)).unwrap();
    let (depth, range) = (read("out/000_depth.npy"), read("out/000_range.npy"));
    let [near, far] = [0, 1].map(|i| report["depth_range"][i].as_f64().unwrap() as f32);
    assert!(depth.iter().all(|z| (near * 0.999..=far * 1.001).contains(z)));
    assert!(depth.iter().zip(&range).all(|(z, r)| *r >= *z && *r < 3.0 * z));
    let scale = report["depth_png_scale"].as_f64().unwrap() as f32;
    let levels = pixels(&place.path("out/000_depth.png"));
    for (z, level) in depth.iter().zip(levels.data.iter().step_by(3)) {
        assert!((z * scale - level * 65_535.0).abs() <= 0.51, "{z} {level}");
    }
}

#[test]
fn threads_and_stride_do_not_change_pixels() {
    let place = Place::with_scene(5);
    let line = format!("render --scenes scenes --scene tiny --path test --importance 4 {CHEAP}");
    place.ok(&format!("{line} --out one --threads 1"));
    place.ok(&format!("{line} --out five --threads 5"));
    assert_eq!(fs::read(place.path("one/000.png")).unwrap(), fs::read(place.path("five/000.png")).unwrap());
    let report = place.json(&format!("{line} --out sparse --stride 5 --json"));
    let (full, sparse) = (pixels(&place.path("one/000.png")), pixels(&place.path("sparse/000.png")));
    assert_eq!((sparse.width, sparse.height), (13, 10));
    for (x, y) in [(0, 0), (12, 0), (0, 9), (12, 9), (7, 4)] {
        assert_eq!(sparse.pixel(x, y), full.pixel(5 * x, 5 * y));
    }
    assert!(report["frames"][0]["psnr"].as_f64().unwrap() > 5.0, "{report}");
    // Another size has no photograph to be compared with, and says so.
    let report = place.json(&format!("{line} --out small --size 31x33 --json"));
    assert!(report["frames"][0].get("psnr").is_none() && report["mean_psnr"].is_null());
    assert!(report["warnings"].to_string().contains("--size"), "{report}");
}

#[test]
fn videos_hold_all_frames() {
    let place = Place::with_scene(3);
    place.ok(&format!("render --scene tiny --out out --frames 3 --size 16x12 --video fly.gif --fps 10 {CHEAP}"));
    let file = std::io::BufReader::new(fs::File::open(place.path("fly.gif")).unwrap());
    let decoder = image::codecs::gif::GifDecoder::new(file).unwrap();
    let frames = image::AnimationDecoder::into_frames(decoder).collect_frames().unwrap();
    assert_eq!(frames.len(), 3);
    assert!(frames.iter().all(|f| f.buffer().dimensions() == (16, 12)));
    place.assert_no_litter();
    place.fails(2, &format!("render --scene tiny --out out --frames 3 --fps 10 {CHEAP}"), &["--video"]);
}

/// An animation takes the place of an earlier one of the same frames only.
#[test]
fn animations_of_others_are_not_replaced() {
    let place = Place::with_scene(3);
    let line = format!("render tiny --out out --frames 2 --size 16x12 --video scenes/tiny/fly.gif {CHEAP}");
    place.ok(&line);
    let first = fs::read(place.path("scenes/tiny/fly.gif")).unwrap();
    place.ok(&format!("{line} --fps 10"));
    let second = fs::read(place.path("scenes/tiny/fly.gif")).unwrap();
    assert!(first != second, "the rate is another one");
    // Of other frames, and of nobody knows what.
    let other = line.replace("--out out", "--out other");
    let fails = |line: &str| place.fails(1, line, &["--video scenes/tiny/fly.gif", "expected another file"]);
    fails(&other);
    let elsewhere = line.replace("scenes/tiny/fly.gif", "fly.gif");
    fs::write(place.path("fly.gif"), b"mine").unwrap();
    place.fails(1, &elsewhere, &["--video fly.gif: exists already", "--overwrite"]);
    assert_eq!(fs::read(place.path("fly.gif")).unwrap(), b"mine");
    assert_eq!(fs::read(place.path("scenes/tiny/fly.gif")).unwrap(), second);
    assert!(!place.path("other").exists(), "the run has made nothing");
    place.ok(&format!("{elsewhere} --overwrite"));
    place.ok(&elsewhere);
    fs::write(place.path("fly.gif"), b"changed").unwrap();
    place.fails(1, &elsewhere, &["--video fly.gif: exists already"]);
}

#[test]
fn one_source_view_is_enough() {
    let place = Place::with_scene(5);
    let report = place.json("render --scene tiny --out out --path test --samples 5 --views 1 --json");
    assert_eq!(report["frames"][0]["sources"].as_array().unwrap().len(), 1);
    let alone = Place::with_scene(1);
    alone.ok("render --scene tiny --out out --frames 1 --samples 5 --size 17x9");
    assert_eq!(alone.list("out"), ["frame_0000.png", "frames.jsonl", "path.json"]);
}

#[test]
fn auto_says_what_it_chose() {
    let place = Place::with_scene(3);
    let output = place.run("render --scene tiny --out out --frames 1 --samples 3 --size 5x3");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && errors.contains("CPU"), "{errors}");
    let text = place.ok("render --scene tiny --out guided --frames 1 --size 5x3");
    assert!(text.contains(" rays/s at 8:48+12 samples with "), "{text}");
}

/// What was guessed is told though a later step fails.
#[test]
fn warnings_come_before_the_error_that_follows() {
    let place = Place::with_scene(5);
    let line = "render tiny --out out --path spiral --path-frame scene --frames 2 --model nothing";
    let errors = place.fails(1, line, &["nothing"]);
    assert!(errors.contains("warning: --path-frame and --dataparser are for path files"), "{errors}");
    assert!(!place.path("out").exists());
}

/// Killed at any moment, the program leaves whole frames only, and the same command finishes the job.
#[test]
fn a_killed_run_leaves_whole_frames() {
    let place = Place::with_scene(5);
    let line = "render --scene tiny --out out --frames 30 --samples 16 --device cpu";
    let mut child = place.command(line).stderr(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
    place.wait_for(&mut child, "out/frame_0001.png");
    child.kill().unwrap();
    child.wait().unwrap();
    let frames: Vec<_> = place.list("out").into_iter().filter(|name| name.ends_with(".png")).collect();
    assert!((2..30).contains(&frames.len()), "{} frames", frames.len());
    for name in &frames {
        assert_eq!(pixels(&place.path(&format!("out/{name}"))).width, 64);
    }
    let text = place.ok(line);
    assert!(text.contains(&format!("{} were there already", frames.len())), "{text}");
    assert_eq!(place.list("out").iter().filter(|name| name.starts_with("frame_")).count(), 30);
}

#[test]
fn the_scene_may_come_first() {
    let place = Place::with_scene(3);
    let short = "-o out --frames 1 --samples 3 --size 5x3";
    for line in [
        format!("render tiny {short}"),
        format!("render {short} --scene tiny"),
        format!("render tiny {short} --scene tiny"),
    ] {
        let report = place.json(&format!("{line} --json"));
        assert_eq!(report["scene"], "tiny");
    }
    place.fails(2, &format!("render tiny {short} --scene other"), &["twice", "tiny", "other"]);
    place.fails(2, "render tiny", &["--out DIR", "folder for the frames"]);
    let help = place.ok("render --help");
    for part in ["Examples:", "--factor N", "--stride N", "--size WxH", "Camera path:", "Output:", "Quality:"] {
        assert!(help.contains(part), "{part}: {help}");
    }
    let help = place.ok("eval --help");
    assert!(
        ["Examples:", "--scale N", "--stride N", "no --size here"].iter().all(|part| help.contains(part)),
        "{help}"
    );
}

/// Where stderr is no terminal, a job that takes its time has plain lines, and the device is told once.
#[test]
fn progress_is_told_in_plain_lines() {
    let place = Place::with_scene(3);
    let line = "render tiny -o out --frames 500 --samples 200 --size 64x48";
    let mut child = place.command(line).stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    let mut reader = BufReader::new(child.stderr.take().unwrap());
    let mut errors = String::new();
    while errors.lines().filter(|line| line.starts_with("frame ")).count() < 2 {
        assert!(reader.read_line(&mut errors).unwrap() > 0, "the run ended without a second line: {errors}");
    }
    child.kill().unwrap();
    child.wait().unwrap();
    for line in errors.lines().filter(|line| line.starts_with("frame ")) {
        assert!([" of 500: ", " %, ", " rays/s, ", " s of about "].iter().all(|part| line.contains(part)), "{errors}");
    }
    assert!(!errors.contains(['\r', '\x1b']) && errors.matches("device: ").count() == 1, "{errors}");
    let quiet = place.run("render tiny -o quiet --frames 1 --samples 3 --size 5x3 --quiet");
    assert!(quiet.status.success() && quiet.stderr.is_empty());
}
