//! Models whose weights are inside the program.

use crate::checkpoint::{Checkpoint, MAX_FILE_BYTES};
use crate::{Error, Model, Result};
use std::path::Path;

/// Names of the built-in models, the default first.
pub const NAMES: &[&str] = &["gnt-shiftadd", "gnt-dense"];

/// [`DENSE`] with additive attention, shift layers and experts (`shiftray reparam --model gnt-dense`).
static SHIFT_ADD: &[u8] = include_bytes!("weights/gnt-shiftadd.safetensors");

/// Trained on procedural scenes alone (`shiftray train --data synth`); no photograph is in it.
static DENSE: &[u8] = include_bytes!("weights/gnt-dense.safetensors");

/// Loads a built-in model by name, or a model file by path.
///
/// Returns the network, its parameters and the name to show.
///
/// # Errors
/// [`Error::Checkpoint`] or [`Error::Io`] if the name is unknown or the file cannot be read.
pub fn load(name: &str) -> Result<(Model, Vec<f32>, String)> {
    let checkpoint = checkpoint(name)?;
    let model = Model::new(checkpoint.config)?;
    let params = checkpoint.into_params(&model.layout)?;
    Ok((model, params, name.to_owned()))
}

/// The checkpoint of a built-in model by name, or of a model file by path: what [`load`] reads, with its metadata.
///
/// # Errors
/// As [`load`], but for weights that are missing, superfluous or not finite.
pub fn checkpoint(name: &str) -> Result<Checkpoint> {
    match name {
        path if embedded(path).is_none() && Path::new(path).is_file() => Checkpoint::read(Path::new(path)),
        name => Checkpoint::from_bytes(name, embedded(name).ok_or_else(|| unknown(name))?),
    }
}

/// The file of a built-in model by name, or of a model file by path, as it is stored.
///
/// # Errors
/// [`Error::Checkpoint`] or [`Error::Scene`] if the name is unknown or the file cannot be read.
pub fn file(name: &str) -> Result<Vec<u8>> {
    match embedded(name) {
        Some(bytes) => Ok(bytes.to_vec()),
        None if Path::new(name).is_file() => Ok(scene::file::read_limited(Path::new(name), MAX_FILE_BYTES)?),
        None => Err(unknown(name)),
    }
}

/// The file of a built-in model.
fn embedded(name: &str) -> Option<&'static [u8]> {
    match name {
        "gnt-shiftadd" => Some(SHIFT_ADD),
        "gnt-dense" => Some(DENSE),
        _ => None,
    }
}

fn unknown(name: &str) -> Error {
    let problem = format!("expected a model file or one of {}, found neither", NAMES.join(", "));
    Error::Checkpoint { path: name.into(), problem }
}

#[cfg(test)]
mod tests {
    #[test]
    fn built_in_models_load() {
        for name in super::NAMES {
            let (model, params, _) = super::load(name).unwrap();
            assert_eq!(params.len(), model.layout.len());
        }
        for name in super::NAMES {
            assert!(super::file(name).unwrap().len() > 1000);
        }
        assert!(super::file("no-such-model").unwrap_err().to_string().contains("gnt-dense"));
        let message = super::load("no-such-model").unwrap_err().to_string();
        assert!(message.contains("no-such-model") && message.contains("gnt-dense"), "{message}");
    }
}
