//! A good capture has no finding, and each thing that is done to it is found.

use super::*;
use crate::procedural::{Rig, RigKind, World, WriteOptions, cameras, write_llff};
use crate::{Format, Image, LoadOptions, formats, write};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// A scene with `transforms.json`.
fn capture(kind: RigKind, seed: u64) -> (tempfile::TempDir, PathBuf) {
    capture_as(Format::Nerfstudio, kind, seed)
}

fn capture_as(format: Format, kind: RigKind, seed: u64) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let world = World::random(seed, kind);
    let rig = Rig { width: 240, height: 180, views: 9, kind, samples_per_pixel: 1 };
    let write = WriteOptions { samples_per_pixel: 2, depth: false, format, ..Default::default() };
    let root = dir.path().join("capture");
    write_llff(&root, &world, &cameras(&world, &rig, seed), &write, &|_| {}).unwrap();
    (dir, root)
}

fn report(root: &Path, bounds: Option<[f64; 2]>) -> Report {
    let scene = formats::load(root, &LoadOptions { bounds, ..LoadOptions::default() }).unwrap();
    check(&scene, 2).unwrap()
}

/// Changes the matrix of each frame.
fn edit(root: &Path, change: &dyn Fn(usize, &mut [[f64; 4]; 4])) {
    let path = root.join("transforms.json");
    let mut file: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    for (i, frame) in file["frames"].as_array_mut().unwrap().iter_mut().enumerate() {
        let mut matrix: [[f64; 4]; 4] = serde_json::from_value(frame["transform_matrix"].clone()).unwrap();
        change(i, &mut matrix);
        frame["transform_matrix"] = json!(matrix);
    }
    std::fs::write(path, file.to_string()).unwrap();
}

fn edit_picture(root: &Path, name: &str, change: &dyn Fn(Image) -> Image) {
    let path = root.join("images").join(name);
    let image = crate::view::read_image(&path, crate::Alpha::Ignore).unwrap();
    write::write_png(&path, &change(image)).unwrap();
}

#[test]
fn good_captures_have_no_finding() {
    for (kind, seed) in [(RigKind::Forward, 3), (RigKind::Forward, 8), (RigKind::Orbit, 4)] {
        let (_dir, root) = capture(kind, seed);
        let report = report(&root, None);
        eprintln!(
            "{kind:?} {seed}: {} pairs, agreement {:?}, depths {:?} in {:?}",
            report.pairs, report.agreement, report.depths, report.bounds
        );
        assert!(report.findings.is_empty(), "{kind:?} {seed}: {:?}", report.findings);
        assert!(report.pairs > 3 && report.agreement.unwrap() > 0.5, "{kind:?} {seed}: {report:?}");
    }
}

#[test]
fn swapped_axes_are_found() {
    let (_dir, root) = capture(RigKind::Forward, 3);
    // OpenCV's axes where OpenGL's are due.
    edit(&root, &|_, m| m.iter_mut().take(3).for_each(|row| (row[1], row[2]) = (-row[1], -row[2])));
    let found = report(&root, None).findings;
    assert_eq!((found[0].subject, found[0].severity), (Subject::Axes, Severity::Wrong), "{found:?}");
    assert!(found[0].problem.contains("OpenCV") && found[0].remedy.contains("third column"), "{found:?}");
}

#[test]
fn one_wrong_pose_is_found() {
    let (_dir, root) = capture(RigKind::Forward, 3);
    edit(&root, &|i, m| {
        if i == 4 {
            // A tenth of a turn about the optical axis, and a step aside.
            let (sin, cos) = 0.6f64.sin_cos();
            for row in m.iter_mut().take(3) {
                (row[0], row[1]) = (cos * row[0] + sin * row[1], cos * row[1] - sin * row[0]);
            }
        }
    });
    let found = report(&root, None).findings;
    assert!(found.iter().any(|f| f.subject == Subject::Pose && f.views == [4]), "{found:?}");
}

#[test]
fn one_blurred_and_one_dark_photograph_are_found() {
    let (_dir, root) = capture(RigKind::Forward, 3);
    edit_picture(&root, "003.png", &|image| {
        let mut out = image.clone();
        for _ in 0..3 {
            let from = out.clone();
            for y in 1..image.height - 1 {
                for x in 1..image.width - 1 {
                    for c in 0..3 {
                        let at = |dx: u32, dy: u32| from.pixel(x + dx - 1, y + dy - 1)[c];
                        let sum: f32 = (0..9).map(|i| at(i % 3, i / 3)).sum();
                        out.data[((y * image.width + x) * 3) as usize + c] = sum / 9.0;
                    }
                }
            }
        }
        out
    });
    // Two stops: a quarter of the light.
    edit_picture(&root, "006.png", &|mut image| {
        image.data.iter_mut().for_each(|v| *v *= 0.25f32.powf(1.0 / 2.2));
        image
    });
    let found = report(&root, None).findings;
    let of = |subject: Subject| found.iter().find(|f| f.subject == subject).unwrap_or_else(|| panic!("{found:?}"));
    assert_eq!(of(Subject::Blur).views, [3], "{found:?}");
    assert_eq!(of(Subject::Exposure).views, [6], "{found:?}");
    assert!(of(Subject::Exposure).problem.contains("stops darker"), "{found:?}");
    assert_eq!(found.len(), 2, "{found:?}");
}

/// A camera that moved sideways blurs in one direction only.
#[test]
fn a_shaken_photograph_is_found() {
    let (_dir, root) = capture(RigKind::Forward, 8);
    edit_picture(&root, "005.png", &|image| {
        let mut out = image.clone();
        for (i, value) in out.data.iter_mut().enumerate() {
            let (y, x, c) = (i as u32 / 3 / image.width, i as u32 / 3 % image.width, i % 3);
            let sum: f32 = (0..7).map(|d| image.pixel((x + d).clamp(3, image.width + 2) - 3, y)[c]).sum();
            *value = sum / 7.0;
        }
        out
    });
    let found = report(&root, None).findings;
    assert!(found.len() == 1 && found[0].subject == Subject::Blur && found[0].views == [5], "{found:?}");
}

#[test]
fn photographs_and_poses_that_do_not_belong_together_are_found() {
    let of_files = |root: &Path| {
        let found = report(root, None).findings.into_iter().find(|f| f.subject == Subject::Files);
        found.map(|finding| (finding.severity, finding.problem))
    };
    let (_dir, root) = capture(RigKind::Forward, 3);
    let image = |name: &str| root.join("images").join(name);
    // A depth map beside its photograph is no photograph of its own.
    std::fs::copy(image("000.png"), image("000_depth.png")).unwrap();
    assert_eq!(of_files(&root), None);
    std::fs::copy(image("000.png"), image("extra.png")).unwrap();
    let (severity, problem) = of_files(&root).unwrap();
    assert!(severity == Severity::Worse && problem.contains("1 photograph has no pose"), "{problem}");
    assert!(problem.contains("extra.png"), "{problem}");
    let (_dir, root) = capture_as(Format::Colmap, RigKind::Forward, 3);
    for name in ["000.png", "002.png", "004.png", "006.png"] {
        std::fs::remove_file(root.join("images").join(name)).unwrap();
    }
    let (severity, problem) = of_files(&root).unwrap();
    assert!(severity == Severity::Wrong && problem.contains("4 of 9 photographs"), "{problem}");
}

#[test]
fn bounds_that_cut_the_scene_are_found() {
    let (_dir, root) = capture(RigKind::Forward, 3);
    let good = report(&root, None);
    let [nearest, farthest] = good.depths.unwrap();
    for bounds in [[0.1 * nearest, 0.5 * farthest], [2.0 * nearest, 9.0 * farthest]] {
        let found = report(&root, Some(bounds)).findings;
        assert!(
            found.iter().any(|f| f.subject == Subject::Bounds && f.remedy.contains("--bounds")),
            "{bounds:?} {found:?}"
        );
    }
}

/// Real captures that are known to be good have no finding.
#[test]
#[ignore = "needs SHIFTRAY_SCENES"]
fn real_captures_have_no_finding() {
    let names = ["fern", "flower", "fortress", "horns", "room", "iconic_apples", "iconic_piano", "pinecone"];
    let names = names.map(|name| format!("llff/{name}")).into_iter();
    let mut found = Vec::new();
    for name in names.chain(["colmap/canclip", "nerfstudio/fox", "blender/lego"].map(String::from)) {
        let root = crate::locate(&name, &[]).unwrap();
        let scene = formats::load(&root, &LoadOptions::default()).unwrap();
        let report = check(&scene, 2).unwrap();
        let Report { pairs, agreement, bounds, depths, .. } = &report;
        eprintln!("{name}: {pairs} pairs, agreement {agreement:.2?}, depths {depths:.2?} in {bounds:.2?}");
        for finding in report.findings {
            eprintln!("  {:?} {}: {}", finding.severity, finding.subject.name(), finding.problem);
            found.push((name.clone(), finding.subject));
        }
    }
    assert!(found.is_empty(), "{found:?}");
}
