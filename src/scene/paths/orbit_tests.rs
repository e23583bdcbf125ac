//! Orbits: around the place, where photographs are.

use super::*;
use crate::paths::rigs::{around, looking_at};
use crate::testing;
use glam::Vec3;

const PLACE: DVec3 = DVec3::new(1.0, -2.0, 0.5);

fn orbit(scene: &Scene, count: usize) -> Result<Vec<Frame>> {
    frames(scene, &Capture::of(scene).unwrap(), count)
}

/// Cameras at given azimuths, elevations (degrees) and distances.
fn placed(places: impl IntoIterator<Item = [f64; 3]>) -> Scene {
    let camera = |[azimuth, elevation, distance]: [f64; 3]| {
        let (azimuth, elevation) = (azimuth.to_radians(), elevation.to_radians());
        let level = DVec3::new(azimuth.cos(), azimuth.sin(), 0.0) * elevation.cos();
        looking_at(PLACE, PLACE + (level + DVec3::Z * elevation.sin()) * distance)
    };
    testing::scene_of(places.into_iter().map(camera).collect())
}

/// Azimuth, elevation in degrees and distance of a frame.
fn place_of(frame: &Frame) -> [f64; 3] {
    let [azimuth, elevation, log] = place(frame.camera.origin().as_dvec3() - PLACE, DVec3::Z, [DVec3::X, DVec3::Y]);
    [azimuth.to_degrees(), elevation.to_degrees(), log.exp()]
}

#[test]
fn circles_the_place_level_and_at_the_cameras_distance() {
    let scene = placed((0..12).map(|i| [7.0 + 30.0 * f64::from(i), 35.0, 5.0]));
    let path = orbit(&scene, 9).unwrap();
    for frame in &path {
        frame.camera.validate(&frame.name).unwrap();
        let [_, elevation, distance] = place_of(frame);
        assert!((elevation - 35.0).abs() < 0.1 && (distance - 5.0).abs() < 1e-3, "{elevation} {distance}");
        let to_place = (PLACE.as_vec3() - frame.camera.origin()).normalize();
        assert!((to_place - frame.camera.forward()).length() < 1e-4);
        assert!(frame.camera.world_from_camera.x_axis.z.abs() < 1e-5);
    }
    let steps: Vec<f64> =
        (0..9).map(|i| (place_of(&path[(i + 1) % 9])[0] - place_of(&path[i])[0]).rem_euclid(360.0)).collect();
    assert!(steps.iter().all(|step| (step - 40.0).abs() < 0.5), "{steps:?}");
}

#[test]
fn an_arc_is_swung_there_and_back_without_leaving_it_or_repeating_a_picture() {
    let scene = placed((0..20).map(|i| [5.0 * f64::from(i), 20.0, 4.0]));
    let path = orbit(&scene, 24).unwrap();
    for frame in &path {
        let [azimuth, elevation, distance] = place_of(frame);
        assert!((0.0..=95.0).contains(&azimuth) && (elevation - 20.0).abs() < 4.0, "{azimuth} {elevation}");
        assert!((distance - 4.0).abs() < 0.01);
    }
    for (i, a) in path.iter().enumerate() {
        for b in &path[i + 1..] {
            assert!(a.camera.origin().distance(b.camera.origin()) > 0.02, "{} {}", a.name, b.name);
        }
    }
    let azimuths: Vec<f64> = path.iter().map(|frame| place_of(frame)[0]).collect();
    assert!(azimuths.iter().any(|a| *a < 8.0) && azimuths.iter().any(|a| *a > 77.0), "{azimuths:?}");
}

/// Radius and height go with the cameras', between rounds at different heights no mean is taken, and a gap that nobody
/// photographed is not flown through.
#[test]
fn stays_where_photographs_are() {
    let spiral = (0..60).map(|i| [6.0 * f64::from(i), 10.0 + 0.3 * f64::from(i), 3.0 + 0.02 * f64::from(i)]);
    for frame in orbit(&placed(spiral), 60).unwrap() {
        let [azimuth, elevation, distance] = place_of(&frame);
        let i = azimuth.rem_euclid(360.0) / 6.0;
        // Where the beginning and the end meet it changes over.
        if (6.0..54.0).contains(&i) {
            assert!((elevation - 10.0 - 0.3 * i).abs() < 2.0, "{i} {elevation}");
            assert!((distance - 3.0 - 0.02 * i).abs() < 0.15, "{i} {distance}");
        }
    }
    let rounds =
        (0..72).map(|i| if i % 3 == 0 { [5.0 * f64::from(i), 60.0, 6.0] } else { [5.0 * f64::from(i), 5.0, 4.0] });
    for frame in orbit(&placed(rounds), 60).unwrap() {
        let [_, elevation, distance] = place_of(&frame);
        assert!((elevation - 5.0).abs() < 2.0 && (distance - 4.0).abs() < 0.1, "{elevation} {distance}");
    }
    let two_parts = (0..30).map(|i| [if i < 20 { 5.0 } else { 90.0 } + 5.0 * f64::from(i), 20.0, 4.0]);
    for frame in orbit(&placed(two_parts), 60).unwrap() {
        let azimuth = place_of(&frame)[0];
        assert!((5.0..=101.0).contains(&azimuth), "{azimuth}");
    }
}

#[test]
fn words_say_how_far_round() {
    let words = |scene: &Scene| Orbit::of(scene, &Capture::of(scene).unwrap()).unwrap().words();
    assert!(words(&around(1, 30, 360.0, PLACE)).contains("all round"));
    assert!(words(&placed((0..20).map(|i| [5.0 * f64::from(i), 20.0, 4.0]))).contains("arc of 95 degrees"));
}

#[test]
fn parallel_and_diverging_cameras_are_refused() {
    let parallel = testing::scene(&[Vec3::X, Vec3::Y, -Vec3::X]);
    assert!(orbit(&parallel, 3).unwrap_err().to_string().contains("parallel"));
    let apart = (0..5).map(|i| {
        let out = DVec3::new(f64::from(i).cos(), f64::from(i).sin(), 0.2);
        looking_at(out * 9.0, out * 4.0)
    });
    assert!(orbit(&testing::scene_of(apart.collect()), 3).unwrap_err().to_string().contains("apart"));
}
