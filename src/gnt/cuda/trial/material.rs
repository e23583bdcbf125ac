//! What a device is tried on: a small procedural scene.

use crate::sampling;
use glam::Vec2;
use scene::procedural::{Rig, RigKind, World, cameras, render};
use scene::{Camera, Image, Ray};

/// Size of the sources: odd, so that no tile is full.
const SIZE: (u32, u32) = (65, 49);
/// Source views and a target.
pub struct Material {
    /// Cameras and photographs.
    pub sources: Vec<(Camera, Image)>,
    /// Camera of the target view.
    pub target: Camera,
    /// Its photograph.
    pub photograph: Image,
    /// Its z-depths `[height, width]`.
    pub depth: Vec<f32>,
    /// Near and far bound. The near one is so close to the cameras that no source sees the first samples.
    pub depth_range: (f32, f32),
}

impl Material {
    /// Renders it, with so many source views.
    pub fn new(views: usize) -> Self {
        let (world, seed) = (World::random(7, RigKind::Forward), 7);
        let (width, height) = SIZE;
        let rig = Rig { width, height, views: views + 1, kind: RigKind::Forward, samples_per_pixel: 1 };
        let mut views = cameras(&world, &rig, seed).into_iter().map(|camera| (camera, render(&world, &camera, 1)));
        let (target, (photograph, depth)) = views.next().expect("the rig has a view");
        let sources = views.map(|(camera, (image, _))| (camera, image)).collect();
        let nearest = depth.iter().copied().fold(f32::INFINITY, f32::min);
        let farthest = depth.iter().copied().filter(|z| z.is_finite()).fold(0.0, f32::max);
        Self { sources, target, photograph, depth, depth_range: (0.3 * nearest, 1.5 * farthest.max(2.0 * nearest)) }
    }

    /// Rays all over the target, and some beyond its edges that fewer views see.
    pub fn rays(&self, count: usize) -> Vec<Ray> {
        let (width, height) = (self.target.width as f32, self.target.height as f32);
        let at = |i: usize| {
            let share = (i as f32 + 0.5) / count as f32;
            // Golden-ratio steps in x: no two rays share a column.
            Vec2::new((1.3 * (i as f32 * 0.618_034).fract() - 0.15) * width, (1.2 * share - 0.1) * height)
        };
        (0..count).map(|i| self.target.ray(at(i))).collect()
    }

    /// Depths of `samples` samples.
    pub fn depths(&self, samples: usize) -> Vec<f32> {
        sampling::inverse_depth(self.depth_range.0, self.depth_range.1, samples)
    }
}
