//! Key frames: a way for the camera, at constant speed, in files that `shiftray render --path` and nerfstudio read.

use crate::eye::{Eye, Lens};
use crate::{Error, Result};
use glam::{DMat3, DMat4, DQuat, DVec2};
use scene::paths::file::{self, PathFileOptions};
use scene::{Camera, Frame, Scene, write};
use serde_json::{Value, json};
use std::path::Path;

/// Places between two key frames at which the way is measured.
const STEPS: usize = 32;
/// Most key frames that a path of single frames becomes.
const MOST: usize = 60;

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
        let last = self.eyes.len().saturating_sub(1);
        let samples: Vec<Eye> = (0..=last * STEPS).filter_map(|i| self.at(i as f64 / STEPS as f64)).collect();
        let step = |a: &Eye, b: &Eye| a.center.distance(b.center) + unit * a.rotation.angle_between(b.rotation);
        let lengths: Vec<f64> = samples.windows(2).map(|pair| step(&pair[0], &pair[1])).collect();
        let total: f64 = lengths.iter().sum();
        let (mut segment, mut before) = (0, 0.0);
        let place = |i: usize| {
            let wanted = total * i as f64 / count.saturating_sub(1).max(1) as f64;
            while segment + 1 < lengths.len() && before + lengths[segment] < wanted {
                before += lengths[segment];
                segment += 1;
            }
            let length = lengths.get(segment).copied().unwrap_or(0.0);
            let part = if length > 0.0 { ((wanted - before) / length).clamp(0.0, 1.0) } else { 0.0 };
            self.at((segment as f64 + part) / STEPS as f64)
        };
        (0..count).filter_map(place).collect()
    }

    /// The place at a position, where whole numbers are key frames; none without key frames.
    fn at(&self, position: f64) -> Option<Eye> {
        let last = self.eyes.len().checked_sub(1)?;
        let from = (position.floor() as usize).min(last);
        let to = (from + 1).min(last);
        let t = (position - from as f64).clamp(0.0, 1.0);
        let four = [from.saturating_sub(1), from, to, (to + 1).min(last)].map(|i| self.eyes[i].center);
        let (a, b) = (&self.eyes[from], &self.eyes[to]);
        let lens = Lens {
            size: a.lens.size,
            focal: a.lens.focal.lerp(b.lens.focal * (a.lens.size.y / b.lens.size.y), t),
            center: a.lens.center.lerp(b.lens.center * (a.lens.size / b.lens.size), t),
        };
        Some(Eye {
            center: scene::paths::interpolate::catmull_rom(four, t),
            rotation: a.rotation.slerp(b.rotation, t).normalize(),
            lens,
        })
    }

    /// The frames of a path of `count` pictures of `size`.
    pub fn frames(&self, count: usize, size: (u32, u32), unit: f64) -> Vec<Frame> {
        let frame = |(i, eye): (usize, Eye)| Frame {
            name: format!("frame_{i:04}"),
            camera: eye.camera(size),
            truth: None,
            excluded: Vec::new(),
        };
        self.along(count, unit).into_iter().enumerate().map(frame).collect()
    }

    /// Writes the path for `shiftray render --path`, with the key frames in it so that they can be loaded again; or for
    /// nerfstudio, if the name ends in `.nerfstudio.json`. Poses are in the coordinates of the scene's files.
    ///
    /// # Errors
    /// [`Error::Scene`] if the file cannot be written, or there are no key frames.
    pub fn write(&self, path: &Path, scene: &Scene, count: usize, size: (u32, u32), unit: f64) -> Result<()> {
        if self.eyes.is_empty() {
            return Err(Error::Scene(scene::Error::Scene("expected key frames to save, found none".into())));
        }
        let frames = self.frames(count, size, unit);
        if path.to_string_lossy().to_lowercase().ends_with(".nerfstudio.json") {
            write::write_bytes(path, format!("{:#}\n", nerfstudio(scene, &frames, size)).as_bytes())?;
        } else {
            let keys: Vec<Value> = self.eyes.iter().map(|eye| pose_json(scene, &eye.camera(reference(eye)))).collect();
            let lines: Vec<String> = frames
                .iter()
                .map(|frame| {
                    let mut value = pose_json(scene, &frame.camera);
                    value["name"] = json!(frame.name);
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

    /// As [`write`](Self::write); they are saved from then on.
    ///
    /// # Errors
    /// As there.
    pub fn save(&mut self, path: &Path, scene: &Scene, count: usize, size: (u32, u32), unit: f64) -> Result<()> {
        self.write(path, scene, count, size, unit)?;
        self.unsaved = false;
        Ok(())
    }

    /// Reads key frames that were saved, or makes key frames of the frames of another path file.
    ///
    /// # Errors
    /// [`Error::Scene`] if the file cannot be read or is no path.
    pub fn load(path: &Path, scene: &Scene) -> Result<Loaded> {
        let (frames, warnings) = file::load(path, scene, &PathFileOptions::default())?;
        let bytes = file_text(path)?;
        let keys = serde_json::from_str::<Value>(&bytes).ok().and_then(|value| {
            let keys = value.get("path")?.get("keys")?.as_array()?.iter().map(|key| eye_of_json(scene, key));
            keys.collect::<Option<Vec<Eye>>>()
        });
        let eyes = keys.unwrap_or_else(|| {
            let step = frames.len().div_ceil(MOST).max(1);
            let mut picked: Vec<&Frame> = frames.iter().step_by(step).collect();
            let last = frames.last().filter(|last| picked.last().is_some_and(|picked| picked.name != last.name));
            picked.extend(last);
            picked.into_iter().map(|frame| Eye::of(&frame.camera)).collect()
        });
        Ok(Loaded { frames: frames.len(), keys: Self { eyes, unsaved: false }, warnings })
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
    let pose = camera.world_from_camera.as_dmat4();
    let opengl = DMat4::from_cols(pose.x_axis, -pose.y_axis, -pose.z_axis, pose.w_axis);
    scene.scene_from_file.inverse().pose(opengl).transpose().to_cols_array_2d()
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
    eye_in_file(scene, &numbers.try_into().ok()?, lens)
}

/// The path as nerfstudio's viewer writes it.
fn nerfstudio(scene: &Scene, frames: &[Frame], (width, height): (u32, u32)) -> Value {
    let camera = |frame: &Frame| {
        let rows = pose_in_file(scene, &frame.camera);
        let fov = 2.0 * (0.5 * f64::from(height) / f64::from(frame.camera.focal.y)).atan().to_degrees();
        json!({
            "camera_to_world": rows.concat(), "fov": fov, "aspect": f64::from(width) / f64::from(height),
        })
    };
    json!({
        "camera_type": "perspective", "render_width": width, "render_height": height, "fps": 25,
        "seconds": frames.len() as f64 / 25.0, "keyframes": [], "camera_path": frames.iter().map(camera).collect::<Vec<_>>(),
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
        keys.save(&file, &scene, 12, (240, 180), unit).unwrap();
        assert!(!keys.unsaved);
        let again = Keys::load(&file, &scene).unwrap();
        assert_eq!((again.keys.eyes.len(), again.frames, again.warnings), (4, 12, Vec::<String>::new()));
        for (a, b) in again.keys.eyes.iter().zip(&keys.eyes) {
            assert!((a.center - b.center).length() < 1e-5 && a.rotation.angle_between(b.rotation) < 1e-3);
            assert!((a.lens.focal - b.lens.focal).length() < 1e-3 && a.lens.size == b.lens.size);
        }
        let (frames, _) = scene::paths::file::load(&file, &scene, &Default::default()).unwrap();
        for (read, made) in frames.iter().zip(keys.frames(12, (240, 180), unit)) {
            assert_eq!((&read.name, read.camera.width), (&made.name, 240));
            assert!((read.camera.origin() - made.camera.origin()).length() < 1e-4);
            assert!((read.camera.focal - made.camera.focal).length() < 1e-3);
        }
        let viewer = dir.path().join("b.nerfstudio.json");
        keys.save(&viewer, &scene, 12, (240, 180), unit).unwrap();
        let others = Keys::load(&viewer, &scene).unwrap().keys;
        assert_eq!(others.eyes.len(), 12);
        assert!((others.eyes[11].center - keys.eyes[3].center).length() < 1e-4);
        assert!(Keys::default().save(&file, &scene, 3, (4, 3), unit).unwrap_err().to_string().contains("key frames"));
    }
}
