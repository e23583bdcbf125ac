//! Walks: ordered, smooth, even, and never through the thing.

use super::*;
use crate::paths::rigs::{around, looking_at, room, shuffled};
use crate::testing;
use glam::{Mat4, Vec3};

fn walk(scene: &Scene, count: usize) -> Vec<Frame> {
    frames(scene, &Capture::of(scene).unwrap(), count).unwrap()
}

fn steps(path: &[Frame]) -> Vec<f32> {
    path.windows(2).map(|pair| pair[0].camera.origin().distance(pair[1].camera.origin())).collect()
}

#[test]
fn few_views_are_passed_one_after_the_other() {
    let mut scene = testing::scene(&[Vec3::ZERO, Vec3::X, Vec3::new(2.0, 1.0, 0.0), Vec3::new(3.0, 1.0, 0.5)]);
    scene.views[2].camera.world_from_camera *= Mat4::from_rotation_y(0.7);
    let path = walk(&scene, 61);
    let mut before = 0;
    for view in &scene.views {
        let from = |frame: &Frame| frame.camera.origin().distance(view.camera.origin());
        let nearest = (0..path.len()).min_by(|a, b| from(&path[*a]).total_cmp(&from(&path[*b]))).unwrap();
        assert!(from(&path[nearest]) < 0.05 && nearest >= before, "{nearest}");
        assert!(path[nearest].camera.forward().distance(view.camera.forward()) < 0.1);
        before = nearest;
    }
    assert_eq!(path[0].camera.origin(), Vec3::ZERO);
    let steps = steps(&path);
    assert!(steps.iter().all(|step| (step / steps[0] - 1.0).abs() < 0.03), "{steps:?}");
}

/// The lens is that of the middle view, whatever order the views come in.
#[test]
fn the_lens_stays_the_same() {
    let mut scene = testing::scene(&[Vec3::ZERO, Vec3::X, Vec3::X * 2.0]);
    scene.views[0].camera.focal *= 1.5;
    assert!(walk(&scene, 5).iter().all(|frame| frame.camera.focal == scene.views[1].camera.focal));
}

#[test]
fn leads_around_the_thing_at_the_cameras_distance() {
    let place = DVec3::new(3.0, 1.0, -2.0);
    for seed in 0..4 {
        // All round but jumbled, and from opposite sides only.
        let jumbled = shuffled(&around(seed, 40, 360.0, place), seed);
        let opposite = testing::scene_of(
            [0.0f64, 3.1, 0.1, 3.2]
                .iter()
                .map(|a| looking_at(place, place + DVec3::new(a.cos(), a.sin(), 0.3) * 4.0))
                .collect(),
        );
        for scene in [jumbled, opposite] {
            let focus = Capture::of(&scene).unwrap().focus.unwrap().as_vec3();
            let least = scene.views.iter().map(|view| view.camera.origin().distance(focus)).fold(f32::MAX, f32::min);
            let path = walk(&scene, 100);
            for frame in &path {
                frame.camera.validate(&frame.name).unwrap();
                let to_focus = focus - frame.camera.origin();
                assert!(to_focus.length() > 0.999 * least, "{} {least}", to_focus.length());
                assert!(frame.camera.forward().dot(to_focus.normalize()) > 0.9, "{seed} {}", frame.name);
            }
            let steps = steps(&path);
            assert!(steps.iter().all(|step| (step / steps[0] - 1.0).abs() < 0.05), "{steps:?}");
        }
    }
}

/// Two hundred jumbled cameras around a thing make one way round and no zigzag.
#[test]
fn many_views_are_smoothed() {
    let scene = shuffled(&around(1, 200, 300.0, DVec3::ZERO), 1);
    let path = walk(&scene, 120);
    let length: f32 = steps(&path).iter().sum();
    let arc = 4.0 * 0.4f32.cos() * 300.0f32.to_radians();
    assert!((0.85..1.1).contains(&(length / arc)), "{length} {arc}");
}

#[test]
fn turns_on_the_spot_take_their_time() {
    // A panorama from one place.
    let cameras = (0..8)
        .map(|i| looking_at(DVec3::new((0.3 * f64::from(i)).cos(), (0.3 * f64::from(i)).sin(), 0.0), DVec3::ZERO));
    let path = walk(&testing::scene_of(cameras.collect()), 22);
    let turn = |pair: &[Frame]| pair[0].camera.forward().angle_between(pair[1].camera.forward());
    assert!(path.windows(2).all(|pair| (turn(pair) - 0.1).abs() < 0.01));
    let path = walk(&room(2, 24), 60);
    assert!(path.windows(2).all(|pair| turn(pair) < 0.3));
}

#[test]
fn one_view_or_one_frame_is_enough() {
    let scene = testing::scene(&[Vec3::Y]);
    assert!(walk(&scene, 3).iter().all(|f| f.camera.origin() == Vec3::Y));
    let scene = testing::scene(&[Vec3::Y, Vec3::X]);
    assert_eq!(walk(&scene, 1)[0].camera.origin(), Vec3::Y);
}
