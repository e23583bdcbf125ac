//! The way from nerfstudio's world to the scene's.

use crate::paths::DEFAULT_FRAMES;
use crate::paths::file::{self, PathFileOptions};
use crate::paths::rigs::other_world;
use crate::{Scene, Similarity, testing};
use glam::{DMat4, DVec3, Vec3};
use std::path::PathBuf;

/// A scene, and the folder of a path that stands at `at` in the coordinates of the scene's files.
struct Case {
    dir: tempfile::TempDir,
    scene: Scene,
    at: DVec3,
}

fn three_rows(transform: &Similarity) -> String {
    let rows = Similarity { scale: 1.0, ..*transform }.rows();
    serde_json::json!(rows[..3]).to_string()
}

/// `path.json` as the viewer writes it where nerfstudio's world is `nerf_from_file`.
fn case(nerf_from_file: &Similarity) -> Case {
    let dir = tempfile::tempdir().unwrap();
    let mut scene = testing::scene(&[Vec3::ZERO]);
    scene.scene_from_file = other_world(7);
    scene.root = dir.path().join("scene");
    std::fs::create_dir(&scene.root).unwrap();
    let at = DVec3::new(3.0, -2.0, 7.0);
    let pose = nerf_from_file.pose(DMat4::from_translation(at)).transpose().to_cols_array();
    let path = serde_json::json!({"camera_path": [{"camera_to_world": pose.to_vec(), "fov": 50}]});
    std::fs::write(dir.path().join("path.json"), path.to_string()).unwrap();
    Case { dir, scene, at }
}

/// The transform file's text: `scale · (transform · point)`.
fn dataparser(nerf_from_original: &Similarity) -> String {
    let moved =
        Similarity { translation: nerf_from_original.translation / nerf_from_original.scale, ..*nerf_from_original };
    format!(r#"{{"transform": {}, "scale": {}}}"#, three_rows(&moved), nerf_from_original.scale)
}

fn off(case: &Case, options: &PathFileOptions) -> (f64, Vec<String>) {
    let (frames, warnings) =
        file::load(&case.dir.path().join("path.json"), &case.scene, DEFAULT_FRAMES, options).unwrap();
    let scene_from_file = case.scene.scene_from_file;
    let camera = frames[0].camera;
    let turned = (scene_from_file.rotation * -DVec3::Z).distance(camera.forward().as_dvec3());
    (camera.origin().as_dvec3().distance(scene_from_file.point(case.at)) + turned, warnings)
}

#[test]
fn paths_land_where_the_viewer_was() {
    let nerf = other_world(8);
    let case = case(&nerf);
    assert!(off(&case, &PathFileOptions::default()).0 > 0.1);
    let places: [PathBuf; 3] =
        [case.dir.path().join(super::FILE), case.scene.root.join(super::FILE), case.dir.path().join("other.json")];
    for (i, place) in places.iter().enumerate() {
        std::fs::write(place, dataparser(&nerf)).unwrap();
        let options = PathFileOptions { dataparser: (i == 2).then(|| place.clone()), ..Default::default() };
        let (off, warnings) = off(&case, &options);
        assert!(off < 1e-5 && warnings.is_empty(), "{off} {warnings:?}");
        std::fs::remove_file(place).unwrap();
    }
}

/// nerfstudio's transform begins before what the `transforms.json` says was applied to its poses.
#[test]
fn what_was_applied_to_the_poses_is_taken_into_account() {
    let (nerf_from_file, moved) = (other_world(8), other_world(9));
    let applied = Similarity { scale: 1.0, ..moved };
    let mut case = case(&nerf_from_file);
    let file = case.scene.root.join("transforms.json");
    std::fs::write(&file, format!(r#"{{"applied_transform": {}, "applied_scale": 2.5}}"#, three_rows(&applied)))
        .unwrap();
    case.scene.pose_files = vec![file];
    // As nerfstudio saves it: the transforms are multiplied as matrices of turns and moves, the scales on their own.
    let rigid =
        Similarity { scale: 1.0, translation: nerf_from_file.translation / nerf_from_file.scale, ..nerf_from_file };
    let transform = super::chained(rigid, applied);
    let text = format!(r#"{{"transform": {}, "scale": {}}}"#, three_rows(&transform), nerf_from_file.scale * 2.5);
    std::fs::write(case.scene.root.join(super::FILE), text).unwrap();
    assert!(off(&case, &PathFileOptions::default()).0 < 1e-5);
}

#[test]
fn bad_transforms_are_named() {
    let case = case(&other_world(8));
    let file = case.dir.path().join("bad.json");
    let options = PathFileOptions { dataparser: Some(file.clone()), ..Default::default() };
    let load = || {
        file::load(&case.dir.path().join("path.json"), &case.scene, DEFAULT_FRAMES, &options).unwrap_err().to_string()
    };
    assert!(load().contains("bad.json"));
    let good = "[[1,0,0,1],[0,1,0,2],[0,0,1,3]]";
    for (text, expected) in [
        ("{}".to_owned(), "transform"),
        (format!(r#"{{"transform": {}, "scale": 1}}"#, good.replace("[1,0,0,1]", "[2,0,0,1]")), "3x4"),
        (format!(r#"{{"transform": {good}}}"#), "scale"),
        (format!(r#"{{"transform": {good}, "scale": 0}}"#), "scale"),
        ("[]".to_owned(), "bad.json"),
    ] {
        std::fs::write(&file, text).unwrap();
        let message = load();
        assert!(message.contains(expected) && message.contains("bad.json"), "{message}");
    }
}
