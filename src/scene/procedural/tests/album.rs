//! Photographic textures.

use super::*;
use std::fs;
use std::path::Path;

/// A picture of 8 by 6 pixels in one colour, with a darker left half.
fn picture(path: &Path, colour: [u8; 3]) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let dark = colour.map(|v| v / 2);
    let image = image::RgbImage::from_fn(8, 6, |x, _| image::Rgb(if x < 4 { dark } else { colour }));
    image.save(path).unwrap();
}

fn world(album: &Album) -> World {
    World::compose(&WorldOptions { seed: 2, kind: RigKind::Forward, capture: Capture::Ideal, album: Some(album) })
}

/// The order in which files were made, and so that of the file system, changes nothing.
#[test]
fn albums_are_in_the_order_of_their_paths() {
    let temp = tempfile::tempdir().unwrap();
    let files = [("a/1.png", [200, 30, 30]), ("a/2.jpg", [30, 200, 30]), ("b/c/1.bmp", [30, 30, 200])];
    let made = ["one", "two"].map(|name| {
        let root = temp.path().join(name);
        let mut files = files;
        if name == "two" {
            files.reverse();
        }
        files.iter().for_each(|(path, colour)| picture(&root.join(path), *colour));
        fs::write(root.join("README.md"), "no picture").unwrap();
        picture(&root.join(".hidden/9.png"), [1, 2, 3]);
        Album::open(&root).unwrap()
    });
    assert_eq!(made[0].len(), 3);
    assert_eq!(made[0].fingerprint(), made[1].fingerprint());
    let [one, two] = made.each_ref().map(|album| {
        let world = world(album);
        let camera = cameras(&world, &rig(RigKind::Forward, 1), 2)[0];
        render_with_threads(&world, &camera, 1, 2)
    });
    assert_eq!(one, two);
    picture(&temp.path().join("one/a/2.jpg"), [200, 200, 31]);
    assert_ne!(Album::open(&temp.path().join("one")).unwrap().fingerprint(), made[0].fingerprint());
}

#[test]
fn broken_pictures_are_named() {
    let temp = tempfile::tempdir().unwrap();
    let refused = Album::open(temp.path()).unwrap_err().to_string();
    assert!(refused.contains("expected 1 to") && refused.contains("found 0"), "{refused}");
    picture(&temp.path().join("good.png"), [9, 9, 9]);
    fs::write(temp.path().join("bad.png"), b"no picture at all").unwrap();
    let refused = Album::open(temp.path()).unwrap_err().to_string();
    assert!(refused.contains("bad.png"), "{refused}");
    assert!(Album::open(&temp.path().join("missing")).is_err());
}

/// Large pictures are kept small.
#[test]
fn large_pictures_are_halved() {
    let temp = tempfile::tempdir().unwrap();
    image::RgbImage::from_pixel(601, 33, image::Rgb([90, 90, 90])).save(temp.path().join("wide.png")).unwrap();
    assert_eq!(Album::open(temp.path()).unwrap().len(), 1);
}

/// Surfaces wear the pictures; shapes and cameras stay where they are.
#[test]
fn albums_change_colours_alone() {
    let temp = tempfile::tempdir().unwrap();
    picture(&temp.path().join("red.png"), [220, 20, 20]);
    let (plain, dressed) = (World::random(2, RigKind::Forward), world(&Album::open(temp.path()).unwrap()));
    let views = [&plain, &dressed].map(|world| cameras(world, &rig(RigKind::Forward, 1), 2)[0]);
    assert_eq!(views[0], views[1]);
    let [(image, depth), (other, other_depth)] = [&plain, &dressed].map(|world| render(world, &views[0], 1));
    assert_eq!(depth, other_depth);
    assert_ne!(image, other);
    let worn = dressed.materials.iter().filter(|material| material.texture.swatch.is_some()).count();
    let share = worn as f32 / dressed.materials.len() as f32;
    assert!((0.35..0.95).contains(&share), "{worn} of {}", dressed.materials.len());
}

/// The right end of a tile goes on in its left one, whatever the picture shows, and lines at its edges are left out.
#[test]
fn pictures_tile() {
    let temp = tempfile::tempdir().unwrap();
    let slope = image::RgbImage::from_fn(132, 100, |x, y| {
        let edge = x.min(131 - x).min(y).min(99 - y) < 2;
        image::Rgb(if edge { [255, 0, 255] } else { [(40 + x) as u8, (40 + 2 * y) as u8, 90] })
    });
    slope.save(temp.path().join("slope.png")).unwrap();
    let album = Album::open(temp.path()).unwrap();
    let steps = album.steps(0);
    assert!(steps.0 <= 16 && steps.1 <= 26, "{steps:?}");
}

/// Far away a tile is its mean colour; close by its two halves are told apart.
#[test]
fn tiles_are_filtered() {
    let colours: Vec<Vec3> = (0..16).map(|i| Vec3::splat(if i % 4 < 2 { 0.2 } else { 0.6 })).collect();
    let tile = swatch::Swatch::new((4, 4), &colours, 0.25, 1.0, 0.0, Vec3::ZERO, 1.0);
    let at = |x: f32, footprint: f32| tile.colour(Vec3::new(x, 0.3, 0.0), Vec3::Z, footprint).x;
    assert!((at(0.25, 0.01) - 0.2).abs() < 0.01 && (at(0.75, 0.01) - 0.6).abs() < 0.01);
    // Tiles repeat.
    assert!((at(-3.75, 0.01) - at(0.25, 0.01)).abs() < 1e-4);
    for x in [0.1, 0.5, 0.9] {
        assert!((at(x, 50.0) - 0.4).abs() < 0.01, "{}", at(x, 50.0));
    }
    // The edge between the halves slopes along x alone.
    let slope = tile.slope(Vec3::new(0.4, 0.3, 0.0), Vec3::Z, 0.01);
    assert!(slope.x > 0.05 && slope.y.abs() < 1e-4 && slope.z == 0.0, "{slope}");
    assert_eq!(tile.slope(Vec3::new(0.4, 0.3, 0.0), Vec3::Z, 5.0), Vec3::ZERO);
}
