//! Finding scenes by name.

use crate::formats::{self, READERS, is_scene};
use crate::{Error, LoadOptions, Result, Scene, archive, demo};
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// Environment variable with a list of folders that hold scenes.
pub const SCENES_VARIABLE: &str = "SHIFTRAY_SCENES";

/// Most entries of a folder that are looked at for suggestions.
const MOST_ENTRIES: usize = 1000;

/// Folder of a scene: `name` itself if it is a folder or a zip file, else `name` in each of the `extra` folders, then in the folders
/// of [`SCENES_VARIABLE`], then in `scenes/` of the current directory; last the scene that the program carries.
/// A folder without a scene is taken only if there is no scene of the name.
///
/// # Errors
/// [`Error::Scene`] that lists where it was looked for and names the scenes that are called nearly so, or says what is
/// wrong with a path that is no folder; [`Error::Io`] if the program's own scene cannot be unpacked.
pub fn locate(name: &str, extra: &[PathBuf]) -> Result<PathBuf> {
    match locate_in(name, extra, std::env::var_os(SCENES_VARIABLE).as_deref(), Path::new("scenes"))? {
        Some(folder) => Ok(folder),
        None => demo::folder(),
    }
}

/// Loads the scene called `name`, which is looked up as [`locate`] does.
///
/// # Errors
/// As [`locate`] and [`formats::load`].
pub fn open(name: &str, extra: &[PathBuf], options: &LoadOptions) -> Result<Scene> {
    formats::load(&locate(name, extra)?, options)
}

/// [`locate`] with the variable's value and the last folder given; `None` for the scene that the program carries.
fn locate_in(name: &str, extra: &[PathBuf], variable: Option<&OsStr>, last: &Path) -> Result<Option<PathBuf>> {
    if name.is_empty() {
        return Err(Error::Scene("expected the name or folder of a scene, found an empty name".into()));
    }
    let mut places = vec![PathBuf::from(name)];
    let mut folders: Vec<PathBuf> = Vec::new();
    // Joining an absolute path would give that path again.
    if !Path::new(name).is_absolute() {
        folders.extend_from_slice(extra);
        folders.extend(variable.map(|v| std::env::split_paths(v).collect::<Vec<_>>()).unwrap_or_default());
        folders.push(last.to_owned());
        folders.retain(|folder| !folder.as_os_str().is_empty());
        places.extend(folders.iter().map(|folder| folder.join(name)));
    }
    // A folder without a scene, such as that of the frames, does not hide a scene of its name.
    if let Some(found) = places.iter().find(|place| is_scene(place)) {
        return Ok(Some(found.clone()));
    }
    if name == demo::NAME {
        return Ok(None);
    }
    if let Some(found) = places.iter().find(|place| place.is_dir()) {
        return Ok(Some(found.clone()));
    }
    if let Some(zip) = places.iter().find(|place| archive::is_zip(place)) {
        return archive::folder(zip).map(Some);
    }
    if let Some(file) = places.iter().find(|place| place.exists()) {
        return Err(Error::Scene(not_a_folder(file)));
    }
    let looked: String = places.iter().map(|place| format!("\n  {}", place.display())).collect();
    let state = if variable.is_none() { " (not set)" } else { "" };
    Err(Error::Scene(format!(
        "scene {name:?} not found{}; looked for the folders{looked}\nPass the folder of a scene (a COLMAP model, \
         poses_bounds.npy, transforms_train.json or transforms.json with its photographs, and others), or the folder that holds {name} with \
         --scenes DIR or the variable {SCENES_VARIABLE}{state}. The scene {} is in the program; `shiftray synth --out DIR` \
         makes others; fern and others of its kind are in the download nerf_llff_data of the NeRF authors.",
        suggestion(name, &folders),
        demo::NAME
    )))
}

/// The extension in lower case; empty for none.
fn extension(file: &Path) -> String {
    file.extension().unwrap_or_default().to_string_lossy().to_lowercase()
}

/// What to do with a path that is there but is no folder.
fn not_a_folder(file: &Path) -> String {
    let name = file.file_name().unwrap_or_default();
    let shown = file.display();
    if READERS.iter().any(|reader| name == reader.marker) || matches!(extension(file).as_str(), "csv" | "xml") {
        let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        return format!("{shown}: expected the folder of a scene, found its pose file; pass {}", folder.display());
    }
    let archive = ["tar", "gz", "tgz", "xz", "7z", "rar"];
    if file.extension().is_some_and(|e| archive.iter().any(|known| e.eq_ignore_ascii_case(known))) {
        return format!(
            "{shown}: expected the folder of a scene or a zip file of it, found another archive; unpack it and pass the folder in it"
        );
    }
    format!("{shown}: expected the folder of a scene, found a file")
}

/// Names of scenes that are nearly called so, as a part of a sentence; empty if there are none.
fn suggestion(name: &str, folders: &[PathBuf]) -> String {
    let wanted = name.to_lowercase();
    let last = wanted.rsplit('/').next().unwrap_or(&wanted);
    let mut near: Vec<(usize, String)> = folders
        .iter()
        .flat_map(|folder| scenes_below(folder))
        .chain([demo::NAME.to_owned()])
        .collect::<BTreeSet<_>>()
        .into_iter()
        .filter_map(|known| {
            let lower = known.to_lowercase();
            let distance = |a: &str, b: &str| strsim::damerau_levenshtein(a, b);
            let short = lower.rsplit('/').next().unwrap_or(&lower);
            let far = distance(&wanted, &lower).min(distance(last, short));
            // A third of the letters may differ.
            (3 * far <= short.chars().count()).then_some((far, known))
        })
        .collect();
    near.sort();
    match &near.into_iter().map(|(_, name)| name).take(3).collect::<Vec<_>>()[..] {
        [] => String::new(),
        names => format!(" (did you mean {}?)", names.join(" or ")),
    }
}

/// Scenes in a folder and in the folders in it, by the names that find them: `fern` or `llff/fern`.
pub(crate) fn scenes_below(folder: &Path) -> Vec<String> {
    let entries = |folder: &Path| -> Vec<(PathBuf, String)> {
        let read = std::fs::read_dir(folder).into_iter().flatten().flatten().take(MOST_ENTRIES);
        let mut all: Vec<_> = read
            .map(|entry| (entry.path(), entry.file_name().to_string_lossy().into_owned()))
            .filter(|(path, name)| !name.starts_with('.') && path.is_dir())
            .collect();
        all.sort();
        all
    };
    let mut found = Vec::new();
    for (path, name) in entries(folder) {
        if is_scene(&path) {
            found.push(name);
        } else {
            let below = entries(&path).into_iter().filter(|(path, _)| is_scene(path));
            found.extend(below.map(|(_, inner)| format!("{name}/{inner}")));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn make_scene(folder: &Path) {
        std::fs::create_dir_all(folder).unwrap();
        std::fs::write(folder.join("transforms.json"), "{}").unwrap();
    }

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
        assert!(message.contains("or transforms.json with"), "{message}");
        assert!(message.contains("synth") && message.contains(SCENES_VARIABLE) && !message.contains("not set"));
        for folder in [&d, &c, &b, &a] {
            std::fs::create_dir_all(folder.join("llff/fern")).unwrap();
            assert_eq!(find().unwrap(), Some(folder.join("llff/fern")));
        }
    }

    #[test]
    fn a_folder_is_taken_as_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let name = dir.path().to_str().unwrap();
        assert_eq!(locate_in(name, &[], None, Path::new("none")).unwrap().unwrap(), dir.path());
        assert!(locate_in("", &[], None, Path::new("none")).is_err());
        let absent = dir.path().join("absent");
        let message = locate_in(absent.to_str().unwrap(), &[], None, Path::new("none")).unwrap_err().to_string();
        assert_eq!(message.matches("absent").count(), 3, "named once as the place: {message}");
    }

    #[test]
    fn nearly_right_names_are_suggested() {
        let dir = tempfile::tempdir().unwrap();
        for scene in ["llff/fern", "llff/flower", "fox", ".hidden"] {
            make_scene(&dir.path().join(scene));
        }
        assert_eq!(scenes_below(dir.path()), ["fox", "llff/fern", "llff/flower"]);
        let message =
            |name: &str| locate_in(name, &[dir.path().to_owned()], None, Path::new("none")).unwrap_err().to_string();
        for (name, near) in [
            ("lff/fern", "llff/fern"),
            ("llff/Fern", "llff/fern"),
            ("llff/ferm", "llff/fern"),
            ("fern", "llff/fern"),
            ("fix", "fox"),
        ] {
            assert!(message(name).contains(&format!("did you mean {near}")), "{name}: {}", message(name));
        }
        assert!(!message("lighthouse").contains("did you mean"), "{}", message("lighthouse"));
        assert!(message("stil-life").contains("did you mean still-life"));
    }

    #[test]
    fn files_are_explained() {
        let dir = tempfile::tempdir().unwrap();
        make_scene(&dir.path().join("fox"));
        std::fs::write(dir.path().join("fox.tgz"), b"PK").unwrap();
        std::fs::write(dir.path().join("a.jpg"), b"").unwrap();
        let message = |name: &str| {
            let path = dir.path().join(name);
            locate_in(path.to_str().unwrap(), &[], None, Path::new("none")).unwrap_err().to_string()
        };
        let folder = dir.path().join("fox");
        assert!(message("fox/transforms.json").contains(&format!("pass {}", folder.display())));
        assert!(message("fox.tgz").contains("unpack it") && message("a.jpg").contains("found a file"));
    }

    #[test]
    fn the_demonstration_comes_last() {
        let dir = tempfile::tempdir().unwrap();
        let find = || locate_in(demo::NAME, &[dir.path().to_owned()], None, Path::new("none")).unwrap();
        assert_eq!(find(), None);
        std::fs::create_dir(dir.path().join(demo::NAME)).unwrap();
        // Frames may lie there.
        assert_eq!(find(), None);
        make_scene(&dir.path().join(demo::NAME));
        assert_eq!(find(), Some(dir.path().join(demo::NAME)));
    }
}
