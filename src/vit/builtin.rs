//! Classifiers whose weights are inside the program.

use crate::checkpoint::{Checkpoint, MAX_FILE_BYTES};
use crate::{Error, Result, timm};
use std::path::Path;

/// Names of the built-in models, the default first.
pub const NAMES: &[&str] = &["vit-shiftadd", "vit-dense"];

/// [`DENSE`] with additive attention, shift layers and experts (`shiftray reparam --model vit-dense`).
static SHIFT_ADD: &[u8] = include_bytes!("weights/vit-shiftadd.safetensors");

/// Trained on the training pictures of CIFAR-10 (`shiftray train classifier`).
static DENSE: &[u8] = include_bytes!("weights/vit-dense.safetensors");

/// Loads a built-in model by name, or a model file or a checkpoint of timm by path; `size` is the latter's height and
/// width of images, see [`timm::read`].
///
/// # Errors
/// If the name is unknown, or the file cannot be read or is no classifier.
pub fn load(name: &str, size: Option<(usize, usize)>) -> Result<Checkpoint> {
    let path = Path::new(name);
    match file(name) {
        Some(bytes) => Checkpoint::from_bytes(path, bytes),
        None if path.is_file() => read(path, size),
        None => {
            let problem = format!("expected a model file or one of {}, found neither", NAMES.join(", "));
            Err(Error::File { path: path.to_owned(), problem })
        }
    }
}

/// Reads a model file or a checkpoint of timm; `size` as in [`load`].
///
/// # Errors
/// If the file cannot be read or is no classifier.
pub fn read(path: &Path, size: Option<(usize, usize)>) -> Result<Checkpoint> {
    let bytes = scene::file::read_limited(path, MAX_FILE_BYTES)?;
    if Checkpoint::is_one(&bytes) { Checkpoint::from_bytes(path, &bytes) } else { timm::read(path, size) }
}

/// The file of a built-in model.
pub fn file(name: &str) -> Option<&'static [u8]> {
    match name {
        "vit-shiftadd" => Some(SHIFT_ADD),
        "vit-dense" => Some(DENSE),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn built_in_models_load() {
        for name in super::NAMES {
            let checkpoint = super::load(name, None).unwrap();
            assert_eq!(checkpoint.description.classes.len(), 10);
        }
        let message = super::load("no-such-model", None).unwrap_err().to_string();
        assert!(message.contains("no-such-model") && message.contains("vit-dense"), "{message}");
    }
}
