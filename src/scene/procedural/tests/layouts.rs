//! One scene in every layout is one scene, and lenses are taken out as they were put in.

use super::*;
use crate::formats::load;
use crate::image::{mean_squared_error, psnr};
use crate::lens::LensModel;
use crate::procedural::pixels::{Eye, Sampling, trace};
use crate::{Camera, Distortion, Format, LoadOptions, Scene};
use glam::{DVec2, Vec2};

const VIEWS: usize = 9;

fn scene_of(kind: RigKind) -> (World, Vec<Camera>) {
    let world = World::random(5, kind);
    let rig = Rig { width: 48, height: 36, views: VIEWS, kind, samples_per_pixel: 1 };
    let cameras = cameras(&world, &rig, 5);
    (world, cameras)
}

fn written(dir: &std::path::Path, world: &World, cameras: &[Camera], format: Format, options: &LoadOptions) -> Scene {
    let root = dir.join(format.name());
    let write = WriteOptions { samples_per_pixel: 1, depth: false, format, ..WriteOptions::default() };
    write_llff(&root, world, cameras, &write, &|_| {}).unwrap();
    assert!(is_complete(&root, format));
    load(&root, options).unwrap_or_else(|e| panic!("{format:?}: {e}"))
}

/// Cameras in the file's frame, pictures, and which are held out.
#[test]
fn every_layout_is_read_as_what_was_written() {
    for kind in [RigKind::Forward, RigKind::Orbit] {
        let (world, cameras) = scene_of(kind);
        let dir = tempfile::tempdir().unwrap();
        let bounds = Some([0.5, 60.0]);
        for format in Format::ALL {
            let scene =
                written(dir.path(), &world, &cameras, format, &LoadOptions { bounds, ..LoadOptions::default() });
            assert_eq!((scene.format, scene.views.len()), (format, VIEWS), "{format:?}");
            let mut held_out: Vec<&str> = scene.held_out.iter().map(|id| scene.views[*id].name.as_str()).collect();
            held_out.sort_unstable();
            assert_eq!(held_out, ["000", "008"], "{format:?}");
            let back = scene.scene_from_file.inverse();
            for view in &scene.views {
                let expected = &cameras[view.name.parse::<usize>().unwrap()];
                let pose = back.pose(view.camera.world_from_camera.as_dmat4());
                let off = (pose - expected.world_from_camera.as_dmat4()).to_cols_array();
                // Places of some ten units in f32, scaled there and back.
                assert!(off.iter().all(|v| v.abs() < 2e-4), "{format:?} {}: {off:?}", view.name);
                assert!((view.camera.focal / expected.focal - 1.0).abs().max_element() < 1e-5, "{format:?}");
                assert!((view.camera.center - expected.center).abs().max_element() < 1e-4, "{format:?}");
                assert!(view.distortion.is_none());
            }
            let scale = scene.scene_from_file.scale;
            assert!((scene.near - 4.0 / 3.0).abs() < 1e-5, "{format:?}");
            assert!((f64::from(scene.far) / (60.0 * scale) - 1.0).abs() < 1e-5, "{format:?}");
            let odd: Vec<_> = scene.warnings.iter().filter(|warning| !warning.contains("millimetres")).collect();
            assert!(odd.is_empty(), "{format:?}: {odd:?}");
        }
    }
}

/// Points of a model tell bounds as depth maps do; without bounds or points that they are guessed is said.
#[test]
fn bounds_come_from_points_or_are_guessed() {
    let (world, cameras) = scene_of(RigKind::Forward);
    let dir = tempfile::tempdir().unwrap();
    let load = |format| written(dir.path(), &world, &cameras, format, &LoadOptions::default());
    let (llff, colmap) = (load(Format::Llff), load(Format::Colmap));
    let of = |scene: &Scene| scene.far / scene.near;
    assert!((of(&colmap) / of(&llff) - 1.0).abs() < 0.1, "{} {}", of(&colmap), of(&llff));
    let scale = colmap.scene_from_file.scale / llff.scene_from_file.scale;
    assert!((scale - 1.0).abs() < 0.05 && colmap.bounds_are_tight, "{scale}");
    assert!(colmap.warnings.is_empty(), "{:?}", colmap.warnings);
    for format in [Format::Polycam, Format::Record3d, Format::Metashape, Format::Ibrnet, Format::RealityCapture] {
        let warnings = load(format).warnings;
        assert!(warnings.iter().any(|w| w.contains("--bounds NEAR,FAR")), "{format:?}: {warnings:?}");
    }
}

/// A picture that is taken through a lens and straightened is that of the pinhole camera that is told.
#[test]
fn lenses_are_taken_out_as_they_were_put_in() {
    let (world, cameras) = scene_of(RigKind::Forward);
    let size = (96, 72);
    let camera = Camera { center: Vec2::new(44.0, 38.5), ..cameras[4].resized(size.0, size.1) };
    let radial = [-0.05, 0.02, -0.004, 0.001, 0.0, 0.0];
    let tangential = [0.004, -0.003];
    for model in [
        LensModel::Brown(crate::distortion::Coefficients { radial: [-0.12, 0.03, 0.0, 0.0], tangential }),
        LensModel::Rational { radial: [-0.08, 0.02, 0.01, 0.05, -0.01, 0.002], tangential },
        LensModel::fisheye(&radial),
        LensModel::Fisheye { radial, tangential, prism: [0.002, 0.0, -0.001, 0.0], after_radial: false },
        LensModel::FieldOfView { omega: 0.9 },
        LensModel::Division { k: -0.15 },
        LensModel::Unified { alpha: 0.6, beta: 1.1 },
    ] {
        let (linear, _) = trace(&world, &Eye::with_lens(camera, model.into()), 9, Sampling::Everywhere, 2);
        let photograph = world.photograph(0, &camera, linear, &[]).unwrap().0;
        let lens = Distortion::new(model, camera.focal.as_dvec2(), camera.center.as_dvec2(), size).unwrap();
        let straight = crate::resample::warp(&photograph, |pixel: DVec2| lens.stored_from_pinhole(pixel));
        let likeness = |camera: &Camera| {
            let (expected, _) = render_with_threads(&world, camera, 9, 2);
            psnr(mean_squared_error(&straight.data, &expected.data), 1e-6)
        };
        let told = Camera { focal: (camera.focal.as_dvec2() * lens.zoom()).as_vec2(), ..camera };
        let right = likeness(&told);
        // A third of a pixel beside it, it is less like by far.
        let beside = likeness(&Camera { center: told.center + Vec2::new(0.33, 0.0), ..told });
        let plain = likeness(&camera);
        eprintln!("{model:?}: {right:.1} dB, a third of a pixel beside {beside:.1}, not straightened {plain:.1}");
        // Fisheyes lose detail where their middle is drawn smaller.
        assert!(right > 30.0 && right > beside + 1.0 && right > plain + 3.0, "{model:?}: {right} {beside} {plain}");
    }
}
