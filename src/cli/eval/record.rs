//! The files of one image: what a second run finds there, it need not do again.

use super::models::LoadedModel;
use super::targets::Target;
use crate::cli::hash;
use anyhow::{Context, ensure};
use eval::report::data::{ImageResult, Latency};
use scene::file::read_limited;
use scene::view::{Alpha, read_image};
use scene::{Image, write};
use serde::{Deserialize, Serialize};
use std::path::{Component, Path, PathBuf};

/// Folders of images with their records, and of sheets, below the report's.
pub const FOLDERS: [&str; 2] = ["images", "sheets"];
/// Longest record that is read.
const MOST_BYTES: u64 = 16 << 20;

/// Files of one image, below the report's folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageFiles {
    /// Path below `images` and `sheets`, without ending.
    stem: String,
}

/// What is known of a finished image; lies beside it as JSON.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ImageRecord {
    /// Hash of all that the image follows from.
    pub rendered: String,
    /// What the scores follow from beside it.
    pub scored: String,
    /// Metrics of the image.
    pub result: ImageResult,
    /// Its times: of this image alone.
    pub latency: Latency,
}

impl ImageFiles {
    /// Files of the image of this number of a split, by `model` from `views` source views.
    pub fn new(model: &LoadedModel, target: &Target, views: u32, image: usize) -> Self {
        let (scene, split, name) = (&target.folder, &target.split, &target.stems[image]);
        Self { stem: format!("{}/{scene}/{split}/{views}-views/{name}", model.folder) }
    }

    /// Files of an image of a report.
    ///
    /// # Errors
    /// If its path leads elsewhere than into a folder of images.
    pub fn of(image: &ImageResult) -> anyhow::Result<Self> {
        let stem = image.file.strip_prefix("images/").and_then(|path| path.strip_suffix(".png"));
        let inside = |stem: &&str| Path::new(stem).components().all(|part| matches!(part, Component::Normal(_)));
        let stem = stem.filter(inside);
        ensure!(stem.is_some(), "expected a path such as images/model/scene/name.png, found {:?}", image.file);
        Ok(Self { stem: stem.unwrap_or_default().into() })
    }

    /// The image, as a path below the report's folder.
    pub fn image(&self) -> String {
        format!("images/{}.png", self.stem)
    }

    /// Path of the record.
    pub fn record(&self) -> String {
        format!("images/{}.json", self.stem)
    }

    /// Path of the sheet.
    pub fn sheet(&self) -> String {
        format!("sheets/{}.jpg", self.stem)
    }

    /// Paths of image, record and sheet.
    pub fn all(&self) -> [String; 3] {
        [self.sheet(), self.image(), self.record()]
    }

    /// The record and the image, if both are there, whole, and made of what `rendered` stands for.
    pub fn find(&self, out: &Path, rendered: &str) -> Option<(ImageRecord, Image)> {
        let record: ImageRecord =
            serde_json::from_slice(&read_limited(&out.join(self.record()), MOST_BYTES).ok()?).ok()?;
        if record.rendered != rendered || !out.join(self.sheet()).is_file() {
            return None;
        }
        let image = read_image(&out.join(self.image()), Alpha::Ignore).ok()?;
        (pixels(&image) == record.result.sha256).then_some((record, image))
    }

    /// Whether the image is in the folder `out`.
    ///
    /// # Errors
    /// If it is there, but is not the one that the figures are of.
    pub fn expect(&self, out: &Path, result: &ImageResult) -> anyhow::Result<bool> {
        let path = out.join(self.image());
        if !path.exists() {
            return Ok(false);
        }
        let found = pixels(&read_image(&path, Alpha::Ignore)?);
        let (path, expected) = (path.display(), &result.sha256);
        ensure!(found == *expected, "{path}: expected the image of the hash {expected}, found another one, {found}");
        Ok(true)
    }

    /// Writes the sheet, then the image, then the record: where it is, the others are.
    ///
    /// # Errors
    /// If a file cannot be written.
    pub fn write(&self, out: &Path, record: &ImageRecord, image: &Image, sheet: &[u8]) -> anyhow::Result<()> {
        for file in self.all() {
            let folder = out.join(file);
            let folder = folder.parent().map_or_else(PathBuf::new, Path::to_owned);
            std::fs::create_dir_all(&folder).with_context(|| format!("{}: cannot be created", folder.display()))?;
        }
        write::write_bytes(&out.join(self.sheet()), sheet)?;
        write::write_png(&out.join(self.image()), image)?;
        Ok(write::write_bytes(&out.join(self.record()), &serde_json::to_vec_pretty(record)?)?)
    }
}

/// The hash of an image's pixels, as [`ImageResult::sha256`] has it.
pub fn pixels(image: &Image) -> String {
    hash::bytes(&image.to_rgb8())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_inside_the_folder() {
        let result = |file: &str| ImageResult {
            index: 0,
            name: "a".into(),
            file: file.into(),
            sha256: String::new(),
            sources: vec![],
            scores: Default::default(),
            unmasked: None,
            routed: vec![],
        };
        let files = ImageFiles::of(&result("images/m/fern/test/10-views/a.png")).unwrap();
        assert_eq!(files.all()[0], "sheets/m/fern/test/10-views/a.jpg");
        for bad in
            ["images/../a.png", "/images/a.png", "a.png", "images//etc/a.png", "images/m/../../a.png", "images/a.txt"]
        {
            assert!(ImageFiles::of(&result(bad)).is_err(), "{bad}");
        }
    }
}
