//! The files of one image: what a second run finds there, it need not do again.

use super::hash;
use anyhow::Context;
use eval::report::data::{CaseKey, ImageResult, Latency};
use scene::view::{Alpha, read_image};
use scene::{Image, write};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// Files of one image, below the report's folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Files {
    folder: String,
    name: String,
}

/// What is known of a finished image; lies beside it as JSON.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Hash of all that the image follows from.
    pub rendered: String,
    /// What the scores follow from beside it.
    pub scored: String,
    /// The result.
    pub result: ImageResult,
    /// Its times: of this image alone.
    pub latency: Latency,
}

impl Files {
    /// Files of the image called `name` of a case.
    pub fn new(key: &CaseKey, name: &str) -> Self {
        let parts = [&key.model, &key.scene, &key.split].map(|part| plain(part));
        Self { folder: format!("{}/{}-views", parts.join("/"), key.views), name: plain(name) }
    }

    /// The image, as a path below the report's folder.
    pub fn image(&self) -> String {
        format!("images/{}/{}.png", self.folder, self.name)
    }

    /// The record.
    pub fn record(&self) -> String {
        format!("images/{}/{}.json", self.folder, self.name)
    }

    /// The sheet.
    pub fn sheet(&self) -> String {
        format!("sheets/{}/{}.jpg", self.folder, self.name)
    }

    /// All of them.
    pub fn all(&self) -> [String; 3] {
        [self.sheet(), self.image(), self.record()]
    }

    /// The record and the image, if both are there, whole, and made of what `rendered` stands for.
    pub fn find(&self, out: &Path, rendered: &str) -> Option<(Record, Image)> {
        let record: Record = serde_json::from_slice(&std::fs::read(out.join(self.record())).ok()?).ok()?;
        if record.rendered != rendered || !out.join(self.sheet()).is_file() {
            return None;
        }
        let image = read_image(&out.join(self.image()), Alpha::Ignore).ok()?;
        (hash::bytes(&image.to_rgb8()) == record.result.sha256).then_some((record, image))
    }

    /// Writes the sheet, then the image, then the record: where it is, the others are.
    ///
    /// # Errors
    /// If a file cannot be written.
    pub fn write(&self, out: &Path, record: &Record, image: &Image, sheet: &[u8]) -> anyhow::Result<()> {
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

/// A name as one part of a path: characters that a path or some file system gives a meaning become `_`.
fn plain(name: &str) -> String {
    let safe = |c: char| if c.is_control() || r#"/\:*?"<>|"#.contains(c) { '_' } else { c };
    let name: String = name.chars().map(safe).collect();
    if name.chars().all(|c| c == '.') { format!("_{name}") } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_inside_the_folder() {
        for (name, expected) in [("fern", "fern"), ("a/b", "a_b"), ("..", "_.."), ("", "_"), ("r_0.5", "r_0.5")] {
            assert_eq!(plain(name), expected);
        }
        let key = CaseKey { scene: "x/../fern".into(), split: "test".into(), model: "/m".into(), views: 10 };
        assert_eq!(Files::new(&key, "a\\b").image(), "images/_m/x_.._fern/test/10-views/a_b.png");
    }
}
