//! What kind of capture cameras are.

use super::*;
use crate::paths::rigs::{around, forward, looking_at, moved, other_world, room, shuffled, walk};
use crate::testing;
use glam::Vec3;

fn kind(scene: &Scene) -> CaptureKind {
    Capture::of(scene).unwrap().kind
}

const PLACE: DVec3 = DVec3::new(6.0, -2.0, 0.5);

#[test]
fn kinds_are_told_apart_in_any_world_and_order() {
    for seed in 0..6 {
        let scenes = [
            (forward(seed, 20), CaptureKind::Forward),
            (around(seed, 30, 360.0, PLACE), CaptureKind::Around),
            (around(seed, 20, 100.0, PLACE), CaptureKind::Around),
            (room(seed, 24), CaptureKind::Inside),
            (walk(seed, 20), CaptureKind::Walk),
        ];
        for (scene, expected) in scenes {
            assert_eq!(kind(&scene), expected, "{seed}");
            assert_eq!(kind(&shuffled(&scene, seed)), expected, "{seed}, shuffled");
            assert_eq!(kind(&moved(&scene, &other_world(seed))), expected, "{seed}, moved");
        }
    }
}

#[test]
fn the_place_and_up_are_found() {
    for seed in 0..6 {
        let scene = around(seed, 20, 100.0, PLACE);
        let capture = Capture::of(&scene).unwrap();
        assert!(capture.focus.unwrap().distance(PLACE) < 0.05, "{:?}", capture.focus);
        assert!(capture.up.dot(DVec3::Z) > 0.999, "{}", capture.up);
        let world = other_world(seed);
        let other = Capture::of(&moved(&scene, &world)).unwrap();
        assert!(other.focus.unwrap().distance(world.point(PLACE)) < 0.05 * world.scale);
        assert!(other.up.dot(world.rotation * DVec3::Z) > 0.999);
        assert!((other.extent / capture.extent / world.scale - 1.0).abs() < 1e-4);
    }
}

/// One camera far away, one that looks elsewhere and one that lies on its side change next to nothing.
#[test]
fn strays_do_not_decide() {
    for seed in 0..6 {
        for (mut scene, expected) in
            [(around(seed, 20, 120.0, PLACE), CaptureKind::Around), (forward(seed, 20), CaptureKind::Forward)]
        {
            let before = Capture::of(&scene).unwrap();
            let mut cameras: Vec<Camera> = scene.views.iter().map(|view| view.camera).collect();
            cameras.push(looking_at(DVec3::ZERO, DVec3::splat(1000.0)));
            cameras.push(looking_at(before.center + DVec3::new(0.3, -9.0, 0.2), before.center));
            let mut rolled = cameras[3];
            rolled.world_from_camera *= glam::Mat4::from_rotation_z(1.5);
            cameras.push(rolled);
            let near = scene.near;
            scene = testing::scene_of(cameras);
            scene.near = near;
            let after = Capture::of(&scene).unwrap();
            assert_eq!(after.kind, expected, "{seed}");
            assert_eq!(after.poses.len(), before.poses.len() + 2);
            assert!(after.up.dot(before.up) > 0.999 && after.extent < 1.2 * before.extent, "{after:?}");
            if expected == CaptureKind::Around {
                assert!(after.focus.unwrap().distance(before.focus.unwrap()) < 0.1, "{:?}", after.focus);
            }
        }
    }
}

#[test]
fn up_is_not_along_the_view_from_above() {
    // Straight down, turned by any angle about the view.
    let camera = |i: usize| {
        let pose = DMat4::from_translation(DVec3::new(0.3 * i as f64, 0.1 * (i % 3) as f64, 5.0))
            * DMat4::from_rotation_z(1.9 * i as f64);
        Camera { world_from_camera: crate::pose::flip_axes(pose).as_mat4(), ..testing::camera(Vec3::ZERO) }
    };
    let capture = Capture::of(&testing::scene_of((0..9).map(camera).collect())).unwrap();
    assert!(capture.up.dot(DVec3::Z) > 0.99, "{}", capture.up);
    assert!(capture.up_for(capture.back).dot(capture.back).abs() < 1e-6);
}

#[test]
fn any_number_of_cameras_is_a_capture() {
    assert!(Capture::of_cameras([], 1.0).is_none());
    for count in 1..4 {
        let capture = Capture::of(&testing::scene(&vec![Vec3::ONE; count])).unwrap();
        assert_eq!((capture.kind, capture.extent, capture.focus), (CaptureKind::Forward, 0.0, None));
        assert!(capture.up.is_finite() && capture.back.is_finite());
    }
    // Back to back in one place.
    let mut cameras = vec![testing::camera(Vec3::ZERO); 2];
    cameras[1].world_from_camera *= glam::Mat4::from_rotation_y(std::f32::consts::PI);
    assert!(Capture::of_cameras(&cameras, 1.0).unwrap().up.is_finite());
}
