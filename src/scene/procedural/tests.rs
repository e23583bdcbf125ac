use super::llff::{bounds, pose_bounds_row};
use super::*;
use crate::Camera;
use glam::Vec2;

fn rig(kind: RigKind, views: usize) -> Rig {
    Rig { width: 97, height: 71, views, kind, samples_per_pixel: 3 }
}

#[test]
fn one_seed_gives_one_world() {
    for kind in [RigKind::Forward, RigKind::Orbit] {
        let views: Vec<_> = [7, 7, 8]
            .map(|seed| {
                let world = World::random(seed, kind);
                let camera = cameras(&world, &rig(kind, 3), seed)[1];
                (camera, render_with_threads(&world, &camera, 2, 1 + seed as usize % 3))
            })
            .into();
        assert_eq!(views[0], views[1]);
        assert_ne!(views[0].1.0, views[2].1.0);
    }
}

#[test]
fn threads_do_not_change_the_picture() {
    let world = World::random(3, RigKind::Forward);
    let camera = cameras(&world, &rig(RigKind::Forward, 1), 1)[0];
    let one = render_with_threads(&world, &camera, 2, 1);
    for threads in [0, 2, 7, 500] {
        assert_eq!(render_with_threads(&world, &camera, 2, threads), one);
    }
}

#[test]
fn every_pixel_has_a_finite_colour_and_depth() {
    for seed in 0..24 {
        let kind = if seed % 3 == 0 { RigKind::Orbit } else { RigKind::Forward };
        let world = World::random(seed, kind);
        for camera in cameras(&world, &rig(kind, 2), seed) {
            camera.validate("generated").unwrap();
            let (image, depth) = render(&world, &camera, 1);
            assert!(image.data.iter().all(|v| (0.0..=1.0).contains(v)), "seed {seed}");
            assert!(depth.iter().all(|z| *z > 0.0 && z.is_finite()), "seed {seed}");
            let (darkest, brightest) = image.data.iter().fold((1.0f32, 0.0f32), |(a, b), v| (a.min(*v), b.max(*v)));
            assert!(brightest - darkest > 0.1, "seed {seed}: nothing to see, {darkest} to {brightest}");
        }
    }
}

/// Content keeps the distance that baselines were chosen for.
#[test]
fn cameras_keep_away_from_surfaces() {
    for seed in 0..40 {
        let world = World::random(seed, RigKind::Forward);
        for camera in cameras(&world, &rig(RigKind::Forward, 12), seed) {
            let (_, depth) = render(&world, &camera.resized(33, 25), 1);
            let nearest = depth.into_iter().fold(f32::MAX, f32::min);
            assert!(nearest > 0.3 * world.stage.distance, "seed {seed}: {nearest} of {}", world.stage.distance);
        }
    }
}

/// Where a pixel of one view lands in another, and the depth it should have there.
fn transfer(from: &Camera, depth: f32, pixel: Vec2, to: &Camera) -> Option<(Vec2, f32)> {
    let ray = from.ray(pixel);
    let p = to.pixel_from_world().transform_point3(ray.origin + ray.direction * depth);
    let z = p.z;
    (z > 0.0).then_some((Vec2::new(p.x, p.y) / z, z))
}

/// The surface that one view sees lies at the depth that another view measures there, unless something is in front of
/// it; then it must be nearer. The ray is traced through the exact place, so that no interpolation blurs the answer.
#[test]
fn views_agree_on_geometry_and_colour() {
    let (mut seen, mut consistent, mut behind, mut close_colour) = (0u32, 0u32, 0u32, 0u32);
    for seed in 0..16 {
        let kind = if seed % 4 == 3 { RigKind::Orbit } else { RigKind::Forward };
        let world = World::random(seed, kind);
        let views = cameras(&world, &rig(kind, 2), seed);
        let (image, depth) = render(&world, &views[0], 4);
        let (other, _) = render(&world, &views[1], 4);
        for y in (0..71).step_by(2) {
            for x in (0..97).step_by(2) {
                let pixel = Vec2::new(x as f32, y as f32);
                let Some((at, z)) = transfer(&views[0], depth[y * 97 + x], pixel, &views[1]) else { continue };
                let (u, v) = (at.x.round(), at.y.round());
                if !(0.0..97.0).contains(&u) || !(0.0..71.0).contains(&v) {
                    continue;
                }
                seen += 1;
                let ray = views[1].ray(at);
                let measured = world.distance(ray.origin, ray.direction);
                if (measured - z).abs() < 2e-3 * z {
                    consistent += 1;
                    let (a, b) = (image.pixel(x as u32, y as u32), other.pixel(u as u32, v as u32));
                    let off = a.iter().zip(b).map(|(a, b)| (a - b).abs()).sum::<f32>() / 3.0;
                    close_colour += u32::from(off < 0.1);
                } else if measured > z {
                    behind += 1;
                }
            }
        }
    }
    assert!(seen > 10_000, "only {seen} pixels are seen twice");
    let share = |n: u32, of: u32| n as f32 / of as f32;
    assert!(share(consistent, seen) > 0.6, "{consistent} of {seen} pixels agree");
    // Grazing rays may slip past the rim of a shape by rounding, and solids end their march within a tolerance.
    assert!(share(behind, seen) < 0.01, "{behind} of {seen} surfaces were looked through");
    // The nearest pixel stands in for the exact place, so fine textures differ.
    assert!(share(close_colour, consistent) > 0.75, "{close_colour} of {consistent} colours agree");
}

#[test]
fn rows_hold_down_right_back_centre_size_and_bounds() {
    let pose = rig::look(Vec3::new(1.0, 2.0, 3.0), Vec3::new(1.0, 2.0, 9.0), 0.0);
    let camera = Camera {
        width: 31,
        height: 17,
        focal: Vec2::splat(40.0),
        center: Vec2::new(15.5, 8.5),
        world_from_camera: pose,
    };
    let row = pose_bounds_row(&camera, (0.5, 8.0));
    let expected = [
        [0.0, 1.0, 0.0, 1.0, 17.0], //
        [1.0, 0.0, 0.0, 2.0, 31.0],
        [0.0, 0.0, -1.0, 3.0, 40.0],
    ];
    for (found, expected) in row[..15].iter().zip(expected.as_flattened()) {
        assert!((found - expected).abs() < 1e-6, "{row:?}");
    }
    assert_eq!(row[15..], [0.5, 8.0]);
}

#[test]
fn bounds_leave_out_the_outermost_thousandth() {
    let mut depth: Vec<f32> = (0..5000).map(|i| i as f32).collect();
    depth.reverse();
    assert_eq!(bounds(depth), (5.0, 4994.0));
    assert_eq!(bounds(vec![3.0]), (3.0, 3.0));
}

#[test]
fn folders_are_whole_or_absent_and_read_back() {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path().join("scene");
    let world = World::random(5, RigKind::Forward);
    let views = cameras(&world, &rig(RigKind::Forward, 3), 5);
    let options = WriteOptions { samples_per_pixel: 1, threads: 2, ..WriteOptions::default() };
    let steps = std::cell::RefCell::new(Vec::new());
    write_llff(&dir, &world, &views, &options, &|done| steps.borrow_mut().push(done)).unwrap();
    assert_eq!(*steps.borrow(), [1, 2, 3]);
    assert!(is_complete(&dir));
    assert_eq!(std::fs::read_dir(temp.path()).unwrap().count(), 1, "the temporary folder is gone");

    let bytes = std::fs::read(dir.join("poses_bounds.npy")).unwrap();
    let npy = npyz::NpyFile::new(&bytes[..]).unwrap();
    assert_eq!(npy.shape(), [3, 17]);
    let rows: Vec<f64> = npy.into_vec().unwrap();
    for (i, (row, camera)) in rows.chunks(17).zip(&views).enumerate() {
        let column = |c: usize| Vec3::new(row[c] as f32, row[5 + c] as f32, row[10 + c] as f32);
        assert_eq!(column(1), camera.world_from_camera.x_axis.truncate());
        assert_eq!(column(0), camera.world_from_camera.y_axis.truncate());
        assert_eq!(-column(2), camera.forward());
        assert_eq!(column(3), camera.origin());
        assert_eq!(column(4), Vec3::new(71.0, 97.0, camera.focal.x));
        let bytes = std::fs::read(dir.join(format!("depth/{i:03}.npy"))).unwrap();
        let npy = npyz::NpyFile::new(&bytes[..]).unwrap();
        assert_eq!(npy.shape(), [71, 97]);
        let depth: Vec<f32> = npy.into_vec().unwrap();
        let (image, exact) = render(&world, camera, 1);
        assert_eq!(depth, exact);
        let outside = depth.iter().filter(|z| f64::from(**z) < row[15] || f64::from(**z) > row[16]).count();
        assert!(outside as f32 <= 0.002 * depth.len() as f32, "{outside} depths out of bounds");
        let stored = image::open(dir.join(format!("images/{i:03}.png"))).unwrap().to_rgb8();
        assert_eq!(stored.into_raw(), image.to_rgb8());
    }

    // A complete scene is left as it is.
    let marker = dir.join("images/000.png");
    std::fs::write(&marker, b"mine").unwrap();
    write_llff(&dir, &world, &views, &options, &|_| ()).unwrap();
    assert_eq!(std::fs::read(&marker).unwrap(), b"mine");
}

/// A loader moves and scales the world, but pixels of one view go to the same pixels of another.
#[test]
fn a_loader_finds_the_same_relative_geometry() {
    let temp = tempfile::tempdir().unwrap();
    for (seed, kind) in [(4, RigKind::Forward), (6, RigKind::Orbit)] {
        let dir = temp.path().join(seed.to_string());
        let world = World::random(seed, kind);
        let views = cameras(&world, &rig(kind, 5), seed);
        let jpeg_quality = (kind == RigKind::Orbit).then_some(92);
        let options = WriteOptions { samples_per_pixel: 1, jpeg_quality, depth: false, threads: 2 };
        write_llff(&dir, &world, &views, &options, &|_| ()).unwrap();
        assert!(!dir.join("depth").exists());
        let loaded = crate::formats::load(&dir, &crate::LoadOptions::default()).unwrap();
        assert_eq!(loaded.views.len(), 5);
        let read = |i: usize| &loaded.views[i].camera;
        let scale = read(0).origin().distance(read(4).origin()) / views[0].origin().distance(views[4].origin());
        for (i, j) in [(0, 3), (4, 1)] {
            for pixel in [Vec2::new(48.0, 35.0), Vec2::new(10.0, 60.0), Vec2::new(90.0, 3.0)] {
                let depth = 3.0 * world.stage.distance;
                let Some((expected, z)) = transfer(&views[i], depth, pixel, &views[j]) else { continue };
                let (found, z_found) = transfer(read(i), depth * scale, pixel, read(j)).unwrap();
                assert!(found.distance(expected) < 0.01 * (1.0 + expected.length() / 97.0), "{found} {expected}");
                assert!((z_found - z * scale).abs() < 1e-3 * z_found.abs(), "{z_found} {z}");
            }
        }
    }
}

#[test]
fn foreign_content_and_bad_cameras_are_refused() {
    let temp = tempfile::tempdir().unwrap();
    let world = World::random(5, RigKind::Orbit);
    let mut views = cameras(&world, &rig(RigKind::Orbit, 1), 5);
    let options = WriteOptions::default();
    std::fs::write(temp.path().join("notes.txt"), b"keep").unwrap();
    let refused = write_llff(temp.path(), &world, &views, &options, &|_| ()).unwrap_err().to_string();
    assert!(refused.contains("found other files"), "{refused}");
    assert!(temp.path().join("notes.txt").exists());
    let dir = temp.path().join("scene");
    let refused = write_llff(&dir, &world, &[], &options, &|_| ()).unwrap_err().to_string();
    assert!(refused.contains("at least one camera"), "{refused}");
    views[0].focal.x = f32::NAN;
    let refused = write_llff(&dir, &world, &views, &options, &|_| ()).unwrap_err().to_string();
    assert!(refused.contains("finite intrinsics"), "{refused}");
    assert!(!dir.exists());
}

/// Neighbours of a forward rig are as far apart as the stage asks, and never further than its reach.
#[test]
fn forward_rigs_stay_within_reach() {
    for seed in 0..20 {
        let world = World::random(seed, RigKind::Forward);
        for views in [1, 2, 12, 33] {
            let placed = cameras(&world, &rig(RigKind::Forward, views), seed);
            assert_eq!(placed.len(), views);
            for camera in &placed {
                assert!(camera.origin().length() <= rig::REACH * world.stage.distance * 1.001);
            }
        }
    }
}

#[test]
fn the_showcase_is_full_of_shapes() {
    let world = World::showcase();
    assert!(world.num_objects() > 100);
    let camera = cameras(&world, &rig(RigKind::Forward, 1), 0)[0];
    let (_, depth) = render(&world, &camera, 1);
    let (near, far) = bounds(depth);
    assert!(far / near > 2.0, "{near} to {far}");
}

/// The tree finds what a search through all objects finds.
#[test]
fn the_tree_misses_nothing() {
    for seed in [2, 9] {
        let world = World::random(seed, RigKind::Forward);
        let mut rng = rng::Rng::new(seed, 77);
        let mut hits = 0;
        for _ in 0..3000 {
            let (o, d) = (rng.direction() * 0.2, rng.direction());
            let found = world.bvh.closest(o, d, 0.0, 1e6).map(|(t, _)| t);
            let all = world.bvh.objects.iter().filter_map(|object| object.hit(o, d, 0.0, 1e6)).reduce(f32::min);
            hits += u32::from(all.is_some());
            match (found, all) {
                // Solids end their march at a place that depends on where it was cut off, within a tolerance.
                (Some(a), Some(b)) => assert!((a - b).abs() < 2e-3 * b, "seed {seed}: {a} and {b}"),
                (a, b) => assert_eq!(a, b, "seed {seed}"),
            }
            assert_eq!(world.bvh.blocked(o, d, 0.0, 1e6), all.is_some());
        }
        assert!(hits > 100, "{hits}");
    }
}

/// The analytic gradient is the slope of the noise.
#[test]
fn noise_gradients_match_differences() {
    let mut rng = rng::Rng::new(1, 1);
    for _ in 0..200 {
        let p = rng.direction() * rng.range(0.0, 50.0);
        let slope = |axis: Vec3| (noise::noise(p + axis * 1e-2, 5) - noise::noise(p - axis * 1e-2, 5)) / 2e-2;
        let expected = Vec3::new(slope(Vec3::X), slope(Vec3::Y), slope(Vec3::Z));
        assert!((noise::noise_gradient(p, 5) - expected).length() < 0.03, "{p}");
    }
}

/// Pixel coordinates are integers at pixel centres in rig and tracer alike: the middle pixel of three by three in a picture
/// of three times the size is the same ray, and a pixel's colour is the mean of those nine, not of nine beside them.
#[test]
fn pixels_are_about_their_centres() {
    for (seed, kind) in [(3, RigKind::Forward), (4, RigKind::Orbit)] {
        let world = World::random(seed, kind);
        let (width, height) = (33usize, 25usize);
        let of = |scale: u32, samples| {
            let rig = Rig { width: 33 * scale, height: 25 * scale, views: 2, kind, samples_per_pixel: 1 };
            let camera = cameras(&world, &rig, seed)[1];
            let middle = (Vec2::new(rig.width as f32, rig.height as f32) - 1.0) / 2.0;
            assert_eq!(camera.center, middle);
            render(&world, &camera, samples)
        };
        let ((small, depth), (large, fine)) = (of(1, 9), of(3, 4));
        let mut same = 0;
        for (i, z) in depth.iter().enumerate() {
            let (x, y) = (i % width, i / width);
            let other = fine[(3 * y + 1) * 3 * width + 3 * x + 1];
            same += usize::from((z - other).abs() < 2e-3 * z);
        }
        // Rays through a silhouette may fall on either side of it by rounding.
        assert!(same * 100 >= 98 * depth.len(), "seed {seed}: {same} of {} depths agree", depth.len());
        let error = |dx: i32, dy: i32| -> f64 {
            let mut sum = 0.0;
            for (x, y) in (1..height as i32 - 1).flat_map(|y| (1..width as i32 - 1).map(move |x| (x, y))) {
                let mut mean = [0.0f32; 3];
                for (i, j) in (0..9).map(|k| (k % 3, k / 3)) {
                    let part = large.pixel((3 * x + i + dx) as u32, (3 * y + j + dy) as u32);
                    mean.iter_mut().zip(part).for_each(|(mean, part)| *mean += part / 9.0);
                }
                let colour = small.pixel(x as u32, y as u32);
                sum += colour.iter().zip(mean).map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>();
            }
            sum
        };
        let centred = error(0, 0);
        for (dx, dy) in [(-1, 0), (1, 0), (0, -1), (0, 1)] {
            assert!(centred < error(dx, dy), "seed {seed}: {centred}, and {} by {dx}, {dy}", error(dx, dy));
        }
    }
}

#[test]
fn samples_of_a_pixel_are_spread_about_its_centre() {
    for count in (1..=64).chain([1024]) {
        let offsets = tracer::offsets(count);
        assert_eq!(offsets.len(), count as usize);
        assert!(offsets.iter().all(|offset| offset.abs().max_element() <= 0.5), "{count}");
        let mean = offsets.iter().sum::<Vec2>() / count as f32;
        assert!(mean.length() < 2e-3, "{count} samples have their mean at {mean}");
    }
    assert_eq!(tracer::offsets(1), [Vec2::ZERO]);
}

/// The grid of rays that the exposure is measured with lies in the picture, whatever its size.
#[test]
fn exposure_does_not_depend_on_the_size() {
    let close = |seed: &u64| {
        let world = World::random(*seed, RigKind::Forward);
        let [large, small] = [(320, 240), (24, 18)].map(|(w, h)| world.brightness(&rig::middle(&world, w, h)));
        (large / small - 1.0).abs() < 1e-3
    };
    // Now and then a ray through a silhouette falls on the other side of it by rounding.
    let same = (0..16).filter(close).count();
    assert!(same >= 12, "{same} of 16");
}

/// Further files are there as soon as the scene is.
#[test]
fn further_files_come_with_the_folder() {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path().join("scene");
    let world = World::random(5, RigKind::Forward);
    let views = cameras(&world, &rig(RigKind::Forward, 1), 5);
    let options = WriteOptions { samples_per_pixel: 1, ..WriteOptions::default() };
    write_llff_with(&dir, &world, &views, &options, &[("note.txt", b"made")], &|_| ()).unwrap();
    assert!(is_complete(&dir));
    assert_eq!(std::fs::read(dir.join("note.txt")).unwrap(), b"made");
}
