//! The demonstration scene, which the program carries with it: `still-life`, made by `shiftray synth --showcase`.
//!
//! Loaders read folders, so the files are unpacked once into the user's cache, under a name that holds their hash.

use crate::file::read_limited;
use crate::{Error, Result};
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};

/// Name of the bundled scene.
pub const NAME: &str = "still-life";

macro_rules! files {
    ($($name:literal),* $(,)?) => {
        &[$(($name, include_bytes!(concat!("../../scenes/still-life/", $name)))),*]
    };
}

/// Path below the scene's folder and content of each file.
const FILES: &[(&str, &[u8])] = files![
    "images/000.jpg",
    "images/001.jpg",
    "images/002.jpg",
    "images/003.jpg",
    "images/004.jpg",
    "images/005.jpg",
    "images/006.jpg",
    "images/007.jpg",
    "images/008.jpg",
    "images/009.jpg",
    "images/010.jpg",
    "images/011.jpg",
    "images/012.jpg",
    "images/013.jpg",
    "images/014.jpg",
    "images/015.jpg",
    "images/016.jpg",
    "images/017.jpg",
    "images/018.jpg",
    "images/019.jpg",
    "poses_bounds.npy",
];

/// The scene's folder in the user's cache (or, where there is none, among the temporary files), unpacked if need be.
///
/// # Errors
/// [`Error::Io`] if the files cannot be written.
pub(crate) fn folder() -> Result<PathBuf> {
    // A cache that cannot be written is no reason to go without.
    unpack_below(&cache().join("shiftray")).or_else(|_| unpack_below(&std::env::temp_dir().join("shiftray")))
}

/// The user's folder for files that can be made again.
pub(crate) fn cache() -> PathBuf {
    let named = |variable: &str| std::env::var_os(variable).filter(|v| !v.is_empty()).map(PathBuf::from);
    let platform = if cfg!(windows) {
        named("LOCALAPPDATA")
    } else if cfg!(target_os = "macos") {
        named("HOME").map(|home| home.join("Library/Caches"))
    } else {
        named("XDG_CACHE_HOME").or_else(|| named("HOME").map(|home| home.join(".cache")))
    };
    platform.filter(|folder| folder.is_absolute()).unwrap_or_else(std::env::temp_dir)
}

/// [`folder`] below a given one. A folder that is complete is used as it is; another process may be unpacking as well.
fn unpack_below(parent: &Path) -> Result<PathBuf> {
    let mut hasher = DefaultHasher::new();
    FILES.hash(&mut hasher);
    let whole = parent.join(format!("demo-{:016x}", hasher.finish()));
    let folder = whole.join(NAME);
    let complete = |folder: &Path| {
        let same = |name: &str, bytes: &[u8]| {
            read_limited(&folder.join(name), bytes.len() as u64).is_ok_and(|found| found == bytes)
        };
        FILES.iter().all(|(name, bytes)| same(name, bytes))
    };
    if complete(&folder) {
        return Ok(folder);
    }
    let new = parent.join(format!(".demo.{}", std::process::id()));
    let io = |path: &Path| {
        let path = path.to_owned();
        move |source| Error::Io { path, source }
    };
    for (name, bytes) in FILES {
        let path = new.join(NAME).join(name);
        let above = path.parent().unwrap_or(&new);
        std::fs::create_dir_all(above).map_err(io(above))?;
        std::fs::write(&path, bytes).map_err(io(&path))?;
    }
    // A complete folder may have been put there meanwhile, and is as good; an incomplete one gives way.
    let mut renamed = std::fs::rename(&new, &whole);
    if renamed.is_err() && !complete(&folder) {
        let _ = std::fs::remove_dir_all(&whole);
        renamed = std::fs::rename(&new, &whole);
    }
    let _ = std::fs::remove_dir_all(&new);
    if complete(&folder) {
        return Ok(folder);
    }
    renamed.map_err(io(&whole))?;
    Ok(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unpacks_once_and_mends_what_is_missing() {
        let dir = tempfile::tempdir().unwrap();
        let folder = unpack_below(dir.path()).unwrap();
        assert!(folder.ends_with("still-life"));
        let scene = crate::formats::load(&folder, &crate::LoadOptions::default()).unwrap();
        assert_eq!((scene.name.as_str(), scene.views.len()), (NAME, 20));
        let written = folder.join("poses_bounds.npy").metadata().unwrap().modified().unwrap();
        assert_eq!(unpack_below(dir.path()).unwrap(), folder);
        assert_eq!(folder.join("poses_bounds.npy").metadata().unwrap().modified().unwrap(), written);
        std::fs::remove_file(folder.join("images/007.jpg")).unwrap();
        assert_eq!(unpack_below(dir.path()).unwrap(), folder);
        assert!(folder.join("images/007.jpg").is_file());
        // Nothing else is left.
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
