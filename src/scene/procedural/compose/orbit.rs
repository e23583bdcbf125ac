//! Worlds for cameras around a place: things in the middle, and others behind the cameras.

use super::surfaces::{large, sky};
use crate::procedural::recipes::Builder;
use crate::procedural::{Enclosure, Stage};
use glam::Vec3;

pub(super) fn orbit(b: &mut Builder, stage: &Stage) -> Enclosure {
    let distance = stage.distance;
    // Content stays within this radius, and the ground at its foot.
    let radius = distance * b.rng.range(0.3, 0.42);
    let ground = radius * b.rng.range(0.4, 0.8);
    let far = distance * b.rng.log_range(1.5, 6.0);
    let enclosure = if b.rng.chance(0.5) {
        let side = 1.25 * distance + far * 0.6;
        let max = Vec3::new(side, ground, side);
        let min = Vec3::new(-side, -(1.3 * distance + 0.3 * far), -side);
        let materials = std::array::from_fn(|i| large(b, if i == 3 { distance } else { side + distance }));
        Enclosure::Room { min, max, materials }
    } else {
        let ground_material = large(b, distance);
        Enclosure::Dome { radius: 1.5 * distance + far, sky: sky(b), ground, ground_material }
    };
    b.shuffle_taste();
    for i in 0..b.rng.count(4, 16) {
        let r = radius * if i == 0 { b.rng.range(0.4, 0.75) } else { b.rng.log_range(0.12, 0.45) };
        let angle = b.rng.range(0.0, std::f32::consts::TAU);
        let out = (radius - r) * b.rng.unit().sqrt();
        let standing = b.rng.chance(0.75);
        let y = if standing { ground - 0.8 * r } else { b.rng.range(-0.6 * radius, ground - r) };
        b.group(Vec3::new(out * angle.cos(), y, out * angle.sin()), r, standing);
    }
    // Things behind, beyond the reach of the cameras.
    for _ in 0..b.rng.count(0, 12) {
        let angle = b.rng.range(0.0, std::f32::consts::TAU);
        let r = distance * b.rng.range(0.06, 0.22);
        let out = distance * b.rng.range(1.15, 1.4) + 2.0 * r;
        b.group(Vec3::new(out * angle.cos(), ground - 0.8 * r, out * angle.sin()), r, true);
    }
    enclosure
}
