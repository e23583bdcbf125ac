//! A folder with one folder per class.

use super::{Bytes, Found};
use crate::{Error, Result};
use std::path::{Path, PathBuf};

/// Endings of files that are taken for pictures.
const PICTURES: [&str; 9] = ["png", "jpg", "jpeg", "jpe", "webp", "tif", "tiff", "bmp", "gif"];

/// Whether a name is that of a picture; hidden files are none.
pub(super) fn is_picture(path: &Path) -> bool {
    let hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
    let ending = path.extension().map(|e| e.to_string_lossy().to_lowercase());
    !hidden && ending.is_some_and(|ending| PICTURES.contains(&ending.as_str()))
}

/// Hands out every picture that lies in a folder of `path`.
pub(super) fn read(path: &Path, found: &mut dyn FnMut(Found) -> Result<()>) -> Result<()> {
    for folder in entries(path)?.into_iter().filter(|entry| entry.is_dir()) {
        let class = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        for file in entries(&folder)?.into_iter().filter(|file| is_picture(file)) {
            let name = file.display().to_string();
            found(Found { class: class.clone(), name, bytes: Bytes::File(file) })?;
        }
    }
    Ok(())
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let io = |source| Error::Io { path: folder.to_owned(), source };
    let mut entries = std::fs::read_dir(folder)
        .map_err(io)?
        .map(|e| e.map(|e| e.path()))
        .collect::<std::io::Result<Vec<_>>>()
        .map_err(io)?;
    entries.sort();
    Ok(entries)
}
