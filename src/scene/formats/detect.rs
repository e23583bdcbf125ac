//! What a folder holds: a scene in a format that is read, or something else that can be named.

use super::{FormatReader, READERS, file_name, llff, transforms};
use crate::{Error, Format, Result};
use std::path::{Path, PathBuf};

/// Scenes in a folder that are named in a message.
const LISTED: usize = 20;
/// Folders that are searched for scenes.
const SEARCHED: usize = 2000;

/// Files that make a folder a scene, of the formats that are read and of those that others make scenes from, as paths
/// below the folder.
pub const POSE_FILES: [&str; 14] = [
    llff::POSE_FILE,
    transforms::SINGLE_FILE,
    transforms::TRAIN_FILE,
    "transforms_test.json",
    "transforms_val.json",
    "cameras.bin",
    "cameras.txt",
    "images.bin",
    "images.txt",
    COLMAP_DATABASE,
    "sparse/cameras.bin",
    "sparse/0/cameras.bin",
    "sparse/0/cameras.txt",
    "colmap/sparse/0/cameras.bin",
];
const COLMAP_DATABASE: &str = "database.db";

/// Whether a folder holds a scene in a format that is read.
pub fn is_scene(folder: &Path) -> bool {
    READERS.iter().any(|reader| folder.join(reader.marker).is_file())
}

/// Whether a folder holds a scene in this format.
pub fn holds(folder: &Path, format: Format) -> bool {
    READERS.iter().any(|reader| reader.format == format && folder.join(reader.marker).is_file())
}

/// What reads the folder `root`.
///
/// # Errors
/// [`Error::Scene`] that says what the folder holds instead, and what to do.
pub(super) fn reader(root: &Path) -> Result<&'static FormatReader> {
    known(root).ok_or_else(|| Error::Scene(format!("{}: {}", root.display(), instead(root))))
}

/// Files of other formats that lie in a folder as well.
pub(super) fn others(root: &Path, read: Format) -> impl Iterator<Item = &'static str> {
    let others = READERS.iter().filter(move |reader| reader.format != read);
    others.map(|reader| reader.marker).filter(|file| root.join(file).exists())
}

/// The reader by the file that stands for its format.
fn known(root: &Path) -> Option<&'static FormatReader> {
    READERS.iter().find(|reader| root.join(reader.marker).exists())
}

/// What there is in place of a scene, and what was expected.
fn instead(root: &Path) -> String {
    const EXPECTED: &str = "expected poses_bounds.npy (LLFF), transforms_train.json (Blender) or transforms.json (nerfstudio, \
                            instant-ngp)";
    if root.is_file() {
        let folder = root.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let hint = match known(folder) {
            Some(_) => format!("; the scene is its folder, {}", folder.display()),
            None => String::new(),
        };
        return format!("a file: expected the folder of a scene{hint}");
    }
    if !root.is_dir() {
        return format!("no folder: {EXPECTED}");
    }
    if let Some(model) = colmap(root) {
        return format!(
            "a COLMAP reconstruction ({}), which is not read yet. Convert it first: nerfstudio's `ns-process-data images \
             --skip-colmap --colmap-model-path {} --data IMAGES --output-dir OUT` and instant-ngp's colmap2nerf.py write \
             transforms.json, LLFF's imgs2poses.py writes poses_bounds.npy. Then a folder is {EXPECTED}",
            model.display(),
            model.parent().unwrap_or(root).display()
        );
    }
    let (scenes, more) = scenes_in(root);
    if !scenes.is_empty() {
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let (names, first) = (scenes.join(", "), root.join(&scenes[0]));
        return format!("a folder of scenes: {names}{more}. Name one of them, such as {}", first.display());
    }
    match other_data(root) {
        Some(kind) => format!("{kind}, which is not read: {EXPECTED}"),
        None => match root.canonicalize().ok().and_then(|whole| whole.parent().map(Path::to_owned)) {
            Some(above) if known(&above).is_some() => {
                format!("no scene, but a part of one; the scene is the folder above, {}", above.display())
            }
            _ => format!("no known scene: {EXPECTED}"),
        },
    }
}

/// The cameras of a COLMAP model in the usual places.
fn colmap(root: &Path) -> Option<PathBuf> {
    let folders = ["sparse/0", "sparse", "colmap/sparse/0", "colmap/sparse", "distorted/sparse/0", "dense/sparse", ""];
    let models = folders.into_iter().flat_map(|folder| ["bin", "txt"].map(|e| (folder, e)));
    models
        .map(|(folder, extension)| root.join(folder).join(format!("cameras.{extension}")))
        .find(|cameras| cameras.is_file() && cameras.with_file_name(images_beside(cameras)).is_file())
}

/// The file of poses beside COLMAP's file of cameras.
fn images_beside(cameras: &Path) -> &'static str {
    if cameras.extension().is_some_and(|extension| extension == "bin") { "images.bin" } else { "images.txt" }
}

/// Names of the folders in `root` that hold scenes, sorted, and how many there are beside these.
fn scenes_in(root: &Path) -> (Vec<String>, usize) {
    let entries = std::fs::read_dir(root).into_iter().flatten().flatten().take(SEARCHED);
    let mut scenes: Vec<String> =
        entries.map(|entry| entry.path()).filter(|p| known(p).is_some()).map(|p| file_name(&p)).collect();
    scenes.sort();
    let more = scenes.len().saturating_sub(LISTED);
    scenes.truncate(LISTED);
    (scenes, more)
}

/// Data of other programs, by a file that stands for them.
fn other_data(root: &Path) -> Option<&'static str> {
    const KINDS: [(&str, &str); 9] = [
        ("meta_data.json", "data of sdfstudio or MonoSDF (meta_data.json)"),
        ("cameras_sphere.npz", "data of NeuS or IDR (cameras_sphere.npz)"),
        ("cameras.npz", "data of IDR (cameras.npz)"),
        ("cameras.json", "a trained Gaussian splatting model (cameras.json)"),
        ("pair.txt", "data of MVSNet (pair.txt)"),
        ("intrinsics.txt", "data of NSVF (intrinsics.txt)"),
        (COLMAP_DATABASE, "a COLMAP database without a reconstruction (database.db)"),
        ("transforms_test.json", "a Blender scene without its training views (transforms_train.json is missing)"),
        ("dataset.json", "data of Nerfies or HyperNeRF (dataset.json)"),
    ];
    KINDS.into_iter().find(|(file, _)| root.join(file).exists()).map(|(_, kind)| kind)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::folder;

    fn format(root: &Path) -> Result<Format> {
        reader(root).map(|reader| reader.format)
    }

    fn message(files: &[&str]) -> String {
        let dir = folder(files);
        let message = format(dir.path()).unwrap_err().to_string();
        assert!(message.starts_with(dir.path().to_str().unwrap()), "{message}");
        message
    }

    #[test]
    fn what_is_not_read_beside_the_scene_is_named() {
        let dir = folder(&["poses_bounds.npy", "transforms.json"]);
        assert_eq!(format(dir.path()).unwrap(), Format::Llff);
        assert_eq!(others(dir.path(), Format::Llff).collect::<Vec<_>>(), ["transforms.json"]);
    }

    #[test]
    fn a_part_of_a_scene_points_to_the_whole() {
        let dir = folder(&["poses_bounds.npy", "images_8/a.png"]);
        let message = format(&dir.path().join("images_8")).unwrap_err().to_string();
        assert!(message.contains("the folder above"), "{message}");
    }

    #[test]
    fn other_folders_are_named_with_what_to_do() {
        for (files, parts) in [
            (vec![], vec!["no known scene", "poses_bounds.npy", "transforms_train.json", "transforms.json"]),
            (vec!["meta_data.json"], vec!["sdfstudio", "transforms.json", "poses_bounds.npy"]),
            (vec!["transforms_test.json"], vec!["transforms_train.json is missing"]),
            (
                vec!["sparse/0/cameras.bin", "sparse/0/images.bin", "images/a.jpg"],
                vec!["COLMAP", "ns-process-data", "sparse/0"],
            ),
            (vec!["sparse/cameras.txt", "sparse/images.txt"], vec!["COLMAP", "colmap2nerf"]),
            (vec!["b/transforms.json", "a/poses_bounds.npy", "c/x"], vec!["a folder of scenes: a, b.", "/a"]),
        ] {
            let message = message(&files);
            parts.iter().for_each(|part| assert!(message.contains(part), "{part}: {message}"));
        }
        let many: Vec<String> = (0..23).map(|i| format!("s{i:02}/transforms.json")).collect();
        let message = message(&many.iter().map(String::as_str).collect::<Vec<_>>());
        assert!(message.contains("s19 and 3 more") && !message.contains("s20"), "{message}");
    }

    #[test]
    fn scenes_go_before_what_else_is_there() {
        let dir = folder(&["sparse/0/cameras.bin", "sparse/0/images.bin", "transforms.json"]);
        assert_eq!(format(dir.path()).unwrap(), Format::Nerfstudio);
        let message = format(&dir.path().join("transforms.json")).unwrap_err().to_string();
        assert!(message.contains("a file: expected the folder") && message.ends_with(dir.path().to_str().unwrap()));
        assert!(format(&dir.path().join("none")).unwrap_err().to_string().contains("no folder"));
    }
}
