//! nerfstudio and instant-ngp scenes: one `transforms.json` with a pose for each photograph, and with the lens.
//!
//! Poses are camera-to-world in OpenGL axes and rigid. Intrinsics are in pixels of a `w`×`h` image and may be given for
//! all frames or for one; they are scaled to the images that are there. Lens distortion is removed when images are
//! loaded, see [`crate::distortion`]. The file has no depth bounds: they follow from the cameras unless it has the keys
//! `near` and `far` (depths along the optical axis, in the units of the poses), which are an addition of this program.
//!
//! The world is scaled so that the near bound is 4/3, as for LLFF. If the cameras look at one place, it becomes the
//! origin and the axes stay; otherwise the average camera becomes the origin (x right, y up, z backwards).

mod file;

use super::range::Range;
use super::{LoadOptions, Split, format_error, masks, split};
use crate::pose::{Mean, flip_axes};
use crate::{Alpha, Camera, Error, Format, Result, Scene, Similarity, SourceOrder, View};
use file::{Lens, Stored, TransformFrame, Transforms};
use glam::{DMat4, DVec2};
use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

/// The file that tells this format from others.
pub(super) const POSE_FILE: &str = "transforms.json";
/// Near bound in scene units.
const NEAR: f64 = 4.0 / 3.0;

/// Loads a nerfstudio scene. Views are in the order of their images' paths.
///
/// If the file has `test_filenames` or `val_filenames`, these are held out, and `train_filenames`, or else what is in no
/// list, are sources. Otherwise every [`LoadOptions::hold_every`]-th view is held out.
///
/// # Errors
/// [`Error::Io`], [`Error::Format`] or [`Error::Camera`] naming the file and frame: files that are missing or cannot be
/// read, an image listed twice, images of different sizes, poses that are not orthonormal, lenses other than pinhole
/// with radial and tangential distortion, lenses that fold the image over, bounds that are not `0 < near < far`, or no
/// bounds and no way to tell them. [`Error::Scene`] if the split that is asked for is missing.
pub fn load(root: &Path, options: &LoadOptions) -> Result<Scene> {
    let factor = super::check_factor(options.factor.unwrap_or(1))?;
    let file = root.join(POSE_FILE);
    let transforms: Transforms = super::read_json(&file)?;
    let mut warnings = Vec::new();
    let frames = Frames::find(root, &file, &transforms)?;
    let parts = Parts::new(root, &file, &transforms, &frames, options, &mut warnings)?;
    let stored_size = super::shared_size(&frames.paths)?;
    let size = super::reduced_size(root, stored_size, factor)?;

    let what = |i: usize| format!("{}: frame {} ({})", file.display(), frames.order[i], frames.paths[i].display());
    let bad = |i: usize, problem: String| Error::Camera { what: what(i), problem };
    let listed: Vec<&TransformFrame> = frames.order.iter().map(|&i| &transforms.frames[i]).collect();
    let mut poses = Vec::with_capacity(listed.len());
    let mut cameras: Vec<Camera> = Vec::with_capacity(listed.len());
    let mut lenses: Vec<(Stored, Lens)> = Vec::with_capacity(listed.len());
    for (i, frame) in listed.iter().enumerate() {
        let pose = frame.pose().map_err(|problem| bad(i, problem))?;
        let stored = frame.own.stored(&transforms.shared, stored_size).map_err(|problem| bad(i, problem))?;
        let lens = match lenses.last() {
            Some((same, lens)) if *same == stored => *lens,
            _ => stored.lens().map_err(|problem| bad(i, problem))?,
        };
        let camera = camera(pose, &lens, stored_size, size);
        camera.validate(&what(i))?;
        poses.push(pose);
        cameras.push(camera);
        lenses.push((stored, lens));
    }

    let world = World::new(&file, &transforms, &poses, &mut warnings)?;
    for (i, (camera, pose)) in cameras.iter_mut().zip(&poses).enumerate() {
        camera.world_from_camera = flip_axes(world.scene_from_file.pose(*pose)).as_mat4();
        camera.validate(&what(i))?;
    }
    let views = frames.views(&cameras, &lenses, stored_size, world.bounds);
    super::warn_degenerate(&views, &mut warnings);
    Ok(Scene {
        name: super::scene_name(root),
        root: root.to_owned(),
        format: Format::Nerfstudio,
        views,
        source_ids: parts.sources,
        held_out: parts.held_out,
        split: parts.split,
        pose_files: vec![file],
        near: world.bounds[0],
        far: world.bounds[1],
        bounds_are_tight: false,
        scene_from_file: world.scene_from_file,
        order: SourceOrder::Distance,
        warnings,
    })
}

/// The splits: those with a list in the file, else by position.
pub(super) fn splits(root: &Path) -> Result<Vec<Split>> {
    let transforms: Transforms = super::read_json(&root.join(POSE_FILE))?;
    Ok(listed_splits(&transforms).unwrap_or_else(|| vec![Split::HeldOut]))
}

/// Splits with a list that has names; `None` if no list has any.
fn listed_splits(transforms: &Transforms) -> Option<Vec<Split>> {
    let Transforms { train_filenames, val_filenames, test_filenames, .. } = transforms;
    let has_names = |names: &Option<Vec<String>>| names.as_ref().is_some_and(|names| !names.is_empty());
    let some = [train_filenames, val_filenames, test_filenames].into_iter().any(has_names);
    let held_out = [(Split::Test, test_filenames), (Split::Val, val_filenames)].into_iter();
    some.then(|| held_out.filter(|(_, names)| has_names(names)).map(|(split, _)| split).collect())
}

/// The frames in order of their images' paths.
struct Frames {
    /// Position in the file.
    order: Vec<usize>,
    names: Vec<String>,
    paths: Vec<PathBuf>,
    masks: Vec<Option<PathBuf>>,
}

impl Frames {
    /// Finds the images of all frames.
    fn find(root: &Path, file: &Path, transforms: &Transforms) -> Result<Self> {
        let frames = &transforms.frames;
        if frames.is_empty() {
            return Err(format_error(file, "expected at least one frame, found none"));
        }
        let existing = |i: usize, key: &str, name: &str| {
            let path = image_path(root, name);
            path.ok_or_else(|| {
                format_error(file, format!("frame {i}: expected {key} to be an image, found no {name:?}"))
            })
        };
        let paths = frames.iter().enumerate().map(|(i, frame)| existing(i, "file_path", &frame.file_path));
        let paths = paths.collect::<Result<Vec<_>>>()?;
        let mut first = HashMap::new();
        for (i, path) in paths.iter().enumerate() {
            if let Some(other) = first.insert(path, i) {
                let problem =
                    format!("frames {other} and {i}: expected different images, found {} twice", path.display());
                return Err(format_error(file, problem));
            }
        }
        let mut order: Vec<usize> = (0..frames.len()).collect();
        order.sort_by(|&a, &b| paths[a].cmp(&paths[b]));
        let mask = |&i: &usize| frames[i].mask_path.as_ref().map(|name| existing(i, "mask_path", name)).transpose();
        let masks = order.iter().map(mask).collect::<Result<_>>()?;
        let paths: Vec<PathBuf> = order.iter().map(|&i| paths[i].clone()).collect();
        Ok(Self { names: names(root, &paths), order, paths, masks })
    }

    fn views(
        &self,
        cameras: &[Camera],
        lenses: &[(Stored, Lens)],
        stored_size: (u32, u32),
        bounds: [f32; 2],
    ) -> Vec<View> {
        let view = |i: usize| View {
            name: self.names[i].clone(),
            path: self.paths[i].clone(),
            mask: self.masks[i].clone(),
            camera: cameras[i],
            near: bounds[0],
            far: bounds[1],
            stored_size,
            distortion: lenses[i].1.distortion,
            alpha: Alpha::Ignore,
        };
        (0..self.paths.len()).map(view).collect()
    }
}

/// The image that a file path means, with its extension added if it has none; `None` if there is no file.
fn image_path(root: &Path, name: &str) -> Option<PathBuf> {
    let path = root.join(name.strip_prefix("./").unwrap_or(name));
    if path.is_file() { Some(path) } else { masks::with_extension(&path) }
}

/// Names of the views: the stems, or where two are the same, the whole paths with `_` between their parts.
fn names(root: &Path, paths: &[PathBuf]) -> Vec<String> {
    let stems: Vec<String> = paths.iter().map(|path| super::stem(path)).collect();
    if stems.iter().collect::<HashSet<_>>().len() == stems.len() {
        return stems;
    }
    let whole = |path: &PathBuf| {
        let path = path.strip_prefix(root).unwrap_or(path).with_extension("");
        let parts: Vec<_> = path
            .components()
            .filter(|part| matches!(part, std::path::Component::Normal(_)))
            .map(|part| part.as_os_str().to_string_lossy().into_owned())
            .collect();
        parts.join("_")
    };
    paths.iter().map(whole).collect()
}

/// Which views are sources and which are held out.
struct Parts {
    split: Option<Split>,
    sources: Vec<usize>,
    held_out: Vec<usize>,
}

impl Parts {
    fn new(
        root: &Path,
        file: &Path,
        transforms: &Transforms,
        frames: &Frames,
        options: &LoadOptions,
        warnings: &mut Vec<String>,
    ) -> Result<Self> {
        let count = frames.paths.len();
        let Some(available) = listed_splits(transforms) else {
            let split = super::hold_out(root, options)?;
            let (sources, held_out) = super::llff::split(count, options.hold_every);
            return Ok(Self { split, sources, held_out });
        };
        let split = split::choose(root, options.split, &available)?;
        let ids: HashMap<&PathBuf, usize> = frames.paths.iter().zip(0..).collect();
        let listed = |key: &str, names: &Option<Vec<String>>| {
            let id = |name: &String| {
                let id = image_path(root, name).and_then(|path| ids.get(&path).copied());
                id.ok_or_else(|| {
                    format_error(file, format!("{key}: expected the file_path of a frame, found {name:?}"))
                })
            };
            names.iter().flatten().map(id).collect::<Result<HashSet<usize>>>()
        };
        let train = listed("train_filenames", &transforms.train_filenames)?;
        let val = listed("val_filenames", &transforms.val_filenames)?;
        let test = listed("test_filenames", &transforms.test_filenames)?;
        let held_out = match split {
            Some(Split::Test) => &test,
            Some(_) => &val,
            None => &HashSet::new(),
        };
        let is_source =
            |i: &usize| if train.is_empty() { !val.contains(i) && !test.contains(i) } else { train.contains(i) };
        if split.is_none() {
            warnings.push("no test_filenames or val_filenames: no view is held out".into());
        }
        let sources = (0..count).filter(is_source).collect();
        Ok(Self { split, sources, held_out: (0..count).filter(|i| held_out.contains(i)).collect() })
    }
}

/// Camera of a frame whose image is reduced from `stored` to `size`.
fn camera(pose: DMat4, lens: &Lens, stored: (u32, u32), size: (u32, u32)) -> Camera {
    let whole = |(width, height): (u32, u32)| DVec2::new(width.into(), height.into());
    let scale = whole(size) / whole(stored);
    Camera {
        width: size.0,
        height: size.1,
        focal: (lens.focal * scale).as_vec2(),
        // Corners stay corners, and pixel centres are half a pixel from them.
        center: ((lens.center + 0.5) * scale - 0.5).as_vec2(),
        world_from_camera: flip_axes(pose).as_mat4(),
    }
}

/// The scene's frame and bounds.
struct World {
    scene_from_file: Similarity,
    /// Near and far bound in scene units.
    bounds: [f32; 2],
}

impl World {
    fn new(file: &Path, transforms: &Transforms, poses: &[DMat4], warnings: &mut Vec<String>) -> Result<Self> {
        let range = Range::of(poses);
        let near = transforms.near.or(range.map(|r| r.near));
        let far = transforms.far.or(range.map(|r| r.far));
        let (Some(near), Some(far)) = (near, far) else {
            let problem =
                "expected cameras in different places or the keys near and far, found all cameras in one place";
            return Err(format_error(file, problem));
        };
        let scale = NEAR / near;
        let scaled = (far * scale) as f32;
        if !(near > 0.0 && near < far && scale.is_finite() && scaled.is_finite() && scaled > NEAR as f32) {
            let from = |key: Option<f64>| if key.is_some() { "in the file" } else { "from the cameras" };
            let problem = format!(
                "expected bounds 0 < near < far of one magnitude, found near {near} ({}) and far {far} ({})",
                from(transforms.near),
                from(transforms.far)
            );
            return Err(format_error(file, problem));
        }
        let origin = match range.and_then(|r| r.focus) {
            Some(focus) => DMat4::from_translation(focus),
            None => {
                let mean = Mean::of(poses);
                mean.pose().unwrap_or_else(|| {
                    warnings.push("the cameras look all ways, so the axes stay as they are in the file".to_owned());
                    DMat4::from_translation(mean.center)
                })
            }
        };
        Ok(Self { scene_from_file: Similarity::recentre(origin, scale), bounds: [NEAR as f32, scaled] })
    }
}

#[cfg(test)]
#[path = "nerfstudio_tests.rs"]
mod tests;
