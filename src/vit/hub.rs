//! What stands beside a checkpoint of timm on a model hub: `config.json` with preprocessing and names of classes.

use crate::preprocess::{Interpolation, Preprocess};
use crate::{Error, Result};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Name of the file, in the checkpoint's folder.
pub const FILE: &str = "config.json";
/// Largest such file, in bytes.
const LIMIT: u64 = 16 << 20;

/// What a `config.json` says, as far as it is used here.
#[derive(Debug, Default, Deserialize)]
struct Hub {
    /// Of timm since 2023; before, these entries stood at the top.
    pretrained_cfg: Option<Pretrained>,
    #[serde(flatten)]
    top: Pretrained,
    #[serde(default)]
    label_names: Vec<String>,
    /// What the names mean, for people.
    #[serde(default)]
    label_descriptions: BTreeMap<String, String>,
}

#[derive(Debug, Default, Deserialize)]
struct Pretrained {
    mean: Option<[f32; 3]>,
    std: Option<[f32; 3]>,
    crop_pct: Option<f32>,
    interpolation: Option<String>,
    input_size: Option<[usize; 3]>,
}

/// What is known about a checkpoint beside its tensors.
#[derive(Debug)]
pub struct Beside {
    /// How pictures become input.
    pub preprocess: Preprocess,
    /// Height and width of the images, where told.
    pub size: Option<(usize, usize)>,
    /// Names of the classes; empty where none are told.
    pub classes: Vec<String>,
}

/// Reads the file beside `checkpoint`; without one, ImageNet's preprocessing and no names.
///
/// # Errors
/// If the file is there but is none of timm's, or its numbers are out of range.
pub fn beside(checkpoint: &Path) -> Result<Beside> {
    let path = checkpoint.with_file_name(FILE);
    if !path.is_file() {
        return Ok(Beside { preprocess: Preprocess::imagenet(), size: None, classes: Vec::new() });
    }
    let text = scene::file::read_text(&path, LIMIT)?;
    of_text(&path, &text)
}

fn of_text(path: &Path, text: &str) -> Result<Beside> {
    let bad = |problem: String| Error::File { path: PathBuf::from(path), problem };
    let hub: Hub = serde_json::from_str(text).map_err(|e| bad(e.to_string()))?;
    let said = hub.pretrained_cfg.unwrap_or(hub.top);
    let plain = Preprocess::imagenet();
    let interpolation = match said.interpolation.as_deref() {
        None | Some("") => plain.interpolation,
        Some("bicubic") => Interpolation::Bicubic,
        Some("bilinear") => Interpolation::Bilinear,
        Some(other) => return Err(bad(format!("interpolation: expected bicubic or bilinear, found {other:?}"))),
    };
    let preprocess = Preprocess {
        mean: said.mean.unwrap_or(plain.mean),
        std: said.std.unwrap_or(plain.std),
        crop: said.crop_pct.unwrap_or(plain.crop),
        interpolation,
    };
    preprocess.check().map_err(bad)?;
    let size = match said.input_size {
        Some([3, height, width]) => Some((height, width)),
        Some(other) => return Err(bad(format!("input_size: expected 3 channels, height and width, found {other:?}"))),
        None => None,
    };
    let meaning = |name: String| hub.label_descriptions.get(&name).cloned().unwrap_or(name);
    Ok(Beside { preprocess, size, classes: hub.label_names.into_iter().map(meaning).collect() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_timm_writes_is_read() {
        let text = r#"{"architecture": "deit_tiny_patch16_224", "num_classes": 2, "num_features": 192,
            "pretrained_cfg": {"tag": "x", "custom_load": false, "input_size": [3, 240, 224], "fixed_input_size": true,
                "interpolation": "bilinear", "crop_pct": 0.875, "crop_mode": "center", "mean": [0.5, 0.4, 0.3],
                "std": [0.2, 0.2, 0.1], "num_classes": 2, "pool_size": null},
            "label_names": ["n01", "n02"], "label_descriptions": {"n01": "tench, Tinca tinca"}}"#;
        let found = of_text(Path::new("config.json"), text).unwrap();
        let crop = Preprocess {
            mean: [0.5, 0.4, 0.3],
            std: [0.2, 0.2, 0.1],
            crop: 0.875,
            interpolation: Interpolation::Bilinear,
        };
        assert_eq!((found.preprocess, found.size), (crop, Some((240, 224))));
        assert_eq!(found.classes, ["tench, Tinca tinca", "n02"]);
        let old = of_text(Path::new("config.json"), r#"{"mean": [0, 0, 0], "crop_pct": 1.0}"#).unwrap();
        assert_eq!((old.preprocess.mean, old.preprocess.crop, old.classes.len()), ([0.0; 3], 1.0, 0));
    }

    #[test]
    fn what_cannot_be_followed_is_refused() {
        for (text, part) in [
            ("[1]", "invalid type"),
            (r#"{"pretrained_cfg": {"interpolation": "random"}}"#, "found \"random\""),
            (r#"{"pretrained_cfg": {"std": [0, 1, 1]}}"#, "std"),
            (r#"{"pretrained_cfg": {"crop_pct": 0}}"#, "crop"),
            (r#"{"pretrained_cfg": {"input_size": [1, 28, 28]}}"#, "3 channels"),
        ] {
            let message = of_text(Path::new("a/config.json"), text).unwrap_err().to_string();
            assert!(message.starts_with("a/config.json: ") && message.contains(part), "{message}");
        }
    }
}
