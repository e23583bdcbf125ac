//! Which views become sources, and in which order.

use super::*;
use crate::pose::{flip_axes, look_along};
use crate::testing;
use glam::{DVec3, Mat4, Vec3};

#[test]
fn ranks_by_distance_and_keeps_ties_in_order() {
    let scene = testing::scene(&[Vec3::X * 3.0, Vec3::X, -Vec3::X, Vec3::Y, Vec3::ZERO]);
    let target = testing::camera(Vec3::ZERO);
    assert_eq!(nearest_sources(&scene, &target, &[0, 1, 2, 3], 9).unwrap(), [1, 2, 3, 0]);
    assert_eq!(nearest_sources(&scene, &target, &[3, 2, 1, 0, 4], 3).unwrap(), [4, 3, 2]);
}

/// A camera at `center` that looks at `place`, with z up.
fn looking_at(place: DVec3, center: DVec3) -> Camera {
    let pose = look_along(center - place, DVec3::Z, center).unwrap();
    Camera { world_from_camera: flip_axes(pose).as_mat4(), ..testing::camera(Vec3::ZERO) }
}

#[test]
fn ranks_by_angle_around_the_place_that_is_looked_at_whatever_the_distance() {
    let place = DVec3::new(6.0, -2.0, 1.0);
    let offsets = [DVec3::Y * 5.0, DVec3::new(9.0, 0.1, 0.0), -DVec3::X * 5.0, DVec3::new(4.0, 3.0, 0.0)];
    let mut scene = testing::scene_of(offsets.iter().map(|offset| looking_at(place, place + *offset)).collect());
    scene.order = SourceOrder::Direction;
    let target = looking_at(place, place + DVec3::X * 4.0);
    assert_eq!(nearest_sources(&scene, &target, &[0, 1, 2, 3], 4).unwrap(), [1, 3, 0, 2]);
    scene.order = SourceOrder::Distance;
    assert_eq!(nearest_sources(&scene, &target, &[0, 1, 2, 3], 4).unwrap(), [3, 1, 0, 2]);
}

#[test]
fn views_that_see_nothing_of_it_come_last() {
    // At three places one camera looks ahead, one back and one to the side.
    let mut cameras = Vec::new();
    for x in 0..3 {
        let ahead = testing::camera(Vec3::X * x as f32);
        for degrees in [0.0f32, 180.0, 90.0] {
            let mut turned = ahead;
            turned.world_from_camera *= Mat4::from_rotation_y(degrees.to_radians());
            cameras.push(turned);
        }
    }
    let scene = testing::scene_of(cameras);
    let all: Vec<usize> = (0..9).collect();
    let target = testing::camera(Vec3::X * 0.1);
    assert_eq!(nearest_sources(&scene, &target, &all, 3).unwrap(), [0, 3, 6]);
    // Where there are no others they are taken all the same.
    assert_eq!(nearest_sources(&scene, &target, &all, 9).unwrap(), [0, 3, 6, 1, 2, 4, 5, 7, 8]);
}

#[test]
fn needs_candidates_of_the_scene() {
    let scene = testing::scene(&[Vec3::X]);
    let target = testing::camera(Vec3::ZERO);
    assert!(nearest_sources(&scene, &target, &[], 3).unwrap_err().to_string().contains("found none"));
    assert!(nearest_sources(&scene, &target, &[0], 0).is_err());
    assert!(nearest_sources(&scene, &target, &[1], 3).is_err());
}
