//! Rendered worlds on disk, in the layout of LLFF.

use super::World;
use super::pixels::trace;
use crate::formats::llff::POSE_FILE;
use crate::write::{self, PictureFormat};
use crate::{Camera, Error, Image, Result, npy};
use glam::Vec3;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

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
}

impl Default for WriteOptions {
    fn default() -> Self {
        Self { samples_per_pixel: 4, jpeg_quality: None, depth: true, threads: 0 }
    }
}

/// Whether `dir` holds a scene that was written to the end: folders get their name only then.
pub fn is_complete(dir: &Path) -> bool {
    dir.join(POSE_FILE).is_file() && dir.join("images").is_dir()
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
    if is_complete(dir) {
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

fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Error + use<> {
    let path: PathBuf = path.to_owned();
    move |source| Error::Io { path, source }
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
    fs::create_dir_all(dir.join("images")).map_err(io(dir))?;
    if options.depth {
        fs::create_dir_all(dir.join("depth")).map_err(io(dir))?;
    }
    let mut rows = Vec::with_capacity(cameras.len() * 17);
    for (i, camera) in cameras.iter().enumerate() {
        let (linear, depth) = trace(world, camera, options.samples_per_pixel, world.sampling(), threads);
        let (image, written) = world.photograph(i, camera, linear, &depth)?;
        write_image(&dir.join("images"), i, &image, options.jpeg_quality)?;
        if options.depth {
            let shape = [camera.height as usize, camera.width as usize];
            write_npy(&dir.join(format!("depth/{i:03}.npy")), &shape, &depth)?;
        }
        rows.extend(pose_bounds_row(&written, bounds(depth)));
        progress(i + 1);
    }
    write_npy(&dir.join(POSE_FILE), &[cameras.len(), 17], &rows)
}

/// The depths that all but 0.1 % of the pixels on either side lie between.
pub(super) fn bounds(mut depth: Vec<f32>) -> (f32, f32) {
    depth.sort_unstable_by(f32::total_cmp);
    let cut = depth.len() / 1000;
    (depth[cut], depth[depth.len() - 1 - cut])
}

/// A row of `poses_bounds.npy`.
pub(super) fn pose_bounds_row(camera: &Camera, (near, far): (f32, f32)) -> [f64; 17] {
    let axis = |i: usize| camera.world_from_camera.col(i).truncate();
    let size = Vec3::new(camera.height as f32, camera.width as f32, camera.focal.x);
    let columns = [axis(1), axis(0), -axis(2), axis(3), size];
    let mut row = [0.0; 17];
    for (c, column) in columns.iter().enumerate() {
        for r in 0..3 {
            row[r * 5 + c] = f64::from(column[r]);
        }
    }
    (row[15], row[16]) = (f64::from(near), f64::from(far));
    row
}

fn write_image(folder: &Path, index: usize, image: &Image, jpeg_quality: Option<u8>) -> Result<()> {
    let (extension, format) = match jpeg_quality {
        Some(quality) => ("jpg", PictureFormat::Jpeg { quality }),
        None => ("png", PictureFormat::Png),
    };
    let path = folder.join(format!("{index:03}.{extension}"));
    fs::write(&path, write::encode(image, format)?).map_err(io(&path))
}

fn write_npy<T: npy::Number>(path: &Path, shape: &[usize], values: &[T]) -> Result<()> {
    let mut out = BufWriter::new(File::create(path).map_err(io(path))?);
    npy::write(&mut out, shape, values).map_err(io(path))?;
    out.flush().map_err(io(path))
}
