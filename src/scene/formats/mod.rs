//! Dataset formats: what a folder holds decides which loader reads it.

pub mod colmap;
pub(crate) mod detect;
mod find;
mod folder;
pub mod ibrnet;
pub mod llff;
mod masks;
pub mod metashape;
pub mod nex;
mod pictures;
pub mod polycam;
mod posed;
mod range;
pub mod realitycapture;
pub mod record3d;
pub(crate) mod split;
mod stray_bounds;
pub mod transforms;
mod world;

pub use detect::{POSE_FILES, holds, is_scene};
pub(crate) use posed::unused;
pub use split::Split;

use crate::{Error, Format, Result, Scene, View, picture};
use std::collections::HashSet;
use std::path::{Path, PathBuf};

/// Largest pose file that is read.
const MAX_POSE_BYTES: u64 = 64 << 20;
/// Most pixels of a camera's image. Ten sources of this size take 4 GB as colours.
const MAX_CAMERA_PIXELS: u64 = 1 << 25;
/// Largest factor by which images may be reduced.
const MAX_FACTOR: u32 = 1024;

/// How a scene is loaded.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LoadOptions {
    /// Image reduction. LLFF: the folder `images_<factor>`, by default the first of `images_8`, `images_4`, `images`.
    /// Blender and nerfstudio: the stored images are reduced by this factor.
    pub factor: Option<u32>,
    /// LLFF and nerfstudio: views 0, n, 2n, … are held out; 0 holds none out and makes every view a source. Scenes that
    /// come with a split of their own keep to that.
    pub hold_every: usize,
    /// Which views are held out; by default the first of [`splits`].
    pub split: Option<Split>,
    /// Near and far depth along the optical axis for all views, in the units of the scene's files; by default what the
    /// files say, or what the cameras tell.
    pub bounds: Option<[f64; 2]>,
    /// The layout to read the folder as; by default what it is recognised as.
    pub format: Option<Format>,
}

impl Default for LoadOptions {
    fn default() -> Self {
        Self { factor: None, hold_every: 8, split: None, bounds: None, format: None }
    }
}

/// How scenes of one layout of files are told from others and read. Whoever adds a layout adds a row to [`READERS`].
pub(crate) struct FormatReader {
    /// The layout that it reads.
    pub format: Format,
    /// The file or folder that stands for it below a scene's folder, for messages.
    pub marker: &'static str,
    /// The file or folder that stands for it in a scene's folder, if it is there.
    pub find: fn(&Path) -> Option<PathBuf>,
    /// Loads a scene, as [`load`] does.
    load: fn(&Path, &LoadOptions) -> Result<Scene>,
    /// Names the splits of a scene, as [`splits`] does.
    splits: fn(&Path) -> Result<Vec<Split>>,
    /// Chooses the reduction of an evaluation, as [`eval_factor`] does.
    eval_factor: fn(&Path) -> u32,
}

impl FormatReader {
    /// A format without a split of its own, whose photographs are evaluated as they are.
    const fn plain(
        format: Format,
        marker: &'static str,
        find: fn(&Path) -> Option<PathBuf>,
        load: fn(&Path, &LoadOptions) -> Result<Scene>,
    ) -> Self {
        Self { format, marker, find, load, splits: |_| Ok(vec![Split::HeldOut]), eval_factor: |_| 1 }
    }
}

/// The file of a name in a folder.
fn named(root: &Path, name: &str) -> Option<PathBuf> {
    Some(root.join(name)).filter(|file| file.exists())
}

/// All readers; where a folder has the markers of several, the first of them reads it.
pub(crate) const READERS: [FormatReader; 10] = [
    FormatReader::plain(Format::Nex, "hwf_cxcy.npy", nex::find, nex::load),
    FormatReader {
        format: Format::Llff,
        marker: llff::POSE_FILE,
        find: |root| named(root, llff::POSE_FILE),
        load: llff::load,
        splits: |_| Ok(vec![Split::HeldOut]),
        eval_factor: llff::eval_factor,
    },
    FormatReader {
        format: Format::Blender,
        marker: transforms::TRAIN_FILE,
        find: |root| named(root, transforms::TRAIN_FILE),
        load: |root, options| transforms::load(root, Format::Blender, options),
        splits: |root| transforms::splits(root, Format::Blender),
        eval_factor: |_| 1,
    },
    FormatReader {
        format: Format::Nerfstudio,
        marker: transforms::SINGLE_FILE,
        find: |root| named(root, transforms::SINGLE_FILE),
        load: |root, options| transforms::load(root, Format::Nerfstudio, options),
        splits: |root| transforms::splits(root, Format::Nerfstudio),
        eval_factor: |_| 1,
    },
    FormatReader::plain(Format::Colmap, "sparse/0/cameras.bin", colmap::find, colmap::load),
    FormatReader::plain(Format::Polycam, "keyframes/cameras", polycam::find, polycam::load),
    FormatReader::plain(Format::Record3d, record3d::POSE_FILE, record3d::find, record3d::load),
    FormatReader::plain(Format::Ibrnet, "pose", ibrnet::find, ibrnet::load),
    FormatReader::plain(Format::Metashape, "cameras.xml", metashape::find, metashape::load),
    FormatReader::plain(Format::RealityCapture, "cameras.csv", realitycapture::find, realitycapture::load),
];

/// Loads the scene in the folder `root`, in the format of [`LoadOptions::format`] or that it is recognised as.
///
/// # Errors
/// [`Error::Scene`] if the folder holds no known format or not the split that is asked for; otherwise as
/// [`llff::load`], [`transforms::load`] and the other readers.
pub fn load(root: &Path, options: &LoadOptions) -> Result<Scene> {
    if let Some([near, far]) = options.bounds.filter(|[near, far]| !(*near > 0.0 && near < far && far.is_finite())) {
        return Err(Error::Scene(format!("bounds: expected 0 < near < far, found {near} and {far}")));
    }
    let mut scene = (detect::reader(root, options.format)?.load)(root, options)?;
    if options.format.is_none() {
        for (format, other) in detect::others(root, scene.format) {
            let read = scene.pose_files.first().map_or_else(String::new, |file| file_name(file));
            let name = format.name();
            scene
                .warnings
                .push(format!("{}: {other} beside {read} is ignored; --format {name} reads it", root.display()));
        }
    }
    keep_apart(&mut scene);
    Ok(scene)
}

/// No photograph that is held out is a source, whatever a scene's own lists say and under whatever name.
fn keep_apart(scene: &mut Scene) {
    let file = |id: &usize| {
        let path = &scene.views[*id].path;
        path.canonicalize().unwrap_or_else(|_| path.clone())
    };
    let held_out: HashSet<PathBuf> = scene.held_out.iter().map(file).collect();
    let sources: Vec<usize> = scene.source_ids.iter().copied().filter(|id| !held_out.contains(&file(id))).collect();
    let both = scene.source_ids.len() - sources.len();
    if both > 0 {
        scene.warnings.push(format!("photographs for training that are held out, too, and so are no sources: {both}"));
    }
    scene.source_ids = sources;
}

/// The splits that the scene in the folder `root` has, the default one first: [`Split::Test`] and [`Split::Val`] as far
/// as the scene names its test and validation views, else [`Split::HeldOut`]; none if a scene with a split of its own
/// has training views only. It is read as `format`, or as what it is recognised as.
///
/// # Errors
/// [`Error::Scene`] if the folder holds no known format; [`Error::Io`] or [`Error::Format`] if the split is in a file
/// that cannot be read.
pub fn splits(root: &Path, format: Option<Format>) -> Result<Vec<Split>> {
    (detect::reader(root, format)?.splits)(root)
}

/// The [`LoadOptions::factor`] at which the published evaluation of GNT looks at the scene in the folder `root`, as far as
/// its photographs allow; it is read as `format`, or as what it is recognised as. Of a scene that is loaded so, [`Scene::eval_stride`] tells which pixels it looks at.
///
/// # Errors
/// [`Error::Scene`] if the folder holds no known format.
pub fn eval_factor(root: &Path, format: Option<Format>) -> Result<u32> {
    Ok((detect::reader(root, format)?.eval_factor)(root))
}

/// All files of a scene that are in use: the pose files, the photographs in the order of the views, then their masks.
pub fn files(scene: &Scene) -> Vec<PathBuf> {
    let photographs = scene.views.iter().map(|view| &view.path);
    let masks = scene.views.iter().filter_map(|view| view.mask.as_ref());
    scene.pose_files.iter().chain(photographs).chain(masks).cloned().collect()
}

/// How many photographs lie in a folder, those in its folders not counted.
///
/// # Errors
/// [`Error::Io`] if the folder cannot be read; [`Error::Format`] for a picture in a format that is not read, unless there is
/// one of the same stem that is.
pub fn photographs_in(folder: &Path) -> Result<usize> {
    Ok(list_images(folder)?.len())
}

/// Takes views out of a scene; the others keep their parts.
fn leave_out(scene: &mut Scene, ids: &[usize]) {
    if ids.is_empty() {
        return;
    }
    let mut new_ids = vec![None; scene.views.len()];
    (0..scene.views.len()).filter(|i| !ids.contains(i)).enumerate().for_each(|(new, old)| new_ids[old] = Some(new));
    let mut old = 0..;
    scene.views.retain(|_| old.next().is_some_and(|i| new_ids[i].is_some()));
    for part in [&mut scene.source_ids, &mut scene.held_out] {
        *part = part.iter().filter_map(|&id| new_ids[id]).collect();
    }
}

/// Makes the scene's bounds hold those of all its views.
fn span_views(scene: &mut Scene) {
    scene.near = scene.views.iter().map(|view| view.near).fold(f32::INFINITY, f32::min);
    scene.far = scene.views.iter().map(|view| view.far).fold(0.0, f32::max);
}

/// Name of a scene: the last part of its folder.
fn scene_name(root: &Path) -> String {
    let full = root.canonicalize().unwrap_or_else(|_| root.to_owned());
    full.file_name().map_or_else(|| "scene".to_owned(), |name| name.to_string_lossy().into_owned())
}

/// File name for messages.
fn file_name(path: &Path) -> String {
    path.file_name().map_or_else(|| path.display().to_string(), |name| name.to_string_lossy().into_owned())
}

/// File stem, as a view's name.
fn stem(path: &Path) -> String {
    path.file_stem().map_or_else(String::new, |name| name.to_string_lossy().into_owned())
}

fn format_error(path: &Path, problem: impl Into<String>) -> Error {
    Error::Format { path: path.to_owned(), problem: problem.into() }
}

/// Photographs that are not there, or others.
fn photographs_error(path: &Path, problem: String) -> Error {
    Error::Photographs { path: path.to_owned(), problem }
}

/// The image files of a folder, sorted by name as bytes; hidden files and those that are no pictures are left out.
///
/// # Errors
/// [`Error::Io`] if the folder cannot be read; [`Error::Format`] for a picture in a format that is not read, unless there
/// is one of the same stem that is.
fn list_images(folder: &Path) -> Result<Vec<PathBuf>> {
    let io = |source| Error::Io { path: folder.to_owned(), source };
    let (mut paths, mut unread) = (Vec::new(), Vec::new());
    for entry in std::fs::read_dir(folder).map_err(io)? {
        let path = entry.map_err(io)?.path();
        if file_name(&path).starts_with('.') || !path.is_file() {
            continue;
        }
        if picture::is_read(&path) {
            paths.push(path);
        } else if picture::is_unread(&path) {
            unread.push(path);
        }
    }
    paths.sort();
    unread.sort();
    let stems: HashSet<String> = paths.iter().map(|path| stem(path)).collect();
    match unread.into_iter().find(|path| !stems.contains(&stem(path))) {
        Some(path) => Err(picture::unread(&path)),
        None => Ok(paths),
    }
}

/// Size after a reduction, rounded down.
fn reduced_size(folder: &Path, (width, height): (u32, u32), by: u32) -> Result<(u32, u32)> {
    if by == 0 || width / by == 0 || height / by == 0 {
        return Err(format_error(folder, format!("images of {width}x{height} cannot be reduced by a factor of {by}")));
    }
    if u64::from(width / by) * u64::from(height / by) > MAX_CAMERA_PIXELS {
        let problem = format!(
            "expected images of at most {MAX_CAMERA_PIXELS} pixels to render with, found {}x{}: --factor reduces them",
            width / by,
            height / by
        );
        return Err(format_error(folder, problem));
    }
    Ok((width / by, height / by))
}

/// Checks a reduction factor from the user.
fn check_factor(factor: u32) -> Result<u32> {
    if factor == 0 || factor > MAX_FACTOR {
        return Err(Error::Scene(format!("factor: expected 1 to {MAX_FACTOR}, found {factor}")));
    }
    Ok(factor)
}

/// Warns if all cameras stand in one place, from where no depth can be seen.
fn warn_degenerate(views: &[View], warnings: &mut Vec<String>) {
    let Some(first) = views.first() else { return };
    let spread = views.iter().map(|v| v.camera.origin().distance(first.camera.origin())).fold(0.0, f32::max);
    if spread <= 1e-5 * first.far {
        let count = views.len();
        warnings.push(format!("degenerate scene: all {count} cameras stand in the same place, so depth is unknown"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_visible_images_are_listed_in_order_of_name() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str| std::fs::write(dir.path().join(name), b"x").unwrap();
        for name in ["b.png", "a.JPG", "c.txt", "._b.png", "d.jpeg", "10.png", "9.png", "e.webp", "a.dng"] {
            write(name);
        }
        let names: Vec<_> = list_images(dir.path()).unwrap().iter().map(|p| file_name(p)).collect();
        // Beside a photograph, the camera's raw data are no further one.
        assert_eq!(names, ["10.png", "9.png", "a.JPG", "b.png", "d.jpeg", "e.webp"]);
        write("f.HEIC");
        let message = list_images(dir.path()).unwrap_err().to_string();
        assert!(message.contains("f.HEIC: HEIC pictures are not read"), "{message}");
    }
}
