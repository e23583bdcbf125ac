//! A second evaluation in the same folder: what is there already, what differs, what a baseline says.

use super::*;
use std::process::Stdio;
use std::time::Duration;

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
