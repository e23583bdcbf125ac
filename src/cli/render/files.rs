//! The files of a frame.

use super::record::{Entry, Journal};
use crate::cli::{hash, names};
use anyhow::bail;
use gnt::renderer::Rendered;
use scene::Frame;
use scene::write::{self, PictureFormat};
use serde::Serialize;
use std::collections::{BTreeMap, HashSet};
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
    /// Files that begin with `stem`.
    pub fn new(folder: &Path, stem: &str, depth: bool) -> Self {
        let named = |end: &str| folder.join(format!("{stem}{end}"));
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

    /// Names of all files in their folder.
    pub fn names(&self) -> impl Iterator<Item = String> {
        self.all().map(name)
    }

    /// Checks that each file can be written, so that it does not show only when its frame is rendered.
    ///
    /// # Errors
    /// If something else than a file, or nothing, has its name.
    pub fn expect_replaceable(&self) -> anyhow::Result<()> {
        Ok(self.all().try_for_each(scene::file::check_replaceable)?)
    }

    /// Writes a frame and records it as `entry`. The image comes last and after its record: where it is, the others are, and
    /// what made it is known. Depths are scaled by `depth_scale` for their image.
    ///
    /// # Errors
    /// If a file cannot be written.
    pub fn write(
        &self,
        rendered: &Rendered,
        depth_scale: f32,
        mut entry: Entry,
        journal: &mut Journal,
    ) -> anyhow::Result<()> {
        let (width, height) = (rendered.image.width, rendered.image.height);
        let mut hashes = BTreeMap::new();
        if let Some(files) = &self.depth {
            entry.files = self.names().map(|name| (name, String::new())).collect();
            journal.add(&entry)?;
            write::write_npy(&files.depth, width, height, &rendered.depth)?;
            write::write_npy(&files.range, width, height, &rendered.range)?;
            write::write_depth_png(&files.png, width, height, &rendered.depth, Some(depth_scale))?;
            for path in self.all().skip(1) {
                hashes.insert(name(path), hash::file(path)?);
            }
        }
        let image = write::encode(&rendered.image, PictureFormat::Png)?;
        hashes.insert(name(&self.image), hash::bytes(&image));
        entry.files = hashes;
        journal.add(&entry)?;
        Ok(write::write_bytes(&self.image, &image)?)
    }
}

fn name(path: &Path) -> String {
    path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned())
}

/// Files of all frames.
///
/// # Errors
/// If two frames would write the same file.
pub fn name_all(folder: &Path, frames: &[Frame], depth: bool) -> anyhow::Result<Vec<FrameFiles>> {
    let mut taken = HashSet::new();
    let stems = names::for_files(frames.iter().map(|frame| frame.name.as_str()));
    let files: Vec<_> = stems.iter().map(|stem| FrameFiles::new(folder, stem, depth)).collect();
    for path in files.iter().flat_map(FrameFiles::all) {
        if !taken.insert(path) {
            bail!("{}: expected frames of different names, found two that would write this file", path.display());
        }
    }
    Ok(files)
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use scene::{Camera, Image};

    /// A frame of which only the name matters.
    pub fn frame(name: &str) -> Frame {
        let (focal, center, world_from_camera) = Default::default();
        let camera = Camera { width: 5, height: 3, focal, center, world_from_camera };
        Frame { name: name.into(), camera, truth: None, excluded: vec![] }
    }

    /// A picture of one gray.
    pub fn rendered(level: f32) -> Rendered {
        Rendered {
            image: Image::new(5, 3, vec![level; 45]).unwrap(),
            depth: vec![2.0; 15],
            range: vec![2.5; 15],
            sources: vec![],
            prepared: 0,
            seconds_features: 0.0,
            seconds_rays: 0.0,
            rays: 15,
            routing: None,
        }
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
        let files = names(&["view 1", "View 1"], false).unwrap();
        assert!(files[0].image.to_string_lossy().to_lowercase() != files[1].image.to_string_lossy().to_lowercase());
    }
}
