//! Near bounds that other photographs contradict.
//!
//! A photograph's near bound is that of the nearest point which structure from motion found in it. A single wrong point
//! makes it far too near, and since a scene begins at the least bound of all its photographs, it opens a gap before
//! everything that is there, in which a network finds surfaces that are none (3 dB in one held-out photograph of canclip).
//! But what lies there is in other photographs too, whose own bounds say that nothing so near is in them.

use crate::{Camera, View};
use glam::{Mat4, Vec2, Vec3};

/// Points of a grid along each side of a photograph.
const SIDE: u32 = 9;
/// Fewest other photographs that must see a place to speak for it.
const FEWEST: usize = 2;
/// Part of them that must agree that something may be there.
const AGREE: f32 = 2.0 / 3.0;
/// A place may lie before another photograph's bound by so much and still agree with it.
const SLACK: f32 = 0.95;
/// Steps in which a bound is moved away.
const STEP: f32 = 1.01;
/// A bound is wrong where it must be moved by more than this.
const WRONG: f32 = 1.1;
/// Photographs that a bound is compared with, at most: those taken nearest to it.
const OTHERS: usize = 64;

/// Numbers of the views whose near bound others contradict, each with the depth where others agree that something may be,
/// which is at most half of the view's far bound.
pub(super) fn find(views: &[View]) -> Vec<(usize, f32)> {
    let mut sorted: Vec<f32> = views.iter().map(|view| view.near).collect();
    sorted.sort_by(f32::total_cmp);
    let Some(median) = sorted.get(sorted.len() / 2).copied() else { return Vec::new() };
    let suspects = (0..views.len()).filter(|i| views[*i].near * WRONG < median);
    let moved = suspects.map(|i| {
        let (view, others, end) = (&views[i], neighbours(views, i), 0.5 * views[i].far);
        let mut near = view.near;
        while near < end && is_contradicted(&view.camera, near, &others) {
            near *= STEP;
        }
        (i, near.min(end))
    });
    moved.filter(|(i, near)| *near > WRONG * views[*i].near).collect()
}

/// Another photograph that may contradict.
struct Other {
    pixel_from_world: Mat4,
    size: Vec2,
    near: f32,
}

impl Other {
    /// Depth of a place along the camera's optical axis; none outside its picture.
    fn depth(&self, place: Vec3) -> Option<f32> {
        let p = self.pixel_from_world * place.extend(1.0);
        let corner = Vec2::new(p.x, p.y) / p.z + 0.5;
        let inside = corner.cmpge(Vec2::ZERO) & corner.cmple(self.size);
        (p.z > 0.0 && inside.all()).then_some(p.z)
    }
}

/// The photographs nearest to one.
fn neighbours(views: &[View], id: usize) -> Vec<Other> {
    let own = views[id].camera.origin();
    let mut others: Vec<&View> = views.iter().enumerate().filter(|(i, _)| *i != id).map(|(_, view)| view).collect();
    let distance = |view: &View| view.camera.origin().distance_squared(own);
    others.sort_by(|a, b| distance(a).total_cmp(&distance(b)));
    others.truncate(OTHERS);
    let other = |view: &View| Other {
        pixel_from_world: view.camera.pixel_from_world(),
        size: size(&view.camera),
        near: view.near,
    };
    others.into_iter().map(other).collect()
}

/// Width and height of a camera's picture.
fn size(camera: &Camera) -> Vec2 {
    Vec2::new(camera.width as f32, camera.height as f32)
}

/// Whether nothing can be at the depth `near` anywhere in a camera's picture, by what the bounds of others say. Where they
/// do not see the most of it, they have no say.
fn is_contradicted(camera: &Camera, near: f32, others: &[Other]) -> bool {
    let mut judged = 0;
    for i in 0..SIDE * SIDE {
        let at = Vec2::new((i % SIDE) as f32, (i / SIDE) as f32) / (SIDE - 1) as f32;
        let ray = camera.ray(at * size(camera) - 0.5);
        let place = ray.origin + ray.direction * near;
        let (mut seen, mut agreed) = (0, 0);
        for other in others {
            if let Some(depth) = other.depth(place) {
                seen += 1;
                agreed += usize::from(depth >= SLACK * other.near);
            }
        }
        if seen >= FEWEST {
            if agreed as f32 >= AGREE * seen as f32 {
                return false;
            }
            judged += 1;
        }
    }
    judged > SIDE * SIDE / 2
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::scene;

    /// Twelve cameras side by side, 0.2 apart, of which each says that things begin at `near`.
    fn views(near: [f32; 12]) -> Vec<View> {
        let mut views = scene(&[0.0; 12].map(|_| Vec3::ZERO)).views;
        for (i, (view, near)) in views.iter_mut().zip(near).enumerate() {
            view.camera = crate::testing::camera(Vec3::new(0.2 * i as f32, 0.0, 0.0));
            (view.near, view.far) = (near, 100.0);
        }
        views
    }

    #[test]
    fn one_bound_that_nobody_shares_is_found() {
        let mut near = [10.0; 12];
        near[4] = 4.0;
        let found = find(&views(near));
        assert!(matches!(found[..], [(4, near)] if (9.4..9.7).contains(&near)), "{found:?}");
    }

    #[test]
    fn what_some_photographs_alone_have_before_them_stays() {
        // Something near stands to one side: it is in the last four photographs and outside of the others.
        let mut near = [10.0; 12];
        near[8..].copy_from_slice(&[2.2, 2.0, 2.0, 2.1]);
        let mut some = views(near);
        for view in &mut some[8..] {
            view.camera.world_from_camera *= Mat4::from_rotation_y(0.8);
        }
        assert_eq!(find(&some), []);
        // Bounds that fall slowly from one end to the other, as where one walks towards something.
        let mut walk = views(std::array::from_fn(|i| 10.0 - 0.5 * i as f32));
        for (i, view) in walk.iter_mut().enumerate() {
            view.camera = crate::testing::camera(Vec3::new(0.0, 0.0, 0.5 * i as f32));
        }
        assert_eq!(find(&walk), []);
    }

    #[test]
    fn few_photographs_and_equal_bounds_are_left_alone() {
        assert_eq!(find(&[]), []);
        assert_eq!(find(&views([5.0; 12])), []);
        let mut two = views([4.0, 10.0, 10.0, 10.0, 10.0, 10.0, 10.0, 10.0, 10.0, 10.0, 10.0, 10.0]);
        two.truncate(2);
        two[1].camera.world_from_camera *= Mat4::from_rotation_y(3.0);
        // Neither sees what the other has.
        assert_eq!(find(&two), []);
    }
}
