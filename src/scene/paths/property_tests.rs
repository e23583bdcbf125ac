//! What holds for every path of every capture.

use super::rigs::{around, forward, moved, moved_pose, other_world, room, shuffled, walk};
use super::*;
use glam::{DVec3, Vec3};

const PLACE: DVec3 = DVec3::new(2.0, -1.0, 0.5);

/// Captures of every kind, with the paths that suit them.
fn captures(seed: u64) -> Vec<(Scene, Vec<PathKind>)> {
    vec![
        (forward(seed, 20), vec![PathKind::Auto, PathKind::Spiral, PathKind::Interpolate]),
        (
            around(seed, 40, 360.0, PLACE),
            vec![PathKind::Auto, PathKind::Orbit, PathKind::Ellipse, PathKind::Interpolate],
        ),
        (around(seed, 20, 130.0, PLACE), vec![PathKind::Auto, PathKind::Orbit, PathKind::Interpolate]),
        (walk(seed, 20), vec![PathKind::Auto]),
        (room(seed, 24), vec![PathKind::Auto]),
    ]
}

fn origins(frames: &[Frame]) -> Vec<Vec3> {
    frames.iter().map(|frame| frame.camera.origin()).collect()
}

/// The size of the region that cameras stand in.
fn extent(scene: &Scene) -> f32 {
    Capture::of(scene).unwrap().extent as f32
}

/// Turning, moving and scaling the world does the same to the path.
#[test]
fn paths_go_with_the_world() {
    for seed in 0..5 {
        for (scene, kinds) in captures(seed) {
            let world = other_world(seed);
            let other = moved(&scene, &world);
            for kind in kinds {
                let here = frames(&scene, &kind, Some(30)).unwrap();
                let there = frames(&other, &kind, Some(30)).unwrap();
                for (a, b) in here.iter().zip(&there) {
                    let expected = moved_pose(a.camera.world_from_camera, &world);
                    let found = b.camera.world_from_camera;
                    let off = expected.w_axis.truncate().distance(found.w_axis.truncate()) / extent(&other);
                    assert!(off < 2e-3, "{kind:?}, seed {seed}, {}: {off}", a.name);
                    assert!(expected.z_axis.distance(found.z_axis) < 0.02, "{kind:?}, seed {seed}, {}", a.name);
                    assert!(expected.x_axis.distance(found.x_axis) < 0.02, "{kind:?}, seed {seed}, {}", a.name);
                    assert_eq!((a.camera.focal, a.camera.center), (b.camera.focal, b.camera.center));
                }
            }
        }
    }
}

/// The order of the views does not change where the default path leads, but for the direction of a walk.
#[test]
fn paths_do_not_depend_on_the_order_of_views() {
    for seed in 0..5 {
        for (scene, _) in captures(seed) {
            let options = file::PathFileOptions::default();
            let here = plan(&scene, &PathKind::Auto, Some(60), &options).unwrap();
            let there = origins(&plan(&shuffled(&scene, seed), &PathKind::Auto, Some(60), &options).unwrap().frames);
            let at = origins(&here.frames);
            // A way that begins where it ends may begin anywhere on it.
            let (tolerance, walk) = (0.01 * extent(&scene), here.kind == PathKind::Interpolate);
            for (i, (a, b)) in at.iter().zip(&there).enumerate() {
                let off =
                    if walk { at.iter().map(|a| a.distance(*b)).fold(f32::MAX, f32::min) } else { a.distance(*b) };
                assert!(off < if walk { 15.0 * tolerance } else { tolerance }, "seed {seed}, frame {i}: {a} {b}");
            }
        }
    }
}

/// Neighbouring frames are evenly apart; spirals and orbits lead back to their first frame.
#[test]
fn speeds_are_even_and_loops_close() {
    for seed in 0..5 {
        for (scene, kinds) in captures(seed) {
            for kind in kinds {
                let plan = plan(&scene, &kind, Some(60), &file::PathFileOptions::default()).unwrap();
                let at = origins(&plan.frames);
                let mut steps: Vec<f32> = at.windows(2).map(|pair| pair[0].distance(pair[1])).collect();
                if plan.kind != PathKind::Interpolate {
                    steps.push(at[59].distance(at[0]));
                }
                let mean = steps.iter().sum::<f32>() / steps.len() as f32;
                for (i, step) in steps.iter().enumerate() {
                    assert!((step / mean - 1.0).abs() < 0.04, "{kind:?}, seed {seed}, frame {i}: {step} {mean}");
                }
            }
        }
    }
}

/// Near every frame stands a photograph, as near as photographs are to each other, and the horizon is level.
#[test]
fn frames_stay_where_photographs_are() {
    for seed in 0..5 {
        for (scene, kinds) in captures(seed) {
            let cameras: Vec<Vec3> = scene.views.iter().map(|view| view.camera.origin()).collect();
            let nearest = |at: Vec3, without: Option<usize>| {
                let others = cameras.iter().enumerate().filter(|(i, _)| Some(*i) != without);
                others.map(|(_, camera)| camera.distance(at)).fold(f32::MAX, f32::min)
            };
            let gap = (0..cameras.len()).map(|i| nearest(cameras[i], Some(i))).fold(0.0, f32::max);
            for kind in kinds {
                for frame in frames(&scene, &kind, Some(60)).unwrap() {
                    frame.camera.validate(&frame.name).unwrap();
                    let off = nearest(frame.camera.origin(), None);
                    assert!(off < 1.5 * gap, "{kind:?}, seed {seed}, {}: {off} {gap}", frame.name);
                    // The rigs stand upright along z.
                    let roll = frame.camera.world_from_camera.x_axis.z.abs();
                    assert!(roll < 0.03, "{kind:?}, seed {seed}, {}: {roll}", frame.name);
                }
            }
        }
    }
}

#[test]
fn the_default_says_what_it_is_and_why() {
    let of = |scene: &Scene| {
        let plan = plan(scene, &PathKind::Auto, Some(3), &file::PathFileOptions::default()).unwrap();
        (plan.kind, plan.reason.unwrap())
    };
    let (kind, reason) = of(&forward(1, 20));
    assert!(kind == PathKind::Spiral && reason.contains("same way"), "{reason}");
    let (kind, reason) = of(&around(1, 40, 360.0, PLACE));
    assert!(kind == PathKind::Orbit && reason.contains("all sides"), "{reason}");
    let (kind, reason) = of(&around(1, 20, 130.0, PLACE));
    assert!(kind == PathKind::Orbit && reason.contains("degrees"), "{reason}");
    let (kind, reason) = of(&room(1, 24));
    assert!(kind == PathKind::Interpolate && reason.contains("look out"), "{reason}");
    assert_eq!(of(&walk(1, 20)).0, PathKind::Interpolate);
}
