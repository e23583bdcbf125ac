//! What drags, wheel and keys do.

use super::*;

fn home(mode: Mode, bounds: Option<Bounds>) -> Home {
    let lens = Lens { size: DVec2::new(60.0, 40.0), focal: DVec2::splat(50.0), center: DVec2::new(29.5, 19.5) };
    // Level, looking along +z: the camera's y axis is down, so up is -y.
    let place = Place::at(DVec3::ZERO, DQuat::IDENTITY, 4.0);
    Home { mode, place, lens, view: 3, up: -DVec3::Y, bounds, unit: 4.0 }
}

fn settle(controls: &mut Controls) {
    for _ in 0..400 {
        controls.pass(0.02);
    }
    assert!(controls.rests() || controls.held.along != DVec3::ZERO);
}

/// A drag to the right takes the scene along: the camera goes to the left around the pivot, which it keeps in view.
#[test]
fn an_orbit_keeps_its_pivot_and_distance() {
    let mut controls = Controls::new(home(Mode::Orbit, None));
    let pivot = controls.pivot();
    controls.turn(DVec2::new(100.0, 0.0));
    settle(&mut controls);
    let eye = controls.eye();
    assert!((controls.pivot() - pivot).length() < 1e-9 && ((eye.center - pivot).length() - 4.0).abs() < 1e-9);
    assert!(eye.center.x < -1.0, "{}", eye.center);
    assert!((eye.rotation * DVec3::X).y.abs() < 1e-9, "the horizon stays level");
    controls.turn(DVec2::new(0.0, 100.0));
    settle(&mut controls);
    assert!(controls.eye().center.y < -1.0, "a drag downwards takes the camera up: {}", controls.eye().center);
}

#[test]
fn nobody_tumbles_over_the_poles() {
    let mut controls = Controls::new(home(Mode::Orbit, None));
    for _ in 0..100 {
        controls.turn(DVec2::new(0.0, 50.0));
    }
    settle(&mut controls);
    let up = |controls: &Controls| controls.eye().forward().dot(controls.up());
    assert!(up(&controls).abs() <= STEEP && up(&controls) < -0.8);
    controls.turn(DVec2::new(0.0, -100.0));
    settle(&mut controls);
    assert!(up(&controls) > -0.9);
}

#[test]
fn flight_turns_on_the_spot_and_follows_keys() {
    let mut controls = Controls::new(home(Mode::Fly, None));
    controls.turn(DVec2::new(100.0, 0.0));
    settle(&mut controls);
    assert!(controls.eye().center.length() < 1e-9);
    assert!(controls.eye().forward().x > 0.4, "the view follows the mouse: {}", controls.eye().forward());
    controls.held.along = DVec3::Z;
    (0..50).for_each(|_| controls.pass(0.02));
    controls.held.along = DVec3::ZERO;
    let forward = controls.eye().forward();
    settle(&mut controls);
    // Half a unit of the scene a second, for one second.
    assert!((controls.eye().center - forward * 2.0).length() < 1e-6, "{}", controls.eye().center);
    let speed = controls.speed;
    controls.wheel(2.0);
    assert!(controls.speed > speed);
}

#[test]
fn a_bounded_orbit_stays_in_its_bounds() {
    let bounds = Bounds { forward: DVec3::Z, angle_rad: 0.3, pivot: DVec3::Z * 4.0, reach: 1.0, distance: [2.0, 6.0] };
    let mut controls = Controls::new(home(Mode::Orbit, Some(bounds)));
    for i in 0..60 {
        controls.turn(DVec2::new(40.0, if i % 2 == 0 { 30.0 } else { -10.0 }));
        controls.pan(DVec2::new(-30.0, 5.0), 40.0);
        controls.wheel(-1.0);
        settle(&mut controls);
        let eye = controls.eye();
        assert!(eye.forward().angle_between(DVec3::Z) < 0.3 + 1e-6);
        assert!((controls.pivot() - bounds.pivot).length() < 1.0 + 1e-9);
        assert!((2.0 - 1e-9..6.0 + 1e-9).contains(&(eye.center - controls.pivot()).length()));
    }
}

/// What is under the mouse at the pivot's depth stays under it.
#[test]
fn a_pan_follows_the_mouse() {
    let mut controls = Controls::new(home(Mode::Orbit, None));
    let point = DVec3::new(0.2, -0.1, 4.0).as_vec3();
    let at = |controls: &Controls| {
        let p = controls.eye().camera((120, 80)).pixel_from_world() * point.extend(1.0);
        DVec2::new((p.x / p.z).into(), (p.y / p.z).into())
    };
    let before = at(&controls);
    controls.pan(DVec2::new(12.0, -7.0), 80.0);
    settle(&mut controls);
    assert!((at(&controls) - before - DVec2::new(12.0, -7.0)).length() < 1e-3);
}

#[test]
fn a_new_pivot_is_looked_at_from_where_one_stands() {
    let mut controls = Controls::new(home(Mode::Orbit, None));
    let point = DVec3::new(2.0, 1.0, 6.0);
    controls.look_at(point);
    settle(&mut controls);
    let eye = controls.eye();
    assert!(eye.center.length() < 1e-9 && (controls.pivot() - point).length() < 1e-9);
    assert!(eye.forward().angle_between(point) < 1e-6);
}

#[test]
fn source_views_are_reached_exactly_and_left_by_any_move() {
    let mut controls = Controls::new(home(Mode::Orbit, None));
    assert_eq!(controls.view(), Some(3));
    let lens = Lens { size: DVec2::new(30.0, 20.0), focal: DVec2::splat(33.0), center: DVec2::new(14.0, 10.0) };
    let eye = Eye { center: DVec3::new(1.0, 0.5, 0.2), rotation: DQuat::from_rotation_y(-0.2), lens };
    controls.go_to_view(7, &eye);
    assert_eq!(controls.view(), None, "on the way");
    settle(&mut controls);
    assert_eq!(controls.view(), Some(7));
    assert!((controls.eye().center - eye.center).length() < 1e-9 && controls.eye().lens == lens);
    controls.zoom(1.1);
    settle(&mut controls);
    assert_eq!(controls.view(), None);
    controls.go_home();
    settle(&mut controls);
    assert_eq!((controls.view(), controls.eye().lens), (Some(3), home(Mode::Orbit, None).lens));
}

/// In a bounded orbit, too, the camera stays where it is when another pivot is chosen, and keeps near that one afterwards.
#[test]
fn a_new_pivot_in_a_bounded_orbit_moves_no_camera() {
    let bounds = Bounds { forward: DVec3::Z, angle_rad: 0.3, pivot: DVec3::Z * 4.0, reach: 1.0, distance: [2.0, 6.0] };
    for point in [DVec3::new(0.5, 0.2, 4.0), DVec3::new(3.0, -2.0, 5.0), DVec3::new(0.1, 0.0, 40.0)] {
        let mut controls = Controls::new(home(Mode::Orbit, Some(bounds)));
        let before = controls.eye().center;
        controls.look_at(point);
        controls.jump();
        assert!((controls.eye().center - before).length() < 1e-9, "{point}: {}", controls.eye().center);
        let distance = (point - before).length();
        assert!((controls.pivot().distance(before) - distance).abs() < 1e-9);
        assert!(controls.eye().forward().angle_between(DVec3::Z) < 0.3 + 1e-9);
        // A drag turns around it, as far as before.
        let pivot = controls.pivot();
        controls.turn(DVec2::new(40.0, 0.0));
        controls.jump();
        assert!((controls.pivot() - pivot).length() < 1e-9);
        assert!((controls.eye().center.distance(pivot) - distance).abs() < 1e-9);
        controls.go_home();
        controls.pan(DVec2::new(5000.0, 0.0), 100.0);
        controls.jump();
        assert!((controls.pivot() - bounds.pivot).length() < 1.0 + 1e-9);
    }
}
