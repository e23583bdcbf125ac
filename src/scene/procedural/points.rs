//! Points on the surfaces of a world, as structure from motion would find them: each with the views that see it.

use super::layouts::Point;
use crate::{Camera, Image};
use glam::{Vec2, Vec3};

/// About how many points each view adds.
const OF_A_VIEW: u32 = 600;
/// How far behind a surface, by its depth, a point may lie and still be seen.
const SAME: f32 = 0.01;

/// Views with what they see.
#[derive(Default)]
pub(super) struct Surfaces {
    views: Vec<Surface>,
}

/// Depths of a view at every second pixel, which bounds memory, and colours of its points.
struct Surface {
    camera: Camera,
    width: usize,
    depth: Vec<f32>,
    /// Pixels that become points, with their exact depths and colours.
    picked: Vec<(Vec2, f32, [u8; 3])>,
}

impl Surfaces {
    /// Adds a view with its depth `[height, width]`.
    pub fn add(&mut self, camera: &Camera, depth: &[f32], image: &Image) {
        let (width, height) = (camera.width as usize, camera.height as usize);
        let half: Vec<f32> =
            (0..height).step_by(2).flat_map(|y| (0..width).step_by(2).map(move |x| depth[y * width + x])).collect();
        let step = (f64::from(camera.width) * f64::from(camera.height) / f64::from(OF_A_VIEW)).sqrt().max(1.0) as usize;
        let mut picked = Vec::new();
        for y in (step / 2..height).step_by(step) {
            for x in (step / 2..width).step_by(step) {
                let colour = image.pixel(x as u32, y as u32).map(|v| (v.clamp(0.0, 1.0) * 255.0).round() as u8);
                picked.push((Vec2::new(x as f32, y as f32), depth[y * width + x], colour));
            }
        }
        self.views.push(Surface { camera: *camera, width: width.div_ceil(2), depth: half, picked });
    }

    /// The points, in the order of the views that added them.
    pub fn points(&self) -> Vec<Point> {
        let mut points = Vec::new();
        for (i, view) in self.views.iter().enumerate() {
            for (pixel, depth, colour) in &view.picked {
                let ray = view.camera.ray(*pixel);
                let place = ray.origin + ray.direction * *depth;
                let others = self.views.iter().enumerate().filter(|(j, other)| *j == i || other.sees(place));
                let seen_by = others.map(|(j, _)| j as u32).collect();
                points.push(Point { place, colour: *colour, seen_by });
            }
        }
        points
    }
}

impl Surface {
    fn sees(&self, place: Vec3) -> bool {
        let at = self.camera.pixel_from_world() * place.extend(1.0);
        let pixel = Vec2::new(at.x, at.y) / at.z;
        let size = Vec2::new(self.camera.width as f32, self.camera.height as f32);
        if at.z <= 0.0 || !pixel.is_finite() || pixel.cmplt(Vec2::ZERO).any() || pixel.cmpgt(size - 1.0).any() {
            return false;
        }
        let (x, y) = ((pixel.x / 2.0) as usize, (pixel.y / 2.0) as usize);
        self.depth.get(y * self.width + x).is_some_and(|depth| at.z <= depth * (1.0 + SAME))
    }
}
