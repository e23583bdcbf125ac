//! The real captures, where they are at hand.

use super::*;
use crate::coverage::Probe;
use crate::{LoadOptions, SourceOrder, nearest_sources};
use glam::Vec3;

const SCENES: [(&str, PathKind); 10] = [
    ("llff/fern", PathKind::Spiral),
    ("llff/flower", PathKind::Spiral),
    ("llff/fortress", PathKind::Spiral),
    ("llff/horns", PathKind::Spiral),
    ("llff/iconic_apples", PathKind::Spiral),
    ("llff/iconic_piano", PathKind::Spiral),
    ("llff/pinecone", PathKind::Orbit),
    ("llff/room", PathKind::Spiral),
    ("nerfstudio/fox", PathKind::Orbit),
    ("blender/lego", PathKind::Orbit),
];

fn load(name: &str) -> Scene {
    crate::formats::load(&crate::locate(name, &[]).unwrap(), &LoadOptions::default()).unwrap()
}

/// Where all photographs see the thing, its sources are the nearest ones, as they always were.
#[test]
#[ignore = "needs SHIFTRAY_SCENES"]
fn sources_of_real_captures_are_the_nearest() {
    for (name, _) in SCENES {
        let scene = load(name);
        for frame in frames(&scene, &PathKind::Test, None).unwrap() {
            let candidates = source_candidates(&scene, &frame);
            let target = frame.camera.origin().as_dvec3();
            let far = |id: usize| {
                let center = scene.views[id].camera.origin().as_dvec3();
                match scene.order {
                    SourceOrder::Distance => center.distance(target),
                    // The lego stands at the origin.
                    SourceOrder::Direction => center.angle_between(target),
                }
            };
            let mut nearest = candidates.clone();
            nearest.sort_by(|a, b| far(*a).total_cmp(&far(*b)));
            nearest.truncate(10);
            assert_eq!(
                nearest_sources(&scene, &frame.camera, &candidates, 10).unwrap(),
                nearest,
                "{name} {}",
                frame.name
            );
        }
    }
}

#[test]
#[ignore = "needs SHIFTRAY_SCENES"]
fn default_paths_of_real_captures_stay_where_photographs_are() {
    for (name, expected) in SCENES {
        let scene = load(name);
        let capture = Capture::of(&scene).unwrap();
        let plan = plan(&scene, &PathKind::Auto, None, &file::PathFileOptions::default()).unwrap();
        assert_eq!(plan.kind, expected, "{name}");
        let at: Vec<Vec3> = plan.frames.iter().map(|frame| frame.camera.origin()).collect();
        let steps: Vec<f32> = (0..at.len()).map(|i| at[i].distance(at[(i + 1) % at.len()])).collect();
        assert!(steps.iter().all(|step| (step / steps[0] - 1.0).abs() < 0.03), "{name}: {steps:?}");
        for frame in &plan.frames {
            let candidates = source_candidates(&scene, frame);
            let sources = nearest_sources(&scene, &frame.camera, &candidates, 10).unwrap();
            let cameras = sources.iter().map(|id| &scene.views[*id].camera);
            let coverage = Probe::new(&frame.camera, [scene.near, scene.far]).coverage(cameras);
            assert!(coverage.two > 0.9, "{name} {}: {coverage:?}", frame.name);
            let nearest = scene.views.iter().map(|v| v.camera.origin().distance(frame.camera.origin()));
            let nearest = nearest.fold(f32::MAX, f32::min) / capture.extent as f32;
            assert!(nearest < 0.15, "{name} {}: {nearest}", frame.name);
            let roll = frame.camera.world_from_camera.x_axis.truncate().as_dvec3().dot(capture.up).abs();
            assert!(roll < 1e-4, "{name} {}: {roll}", frame.name);
        }
    }
}
