//! Folders of rendered worlds: what is in them, and what a loader makes of them.

use super::*;
use crate::procedural::layouts::pose_bounds_row;
use crate::procedural::llff::bounds;

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
    assert!(is_complete(&dir, crate::Format::Llff));
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
        let options =
            WriteOptions { samples_per_pixel: 1, jpeg_quality, depth: false, threads: 2, ..WriteOptions::default() };
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

/// Further files are there as soon as the scene is.
#[test]
fn further_files_come_with_the_folder() {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path().join("scene");
    let world = World::random(5, RigKind::Forward);
    let views = cameras(&world, &rig(RigKind::Forward, 1), 5);
    let options = WriteOptions { samples_per_pixel: 1, ..WriteOptions::default() };
    write_llff_with(&dir, &world, &views, &options, &[("note.txt", b"made")], &|_| ()).unwrap();
    assert!(is_complete(&dir, crate::Format::Llff));
    assert_eq!(std::fs::read(dir.join("note.txt")).unwrap(), b"made");
}

/// Depths belong to the pictures' pixels; written poses are off by what structure from motion leaves, and the number of
/// threads changes nothing.
#[test]
fn real_captures_keep_true_depths_and_write_poses_beside_them() {
    let temp = tempfile::tempdir().unwrap();
    let world = World::compose(&WorldOptions { seed: 5, kind: RigKind::Forward, capture: Capture::Real, album: None });
    let views = cameras(&world, &rig(RigKind::Forward, 3), 5);
    let folders = [1, 3].map(|threads| {
        let dir = temp.path().join(threads.to_string());
        let options = WriteOptions { samples_per_pixel: 2, threads, ..WriteOptions::default() };
        write_llff(&dir, &world, &views, &options, &|_| ()).unwrap();
        dir
    });
    for name in ["images/000.png", "images/002.png", "poses_bounds.npy", "depth/001.npy"] {
        let [one, other] = folders.each_ref().map(|dir| std::fs::read(dir.join(name)).unwrap());
        assert_eq!(one, other, "{name}");
    }
    let rows: Vec<f64> = {
        let bytes = std::fs::read(folders[0].join("poses_bounds.npy")).unwrap();
        npyz::NpyFile::new(&bytes[..]).unwrap().into_vec().unwrap()
    };
    for (i, (row, camera)) in rows.chunks(17).zip(&views).enumerate() {
        let centre = Vec3::new(row[3] as f32, row[8] as f32, row[13] as f32);
        let off = centre.distance(camera.origin());
        assert!(off > 0.0 && off < 0.02 * world.stage.distance, "view {i}: {off}");
        let bytes = std::fs::read(folders[0].join(format!("depth/{i:03}.npy"))).unwrap();
        let depth: Vec<f32> = npyz::NpyFile::new(&bytes[..]).unwrap().into_vec().unwrap();
        assert_eq!(depth, render(&world, camera, 1).1);
    }
}
