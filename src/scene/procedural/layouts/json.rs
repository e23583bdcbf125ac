//! Layouts of JSON files: nerfstudio, Blender, Polycam and Record3D.

use super::{Shared, Written, rows, shared, write_text};
use crate::Result;
use serde_json::{Value, json};
use std::path::Path;

/// Every how many views of a Blender scene one is a test view, as views of other layouts are held out.
const TEST_EVERY: usize = 8;

/// `transforms.json`, with depth bounds of all views.
pub(super) fn nerfstudio(dir: &Path, written: &Written) -> Result<()> {
    let Shared { size: [w, h], focal: [fl_x, fl_y], center: [cx, cy] } = shared(written);
    let frames: Vec<Value> = (0..written.cameras.len()).map(|i| frame(written, i, "images")).collect();
    let [near, far] = bounds(written);
    let file = json!({
        "camera_model": "PINHOLE", "w": w, "h": h, "fl_x": fl_x, "fl_y": fl_y, "cx": cx, "cy": cy, "near": near, "far": far,
        "frames": frames,
    });
    write_text(&dir.join("transforms.json"), &file.to_string())
}

/// `transforms_train.json` and `transforms_test.json`; pictures of both lie in one folder.
pub(super) fn blender(dir: &Path, written: &Written) -> Result<()> {
    let Shared { size, focal, .. } = shared(written);
    let angle = 2.0 * (0.5 * size[0] / focal[0]).atan();
    let [near, far] = bounds(written);
    for (name, is_test) in [("train", false), ("test", true)] {
        let ids = (0..written.cameras.len()).filter(|i| (i % TEST_EVERY == 0) == is_test);
        let frames: Vec<Value> = ids.map(|i| frame(written, i, "train")).collect();
        let file = json!({"camera_angle_x": angle, "near": near, "far": far, "frames": frames});
        write_text(&dir.join(format!("transforms_{name}.json")), &file.to_string())?;
    }
    Ok(())
}

/// Bounds that hold all views'.
fn bounds(written: &Written) -> [f32; 2] {
    let fold = |best: fn(f32, f32) -> f32, end: fn(&(f32, f32)) -> f32| written.bounds.iter().map(end).reduce(best);
    [fold(f32::min, |b| b.0).unwrap_or(0.0), fold(f32::max, |b| b.1).unwrap_or(0.0)]
}

fn frame(written: &Written, i: usize, folder: &str) -> Value {
    let pose = rows(written.cameras[i].world_from_camera, true);
    json!({"file_path": format!("{folder}/{}", written.names[i]), "transform_matrix": pose})
}

/// `keyframes/cameras`, one file a view.
pub(super) fn polycam(dir: &Path, written: &Written) -> Result<()> {
    let Shared { size: [width, height], focal: [fx, fy], center: [cx, cy] } = shared(written);
    for (camera, name) in written.cameras.iter().zip(&written.names) {
        let mut file = json!({"fx": fx, "fy": fy, "cx": cx, "cy": cy, "width": width, "height": height});
        for (r, row) in rows(camera.world_from_camera, true).iter().take(3).enumerate() {
            for (c, value) in row.iter().enumerate() {
                file[format!("t_{r}{c}")] = json!(value);
            }
        }
        let path = Path::new(name).with_extension("json");
        write_text(&dir.join("keyframes/cameras").join(path), &file.to_string())?;
    }
    Ok(())
}

/// `metadata.json`.
pub(super) fn record3d(dir: &Path, written: &Written) -> Result<()> {
    let Shared { size: [w, h], focal: [fx, fy], center: [cx, cy] } = shared(written);
    let pose = |camera: &crate::Camera| {
        let pose = crate::pose::opengl_pose(camera.world_from_camera);
        let (_, rotation, place) = pose.to_scale_rotation_translation();
        [rotation.to_array().as_slice(), &place.to_array()].concat()
    };
    let poses: Vec<Vec<f64>> = written.cameras.iter().map(pose).collect();
    let file = json!({"w": w, "h": h, "K": [fx, 0.0, 0.0, 0.0, fy, 0.0, cx, cy, 1.0], "poses": poses, "fps": 30});
    write_text(&dir.join("metadata.json"), &file.to_string())
}
