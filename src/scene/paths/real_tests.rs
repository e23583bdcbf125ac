//! The paths of the real captures, where they are at hand.

use super::*;
use crate::LoadOptions;
use glam::{DVec3, Vec3};

const SCENES: [&str; 10] = [
    "llff/fern",
    "llff/flower",
    "llff/fortress",
    "llff/horns",
    "llff/iconic_apples",
    "llff/iconic_piano",
    "llff/pinecone",
    "llff/room",
    "nerfstudio/fox",
    "blender/lego",
];

#[test]
#[ignore = "needs SHIFTRAY_SCENES"]
fn tmp_sources() {
    for name in SCENES {
        let scene = crate::formats::load(&crate::locate(name, &[]).unwrap(), &LoadOptions::default()).unwrap();
        for frame in frames(&scene, &PathKind::Test, None).unwrap() {
            let candidates = source_candidates(&scene, &frame);
            let new = crate::nearest_sources(&scene, &frame.camera, &candidates, 10).unwrap();
            let target = frame.camera.origin().as_dvec3();
            let mut old = candidates.clone();
            let key = |id: usize| {
                let c: DVec3 = scene.views[id].camera.origin().as_dvec3();
                match scene.order {
                    crate::SourceOrder::Distance => c.distance(target),
                    _ => c.normalize().dot(target.normalize()).clamp(-1.0, 1.0).acos(),
                }
            };
            old.sort_by(|a, b| key(*a).total_cmp(&key(*b)));
            old.truncate(10);
            let probe = crate::coverage::Probe::new(&frame.camera, [scene.near, scene.far]);
            let overlaps: Vec<f32> = old.iter().map(|id| probe.overlap(&scene.views[*id].camera)).collect();
            let cov = probe.coverage(new.iter().map(|id| &scene.views[*id].camera));
            println!("{name} {} min overlap {:.2} cov {:.2} {:.2} {}", frame.name, overlaps.iter().copied().fold(9.0, f32::min), cov.one, cov.two,
                if old == new { String::new() } else { format!("CHANGED {old:?} {new:?}") });
        }
    }
}

#[test]
#[ignore = "needs SHIFTRAY_SCENES"]
fn tmp_paths() {
    for name in SCENES {
        let scene = crate::formats::load(&crate::locate(name, &[]).unwrap(), &LoadOptions::default()).unwrap();
        let capture = Capture::of(&scene).unwrap();
        let plan = plan(&scene, &PathKind::Auto, None, &json::Options::default()).unwrap();
        println!("{name} {:?} members {}/{} extent {:.2} near {:.2} far {:.2} {:?} {:?}", capture.kind, capture.poses.len(), scene.views.len(), capture.extent, scene.near, scene.far, plan.kind, plan.reason);
        let at: Vec<Vec3> = plan.frames.iter().map(|f| f.camera.origin()).collect();
        let steps: Vec<f32> = (0..at.len()).map(|i| at[i].distance(at[(i + 1) % at.len()])).collect();
        let nearest = at.iter().map(|p| scene.views.iter().map(|v| v.camera.origin().distance(*p)).fold(9e9, f32::min));
        let spacing: Vec<f64> = scene.views.iter().enumerate().map(|(i, v)| scene.views.iter().enumerate().filter(|(j, _)| *j != i).map(|(_, w)| f64::from(w.camera.origin().distance(v.camera.origin()))).fold(9e9, f64::min)).collect();
        println!("   steps {:.4}..{:.4} nearest photo max {:.3} photo spacing med {:.3}", steps.iter().copied().fold(9.0, f32::min), steps.iter().copied().fold(0.0, f32::max), nearest.fold(0.0, f32::max), crate::capture::median(spacing));
        let mut worst: f32 = 2.0;
        for frame in &plan.frames {
            let candidates = source_candidates(&scene, frame);
            let new = crate::nearest_sources(&scene, &frame.camera, &candidates, 10).unwrap();
            let probe = crate::coverage::Probe::new(&frame.camera, [scene.near, scene.far]);
            worst = worst.min(probe.coverage(new.iter().map(|id| &scene.views[*id].camera)).two);
        }
        println!("   worst coverage {worst:.3}");
        for other in [PathKind::Spiral, PathKind::Orbit, PathKind::Interpolate] {
            match frames(&scene, &other, None) {
                Err(e) => println!("   {other:?}: {e}"),
                Ok(f) => {
                    let at: Vec<Vec3> = f.iter().map(|f| f.camera.origin()).collect();
                    let steps: Vec<f32> = at.windows(2).map(|p| p[0].distance(p[1])).collect();
                    println!("   {other:?} steps {:.4}..{:.4}", steps.iter().copied().fold(9.0, f32::min), steps.iter().copied().fold(0.0, f32::max));
                }
            }
        }
    }
}
