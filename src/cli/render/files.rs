//! The files of a frame, and the folder they go to.

use anyhow::{Context, bail};
use gnt::renderer::Rendered;
use scene::{Frame, Scene, view, write};
use serde::Serialize;
use std::collections::HashSet;
use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};

/// Files of one frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FrameFiles {
    /// The image.
    pub image: PathBuf,
    /// Depth files, if they are asked for.
    pub depth: Option<DepthFiles>,
}

/// Depth files of one frame.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DepthFiles {
    /// Depth along the optical axis in scene units, f32 `[height, width]`.
    pub depth: PathBuf,
    /// Distance along the ray in scene units, f32 `[height, width]`.
    pub range: PathBuf,
    /// Depth as a 16-bit image.
    pub png: PathBuf,
}

impl FrameFiles {
    /// Names of the files of the frame called `name`.
    pub fn new(folder: &Path, name: &str, depth: bool) -> Self {
        let named = |end: &str| folder.join(format!("{name}{end}"));
        let depth = depth.then(|| DepthFiles {
            depth: named("_depth.npy"),
            range: named("_range.npy"),
            png: named("_depth.png"),
        });
        Self { image: named(".png"), depth }
    }

    fn all(&self) -> impl Iterator<Item = &Path> {
        let depth = self.depth.iter().flat_map(|d| [&d.depth, &d.range, &d.png]);
        std::iter::once(&self.image).chain(depth).map(PathBuf::as_path)
    }

    /// Whether all files are there.
    ///
    /// # Errors
    /// If the image that is there is none, or has another size: then it comes from another command.
    pub fn complete(&self, size: (u32, u32)) -> anyhow::Result<bool> {
        if !self.all().all(Path::exists) {
            return Ok(false);
        }
        const HINT: &str = "the frame exists already; --overwrite renders it again";
        let found = view::image_size(&self.image).context(HINT)?;
        if found != size {
            let path = self.image.display();
            bail!("{HINT}: {path}: expected {}x{}, found {}x{}", size.0, size.1, found.0, found.1);
        }
        Ok(true)
    }

    /// Writes a frame, the image last: where it is, the others are.
    ///
    /// # Errors
    /// If a file cannot be written.
    pub fn write(&self, rendered: &Rendered, depth_scale: f32) -> anyhow::Result<()> {
        let (width, height) = (rendered.image.width, rendered.image.height);
        if let Some(files) = &self.depth {
            write::write_npy(&files.depth, width, height, &rendered.depth)?;
            write::write_npy(&files.range, width, height, &rendered.range)?;
            write::write_depth_png(&files.png, width, height, &rendered.depth, Some(depth_scale))?;
        }
        Ok(write::write_png(&self.image, &rendered.image)?)
    }
}

/// Files of all frames.
///
/// # Errors
/// If two frames would write the same file.
pub fn name_all(folder: &Path, frames: &[Frame], depth: bool) -> anyhow::Result<Vec<FrameFiles>> {
    let mut taken = HashSet::new();
    let files: Vec<_> = frames.iter().map(|frame| FrameFiles::new(folder, &frame.name, depth)).collect();
    for path in files.iter().flat_map(FrameFiles::all) {
        if !taken.insert(path) {
            bail!("{}: expected frames of different names, found two that would write this file", path.display());
        }
    }
    Ok(files)
}

/// Creates the folder and checks that files can be made in it.
///
/// # Errors
/// If that fails, or photographs of the scene lie in it, whose names frames of the test path have.
pub fn prepare_folder(folder: &Path, scene: &Scene) -> anyhow::Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("--out {}: cannot be created", folder.display()))?;
    let canonical = folder.canonicalize().with_context(|| folder.display().to_string())?;
    let parents: HashSet<_> = scene.views.iter().filter_map(|view| view.path.parent()).collect();
    if parents.iter().any(|parent| parent.canonicalize().is_ok_and(|parent| parent == canonical)) {
        bail!("--out {}: expected another folder than that of the photographs", folder.display());
    }
    probe(folder).with_context(|| format!("--out {}: cannot be written to", folder.display()))
}

/// Makes and removes a file.
///
/// # Errors
/// If the folder does not allow it.
pub fn probe(folder: &Path) -> std::io::Result<()> {
    let path = folder.join(format!(".shiftray.{}.tmp", std::process::id()));
    OpenOptions::new().write(true).create_new(true).open(&path)?;
    fs::remove_file(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use scene::{Camera, Image};

    fn frame(name: &str) -> Frame {
        // Only names matter here.
        let (focal, center, world_from_camera) = Default::default();
        let camera = Camera { width: 5, height: 3, focal, center, world_from_camera };
        Frame { name: name.into(), camera, truth: None, excluded: vec![] }
    }

    #[test]
    fn frames_do_not_share_files() {
        let names = |names: &[&str], depth| {
            let frames: Vec<_> = names.iter().map(|name| frame(name)).collect();
            name_all(Path::new("out"), &frames, depth)
        };
        assert_eq!(names(&["a", "b"], true).unwrap()[1].image, Path::new("out/b.png"));
        assert!(names(&["a", "a_depth"], false).is_ok());
        let message = names(&["a", "a_depth"], true).unwrap_err().to_string();
        assert!(message.contains("a_depth.png"), "{message}");
        assert!(names(&["a", "b", "a"], false).is_err());
    }

    #[test]
    fn a_frame_is_complete_with_all_its_files() {
        let dir = tempfile::tempdir().unwrap();
        let files = FrameFiles::new(dir.path(), "x", true);
        let rendered = Rendered {
            image: Image::black(5, 3),
            depth: vec![f32::NAN; 15],
            range: vec![1.0; 15],
            sources: vec![],
            prepared: 0,
            seconds_features: 0.0,
            seconds_rays: 0.0,
            rays: 15,
            routing: None,
        };
        assert!(!files.complete((5, 3)).unwrap());
        files.write(&rendered, 2.0).unwrap();
        assert!(files.complete((5, 3)).unwrap());
        let message = format!("{:#}", files.complete((3, 5)).unwrap_err());
        assert!(message.contains("expected 3x5, found 5x3") && message.contains("--overwrite"), "{message}");
        fs::write(&files.image, b"").unwrap();
        assert!(format!("{:#}", files.complete((5, 3)).unwrap_err()).contains("x.png"));
        fs::remove_file(&files.depth.as_ref().unwrap().range).unwrap();
        assert!(!files.complete((5, 3)).unwrap());
    }
}
