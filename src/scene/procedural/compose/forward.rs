//! Worlds for cameras that all face one way: a room or the open, with things at all depths.

use super::places;
use super::surfaces::{large, sky};
use crate::procedural::recipes::Builder;
use crate::procedural::shape::{Cutout, Shape};
use crate::procedural::texture::Pattern;
use crate::procedural::{Capture, Enclosure, Stage};
use glam::{Quat, Vec3};

pub(super) fn forward(b: &mut Builder, stage: &Stage, capture: Capture) -> Enclosure {
    let real = capture == Capture::Real;
    let near = stage.distance;
    let far = near * if real { b.rng.log_range(3.0, 20.0) } else { b.rng.log_range(2.5, 25.0) };
    let (half_x, half_y) = half_angles(stage);
    let pitch = stage.elevation_rad;
    // The floor must not come nearer than `near` at the lower edge of the picture, nor into the rig.
    let lowest = near * (1.1 * (pitch + half_y).sin()).max(0.6);
    let floor = lowest * b.rng.log_range(1.0, 2.5);
    let enclosure = if b.rng.chance(0.6) {
        let side = |b: &mut Builder| (b.rng.log_range(0.5, 1.6) * far * half_x.tan()).max(near);
        let max = Vec3::new(side(b), floor, far);
        let min = Vec3::new(-side(b), -(near * 0.8).max(far * b.rng.range(0.15, 0.7)), -near * 1.5);
        let materials = std::array::from_fn(|i| large(b, if i == 3 { 2.0 * floor } else { far }));
        furnish(b, min, max);
        Enclosure::Room { min, max, materials }
    } else {
        let radius = (far * b.rng.range(1.2, 3.0)).max(floor * 3.0);
        let ground_material = large(b, 3.0 * floor);
        let sky = sky(b);
        if b.rng.chance(0.6) {
            backdrop(b, far, floor);
        }
        Enclosure::Dome { radius, sky, ground: floor, ground_material }
    };
    let hero = b.rng.chance(0.5);
    // Some worlds are filled with small things, like a thicket.
    let dense = b.rng.chance(0.35);
    let groups = if dense { b.rng.count(40, 85) } else { b.rng.log_range(9.0, 46.0) as usize };
    let clutter = b.rng.chance(0.3);
    b.shuffle_taste();
    for i in 0..groups {
        let is_hero = hero && i == 0;
        let u = if clutter { b.rng.range(0.0, 0.5) } else { b.rng.range(0.05, 0.95) };
        let z = if is_hero { stage.focus.min(0.8 * far) } else { near * (far / near).powf(u) * 1.05 };
        let angular =
            if is_hero { b.rng.range(0.2, 0.36) } else { b.rng.log_range(0.06, if dense { 0.2 } else { 0.28 }) };
        let reach = if is_hero { 0.3 } else { 1.1 };
        let x = b.rng.range(-reach, reach) * half_x.tan();
        let y = b.rng.range(-reach, reach) * half_y.tan();
        let mut at = stage.world_from_rig.transform_point3(Vec3::new(x, y, 1.0) * z);
        let mut r = (angular * z).min(0.5 * (z - 0.95 * near) + 0.12 * near);
        // Down to the floor along the line of sight, where that is in reach.
        let upright = if real { 0.9 } else { 0.65 };
        let standing = is_hero || b.rng.chance(if dense { upright - 0.25 } else { upright });
        if standing && at.y > 0.0 {
            let t = (floor - 0.8 * r) / at.y;
            if t > 0.2 && t < 4.0 && at.z * t < far {
                at *= t;
                r = (r * t.min(1.5)).min(floor);
                at.y = floor - 0.8 * r;
            }
        }
        let mut stand = None;
        if real && standing && at.y < floor - 1.5 * r {
            // What is above the horizon stands on the floor as well, or on a post.
            if b.rng.chance(0.5) { at.y = floor - 0.8 * r } else { stand = Some(b.rng.range(0.02, 0.12)) }
        }
        at.y = at.y.min(floor - 0.75 * r);
        r = room_for(&enclosure, at, r);
        let depth = stage.world_from_rig.inverse().transform_point3(at).z;
        if r > 0.01 * near && depth - r > 0.95 * near {
            b.group(at, r, standing);
            if let Some(thick) = stand {
                let material = b.surface(at, thick * r);
                b.rod(Vec3::new(at.x, floor, at.z), at + Vec3::Y * 0.7 * r, thick * r, material);
            }
        }
    }
    if real {
        places::furnish(b, stage, &enclosure, far, floor);
    }
    enclosure
}

/// Half fields of view of a 4:3 picture, horizontally and vertically.
pub(super) fn half_angles(stage: &Stage) -> (f32, f32) {
    let half = 0.5 * stage.fov_rad;
    (half, (half.tan() * 0.75).atan())
}

/// The largest part of `r` that fits at `at`.
pub(super) fn room_for(enclosure: &Enclosure, at: Vec3, r: f32) -> f32 {
    match enclosure {
        Enclosure::Room { min, max, .. } => {
            let gap = (at - *min).min(*max - at);
            r.min(gap.x).min(gap.z).min(gap.y * 1.3)
        }
        Enclosure::Dome { radius, .. } => r.min(0.95 * radius - at.length()),
    }
}

/// Pictures, windows, shelves and boxes along the walls of a room.
fn furnish(b: &mut Builder, min: Vec3, max: Vec3) {
    let (width, height) = (max.x - min.x, max.y - min.y);
    for _ in 0..b.rng.count(0, 6) {
        // Wall 0 is at the back, 1 on the left, 2 on the right.
        let wall = b.rng.pick(&[0, 0, 0, 1, 2]);
        let size = Vec3::new(b.rng.range(0.05, 0.25) * width, b.rng.range(0.08, 0.3) * height, 1.0);
        let gap = 0.004 * width;
        let along = b.rng.range(0.1, 0.9);
        let y = min.y + height * b.rng.range(0.2, 0.7);
        let (at, turn) = match wall {
            0 => (Vec3::new(min.x + width * along, y, max.z - gap), Quat::IDENTITY),
            1 => (Vec3::new(min.x + gap, y, max.z * along), Quat::from_rotation_y(std::f32::consts::FRAC_PI_2)),
            _ => (Vec3::new(max.x - gap, y, max.z * along), Quat::from_rotation_y(std::f32::consts::FRAC_PI_2)),
        };
        if wall != 0 && at.z - size.x < 0.4 * max.z.min(width) {
            continue;
        }
        let material = b.surface(at, size.x);
        if b.rng.chance(0.6) {
            let depth = gap * b.rng.range(0.5, 4.0);
            b.add(Shape::Cube, at, turn, Vec3::new(size.x, size.y, depth), material);
        } else {
            b.add(Shape::Sheet(Cutout::Whole), at, turn, size, material);
        }
    }
    for _ in 0..b.rng.count(0, 4) {
        let size = Vec3::new(
            b.rng.range(0.04, 0.18) * width,
            b.rng.range(0.1, 0.35) * height,
            b.rng.range(0.03, 0.08) * max.z,
        );
        let at = Vec3::new(b.rng.range(min.x, max.x), max.y - size.y, max.z - size.z);
        let material = b.surface(at, size.x);
        b.add(Shape::Cube, at, Quat::IDENTITY, size, material);
    }
}

/// Buildings, walls or trees far away in the open.
fn backdrop(b: &mut Builder, far: f32, floor: f32) {
    for _ in 0..b.rng.count(2, 10) {
        let at = Vec3::new(b.rng.range(-0.9, 0.9) * far, 0.0, far * b.rng.range(0.7, 1.0));
        let height = far * b.rng.range(0.05, 0.35);
        if b.rng.chance(0.5) {
            let size = Vec3::new(far * b.rng.range(0.05, 0.25), height, far * b.rng.range(0.03, 0.1));
            let at = Vec3::new(at.x, floor - height, at.z);
            let pixel = b.pixel(at);
            let material = if b.rng.chance(0.5) {
                let feature = pixel * b.rng.range(6.0, 20.0);
                let texture = b.palette.with_pattern(&mut b.rng, Pattern::Windows, feature, pixel);
                b.finish(texture, pixel)
            } else {
                b.surface(at, height)
            };
            let turn = Quat::from_rotation_y(b.rng.range(-0.5, 0.5));
            b.add(Shape::Cube, at, turn, size, material);
        } else {
            let r = 0.5 * height;
            let crown = Vec3::new(at.x, floor - 1.5 * r, at.z);
            let trunk = b.surface(crown, 0.2 * r);
            b.rod(Vec3::new(at.x, floor, at.z), crown, 0.12 * r, trunk);
            b.foliage(crown, r);
        }
    }
}
