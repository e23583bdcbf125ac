//! Random worlds: an enclosure, groups of shapes at all depths, light and exposure.

use super::bvh::Bvh;
use super::palette::{Palette, srgb};
use super::recipes::{Builder, KINDS};
use super::rig::{self, RigKind, look};
use super::rng::Rng;
use super::shape::{Cutout, Shape};
use super::texture::Pattern;
use super::{Enclosure, Light, Lighting, Material, Stage, World};
use glam::{Mat4, Quat, Vec3};

/// A world of `kind` from `seed`.
pub(super) fn random(seed: u64, kind: RigKind) -> World {
    let mut rng = Rng::new(seed, 1);
    let palette = Palette::random(&mut rng);
    let mirrors = if rng.chance(0.12) { 0.3 } else { 0.0 };
    // The size of a unit carries no meaning, and loaders rescale.
    let unit = rng.log_range(0.5, 3.0);
    let stage = stage(&mut rng, kind, unit);
    let eye = match kind {
        RigKind::Forward => Vec3::ZERO,
        RigKind::Orbit => -stage.world_from_rig.z_axis.truncate() * stage.distance,
    };
    let spread = 2.0 * (0.5 * stage.fov_rad).tan() / 320.0;
    let mut b =
        Builder { rng, palette, objects: Vec::new(), materials: Vec::new(), eye, spread, mirrors, taste: [1.0; KINDS] };
    let enclosure = match kind {
        RigKind::Forward => forward(&mut b, &stage),
        RigKind::Orbit => orbit(&mut b, &stage),
    };
    let reach = match kind {
        RigKind::Forward => stage.focus * 1.5,
        RigKind::Orbit => stage.distance,
    };
    let lighting = lighting(&mut b.rng, &enclosure, reach);
    let target = b.rng.range(0.12, 0.32);
    let mut world = World { bvh: Bvh::new(b.objects), materials: b.materials, enclosure, lighting, stage };
    expose(&mut world, target);
    world
}

/// Sets the exposure so that the mean linear radiance is about `target`.
pub(super) fn expose(world: &mut World, target: f32) {
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

/// A texture of `feature` pixels on a large surface at `distance`.
fn large(b: &mut Builder, distance: f32) -> u32 {
    let pixel = distance * b.spread;
    let feature = pixel * b.rng.log_range(6.0, 120.0);
    let mut texture = if b.rng.chance(0.3) {
        // Plain walls are common, and hard: nothing to match.
        let pattern = if b.rng.chance(0.5) { Pattern::Flat } else { Pattern::Clouds { octaves: 3, gain: 0.5 } };
        let mut t = b.palette.with_pattern(&mut b.rng, pattern, feature * 2.0, pixel);
        t.grain = t.grain.min(0.08);
        t
    } else {
        b.palette.texture(&mut b.rng, feature, pixel)
    };
    // Walls and grounds are rarely as gaudy as things.
    let dull = b.rng.range(0.0, 0.8);
    for colour in &mut texture.colours {
        *colour = colour.lerp(Vec3::splat(colour.dot(Vec3::new(0.3, 0.6, 0.1))), dull);
    }
    b.finish(texture, pixel)
}

/// The painted sky of a dome.
fn sky(b: &mut Builder) -> u32 {
    let rng = &mut b.rng;
    let dusk = rng.chance(0.2);
    let zenith = if dusk { Vec3::new(0.10, 0.12, 0.25) } else { Vec3::new(0.12, 0.26, 0.6) } * rng.range(0.7, 1.5);
    let horizon = if dusk { Vec3::new(0.8, 0.45, 0.25) } else { Vec3::new(0.6, 0.68, 0.78) };
    let green = srgb(rng.pick(&[[70, 96, 50], [96, 110, 66], [120, 104, 80], [60, 76, 60], [130, 126, 120]]));
    let clouds = rng.range(0.1, 0.85);
    let pattern = Pattern::Sky { hills: rng.count(1, 4) as u32, clouds };
    let mut texture = b.palette.with_pattern(rng, pattern, 1.0, 1.0);
    texture.frequency = Vec3::ONE;
    texture.grain = 0.0;
    texture.colours = [zenith, green, green * 0.35, horizon];
    b.push(Material {
        texture,
        specular: 0.0,
        shininess: 1.0,
        mirror: 0.0,
        emissive: true,
        bump: 0.0,
        bump_frequency: 1.0,
    })
}

fn forward(b: &mut Builder, stage: &Stage) -> Enclosure {
    let near = stage.distance;
    let far = near * b.rng.log_range(2.5, 25.0);
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
        let standing = is_hero || b.rng.chance(if dense { 0.4 } else { 0.65 });
        if standing && at.y > 0.0 {
            let t = (floor - 0.8 * r) / at.y;
            if t > 0.2 && t < 4.0 && at.z * t < far {
                at *= t;
                r = (r * t.min(1.5)).min(floor);
                at.y = floor - 0.8 * r;
            }
        }
        at.y = at.y.min(floor - 0.75 * r);
        r = room_for(&enclosure, at, r);
        let depth = stage.world_from_rig.inverse().transform_point3(at).z;
        if r > 0.01 * near && depth - r > 0.95 * near {
            b.group(at, r, standing);
        }
    }
    enclosure
}

/// Half fields of view of a 4:3 picture, horizontally and vertically.
fn half_angles(stage: &Stage) -> (f32, f32) {
    let half = 0.5 * stage.fov_rad;
    (half, (half.tan() * 0.75).atan())
}

/// The largest part of `r` that fits at `at`.
fn room_for(enclosure: &Enclosure, at: Vec3, r: f32) -> f32 {
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

fn orbit(b: &mut Builder, stage: &Stage) -> Enclosure {
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

fn lighting(rng: &mut Rng, enclosure: &Enclosure, reach: f32) -> Lighting {
    let warm = |rng: &mut Rng, amount: f32| {
        let t = rng.range(-amount, amount);
        Vec3::new(1.0 + t, 1.0, 1.0 - t)
    };
    let from_above = |rng: &mut Rng| {
        let d = rng.direction();
        Vec3::new(d.x, -d.y.abs() - 0.25, d.z - 0.4).normalize_or(Vec3::NEG_Y)
    };
    let near = match enclosure {
        Enclosure::Room { .. } => rng.chance(0.6),
        Enclosure::Dome { .. } => rng.chance(0.1),
    };
    let towards = from_above(rng);
    let key = match enclosure {
        Enclosure::Room { min, max, .. } if near => {
            let share = Vec3::new(rng.range(0.15, 0.85), rng.range(0.05, 0.25), rng.range(0.1, 0.8));
            Light::Near { at: *min + (*max - *min) * share, reach }
        }
        _ => Light::Distant { towards },
    };
    let overcast = rng.unit();
    let ambient = 0.25 + 0.55 * overcast;
    Lighting {
        key,
        key_colour: warm(rng, 0.15) * rng.range(0.6, 1.6),
        key_size: rng.log_range(0.004, 0.08),
        fill: Mat4::from_rotation_y(rng.range(-2.0, 2.0)).transform_vector3(towards),
        fill_colour: warm(rng, 0.2) * rng.range(0.0, 0.35),
        above: warm(rng, 0.12) * ambient,
        below: warm(rng, 0.15) * ambient * rng.range(0.3, 0.8),
        exposure: 1.0,
    }
}
