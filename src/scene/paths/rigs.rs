//! Captures for tests: cameras as people take them, from a seed.

use crate::pose::{flip_axes, look_along};
use crate::{Camera, Scene, Similarity, testing};
use glam::{DMat3, DMat4, DVec3, Mat4, Vec3};

/// Numbers from -1 to 1 that look random.
pub(crate) struct Noise(u64);

impl Noise {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ 0x1234_5678)
    }

    pub fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as f64 / (1u64 << 30) as f64 - 1.0
    }

    pub fn point(&mut self) -> DVec3 {
        DVec3::new(self.next(), self.next(), self.next())
    }
}

/// A camera at `center` that looks at `place`, with z up.
pub(crate) fn looking_at(place: DVec3, center: DVec3) -> Camera {
    let pose = look_along(center - place, DVec3::Z, center).unwrap();
    Camera { world_from_camera: flip_axes(pose).as_mat4(), ..testing::camera(Vec3::ZERO) }
}

/// Photographs in front of a wall, by an unsteady hand.
pub(crate) fn forward(seed: u64, count: usize) -> Scene {
    let mut noise = Noise::new(seed);
    let camera = |_| {
        let center = noise.point() * DVec3::new(0.5, 0.05, 0.25);
        looking_at(center + DVec3::new(0.0, 10.0, 0.0) + noise.point() * 0.5, center)
    };
    testing::scene_of((0..count).map(camera).collect())
}

/// Photographs around a thing at `place`, over `degrees` of the way round.
pub(crate) fn around(seed: u64, count: usize, degrees: f64, place: DVec3) -> Scene {
    let mut noise = Noise::new(seed);
    let camera = |i: usize| {
        let azimuth = (degrees * (i as f64 + 0.3 * noise.next()) / count as f64).to_radians();
        let elevation = 0.4 + 0.05 * noise.next();
        let radius = 4.0 + 0.2 * noise.next();
        let (level, up) = (radius * elevation.cos(), radius * elevation.sin());
        let offset = DVec3::new(level * azimuth.cos(), level * azimuth.sin(), up);
        looking_at(place + noise.point() * 0.05, place + offset)
    };
    testing::scene_of((0..count).map(camera).collect())
}

/// Photographs along a way, looking ahead and a little aside.
pub(crate) fn walk(seed: u64, count: usize) -> Scene {
    let mut noise = Noise::new(seed);
    let camera = |i: usize| {
        let along = i as f64 + 0.2 * noise.next();
        let center = DVec3::new(along, 0.05 * along * along, 0.1 * noise.next());
        looking_at(center + DVec3::new(5.0, 0.5 * along, 0.0) + noise.point(), center)
    };
    testing::scene_of((0..count).map(camera).collect())
}

/// Photographs from the middle of a room to all sides.
pub(crate) fn room(seed: u64, count: usize) -> Scene {
    let mut noise = Noise::new(seed);
    let camera = |i: usize| {
        let azimuth = std::f64::consts::TAU * (i as f64 + 0.3 * noise.next()) / count as f64;
        let out = DVec3::new(azimuth.cos(), azimuth.sin(), 0.1 * noise.next());
        looking_at(out * 5.0, out * (0.8 + 0.1 * noise.next()))
    };
    testing::scene_of((0..count).map(camera).collect())
}

/// The scene in another world.
pub(crate) fn moved(scene: &Scene, by: &Similarity) -> Scene {
    let mut scene = scene.clone();
    for view in &mut scene.views {
        view.camera.world_from_camera = moved_pose(view.camera.world_from_camera, by);
    }
    scene.near *= by.scale as f32;
    scene.far *= by.scale as f32;
    scene
}

pub(crate) fn moved_pose(pose: Mat4, by: &Similarity) -> Mat4 {
    by.pose(pose.as_dmat4()).as_mat4()
}

/// Another world: turned, scaled and moved.
pub(crate) fn other_world(seed: u64) -> Similarity {
    let mut noise = Noise::new(seed + 1000);
    let turn = DMat4::from_axis_angle((noise.point() + DVec3::splat(1e-3)).normalize(), 3.0 * noise.next());
    Similarity { rotation: DMat3::from_mat4(turn), scale: (1.5 * noise.next()).exp(), translation: noise.point() * 5.0 }
}

/// The scene's views in another order.
pub(crate) fn shuffled(scene: &Scene, seed: u64) -> Scene {
    let mut noise = Noise::new(seed + 2000);
    let mut scene = scene.clone();
    let mut keys: Vec<(f64, _)> = scene.views.into_iter().map(|view| (noise.next(), view)).collect();
    keys.sort_by(|a, b| a.0.total_cmp(&b.0));
    scene.views = keys.into_iter().map(|(_, view)| view).collect();
    scene
}
