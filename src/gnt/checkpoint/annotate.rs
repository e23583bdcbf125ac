//! Model files with other words in their metadata.

use super::native::{MAX_HEADER_BYTES, header_bytes, split};
use super::problem_in;
use crate::Result;
use std::path::Path;

/// The file `bytes` with `value` under `key` in its metadata. Weights stay as they are stored, byte by byte; `name` stands
/// for the file in messages.
///
/// # Errors
/// [`Error::Checkpoint`](crate::Error::Checkpoint) if the bytes are no safetensors file, or the header becomes too long.
pub fn with_metadata(name: &str, bytes: &[u8], key: &str, value: &str) -> Result<Vec<u8>> {
    let problem = |problem| problem_in(Path::new(name), problem);
    let (mut header, data) = split(bytes).map_err(problem)?;
    header.metadata.insert(key.to_owned(), value.to_owned());
    let mut file = header_bytes(&header).map_err(problem)?;
    assert!(file.len() as u64 <= MAX_HEADER_BYTES + 8, "header of {} bytes", file.len());
    file.extend_from_slice(data);
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::super::{Checkpoint, Storage};
    use super::*;
    use crate::{Config, Model};

    #[test]
    fn weights_stay_as_they_are_stored() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.safetensors");
        let model = Model::new(Config { depth: 1, ..Config::compact() }.shift_add()).unwrap();
        let params = model.layout.initialise(5);
        let mut checkpoint = Checkpoint::from_params(&model.config, &model.layout, &params);
        checkpoint.metadata.insert("about".into(), "a test".into());
        for storage in [Storage::Packed, Storage::F32] {
            checkpoint.write(&path, storage).unwrap();
            let bytes = std::fs::read(&path).unwrap();
            let told = with_metadata("model", &bytes, "shares", "[0.25]").unwrap();
            let (before, after) =
                (Checkpoint::from_bytes("a", &bytes).unwrap(), Checkpoint::from_bytes("a", &told).unwrap());
            assert_eq!((before.tensors, before.config), (after.tensors, after.config));
            assert_eq!(after.metadata["shares"], "[0.25]");
            assert_eq!(after.metadata["about"], "a test");
            // The same word again changes nothing.
            assert_eq!(with_metadata("model", &told, "shares", "[0.25]").unwrap(), told);
        }
        let message = with_metadata("model", b"nothing", "a", "b").unwrap_err().to_string();
        assert!(message.starts_with("model: "), "{message}");
    }
}
