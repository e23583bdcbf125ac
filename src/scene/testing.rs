//! Scenes and fixtures for tests.

use crate::{Camera, Format, Scene, Similarity, SourceOrder, Split, View};
use glam::{Mat4, Vec2, Vec3};
use safetensors::SafeTensors;
use std::path::PathBuf;

/// A folder with files of these names, which are no scene's by what they hold.
pub fn folder(files: &[&str]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for file in files {
        let path = dir.path().join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, b"{}").unwrap();
    }
    dir
}

/// A camera at `center` that looks along +z, 31×17 pixels.
pub fn camera(center: Vec3) -> Camera {
    Camera {
        width: 31,
        height: 17,
        focal: Vec2::splat(20.0),
        center: Vec2::new(15.5, 8.5),
        world_from_camera: Mat4::from_translation(center),
    }
}

/// A scene of forward-facing cameras without images.
pub fn scene(centers: &[Vec3]) -> Scene {
    scene_of(centers.iter().map(|c| camera(*c)).collect())
}

/// A scene of given cameras without images; every 8th view is held out.
pub fn scene_of(cameras: Vec<Camera>) -> Scene {
    let (source_ids, held_out) = crate::formats::split::by_position(cameras.len(), 8);
    let views = cameras.into_iter().enumerate().map(|(i, camera)| View {
        name: format!("image{i:03}"),
        path: PathBuf::from(format!("image{i:03}.png")),
        mask: None,
        stored_size: (camera.width, camera.height),
        camera,
        near: 1.0,
        far: 10.0,
        distortion: None,
        turn: ::image::metadata::Orientation::NoTransforms,
    });
    Scene {
        name: "test".into(),
        root: PathBuf::new(),
        format: Format::Llff,
        views: views.collect(),
        source_ids,
        held_out,
        split: Some(Split::HeldOut),
        missing: 0,
        pose_files: Vec::new(),
        near: 1.0,
        far: 10.0,
        bounds_are_tight: true,
        eval_stride: 1,
        scene_from_file: Similarity::IDENTITY,
        order: SourceOrder::Distance,
        warnings: Vec::new(),
    }
}

/// Reference outputs of the official loaders.
pub struct Fixture(Vec<u8>);

impl Fixture {
    /// Reads `tests/fixtures/loaders.safetensors`.
    pub fn loaders() -> Self {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures/loaders.safetensors");
        Self(std::fs::read(path).unwrap())
    }

    /// Values of a tensor as f64, whatever its type.
    pub fn get(&self, name: &str) -> Vec<f64> {
        let file = SafeTensors::deserialize(&self.0).unwrap();
        let tensor = file.tensor(name).unwrap();
        let bytes = tensor.data();
        match tensor.dtype() {
            safetensors::Dtype::F64 => bytes.as_chunks().0.iter().map(|b| f64::from_le_bytes(*b)).collect(),
            safetensors::Dtype::F32 => bytes.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b).into()).collect(),
            safetensors::Dtype::I64 => bytes.as_chunks().0.iter().map(|b| i64::from_le_bytes(*b) as f64).collect(),
            safetensors::Dtype::U8 => bytes.iter().map(|b| f64::from(*b)).collect(),
            other => panic!("{name}: unexpected type {other:?}"),
        }
    }

    /// Values of a tensor as indices.
    pub fn ids(&self, name: &str) -> Vec<usize> {
        self.get(name).into_iter().map(|v| v as usize).collect()
    }
}

/// Row-major 4×4 values of a pose.
pub fn rows(pose: Mat4) -> Vec<f64> {
    pose.transpose().to_cols_array().map(f64::from).to_vec()
}

/// The reference's camera vector: height, width, 4×4 intrinsics, 4×4 camera-to-world.
///
/// The reference has the principal point at half the width and height, in coordinates with integers at pixel centres. That
/// is half a pixel beyond the image's middle, where this crate has it; nothing else differs.
pub fn camera_vector(c: &Camera) -> Vec<f64> {
    let [fx, fy] = [c.focal.x, c.focal.y].map(f64::from);
    let [cx, cy] = [c.center.x, c.center.y].map(|c| f64::from(c) + 0.5);
    let mut all = vec![f64::from(c.height), f64::from(c.width)];
    all.extend([fx, 0.0, cx, 0.0, 0.0, fy, cy, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0]);
    all.extend(rows(c.world_from_camera));
    all
}

/// Asserts that values agree to within an absolute tolerance.
pub fn assert_close(what: &str, got: &[f64], expected: &[f64], tolerance: f64) {
    assert_eq!(got.len(), expected.len(), "{what}: length");
    for (i, (g, e)) in got.iter().zip(expected).enumerate() {
        assert!((g - e).abs() <= tolerance, "{what}[{i}]: expected {e}, found {g}");
    }
}
