//! Key frames: a smooth way past a few cameras, at constant speed.

use super::interpolate::catmull_rom;
use crate::Camera;
use crate::robust::median;
use glam::{DMat3, DMat4, DQuat, DVec2, DVec3};

/// Places between two key frames at which the way is measured.
const STEPS: usize = 32;

/// A camera that the way passes, with a lens that fits any size of picture.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Key {
    /// The camera's centre.
    pub center: DVec3,
    /// World from camera: x right, y down, z forward.
    pub rotation: DQuat,
    /// Width and height of the picture that the lens is told for.
    pub size: DVec2,
    /// Focal lengths in its pixels.
    pub focal: DVec2,
    /// Principal point in its pixels, which are integers at pixel centres.
    pub principal: DVec2,
}

impl Key {
    /// Where a camera stands.
    pub fn of(camera: &Camera) -> Self {
        let pose = camera.world_from_camera.as_dmat4();
        Self {
            center: pose.w_axis.truncate(),
            rotation: DQuat::from_mat3(&DMat3::from_mat4(pose)).normalize(),
            size: DVec2::new(camera.width.into(), camera.height.into()),
            focal: camera.focal.as_dvec2(),
            principal: camera.center.as_dvec2(),
        }
    }

    /// The same lens told for a picture of another size, of the same height in the world; what is beside it is cut off.
    fn of_size(&self, size: DVec2) -> Self {
        let scale = size.y / self.size.y;
        // In pixels from the picture's corner, and from its middle across.
        let principal = (self.principal + 0.5) * scale + DVec2::new(0.5 * (size.x - self.size.x * scale), 0.0) - 0.5;
        Self { size, focal: self.focal * scale, principal, ..*self }
    }

    /// The camera of a picture of its size.
    fn camera(&self) -> Camera {
        Camera {
            width: self.size.x as u32,
            height: self.size.y as u32,
            focal: self.focal.as_vec2(),
            center: self.principal.as_vec2(),
            world_from_camera: DMat4::from_rotation_translation(self.rotation, self.center).as_mat4(),
        }
    }
}

/// `count` cameras from the first of `cameras` past all to the last, with pictures of the first one's size; where `closed`,
/// on to the first again, which is not repeated. A turn by one radian takes as long as the median of the ways between them.
pub fn cameras(cameras: &[Camera], count: usize, closed: bool) -> Vec<Camera> {
    let mut keys: Vec<Key> = cameras.iter().map(Key::of).collect();
    keys.extend(keys.first().copied().filter(|_| closed));
    let ways = keys.windows(2).map(|pair| pair[0].center.distance(pair[1].center));
    let ways: Vec<f64> = ways.filter(|way| *way > 0.0).collect();
    let unit = if ways.is_empty() { 1.0 } else { median(ways) };
    let mut places = along(&keys, count + usize::from(closed), unit);
    places.truncate(count);
    let size = keys.first().map_or(DVec2::ONE, |key| key.size);
    places.iter().map(|place| place.of_size(size).camera()).collect()
}

/// `count` places along the way, at even steps; `unit` is a length that weighs as much as a turn by one radian, or as a
/// focal length that becomes e times as long.
pub fn along(keys: &[Key], count: usize, unit: f64) -> Vec<Key> {
    let last = keys.len().saturating_sub(1);
    let samples: Vec<Key> = (0..=last * STEPS).filter_map(|i| at(keys, i as f64 / STEPS as f64)).collect();
    let step = |a: &Key, b: &Key| {
        let zoom = ((a.focal.y / a.size.y) / (b.focal.y / b.size.y)).abs().ln().abs();
        a.center.distance(b.center) + unit * (a.rotation.angle_between(b.rotation) + zoom)
    };
    let lengths: Vec<f64> = samples.windows(2).map(|pair| step(&pair[0], &pair[1])).collect();
    let total: f64 = lengths.iter().sum();
    let (mut segment, mut before) = (0, 0.0);
    let place = |i: usize| {
        let wanted = total * i as f64 / count.saturating_sub(1).max(1) as f64;
        while segment + 1 < lengths.len() && before + lengths[segment] < wanted {
            before += lengths[segment];
            segment += 1;
        }
        let length = lengths.get(segment).copied().unwrap_or(0.0);
        let part = if length > 0.0 { ((wanted - before) / length).clamp(0.0, 1.0) } else { 0.0 };
        at(keys, (segment as f64 + part) / STEPS as f64)
    };
    (0..count).filter_map(place).collect()
}

/// The place at a position, where whole numbers are key frames; none without key frames.
fn at(keys: &[Key], position: f64) -> Option<Key> {
    let last = keys.len().checked_sub(1)?;
    let from = (position.floor() as usize).min(last);
    let to = (from + 1).min(last);
    let t = (position - from as f64).clamp(0.0, 1.0);
    let four = [from.saturating_sub(1), from, to, (to + 1).min(last)].map(|i| keys[i].center);
    let (a, b) = (&keys[from], keys[to].of_size(keys[from].size));
    Some(Key {
        center: catmull_rom(four, t),
        rotation: a.rotation.slerp(b.rotation, t).normalize(),
        size: a.size,
        focal: a.focal.lerp(b.focal, t),
        principal: a.principal.lerp(b.principal, t),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;
    use glam::Vec3;

    #[test]
    fn the_way_passes_all_at_even_steps() {
        let places = [Vec3::ZERO, Vec3::X, Vec3::new(4.0, 0.0, 0.0), Vec3::new(5.0, 0.0, 0.0)];
        let given = places.map(testing::camera);
        let found = cameras(&given, 11, false);
        assert_eq!(found.len(), 11);
        for (i, camera) in found.iter().enumerate() {
            assert!((camera.origin().x - 0.5 * i as f32).abs() < 0.06, "{i}: {}", camera.origin());
            assert_eq!((camera.width, camera.height), (given[0].width, given[0].height));
        }
        // One key frame is a camera that rests, and none is no camera.
        assert_eq!(cameras(&given[..1], 3, false), vec![cameras(&given[..1], 1, true)[0]; 3]);
        assert!(cameras(&[], 3, true).is_empty());
    }

    /// On the spot, the camera turns and zooms at even steps; a closed way does not rest at its first camera.
    #[test]
    fn turns_and_zooms_take_time_too() {
        let camera = testing::camera(Vec3::ZERO);
        let turned = |angle: f32| Camera { world_from_camera: glam::Mat4::from_rotation_y(angle), ..camera };
        let turns = cameras(&[turned(0.0), turned(0.3), turned(1.0)], 11, false);
        for (i, found) in turns.iter().enumerate() {
            let forward = turned(0.1 * i as f32).forward();
            assert!(found.forward().distance(forward) < 0.01, "{i}");
        }
        let zoomed = Camera { focal: camera.focal * 4.0, ..camera };
        let zooms = cameras(&[camera, zoomed], 3, false);
        let middle = zooms[1].focal.y / camera.focal.y;
        assert!((1.9..2.1).contains(&middle), "{middle}");
        let around = cameras(&[testing::camera(Vec3::ZERO), testing::camera(Vec3::X)], 4, true);
        let x: Vec<f32> = around.iter().map(|camera| camera.origin().x).collect();
        assert!(x.len() == 4 && x[0] == 0.0 && (x[2] - 1.0).abs() < 0.05 && (x[1] - x[3]).abs() < 0.05, "{x:?}");
    }

    /// Pictures have one size, and what is in their middle stays there.
    #[test]
    fn sizes_are_those_of_the_first() {
        let small = Camera { width: 40, height: 20, center: crate::middle(40, 20), ..testing::camera(Vec3::ZERO) };
        let large = Camera {
            width: 100,
            height: 60,
            focal: small.focal * 3.0,
            center: crate::middle(100, 60),
            ..testing::camera(Vec3::X)
        };
        for found in cameras(&[small, large], 5, false) {
            assert_eq!((found.width, found.height), (40, 20));
            assert!((found.focal - small.focal).length() < 1e-4 && (found.center - small.center).length() < 1e-4);
        }
    }
}
