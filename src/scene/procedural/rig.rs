//! Where cameras stand in a world.

use super::World;
use super::rng::Rng;
use crate::Camera;
use glam::{Mat4, Quat, Vec2, Vec3};

/// Kinds of capture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RigKind {
    /// Hand-held views side by side that all face forward, as in LLFF.
    Forward,
    /// Views on part of a ring or dome that look at its centre.
    Orbit,
}

/// A set of views to render.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rig {
    /// Image width in pixels.
    pub width: u32,
    /// Image height in pixels.
    pub height: u32,
    /// Number of views.
    pub views: usize,
    /// Kind of capture; worlds are composed for one kind.
    pub kind: RigKind,
    /// Rays per pixel, for smooth edges.
    pub samples_per_pixel: u32,
}

/// Forward rigs reach at most this share of the nearest content's distance from their middle, so that no camera comes
/// near a surface.
pub(super) const REACH: f32 = 0.45;

/// The cameras of `rig` in `world`, differing by `seed`. They follow the kind that the world was composed for, with
/// pixels that are square and the principal point in the middle of the image.
pub fn cameras(world: &World, rig: &Rig, seed: u64) -> Vec<Camera> {
    let mut rng = Rng::new(seed, 2);
    let poses = match world.stage.kind {
        RigKind::Forward => forward(world, rig, &mut rng),
        RigKind::Orbit => orbit(world, rig.views, &mut rng),
    };
    poses.into_iter().map(|pose| camera(world, rig.width, rig.height, pose)).collect()
}

/// The camera in the middle of the rig.
pub(super) fn middle(world: &World, width: u32, height: u32) -> Camera {
    let stage = &world.stage;
    let pose = match stage.kind {
        RigKind::Forward => stage.world_from_rig,
        RigKind::Orbit => look(stage.centre + on_sphere(0.0, stage.elevation_rad) * stage.distance, stage.centre, 0.0),
    };
    camera(world, width, height, pose)
}

fn camera(world: &World, width: u32, height: u32, world_from_camera: Mat4) -> Camera {
    let focal = 0.5 * width as f32 / (0.5 * world.stage.fov_rad).tan();
    Camera { width, height, focal: Vec2::splat(focal), center: crate::middle(width, height), world_from_camera }
}

/// Direction from the centre; azimuth 0 is towards -z, elevations are towards -y (up).
fn on_sphere(azimuth: f32, elevation: f32) -> Vec3 {
    Vec3::new(azimuth.sin() * elevation.cos(), -elevation.sin(), -azimuth.cos() * elevation.cos())
}

/// Pose at `from` looking at `at`, turned by `roll` about the optical axis.
pub(super) fn look(from: Vec3, at: Vec3, roll: f32) -> Mat4 {
    let forward = (at - from).normalize_or(Vec3::Z);
    let hint = if forward.y.abs() > 0.999 { Vec3::Z } else { Vec3::Y };
    let hint = Quat::from_axis_angle(forward, roll) * hint;
    let right = hint.cross(forward).normalize();
    let down = forward.cross(right);
    Mat4::from_cols(right.extend(0.0), down.extend(0.0), forward.extend(0.0), from.extend(1.0))
}

/// Positions in units of the spacing between neighbours, about (0, 0).
fn layout(count: usize, rng: &mut Rng) -> Vec<Vec3> {
    let jitter = rng.range(0.02, 0.3);
    let depth_jitter = rng.range(0.02, 0.25);
    let style = rng.unit();
    let mut spots: Vec<Vec2> = if style < 0.5 {
        let aspect = rng.pick(&[1.0f32, 1.0, 1.4, 2.2]);
        let columns = ((count as f32 * aspect).sqrt().ceil() as usize).clamp(1, count.max(1));
        (0..count)
            .map(|i| {
                let row = i / columns;
                // Serpentine, as a hand moves.
                let column = if row.is_multiple_of(2) { i % columns } else { columns - 1 - i % columns };
                Vec2::new(column as f32, row as f32)
            })
            .collect()
    } else if style < 0.85 {
        // Scattered, but no two close together: the best of some candidates.
        let extent = (count as f32).sqrt();
        let mut spots: Vec<Vec2> = Vec::with_capacity(count);
        for _ in 0..count {
            let candidates: [Vec2; 8] = std::array::from_fn(|_| Vec2::new(rng.unit(), rng.unit()) * extent);
            let room = |c: &Vec2| spots.iter().map(|s| s.distance(*c)).fold(f32::MAX, f32::min);
            let best = candidates.into_iter().max_by(|a, b| room(a).total_cmp(&room(b)));
            spots.extend(best);
        }
        spots
    } else {
        let (bend, tilt) = (rng.range(-0.06, 0.06), rng.range(-0.3, 0.3));
        let half = count as f32 / 2.0;
        (0..count).map(|i| i as f32 - half).map(|x| Vec2::new(x, bend * x * x + tilt * x)).collect()
    };
    for spot in &mut spots {
        *spot += Vec2::new(rng.range(-1.0, 1.0), rng.range(-1.0, 1.0)) * jitter;
    }
    let mean = spots.iter().sum::<Vec2>() / count.max(1) as f32;
    spots.into_iter().map(|s| (s - mean).extend(rng.range(-1.0, 1.0) * depth_jitter)).collect()
}

fn forward(world: &World, rig: &Rig, rng: &mut Rng) -> Vec<Mat4> {
    let stage = &world.stage;
    let spots = layout(rig.views, rng);
    // Disparity of the nearest content between neighbours, as a share of the width: 4 to 50 pixels of 320, or 14 to 75 of
    // 504, as in the scenes of LLFF.
    let disparity = match world.imperfections {
        None => rng.log_range(4.0, 50.0) / 320.0,
        Some(_) => rng.log_range(14.0, 75.0) / 504.0,
    };
    let spacing = stage.spacing.unwrap_or(disparity * 2.0 * (0.5 * stage.fov_rad).tan());
    let widest = spots.iter().map(|s| s.length()).fold(1e-3, f32::max);
    let unit = stage.distance * spacing.min(REACH / widest);
    let converge = if rng.chance(0.4) { 0.0 } else { rng.unit() };
    let wobble = rng.range(0.0, 0.04);
    let roll = rng.range(0.0, 0.03);
    spots
        .into_iter()
        .map(|spot| {
            let from = spot * unit;
            let straight = from + Vec3::Z * stage.focus;
            let aim = straight.lerp(Vec3::Z * stage.focus, converge);
            let aim = aim + Vec3::new(rng.range(-1.0, 1.0), rng.range(-1.0, 1.0), 0.0) * wobble * stage.focus;
            stage.world_from_rig * look(from, aim, rng.range(-1.0, 1.0) * roll)
        })
        .collect()
}

fn orbit(world: &World, count: usize, rng: &mut Rng) -> Vec<Mat4> {
    let stage = &world.stage;
    let ring = rng.chance(0.5);
    let band = if ring { rng.range(0.0, 0.08) } else { rng.range(0.1, 0.3) };
    let start = rng.range(-0.2, 0.2);
    (0..count)
        .map(|i| {
            // Evenly spread with jitter; elevations follow a golden-ratio sequence, so that they fill the band.
            let along = (i as f32 + 0.5 + rng.range(-0.25, 0.25)) / count as f32;
            let up = (i as f32 * 0.618_034).fract() * 2.0 - 1.0;
            let azimuth = start + (2.0 * along - 1.0) * stage.sweep_rad;
            let elevation = (stage.elevation_rad + up * band).clamp(0.06, 1.35);
            let distance = stage.distance * rng.range(0.95, 1.08);
            let aim = stage.centre + rng.direction() * 0.03 * stage.distance;
            look(stage.centre + on_sphere(azimuth, elevation) * distance, aim, rng.range(-0.02, 0.02))
        })
        .collect()
}
