//! What a folder holds: a scene in a format that is read, or something else that can be named.

use super::{FormatReader, READERS, file_name, llff, nex, record3d, transforms};
use crate::{Error, Format, Result};
use std::path::Path;

/// Scenes in a folder that are named in a message.
const LISTED: usize = 20;
/// Folders that are searched for scenes.
const SEARCHED: usize = 2000;

/// Files that make a folder a scene, of the formats that are read and of those that others make scenes from, as paths
/// below the folder.
pub const POSE_FILES: [&str; 22] = [
    llff::POSE_FILE,
    nex::INTRINSICS_FILE,
    transforms::SINGLE_FILE,
    transforms::TRAIN_FILE,
    "transforms_test.json",
    "transforms_val.json",
    record3d::POSE_FILE,
    "cameras.bin",
    "cameras.txt",
    "cameras.xml",
    "images.bin",
    "images.txt",
    "points3D.bin",
    "points3D.txt",
    COLMAP_DATABASE,
    "sparse/cameras.bin",
    "sparse/cameras.txt",
    "sparse/0/cameras.bin",
    "sparse/0/cameras.txt",
    "colmap/sparse/0/cameras.bin",
    "keyframes/cameras",
    "pose",
];
const COLMAP_DATABASE: &str = "database.db";

/// Whether a folder holds a scene in a format that is read.
pub fn is_scene(folder: &Path) -> bool {
    known(folder).is_some()
}

/// Whether a folder holds a scene in this format.
pub fn holds(folder: &Path, format: Format) -> bool {
    READERS.iter().any(|reader| reader.format == format && (reader.find)(folder).is_some())
}

/// What reads the folder `root`: the reader of `format`, or the one that recognises it.
///
/// # Errors
/// [`Error::Scene`] that says what the folder holds instead, and what to do.
pub(super) fn reader(root: &Path, format: Option<Format>) -> Result<&'static FormatReader> {
    let fail = |problem: String| Err(Error::Scene(format!("{}: {problem}", root.display())));
    let Some(format) = format else { return known(root).map_or_else(|| fail(instead(root)), Ok) };
    match READERS.iter().find(|reader| reader.format == format) {
        Some(reader) if (reader.find)(root).is_some() => Ok(reader),
        reader => {
            let marker = reader.map_or("", |reader| reader.marker);
            let others: Vec<&str> =
                READERS.iter().filter(|r| (r.find)(root).is_some()).map(|r| r.format.name()).collect();
            let found = if others.is_empty() { "none".to_owned() } else { format!("a scene of {}", others.join(", ")) };
            fail(format!("expected a scene of {} (such as {marker}), found {found}", format.name()))
        }
    }
}

/// Formats whose files lie in a folder as well, with what stands for them.
pub(super) fn others(root: &Path, read: Format) -> impl Iterator<Item = (Format, String)> {
    // LLFF's and NeX's files have one name.
    let is_other =
        move |reader: &&FormatReader| reader.format != read && !(read == Format::Nex && reader.format == Format::Llff);
    READERS.iter().filter(is_other).filter_map(move |reader| {
        let found = (reader.find)(root)?;
        let shown = found.strip_prefix(root).unwrap_or(&found).display().to_string();
        Some((reader.format, shown))
    })
}

/// The reader that recognises a folder.
fn known(root: &Path) -> Option<&'static FormatReader> {
    READERS.iter().find(|reader| (reader.find)(root).is_some())
}

/// What there is in place of a scene, and what was expected.
fn instead(root: &Path) -> String {
    const EXPECTED: &str = "expected a COLMAP model (sparse/0), transforms.json (nerfstudio, instant-ngp), \
                            transforms_train.json (Blender), poses_bounds.npy (LLFF, NeX), keyframes (Polycam), metadata.json \
                            (Record3D), cameras as .xml (Metashape) or .csv (RealityCapture), or rgb with pose and intrinsics \
                            (IBRNet, NSVF)";
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
            _ if holds_pictures(root) || holds_pictures(&root.join("images")) => format!(
                "photographs without poses: `shiftray poses {}` finds them with COLMAP, where it is installed, or says how. \
                 Or {EXPECTED}",
                root.display()
            ),
            _ => format!("no known scene: {EXPECTED}"),
        },
    }
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

/// Whether pictures lie in a folder.
fn holds_pictures(folder: &Path) -> bool {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten().take(SEARCHED);
    entries.map(|entry| entry.path()).any(|path| crate::picture::is_read(&path) || crate::picture::is_unread(&path))
}

/// Data of other programs, by a file that stands for them.
fn other_data(root: &Path) -> Option<&'static str> {
    const KINDS: [(&str, &str); 8] = [
        ("meta_data.json", "data of sdfstudio or MonoSDF (meta_data.json)"),
        ("cameras_sphere.npz", "data of NeuS or IDR (cameras_sphere.npz)"),
        ("cameras.npz", "data of IDR (cameras.npz)"),
        ("cameras.json", "a trained Gaussian splatting model (cameras.json)"),
        ("pair.txt", "data of MVSNet (pair.txt)"),
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
        reader(root, None).map(|reader| reader.format)
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
        let found: Vec<_> = others(dir.path(), Format::Llff).collect();
        assert_eq!(found, [(Format::Nerfstudio, "transforms.json".to_owned())]);
        let read_as = |format: Format| reader(dir.path(), Some(format)).map(|reader| reader.format);
        assert_eq!(read_as(Format::Nerfstudio).unwrap(), Format::Nerfstudio);
        let message = read_as(Format::Colmap).unwrap_err().to_string();
        assert!(message.contains("scene of colmap (such as sparse/0/cameras.bin), found a scene of llff, nerfstudio"));
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
            (vec!["images/a.jpg"], vec!["photographs without poses", "shiftray poses", "sparse/0"]),
            (vec!["IMG_1.HEIC"], vec!["photographs without poses"]),
            (vec!["database.db", "images/a.jpg"], vec!["COLMAP database without a reconstruction"]),
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
    fn every_format_is_recognised() {
        for (files, format) in [
            (vec!["sparse/0/cameras.bin", "sparse/0/images.bin"], Format::Colmap),
            (vec!["sparse/3/cameras.txt", "sparse/3/images.txt"], Format::Colmap),
            (vec!["cameras.bin", "images.bin"], Format::Colmap),
            (vec!["dense/sparse/cameras.bin", "dense/sparse/images.bin"], Format::Colmap),
            (vec!["keyframes/cameras/1.json", "keyframes/images/1.jpg"], Format::Polycam),
            (vec!["metadata.json", "rgb/0.jpg"], Format::Record3d),
            (vec!["rgb/0.png", "pose/0.txt", "intrinsics/0.txt"], Format::Ibrnet),
            (vec!["rgb/0.png", "pose/0.txt", "intrinsics.txt"], Format::Ibrnet),
        ] {
            assert_eq!(self::format(folder(&files).path()).unwrap(), format, "{files:?}");
        }
        let dir = folder(&["images/a.jpg"]);
        std::fs::write(dir.path().join("a.csv"), "#name,x,y,alt,heading,pitch,roll,f\n").unwrap();
        assert_eq!(self::format(dir.path()).unwrap(), Format::RealityCapture);
        std::fs::write(dir.path().join("b.xml"), "<?xml version=\"1.0\"?><document><chunk/></document>").unwrap();
        assert_eq!(self::format(dir.path()).unwrap(), Format::Metashape);
        for format in Format::ALL {
            assert_eq!(format.name().parse::<Format>().unwrap(), format);
            assert!(READERS.iter().any(|reader| reader.format == format));
        }
        assert!("gltf".parse::<Format>().unwrap_err().to_string().contains("metashape"));
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
