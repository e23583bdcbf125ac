//! Rendered worlds on disk, in the layout of LLFF or another.

use super::World;
use super::layouts::{self, Written, io, write_npy};
use super::pixels::{Eye, trace};
use super::points::Surfaces;
use crate::write::{self, PictureFormat};
use crate::{Camera, Error, Format, Image, Result, formats};
use std::fs;
use std::path::Path;

/// How views are rendered and stored.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct WriteOptions {
    /// Rays per pixel.
    pub samples_per_pixel: u32,
    /// JPEG of this quality (1 to 100) in place of PNG.
    pub jpeg_quality: Option<u8>,
    /// Store the exact depths as well.
    pub depth: bool,
    /// Threads to render with; 0 takes all cores.
    pub threads: usize,
    /// The layout of the files.
    pub format: Format,
}

impl Default for WriteOptions {
    fn default() -> Self {
        Self { samples_per_pixel: 4, jpeg_quality: None, depth: true, threads: 0, format: Format::Llff }
    }
}

/// Whether `dir` holds a scene of a layout that was written to the end: folders get their name only then.
pub fn is_complete(dir: &Path, format: Format) -> bool {
    formats::holds(dir, format) && dir.join(layouts::picture_folder(format)).is_dir()
}

/// Renders the `cameras` and writes `images/000.png`.., `poses_bounds.npy` and, if asked for, `depth/000.npy`.. (f32,
/// `[height, width]`) to `dir`. `progress` is told the number of views done after each.
///
/// `poses_bounds.npy` is `[views, 17]` in f64: a row-major 3x5 matrix of the columns down, right, back, centre and
/// (height, width, focal), then the depths that bound all but 0.1 % of the pixels on either side. Where the world is to
/// look photographed, the poses are off by a fraction of a pixel, as those of structure from motion are; pictures and
/// depths are those of the true `cameras`, so that depths are exact at their pixels. The folder is built
/// under a temporary name and renamed, so it is whole or absent; a complete one is left as it is.
///
/// # Errors
/// [`Error::Io`] if a file cannot be written, [`Error::Scene`] if there are no cameras or `dir` exists with other
/// content, [`Error::Camera`] for a camera that cannot be rendered.
///
/// Other layouts than LLFF's have the same in their own files: points on surfaces in COLMAP's, the bounds of all views
/// together in those of JSON, and no bounds elsewhere.
pub fn write_llff(
    dir: &Path,
    world: &World,
    cameras: &[Camera],
    options: &WriteOptions,
    progress: &dyn Fn(usize),
) -> Result<()> {
    write_llff_with(dir, world, cameras, options, &[], progress)
}

/// As [`write_llff`], with further `files` (name and content) in the folder from the moment on that it is there.
///
/// # Errors
/// As [`write_llff`].
pub fn write_llff_with(
    dir: &Path,
    world: &World,
    cameras: &[Camera],
    options: &WriteOptions,
    files: &[(&str, &[u8])],
    progress: &dyn Fn(usize),
) -> Result<()> {
    if is_complete(dir, options.format) {
        progress(cameras.len());
        return Ok(());
    }
    if cameras.is_empty() {
        return Err(Error::Scene(format!("{}: expected at least one camera, found none", dir.display())));
    }
    if fs::read_dir(dir).is_ok_and(|mut entries| entries.next().is_some()) {
        let problem = "expected a complete scene, an empty folder or nothing, found other files";
        return Err(Error::Scene(format!("{}: {problem}", dir.display())));
    }
    for (i, camera) in cameras.iter().enumerate() {
        camera.validate(&format!("camera {i}"))?;
    }
    let Some(name) = dir.file_name() else {
        return Err(Error::Scene(format!("{}: expected a folder name to write to", dir.display())));
    };
    let prefix = format!(".{}.", name.to_string_lossy());
    remove_leftovers(dir, &prefix);
    let building = dir.with_file_name(format!("{prefix}{}", std::process::id()));
    let written = write_all(&building, world, cameras, options, progress).and_then(|()| {
        for (name, content) in files {
            let path = building.join(name);
            fs::write(&path, content).map_err(io(&path))?;
        }
        // An empty folder may be there already; renaming onto it is not portable.
        let _ = fs::remove_dir(dir);
        fs::rename(&building, dir).map_err(io(dir))
    });
    if written.is_err() {
        let _ = fs::remove_dir_all(&building);
    }
    written
}

/// Removes the folders of killed processes that were to become `dir`: `prefix` and the number of a process beside it. One
/// of our own number is another process's, too.
fn remove_leftovers(dir: &Path, prefix: &str) {
    let parent = dir.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let process = name.to_str().and_then(|name| name.strip_prefix(prefix)?.parse::<u32>().ok());
        let gone = |process| process == std::process::id() || !Path::new(&format!("/proc/{process}")).exists();
        // Without a list of processes all would seem to be gone.
        if process.is_some_and(gone) && Path::new("/proc/self").exists() {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

fn write_all(
    dir: &Path,
    world: &World,
    cameras: &[Camera],
    options: &WriteOptions,
    progress: &dyn Fn(usize),
) -> Result<()> {
    let cores = std::thread::available_parallelism().map_or(1, |n| n.get());
    let threads = if options.threads == 0 { cores } else { options.threads };
    let pictures = dir.join(layouts::picture_folder(options.format));
    fs::create_dir_all(&pictures).map_err(io(dir))?;
    if options.depth {
        fs::create_dir_all(dir.join("depth")).map_err(io(dir))?;
    }
    let mut all = Written { cameras: Vec::new(), names: Vec::new(), bounds: Vec::new(), points: Vec::new() };
    let mut surfaces = layouts::has_points(options.format).then(Surfaces::default);
    for (i, camera) in cameras.iter().enumerate() {
        let eye = Eye::from(*camera);
        let (linear, depth) = trace(world, &eye, options.samples_per_pixel, world.sampling(), threads);
        let (image, told) = world.photograph(i, camera, linear, &depth)?;
        all.names.push(write_image(&pictures, i, &image, options.jpeg_quality)?);
        if options.depth {
            let shape = [camera.height as usize, camera.width as usize];
            write_npy(&dir.join(format!("depth/{i:03}.npy")), &shape, &depth)?;
        }
        if let Some(surfaces) = &mut surfaces {
            surfaces.add(camera, &depth, &image);
        }
        all.cameras.push(told);
        all.bounds.push(bounds(depth));
        progress(i + 1);
    }
    all.points = surfaces.map_or_else(Vec::new, |surfaces| surfaces.points());
    layouts::write(dir, options.format, &all)
}

/// The depths that all but 0.1 % of the pixels on either side lie between.
pub(super) fn bounds(mut depth: Vec<f32>) -> (f32, f32) {
    depth.sort_unstable_by(f32::total_cmp);
    let cut = depth.len() / 1000;
    (depth[cut], depth[depth.len() - 1 - cut])
}

/// Writes a picture and tells the name of its file.
fn write_image(folder: &Path, index: usize, image: &Image, jpeg_quality: Option<u8>) -> Result<String> {
    let (extension, format) = match jpeg_quality {
        Some(quality) => ("jpg", PictureFormat::Jpeg { quality }),
        None => ("png", PictureFormat::Png),
    };
    let name = format!("{index:03}.{extension}");
    let path = folder.join(&name);
    fs::write(&path, write::encode(image, format)?).map_err(io(&path))?;
    Ok(name)
}
