//! A picture does not depend on where a scene's world has its origin, its axes and its unit, nor on the order of its
//! photographs, nor on whether they are cropped.

use crate::support::{Place, pixels};
use glam::{DMat3, DMat4, DVec3, DVec4};
use scene::Similarity;
use serde_json::{Value, json};
use std::fs;

/// Poses are rounded to f32 once and bounds as well; a sample that moves across a pixel's edge changes its colour.
const TOLERANCE: f64 = 0.02;
const VIEWS: usize = 9;
/// Held out.
const TESTS: [usize; 2] = [2, 6];

/// The scene of a place as one `transforms.json`, which is easier to change than a table of numbers.
fn transforms(place: &Place) -> Value {
    let bytes = fs::read(place.path("scenes/tiny/poses_bounds.npy")).unwrap();
    let header = usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    let numbers: Vec<f64> = bytes[10 + header..].as_chunks().0.iter().map(|b| f64::from_le_bytes(*b)).collect();
    let rows = numbers.as_chunks::<17>().0;
    assert_eq!(rows.len(), VIEWS);
    let frame = |(i, row): (usize, &[f64; 17])| {
        // LLFF's columns are down, right, backwards and the centre; then height, width and focal length.
        let column = |c: usize, sign: f64| [0, 5, 10].map(|r| sign * row[r + c]);
        let [right, up, back, center] = [column(1, 1.0), column(0, -1.0), column(2, 1.0), column(3, 1.0)];
        let matrix: Vec<[f64; 4]> = (0..3).map(|r| [right[r], up[r], back[r], center[r]]).collect();
        json!({"file_path": format!("images/{i:03}.png"), "transform_matrix": matrix})
    };
    let (near, far) = rows.iter().fold((f64::INFINITY, 0.0f64), |(n, f), row| (n.min(row[15]), f.max(row[16])));
    json!({
        "w": 64, "h": 48, "fl_x": rows[0][14], "fl_y": rows[0][14], "cx": 32.0, "cy": 24.0, "near": near, "far": far,
        "test_filenames": TESTS.map(|i| format!("images/{i:03}.png")),
        "frames": rows.iter().enumerate().map(frame).collect::<Vec<_>>(),
    })
}

/// The file with its world turned, scaled and moved.
fn moved(mut file: Value, by: Similarity) -> Value {
    for frame in file["frames"].as_array_mut().unwrap() {
        let at = |r: usize, c: usize| frame["transform_matrix"][r][c].as_f64().unwrap();
        let column = |c: usize| DVec4::new(at(0, c), at(1, c), at(2, c), if c == 3 { 1.0 } else { 0.0 });
        let pose = by.pose(DMat4::from_cols(column(0), column(1), column(2), column(3)));
        frame["transform_matrix"] = json!(pose.transpose().to_cols_array_2d());
    }
    for key in ["near", "far"] {
        file[key] = json!(file[key].as_f64().unwrap() * by.scale);
    }
    file
}

/// PSNR of the held-out views by name, and the transform that is told.
fn render(place: &Place, name: &str, file: &Value) -> (Vec<(String, f64)>, Value) {
    let folder = place.path("scenes").join(name);
    fs::create_dir_all(folder.join("images")).unwrap();
    for image in place.list("scenes/tiny/images") {
        let to = folder.join("images").join(&image);
        if !to.exists() {
            fs::copy(place.path("scenes/tiny/images").join(&image), to).unwrap();
        }
    }
    fs::write(folder.join("transforms.json"), file.to_string()).unwrap();
    let report = place.json(&format!(
        "render {name} --out out-{name} --path test --model gnt-dense --samples 24 --views 5 --device cpu --json"
    ));
    let frames = report["frames"].as_array().unwrap();
    let mut all: Vec<(String, f64)> =
        frames.iter().map(|f| (f["name"].as_str().unwrap().to_owned(), f["psnr"].as_f64().unwrap())).collect();
    all.sort_by(|a, b| a.0.cmp(&b.0));
    (all, report["scene_from_file"].clone())
}

fn assert_same(what: &str, got: &[(String, f64)], expected: &[(String, f64)], tolerance: f64) {
    assert_eq!(got.len(), expected.len(), "{what}");
    for ((name, got), (other, expected)) in got.iter().zip(expected) {
        assert_eq!(name, other);
        assert!((got - expected).abs() < tolerance, "{what}, {name}: {got} dB, expected {expected}");
    }
}

#[test]
fn a_picture_does_not_depend_on_the_world_nor_on_the_order_of_photographs() {
    let place = Place::with_scene(VIEWS);
    let file = transforms(&place);
    let (expected, told) = render(&place, "base", &file);
    assert_eq!(expected.len(), TESTS.len());
    let turn = DMat3::from_rotation_z(2.0) * DMat3::from_rotation_x(-1.1);
    let worlds = [
        ("moved", Similarity { translation: DVec3::new(40.0, -700.0, 3.0), ..Similarity::IDENTITY }),
        ("map", Similarity { translation: DVec3::new(5.0e5, 4.6e6, 120.0), ..Similarity::IDENTITY }),
        ("large", Similarity { scale: 1e3, ..Similarity::IDENTITY }),
        ("small", Similarity { scale: 1e-4, ..Similarity::IDENTITY }),
        ("turned", Similarity { rotation: turn, ..Similarity::IDENTITY }),
        ("all", Similarity { rotation: turn, scale: 0.3, translation: DVec3::new(-9.0, 8.0, 70.0) }),
    ];
    for (name, world) in worlds {
        let (got, transform) = render(&place, name, &moved(file.clone(), world));
        assert_same(name, &got, &expected, TOLERANCE);
        // The scale that is told is that of the file's unit.
        let unit = |t: &Value| (0..3).map(|r| t[r][0].as_f64().unwrap().powi(2)).sum::<f64>().sqrt();
        assert!((unit(&transform) * world.scale / unit(&told) - 1.0).abs() < 1e-6, "{name}: {transform} {told}");
    }
    let mut shuffled = file.clone();
    shuffled["frames"].as_array_mut().unwrap().reverse();
    shuffled["frames"].as_array_mut().unwrap().swap(1, 5);
    assert_same("shuffled", &render(&place, "shuffled", &shuffled).0, &expected, 1e-9);
}

/// Writes the scene again as `name`, photographs of these views cropped by `crop` columns on the left and the principal point
/// with them; returns the PSNR of the held-out views, on the pixels that are there after `first` columns, by their names.
fn cropped(place: &Place, file: &Value, name: &str, views: &[usize], crop: u32, first: u32) -> Vec<(String, f64)> {
    let folder = place.path("scenes").join(name).join("images");
    fs::create_dir_all(&folder).unwrap();
    let (mut file, file_focal) = (file.clone(), file["fl_x"].clone());
    for &view in views {
        let image = format!("{view:03}.png");
        let whole = image::open(place.path("scenes/tiny/images").join(&image)).unwrap();
        whole.crop_imm(crop, 0, 64 - crop, 48).save(folder.join(&image)).unwrap();
        let (frame, focal) = (&mut file["frames"][view], file_focal.clone());
        frame["w"] = json!(64 - crop);
        frame["h"] = json!(48);
        frame["cx"] = json!(32.0 - f64::from(crop));
        frame["cy"] = json!(24.0);
        (frame["fl_x"], frame["fl_y"]) = (focal.clone(), focal);
    }
    let psnr = |name: &str, out: &str| {
        let ours = pixels(&place.path(out).join(name));
        let truth = pixels(&place.path("scenes/tiny/images").join(name));
        let shared = (0..48).flat_map(|y| (first..64).map(move |x| (x, y)));
        let errors = shared.flat_map(|(x, y)| {
            let (a, b) = (ours.pixel(x - (64 - ours.width), y), truth.pixel(x, y));
            (0..3).map(move |c| f64::from(a[c] - b[c]).powi(2))
        });
        scene::image::psnr(errors.sum::<f64>() / f64::from(3 * 48 * (64 - first)), 0.0)
    };
    let (found, _) = render(place, name, &file);
    found.into_iter().map(|(view, _)| (view.clone(), psnr(&format!("{view}.png"), &format!("out-{name}")))).collect()
}

/// A cropped photograph has a principal point beside its middle, and its rays are those of the whole one. What is rendered
/// from cropped photographs lacks what they no longer show, and their features see another border.
#[test]
fn a_cropped_scene_is_as_good_as_the_whole() {
    let place = Place::with_scene(VIEWS);
    let file = transforms(&place);
    let all: Vec<usize> = (0..VIEWS).collect();
    for (name, views, crop, tolerance) in [("held-out", &TESTS[..], 8, 0.05), ("all", &all[..], 1, 0.3)] {
        let whole = cropped(&place, &file, &format!("{name}-whole"), &[], 0, crop);
        assert_same(name, &cropped(&place, &file, name, views, crop, crop), &whole, tolerance);
    }
}
