//! Parts of an evaluation, and joining them.

use super::*;

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
