//! Effects have the size that they are said to have.

use super::*;
use crate::procedural::{Rig, RigKind, WorldOptions, cameras};
use glam::Vec2;

const SIZE: (usize, usize) = (65, 49);

fn camera() -> Camera {
    let (width, height) = (SIZE.0 as u32, SIZE.1 as u32);
    let center = crate::middle(width, height);
    Camera { width, height, focal: Vec2::splat(60.0), center, world_from_camera: glam::Mat4::IDENTITY }
}

fn plain(colour: f32) -> Vec<Vec3> {
    vec![Vec3::splat(colour); SIZE.0 * SIZE.1]
}

/// One that does nothing.
fn nothing() -> Imperfections {
    let curve = ToneCurve { contrast: 1.0, lift: 0.0, saturation: 1.0 };
    Imperfections {
        seed: 3,
        exposure: 0.0,
        white_balance: 0.0,
        vignetting: 0.0,
        blur: 0.0,
        noise: 0.0,
        curve,
        quality: 100,
        pose_error: 0.0,
    }
}

#[test]
fn an_equal_curve_is_the_ideal_one() {
    for v in [0.0, 0.01, 0.18, 0.7, 3.0] {
        let developed = nothing().curve.develop(Vec3::splat(v));
        assert!((developed - Vec3::splat(tone(v))).abs().max_element() < 1e-5, "{v}: {developed}");
    }
    let image = nothing().photograph(0, &camera(), plain(0.18)).unwrap();
    assert!(image.data.iter().all(|v| (v - tone(0.18)).abs() < 2.5 / 255.0));
}

/// Most scenes keep within three percent, and none goes beyond fifteen.
#[test]
fn exposures_stay_within_their_share() {
    let mut quiet = 0;
    for seed in 0..400 {
        let scene = Imperfections::random(seed);
        quiet += u32::from(scene.exposure <= 0.03);
        assert!(scene.exposure <= 0.1501, "{}", scene.exposure);
        let mut exact = scene;
        (exact.vignetting, exact.blur, exact.noise) = (0.0, 0.0, 0.0);
        for view in 0..8 {
            let gains = exact.gains(view);
            assert!((gains.y - 1.0).abs() <= scene.exposure + 1e-6);
            assert!((gains.x / gains.y - 1.0).abs() <= scene.white_balance + 1e-5);
            let mut linear = plain(0.2);
            optics::vignette(&mut linear, SIZE, 0.0, gains);
            assert!(((linear[7] / 0.2) - gains).abs().max_element() < 1e-5);
        }
        let differ = (1..8).any(|view| scene.gains(view) != scene.gains(0));
        assert!(differ, "seed {seed}: views differ");
    }
    assert!((250..350).contains(&quiet), "{quiet} of 400 scenes within 3 %");
}

#[test]
fn corners_lose_what_is_said() {
    let mut linear = plain(1.0);
    optics::vignette(&mut linear, SIZE, 0.25, Vec3::ONE);
    for corner in [0, SIZE.0 - 1, linear.len() - SIZE.0, linear.len() - 1] {
        assert!((linear[corner].x - 0.75).abs() < 1e-5, "{}", linear[corner]);
    }
    assert!((linear[linear.len() / 2].x - 1.0).abs() < 1e-6);
}

/// A point becomes a spot of this standard deviation along both axes, and no light is lost.
#[test]
fn blur_has_its_width() {
    for sigma in [0.3f32, 0.55, 0.8] {
        let mut linear = plain(0.0);
        let (x, y) = (31, 20);
        linear[y * SIZE.0 + x] = Vec3::ONE;
        optics::blur(&mut linear, SIZE, sigma);
        let total: f32 = linear.iter().map(|c| c.x).sum();
        assert!((total - 1.0).abs() < 1e-5);
        let spread = |distance: &dyn Fn(usize) -> f32| {
            linear.iter().enumerate().map(|(i, c)| c.x * distance(i).powi(2)).sum::<f32>().sqrt()
        };
        let along_x = spread(&|i| (i % SIZE.0) as f32 - x as f32);
        let along_y = spread(&|i| (i / SIZE.0) as f32 - y as f32);
        assert!((along_x - sigma).abs() < 1e-3 && (along_y - sigma).abs() < 1e-3, "{along_x}, {along_y} of {sigma}");
    }
}

#[test]
fn noise_has_its_strength_at_middle_grey() {
    let scene = Imperfections { noise: 0.04, ..nothing() };
    let deviation = |view: usize| {
        let mut linear = plain(GREY);
        scene.add_noise(view, &mut linear);
        let square = |c: &Vec3| (*c - Vec3::splat(GREY)).length_squared() / 3.0;
        ((linear.iter().map(square).sum::<f32>() / linear.len() as f32).sqrt() / GREY, linear)
    };
    let ((found, one), (_, other)) = (deviation(0), deviation(1));
    assert!((found - 0.04).abs() < 0.002, "{found}");
    assert_ne!(one, other, "each view has noise of its own");
}

/// Pictures that were reduced are sharper and cleaner in their own pixels, and seven scenes of ten have such.
#[test]
fn most_pictures_were_reduced() {
    let scenes: Vec<Imperfections> = (0..400).map(Imperfections::random).collect();
    let reduced = scenes.iter().filter(|scene| scene.pose_error < 0.1).count();
    // Those with a large error or a small factor stay above.
    assert!((200..300).contains(&reduced), "{reduced}");
    let whole = Imperfections { blur: 0.6, noise: 0.04, quality: 85, pose_error: 0.3, ..nothing() };
    let small = whole.reduced(4.0, 0.29);
    assert_eq!((small.noise, small.quality, small.pose_error), (0.01, 96, 0.075));
    assert!((small.blur - 0.3265).abs() < 1e-3, "{}", small.blur);
}

/// Written cameras see what they should a fraction of a pixel beside the true ones.
#[test]
fn poses_are_off_by_what_is_said() {
    for seed in 0..12 {
        let kind = if seed % 3 == 0 { RigKind::Orbit } else { RigKind::Forward };
        let options = WorldOptions { seed, kind, capture: Capture::Real, album: None };
        let world = World::compose(&options);
        let rig = Rig { width: 97, height: 71, views: 3, kind, samples_per_pixel: 1 };
        let scene = world.imperfections.unwrap();
        assert!((0.1 / 6.0..=0.3).contains(&scene.pose_error));
        for (view, camera) in cameras(&world, &rig, seed).iter().enumerate() {
            let (_, depth) = crate::procedural::render(&world, camera, 1);
            let written = scene.written_camera(view, camera, &depth);
            written.validate("written").unwrap();
            // All pixels, where the error was set on a grid.
            let all: Vec<(Vec2, f32)> =
                depth.iter().enumerate().map(|(i, z)| (Vec2::new((i % 97) as f32, (i / 97) as f32), *z)).collect();
            let found = pose::distance(camera, &written, &all);
            let (low, high) = (0.8 * scene.pose_error, 1.2 * scene.pose_error);
            assert!(found > 0.75 * low && found < 1.35 * high, "seed {seed}: {found} of {low} to {high}");
        }
    }
}

#[test]
fn a_view_is_the_same_every_time() {
    let linear: Vec<Vec3> = (0..SIZE.0 * SIZE.1).map(|i| Vec3::splat((i % 13) as f32 / 20.0)).collect();
    let scene = Imperfections::random(5);
    let of = |view| scene.photograph(view, &camera(), linear.clone()).unwrap();
    assert_eq!(of(2), of(2));
    assert_ne!(of(2), of(3));
}
