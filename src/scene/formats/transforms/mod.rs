//! Scenes of JSON files with a pose for each photograph: `transforms.json` (nerfstudio, instant-ngp) and
//! `transforms_{train,test,val}.json` (Blender, NeRF's synthetic scenes). One reader serves both layouts.
//!
//! Poses are camera-to-world in OpenGL axes and rigid. Intrinsics may be given for all frames or for one, see
//! [`intrinsics`]; they are in pixels counted from the image's corner, and are scaled to the images that are there. Lens
//! distortion is removed when images are loaded, see [`crate::distortion`]. What changes the camera and is not read is
//! refused by name.
//!
//! The layouts differ in this only:
//! - *one file*: views are in the order of their images' paths; which are held out follows from lists of names in the
//!   file, or else from their position.
//! - *a file for each split*: views are in the order of the files; masks may lie in `masks/test/r_0.png` for
//!   `test/r_0.png`, or in `masks/r_0.png` if no other image is called so; cameras that fit NeRF's synthetic scenes have
//!   the depths 2 to 6 there.
//!
//! Depth bounds and the scene's frame are described at [`world`].

mod file;
mod find;
mod intrinsics;
mod json;
mod world;

use super::pictures::{self, Pictures};
use super::{LoadOptions, Split, format_error, masks, split};
use crate::pose::flip_axes;
use crate::{Camera, Error, Format, Result, Scene, View};
use file::{CameraFile, CameraFrame};
use find::Finder;
use glam::{DMat4, DVec2};
use intrinsics::{Lens, Stored};
use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use world::World;

/// The file of the layout with one.
pub(super) const SINGLE_FILE: &str = "transforms.json";
/// The file that tells the layout with a file for each split.
pub(super) const TRAIN_FILE: &str = "transforms_train.json";
/// Every how many validation views of a split layout one is held out if they are asked for by name, as in GNT's
/// evaluation script.
pub const VAL_EVERY: usize = 8;
/// How many missing files are named in a message.
const NAMED: usize = 3;

/// Loads a scene of JSON files.
///
/// *One file*: if it has `test_filenames` or `val_filenames`, these are held out, and `train_filenames`, or else what is
/// in no list, are sources. Otherwise every [`LoadOptions::hold_every`]-th view is held out. *Split files*: training views
/// are sources, test views are held out. Validation views are held out if [`LoadOptions::split`] says so, then only every
/// [`VAL_EVERY`]-th from the first; or by default if there are no test views, then all of them.
///
/// Pictures that are missing stop what needs them: sources are an error, held-out views one if their split is asked for;
/// by default nothing is held out then, which is said.
///
/// # Errors
/// [`Error::Io`], [`Error::Format`] or [`Error::Camera`] naming the file and frame: files that are missing or cannot be
/// read, an image listed twice, images of different sizes, poses that are not orthonormal, lenses other than pinhole
/// with radial and tangential distortion, lenses that fold the image over, bounds that are not `0 < near < far`, or no
/// bounds and no way to tell them. [`Error::Scene`] if the split that is asked for is missing.
pub fn load(root: &Path, layout: Format, options: &LoadOptions) -> Result<Scene> {
    let factor = super::check_factor(options.factor.unwrap_or(1))?;
    let mut warnings = Vec::new();
    let first = if layout == Format::Blender { TRAIN_FILE } else { SINGLE_FILE };
    let mut files = vec![CameraFile::read(&root.join(first))?];
    let by_position = if options.hold_every == 0 { Vec::new() } else { vec![Split::HeldOut] };
    let available = listed(root, layout, &files[0]).unwrap_or(by_position);
    let mut wanted = split::choose(root, options.split, &available)?;
    if let Some(split) = wanted.filter(|_| layout == Format::Blender) {
        files.push(CameraFile::read(&root.join(split_file(split)))?);
    }
    let mut entries = Entries { finder: Finder::new(root), files: &files, entries: Vec::new(), repairs: Vec::new() };
    match layout {
        Format::Blender => entries.of_split_files(options, wanted, &mut warnings)?,
        _ => entries.of_one_file(&files[0], wanted, options.hold_every, &mut warnings)?,
    }
    entries.leave_out_missing(options.split, &mut wanted, &mut warnings)?;
    entries.say_repairs(&mut warnings);
    let entries = entries.entries;
    let paths: Vec<PathBuf> = entries.iter().map(|entry| entry.path.clone()).collect();

    let aspects: Vec<_> = entries.iter().map(|entry| entry.frame.own.aspect(&entry.file.shared)).collect();
    let found = Pictures::survey(&paths, &aspects, &mut warnings)?;
    let size = super::reduced_size(root, found.size, factor)?;
    let lenses = lenses(&entries, found.size, &mut warnings)?;
    let (cameras, poses) = cameras(&entries, &lenses, found.size, size)?;

    // Renderings are transparent as a rule, so that they are decoded only where it decides.
    let shares = std::cell::LazyCell::new(|| found.transparent(&paths));
    if layout != Format::Blender {
        pictures::say_transparent(&shares, &mut warnings);
    }
    let before_nothing = || pictures::are_before_nothing(&shares);
    let what = |i: usize| entries[i].what();
    let world = World::new(&files, layout, &poses, &before_nothing, &what, &mut warnings)?;
    let masks = match layout {
        Format::Blender => masks::find_all(&root.join("masks"), &paths),
        _ => vec![None; paths.len()],
    };
    let names = view_names(root, &entries);
    let mut views = Vec::with_capacity(entries.len());
    for (i, (entry, mask)) in entries.iter().zip(masks).enumerate() {
        let world_from_camera = flip_axes(world.scene_from_file.pose(poses[i])).as_mat4();
        let camera = Camera { world_from_camera, ..cameras[i] };
        camera.validate(&what(i))?;
        views.push(View {
            name: names[i].clone(),
            path: entry.path.clone(),
            mask: entry.mask.clone().or(mask),
            camera,
            near: world.bounds[0],
            far: world.bounds[1],
            stored_size: found.size,
            turn: found.turns[i],
            distortion: lenses[i].distortion,
        });
    }
    super::warn_degenerate(&views, &mut warnings);
    let ids = |wanted: fn(&Entry) -> bool| (0..entries.len()).filter(|&i| wanted(&entries[i])).collect();
    let mut scene = Scene {
        name: super::scene_name(root),
        root: root.to_owned(),
        format: layout,
        source_ids: ids(|entry| entry.is_source),
        held_out: ids(|entry| entry.is_held_out),
        views,
        split: wanted,
        pose_files: files.iter().map(|file| file.path.clone()).collect(),
        near: world.bounds[0],
        far: world.bounds[1],
        bounds_are_tight: false,
        scene_from_file: world.scene_from_file,
        order: world.order,
        warnings,
    };
    super::leave_out(&mut scene, &world.strays);
    Ok(scene)
}

/// The splits that the files have, the default one first.
///
/// # Errors
/// As [`CameraFile::read`] for the layout with one file.
pub(super) fn splits(root: &Path, layout: Format) -> Result<Vec<Split>> {
    if layout == Format::Blender {
        return Ok(split_files(root));
    }
    let file = CameraFile::read(&root.join(SINGLE_FILE))?;
    Ok(listed(root, layout, &file).unwrap_or_else(|| vec![Split::HeldOut]))
}

/// Splits with files or lists of names; `None` if views are held out by position.
fn listed(root: &Path, layout: Format, file: &CameraFile) -> Option<Vec<Split>> {
    if layout == Format::Blender {
        return Some(split_files(root));
    }
    let held_out = [(Split::Test, &file.test), (Split::Val, &file.val)].into_iter();
    file.has_lists().then(|| held_out.filter(|(_, names)| !names.is_empty()).map(|(split, _)| split).collect())
}

/// The splits whose files exist.
fn split_files(root: &Path) -> Vec<Split> {
    [Split::Test, Split::Val].into_iter().filter(|split| root.join(split_file(*split)).exists()).collect()
}

fn split_file(split: Split) -> String {
    format!("transforms_{}.json", split.name())
}

/// A frame with its picture and its part.
struct Entry<'a> {
    file: &'a CameraFile,
    frame: &'a CameraFrame,
    path: PathBuf,
    mask: Option<PathBuf>,
    /// Whether there is a file at `path`.
    is_there: bool,
    is_source: bool,
    is_held_out: bool,
}

impl Entry<'_> {
    fn what(&self) -> String {
        self.file.what(self.frame)
    }
}

/// The frames in the order of the views.
struct Entries<'a> {
    finder: Finder<'a>,
    files: &'a [CameraFile],
    entries: Vec<Entry<'a>>,
    /// Names that were found only after a repair: which, in which frame, and the repair.
    repairs: Vec<(String, String, &'static str)>,
}

impl<'a> Entries<'a> {
    /// Frames of one file in order of their images' paths.
    fn of_one_file(
        &mut self,
        file: &'a CameraFile,
        split: Option<Split>,
        hold_every: usize,
        warnings: &mut Vec<String>,
    ) -> Result<()> {
        self.add(file, file.frames.iter())?;
        self.entries.sort_by(|a, b| a.path.cmp(&b.path));
        if !file.has_lists() {
            let (sources, held_out) = super::llff::split(self.entries.len(), hold_every);
            sources.into_iter().for_each(|i| self.entries[i].is_source = true);
            held_out.into_iter().for_each(|i| self.entries[i].is_held_out = true);
            return Ok(());
        }
        let ids: HashMap<&Path, usize> = self.entries.iter().map(|entry| entry.path.as_path()).zip(0..).collect();
        let listed = |key: &str, names: &[String]| {
            let id = |name: &String| {
                let path = self.finder.find(name).map_or_else(|| self.finder.literal(name), |found| found.path);
                ids.get(path.as_path()).copied().ok_or_else(|| {
                    format_error(&file.path, format!("{key}: expected the file_path of a frame, found {name:?}"))
                })
            };
            names.iter().map(id).collect::<Result<HashSet<usize>>>()
        };
        let (train, val) = (listed("train_filenames", &file.train)?, listed("val_filenames", &file.val)?);
        let test = listed("test_filenames", &file.test)?;
        for (i, entry) in self.entries.iter_mut().enumerate() {
            entry.is_source =
                if train.is_empty() { !val.contains(&i) && !test.contains(&i) } else { train.contains(&i) };
            entry.is_held_out = match split {
                Some(Split::Test) => test.contains(&i),
                Some(_) => val.contains(&i),
                None => false,
            };
        }
        if split.is_none() {
            warnings.push("no test_filenames or val_filenames: no view is held out".into());
        }
        Ok(())
    }

    /// Training frames, then held-out ones.
    fn of_split_files(
        &mut self,
        options: &LoadOptions,
        split: Option<Split>,
        warnings: &mut Vec<String>,
    ) -> Result<()> {
        for (i, file) in self.files.iter().enumerate() {
            let every = if i > 0 && options.split == Some(Split::Val) { VAL_EVERY } else { 1 };
            let first = self.entries.len();
            self.add(file, file.frames.iter().step_by(every))?;
            for entry in &mut self.entries[first..] {
                (entry.is_source, entry.is_held_out) = (i == 0, i > 0);
            }
        }
        match (split, options.split) {
            (None, _) => {
                warnings.push("no transforms_test.json or transforms_val.json: no view is held out".to_owned());
            }
            (Some(Split::Val), None) => {
                warnings.push("transforms_test.json is missing: the validation views are held out".to_owned());
            }
            _ => {}
        }
        Ok(())
    }

    /// Finds the pictures of frames of one file.
    fn add(&mut self, file: &'a CameraFile, frames: impl Iterator<Item = &'a CameraFrame>) -> Result<()> {
        let (mut first, mut missing_masks) = (HashMap::new(), Vec::new());
        for frame in frames {
            let found = self.find(file, frame, &frame.file_path);
            let mask = frame.mask_path.as_ref().map(|name| self.find(file, frame, name));
            if mask == Some(None) {
                missing_masks.push((frame, frame.mask_path.clone().unwrap_or_default()));
            }
            let is_there = found.is_some();
            let path = found.unwrap_or_else(|| self.finder.literal(&frame.file_path));
            if let Some(other) = first.insert(path.clone(), frame.index) {
                let problem = format!(
                    "frames {other} and {}: expected different images, found {} twice",
                    frame.index,
                    path.display()
                );
                return Err(format_error(&file.path, problem));
            }
            let mask = mask.flatten();
            self.entries.push(Entry { file, frame, path, mask, is_there, is_source: false, is_held_out: false });
        }
        if missing_masks.is_empty() {
            return Ok(());
        }
        let (count, names) = (missing_masks.len(), name_some(&missing_masks));
        Err(format_error(&file.path, format!("expected mask_path to be an image, found {count} missing: {names}")))
    }

    fn find(&mut self, file: &CameraFile, frame: &CameraFrame, name: &str) -> Option<PathBuf> {
        let found = self.finder.find(name)?;
        if let Some(repair) = found.repair {
            self.repairs.push((file.what(frame), name.to_owned(), repair));
        }
        Some(found.path)
    }

    /// Says once that names had to be repaired.
    fn say_repairs(&self, warnings: &mut Vec<String>) {
        let Some((what, name, repair)) = self.repairs.first() else { return };
        let count = self.repairs.len();
        warnings.push(format!("{what}: {name:?} is found only without regard to {repair}; {count} such names in all"));
    }

    /// Leaves frames without a picture out, if that is no error.
    fn leave_out_missing(
        &mut self,
        asked: Option<Split>,
        split: &mut Option<Split>,
        warnings: &mut Vec<String>,
    ) -> Result<()> {
        let missing: Vec<&Entry> = self.entries.iter().filter(|entry| !entry.is_there).collect();
        let Some(first) = missing.first() else { return Ok(()) };
        if let Some(unread) = missing.iter().find_map(|entry| crate::picture::unread_sibling(&entry.path)) {
            return Err(crate::picture::unread(&unread));
        }
        let mut of_file: Vec<_> = missing.iter().map(|entry| (entry.frame, entry.frame.file_path.clone())).collect();
        of_file.sort_by_key(|(frame, _)| frame.index);
        let (count, all, names) = (missing.len(), self.entries.len(), name_some(&of_file));
        let problem = format!("expected the pictures of all frames, found {count} of {all} missing: {names}");
        let held_out = missing.iter().any(|entry| entry.is_held_out);
        if missing.iter().any(|entry| entry.is_source) || (held_out && asked.is_some()) {
            return Err(format_error(&first.file.path, problem));
        }
        let path = first.file.path.display();
        if held_out {
            *split = None;
            self.entries.iter_mut().for_each(|entry| entry.is_held_out = false);
            warnings.push(format!("{path}: {problem}; no view is held out therefore"));
        } else {
            warnings.push(format!("{path}: {problem}; these frames are left out"));
        }
        self.entries.retain(|entry| entry.is_there);
        Ok(())
    }
}

/// The first of some frames' files, for messages.
fn name_some(files: &[(&CameraFrame, String)]) -> String {
    let name = |(frame, name): &(&CameraFrame, String)| {
        if crate::picture::is_read(Path::new(name)) {
            format!("{name:?} of frame {}", frame.index)
        } else {
            format!("{:?} (or .jpg, ..) of frame {}", format!("{name}.png"), frame.index)
        }
    };
    let mut names: Vec<String> = files.iter().take(NAMED).map(name).collect();
    if files.len() > NAMED {
        names.push("..".into());
    }
    names.join(", ")
}

/// The lens of each frame's picture.
fn lenses(entries: &[Entry], stored_size: (u32, u32), warnings: &mut Vec<String>) -> Result<Vec<Lens>> {
    let mut lenses: Vec<Lens> = Vec::with_capacity(entries.len());
    let mut last: Option<Stored> = None;
    let (mut scaled, mut contradicted) = (None, None);
    for (i, entry) in entries.iter().enumerate() {
        let bad = |problem: String| Error::Camera { what: entry.what(), problem };
        let stored = entry.frame.own.stored(&entry.file.shared, stored_size).map_err(bad)?;
        let lens = match last {
            Some(same) if same == stored => lenses[i - 1],
            _ => stored.lens().map_err(bad)?,
        };
        if (stored.scale - 1.0).abs() > 1e-3 && scaled.is_none() {
            scaled = Some((entry, stored.scale));
        }
        if stored.angle_differs && contradicted.is_none() {
            contradicted = Some(entry);
        }
        last = Some(stored);
        lenses.push(lens);
    }
    if let Some((entry, scale)) = scaled {
        warnings.push(format!(
            "{}: pictures of {}x{} are {scale:.4} times the size in the file: focal lengths and principal points are \
             scaled so",
            entry.what(),
            stored_size.0,
            stored_size.1
        ));
    }
    if let Some(entry) = contradicted {
        warnings.push(format!("{}: fl_x is used, which the field of view beside it contradicts", entry.what()));
    }
    Ok(lenses)
}

/// The cameras, still at the origin, and the poses in the file's frame.
fn cameras(
    entries: &[Entry],
    lenses: &[Lens],
    stored: (u32, u32),
    size: (u32, u32),
) -> Result<(Vec<Camera>, Vec<DMat4>)> {
    let whole = |(width, height): (u32, u32)| DVec2::new(width.into(), height.into());
    let scale = whole(size) / whole(stored);
    let mut cameras = Vec::with_capacity(entries.len());
    let mut poses = Vec::with_capacity(entries.len());
    for (entry, lens) in entries.iter().zip(lenses) {
        let what = entry.what();
        crate::pose::check_rigid(entry.frame.pose).map_err(|problem| Error::Camera { what: what.clone(), problem })?;
        let camera = Camera {
            width: size.0,
            height: size.1,
            focal: (lens.focal * scale).as_vec2(),
            center: ((lens.center + 0.5) * scale - 0.5).as_vec2(),
            world_from_camera: glam::Mat4::IDENTITY,
        };
        camera.validate(&what)?;
        cameras.push(camera);
        poses.push(entry.frame.pose);
    }
    Ok((cameras, poses))
}

/// Names of the views: the stems, or where two of a file are the same, the whole paths with `_` between their parts.
fn view_names(root: &Path, entries: &[Entry]) -> Vec<String> {
    let stem = |entry: &Entry| super::stem(&entry.path);
    let whole = |path: &Path| {
        let path = path.strip_prefix(root).unwrap_or(path).with_extension("");
        let parts: Vec<_> = path
            .components()
            .filter(|part| matches!(part, std::path::Component::Normal(_)))
            .map(|part| part.as_os_str().to_string_lossy().into_owned())
            .collect();
        parts.join("_")
    };
    let same_file = |a: &Entry, b: &Entry| std::ptr::eq(a.file, b.file);
    let mut names = Vec::with_capacity(entries.len());
    for part in entries.chunk_by(same_file) {
        let stems: Vec<String> = part.iter().map(stem).collect();
        let unique = stems.iter().collect::<HashSet<_>>().len() == stems.len();
        names.extend(if unique { stems } else { part.iter().map(|entry| whole(&entry.path)).collect() });
    }
    names
}

#[cfg(test)]
#[path = "single_tests.rs"]
mod single_tests;
#[cfg(test)]
#[path = "split_tests.rs"]
mod split_tests;
