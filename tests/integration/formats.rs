//! One scene in every layout that is read renders to the same frames, and what was recognised is said.

use crate::support::{Place, pixels};
use scene::Format;
use scene::image::{mean_squared_error, psnr};
use std::fs;

const RENDER: &str = "--path test --model gnt-dense --views 5 --device cpu";

/// Bounds are given, since not all layouts have them; poses are rounded to f32 in other places.
#[test]
fn one_scene_in_every_layout_gives_the_same_frames() {
    let place = Place::new();
    for format in Format::ALL.map(Format::name) {
        place.ok(&format!(
            "synth --out {format} --format {format} --seed 3 --views 9 --size 64x48 --spp 1 --rig forward"
        ));
        let out = place.run(&format!("render {format}/scene_00000 --out out-{format} --bounds 1,20 {RENDER}"));
        let errors = String::from_utf8_lossy(&out.stderr).into_owned();
        assert!(out.status.success(), "{format}: {errors}");
        assert!(errors.contains(&format!("scene_00000: {format} (")), "{format}: {errors}");
        for name in ["000.png", "008.png"] {
            let [found, expected] =
                [format, "llff"].map(|format| pixels(&place.path(&format!("out-{format}")).join(name)));
            let likeness = psnr(mean_squared_error(&found.data, &expected.data), 1e-6);
            assert!(likeness > 48.0, "{format} {name}: {likeness} dB");
        }
    }
}

/// A zip of a scene is the scene; what else lies in it, and what is no scene, is named.
#[test]
fn a_zip_of_a_scene_is_rendered() {
    let place = Place::new();
    place.ok("synth --out made --format colmap --views 9 --size 64x48 --spp 1 --rig forward --no-depth");
    let file = fs::File::create(place.path("scan.zip")).unwrap();
    let mut zip = zip::ZipWriter::new(file);
    let root = place.path("made/scene_00000");
    for folder in ["images", "sparse/0"] {
        for entry in fs::read_dir(root.join(folder)).unwrap().map(|entry| entry.unwrap()) {
            let name = format!("scan/{folder}/{}", entry.file_name().to_str().unwrap());
            zip.start_file(name, zip::write::SimpleFileOptions::default()).unwrap();
            std::io::Write::write_all(&mut zip, &fs::read(entry.path()).unwrap()).unwrap();
        }
    }
    zip.finish().unwrap();
    let cache = place.path("cache");
    let mut command = place.command(&format!("render scan.zip --out out {RENDER}"));
    let output = command.env("XDG_CACHE_HOME", &cache).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && errors.contains("scan: colmap (sparse/0/images.bin)"), "{errors}");
    place.ok(&format!("render made/scene_00000 --out plain {RENDER}"));
    assert_eq!(pixels(&place.path("out/000.png")), pixels(&place.path("plain/000.png")));
    fs::write(place.path("broken.zip"), b"PK\x03\x04 and nothing else").unwrap();
    place.fails(1, &format!("render broken.zip --out out2 {RENDER}"), &["broken.zip", "zip"]);
}

/// One pose from the command line, its depth, and a point cloud of two in the coordinates of the scene's files.
#[test]
fn single_poses_and_points_are_rendered() {
    let place = Place::new();
    place.ok("synth --out made --format colmap --seed 3 --views 9 --size 64x48 --spp 1 --rig forward");
    let render = "render made/scene_00000 --model gnt-dense --views 5 --device cpu";
    place
        .ok(&format!("{render} --out one --pose 0,0,0 --look-at 0,0,9 --depth --points one/cloud.ply --pose 0.01,0,0"));
    let names = place.list("one");
    for name in ["frame_0000.png", "frame_0001_depth.npy", "cloud.ply", "path.json"] {
        assert!(names.iter().any(|n| n == name), "{names:?}");
    }
    let path: serde_json::Value = serde_json::from_slice(&fs::read(place.path("one/path.json")).unwrap()).unwrap();
    let x = path["frames"][1]["camera_to_world"][0][3].as_f64().unwrap();
    assert!((x - 0.01).abs() < 1e-5, "{path}");
    assert!(String::from_utf8_lossy(&fs::read(place.path("one/cloud.ply")).unwrap()).starts_with("ply\n"));
    place.fails(1, &format!("{render} --out two --pose 0,0,0"), &["pose 0", "--look-at"]);
    place.fails(2, &format!("{render} --out two --pose 0,0"), &["--pose", "found 2"]);
    place.fails(2, &format!("{render} --out two --look-at 0,0,1"), &["--pose"]);
}

/// A check tells a good capture from one with too many photographs, too few, or bounds the wrong way round.
#[test]
fn checks_name_what_is_wrong() {
    let place = Place::new();
    place.ok("synth --out made --seed 3 --views 9 --size 160x120 --spp 1 --rig forward --capture ideal --no-depth");
    let check = "check made/scene_00000 --no-render";
    let good = place.json(&format!("{check} --json --out report.html"));
    assert_eq!((good["findings"].as_array().unwrap().len(), &good["format"]), (0, &"llff".into()), "{good}");
    assert!(fs::read_to_string(place.path("report.html")).unwrap().contains("<svg"));
    let images = place.path("made/scene_00000/images");
    let wrong = |subject: &str, said: &str| {
        let output = place.run(&format!("{check} --json"));
        assert_eq!(output.status.code(), Some(1));
        let told: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let finding = &told["findings"][0];
        assert_eq!(finding["subject"], subject, "{told}");
        assert!(finding["problem"].as_str().unwrap().contains(said), "{told}");
        assert!(!finding["remedy"].as_str().unwrap().is_empty());
    };
    fs::copy(images.join("000.png"), images.join("extra.png")).unwrap();
    wrong("files", "9 rows and 10 images");
    fs::remove_file(images.join("extra.png")).unwrap();
    (4..9).for_each(|i| fs::rename(images.join(format!("00{i}.png")), place.path(&format!("{i}.png"))).unwrap());
    wrong("files", "9 rows and 4 images");
    (4..9).for_each(|i| fs::rename(place.path(&format!("{i}.png")), images.join(format!("00{i}.png"))).unwrap());
    // The last two numbers of the file are the bounds of the last view.
    let file = place.path("made/scene_00000/poses_bounds.npy");
    let mut bytes = fs::read(&file).unwrap();
    let at = bytes.len() - 16;
    bytes[at..].rotate_left(8);
    fs::write(&file, bytes).unwrap();
    wrong("bounds", "near < far");
}
