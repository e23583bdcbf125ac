//! Errors of cameras as structure from motion leaves them.

use crate::Camera;
use crate::procedural::rng::Rng;
use glam::{Mat3, Mat4, Quat, Vec2, Vec3};

/// Pixels in x and y that errors are measured at.
const GRID: (usize, usize) = (16, 12);

/// `camera` turned and moved a little, so that what it sees is off by `error` pixels as a root mean square. `depth` is that
/// of `camera`, `[height, width]`. About half of the error is a turn, half a shift, each in a random direction.
pub(super) fn perturbed(camera: &Camera, depth: &[f32], error: f32, rng: &mut Rng) -> Camera {
    let seen = places(camera, depth);
    let (turn, shift) = (rng.direction(), rng.direction());
    let mut depths: Vec<f32> = seen.iter().map(|(_, z)| *z).collect();
    depths.sort_unstable_by(f32::total_cmp);
    let middle = depths.get(depths.len() / 2).copied().unwrap_or(1.0);
    let share = rng.range(0.2, 0.8);
    // Both move what is seen by about a pixel for each unit of `size`.
    let moved = |size: f32| {
        let angle = size * share / camera.focal.x.abs();
        let step = size * (1.0 - share) * middle / camera.focal.x.abs();
        let axes = Mat3::from_mat4(camera.world_from_camera) * Mat3::from_quat(Quat::from_axis_angle(turn, angle));
        let origin = camera.origin() + shift * step;
        let pose = Mat4::from_cols(
            axes.x_axis.extend(0.0),
            axes.y_axis.extend(0.0),
            axes.z_axis.extend(0.0),
            origin.extend(1.0),
        );
        Camera { world_from_camera: pose, ..*camera }
    };
    let mut size = error;
    // Nearly linear: two corrections leave nothing.
    for _ in 0..3 {
        let found = distance(camera, &moved(size), &seen);
        size *= if found > 0.0 { (error / found).clamp(0.1, 10.0) } else { 1.0 };
    }
    moved(size)
}

/// Pixels on a grid with the depths there.
fn places(camera: &Camera, depth: &[f32]) -> Vec<(Vec2, f32)> {
    let (width, height) = (camera.width as usize, camera.height as usize);
    let at = |i: usize, count: usize, size: usize| ((2 * i + 1) * size / (2 * count)).min(size - 1);
    let pixels = (0..GRID.1).flat_map(|j| (0..GRID.0).map(move |i| (i, j)));
    pixels
        .map(|(i, j)| {
            let (x, y) = (at(i, GRID.0, width), at(j, GRID.1, height));
            (Vec2::new(x as f32, y as f32), depth[y * width + x])
        })
        .collect()
}

/// Root mean square of the distance in pixels between where two cameras see the same places.
pub(super) fn distance(camera: &Camera, other: &Camera, seen: &[(Vec2, f32)]) -> f32 {
    // In the camera's own axes, about its centre: numbers stay small, and so does their rounding.
    let turn = Mat3::from_mat4(other.world_from_camera).transpose() * Mat3::from_mat4(camera.world_from_camera);
    let shift = Mat3::from_mat4(other.world_from_camera).transpose() * (camera.origin() - other.origin());
    let sum: f32 = seen
        .iter()
        .map(|(pixel, z)| {
            let local: Vec3 = ((*pixel - camera.center) / camera.focal).extend(1.0) * *z;
            let there = turn * local + shift;
            (other.focal * there.truncate() / there.z + other.center).distance_squared(*pixel)
        })
        .sum();
    (sum / seen.len().max(1) as f32).sqrt()
}
