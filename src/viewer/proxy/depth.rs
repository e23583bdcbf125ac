//! Depth maps of source views, and finding points in them.

use glam::{Mat4, Vec2, Vec3};
use scene::{Camera, Ray};

/// Depth of a source view on a grid of pixels.
#[derive(Clone, Debug, PartialEq)]
pub struct DepthMap {
    /// The camera at the size of the grid: its pixels are the grid's points.
    pub camera: Camera,
    /// Depth along the optical axis, in scene units, `[height, width]`; positive.
    pub depth: Vec<f32>,
    /// How far each depth is to be trusted, from 0 to 1, `[height, width]`.
    pub trust: Vec<f32>,
    /// Place in the photograph, from 0 to 1, of the grid's pixel (0, 0), and from one of its pixels to the next.
    pub uv: [Vec2; 2],
}

impl DepthMap {
    /// Of a camera whose picture is the whole photograph.
    ///
    /// # Panics
    /// If `depth` or `trust` is not of the camera's size.
    pub fn new(camera: Camera, depth: Vec<f32>, trust: Vec<f32>) -> Self {
        let pixels = camera.width as usize * camera.height as usize;
        assert_eq!([depth.len(), trust.len()], [pixels; 2], "depths and trusts of {}x{}", camera.width, camera.height);
        let step = Vec2::new(camera.width as f32, camera.height as f32).recip();
        Self { camera, depth, trust, uv: [0.5 * step, step] }
    }

    /// Depth at the grid's point nearest to a pixel of the grid; none outside.
    fn nearest(&self, pixel: Vec2) -> Option<f32> {
        let at = (pixel + 0.5).floor();
        let inside = at.x >= 0.0 && at.y >= 0.0 && at.x < self.camera.width as f32 && at.y < self.camera.height as f32;
        inside.then(|| self.depth[at.y as usize * self.camera.width as usize + at.x as usize])
    }

    /// The grid's points in world space.
    pub fn points(&self) -> impl Iterator<Item = Vec3> {
        let width = self.camera.width;
        self.depth.iter().enumerate().map(move |(i, z)| {
            let ray = self.camera.ray(Vec2::new((i as u32 % width) as f32, (i as u32 / width) as f32));
            ray.origin + ray.direction * *z
        })
    }
}

/// Lowers the trust in depths that other maps contradict: a point that another map has well behind what it sees there is
/// in its line of sight, where nothing is.
pub fn compare(map: &mut DepthMap, others: &[&DepthMap]) {
    /// Part of a depth by which two maps may differ.
    const SAME: f32 = 0.06;
    let sights: Vec<(Mat4, &DepthMap)> = others.iter().map(|other| (other.camera.pixel_from_world(), *other)).collect();
    let points: Vec<Vec3> = map.points().collect();
    for (trust, point) in map.trust.iter_mut().zip(points) {
        let (mut agree, mut differ) = (0, 0);
        for (pixel_from_world, other) in &sights {
            let p = *pixel_from_world * point.extend(1.0);
            let Some(there) = Some(p).filter(|p| p.z > 0.0).and_then(|p| other.nearest(Vec2::new(p.x, p.y) / p.z))
            else {
                continue;
            };
            if (p.z / there - 1.0).abs() < SAME {
                agree += 1;
            } else if p.z < there {
                differ += 1;
            }
        }
        if agree + differ > 0 {
            *trust *= (0.15 + agree as f32) / (0.15 + (agree + differ) as f32);
        }
    }
}

/// The depth at which a ray meets a surface of one of the maps: the nearest at which it goes from before to behind what a
/// map sees. None if it meets none between `near` and `far`.
pub fn meet(ray: &Ray, maps: &[&DepthMap], [near, far]: [f32; 2]) -> Option<f32> {
    const STEPS: usize = 384;
    /// A surface is this thick, as a part of its depth: beyond it a map says nothing.
    const THICK: f32 = 0.05;
    let sights: Vec<(Mat4, &DepthMap)> = maps.iter().map(|map| (map.camera.pixel_from_world(), *map)).collect();
    let mut before = vec![false; maps.len()];
    for i in 0..STEPS {
        let t = i as f32 / (STEPS - 1) as f32;
        let z = 1.0 / ((1.0 - t) / near + t / far);
        let point = ray.origin + ray.direction * z;
        for ((pixel_from_world, map), before) in sights.iter().zip(&mut before) {
            let p = *pixel_from_world * point.extend(1.0);
            let there = Some(p).filter(|p| p.z > 0.0).and_then(|p| map.nearest(Vec2::new(p.x, p.y) / p.z));
            match there {
                Some(there) if p.z < there => *before = true,
                Some(there) if *before && p.z < there * (1.0 + THICK) => return Some(z),
                _ => *before = false,
            }
        }
    }
    None
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A camera at `center` that looks along z.
    pub fn camera(center: Vec3, width: u32, height: u32) -> Camera {
        let focal = Vec2::splat(width as f32);
        Camera {
            width,
            height,
            focal,
            center: scene::middle(width, height),
            world_from_camera: Mat4::from_translation(center),
        }
    }

    /// A wall at a depth.
    pub fn wall(center: Vec3, z: f32) -> DepthMap {
        let camera = camera(center, 24, 16);
        let pixels = 24 * 16;
        DepthMap::new(camera, vec![z - center.z; pixels], vec![1.0; pixels])
    }

    #[test]
    fn rays_meet_walls() {
        let (near, far) = (wall(Vec3::ZERO, 3.0), wall(Vec3::X * 0.5, 5.0));
        let eye = camera(Vec3::Y * 0.1, 24, 16);
        let ray = eye.ray(Vec2::new(12.0, 8.0));
        let at = |maps: &[&DepthMap]| meet(&ray, maps, [1.0, 10.0]);
        assert!((at(&[&near]).unwrap() - 3.0).abs() < 0.1 && (at(&[&far]).unwrap() - 5.0).abs() < 0.1);
        assert!((at(&[&far, &near]).unwrap() - 3.0).abs() < 0.1);
        assert_eq!(meet(&ray, &[&near], [1.0, 2.5]), None);
        let away = Ray { direction: -ray.direction, ..ray };
        assert_eq!(meet(&away, &[&near], [1.0, 10.0]), None);
    }

    #[test]
    fn contradicted_depths_lose_trust() {
        let (mut right, mut wrong) = (wall(Vec3::ZERO, 4.0), wall(Vec3::ZERO, 2.0));
        let (a, b) = (wall(Vec3::X * 0.2, 4.0), wall(-Vec3::X * 0.2, 4.0));
        compare(&mut right, &[&a, &b]);
        compare(&mut wrong, &[&a, &b]);
        let middle = 8 * 24 + 12;
        assert!(right.trust[middle] > 0.99 && wrong.trust[middle] < 0.1);
        // What lies behind a surface is hidden there, which contradicts nothing.
        let mut behind = wall(Vec3::ZERO, 8.0);
        compare(&mut behind, &[&a, &b]);
        assert_eq!(behind.trust[middle], 1.0);
    }
}
