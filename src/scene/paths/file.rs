//! Camera paths from and to files.
//!
//! **Poses are in the coordinates of the scene's files**, those of `poses_bounds.npy` or `transforms.json`, unless the
//! path says `"frame": "scene"`: then they are in the frame of the loaded scene, the one that depths are in.
//!
//! Our own format lists frames; everything but the pose may be left out and then comes from the photographs:
//! ```json
//! {"frame": "file", "frames": [{
//!   "name": "left",
//!   "camera_to_world": [[1, 0, 0, -0.5], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]],
//!   "w": 504, "h": 378, "fl_x": 407.6, "fl_y": 407.6, "cx": 251.5, "cy": 188.5,
//!   "exclude": ["image000"]
//! }]}
//! ```
//! `camera_to_world` has OpenGL axes (x right, y up, z backwards) and is 4×4 or 3×4, or 16 or 12 numbers row by row.
//! Lengths are in pixels, and pixel coordinates are integers at pixel centres: the middle of a picture is
//! `((w − 1) / 2, (h − 1) / 2)`. With `fl_x` alone pixels are square; `fov` (vertical, in degrees) may stand in its
//! place; without either the photographs' field of view is kept, or cropped where the shape differs. `exclude` names
//! photographs that must not be sources of the frame. With `"keyframes"` in the place of `"frames"`, the way goes smoothly
//! past these cameras, and with `"is_cycle": true` back to the first. The paths of nerfstudio's viewer are read too, see [`super::nerfstudio`]; and lists of poses: a JSON
//! list of such matrices, or a text file with 12 or 16 numbers a line.

use super::fields::Fields;
use super::frame_fields::{Reading, checked_name, file_below};
use super::posed::GivenPose;
use super::{Frame, MAX_FRAMES, keyframes, nerfstudio, source_candidates};
use crate::pose::{flip_axes, opengl_pose};
use crate::{Camera, Error, Result, Scene, write};
use glam::DMat4;
use serde_json::{Value, json};
use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::{Path, PathBuf};

/// Longest text file of poses, in bytes.
const MAX_BYTES: u64 = 64 << 20;

/// The coordinates that the poses of a path are in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathCoordinates {
    /// Coordinates of the scene's own files.
    File,
    /// Coordinates of the scene as it was loaded.
    Scene,
}

/// What the user says about a path file.
#[derive(Clone, Debug, Default)]
pub struct PathFileOptions {
    /// The poses' coordinates, whatever the file says.
    pub frame: Option<PathCoordinates>,
    /// The transform that nerfstudio wrote when it loaded the scene.
    pub dataparser: Option<PathBuf>,
    /// Whether the frames become panoramas.
    pub panoramas: bool,
}

/// The cameras of a path file.
#[derive(Clone, Debug)]
pub struct PathFile {
    /// The frames, or the key frames.
    pub frames: Vec<Frame>,
    /// Whether they are key frames, which a way goes past.
    pub are_keys: bool,
    /// Whether that way goes on from the last to the first.
    pub is_closed: bool,
    /// What was assumed or ignored.
    pub warnings: Vec<String>,
}

/// Reads a camera path; see the module for the formats. Also tells what is assumed or ignored. Key frames become `count`
/// frames.
///
/// # Errors
/// As [`read`].
pub fn load(path: &Path, scene: &Scene, count: usize, options: &PathFileOptions) -> Result<(Vec<Frame>, Vec<String>)> {
    let PathFile { frames, are_keys, is_closed, mut warnings } = read(path, scene, options)?;
    if !are_keys {
        return Ok((frames, warnings));
    }
    warnings.push(format!(
        "{}: {count} frames, evenly spread on a smooth way past its {} key frames; --frames asks for another number",
        path.display(),
        frames.len()
    ));
    Ok((between(&frames, count, is_closed), warnings))
}

/// Reads the cameras of a path file as they are there.
///
/// # Errors
/// [`Error::Io`] or [`Error::Format`] if the file cannot be read or has no frames, [`Error::Camera`] naming the frame
/// if its pose or intrinsics cannot be rendered.
pub fn read(path: &Path, scene: &Scene, options: &PathFileOptions) -> Result<PathFile> {
    let file = read_object(path)?;
    let fail = |problem: String| Error::Format { path: path.to_owned(), problem };
    let root = Fields::of(&file, path.display().to_string())?;
    root.refuse_other_cameras(options.panoramas)?;
    let Listed { cameras: list, of_viewer, are_keys } = Listed::of(&root).map_err(fail)?;
    if list.is_empty() || list.len() > MAX_FRAMES {
        return Err(fail(format!("expected 1 to {MAX_FRAMES} frames, found {}", list.len())));
    }

    let mut reading =
        Reading { scene, template: super::template(scene)?, warnings: Vec::new(), unknown: BTreeSet::new() };
    let what = |i: usize| format!("{}: {} {i}", path.display(), if are_keys { "key frame" } else { "frame" });
    let mut frames = Vec::with_capacity(list.len());
    let mut names = HashSet::new();
    let scene_from_path = match (of_viewer, options.frame) {
        (false, asked) => {
            reading.note_unknown(&root, &["frames", "keyframes", "is_cycle", "frame", "path", "scene"]);
            if options.dataparser.is_some() {
                reading
                    .warnings
                    .push(format!("{}: --dataparser is for paths of nerfstudio's viewer; ignored", root.what));
            }
            let written = match root.text("frame")? {
                None | Some("file") => PathCoordinates::File,
                Some("scene") => PathCoordinates::Scene,
                Some(other) => {
                    return Err(fail(format!("expected \"frame\" to be \"file\" or \"scene\", found {other:?}")));
                }
            };
            (asked.unwrap_or(written) == PathCoordinates::File).then_some(scene.scene_from_file)
        }
        (true, Some(PathCoordinates::Scene)) => None,
        (true, Some(PathCoordinates::File)) => Some(scene.scene_from_file),
        (true, None) => {
            Some(nerfstudio::scene_from_path(path, scene, options.dataparser.as_deref(), &mut reading.warnings)?)
        }
    };
    for (i, value) in list.iter().enumerate() {
        let fields = Fields::of(value, what(i))?;
        fields.refuse_other_cameras(options.panoramas)?;
        let mut camera = if of_viewer { reading.viewer(&root, &fields)? } else { reading.own(&fields)? };
        let pose = if of_viewer && are_keys { nerfstudio::key_pose(&fields)? } else { fields.pose()? };
        let pose = scene_from_path.map_or(pose, |transform| transform.pose(pose));
        camera.world_from_camera = flip_axes(pose).as_mat4();
        camera.validate(&fields.what)?;
        let mut frame = super::numbered([camera]).remove(0);
        frame.name = match fields.text("name")? {
            Some(name) => checked_name(name, &fields)?,
            None => super::frame_name(i),
        };
        // Frames of one name would overwrite each other.
        if !are_keys && !names.insert(frame.name.clone()) {
            return Err(fail(format!("frame {i}: expected names that differ, found {:?} again", frame.name)));
        }
        frame.excluded = reading.excluded(&fields)?;
        frames.push(frame);
    }
    if !reading.unknown.is_empty() {
        let keys: Vec<String> = reading.unknown.into_iter().take(8).collect();
        reading.warnings.push(format!("{}: keys without meaning here are ignored: {}", root.what, keys.join(", ")));
    }
    let is_closed = are_keys && root.get("is_cycle").is_some_and(|value| value.as_bool() == Some(true));
    Ok(PathFile { frames, are_keys, is_closed, warnings: reading.warnings })
}

/// The file as an object: lists of poses become frames.
fn read_object(path: &Path) -> Result<Value> {
    let is_text = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("txt"));
    if is_text {
        let text = crate::file::read_text(path, MAX_BYTES)?;
        // Editors of Windows put a mark before the text.
        let text = text.trim_start_matches('\u{FEFF}');
        let lines =
            text.lines().enumerate().map(|(i, line)| (i + 1, line.split('#').next().unwrap_or_default().trim()));
        let pose = |(number, line): (usize, &str)| {
            match line.parse() {
                Ok(GivenPose::Matrix(pose)) => Ok(json!({"camera_to_world": pose.transpose().to_cols_array_2d()})),
                Ok(GivenPose::Place(_)) => {
                    Err("expected 12 or 16 numbers of a camera-to-world matrix, found 3".to_owned())
                }
                Err(problem) => Err(problem.to_string()),
            }
            .map_err(|problem| Error::Format { path: path.to_owned(), problem: format!("line {number}: {problem}") })
        };
        let poses = lines.filter(|(_, line)| !line.is_empty()).take(MAX_FRAMES + 1);
        let frames = poses.map(pose).collect::<Result<Vec<Value>>>()?;
        return Ok(json!({"frames": frames}));
    }
    match crate::json::read_any(path)? {
        Value::Array(list) => {
            let frame = |value: Value| if value.is_object() { value } else { json!({"camera_to_world": value}) };
            Ok(json!({"frames": list.into_iter().map(frame).collect::<Vec<_>>()}))
        }
        other => Ok(other),
    }
}

/// The cameras of a file.
struct Listed<'a> {
    cameras: &'a [Value],
    /// Whether nerfstudio's viewer wrote them.
    of_viewer: bool,
    /// Whether the frames go past them.
    are_keys: bool,
}

impl<'a> Listed<'a> {
    fn of(root: &Fields<'a>) -> std::result::Result<Self, String> {
        const EXPECTED: &str = "expected an object with \"frames\" or \"keyframes\" (our own format) or \"camera_path\" (nerfstudio's viewer)";
        let list = |key: &str| root.list(key).map_err(|problem| problem.to_string());
        match (list("frames")?, list("camera_path")?, list("keyframes")?) {
            (Some(cameras), None, _) => Ok(Self { cameras, of_viewer: false, are_keys: false }),
            (None, Some(cameras), _) => Ok(Self { cameras, of_viewer: true, are_keys: false }),
            (Some(_), Some(_), _) => Err(format!("{EXPECTED}, found frames and camera_path")),
            (None, None, Some(cameras)) => {
                // Nerfstudio calls a key frame's pose a matrix.
                let of_viewer = cameras.first().is_some_and(|key| key.get("matrix").is_some());
                Ok(Self { cameras, of_viewer, are_keys: true })
            }
            (None, None, None) => Err(format!("{EXPECTED}, found none of them")),
        }
    }
}

/// `count` frames past key frames; what one of them excludes, none has.
fn between(keys: &[Frame], count: usize, is_closed: bool) -> Vec<Frame> {
    let cameras: Vec<Camera> = keys.iter().map(|key| key.camera).collect();
    let mut excluded: Vec<usize> = keys.iter().flat_map(|key| key.excluded.iter().copied()).collect();
    excluded.sort_unstable();
    excluded.dedup();
    let mut frames = super::numbered(keyframes::cameras(&cameras, count, is_closed));
    frames.iter_mut().for_each(|frame| frame.excluded.clone_from(&excluded));
    frames
}

/// Writes frames in our own format, in the coordinates of the scene's files, so that [`load`] gives them again.
///
/// # Errors
/// [`Error::Io`] if the file cannot be written.
pub fn write(path: &Path, scene: &Scene, frames: &[Frame]) -> Result<()> {
    let file_from_scene = scene.scene_from_file.inverse();
    let mut called: HashMap<&str, usize> = HashMap::new();
    scene.views.iter().for_each(|view| *called.entry(&view.name).or_default() += 1);
    let name = |id: usize| match scene.views[id].name.as_str() {
        name if called[name] == 1 => name.to_owned(),
        // Training and test views of one scene may share their names.
        _ => file_below(scene, id),
    };
    let frame = |frame: &Frame| {
        let Camera { width, height, focal, center, world_from_camera } = frame.camera;
        let pose: DMat4 = file_from_scene.pose(opengl_pose(world_from_camera));
        let candidates: HashSet<usize> = source_candidates(scene, frame).into_iter().collect();
        let excluded: Vec<String> = (0..scene.views.len()).filter(|id| !candidates.contains(id)).map(name).collect();
        let mut all = json!({
            "name": frame.name, "camera_to_world": pose.transpose().to_cols_array_2d(), "w": width, "h": height,
            "fl_x": focal.x, "fl_y": focal.y, "cx": center.x, "cy": center.y,
        });
        if !excluded.is_empty() {
            all["exclude"] = json!(excluded);
        }
        all
    };
    // One frame a line.
    let lines: Vec<String> = frames.iter().map(|f| frame(f).to_string()).collect();
    let text = format!("{{\"frame\": \"file\", \"frames\": [\n{}\n]}}\n", lines.join(",\n"));
    write::write_bytes(path, text.as_bytes())
}

#[cfg(test)]
#[path = "file_tests.rs"]
mod tests;
