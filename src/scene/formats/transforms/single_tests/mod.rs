//! nerfstudio scenes: whole folders, read from one `transforms.json`.

mod hostile;
mod lens;
mod pictures;
mod world;

use super::*;
use crate::Similarity;
use crate::formats::load;
use crate::pose::look_along;
use ::image::{GrayImage, Luma};
use glam::DVec3;
use serde_json::{Value, json};

/// f32 rounding of poses and intrinsics.
const TOLERANCE: f32 = 1e-4;
/// Where the test cameras look.
const CENTER: DVec3 = DVec3::new(3.0, -2.0, 7.0);
/// How far they are from it.
const DISTANCE: f64 = 5.0;

fn matrix(pose: DMat4) -> Value {
    json!(pose.transpose().to_cols_array_2d())
}

/// Cameras around [`CENTER`], with names that sort in the order of the cameras.
fn ring(count: usize) -> Value {
    let frame = |i: usize| {
        let angle = 0.2 + i as f64 * 0.7;
        let offset = DVec3::new(0.8 * angle.cos(), 0.8 * angle.sin(), 0.6) * DISTANCE;
        let pose = look_along(offset, DVec3::Z, CENTER + offset).unwrap();
        json!({"file_path": format!("images/{i:02}.png"), "transform_matrix": matrix(pose)})
    };
    json!({"fl_x": 40.0, "fl_y": 42.0, "w": 31, "h": 33.0, "frames": (0..count).map(frame).collect::<Vec<_>>()})
}

/// A folder with the file and an image of 31×33 for each frame that has none.
fn folder(json: &Value) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    write(&dir, json);
    for frame in json["frames"].as_array().unwrap() {
        add_image(&dir, frame["file_path"].as_str().unwrap(), (31, 33));
    }
    dir
}

fn write(dir: &tempfile::TempDir, json: &Value) {
    std::fs::write(dir.path().join("transforms.json"), json.to_string()).unwrap();
}

fn add_image(dir: &tempfile::TempDir, name: &str, (width, height): (u32, u32)) {
    let path = dir.path().join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    GrayImage::from_fn(width, height, |x, y| Luma([(x * 5 + y) as u8])).save(path).unwrap();
}

fn scene(json: &Value, options: LoadOptions) -> Scene {
    load(folder(json).path(), &options).unwrap()
}

/// The coefficients of a lens that has radial and tangential ones.
fn brown(lens: crate::Distortion) -> crate::distortion::Coefficients {
    let crate::LensModel::Brown(coefficients) = lens.lens().model else { panic!("{:?}", lens.lens()) };
    coefficients
}

fn error(json: &Value) -> String {
    load(folder(json).path(), &LoadOptions::default()).unwrap_err().to_string()
}

/// Scene with one value more or other in the file, and in its second frame.
fn edited(shared: &[(&str, Value)], own: &[(&str, Value)]) -> Value {
    let mut json = ring(5);
    shared.iter().for_each(|(key, value)| json[*key] = value.clone());
    own.iter().for_each(|(key, value)| json["frames"][1][*key] = value.clone());
    json
}
