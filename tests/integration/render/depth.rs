//! Depths as they are written: every format has the same, they are those of the scene, and clouds lie on its surfaces.

use super::*;
use glam::Vec3;
use scene::{Camera, LoadOptions, Scene};

const SIZE: (u32, u32) = (128, 96);

/// A scene with exact depths and so many photographs.
fn place(views: usize) -> (Place, Scene) {
    // A wide field of view has rays that are much longer than depths.
    let place = Place::with_synth(&format!("--views {views} --size 128x96 --rig orbit --seed 4"));
    let scene = scene::formats::load(&place.path("scenes/tiny"), &LoadOptions::default()).unwrap();
    (place, scene)
}

fn camera<'a>(scene: &'a Scene, name: &str) -> &'a Camera {
    &scene.views.iter().find(|view| view.name == name).unwrap().camera
}

/// Length of a ray from depth 0 to depth 1, for each pixel.
fn lengths(camera: &Camera) -> Vec<f32> {
    let pixels = scene::image::every_pixel(SIZE, 1);
    pixels.map(|(x, y)| camera.ray(glam::Vec2::new(x as f32, y as f32)).direction.length()).collect()
}

fn median(mut values: Vec<f32>) -> f32 {
    values.sort_by(f32::total_cmp);
    values[values.len() / 2]
}

/// The exact depths beside a photograph, in scene units.
fn truth(place: &Place, scene: &Scene, name: &str) -> Vec<f32> {
    let file = place.path(&format!("scenes/tiny/depth/{name}.npy"));
    let depth = scene::depth::read_npy(&file, (SIZE.0 as usize, SIZE.1 as usize)).unwrap();
    depth.iter().map(|z| z * scene.scene_from_file.scale as f32).collect()
}

#[test]
fn every_format_has_the_depths_of_the_scene() {
    let (place, scene) = place(40);
    let mut errors = Vec::new();
    let formats = "--depth --depth-format npy,png,exr,colour --normals --confidence";
    let report = place.json(&format!("render tiny --path test --frames 3 --out out --device cpu --json {formats}"));
    let kinds = [
        ("depth_files", "colour", "depth_colour.png"),
        ("depth_files", "depth", "depth.npy"),
        ("depth_files", "exr", "depth.exr"),
        ("depth_files", "png", "depth.png"),
        ("depth_files", "range", "range.npy"),
        ("normal_files", "png", "normals.png"),
        ("confidence_files", "npy", "confidence.npy"),
        ("confidence_files", "png", "confidence.png"),
        ("confidence_files", "views", "views.png"),
    ];
    let scale = report["depth_png_scale"].as_f64().unwrap() as f32;
    for frame in report["frames"].as_array().unwrap() {
        let name = frame["name"].as_str().unwrap();
        for (group, key, ending) in kinds {
            assert_eq!(frame[group][key], format!("out/{name}_{ending}"));
        }
        let file = |ending: &str| place.path(&format!("out/{name}_{ending}"));
        let npy = |ending: &str| scene::depth::read_npy(&file(ending), (128, 96)).unwrap();
        let (depth, range) = (npy("depth.npy"), npy("range.npy"));
        let exr = fs::read(file("depth.exr")).unwrap();
        let [z, r] = scene::exr::decode_channels("depth.exr", &exr, SIZE, ["Z", "range"]).unwrap();
        assert!(z == depth && r == range, "{name}");
        let levels: Vec<f32> = pixels(&file("depth.png")).data.iter().step_by(3).map(|v| v * 65_535.0).collect();
        assert!(levels.iter().zip(&depth).all(|(level, z)| (level - z * scale).abs() < 0.51), "{name}");
        // Range is depth times the ray's length, and the other way round it fits the truth worse.
        let (lengths, truth) = (lengths(camera(&scene, name)), truth(&place, &scene, name));
        let wrong = |depths: &[f32]| median(depths.iter().zip(&truth).map(|(a, b)| (a / b - 1.0).abs()).collect());
        assert!(range.iter().zip(&depth).zip(&lengths).all(|((r, z), l)| (r - z * l).abs() < 1e-4 * r), "{name}");
        let true_range: Vec<f32> = truth.iter().zip(&lengths).map(|(z, l)| z * l).collect();
        let range_off = median(range.iter().zip(&true_range).map(|(a, b)| (a / b - 1.0).abs()).collect());
        let (right, confused) = (wrong(&depth), wrong(&range));
        check_confidence(&place, name, &depth, &truth);
        let alike = likeness_of_normals(&file("normals.png"), camera(&scene, name), &truth);
        errors.push([right, range_off, confused, 1.0 - alike]);
        assert_eq!(pixels(&file("depth_colour.png")).width, 128);
    }
    // Of three frames the middle one: the first of them shows what few photographs do.
    let [right, range_off, confused, normals] = [0, 1, 2, 3].map(|i| median(errors.iter().map(|e| e[i]).collect()));
    assert!(right < 0.05 && range_off < 0.05 && confused > 1.5 * right && normals < 0.3, "{errors:?}");
}

/// Where the network is sure it is nearer to the truth, and both files say the same.
fn check_confidence(place: &Place, name: &str, depth: &[f32], truth: &[f32]) {
    let file = |ending: &str| place.path(&format!("out/{name}_{ending}"));
    let gray = |ending: &str| -> Vec<f32> { pixels(&file(ending)).data.iter().step_by(3).copied().collect() };
    let confidence = gray("confidence.png");
    let bytes = fs::read(file("confidence.npy")).unwrap();
    let exact = bytes[bytes.len() - 4 * depth.len()..].as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b));
    assert!(exact.zip(&confidence).all(|(a, b)| (a - b).abs() < 1e-5), "{name}");
    let typical = median(confidence.clone());
    let off = |sure: bool| {
        let pixels = depth.iter().zip(truth).zip(&confidence).filter(|(_, c)| (**c >= typical) == sure);
        let off: Vec<f32> = pixels.map(|((a, b), _)| (a / b - 1.0).abs()).collect();
        off.iter().sum::<f32>() / off.len() as f32
    };
    assert!(off(true) < off(false), "{name}: {} {}", off(true), off(false));
    let views: Vec<f32> = gray("views.png").iter().map(|v| (v * 65_535.0).round()).collect();
    assert!(views.iter().all(|count| *count <= 30.0) && median(views) >= 2.0, "{name}");
}

/// Median cosine between normals and those of the exact depths.
fn likeness_of_normals(file: &std::path::Path, camera: &Camera, truth: &[f32]) -> f32 {
    let exact = scene::normals::DepthMap { camera, stride: 1, size: SIZE, depth: truth }.normal_picture().unwrap();
    let normals = |image: &scene::Image| -> Vec<Vec3> {
        image.data.as_chunks::<3>().0.iter().map(|c| Vec3::from(*c) * 2.0 - 1.0).collect()
    };
    let cosines: Vec<f32> = normals(&pixels(file)).iter().zip(normals(&exact)).map(|(a, b)| a.dot(b)).collect();
    median(cosines)
}

/// Points of two views lie where the exact depths of both have surfaces.
#[test]
fn clouds_lie_on_the_surfaces() {
    let (place, scene) = place(17);
    place.ok(
        "render tiny --path test --frames 2 --out out --depth --points cloud.ply --points-confidence 0.6 --device cpu",
    );
    let bytes = fs::read(place.path("cloud.ply")).unwrap();
    let start = bytes.windows(11).position(|window| window == b"end_header\n").unwrap() + 11;
    let names = ["000", "008"];
    let views = names.map(|name| (camera(&scene, name), truth(&place, &scene, name)));
    let (mut near, mut all) = (0, 0);
    for row in bytes[start..].chunks_exact(31) {
        let number = |i: usize| f64::from(f32::from_le_bytes(row[4 * i..4 * i + 4].try_into().unwrap()));
        let point = scene.scene_from_file.point(glam::DVec3::new(number(0), number(1), number(2))).as_vec3();
        // Off the surface that either view sees there; one of them may see something in front.
        let off = views.iter().filter_map(|(camera, truth)| {
            let at = camera.pixel_from_world() * point.extend(1.0);
            let (x, y) = ((at.x / at.z).round(), (at.y / at.z).round());
            let inside = at.z > 0.0 && (0.0..128.0).contains(&x) && (0.0..96.0).contains(&y);
            inside.then(|| (at.z / truth[y as usize * 128 + x as usize] - 1.0).abs())
        });
        let off = off.fold(f32::INFINITY, f32::min);
        all += 1;
        near += usize::from(off < 0.05);
    }
    assert!(all > 1000 && near * 10 > all * 8, "{near} of {all}");
}
