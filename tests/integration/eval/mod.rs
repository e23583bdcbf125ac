//! `shiftray eval` as it is meant to be used.

mod again;
mod parts;

use crate::support::{Place, pixels};
use serde_json::{Value, json};
use std::fs;

/// Options that make an evaluation cheap.
const CHEAP: &str = "--samples 5 --views 3 --device cpu --threads 2";

fn metrics(place: &Place, report: &str) -> Value {
    serde_json::from_slice(&fs::read(place.path(&format!("{report}/metrics.json"))).unwrap()).unwrap()
}

/// What follows from scenes, models and settings alone, as bytes.
fn lasting(place: &Place, report: &str) -> String {
    let mut all = metrics(place, report);
    ["latencies", "runs"].iter().for_each(|key| drop(all.as_object_mut().unwrap().remove(*key)));
    serde_json::to_string_pretty(&all).unwrap()
}

#[test]
fn a_report_has_all_figures() {
    let place = Place::with_synth("--views 9 --size 128x96");
    let line = format!("eval --scene tiny --model gnt-shiftadd --model gnt-dense --out out {CHEAP}");
    let words = place.ok(&line);
    assert!(words.contains("gnt-dense") && words.contains("PSNR") && words.contains("report.html"), "{words}");
    let all = metrics(&place, "out");
    assert_eq!(all["settings"]["samples"], 5);
    assert_eq!(all["settings"]["views"], json!([3]));
    assert_eq!(all["runs"][0]["command"], format!("shiftray {line}"));
    assert_eq!(all["models"].as_array().unwrap().len(), 2);
    assert!(all["models"][0]["sha256"].as_str().unwrap().len() == 64 && all["scenes"][0]["kind"] == "llff");
    let cases = all["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 2);
    for case in cases {
        let images = case["images"].as_array().unwrap();
        assert_eq!(images.iter().map(|i| i["name"].as_str().unwrap()).collect::<Vec<_>>(), ["000", "008"]);
        // Only full-size photographs are there: factor 4, every second pixel.
        assert_eq!((&case["scale"], &case["stride"], &case["size"]), (&4.into(), &2.into(), &json!([16, 12])));
        let mut sum = 0.0;
        for image in images {
            let ours = pixels(&place.path(&format!("out/{}", image["file"].as_str().unwrap())));
            let name = image["name"].as_str().unwrap();
            let truth = pixels(&place.path(&format!("scenes/tiny/images/{name}.png")));
            let truth = scene::resample::area_downscale(&truth, 32, 24).unwrap().every(2);
            assert_eq!(image["psnr"].as_f64().unwrap(), eval::psnr(&ours, &truth, None).unwrap());
            assert_eq!(image["ssim"].as_f64().unwrap(), eval::ssim(&ours, &truth, eval::SsimKind::Gnt, None).unwrap());
            assert_eq!(image["flip"].as_f64().unwrap(), eval::flip::flip(&ours, &truth, None).unwrap());
            assert_eq!(image["sources"].as_array().unwrap().len(), 3);
            sum += image["psnr"].as_f64().unwrap();
        }
        assert_eq!(case["mean"]["psnr"].as_f64().unwrap(), sum / 2.0);
        assert!(case["mean"]["lpips"].is_null() && case["operations"]["additions"].as_u64().unwrap() > 0);
    }
    // Every row of every feed-forward part went to one expert: 192 rays, 5 samples, two images.
    let routed = cases[0]["routed"].as_array().unwrap();
    assert_eq!(routed.len(), 4);
    for part in routed {
        assert_eq!(part.as_array().unwrap().iter().map(|n| n.as_u64().unwrap()).sum::<u64>(), 2 * 192 * 5);
    }
    assert_eq!(cases[1]["routed"], json!([]));
    let latency = &all["latencies"][0];
    assert!(latency["median"].as_f64().unwrap() > 0.0 && latency["timed"] == 2, "{latency}");
    let stages = latency["stages"].as_array().unwrap();
    let share: f64 = stages.iter().map(|stage| stage[1].as_f64().unwrap()).sum();
    assert!(stages.iter().any(|stage| stage[0] == "experts") && (share - 1.0).abs() < 1e-6, "{latency}");
    let page = fs::read_to_string(place.path("out/report.html")).unwrap();
    assert!(page.matches("data:image/jpeg").count() >= 4, "sheets are in the page");
    assert_eq!(place.list("out/sheets/gnt-dense/tiny/held-out/3-views"), ["000.jpg", "008.jpg"]);
    let sheet = pixels(&place.path("out/sheets/gnt-shiftadd/tiny/held-out/3-views/000.jpg"));
    assert_eq!(sheet.width, 4 * eval::report::sheet::pitch(16) + 16, "ours, truth, error, depth, routing");
    place.assert_no_litter();
}

/// Guided samples are recorded, resumed and compared; those that were evaluated before there were any are read.
#[test]
fn samples_may_be_guided() {
    let place = Place::with_scene(9);
    let even = "eval tiny --scale 1 --stride 2 -o out --samples 5 --views 3 --device cpu";
    let guided = even.replace("--samples 5", "--samples 4:7+5");
    place.ok(even);
    assert!(metrics(&place, "out")["cases"][0].get("guided").is_none());
    place.fails(1, &guided, &["samples: expected 4:7+5, found 5"]);
    place.ok(&guided.replace("-o out", "-o guided"));
    let all = metrics(&place, "guided");
    assert_eq!((&all["settings"]["samples"], &all["settings"]["guided"]), (&5.into(), &"4:7+5".into()));
    assert_eq!((&all["cases"][0]["samples"], &all["cases"][0]["guided"]), (&5.into(), &"4:7+5".into()));
    let operations = |folder: &str| metrics(&place, folder)["cases"][0]["operations"]["additions"].as_u64().unwrap();
    assert!(operations("guided") > operations("out"), "coarse rays are counted");
    assert!(fs::read_to_string(place.path("guided/report.html")).unwrap().contains("4:7+5"));
    // The same again, as the baseline says; others are not comparable.
    place.ok("eval --baseline guided --device cpu");
    assert_eq!(lasting(&place, "guided-now"), lasting(&place, "guided"));
    let other = format!("{} --baseline out", guided.replace("-o out", "-o guided"));
    let output = place.run(&other);
    let errors = String::from_utf8_lossy(&output.stderr);
    let wanted = "expected samples placed as in the baseline, evenly, found 4:7+5";
    assert!(output.status.code() == Some(1) && errors.contains(wanted), "{errors}");
    place.fails(1, &format!("{guided} --importance 4"), &["--importance: expected 0 with the guided samples 4:7+5"]);
    place.fails(2, "eval tiny --samples many", &["--samples", "auto"]);
    place.ok(&even.replace("-o out --samples 5", "-o auto --images 1 --samples auto"));
    let all = metrics(&place, "auto");
    assert_eq!((&all["settings"]["guided"], &all["cases"][0]["guided"]), (&"auto".into(), &"8:48+12".into()));
}

/// What can be told before anything is rendered is.
#[test]
fn bad_files_are_told_before_anything_is_rendered() {
    let place = Place::with_scene(17);
    let line = format!("eval tiny --scale 1 --stride 8 -o out {CHEAP}");
    // The last held-out photograph of the second scene.
    place.copy_scene("bad");
    let file = place.path("scenes/bad/images/016.png");
    let good = fs::read(&file).unwrap();
    fs::write(&file, &good[..good.len() - 200]).unwrap();
    place.fails(1, &line.replace("eval tiny", "eval tiny bad"), &["016.png"]);
    assert!(!place.path("out/images").exists(), "an image was rendered before");
    let large = fs::File::create(place.path("large.json")).unwrap();
    large.set_len(150 << 20).unwrap();
    place.fails(1, "eval --baseline large.json", &["large.json", "at most 67108864 bytes"]);
    place.fails(2, "eval tiny --scene other", &["twice", "tiny", "other"]);
}

/// What was guessed about a scene is told though a later step fails, and once for all splits.
#[test]
fn warnings_come_before_the_error_that_follows() {
    let place = Place::with_scene(1);
    fs::write(place.path("scenes/tiny/transforms.json"), "{}").unwrap();
    let errors = place.fails(1, &format!("eval tiny --scale 1 {CHEAP}"), &["tiny: image 000 cannot be rendered"]);
    let warnings: Vec<&str> = errors.lines().filter(|line| line.contains("transforms.json")).collect();
    assert!(warnings.len() == 1 && warnings[0].starts_with("warning: tiny: "), "{errors}");
    assert!(!place.path("report").exists());
}

#[test]
fn few_views_and_splits() {
    let place = Place::with_scene(9);
    let few = "--protocol few-view --scale 1 --stride 16 --samples 4 --device cpu";
    place.ok(&format!("eval --scene tiny --out few {few}"));
    let all = metrics(&place, "few");
    let cases = all["cases"].as_array().unwrap();
    assert_eq!(cases.iter().map(|case| case["views"].as_u64().unwrap()).collect::<Vec<_>>(), [1, 2, 3]);
    for (case, views) in cases.iter().zip(1..) {
        assert_eq!(case["images"][0]["sources"].as_array().unwrap().len(), views);
    }
    assert_eq!(all["summaries"].as_array().unwrap().len(), 3);
}

#[test]
fn bad_input_is_told_before_anything_is_rendered() {
    let place = Place::with_scene(9);
    place.fails(2, "eval", &["--scene"]);
    place.fails(2, "eval --scene tiny --shard 3/2", &["1/2"]);
    place.fails(2, "eval --scene tiny --scale 0", &["1024"]);
    place.fails(1, "eval --scene none --out out", &["none", "looked"]);
    place.fails(1, "eval --scene tiny --scene tiny --out out", &["twice"]);
    place.fails(1, "eval --scene tiny --scene ./scenes/../scenes/tiny --out out", &["twice"]);
    place.fails(1, "eval --scene tiny --model none --out out", &["none"]);
    place.fails(1, "eval --scene tiny --lpips a.pth b.pth --out out", &["a.pth"]);
    place.fails(1, "eval --scene tiny --scale 1 --out scenes/tiny/images", &["photographs"]);
    place.fails(1, "eval --scene tiny --scale 8 --out out", &["tiny", "gnt-shiftadd", "at least 9 pixels", "8x6"]);
    place.fails(1, "eval --scene tiny --scale 1 --stride 6 --ssim gaussian --out out", &["tiny", "11x11", "11x8"]);
    place.fails(1, "eval --merge none --out out", &["none"]);
    // A scene with training images only.
    fs::create_dir(place.path("scenes/all")).unwrap();
    let pose = [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 4], [0, 0, 0, 1]];
    let frames = json!([{"file_path": "../tiny/images/000.png", "transform_matrix": pose}]);
    let transforms = json!({"camera_angle_x": 1.0, "frames": frames}).to_string();
    fs::write(place.path("scenes/all/transforms_train.json"), transforms).unwrap();
    place.fails(1, "eval --scene all --out out", &["all", "held out", "training"]);
    fs::write(place.path("old.json"), b"{\"format\": \"other/1\"}").unwrap();
    place.fails(1, "eval --baseline old.json", &["old.json", "shiftray-metrics/1", "other/1"]);
    fs::write(place.path("half.json"), b"{\"format\": \"shiftray-metrics/1\", \"cases\": [").unwrap();
    place.fails(1, "eval --baseline half.json", &["half.json"]);
    assert!(!place.path("out/metrics.json").exists());
}
