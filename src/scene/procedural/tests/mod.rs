//! Random worlds and their cameras.

mod album;
mod layouts;
mod llff;
mod tracer;

use super::llff::bounds;
use super::*;
use crate::Camera;
use glam::Vec2;

fn rig(kind: RigKind, views: usize) -> Rig {
    Rig { width: 97, height: 71, views, kind, samples_per_pixel: 3 }
}

#[test]
fn one_seed_gives_one_world() {
    for kind in [RigKind::Forward, RigKind::Orbit] {
        let views: Vec<_> = [7, 7, 8]
            .map(|seed| {
                let world = World::random(seed, kind);
                let camera = cameras(&world, &rig(kind, 3), seed)[1];
                (camera, render_with_threads(&world, &camera, 2, 1 + seed as usize % 3))
            })
            .into();
        assert_eq!(views[0], views[1]);
        assert_ne!(views[0].1.0, views[2].1.0);
    }
}

/// Content keeps the distance that baselines were chosen for.
#[test]
fn cameras_keep_away_from_surfaces() {
    for seed in 0..40 {
        let world = World::random(seed, RigKind::Forward);
        for camera in cameras(&world, &rig(RigKind::Forward, 12), seed) {
            let (_, depth) = render(&world, &camera.resized(33, 25), 1);
            let nearest = depth.into_iter().fold(f32::MAX, f32::min);
            assert!(nearest > 0.3 * world.stage.distance, "seed {seed}: {nearest} of {}", world.stage.distance);
        }
    }
}

#[test]
fn real_captures_keep_away_from_surfaces() {
    let (mut close, mut views) = (0, 0);
    for seed in 0..40 {
        let world = World::compose(&WorldOptions { seed, kind: RigKind::Forward, capture: Capture::Real, album: None });
        for camera in cameras(&world, &rig(RigKind::Forward, 12), seed) {
            let (_, depth) = render(&world, &camera.resized(33, 25), 1);
            let nearest = depth.into_iter().fold(f32::MAX, f32::min);
            assert!(nearest > 0.2 * world.stage.distance, "seed {seed}: {nearest} of {}", world.stage.distance);
            (close, views) = (close + u32::from(nearest < 0.5 * world.stage.distance), views + 1);
        }
    }
    assert!(close * 20 < views, "{close} of {views} views have something closer than half of what they should");
}

/// Where a pixel of one view lands in another, and the depth it should have there.
fn transfer(from: &Camera, depth: f32, pixel: Vec2, to: &Camera) -> Option<(Vec2, f32)> {
    let ray = from.ray(pixel);
    let p = to.pixel_from_world().transform_point3(ray.origin + ray.direction * depth);
    let z = p.z;
    (z > 0.0).then_some((Vec2::new(p.x, p.y) / z, z))
}

/// The surface that one view sees lies at the depth that another view measures there, unless something is in front of
/// it; then it must be nearer. The ray is traced through the exact place, so that no interpolation blurs the answer.
#[test]
fn views_agree_on_geometry_and_colour() {
    let (mut seen, mut consistent, mut behind, mut close_colour) = (0u32, 0u32, 0u32, 0u32);
    for seed in 0..16 {
        let kind = if seed % 4 == 3 { RigKind::Orbit } else { RigKind::Forward };
        let world = World::random(seed, kind);
        let views = cameras(&world, &rig(kind, 2), seed);
        let (image, depth) = render(&world, &views[0], 4);
        let (other, _) = render(&world, &views[1], 4);
        for y in (0..71).step_by(2) {
            for x in (0..97).step_by(2) {
                let pixel = Vec2::new(x as f32, y as f32);
                let Some((at, z)) = transfer(&views[0], depth[y * 97 + x], pixel, &views[1]) else { continue };
                let (u, v) = (at.x.round(), at.y.round());
                if !(0.0..97.0).contains(&u) || !(0.0..71.0).contains(&v) {
                    continue;
                }
                seen += 1;
                let ray = views[1].ray(at);
                let measured = world.distance(ray.origin, ray.direction);
                if (measured - z).abs() < 2e-3 * z {
                    consistent += 1;
                    let (a, b) = (image.pixel(x as u32, y as u32), other.pixel(u as u32, v as u32));
                    let off = a.iter().zip(b).map(|(a, b)| (a - b).abs()).sum::<f32>() / 3.0;
                    close_colour += u32::from(off < 0.1);
                } else if measured > z {
                    behind += 1;
                }
            }
        }
    }
    assert!(seen > 10_000, "only {seen} pixels are seen twice");
    let share = |n: u32, of: u32| n as f32 / of as f32;
    assert!(share(consistent, seen) > 0.6, "{consistent} of {seen} pixels agree");
    // Grazing rays may slip past the rim of a shape by rounding, and solids end their march within a tolerance.
    assert!(share(behind, seen) < 0.01, "{behind} of {seen} surfaces were looked through");
    // The nearest pixel stands in for the exact place, so fine textures differ.
    assert!(share(close_colour, consistent) > 0.75, "{close_colour} of {consistent} colours agree");
}

/// Neighbours of a forward rig are as far apart as the stage asks, and never further than its reach.
#[test]
fn forward_rigs_stay_within_reach() {
    for seed in 0..20 {
        let world = World::random(seed, RigKind::Forward);
        for views in [1, 2, 12, 33] {
            let placed = cameras(&world, &rig(RigKind::Forward, views), seed);
            assert_eq!(placed.len(), views);
            for camera in &placed {
                assert!(camera.origin().length() <= rig::REACH * world.stage.distance * 1.001);
            }
        }
    }
}

#[test]
fn the_showcase_is_full_of_shapes() {
    let world = World::showcase();
    assert!(world.num_objects() > 100);
    let camera = cameras(&world, &rig(RigKind::Forward, 1), 0)[0];
    let (_, depth) = render(&world, &camera, 1);
    let (near, far) = bounds(depth);
    assert!(far / near > 2.0, "{near} to {far}");
}
