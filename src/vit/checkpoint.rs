//! Our model files: safetensors with the description of the model as JSON in the metadata.

use crate::preprocess::Preprocess;
use crate::tensor::{KINDS, values};
use crate::{Config, Error, Model, Result};
use half::f16;
use safetensors::tensor::{Dtype, SafeTensors, TensorView, serialize};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// Largest model file that is read, in bytes.
pub const MAX_FILE_BYTES: u64 = 2 << 30;
/// Where the description lies in the metadata.
const KEY: &str = "classifier";

/// What a model file says about its weights.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Description {
    /// Sizes and variants.
    pub config: Config,
    /// How pictures become input.
    pub preprocess: Preprocess,
    /// Names of the classes; empty where none are known.
    pub classes: Vec<String>,
}

/// A classifier in a file.
#[derive(Clone, Debug, PartialEq)]
pub struct Checkpoint {
    /// What it is.
    pub description: Description,
    /// Its parameters, in the order of the layout.
    pub params: Vec<f32>,
    /// The file that it came from or the name of a built-in model, for messages.
    pub origin: PathBuf,
}

impl Checkpoint {
    /// Reads a file that [`Checkpoint::write`] wrote.
    ///
    /// # Errors
    /// If it cannot be read or is no such file; the size of the file bounds what is allocated.
    pub fn read(path: &Path) -> Result<Self> {
        Self::from_bytes(path, &scene::file::read_limited(path, MAX_FILE_BYTES)?)
    }

    /// Whether a file in memory says that it is a classifier.
    pub fn is_one(bytes: &[u8]) -> bool {
        SafeTensors::read_metadata(bytes)
            .is_ok_and(|(_, metadata)| metadata.metadata().as_ref().is_some_and(|m| m.contains_key(KEY)))
    }

    /// As [`Checkpoint::read`] for a file in memory, whose `path` stands in messages.
    ///
    /// # Errors
    /// As [`Checkpoint::read`].
    pub fn from_bytes(path: &Path, bytes: &[u8]) -> Result<Self> {
        let bad = |problem: String| Error::File { path: path.to_owned(), problem };
        let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(|e| bad(format!("safetensors header: {e}")))?;
        let text = metadata.metadata().as_ref().and_then(|m| m.get(KEY));
        let text = text.ok_or_else(|| bad(format!("expected a {KEY:?} entry in its metadata, found none")))?;
        let description: Description =
            serde_json::from_str(text).map_err(|e| bad(format!("{KEY} in the metadata: {e}")))?;
        description.preprocess.check().map_err(|e| bad(format!("{KEY} in the metadata: {e}")))?;
        let classes = (description.config.classes(), description.classes.len());
        if classes.1 != 0 && classes.0 != classes.1 {
            return Err(bad(format!("expected {} names of classes, found {}", classes.0, classes.1)));
        }
        let tensors = SafeTensors::deserialize(bytes).map_err(|e| bad(format!("safetensors header: {e}")))?;
        let model = Model::new(description.config, compute::Products::F32).map_err(|e| bad(e.to_string()))?;
        let (expected, found) = (model.layout.entries().len(), tensors.len());
        if expected != found {
            return Err(bad(format!("expected {expected} tensors, found {found}")));
        }
        // Checked before anything is allocated: the layout may be larger than the file.
        let mut views = Vec::with_capacity(found);
        for entry in model.layout.entries() {
            let view = tensors.tensor(&entry.name).map_err(|e| bad(e.to_string()))?;
            if view.shape() != entry.shape {
                let (name, expected, found) = (&entry.name, &entry.shape, view.shape());
                return Err(bad(format!("{name:?}: expected {expected:?}, found {found:?}")));
            }
            views.push(view);
        }
        let mut params = Vec::with_capacity(model.layout.len());
        for (entry, view) in model.layout.entries().iter().zip(views) {
            let found = values(&view)
                .ok_or_else(|| bad(format!("{:?}: expected {KINDS}, found {:?}", entry.name, view.dtype())))?;
            params.extend(found);
            if let Some(wrong) = entry.slot.of(&params).iter().find(|v| !v.is_finite()) {
                return Err(bad(format!("{:?}: expected finite weights, found {wrong}", entry.name)));
            }
        }
        Ok(Self { description, params, origin: path.to_owned() })
    }

    /// Writes the model with weights of 32 bits, whole or not at all.
    ///
    /// # Errors
    /// [`Error::Io`] or [`Error::Scene`] naming the file.
    pub fn write(&self, path: &Path) -> Result<()> {
        self.write_as(path, Dtype::F32, |weight| weight.to_le_bytes().to_vec())
    }

    /// The same with weights of 16 bits, rounded to 11 significant ones.
    ///
    /// # Errors
    /// As [`Checkpoint::write`], and [`Error::File`] if a weight is too large for them.
    pub fn write_half(&self, path: &Path) -> Result<()> {
        if let Some(wrong) = self.params.iter().find(|weight| f16::from_f32(**weight).is_infinite()) {
            let problem = format!("expected weights up to 65504 for f16, found {wrong}");
            return Err(Error::File { path: path.to_owned(), problem });
        }
        self.write_as(path, Dtype::F16, |weight| f16::from_f32(weight).to_le_bytes().to_vec())
    }

    fn write_as(&self, path: &Path, dtype: Dtype, encode: impl Fn(f32) -> Vec<u8>) -> Result<()> {
        let model = Model::new(self.description.config, compute::Products::F32)?;
        let data: Vec<(&str, &[usize], Vec<u8>)> = model
            .layout
            .entries()
            .iter()
            .map(|e| (&e.name[..], &e.shape[..], e.slot.of(&self.params).iter().flat_map(|v| encode(*v)).collect()))
            .collect();
        let tensors = data.iter().map(|(name, shape, bytes)| {
            (name, TensorView::new(dtype, shape.to_vec(), bytes).expect("as long as its shape says"))
        });
        let description = serde_json::to_string(&self.description).expect("plain numbers and strings");
        let bytes = serialize(tensors, Some(HashMap::from([(KEY.to_owned(), description)]))).expect("plain tensors");
        scene::file::replace(path, |out| {
            out.write_all(&bytes).map_err(|source| Error::Io { path: path.to_owned(), source })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::CompactConfig;

    fn checkpoint() -> Checkpoint {
        let config = CompactConfig { stem: [8, 8], width: 16, heads: 1, depth: 1, ..CompactConfig::embedded() };
        let config = Config::Compact(config);
        let params = Model::new(config, compute::Products::F32).unwrap().layout.initialise(3);
        let description = Description { config, preprocess: Preprocess::cifar(), classes: Vec::new() };
        Checkpoint { description, params, origin: PathBuf::new() }
    }

    #[test]
    fn half_of_the_bits_come_back_rounded() {
        let (dir, mut written) = (tempfile::tempdir().unwrap(), checkpoint());
        let path = dir.path().join("m.safetensors");
        written.write(&path).unwrap();
        let whole = std::fs::metadata(&path).unwrap().len();
        assert_eq!(Checkpoint::read(&path).unwrap().params, written.params);
        written.write_half(&path).unwrap();
        assert!(std::fs::metadata(&path).unwrap().len() < whole * 6 / 10);
        let read = Checkpoint::read(&path).unwrap();
        assert_eq!(read.description, written.description);
        for (a, b) in written.params.iter().zip(&read.params) {
            assert!((a - b).abs() <= a.abs() / 2048.0 + 1e-7, "{a} {b}");
        }
        written.params[7] = 1e6;
        let message = written.write_half(&path).unwrap_err().to_string();
        assert!(message.contains("65504") && message.contains("m.safetensors"), "{message}");
    }

    #[test]
    fn numbers_of_preprocessing_are_checked() {
        let (dir, mut written) = (tempfile::tempdir().unwrap(), checkpoint());
        let path = dir.path().join("m.safetensors");
        written.description.preprocess.std[1] = 0.0;
        written.write(&path).unwrap();
        let message = Checkpoint::read(&path).unwrap_err().to_string();
        assert!(message.contains("std: expected") && message.contains("m.safetensors"), "{message}");
    }
}
