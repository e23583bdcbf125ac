//! What comes out of a run beside plain frames: other formats, videos, parts of a path, two eyes.

use super::*;
use serde_json::Value;

const LINE: &str = "render tiny --frames 4 --size 33x17 --samples 5 --views 3 --device cpu";

/// Which frames of a report were rendered.
fn rendered(report: &Value) -> Vec<&str> {
    let frames = report["frames"].as_array().unwrap().iter();
    frames.filter(|frame| frame["skipped"] == false).map(|frame| frame["name"].as_str().unwrap()).collect()
}

#[test]
fn formats_hold_the_same_frames() {
    let place = Place::with_scene(5);
    let test = "render tiny --path test --samples 5 --views 3 --device cpu --json";
    let png = place.json(&format!("{test} --out png"));
    assert_eq!(png["frame_format"], "png");
    let first = pixels(&place.path("png/000.png"));
    for (format, psnr) in [("webp", 0.0), ("jpg", 0.5), ("exr", 0.05)] {
        let line = format!("{test} --out {format} --frame-format {format}");
        let report = place.json(&line);
        assert_eq!(report["frames"][0]["file"], format!("{format}/000.{format}"));
        let off = report["mean_psnr"].as_f64().unwrap() - png["mean_psnr"].as_f64().unwrap();
        assert!(off.abs() <= psnr, "{format}: {off} dB");
        let file = place.path(&format!("{format}/000.{format}"));
        let image = match format {
            "exr" => scene::exr::decode_colours("000.exr", &fs::read(file).unwrap(), (64, 48)).unwrap(),
            _ => pixels(&file),
        };
        let off = image.data.iter().zip(&first.data).map(|(a, b)| (a.clamp(0.0, 1.0) - b).abs());
        let mean = off.clone().sum::<f32>() / first.data.len() as f32;
        assert!(mean < 0.02 && (format != "webp" || off.fold(0.0, f32::max) == 0.0), "{format}: {mean}");
        // What is there is found again, with the same figures.
        let again = place.json(&line);
        assert!(rendered(&again).is_empty() && again["mean_psnr"] == report["mean_psnr"]);
    }
    place.fails(
        1,
        &format!("{test} --out png --frame-format webp"),
        &["png", "frame format: expected webp, found png"],
    );
    place.assert_no_litter();
}

#[test]
fn videos_and_contact_sheets_are_made_of_every_format() {
    let place = Place::with_scene(3);
    for format in ["png", "exr"] {
        let line =
            format!("{LINE} --out {format} --frame-format {format} --contact-sheet {format}.png --video {format}.mp4");
        let output = place.run(&format!("{line} --json"));
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success() && errors.contains("33x17 frames are stored as 34x18"), "{errors}");
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(
            (&report["video"], &report["contact_sheet"]),
            (&format!("{format}.mp4").into(), &format!("{format}.png").into())
        );
        let bytes = fs::read(place.path(&format!("{format}.mp4"))).unwrap();
        assert_eq!((&bytes[4..8], bytes.windows(4).filter(|w| *w == b"avcC").count()), (&b"ftyp"[..], 1));
        let sheet = pixels(&place.path(&format!("{format}.png")));
        assert_eq!((sheet.width, sheet.height), (2 * 39 + 6, 2 * 23 + 6));
        // Their own are replaced, those of others are not.
        assert!(rendered(&place.json(&format!("{line} --fps 60 --json"))).is_empty());
        assert!(fs::read(place.path(&format!("{format}.mp4"))).unwrap() != bytes, "the rate is another one");
    }
    place.fails(1, &format!("{LINE} --out png --video exr.mp4"), &["--video exr.mp4: exists already", "--overwrite"]);
    place.fails(1, &format!("{LINE} --out png --contact-sheet exr.png"), &["--contact-sheet exr.png: exists already"]);
    let inside = format!("{LINE} --out png --contact-sheet scenes/tiny/images/sheet.png");
    place.fails(1, &inside, &["--contact-sheet", "no photographs"]);
    // Before anything is rendered.
    let big = LINE.replace("33x17", "4100x20");
    place.fails(1, &format!("{big} --out big --video big.mp4"), &["3840x2160", "4100x20"]);
    place.fails(1, &format!("{LINE} --out fast --video fast.gif --fps 60"), &["fast.gif", "0.1 to 50", "found 60"]);
    assert!(!place.path("big/frame_0000.png").exists() && !place.path("fast/frame_0000.png").exists());
    place.assert_no_litter();
}

#[test]
fn parts_make_up_the_path() {
    let place = Place::with_scene(3);
    place.ok(&format!("{LINE} --out whole"));
    let json = |options: &str| place.json(&format!("{LINE} --out parts --json {options}"));
    assert_eq!(rendered(&json("--shard 2/3")), ["frame_0001"]);
    assert_eq!(rendered(&json("--every 3")), ["frame_0000", "frame_0003"]);
    let part = json("--shard 3/3");
    assert_eq!((rendered(&part), part["frames"].as_array().unwrap().len()), (vec!["frame_0002"], 2));
    assert_eq!(part["warnings"], serde_json::json!([]));
    for (option, file) in [("--video", "a.mp4"), ("--contact-sheet", "a.png"), ("--depth --points", "a.ply")] {
        let line = format!("{LINE} --out parts --shard 1/2 {option} {file}");
        place.fails(1, &line, &["expected all frames of the path", "without --shard"]);
    }
    assert!(rendered(&json("--contact-sheet a.png")).is_empty(), "all parts are there");
    for i in 0..4 {
        let read = |folder: &str| fs::read(place.path(&format!("{folder}/frame_000{i}.png"))).unwrap();
        assert!(read("whole") == read("parts"), "{i}");
    }
    place.fails(1, &format!("{LINE} --out none --shard 1/9"), &["--shard 1/9", "found 4"]);
}

#[test]
fn two_eyes_are_two_pictures_or_one() {
    let place = Place::with_scene(5);
    let line = format!("{LINE} --stereo --depth --json");
    let apart = place.json(&format!("{line} --stereo-layout files --out apart"));
    assert!(apart["stereo"].as_str().unwrap().contains("0.033 of its nearest depth"), "{apart}");
    assert_eq!(apart["frames"].as_array().unwrap().len(), 8);
    let beside = place.json(&format!("{line} --out beside --video eyes.mp4"));
    assert_eq!(beside["size"], serde_json::json!([66, 17]));
    let eyes = ["left", "right"].map(|eye| pixels(&place.path(&format!("apart/frame_0002_{eye}.png"))));
    let both = pixels(&place.path("beside/frame_0002.png"));
    let depths = ["left", "right"].map(|eye| {
        scene::depth::read_npy(&place.path(&format!("apart/frame_0002_{eye}_depth.npy")), (33, 17)).unwrap()
    });
    let depth = scene::depth::read_npy(&place.path("beside/frame_0002_depth.npy"), (66, 17)).unwrap();
    for (x, y) in [(0, 0), (32, 16), (7, 9)] {
        assert_eq!([both.pixel(x, y), both.pixel(33 + x, y)], [0, 1].map(|eye| eyes[eye].pixel(x, y)));
        let (x, y) = (x as usize, y as usize);
        assert_eq!([depth[66 * y + x], depth[66 * y + 33 + x]], [0, 1].map(|eye: usize| depths[eye][33 * y + x]));
    }
    assert!(eyes[0] != eyes[1], "the eyes see the same");
    // The path beside the frames is that of the middle.
    assert_eq!(fs::read(place.path("apart/path.json")).unwrap(), fs::read(place.path("beside/path.json")).unwrap());
    let wide = place.json(&format!("{LINE} --stereo 0.5 --out wide --json"));
    assert!(wide["stereo"].as_str().unwrap().contains("eyes 0.5000 apart"), "{wide}");
    place.fails(1, &format!("{LINE} --stereo 0.5 --out beside"), &["cameras"]);
    place.fails(1, &format!("{LINE} --path test --stereo --out none"), &["--stereo", "held-out"]);
    let two = format!("{LINE} --stereo --stereo-layout files --video two.mp4 --out none");
    place.fails(1, &two, &["--video", "one picture a frame"]);
    place.fails(1, &format!("{LINE} --stereo --depth --points a.ply --out none"), &["--points", "side by side"]);
}

#[test]
fn panoramas_are_one_picture_all_round() {
    let place = Place::with_scene(5);
    let base = "render tiny --samples 5 --views 3 --device cpu";
    let line = format!("{base} --frames 1 --panorama 64");
    let report = place.json(&format!("{line} --depth --confidence --out round --json"));
    assert_eq!(report["size"], serde_json::json!([64, 32]));
    assert!(report["panorama"].as_str().unwrap().contains("64x32, of six faces of 25x25"), "{report}");
    // The photographs stand side by side, so that nothing behind is seen.
    let warnings = report["warnings"].to_string();
    assert!(warnings.contains("poor coverage") && warnings.contains("frame_0000_behind (0 %)"), "{warnings}");
    let round = pixels(&place.path("round/frame_0000.png"));
    let behind: Vec<[f32; 3]> = [(0, 16), (63, 16), (2, 14)].map(|(x, y)| round.pixel(x, y)).to_vec();
    assert!(behind.iter().all(|pixel| *pixel == behind[0]) && round.pixel(32, 16) != behind[0], "{behind:?}");
    let depth = scene::depth::read_npy(&place.path("round/frame_0000_depth.npy"), (64, 32)).unwrap();
    assert_eq!(depth, scene::depth::read_npy(&place.path("round/frame_0000_range.npy"), (64, 32)).unwrap());
    // The middle is what the frame's own camera sees in its middle.
    place.json(&format!("{base} --frames 1 --size 33x33 --out plain --json"));
    let (ahead, plain) = (round.pixel(32, 16), pixels(&place.path("plain/frame_0000.png")).pixel(16, 16));
    assert!(ahead.iter().zip(plain).all(|(a, b)| (a - b).abs() < 0.2), "{ahead:?} {plain:?}");
    for (wrong, part) in
        [("--depth --points a.ply", "--points"), ("--normals", "--normals"), ("--path test", "held-out")]
    {
        place.fails(1, &format!("{base} --panorama 64 {wrong} --out none"), &[part, "panorama"]);
    }
    place.fails(2, &format!("{line} --stereo --out none"), &["--stereo"]);
    place.fails(2, &format!("{base} --panorama 63 --out none"), &["even width"]);
}
