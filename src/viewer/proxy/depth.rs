//! Depth maps of source views, and finding points in them.

use crate::work::parts::Canvas;
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

    /// From the coarse grid that the network made of a picture with this camera, every `cell`-th pixel.
    ///
    /// The grid's last column and row are the picture's last pixels; they are moved to where a regular grid has them, by
    /// less than a cell. None where a point is missing or has no positive depth.
    pub fn of_grid(camera: &Camera, cell: u32, canvas: &Canvas) -> Option<Self> {
        let (width, height) = canvas.size;
        let texels: Option<Vec<_>> = canvas.texels.iter().copied().collect();
        let texels = texels?;
        if texels.iter().any(|texel| !(texel.depth > 0.0 && texel.depth.is_finite())) {
            return None;
        }
        let cell = cell as f32;
        let small = Camera { width, height, focal: camera.focal / cell, center: camera.center / cell, ..*camera };
        let depth = texels.iter().map(|texel| texel.depth).collect();
        let trust = texels.iter().map(|texel| texel.confidence.max(0.05)).collect();
        let size = Vec2::new(camera.width as f32, camera.height as f32);
        Some(Self { camera: small, depth, trust, uv: [0.5 / size, cell / size] })
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

/// Of two maps of a view the one on whose depth `others` agree more, at every point of `network`'s grid; where they agree on
/// both alike, that of `swept`, which is sharper at edges. Trust in what is chosen is that of the comparison.
pub fn merge(mut network: DepthMap, swept: &DepthMap, others: &[&DepthMap]) -> DepthMap {
    let own: Vec<f32> = std::mem::replace(&mut network.trust, vec![1.0; network.depth.len()]);
    let place =
        |i: usize| Vec2::new((i as u32 % network.camera.width) as f32, (i as u32 / network.camera.width) as f32);
    let depth: Vec<f32> = (0..network.depth.len())
        .map(|i| {
            let uv = network.uv[0] + network.uv[1] * place(i);
            swept.nearest((uv - swept.uv[0]) / swept.uv[1]).unwrap_or(network.depth[i])
        })
        .collect();
    let mut sharp = DepthMap { depth, ..network.clone() };
    compare(&mut network, others);
    compare(&mut sharp, others);
    for (i, own) in own.into_iter().enumerate() {
        // An unsure depth has to agree all the more.
        if network.trust[i] * own > 1.05 * sharp.trust[i] {
            (sharp.depth[i], sharp.trust[i]) = (network.depth[i], network.trust[i]);
        }
    }
    sharp
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
    use crate::source::{Part, Patch, Texel};

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

    #[test]
    fn merged_maps_take_what_others_agree_on() {
        let (right, wrong) = (wall(Vec3::ZERO, 4.0), wall(Vec3::ZERO, 2.0));
        let (a, b) = (wall(Vec3::X * 0.2, 4.0), wall(-Vec3::X * 0.2, 4.0));
        let middle = 8 * 24 + 12;
        for (network, swept) in [(right.clone(), &wrong), (wrong.clone(), &right)] {
            let merged = merge(network, swept, &[&a, &b]);
            assert!(merged.depth[middle] == 4.0 && merged.trust[middle] > 0.9);
        }
    }

    #[test]
    fn grids_of_the_network_become_maps() {
        let camera = camera(Vec3::ZERO, 20, 12);
        let mut canvas = Canvas::new((6, 4));
        assert!(DepthMap::of_grid(&camera, 4, &canvas).is_none());
        let part = Part { x: 0, y: 0, width: 6, height: 4 };
        let texels = vec![Texel { depth: 2.0, confidence: 0.5, ..Texel::default() }; 24];
        canvas.put(&Patch { part, texels });
        let map = DepthMap::of_grid(&camera, 4, &canvas).unwrap();
        // The grid's second point is the picture's pixel 4.
        let expected = camera.ray(Vec2::new(4.0, 8.0));
        assert!((map.points().nth(2 * 6 + 1).unwrap() - expected.direction * 2.0).length() < 1e-5);
        let place = map.uv[0] + map.uv[1] * Vec2::new(1.0, 2.0);
        assert!((place - Vec2::new(4.5 / 20.0, 8.5 / 12.0)).length() < 1e-6);
    }
}
