//! Random worlds: an enclosure, groups of shapes at all depths, light and exposure.

mod forward;
mod lighting;
mod orbit;
mod places;
mod surfaces;

use super::album::Wardrobe;
use super::bvh::Bvh;
use super::capture::{Capture, Imperfections};
use super::palette::Palette;
use super::recipes::{Builder, KINDS};
use super::rig::{self, RigKind, look};
use super::rng::Rng;
use super::{Stage, World, WorldOptions};
use forward::forward;
use glam::{Quat, Vec3};
use lighting::lighting;
use orbit::orbit;

/// A world as `options` ask for it.
pub(in crate::procedural) fn random(options: &WorldOptions) -> World {
    let WorldOptions { seed, kind, capture, album } = *options;
    let mut rng = Rng::new(seed, 1);
    let palette = Palette::random(&mut rng);
    // Real places have more that shines, in places.
    let (often, mirrors) = if capture == Capture::Real { (0.4, 0.12) } else { (0.12, 0.3) };
    let mirrors = if rng.chance(often) { mirrors } else { 0.0 };
    // The size of a unit carries no meaning, and loaders rescale.
    let unit = rng.log_range(0.5, 3.0);
    let stage = stage(&mut rng, kind, unit);
    let eye = match kind {
        RigKind::Forward => Vec3::ZERO,
        RigKind::Orbit => -stage.world_from_rig.z_axis.truncate() * stage.distance,
    };
    let spread = 2.0 * (0.5 * stage.fov_rad).tan() / 320.0;
    let wardrobe = album.map(|album| Wardrobe::new(album, seed));
    let mut b = Builder {
        rng,
        palette,
        objects: Vec::new(),
        materials: Vec::new(),
        eye,
        spread,
        mirrors,
        taste: [1.0; KINDS],
        wardrobe,
    };
    let enclosure = match kind {
        RigKind::Forward => forward(&mut b, &stage, capture),
        RigKind::Orbit => orbit(&mut b, &stage),
    };
    let reach = match kind {
        RigKind::Forward => stage.focus * 1.5,
        RigKind::Orbit => stage.distance,
    };
    let lighting = lighting(&mut b.rng, &enclosure, reach);
    let target = b.rng.range(0.12, 0.32);
    let imperfections = (capture == Capture::Real).then(|| Imperfections::random(seed));
    let bvh = Bvh::new(b.objects);
    let mut world = World { bvh, materials: b.materials, enclosure, lighting, stage, imperfections };
    expose(&mut world, target);
    world
}

/// Sets the exposure so that the mean linear radiance is about `target`.
pub(in crate::procedural) fn expose(world: &mut World, target: f32) {
    let seen = world.brightness(&rig::middle(world, 320, 240)).max(1e-4);
    world.lighting.exposure = (target / seen).clamp(0.05, 50.0);
}

fn stage(rng: &mut Rng, kind: RigKind, unit: f32) -> Stage {
    let fov_rad = match kind {
        RigKind::Forward => rng.range(45.0f32, 75.0),
        RigKind::Orbit => rng.range(38.0, 60.0),
    }
    .to_radians();
    let elevation_rad = match kind {
        RigKind::Forward if rng.chance(0.45) => rng.range(-0.08, 0.12),
        RigKind::Forward => rng.range(0.1, 0.75),
        RigKind::Orbit => rng.range(0.15, 0.95),
    };
    let down = Quat::from_rotation_x(-elevation_rad) * Vec3::Z;
    let roll = rng.range(-0.04, 0.04);
    Stage {
        kind,
        world_from_rig: look(Vec3::ZERO, down, roll),
        centre: Vec3::ZERO,
        distance: unit * if kind == RigKind::Orbit { rng.range(2.4, 4.2) } else { 1.0 },
        focus: unit * rng.log_range(1.5, 5.0),
        fov_rad,
        elevation_rad,
        sweep_rad: rng.range(0.5, 1.7),
        spacing: None,
    }
}
