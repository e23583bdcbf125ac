//! Numbers of the official PyTorch code for tests of this crate and its dependants (`tests/fixtures/`).

use crate::{Config, Model};
use glam::{Mat4, Vec2, Vec3};
use safetensors::{Dtype, SafeTensors};
use scene::{Camera, Image, Ray};
use std::collections::HashMap;
use std::path::PathBuf;

/// Tensors of a fixture by name, with their shapes; integers are converted.
pub type Fixture = HashMap<String, (Vec<usize>, Vec<f32>)>;

fn path(name: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures")).join(name)
}

/// Reads `tests/fixtures/{name}.safetensors`; panics if it cannot.
pub fn fixture(name: &str) -> Fixture {
    let bytes = std::fs::read(path(&format!("{name}.safetensors"))).expect("fixture");
    let tensors = SafeTensors::deserialize(&bytes).expect("fixture");
    let mut out = HashMap::new();
    for (name, view) in tensors.tensors() {
        let data = view.data();
        let values: Vec<f32> = match view.dtype() {
            Dtype::F32 => data.chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().expect("4 bytes"))).collect(),
            Dtype::F64 => {
                data.chunks_exact(8).map(|b| f64::from_le_bytes(b.try_into().expect("8 bytes")) as f32).collect()
            }
            Dtype::I64 => {
                data.chunks_exact(8).map(|b| i64::from_le_bytes(b.try_into().expect("8 bytes")) as f32).collect()
            }
            Dtype::U8 => data.iter().map(|b| f32::from(*b)).collect(),
            other => panic!("{name}: unexpected {other:?}"),
        };
        out.insert(name, (view.shape().to_vec(), values));
    }
    out
}

/// Weights of the feature network, unpacked from 4-bit levels: `(2·level − 15) · 2^exp`, plus 1 for gains.
pub fn feature_weights() -> Fixture {
    let text = std::fs::read_to_string(path("feature_net_levels.json")).expect("fixture");
    let meta: serde_json::Value = serde_json::from_str(&text).expect("fixture");
    let packed = fixture("feature_net_levels_u4");
    let mut out = HashMap::new();
    for (name, shape) in meta["shape"].as_object().expect("fixture") {
        let shape: Vec<usize> =
            shape.as_array().expect("shape").iter().map(|v| v.as_u64().expect("size") as usize).collect();
        let scale = (meta["exp"][name].as_i64().expect("exp") as f32).exp2();
        let gain = if shape.len() == 1 && name.ends_with("weight") { 1.0 } else { 0.0 };
        let bytes = &packed[name].1;
        let level = |i: usize| (bytes[i / 2] as u32 >> (4 * (i % 2))) & 15;
        let values = (0..shape.iter().product()).map(|i| (2.0 * level(i) as f32 - 15.0) * scale + gain).collect();
        out.insert(name.clone(), (shape, values));
    }
    out
}

/// The small official network of the fixtures (two blocks) with its weights.
pub fn small_model() -> (Model, Vec<f32>) {
    let model = Model::new(Config { samples: 16, views: 3, ..Config::official(2) }).expect("valid");
    let mut params = vec![f32::NAN; model.layout.len()];
    let (coarse, features) = (fixture("small_net_coarse"), feature_weights());
    for entry in model.layout.entries() {
        let (part, name) = entry.name.split_once('.').expect("prefixed");
        let source = if part == "net_coarse" { &coarse } else { &features };
        let (shape, values) = &source[name];
        assert_eq!(shape, &entry.shape, "{}", entry.name);
        entry.slot.of_mut(&mut params).copy_from_slice(values);
    }
    (model, params)
}

/// A camera from upstream's 34 numbers: height, width, K and camera-to-world, both 4×4 row-major.
pub fn camera(v: &[f32]) -> Camera {
    Camera {
        width: v[1] as u32,
        height: v[0] as u32,
        focal: Vec2::new(v[2], v[7]),
        center: Vec2::new(v[4], v[8]),
        world_from_camera: Mat4::from_cols_slice(&v[18..34]).transpose(),
    }
}

/// The small fixture's source views and rays.
pub struct SmallScene {
    /// All tensors of `small_io`.
    pub io: Fixture,
    /// Source cameras and photographs.
    pub sources: Vec<(Camera, Image)>,
    /// Rays of eight pixels.
    pub rays: Vec<Ray>,
    /// Near and far bound.
    pub depth_range: (f32, f32),
}

/// Reads `small_io`.
pub fn small_scene() -> SmallScene {
    let io = fixture("small_io");
    let images = &io["in.src_rgbs"].1;
    let sources = io["in.src_cameras"].1.chunks_exact(34).zip(images.chunks_exact(images.len() / 3)).map(|(c, rgb)| {
        let camera = camera(c);
        (camera, Image::new(camera.width, camera.height, rgb.to_vec()).expect("fixture"))
    });
    let sources = sources.collect();
    let rays = io["in.ray_o"].1.chunks_exact(3).zip(io["in.ray_d"].1.chunks_exact(3));
    let rays = rays.map(|(o, d)| Ray { origin: Vec3::from_slice(o), direction: Vec3::from_slice(d) }).collect();
    let range = &io["in.depth_range"].1;
    let depth_range = (range[0], range[1]);
    SmallScene { io, sources, rays, depth_range }
}
