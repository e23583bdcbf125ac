//! `shiftray eval` as it is meant to be used.

use crate::support::{Place, pixels};
use serde_json::{Value, json};
use std::fs;
use std::process::Stdio;
use std::time::Duration;

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

#[test]
fn finished_images_are_not_rendered_again() {
    let place = Place::with_scene(9);
    let line = format!("eval --scene tiny --scale 1 --stride 4 --out out {CHEAP}");
    place.ok(&line);
    let first = fs::read(place.path("out/metrics.json")).unwrap();
    let image = place.path("out/images/gnt-shiftadd/tiny/held-out/3-views/000.png");
    let written = |path| fs::metadata(path).unwrap().modified().unwrap();
    let at = written(&image);
    place.ok(&line);
    assert_eq!(written(&image), at);
    assert_eq!(fs::read(place.path("out/metrics.json")).unwrap(), first, "nothing was done, nothing changes");

    // Another SSIM needs no rendering; its figures are those of a fresh run.
    let gaussian = format!("{line} --ssim uniform");
    place.ok(&gaussian);
    assert_eq!(written(&image), at);
    place.ok(&gaussian.replace("--out out", "--out fresh"));
    assert_eq!(lasting(&place, "out"), lasting(&place, "fresh"));

    // A damaged image, other samples, and --overwrite are rendered.
    fs::write(&image, b"no image").unwrap();
    place.ok(&line);
    assert_eq!(
        fs::read(&image).unwrap().len(),
        fs::read(place.path("fresh/images/gnt-shiftadd/tiny/held-out/3-views/000.png")).unwrap().len()
    );
    let at = written(&image);
    place.ok(&format!("{line} --overwrite"));
    assert!(written(&image) > at);
    // More repetitions or other threads are measured, and not taken from what is there.
    place.ok(&format!("{line} --repeat 3"));
    assert_eq!(metrics(&place, "out")["latencies"][0]["timed"], 6);
    place.ok(&line.replace("--threads 2", "--threads 1"));
    let again = metrics(&place, "out");
    assert_eq!((&again["latencies"][0]["threads"], again["runs"].as_array().unwrap().len()), (&1.into(), 1));
    place.ok(&format!("{} --overwrite", line.replace("--samples 5", "--samples 6")));
    assert_eq!(metrics(&place, "out")["cases"][0]["samples"], 6);
}

#[test]
fn figures_of_another_run_are_not_replaced() {
    let place = Place::with_scene(9);
    place.copy_scene("copy");
    let line = format!("eval tiny --scale 1 --stride 4 -o out {CHEAP}");
    place.ok(&line);
    let first = fs::read(place.path("out/metrics.json")).unwrap();
    for (now, differs) in [
        (line.replace("--samples 5", "--samples 6"), "samples: expected 6, found 5"),
        (line.replace("--views 3", "--views 2"), "views: expected 2, found 3"),
        (line.replace("--stride 4", "--stride 2"), "stride: expected 2, found 4"),
        (line.replace("eval tiny", "eval copy"), "scene copy: expected copy ("),
        (line.replace("eval tiny", "eval tiny copy"), "scene copy: expected copy ("),
        (format!("{line} --model gnt-dense"), "model gnt-dense: expected gnt-dense ("),
        (format!("{line} --images 1"), "images: expected 1, found all"),
        (format!("{line} --precision f32"), "precision: expected f32, found auto"),
    ] {
        place.fails(1, &now, &["out/metrics.json: figures of another run", "--overwrite", "--out", differs]);
    }
    assert_eq!(fs::read(place.path("out/metrics.json")).unwrap(), first);
    place.ok(&line);
    place.ok(&format!("{} --overwrite", line.replace("--samples 5", "--samples 6")));
    // What is there is replaced by parts only if they are of the same evaluation.
    place.ok(&line.replace("-o out", "-o part"));
    place.fails(1, "eval --merge part --out out", &["out/metrics.json: figures of another run", "samples"]);
    place.ok("eval --merge part --out out --overwrite");
    // Figures that cannot be read are not replaced, either.
    fs::write(place.path("out/metrics.json"), b"mine").unwrap();
    place.fails(1, &line, &["out/metrics.json", "--overwrite"]);
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
    assert_eq!((&all["settings"]["guided"], &all["cases"][0]["guided"]), (&"auto".into(), &"4:48+16".into()));
}

/// The figures of a part are those of its images: others are not copied under their names.
#[test]
fn merged_images_are_those_of_the_figures() {
    let place = Place::with_scene(9);
    place.ok(&format!("eval tiny --scale 1 --stride 4 -o part {CHEAP}"));
    let image = place.path("part/images/gnt-shiftadd/tiny/held-out/3-views/008.png");
    let good = fs::read(&image).unwrap();
    fs::copy(image.with_file_name("000.png"), &image).unwrap();
    place.fails(1, "eval --merge part --out merged", &["part/images/", "008.png", "hash"]);
    assert!(!place.path("merged/images").exists() && !place.path("merged/metrics.json").exists());
    fs::write(&image, &good[..good.len() / 2]).unwrap();
    place.fails(1, "eval --merge part --out merged", &["008.png"]);
    fs::write(&image, &good).unwrap();
    // A path that leads out of the folder.
    let kept = fs::read(place.path("part/metrics.json")).unwrap();
    let mut hostile = metrics(&place, "part");
    hostile["cases"][0]["images"][0]["file"] = json!("images/../../../stolen.png");
    fs::write(place.path("part/metrics.json"), hostile.to_string()).unwrap();
    place.fails(1, "eval --merge part --out merged", &["part", "stolen.png"]);
    fs::write(place.path("part/metrics.json"), kept).unwrap();
    place.ok("eval --merge part --out merged");
    assert_eq!(fs::read(place.path("merged/images/gnt-shiftadd/tiny/held-out/3-views/008.png")).unwrap(), good);
    place.assert_no_litter();
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

/// Scenes whose names differ in characters that are no part of a file's name, or in case.
#[test]
fn scenes_of_like_names_do_not_share_files() {
    let place = Place::with_scene(9);
    ["Tiny", "ti:ny", "ti*ny"].iter().for_each(|name| place.copy_scene(name));
    place.ok(&format!("eval tiny Tiny ti:ny ti*ny --scale 1 --stride 8 --images 1 -o out {CHEAP}"));
    let all = metrics(&place, "out");
    let cases = all["cases"].as_array().unwrap();
    let files: std::collections::BTreeSet<String> =
        cases.iter().map(|case| case["images"][0]["file"].as_str().unwrap().to_lowercase()).collect();
    assert_eq!(files.len(), 4, "{files:?}");
    assert!(files.iter().all(|file| !file.contains([':', '*'])), "{files:?}");
}

#[test]
fn parts_merge_into_the_whole() {
    let place = Place::with_scene(17);
    let line = format!("eval --scene tiny --scale 1 --stride 8 --model gnt-shiftadd --model gnt-dense {CHEAP}");
    place.ok(&format!("{line} --out whole"));
    for part in 1..=3 {
        place.ok(&format!("{line} --shard {part}/3 --out part-{part}"));
    }
    let counts = |report: &str| -> usize {
        let all = metrics(&place, report);
        all["cases"].as_array().unwrap().iter().map(|case| case["images"].as_array().unwrap().len()).sum()
    };
    assert_eq!((1..=3).map(|part| counts(&format!("part-{part}"))).sum::<usize>(), 6);
    assert!((1..=3).all(|part| counts(&format!("part-{part}")) == 2));
    let first = metrics(&place, "part-1");
    let [some, none] = [0, 1].map(|case| &first["cases"][case]);
    assert!(some["mean"]["psnr"].as_f64().unwrap() > 0.0);
    assert!(none["images"].as_array().unwrap().is_empty() && none.get("mean").is_none(), "no mean of no images");
    place.ok("eval --merge part-3 part-1 part-2 --out merged --baseline whole/metrics.json --tolerance-psnr 0 --tolerance-likeness 0");
    assert_eq!(lasting(&place, "merged"), lasting(&place, "whole"));
    assert_eq!(metrics(&place, "merged")["runs"].as_array().unwrap().len(), 3);
    assert_eq!(metrics(&place, "merged")["latencies"][0]["timed"], 3);
    assert!(place.path("merged/sheets/gnt-dense/tiny/held-out/3-views/016.jpg").is_file());
    place.fails(1, "eval --merge part-1 part-3 --out less", &["expected all images", "2/3"]);
    assert!(!place.path("less/metrics.json").exists());

    // Parts may also share a folder, if the figures of one may take the place of another's; a run of the whole then has
    // nothing left to render.
    place.ok(&format!("{line} --shard 1/2 --out shared"));
    place.ok(&format!("{line} --shard 1/2 --out shared"));
    let figures = fs::read(place.path("shared/metrics.json")).unwrap();
    let lost = "part: expected 2 of 2, found 1 of 2, with figures of 3 images";
    place.fails(1, &format!("{line} --shard 2/2 --out shared"), &["shared/metrics.json", "--overwrite", lost]);
    assert_eq!(fs::read(place.path("shared/metrics.json")).unwrap(), figures);
    place.ok(&format!("{line} --shard 2/2 --out shared --overwrite"));
    let lost = "part: expected 1 of 8, found the whole, with figures of ";
    place.fails(1, &format!("{line} --shard 1/8 --out whole"), &["whole/metrics.json", lost]);
    let image = place.path("shared/images/gnt-dense/tiny/held-out/3-views/016.png");
    let at = fs::metadata(&image).unwrap().modified().unwrap();
    place.ok(&format!("{line} --out shared"));
    assert_eq!(fs::metadata(&image).unwrap().modified().unwrap(), at);
    assert_eq!(lasting(&place, "shared"), lasting(&place, "whole"));
}

#[test]
fn a_baseline_is_a_test() {
    let place = Place::with_scene(9);
    let line = format!("eval --scene tiny --scale 1 --stride 4 --out report {CHEAP}");
    place.ok(&line);
    let words = place.ok("eval --baseline report/metrics.json --device cpu");
    assert!(words.contains("(+0.000)"), "{words}");
    assert!(place.path("report-now/metrics.json").is_file());
    assert_eq!(lasting(&place, "report"), lasting(&place, "report-now"));

    let mut changed = metrics(&place, "report");
    let psnr = changed["cases"][0]["images"][1]["psnr"].as_f64().unwrap();
    changed["cases"][0]["images"][1]["psnr"] = json!(psnr + 0.5);
    fs::write(place.path("changed.json"), changed.to_string()).unwrap();
    let output = place.run(&format!("{line} --baseline changed.json"));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{errors}");
    assert!(errors.contains("image 008") && errors.contains("worse by 0.5"), "{errors}");
    place.ok(&format!("{line} --baseline changed.json --tolerance-psnr 0.6"));
    // A report is not compared with itself, however its folder is written.
    let itself = line.replace("--out report", "--out ./report");
    place.fails(1, &format!("{itself} --baseline report/metrics.json"), &["another folder"]);
    place.ok(&format!("{} --baseline report", line.replace("--out report", "")));
    assert!(place.path("report-now/metrics.json").is_file());
    let other = place.run(&line.replace("--samples 5", "--samples 9 --baseline changed.json"));
    assert_eq!(other.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&other.stderr).contains("samples"));
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
    place.fails(1, "eval --scene tiny --out out", &["tiny", "gnt-shiftadd", "at least 17 pixels", "16x12"]);
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

/// Killed again and again, an evaluation ends with the images and figures of one that was not.
#[test]
fn a_killed_evaluation_ends_like_an_uninterrupted_one() {
    let place = Place::with_scene(17);
    let line = format!("eval tiny --scale 1 --stride 2 -o out {CHEAP}");
    place.ok(&line.replace("-o out", "-o whole"));
    for wait in [50, 100, 150, 200, 250] {
        let mut child = place.command(&line).stderr(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(wait));
        child.kill().unwrap();
        child.wait().unwrap();
    }
    place.ok(&line);
    assert_eq!(lasting(&place, "out"), lasting(&place, "whole"));
    let folder = "images/gnt-shiftadd/tiny/held-out/3-views";
    assert_eq!(place.list(&format!("out/{folder}")).len(), 6);
    for name in ["000.png", "008.png", "016.png"] {
        let read = |report: &str| fs::read(place.path(&format!("{report}/{folder}/{name}"))).unwrap();
        assert!(read("out") == read("whole"), "{name}");
    }
    place.assert_no_litter();
}
