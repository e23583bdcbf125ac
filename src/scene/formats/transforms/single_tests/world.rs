//! The frame and depth bounds of a scene, whatever the frame of its file.

use super::*;
use crate::FAR_EVAL;
use crate::pose::opengl_pose;

#[test]
fn the_place_that_is_looked_at_becomes_the_origin() {
    let scene = scene(&ring(9), LoadOptions::default());
    assert!(scene.warnings.is_empty(), "{:?}", scene.warnings);
    assert_eq!((scene.format, scene.views.len(), scene.size()), (Format::Nerfstudio, 9, (31, 33)));
    assert_eq!((scene.held_out.as_slice(), scene.source_ids.len()), ([0, 8].as_slice(), 7));
    assert_eq!((scene.split, scene.views[3].name.as_str()), (Some(Split::HeldOut), "03"));
    // Half the distance is near, and that is 4/3.
    assert!((scene.scene_from_file.scale * DISTANCE - 8.0 / 3.0).abs() < 1e-6, "{:?}", scene.scene_from_file);
    assert_eq!(scene.depth_range(FAR_EVAL), scene.depth_range(1.0));
    assert!((scene.near - 4.0 / 3.0).abs() < TOLERANCE && (scene.far / scene.near - 16.0).abs() < TOLERANCE);
    for view in &scene.views {
        let camera = view.camera;
        assert!((camera.origin().length() - 8.0 / 3.0).abs() < TOLERANCE);
        assert!((camera.forward() + camera.origin().normalize()).length() < TOLERANCE, "{}", camera.forward());
        // Axes as in the file: up is z.
        assert!((camera.origin().z - 1.6).abs() < TOLERANCE, "{}", camera.origin());
        assert!((camera.focal - glam::Vec2::new(40.0, 42.0)).length() < TOLERANCE);
        // The middle of 31×33 pixels is the centre of pixel (15, 16).
        assert!((camera.center - glam::Vec2::new(15.0, 16.0)).length() < TOLERANCE, "{}", camera.center);
    }
}

#[test]
fn cameras_that_face_one_way_are_recentred_as_llff() {
    let mut json = ring(0);
    let turned = DMat4::from_rotation_translation(glam::DQuat::from_rotation_y(0.8), DVec3::splat(9.0));
    let frame = |i: i32| {
        let pose = turned * DMat4::from_translation(DVec3::X * f64::from(i));
        json!({"file_path": format!("{i}.png"), "transform_matrix": &matrix(pose).as_array().unwrap()[..3]})
    };
    json["frames"] = (0..5).map(frame).collect();
    let scene = scene(&json, LoadOptions { hold_every: 0, ..LoadOptions::default() });
    assert_eq!((scene.source_ids.len(), scene.held_out.len(), scene.split), (5, 0, None));
    // The extent is 4, so that near is 3.
    for (i, view) in scene.views.iter().enumerate() {
        let pose = opengl_pose(view.camera.world_from_camera);
        let expected = DMat4::from_translation(DVec3::X * (i as f64 - 2.0) * 4.0 / 9.0);
        assert!(pose.abs_diff_eq(expected, 1e-5), "{i}: {pose}");
    }
    assert!((scene.far - 80.0 * 4.0 / 9.0).abs() < TOLERANCE, "{}", scene.far);
}

#[test]
fn bounds_in_the_file_count() {
    let options = LoadOptions::default();
    let wide = scene(&edited(&[("near", json!(0.5)), ("far", json!(50.0))], &[]), options);
    assert!((wide.far / wide.near - 100.0).abs() < 1e-3 && (wide.scene_from_file.scale - 4.0 / 1.5).abs() < 1e-4);
    let near = scene(&edited(&[("near", json!(0.5))], &[]), options);
    assert!((near.far / near.near - 80.0).abs() < 1e-3, "{}", near.far);
    // One camera tells no depth, but may be told.
    let mut single = ring(1);
    assert!(error(&single).contains("near and far"), "{}", error(&single));
    (single["near"], single["far"]) = (json!(1.0), json!(2.0));
    let single = scene(&single, LoadOptions { hold_every: 0, ..options });
    assert!((single.depth_range(FAR_EVAL)[1] - 8.0 / 3.0).abs() < TOLERANCE);
    assert!(single.warnings.iter().any(|w| w.contains("degenerate")), "{:?}", single.warnings);
    for (near, far) in [(0.0, 1.0), (-1.0, 1.0), (2.0, 2.0), (2.0, 1.0), (1e-300, 1.0), (1e-30, 1e30)] {
        let message = error(&edited(&[("near", json!(near)), ("far", json!(far))], &[]));
        assert!(message.contains("transforms.json") && message.contains("0 < near < far"), "{message}");
    }
    assert!(error(&edited(&[("far", json!(0.1))], &[])).contains("from the cameras"));
}

#[test]
fn a_stray_pose_is_left_out() {
    let good = scene(&ring(10), LoadOptions::default());
    let mut json = ring(10);
    let pose = DMat4::from_cols_array_2d(
        &serde_json::from_value::<[[f64; 4]; 4]>(json["frames"][3]["transform_matrix"].clone()).unwrap(),
    );
    let mut away = pose.transpose();
    away.w_axis = (away.w_axis.truncate() * 100.0).extend(1.0);
    json["frames"][3]["transform_matrix"] = matrix(away);
    let stray = scene(&json, LoadOptions::default());
    assert_eq!((stray.views.len(), stray.held_out.as_slice()), (9, [0, 7].as_slice()));
    assert_eq!(stray.views[7].name, "08");
    assert!(
        stray.warnings[0].contains("frame 3 (images/03.png): its camera stands absurdly far"),
        "{:?}",
        stray.warnings
    );
    assert!((stray.far / good.far - 1.0).abs() < 0.2, "{} {}", stray.far, good.far);
}

/// Moved, scaled and turned worlds, frames in another order and cropped pictures are the same scene.
#[test]
fn the_worlds_frame_and_the_order_of_frames_do_not_matter() {
    let original = scene(&ring(9), LoadOptions::default());
    for (scale, offset) in
        [(1.0, DVec3::new(5.0e5, 4.6e6, 120.0)), (1e4, DVec3::ZERO), (1e-4, DVec3::new(1.0, 2.0, -3.0))]
    {
        let turn = glam::DQuat::from_euler(glam::EulerRot::XYZ, 0.3, -1.2, 2.0);
        let to = Similarity { rotation: glam::DMat3::from_quat(turn), scale, translation: offset };
        let mut json = ring(9);
        for frame in json["frames"].as_array_mut().unwrap() {
            let rows: [[f64; 4]; 4] = serde_json::from_value(frame["transform_matrix"].clone()).unwrap();
            frame["transform_matrix"] = matrix(to.pose(DMat4::from_cols_array_2d(&rows).transpose()));
        }
        json["frames"].as_array_mut().unwrap().rotate_left(4);
        let moved = scene(&json, LoadOptions::default());
        assert!((moved.far - original.far).abs() < 1e-3 && (moved.near - original.near).abs() < 1e-6);
        assert_eq!((&moved.source_ids, &moved.held_out), (&original.source_ids, &original.held_out));
        // The axes stay as in the file, so that only the turn is left.
        let turned = glam::Mat4::from_quat(turn.as_quat());
        for (a, b) in original.views.iter().zip(&moved.views) {
            assert_eq!(a.name, b.name);
            let expected = turned * a.camera.world_from_camera;
            assert!(b.camera.world_from_camera.abs_diff_eq(expected, 1e-4), "{} {scale}", a.name);
            // The transform leads from the one file to the scene as from the other.
            let place = DVec3::new(0.3, -0.2, 0.7) + CENTER;
            let [from_moved, from_original] =
                [moved.scene_from_file.point(to.point(place)), turn * original.scene_from_file.point(place)];
            assert!((from_moved - from_original).length() < 1e-5, "{from_moved} {from_original}");
        }
    }
    // Six columns less on the left and four rows less below.
    let mut json = ring(9);
    (json["cx"], json["cy"], json["w"], json["h"]) = (json!(9.5), json!(16.5), json!(25), json!(29));
    let dir = tempfile::tempdir().unwrap();
    write(&dir, &json);
    (0..9).for_each(|i| add_image(&dir, &format!("images/{i:02}.png"), (25, 29)));
    let cropped = load(dir.path(), &LoadOptions::default()).unwrap();
    for (a, b) in original.views.iter().zip(&cropped.views) {
        let (whole, part) = (a.camera.ray(glam::Vec2::new(17.0, 11.0)), b.camera.ray(glam::Vec2::new(11.0, 11.0)));
        assert!((whole.direction - part.direction).length() < 1e-6 && whole.origin == part.origin);
    }
}

#[test]
#[ignore = "needs SHIFTRAY_SCENES"]
fn real_fox_loads() {
    let root = crate::locate("nerfstudio/fox", &[]).unwrap();
    let scene = load(&root, &LoadOptions::default()).unwrap();
    assert_eq!((scene.name.as_str(), scene.views.len(), scene.size()), ("fox", 50, (270, 480)));
    assert_eq!((scene.held_out.as_slice(), scene.warnings.len()), ([0, 8, 16, 24, 32, 40, 48].as_slice(), 0));
    assert_eq!(crate::formats::files(&scene).len(), 51);
    let image = scene.views[49].load_image().unwrap();
    assert_eq!((image.width, image.height), (270, 480));
    let zoom = scene.views[0].distortion.unwrap().zoom();
    assert!((0.97..1.03).contains(&zoom), "{zoom}");
    // The fox is what all look at.
    let orbit = crate::paths::frames(&scene, &crate::PathKind::Orbit, Some(3)).unwrap();
    let distance = orbit[0].camera.origin().length();
    assert!(distance > scene.near && distance < scene.far, "{distance}");
    let reduced = load(&root, &LoadOptions { factor: Some(7), ..LoadOptions::default() }).unwrap();
    assert_eq!(reduced.size(), (38, 68));
    assert_eq!(reduced.views[7].load_image().unwrap().height, 68);
}
