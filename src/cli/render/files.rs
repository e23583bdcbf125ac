//! The files of a frame.

use super::format::FrameFormat;
use super::maps::{self, DepthScale, MapKind};
use super::picture::Picture;
use super::record::{Entry, Journal};
use crate::cli::{hash, names};
use anyhow::bail;
use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};

/// Files of one frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FrameFiles {
    /// The image.
    pub image: PathBuf,
    /// What is written beside it.
    pub maps: Vec<(MapKind, PathBuf)>,
    format: FrameFormat,
}

impl FrameFiles {
    /// Files that begin with `stem`.
    pub fn new(folder: &Path, stem: &str, format: FrameFormat, maps: &[MapKind]) -> Self {
        let maps = maps.iter().map(|kind| (*kind, folder.join(format!("{stem}{}", kind.ending())))).collect();
        Self { image: folder.join(format!("{stem}.{}", format.name())), maps, format }
    }

    /// The file of a kind, if there is one.
    pub fn map(&self, kind: MapKind) -> Option<&Path> {
        self.maps.iter().find(|(found, _)| *found == kind).map(|(_, path)| path.as_path())
    }

    /// Files beside the image, as reports name them.
    pub fn report(&self) -> BTreeMap<&'static str, BTreeMap<&'static str, PathBuf>> {
        let mut groups: BTreeMap<_, BTreeMap<_, _>> = BTreeMap::new();
        for (kind, path) in &self.maps {
            let [group, key] = kind.place();
            groups.entry(group).or_default().insert(key, path.clone());
        }
        groups
    }

    fn all(&self) -> impl Iterator<Item = &Path> {
        std::iter::once(&self.image).chain(self.maps.iter().map(|(_, path)| path)).map(PathBuf::as_path)
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

    /// Writes a frame and records it as `entry`, whose files are those that it has besides. The image comes last and after
    /// its record: where it is, the others are, and what made it is known.
    ///
    /// # Errors
    /// If a file cannot be written.
    pub fn write(
        &self,
        picture: &Picture,
        scale: DepthScale,
        mut entry: Entry,
        journal: &mut Journal,
    ) -> anyhow::Result<()> {
        let mut hashes = entry.files.clone();
        if !self.maps.is_empty() {
            entry.files.extend(self.names().map(|name| (name, String::new())));
            journal.add(&entry)?;
            for (kind, path) in &self.maps {
                maps::write(*kind, path, picture, scale)?;
                hashes.insert(name(path), hash::file(path)?);
            }
        }
        let image = self.format.encode(&picture.image)?;
        hashes.insert(name(&self.image), hash::bytes(&image));
        entry.files = hashes;
        journal.add(&entry)?;
        Ok(scene::write::write_bytes(&self.image, &image)?)
    }
}

fn name(path: &Path) -> String {
    path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned())
}

/// Whether a file is called as a numbered frame: `frame_0003.png`, `frame_0003_left_depth.npy`.
pub fn is_numbered(name: &str) -> bool {
    let stem = MapKind::ALL.iter().find_map(|kind| name.strip_suffix(kind.ending()));
    let image =
        || name.rsplit_once('.').filter(|(_, end)| ["png", "jpg", "webp", "exr"].contains(end)).map(|(stem, _)| stem);
    let stem = stem.or_else(image).map(|stem| stem.trim_end_matches("_left").trim_end_matches("_right"));
    let number = stem.and_then(|stem| stem.strip_prefix("frame_"));
    number.is_some_and(|number| number.len() >= 4 && number.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Files of all frames, by their names.
///
/// # Errors
/// If two frames would write the same file.
pub fn name_all<'a>(
    folder: &Path,
    frames: impl IntoIterator<Item = &'a str>,
    format: FrameFormat,
    maps: &[MapKind],
) -> anyhow::Result<Vec<FrameFiles>> {
    let mut taken = HashSet::new();
    let stems = names::for_files(frames);
    let files: Vec<_> = stems.iter().map(|stem| FrameFiles::new(folder, stem, format, maps)).collect();
    for path in files.iter().flat_map(FrameFiles::all) {
        if !taken.insert(path) {
            bail!("{}: expected frames of different names, found two that would write this file", path.display());
        }
    }
    Ok(files)
}

#[cfg(test)]
pub mod tests {
    use super::super::maps::DepthFormat;
    use super::*;
    use gnt::renderer::Rendered;
    use scene::{Camera, Frame, Image};

    /// A frame of which only the name matters.
    pub fn frame(name: &str) -> Frame {
        let (focal, center, world_from_camera) = Default::default();
        let camera = Camera { width: 5, height: 3, focal, center, world_from_camera };
        Frame { name: name.into(), camera, truth: None, excluded: vec![] }
    }

    /// Files of depth as they are written unless others are asked for.
    pub fn depth_maps(depth: bool) -> Vec<MapKind> {
        let formats = [DepthFormat::Npy, DepthFormat::Png];
        formats.iter().filter(|_| depth).flat_map(|format| format.kinds()).copied().collect()
    }

    /// What the renderer gives: a picture of one gray.
    pub fn rendered(level: f32) -> Rendered {
        Rendered {
            image: Image::new(5, 3, vec![level; 45]).unwrap(),
            depth: vec![2.0; 15],
            range: vec![2.5; 15],
            confidence: vec![],
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
            name_all(Path::new("out"), names.iter().copied(), FrameFormat::Png, &depth_maps(depth))
        };
        assert_eq!(names(&["a", "b"], true).unwrap()[1].image, Path::new("out/b.png"));
        assert!(names(&["a", "a_depth"], false).is_ok());
        let message = names(&["a", "a_depth"], true).unwrap_err().to_string();
        assert!(message.contains("a_depth.png"), "{message}");
        assert!(names(&["a", "b", "a"], false).is_err());
        let files = names(&["view 1", "View 1"], false).unwrap();
        assert!(files[0].image.to_string_lossy().to_lowercase() != files[1].image.to_string_lossy().to_lowercase());
    }

    #[test]
    fn numbered_frames_are_known_by_their_names() {
        let known = [
            "frame_0003.png",
            "frame_12345.png",
            "frame_0003.exr",
            "frame_0003_left.webp",
            "frame_0003_depth.npy",
            "frame_0003_depth.png",
            "frame_0003_right_depth_colour.png",
            "frame_0003_range.npy",
            "frame_0003_normals.png",
        ];
        assert!(known.iter().all(|name| is_numbered(name)));
        let others = ["frame_3.png", "frame_0003.txt", "frame_.png", "frame_000x.png", "a.png", "myframe_0003.png"];
        assert!(!others.iter().any(|name| is_numbered(name)));
    }
}
