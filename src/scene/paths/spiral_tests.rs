//! Spirals: once around, among the photographs.

use super::*;
use crate::paths::rigs::{around, forward, room, walk};
use crate::testing;
use glam::Vec3;

fn spiral(scene: &Scene, count: usize) -> Result<Vec<Frame>> {
    frames(scene, &Capture::of(scene).unwrap(), count)
}

#[test]
fn any_number_of_frames_looks_at_the_focus() {
    let scene = testing::scene(&[Vec3::X, -Vec3::X, Vec3::Y, -Vec3::Y, Vec3::ZERO].map(|p| p * 0.3));
    let focus = focus(&scene, &Capture::of(&scene).unwrap()).as_vec3();
    for count in [1, 7, 31] {
        let path = spiral(&scene, count).unwrap();
        assert_eq!(path.len(), count);
        for frame in &path {
            frame.camera.validate(&frame.name).unwrap();
            let way = (focus - frame.camera.origin()).normalize();
            assert!(frame.camera.forward().distance(way) < 1e-5 && way.z > 0.9, "{:?}", frame.camera);
            // The testing cameras' right is x and their down y.
            assert!(frame.camera.world_from_camera.x_axis.y.abs() < 1e-5);
            assert!(frame.excluded.is_empty());
        }
    }
}

/// Six frames are six pictures, and the last leads on to the first.
#[test]
fn goes_around_once() {
    let path = spiral(&forward(3, 20), 6).unwrap();
    let at: Vec<Vec3> = path.iter().map(|frame| frame.camera.origin()).collect();
    let steps: Vec<f32> = (0..6).map(|i| at[i].distance(at[(i + 1) % 6])).collect();
    assert!(steps.iter().all(|step| (step / steps[0] - 1.0).abs() < 0.02), "{steps:?}");
    for i in 0..6 {
        assert!((i + 1..6).all(|j| at[i].distance(at[j]) > 0.9 * steps[0]), "{at:?}");
    }
}

/// In every direction some camera stands farther out than all frames.
#[test]
fn stays_among_the_cameras() {
    for seed in 0..20 {
        let scene = forward(seed, 12);
        let path = spiral(&scene, 40).unwrap();
        for i in 0..32 {
            let angle = TAU * f64::from(i) / 32.0;
            let direction = Vec3::new(angle.cos() as f32, 0.0, angle.sin() as f32);
            let reach = |at: &mut dyn Iterator<Item = Vec3>| at.map(|p| p.dot(direction)).fold(f32::MIN, f32::max);
            let frames = reach(&mut path.iter().map(|frame| frame.camera.origin()));
            let cameras = reach(&mut scene.views.iter().map(|view| view.camera.origin()));
            assert!(frames <= cameras + LEAST as f32, "{seed}: {frames} {cameras}");
        }
    }
}

/// Cameras on one line: the spiral is as flat, along any line.
#[test]
fn a_rail_stays_a_rail() {
    for direction in [Vec3::X, Vec3::new(0.6, 0.8, 0.0)] {
        let scene = testing::scene(&(0..9).map(|i| direction * 0.1 * i as f32).collect::<Vec<_>>());
        let path = spiral(&scene, 12).unwrap();
        for frame in &path {
            let at = frame.camera.origin();
            assert!((at - direction * at.dot(direction)).length() < 1.1 * LEAST as f32, "{at}");
            assert!((-0.05..0.85).contains(&at.dot(direction)), "{at}");
        }
    }
}

#[test]
fn one_photograph_is_enough_to_move_a_little() {
    let path = spiral(&testing::scene(&[Vec3::ONE]), 4).unwrap();
    assert!(path.iter().all(|frame| (frame.camera.origin().distance(Vec3::ONE) - LEAST as f32).abs() < 1e-4));
}

#[test]
fn other_captures_are_pointed_to_other_paths() {
    let message = |scene: &Scene| spiral(scene, 3).unwrap_err().to_string();
    assert!(message(&around(1, 30, 120.0, DVec3::ZERO)).contains("orbit"));
    assert!(message(&room(1, 30)).contains("interpolate") && message(&walk(1, 30)).contains("auto"));
}
