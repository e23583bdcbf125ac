//! Key frames: a way for the camera, at constant speed, in files that `shiftray render --path` and nerfstudio read.

use crate::eye::{Eye, Lens};
use crate::{Error, Result};
use glam::{DMat3, DMat4, DQuat, DVec2};
use scene::paths::file::{self, PathFile, PathFileOptions};
use scene::paths::keyframes::{self, Key};
use scene::paths::nerfstudio::viewer_from_scene;
use scene::{Camera, Frame, Scene, Similarity, write};
use serde_json::{Value, json};
use std::path::Path;

/// Most key frames that a path of single frames becomes.
const MOST: usize = 60;
/// Most key frames of a file.
const MOST_KEYS: usize = 1000;

/// Key frames in their order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Keys {
    /// Where the camera passes.
    pub eyes: Vec<Eye>,
    /// Whether they changed since they were last saved.
    pub unsaved: bool,
}

/// What a path file holds.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// Key frames.
    pub keys: Keys,
    /// Number of its frames.
    pub frames: usize,
    /// What was assumed or ignored.
    pub warnings: Vec<String>,
}

impl Keys {
    /// Adds a key frame at the end.
    pub fn add(&mut self, eye: Eye) {
        self.eyes.push(eye);
        self.unsaved = true;
    }

    /// Removes a key frame, if it is there.
    pub fn remove(&mut self, i: usize) {
        if i < self.eyes.len() {
            self.eyes.remove(i);
            self.unsaved = true;
        }
    }

    /// Puts key frame `from` where `to` is, if both are there.
    pub fn reorder(&mut self, from: usize, to: usize) {
        if from < self.eyes.len() && to < self.eyes.len() {
            let eye = self.eyes.remove(from);
            self.eyes.insert(to, eye);
            self.unsaved = true;
        }
    }

    /// `count` places along the way, at even steps; `unit` is a length that weighs as much as a turn by one radian.
    pub fn along(&self, count: usize, unit: f64) -> Vec<Eye> {
        let keys: Vec<Key> = self.eyes.iter().map(Eye::key).collect();
        keyframes::along(&keys, count, unit).into_iter().map(Eye::of_key).collect()
    }

    /// The frames of a path of `count` pictures of `size`.
    pub fn frames(&self, count: usize, size: (u32, u32), unit: f64) -> Vec<Frame> {
        let frame = |(i, eye): (usize, Eye)| Frame::new(format!("frame_{i:04}"), eye.camera(size));
        self.along(count, unit).into_iter().enumerate().map(frame).collect()
    }

    /// Writes the path for `shiftray render --path`, with the key frames in it so that they can be loaded again; or for
    /// nerfstudio, if the name ends in `.nerfstudio.json`. Poses are in the coordinates of the scene's files, for nerfstudio
    /// in those of its viewer where `dataparser_transforms.json` beside the file or in the scene tells them. Photographs of
    /// the `hidden` views are no sources of its frames, which nerfstudio's file cannot tell.
    ///
    /// # Errors
    /// [`Error::Scene`] if the file cannot be written, or there are no key frames.
    pub fn write(
        &self,
        path: &Path,
        scene: &Scene,
        count: usize,
        (size, unit): ((u32, u32), f64),
        hidden: &[usize],
    ) -> Result<()> {
        if self.eyes.is_empty() {
            return Err(Error::Scene(scene::Error::Scene("expected key frames to save, found none".into())));
        }
        let frames = self.frames(count, size, unit);
        if is_nerfstudio(path) {
            let viewer = viewer_from_scene(path, scene)?;
            let text = nerfstudio(&viewer, &self.eyes, &frames, size);
            write::write_bytes(path, format!("{text:#}\n").as_bytes())?;
        } else {
            let excluded: Vec<&str> =
                hidden.iter().filter_map(|view| Some(scene.views.get(*view)?.name.as_str())).collect();
            let keys: Vec<Value> = self.eyes.iter().map(|eye| pose_json(scene, &eye.camera(reference(eye)))).collect();
            let lines: Vec<String> = frames
                .iter()
                .map(|frame| {
                    let mut value = pose_json(scene, &frame.camera);
                    value["name"] = json!(frame.name);
                    if !excluded.is_empty() {
                        value["exclude"] = json!(excluded);
                    }
                    value.to_string()
                })
                .collect();
            let text = format!(
                "{{\"frame\": \"file\", \"path\": {}, \"frames\": [\n{}\n]}}\n",
                json!({ "keys": keys }),
                lines.join(",\n")
            );
            write::write_bytes(path, text.as_bytes())?;
        }
        Ok(())
    }

    /// As [`write`](Self::write); they are saved from then on, unless it was for nerfstudio, whose file does not give them
    /// back.
    ///
    /// # Errors
    /// As there.
    pub fn save(
        &mut self,
        path: &Path,
        scene: &Scene,
        count: usize,
        size: ((u32, u32), f64),
        hidden: &[usize],
    ) -> Result<()> {
        self.write(path, scene, count, size, hidden)?;
        self.unsaved &= is_nerfstudio(path);
        Ok(())
    }

    /// Reads key frames that were saved, or makes key frames of the frames of another path file.
    ///
    /// # Errors
    /// [`Error::Scene`] if the file cannot be read or is no path.
    pub fn load(path: &Path, scene: &Scene) -> Result<Loaded> {
        let PathFile { frames, are_keys, warnings, .. } = file::read(path, scene, &PathFileOptions::default())?;
        let bytes = file_text(path)?;
        let keys = serde_json::from_str::<Value>(&bytes).ok().and_then(|value| {
            let keys = value.get("path")?.get("keys")?.as_array()?;
            // A file may hold any number; nobody makes more.
            if keys.is_empty() || keys.len() > MOST_KEYS {
                return None;
            }
            keys.iter().map(|key| eye_of_json(scene, key)).collect::<Option<Vec<Eye>>>()
        });
        let eyes = keys.unwrap_or_else(|| {
            let most = if are_keys { MOST_KEYS } else { MOST };
            let step = frames.len().div_ceil(most).max(1);
            let mut picked: Vec<&Frame> = frames.iter().step_by(step).collect();
            let last = frames.last().filter(|last| picked.last().is_some_and(|picked| picked.name != last.name));
            picked.extend(last);
            picked.into_iter().map(|frame| Eye::of(&frame.camera)).collect()
        });
        let frames = if are_keys { scene::paths::DEFAULT_FRAMES } else { frames.len() };
        Ok(Loaded { frames, keys: Self { eyes, unsaved: false }, warnings })
    }
}

fn file_text(path: &Path) -> Result<String> {
    // As long as a path of the most frames can be.
    Ok(scene::file::read_text(path, 256 << 20)?)
}

/// The size of the picture that an eye's lens is told for.
fn reference(eye: &Eye) -> (u32, u32) {
    (eye.lens.size.x as u32, eye.lens.size.y as u32)
}

/// Pose of a camera in the scene's files, x right, y up, z backwards: rows of a 4×4 matrix.
pub fn pose_in_file(scene: &Scene, camera: &Camera) -> [[f64; 4]; 4] {
    opengl_rows(&scene.scene_from_file.inverse(), camera)
}

/// The same in other coordinates.
fn opengl_rows(other_from_scene: &Similarity, camera: &Camera) -> [[f64; 4]; 4] {
    let pose = camera.world_from_camera.as_dmat4();
    let opengl = DMat4::from_cols(pose.x_axis, -pose.y_axis, -pose.z_axis, pose.w_axis);
    other_from_scene.pose(opengl).transpose().to_cols_array_2d()
}

/// A camera of the pose of the scene's files, row by row.
pub fn eye_in_file(scene: &Scene, rows: &[f64; 16], lens: Lens) -> Option<Eye> {
    let pose = scene.scene_from_file.pose(DMat4::from_cols_array(rows).transpose());
    let opencv = DMat4::from_cols(pose.x_axis, -pose.y_axis, -pose.z_axis, pose.w_axis);
    let axes = DMat3::from_mat4(opencv);
    let off = axes.transpose() * axes - DMat3::IDENTITY;
    let rigid = off.to_cols_array().iter().all(|v| v.abs() < 1e-2) && axes.determinant() > 0.0;
    let eye = Eye { center: opencv.w_axis.truncate(), rotation: DQuat::from_mat3(&axes).normalize(), lens };
    (rigid && eye.center.is_finite()).then_some(eye)
}

/// A camera as a frame of a path file.
pub fn pose_json(scene: &Scene, camera: &Camera) -> Value {
    let Camera { width, height, focal, center, .. } = camera;
    json!({
        "camera_to_world": pose_in_file(scene, camera), "w": width, "h": height,
        "fl_x": focal.x, "fl_y": focal.y, "cx": center.x, "cy": center.y,
    })
}

fn eye_of_json(scene: &Scene, value: &Value) -> Option<Eye> {
    let rows = value.get("camera_to_world")?.as_array()?;
    let numbers: Vec<f64> =
        rows.iter().flat_map(|row| row.as_array().into_iter().flatten()).filter_map(Value::as_f64).collect();
    let number = |key: &str| value.get(key)?.as_f64();
    let lens = Lens {
        size: DVec2::new(number("w")?, number("h")?),
        focal: DVec2::new(number("fl_x")?, number("fl_y")?),
        center: DVec2::new(number("cx")?, number("cy")?),
    };
    let sides = [lens.size.x, lens.size.y].iter().all(|side| (1.0..=1e6).contains(side));
    if !sides || lens.focal.y <= 0.0 || lens.focal.x == 0.0 || !(lens.focal.is_finite() && lens.center.is_finite()) {
        return None;
    }
    eye_in_file(scene, &numbers.try_into().ok()?, lens)
}

/// Whether a path of this name is for nerfstudio.
fn is_nerfstudio(path: &Path) -> bool {
    path.to_string_lossy().to_lowercase().ends_with(".nerfstudio.json")
}

/// The path as nerfstudio's viewer writes it, from the coordinates of the scene by `viewer`.
fn nerfstudio(viewer: &Similarity, eyes: &[Eye], frames: &[Frame], (width, height): (u32, u32)) -> Value {
    let aspect = f64::from(width) / f64::from(height);
    let told = |camera: &Camera| {
        let fov = 2.0 * (0.5 * f64::from(height) / f64::from(camera.focal.y)).atan().to_degrees();
        (opengl_rows(viewer, camera).concat(), fov)
    };
    let camera = |frame: &Frame| {
        let (rows, fov) = told(&frame.camera);
        json!({ "camera_to_world": rows, "fov": fov, "aspect": aspect })
    };
    let seconds = frames.len() as f64 / 25.0;
    let step = seconds / eyes.len().saturating_sub(1).max(1) as f64;
    let key = |eye: &Eye| {
        let (rows, fov) = told(&eye.camera((width, height)));
        json!({
            "matrix": rows, "fov": fov, "aspect": aspect,
            "override_transition_enabled": false, "override_transition_sec": null,
        })
    };
    let fov = eyes.first().map(|eye| told(&eye.camera((width, height))).1);
    json!({
        "camera_type": "perspective", "render_width": width, "render_height": height, "fps": 25,
        "seconds": seconds, "is_cycle": false, "smoothness_value": 0.0,
        "default_fov": fov, "default_transition_sec": step,
        "keyframes": eyes.iter().map(key).collect::<Vec<_>>(),
        "camera_path": frames.iter().map(camera).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn still_life() -> Scene {
        let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../scenes/still-life"));
        scene::formats::load(root, &Default::default()).unwrap()
    }

    fn keys(scene: &Scene) -> Keys {
        let mut keys = Keys::default();
        for view in [0, 3, 1, 5] {
            keys.add(Eye::of(&scene.views[view].camera));
        }
        keys
    }

    #[test]
    fn the_camera_goes_at_constant_speed_through_the_first_and_the_last() {
        let scene = still_life();
        let keys = keys(&scene);
        let path = keys.along(200, 0.0);
        assert_eq!(path.len(), 200);
        assert!((path[0].center - keys.eyes[0].center).length() < 1e-9);
        assert!((path[199].center - keys.eyes[3].center).length() < 1e-9);
        let steps: Vec<f64> = path.windows(2).map(|pair| pair[0].center.distance(pair[1].center)).collect();
        let mean = steps.iter().sum::<f64>() / 199.0;
        // Where the way turns back at a key frame, a step is shorter from end to end than along the way.
        let shorter = steps.iter().filter(|step| **step < 0.9 * mean).count();
        assert!(shorter <= 2 && steps.iter().all(|step| *step < 1.1 * mean), "{steps:?}");
        assert!(Keys::default().along(9, 1.0).is_empty());
        let one = Keys { eyes: vec![keys.eyes[0]], unsaved: false };
        let there = one.along(3, 1.0);
        assert_eq!(there.len(), 3);
        assert!(there.iter().all(|eye| eye.center == keys.eyes[0].center && eye.lens == keys.eyes[0].lens));
    }

    #[test]
    fn key_frames_are_added_moved_and_removed() {
        let scene = still_life();
        let mut keys = keys(&scene);
        let [a, b, c, d] = [0, 1, 2, 3].map(|i| keys.eyes[i]);
        keys.reorder(3, 0);
        assert_eq!(keys.eyes, [d, a, b, c]);
        keys.remove(1);
        keys.remove(9);
        keys.reorder(0, 7);
        assert!(keys.eyes == [d, b, c] && keys.unsaved);
    }

    /// What is saved is the path that is rendered, and the same key frames when it is loaded.
    #[test]
    fn saved_key_frames_come_back() {
        let (scene, dir) = (still_life(), tempfile::tempdir().unwrap());
        let mut keys = keys(&scene);
        let unit = 2.0;
        let file = dir.path().join("a.json");
        keys.save(&file, &scene, 12, ((240, 180), unit), &[2]).unwrap();
        assert!(!keys.unsaved);
        let again = Keys::load(&file, &scene).unwrap();
        assert_eq!((again.keys.eyes.len(), again.frames, again.warnings), (4, 12, Vec::<String>::new()));
        for (a, b) in again.keys.eyes.iter().zip(&keys.eyes) {
            assert!((a.center - b.center).length() < 1e-5 && a.rotation.angle_between(b.rotation) < 1e-3);
            assert!((a.lens.focal - b.lens.focal).length() < 1e-3 && a.lens.size == b.lens.size);
        }
        let (frames, _) = scene::paths::file::load(&file, &scene, 120, &Default::default()).unwrap();
        for (read, made) in frames.iter().zip(keys.frames(12, (240, 180), unit)) {
            assert_eq!((&read.name, read.camera.width), (&made.name, 240));
            assert!((read.camera.origin() - made.camera.origin()).length() < 1e-4);
            assert!((read.camera.focal - made.camera.focal).length() < 1e-3);
            assert_eq!(read.excluded, [2]);
        }
        let viewer = dir.path().join("b.nerfstudio.json");
        keys.unsaved = true;
        keys.save(&viewer, &scene, 12, ((240, 180), unit), &[]).unwrap();
        assert!(keys.unsaved, "nerfstudio's file does not give the key frames back");
        let others = Keys::load(&viewer, &scene).unwrap().keys;
        assert_eq!(others.eyes.len(), 12);
        assert!((others.eyes[11].center - keys.eyes[3].center).length() < 1e-4);
        assert!(
            Keys::default().save(&file, &scene, 3, ((4, 3), unit), &[]).unwrap_err().to_string().contains("key frames")
        );
    }

    /// What is written for nerfstudio's viewer is in its coordinates, where they are told, and has the key frames.
    #[test]
    fn paths_for_nerfstudio_are_where_its_viewer_is() {
        let (scene, dir) = (still_life(), tempfile::tempdir().unwrap());
        let transform = r#"{"transform": [[0, 1, 0, 3], [-1, 0, 0, -2], [0, 0, 1, 0.5]], "scale": 0.25}"#;
        std::fs::write(dir.path().join("dataparser_transforms.json"), transform).unwrap();
        let (mut keys, file) = (keys(&scene), dir.path().join("a.nerfstudio.json"));
        keys.save(&file, &scene, 12, ((240, 180), 1.0), &[]).unwrap();
        let others = Keys::load(&file, &scene).unwrap().keys;
        assert!((others.eyes[0].center - keys.eyes[0].center).length() < 1e-4, "{:?}", others.eyes[0]);
        assert!((others.eyes[11].center - keys.eyes[3].center).length() < 1e-4);
        let written: Value = serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
        let first = written["keyframes"][0]["matrix"].as_array().unwrap();
        assert_eq!((written["keyframes"].as_array().unwrap().len(), first.len()), (4, 16));
        let path = written["camera_path"][0]["camera_to_world"].as_array().unwrap();
        let at = |list: &[Value], i: usize| list[i].as_f64().unwrap();
        assert!([3, 7, 11].into_iter().all(|i| (at(first, i) - at(path, i)).abs() < 1e-6), "{first:?} {path:?}");
    }

    #[test]
    fn lenses_that_are_none_and_endless_lists_are_no_key_frames() {
        let (scene, dir) = (still_life(), tempfile::tempdir().unwrap());
        let (mut keys, file) = (keys(&scene), dir.path().join("a.json"));
        keys.save(&file, &scene, 12, ((240, 180), 1.0), &[]).unwrap();
        let good: Value = serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
        let eyes = |value: &Value| {
            std::fs::write(&file, value.to_string()).unwrap();
            Keys::load(&file, &scene).unwrap().keys.eyes
        };
        assert_eq!(eyes(&good).len(), 4);
        // The frames of the path stand in for them.
        for (name, wrong) in [("w", json!(0)), ("fl_y", json!(-3.0)), ("fl_x", json!(0.0)), ("h", json!(1e9))] {
            let mut value = good.clone();
            value["path"]["keys"][1][name] = wrong;
            assert_eq!(eyes(&value).len(), 12, "{name}");
        }
        let mut value = good.clone();
        value["path"]["keys"] = vec![good["path"]["keys"][0].clone(); 2000].into();
        assert_eq!(eyes(&value).len(), 12);
    }
}
