//! Hashes that tell whether two things are the same.

use anyhow::Context;
use gnt::Config;
use scene::file::open_regular;
use serde::Serialize;
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};

fn hex(hash: Sha256) -> String {
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// SHA-256 of bytes.
pub fn bytes(bytes: &[u8]) -> String {
    hex(Sha256::new_with_prefix(bytes))
}

/// SHA-256 of a value's JSON.
///
/// # Errors
/// If it has none.
pub fn json(value: &impl Serialize) -> anyhow::Result<String> {
    Ok(bytes(&serde_json::to_vec(value)?))
}

/// SHA-256 of a network: its configuration and its parameters as they are used, however a file stores them.
///
/// # Errors
/// If the configuration has no JSON.
pub fn model(config: &Config, params: &[f32]) -> anyhow::Result<String> {
    let mut hash = Sha256::new_with_prefix(serde_json::to_vec(config)?);
    for chunk in params.chunks(4096) {
        let bytes: Vec<u8> = chunk.iter().flat_map(|p| p.to_le_bytes()).collect();
        hash.update(bytes);
    }
    Ok(hex(hash))
}

/// SHA-256 of files: of their names below `root`, their lengths and what they hold.
///
/// # Errors
/// If one cannot be read.
pub fn files(root: &Path, files: &[PathBuf]) -> anyhow::Result<String> {
    let mut hash = Sha256::new();
    for path in files {
        let name = path.strip_prefix(root).unwrap_or(path).to_string_lossy().replace('\\', "/");
        let mut file = open_regular(path)?;
        let length = file.metadata().with_context(|| path.display().to_string())?.len();
        hash.update((name.len() as u64).to_le_bytes());
        hash.update(name);
        hash.update(length.to_le_bytes());
        std::io::copy(&mut file, &mut hash_writer(&mut hash)).with_context(|| path.display().to_string())?;
    }
    Ok(hex(hash))
}

/// SHA-256 of what a file holds.
///
/// # Errors
/// If it cannot be read, or is no regular file.
pub fn file(path: &Path) -> anyhow::Result<String> {
    let mut hash = Sha256::new();
    std::io::copy(&mut open_regular(path)?, &mut hash_writer(&mut hash)).with_context(|| path.display().to_string())?;
    Ok(hex(hash))
}

/// What is written goes into the hash.
fn hash_writer(hash: &mut Sha256) -> impl std::io::Write + '_ {
    struct Writer<'a>(&'a mut Sha256);
    impl std::io::Write for Writer<'_> {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.update(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    Writer(hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_of_names_and_contents() {
        assert_eq!(bytes(b"abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        let dir = tempfile::tempdir().unwrap();
        let [a, b] = ["a", "b"].map(|name| dir.path().join(name));
        std::fs::write(&a, b"xy").unwrap();
        std::fs::write(&b, b"z").unwrap();
        let of = |list: &[&PathBuf]| {
            files(dir.path(), &list.iter().map(|path| path.to_path_buf()).collect::<Vec<_>>()).unwrap()
        };
        let first = of(&[&a, &b]);
        assert_ne!(first, of(&[&b, &a]));
        std::fs::write(&a, b"x").unwrap();
        std::fs::write(&b, b"yz").unwrap();
        assert_ne!(first, of(&[&a, &b]), "where a file ends counts");
        assert_eq!(file(&b).unwrap(), bytes(b"yz"));
        assert!(files(dir.path(), &[dir.path().join("none")]).unwrap_err().to_string().contains("none"));
    }

    #[test]
    fn a_models_hash_is_of_its_numbers() {
        let config = Config::compact();
        let params = vec![0.25; 5001];
        let mut other = params.clone();
        other[5000] = -0.25;
        assert_ne!(model(&config, &params).unwrap(), model(&config, &other).unwrap());
        assert_ne!(model(&config, &params).unwrap(), model(&config.shift_add(), &params).unwrap());
    }
}
