//! Which models are classifiers.

use std::path::Path;
use vit::checkpoint::Checkpoint;

/// A classifier by the name that `--model` has, with the bytes of its file; none where the file is no classifier's.
///
/// # Errors
/// If there is no such model, a file cannot be read, or the file of a classifier is damaged.
pub fn named(name: &str) -> anyhow::Result<Option<(Checkpoint, Vec<u8>)>> {
    let path = Path::new(name);
    let bytes = match vit::builtin::file(name) {
        Some(bytes) => bytes.to_vec(),
        None => gnt::builtin::file(name)?,
    };
    if Checkpoint::is_one(&bytes) {
        return Ok(Some((Checkpoint::from_bytes(path, &bytes)?, bytes)));
    }
    // Asked last, for it reads the file once more; a file that is none of either is refused as one of GNT.
    if !gnt::builtin::NAMES.contains(&name)
        && gnt::builtin::load(name).is_err()
        && vit::timm::is_one(path).unwrap_or(false)
    {
        return Ok(Some((vit::timm::read(path, None)?, bytes)));
    }
    Ok(None)
}
