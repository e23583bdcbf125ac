//! Scenes of JSON files with a pose for each photograph: `transforms.json` (nerfstudio, instant-ngp) and
//! `transforms_{train,test,val}.json` (Blender, NeRF's synthetic scenes). One reader serves both layouts.
//!
//! Poses are camera-to-world in OpenGL axes and rigid. Intrinsics may be given for all frames or for one, see
//! `intrinsics.rs`; they are in pixels counted from the image's corner, and are scaled to the images that are there. Lens
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
//! Depth bounds and the scene's frame are described in `world.rs`.

mod entries;
mod file;
mod intrinsics;
mod models;
mod world;

use super::pictures::{self, Pictures};
use super::world::World;
use super::{LoadOptions, Split, masks, split};
use crate::pose::flip_axes;
use crate::{Camera, Error, Format, Result, Scene, View};
use entries::{Entries, Entry, view_names};
use file::CameraFile;
use glam::{DMat4, DVec2};
use intrinsics::{Lens, Stored};
use std::path::{Path, PathBuf};

/// The file of the layout with one.
pub(crate) const SINGLE_FILE: &str = "transforms.json";
/// The file that tells the layout with a file for each split.
pub(super) const TRAIN_FILE: &str = "transforms_train.json";
/// Every how many validation views of a split layout one is held out if they are asked for by name, as in GNT's
/// evaluation script.
pub const VAL_EVERY: usize = 8;

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
/// read, an image listed twice, poses that are not orthonormal, lenses other than pinhole
/// with radial and tangential distortion and fisheyes, lenses that fold the image over, bounds that are not `0 < near < far`, or no
/// bounds and no way to tell them. [`Error::Scene`] if the split that is asked for is missing.
pub fn load(root: &Path, layout: Format, options: &LoadOptions) -> Result<Scene> {
    let factor = super::check_factor(options.factor.unwrap_or(1))?;
    let mut warnings = Vec::new();
    let first = if layout == Format::Blender { TRAIN_FILE } else { SINGLE_FILE };
    let mut files = vec![CameraFile::read(&root.join(first))?];
    let available = listed(root, layout, &files[0]).unwrap_or_else(|| split::of_positions(options.hold_every).to_vec());
    let mut wanted = split::choose(root, options.split, &available)?;
    if let Some(split) = wanted.filter(|_| layout == Format::Blender) {
        files.push(CameraFile::read(&root.join(split_file(split)))?);
    }
    let mut entries = Entries::new(root, &files);
    match layout {
        Format::Blender => entries.of_split_files(options, wanted, &mut warnings)?,
        _ => entries.of_one_file(&files[0], wanted, options.hold_every, &mut warnings)?,
    }
    let entries = entries.with_pictures(options.split, &mut wanted, &mut warnings)?;
    let paths: Vec<PathBuf> = entries.iter().map(|entry| entry.path.clone()).collect();

    let aspects: Vec<_> = entries.iter().map(|entry| entry.frame.own.aspect(&entry.file.shared)).collect();
    let found = Pictures::survey(&paths, &aspects, &mut warnings)?;
    pictures::say_sizes(&found.sizes, &paths, &mut warnings);
    let reduced = |size: &(u32, u32)| super::reduced_size(root, *size, factor);
    let sizes = found.sizes.iter().map(reduced).collect::<Result<Vec<_>>>()?;
    let lenses = lenses(&entries, &found.sizes, &mut warnings)?;
    let (cameras, poses) = cameras(&entries, &lenses, &found.sizes, &sizes)?;

    // Renderings are transparent as a rule, so that they are decoded only where it decides.
    let shares = std::cell::LazyCell::new(|| found.transparent(&paths));
    if layout != Format::Blender {
        pictures::say_transparent(&shares, &mut warnings);
    }
    let before_nothing = || pictures::are_before_nothing(&shares);
    let what = |i: usize| entries[i].what();
    let world = World::of_files(&files, layout, &poses, options.bounds, &before_nothing, &what, &mut warnings)?;
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
            stored_size: found.sizes[i],
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
        missing: 0,
        pose_files: files.iter().map(|file| file.path.clone()).collect(),
        near: world.bounds[0],
        far: world.bounds[1],
        bounds_are_tight: false,
        // The script's stride is meant for the 800x800 pixels of NeRF's synthetic scenes.
        eval_stride: if layout == Format::Blender && sizes[0].0 >= 800 { 2 } else { 1 },
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

/// The lens of each frame's picture.
fn lenses(entries: &[Entry], sizes: &[(u32, u32)], warnings: &mut Vec<String>) -> Result<Vec<Lens>> {
    let mut lenses: Vec<Lens> = Vec::with_capacity(entries.len());
    let mut last: Option<Stored> = None;
    let (mut scaled, mut contradicted, mut cut) = (None, None, None);
    for (i, entry) in entries.iter().enumerate() {
        let bad = |problem: String| Error::Camera { what: entry.what(), problem };
        let stored = entry.frame.own.stored(&entry.file.shared, sizes[i]).map_err(bad)?;
        let lens = match last {
            Some(same) if same == stored => lenses[i - 1],
            _ => stored.lens().map_err(bad)?,
        };
        if (stored.scale - 1.0).abs() > 1e-3 && scaled.is_none() {
            scaled = Some((entry, stored.scale, sizes[i]));
        }
        if stored.angle_differs && contradicted.is_none() {
            contradicted = Some(entry);
        }
        if lens.distortion.is_some_and(|d| d.is_cut()) && cut.is_none() {
            cut = Some(entry);
        }
        last = Some(stored);
        lenses.push(lens);
    }
    if let Some((entry, scale, size)) = scaled {
        warnings.push(format!(
            "{}: pictures of {}x{} are {scale:.4} times the size in the file: focal lengths and principal points are \
             scaled so",
            entry.what(),
            size.0,
            size.1
        ));
    }
    if let Some(entry) = cut {
        warnings.push(pictures::cut_warning(&entry.what()));
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
    stored: &[(u32, u32)],
    sizes: &[(u32, u32)],
) -> Result<(Vec<Camera>, Vec<DMat4>)> {
    let whole = |(width, height): (u32, u32)| DVec2::new(width.into(), height.into());
    let mut cameras = Vec::with_capacity(entries.len());
    let mut poses = Vec::with_capacity(entries.len());
    for (i, (entry, lens)) in entries.iter().zip(lenses).enumerate() {
        let what = entry.what();
        let (size, scale) = (sizes[i], whole(sizes[i]) / whole(stored[i]));
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

#[cfg(test)]
mod single_tests;
#[cfg(test)]
mod split_tests;
