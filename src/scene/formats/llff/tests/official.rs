//! Parity with the official loader.

use super::*;
use crate::paths::{self, PathKind};
use crate::testing::{Fixture, assert_close, camera_vector, rows};
use crate::{Camera, FAR_EVAL, nearest_sources};
use glam::Mat4;

/// Suggested for all loader outputs; f32 rounding of recentred poses.
const TOLERANCE: f64 = 2e-5;
/// Of values up to a hundred.
const TOLERANCE_LARGE: f64 = 1e-4;

/// The fixture's pose file with images of its size.
fn fixture_scene(fixture: &Fixture) -> (tempfile::TempDir, Scene) {
    let hw = fixture.ids("llff.image_hw");
    let table = fixture.get("llff.poses_bounds");
    let dir = folder(table.as_chunks().0, "images_4", (hw[1] as u32, hw[0] as u32));
    let scene = load(dir.path(), &LoadOptions::default()).unwrap();
    (dir, scene)
}

#[test]
fn cameras_and_bounds_match_the_official_loader() {
    let fixture = Fixture::loaders();
    let (_dir, scene) = fixture_scene(&fixture);
    assert!(scene.warnings.is_empty(), "{:?}", scene.warnings);
    let poses: Vec<f64> = scene.views.iter().flat_map(|v| rows(v.camera.world_from_camera)).collect();
    assert_close("c2w", &poses, &fixture.get("llff.c2w"), TOLERANCE);
    let bounds: Vec<f64> = scene.views.iter().flat_map(|v| [v.near.into(), v.far.into()]).collect();
    assert_close("bounds", &bounds, &fixture.get("llff.bds"), TOLERANCE_LARGE);
    let intrinsics: Vec<f64> = scene.views.iter().flat_map(|v| camera_vector(&v.camera)[2..18].to_vec()).collect();
    assert_close("intrinsics", &intrinsics, &fixture.get("llff.intrinsics"), TOLERANCE_LARGE);
    let cameras: Vec<f64> = scene.held_out.iter().flat_map(|&i| camera_vector(&scene.views[i].camera)).collect();
    assert_close("held-out cameras", &cameras, &fixture.get("llff.val.camera"), TOLERANCE_LARGE);
    assert!((scene.near - 4.0 / 3.0).abs() < 1e-6, "{}", scene.near);
}

#[test]
fn holdout_sources_and_depths_match_the_official_loader() {
    let fixture = Fixture::loaders();
    let (_dir, scene) = fixture_scene(&fixture);
    assert_eq!(scene.held_out, fixture.ids("llff.val.holdout"));
    let expected = fixture.ids("llff.val.nearest_ids_in_train_split");
    for (&id, expected) in scene.held_out.iter().zip(expected.chunks(10)) {
        let expected: Vec<usize> = expected.iter().map(|&i| scene.source_ids[i]).collect();
        assert_eq!(nearest_sources(&scene, &scene.views[id].camera, &scene.source_ids, 10).unwrap(), expected);
    }
    let range = scene.depth_range(FAR_EVAL).map(f64::from).repeat(scene.held_out.len());
    assert_close("depth range", &range, &fixture.get("llff.val.depth_range"), TOLERANCE_LARGE);
    let range = scene.depth_range(1.5).map(f64::from);
    assert_close("render depth range", &range, &fixture.get("llff.render7.depth_range"), TOLERANCE_LARGE);
}

/// Ours goes around once where the official spiral goes around twice, but looks at the same point and stays within it; the official frames' sources are those of the official code.
#[test]
fn spiral_is_within_the_official_one() {
    let fixture = Fixture::loaders();
    let (_dir, scene) = fixture_scene(&fixture);
    let official = fixture.get("llff.render_poses_3x5");
    let official: Vec<Mat4> = official
        .chunks(15)
        .map(|rows| {
            Mat4::from_cols_array(&std::array::from_fn(|i| match (i / 4, i % 4) {
                (3, 3) => 1.0,
                (_, 3) => 0.0,
                (column, row) => rows[5 * row + column] as f32 * [1.0, -1.0, -1.0, 1.0][column],
            }))
        })
        .collect();
    let focus = paths::spiral::focus(&scene, &crate::capture::Capture::of(&scene).unwrap()).as_vec3();
    for pose in &official {
        let way = (focus - pose.w_axis.truncate()).normalize();
        assert!(way.distance(pose.z_axis.truncate()) < 0.02, "{way} {pose}");
    }
    let widest = official.iter().map(|pose| pose.w_axis.truncate().length()).fold(0.0, f32::max);
    let frames = paths::frames(&scene, &PathKind::Spiral, None).unwrap();
    assert_eq!(frames.len(), 120);
    for frame in &frames {
        assert!(frame.camera.origin().length() < widest);
    }

    let seventh = Camera { world_from_camera: official[7], ..frames[7].camera };
    assert_close("camera", &camera_vector(&seventh), &fixture.get("llff.render7.camera"), TOLERANCE_LARGE);
    let central = fixture.ids("llff.i_test");
    let candidates: Vec<usize> = (0..scene.views.len()).filter(|id| !central.contains(id)).collect();
    let sources = nearest_sources(&scene, &seventh, &candidates, 10).unwrap();
    let sources: Vec<f64> = sources.iter().flat_map(|&i| camera_vector(&scene.views[i].camera)).collect();
    assert_close("sources", &sources, &fixture.get("llff.render7.src_cameras"), TOLERANCE_LARGE);
}
