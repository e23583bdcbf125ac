//! Additions that make a forward world like the places that people take pictures of: a subject close to the cameras, dense
//! growth, fences, and walls with posters and windows.

use super::forward::{half_angles, room_for};
use crate::procedural::recipes::Builder;
use crate::procedural::{Enclosure, Stage};
use glam::{Quat, Vec3};
use std::f32::consts::FRAC_PI_2;

/// Adds to a world whose enclosure stands. `far` is the depth of its far end, `floor` the height of its floor.
pub(super) fn furnish(b: &mut Builder, stage: &Stage, enclosure: &Enclosure, far: f32, floor: f32) {
    if let Enclosure::Room { min, max, .. } = enclosure {
        walls(b, *min, *max);
    }
    if b.rng.chance(0.75) {
        subject(b, stage, enclosure, far, floor);
    }
    let near = stage.distance;
    if b.rng.chance(0.35) {
        // A hedge or a bed of flowers across a part of the picture.
        let (half_x, half_y) = half_angles(stage);
        let z = near * (far / near).powf(b.rng.range(0.25, 0.9));
        let (x, y) = (b.rng.range(-0.8, 0.8) * half_x.tan(), b.rng.range(-0.6, 0.6) * half_y.tan());
        let mut at = stage.world_from_rig.transform_point3(Vec3::new(x, y, 1.0) * z);
        let half = Vec3::new(b.rng.range(0.1, 0.5), b.rng.range(0.1, 0.3), b.rng.range(0.05, 0.15)) * z;
        let half = half.min(Vec3::splat(0.45 * (z - 0.9 * near)).max(Vec3::splat(0.02 * near)));
        at.y = at.y.min(floor - 0.9 * half.y);
        let half = half.min(Vec3::splat(room_for(enclosure, at, half.max_element()).max(0.0)));
        if half.min_element() > 0.01 * near {
            let leaves = b.rng.count(150, 700);
            b.thicket(at, half, leaves);
        }
    }
    if b.rng.chance(0.3) {
        let (half_x, _) = half_angles(stage);
        for _ in 0..b.rng.count(1, 3) {
            let z = near * (far / near).powf(b.rng.range(0.25, 0.7));
            let x = b.rng.range(-0.8, 0.8) * half_x.tan();
            let at = stage.world_from_rig.transform_point3(Vec3::new(x, 0.0, 1.0) * z);
            let r = (z * b.rng.range(0.1, 0.25)).min(0.8 * (z - near));
            let at = Vec3::new(at.x, floor - 0.7 * r, at.z);
            let r = room_for(enclosure, at, r);
            if r > 0.02 * near {
                b.fronds(at, r);
            }
        }
    }
    if b.rng.chance(0.25) {
        let z = near * (far / near).powf(b.rng.range(0.3, 0.8));
        let width = z * (0.5 * stage.fov_rad).tan() * b.rng.range(0.4, 1.1);
        let foot = |x: f32, z: f32| {
            let at = stage.world_from_rig.transform_point3(Vec3::new(x, 0.0, z));
            Vec3::new(at.x, floor, at.z)
        };
        let (from, to) = (foot(-width, z * b.rng.range(0.85, 1.15)), foot(width, z * b.rng.range(0.85, 1.15)));
        let high = (z * b.rng.range(0.06, 0.2)).min(0.9 * floor);
        b.fence(from, to, high);
    }
}

/// What the pictures are of: large, near the middle, well before what is behind it.
fn subject(b: &mut Builder, stage: &Stage, enclosure: &Enclosure, far: f32, floor: f32) {
    let near = stage.distance;
    let (half_x, half_y) = half_angles(stage);
    let z = (near * b.rng.range(1.25, 2.0)).min(0.7 * far);
    let mut r = (z * b.rng.range(0.18, 0.38)).min(z - near);
    let (x, y) = (b.rng.range(-0.35, 0.35) * half_x.tan(), b.rng.range(-0.3, 0.4) * half_y.tan());
    let mut at = stage.world_from_rig.transform_point3(Vec3::new(x, y, 1.0) * z);
    at.y = at.y.min(floor - 0.8 * r);
    r = room_for(enclosure, at, r);
    let depth = stage.world_from_rig.inverse().transform_point3(at).z;
    if r < 0.03 * near || depth - r < 0.95 * near {
        return;
    }
    match b.rng.count(0, 12) {
        10..=12 => b.fronds(at, r),
        0..=1 => {
            let leaves = b.rng.count(80, 350);
            b.thicket(at, Vec3::splat(0.75 * r), leaves);
        }
        2..=3 => (0..b.rng.count(1, 3)).for_each(|_| b.plant(at, r)),
        4 => b.foliage(at, r),
        5 => b.horns(at, r),
        6 => b.table(at, r),
        7 => b.stack(at, r),
        8 => b.solid(at, r, true),
        _ => b.primitive(at, r, true),
    }
    // On something, if the floor is further down: things seldom float.
    let gap = floor - (at.y + 0.85 * r);
    if gap > 0.05 * r && b.rng.chance(0.8) {
        let material = b.surface(at, r);
        let half = Vec3::new(0.6 * r, 0.5 * gap, 0.6 * r);
        let foot = Vec3::new(at.x, floor - 0.5 * gap, at.z);
        let fits = stage.world_from_rig.inverse().transform_point3(foot - Vec3::Z * half.z - Vec3::Y * half.y).z;
        if fits > 0.95 * near {
            let turn = Quat::from_rotation_y(b.rng.range(-0.3, 0.3));
            b.add(crate::procedural::shape::Shape::Cube, foot, turn, half * 0.98, material);
        }
    }
}

/// Posters and windows on the back and side walls, mostly where cameras see them.
fn walls(b: &mut Builder, min: Vec3, max: Vec3) {
    let (width, height) = (max.x - min.x, max.y - min.y);
    let thin = 0.003 * width.min(max.z);
    let place = |b: &mut Builder| {
        let side = b.rng.pick(&[0, 0, 0, 1, 2]);
        let y = min.y + height * b.rng.range(0.25, 0.75);
        let along = b.rng.range(0.08, 0.92);
        match side {
            0 => (Vec3::new(min.x + width * along, y, max.z - 2.0 * thin), Quat::IDENTITY),
            1 => (Vec3::new(min.x + 2.0 * thin, y, max.z * along.max(0.4)), Quat::from_rotation_y(-FRAC_PI_2)),
            _ => (Vec3::new(max.x - 2.0 * thin, y, max.z * along.max(0.4)), Quat::from_rotation_y(FRAC_PI_2)),
        }
    };
    for _ in 0..b.rng.count(0, 7) {
        let (at, turn) = place(b);
        let half = Vec3::new(b.rng.log_range(0.02, 0.14) * width, b.rng.log_range(0.03, 0.16) * height, thin);
        b.poster(at, turn, half);
    }
    if b.rng.chance(0.5) {
        for _ in 0..b.rng.count(1, 4) {
            let (at, turn) = place(b);
            let half = Vec3::new(b.rng.range(0.04, 0.12) * width, b.rng.range(0.1, 0.25) * height, 1.5 * thin);
            b.window(at, turn, half);
        }
    }
}
