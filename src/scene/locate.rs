//! Finding scenes by name.

use crate::{Error, Result};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// Environment variable with a list of folders that hold scenes.
pub const SCENES_VARIABLE: &str = "SHIFTRAY_SCENES";

/// Folder of a scene: `name` itself if it is a folder, else `name` in each of the `extra` folders, then in the folders
/// of [`SCENES_VARIABLE`], then in `scenes/` of the current directory.
///
/// # Errors
/// [`Error::Scene`] that lists where it was looked for.
pub fn locate(name: &str, extra: &[PathBuf]) -> Result<PathBuf> {
    locate_in(name, extra, std::env::var_os(SCENES_VARIABLE).as_deref(), Path::new("scenes"))
}

/// [`locate`] with the variable's value and the last folder given.
fn locate_in(name: &str, extra: &[PathBuf], variable: Option<&OsStr>, last: &Path) -> Result<PathBuf> {
    if name.is_empty() {
        return Err(Error::Scene("expected the name or folder of a scene, found an empty name".into()));
    }
    let mut places = vec![PathBuf::from(name)];
    // Joining an absolute path would give that path again.
    if !Path::new(name).is_absolute() {
        let listed: Vec<PathBuf> = variable.map(|v| std::env::split_paths(v).collect()).unwrap_or_default();
        let folders = extra.iter().chain(&listed).map(PathBuf::as_path).chain([last]);
        places.extend(folders.filter(|f| !f.as_os_str().is_empty()).map(|folder| folder.join(name)));
    }
    if let Some(found) = places.iter().find(|place| place.is_dir()) {
        return Ok(found.clone());
    }
    let looked: String = places.iter().map(|place| format!("\n  {}", place.display())).collect();
    let state = if variable.is_none() { " (not set)" } else { "" };
    Err(Error::Scene(format!(
        "scene {name:?} not found; looked for the folders{looked}\nPass the folder of a scene (poses_bounds.npy with \
         images_8, images_4 or images; transforms_train.json; or transforms.json), or the folder that holds {name} with \
         --scenes DIR or the variable {SCENES_VARIABLE}{state}. `shiftray synth --out DIR` makes scenes; fern and others of its kind \
         are in the download nerf_llff_data of the NeRF authors."
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_in_order_and_takes_the_first() {
        let dir = tempfile::tempdir().unwrap();
        let [a, b, c, d] = ["a", "b", "c", "last"].map(|n| dir.path().join(n));
        let variable = std::env::join_paths([&b, &c]).unwrap();
        let find = || locate_in("llff/fern", std::slice::from_ref(&a), Some(&variable), &d);
        let message = find().unwrap_err().to_string();
        for folder in [&a, &b, &c, &d] {
            assert!(message.contains(folder.join("llff/fern").to_str().unwrap()), "{message}");
        }
        assert!(message.contains("or transforms.json"), "{message}");
        assert!(message.contains("synth") && message.contains(SCENES_VARIABLE) && !message.contains("not set"));
        for folder in [&d, &c, &b, &a] {
            std::fs::create_dir_all(folder.join("llff/fern")).unwrap();
            assert_eq!(find().unwrap(), folder.join("llff/fern"));
        }
    }

    #[test]
    fn a_folder_is_taken_as_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let name = dir.path().to_str().unwrap();
        assert_eq!(locate_in(name, &[], None, Path::new("none")).unwrap(), dir.path());
        assert!(locate_in("", &[], None, Path::new("none")).is_err());
        let absent = dir.path().join("absent");
        let message = locate_in(absent.to_str().unwrap(), &[], None, Path::new("none")).unwrap_err().to_string();
        assert_eq!(message.matches("absent").count(), 3, "named once as the place: {message}");
    }
}
