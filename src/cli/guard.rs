//! Photographs, masks, depths and poses are never written over, whatever folder a command is told to write to.

use super::own_files;
use anyhow::bail;
use scene::Scene;
use scene::formats::POSE_FILES;
use std::collections::HashSet;
use std::ffi::OsStr;
use std::fmt::Display;
use std::fs;
use std::path::{Component, Path, PathBuf};

/// Endings of pictures, depths and their kind.
const PICTURES: [&str; 12] = ["png", "jpg", "jpeg", "webp", "tif", "tiff", "gif", "bmp", "heic", "exr", "npy", "npz"];
/// Files by which this program knows a folder that it wrote itself.
const OURS: [&str; 2] = [own_files::FRAMES, own_files::METRICS];
/// Beginnings of the names of folders below a scene's in which photographs, masks and depths are looked for.
const READ: [&str; 6] = ["images", "masks", "depth", "train", "test", "val"];
/// How many folders below a scene's are searched, how many above a folder for a scene.
const DEPTH: usize = 3;
/// Most files of a scene that are looked at.
const MOST: usize = 200_000;

/// What belongs to scenes: files and the folders that they lie in, as the system names them, links resolved.
#[derive(Debug, Default)]
pub struct Inputs {
    files: HashSet<PathBuf>,
    folders: HashSet<PathBuf>,
    /// Folders of scenes.
    roots: Vec<PathBuf>,
}

impl Inputs {
    /// The files in use of `scene`, and all pictures and pose files in its folder: other reductions of the photographs, other
    /// splits, masks, depths. Folders that this program wrote are left out, unless photographs in use lie in them.
    pub fn of(scene: &Scene) -> Self {
        let mut inputs = Self::default();
        scene::formats::files(scene).iter().for_each(|file| inputs.add(file));
        inputs.add_below(&scene.root);
        inputs
    }

    fn add(&mut self, file: &Path) {
        // Where it is listed, and where it leads to.
        let places = [location(file), file.canonicalize().ok()];
        for place in places.into_iter().flatten() {
            self.folders.extend(place.parent().map(Path::to_owned));
            self.files.insert(place);
        }
    }

    fn add_below(&mut self, root: &Path) {
        self.roots.extend(root.canonicalize());
        let mut folders = vec![(root.to_owned(), 0)];
        let mut seen = 0;
        while let Some((folder, depth)) = folders.pop() {
            if depth > 0 && is_ours(&folder) {
                continue;
            }
            for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
                let path = entry.path();
                seen += 1;
                if seen > MOST {
                    return;
                }
                if path.is_dir() {
                    folders.extend((depth < DEPTH).then_some((path, depth + 1)));
                } else if is_input_name(&path) {
                    self.add(&path);
                }
            }
        }
    }

    /// Checks that `folder`, which `option` names, may be written to: it holds no files of the scene, is no scene itself, and
    /// neither holds pictures of another one nor is a place where such are looked for. The folder need not be there yet.
    ///
    /// # Errors
    /// If it may not.
    pub fn expect_other_folder(&self, option: &str, folder: &Path) -> anyhow::Result<()> {
        let real = real(folder);
        let shown = folder.display();
        if self.folders.contains(&real) {
            bail!(
                "{option} {shown}: expected another folder than that of the photographs and other files of the scene"
            );
        }
        if let Some(file) = pose_file(&real) {
            bail!("{option} {shown}: expected a folder that is no scene, found {file} in it");
        }
        self.expect_not_read(option, &real, &shown)?;
        if let Some(above) = self.scenes_above(&real).next()
            && !is_ours(&real)
            && holds_pictures(&real)
        {
            bail!(
                "{option} {shown}: expected another folder than that of photographs, found pictures of the scene {}",
                above.display()
            );
        }
        Ok(())
    }

    /// Folders of scenes that the real folder `folder` lies in.
    fn scenes_above<'a>(&self, folder: &'a Path) -> impl Iterator<Item = &'a Path> {
        let is_scene = |(depth, above): &(usize, &Path)| {
            self.roots.iter().any(|root| root == above) || (*depth < DEPTH && pose_file(above).is_some())
        };
        folder.ancestors().skip(1).enumerate().filter(is_scene).map(|(_, above)| above)
    }

    /// Checks that no scene looks for pictures in the real folder `folder`, by the names of folders.
    fn expect_not_read(&self, option: &str, folder: &Path, shown: &dyn Display) -> anyhow::Result<()> {
        for above in self.scenes_above(folder) {
            let below = folder.strip_prefix(above).ok().and_then(|below| below.components().next());
            let name = below.map_or_else(String::new, |name| name.as_os_str().to_string_lossy().to_lowercase());
            if let Some(beginning) = READ.into_iter().find(|beginning| name.starts_with(beginning)) {
                bail!(
                    "{option} {shown}: expected a folder in which no photographs are looked for, found one of the scene {} \
                     that begins with {beginning:?}",
                    above.display()
                );
            }
        }
        Ok(())
    }

    /// Checks that `file`, which `option` names, does not lie where a scene looks for pictures.
    ///
    /// # Errors
    /// If it does.
    pub fn expect_unread_file(&self, option: &str, file: &Path) -> anyhow::Result<()> {
        let folder = real(file.parent().unwrap_or(Path::new("")));
        self.expect_not_read(option, &folder, &file.display())
    }

    /// Checks that `file`, which `option` names, is none of the scene's.
    ///
    /// # Errors
    /// If it is.
    pub fn expect_other_file(&self, option: &str, file: &Path) -> anyhow::Result<()> {
        let places = [location(file), file.canonicalize().ok()];
        if places.iter().flatten().any(|place| self.files.contains(place)) {
            bail!("{option} {}: expected another file than the photographs of the scene", file.display());
        }
        Ok(())
    }
}

/// A file in the real folder that it is listed in; links to the file itself are not followed.
fn location(file: &Path) -> Option<PathBuf> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    Some(folder.canonicalize().ok()?.join(file.file_name()?))
}

/// Where a folder is or would be: of what is there the links are resolved, and the rest is taken as it is written.
fn real(folder: &Path) -> PathBuf {
    let mut real = std::env::current_dir().unwrap_or_default();
    for component in folder.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => drop(real.pop()),
            name => real.push(name),
        }
        if let Ok(resolved) = real.canonicalize() {
            real = resolved;
        }
    }
    real
}

fn pose_file(folder: &Path) -> Option<&'static str> {
    POSE_FILES.into_iter().find(|name| folder.join(name).is_file())
}

fn is_ours(folder: &Path) -> bool {
    OURS.iter().any(|name| folder.join(name).is_file())
}

fn is_picture_name(path: &Path) -> bool {
    let extension = path.extension().and_then(OsStr::to_str).unwrap_or_default();
    PICTURES.iter().any(|known| known.eq_ignore_ascii_case(extension))
}

fn is_input_name(path: &Path) -> bool {
    is_picture_name(path) || path.file_name().and_then(OsStr::to_str).is_some_and(|name| POSE_FILES.contains(&name))
}

fn holds_pictures(folder: &Path) -> bool {
    fs::read_dir(folder).into_iter().flatten().flatten().any(|entry| is_picture_name(&entry.path()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder with a scene of two photographs at two reductions, of which the smaller ones are in use.
    fn place() -> (tempfile::TempDir, Inputs) {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("scene");
        for name in
            ["images/a.png", "images_2/a.png", "images_2/b.png", "masks/b.jpg", "depth/a.npy", "poses_bounds.npy"]
        {
            fs::create_dir_all(root.join(name).parent().unwrap()).unwrap();
            fs::write(root.join(name), b"x").unwrap();
        }
        let mut inputs = Inputs::default();
        inputs.add(&root.join("images_2/a.png"));
        inputs.add_below(&root);
        (dir, inputs)
    }

    #[test]
    fn folders_of_scenes_are_refused_and_others_are_not() {
        let (dir, inputs) = place();
        let root = dir.path().join("scene");
        let check = |folder: PathBuf| inputs.expect_other_folder("--out", &folder);
        for folder in ["", "images", "images_2", "masks", "depth", "images/../images", "."] {
            let message = check(root.join(folder)).unwrap_err().to_string();
            assert!(message.contains("photographs") && message.contains("--out"), "{folder}: {message}");
        }
        fs::create_dir_all(root.join("renders")).unwrap();
        check(root.join("renders")).unwrap();
        check(root.join("none yet")).unwrap();
        check(dir.path().join("elsewhere")).unwrap();
        // Folders that are not there yet, and that a loader would read if they were.
        for folder in ["images_4", "none/../images_4", "Images_8/deep", "masks_2", "depths", "train", "test", "val/a"] {
            let message = check(root.join(folder)).unwrap_err().to_string();
            assert!(message.contains("photographs") && message.contains("--out"), "{folder}: {message}");
            let message = inputs.expect_unread_file("--video", &root.join(folder).join("fly.gif")).unwrap_err();
            assert!(message.to_string().contains("--video"), "{folder}: {message}");
        }
        check(dir.path().join("images_4")).unwrap();
        inputs.expect_unread_file("--video", &root.join("fly.gif")).unwrap();
        inputs.expect_unread_file("--video", &root.join("renders/test/fly.gif")).unwrap();
        // What this program wrote below a scene stays its own.
        fs::write(root.join("renders/a.png"), b"x").unwrap();
        assert!(check(root.join("renders")).is_err());
        fs::write(root.join("renders").join(OURS[0]), b"x").unwrap();
        check(root.join("renders")).unwrap();
        // Another scene, and its photographs.
        let other = dir.path().join("other");
        fs::create_dir_all(other.join("train")).unwrap();
        fs::write(other.join("transforms_train.json"), b"x").unwrap();
        fs::write(other.join("train/a.png"), b"x").unwrap();
        assert!(check(other.clone()).unwrap_err().to_string().contains("transforms_train.json"));
        assert!(check(other.join("train")).unwrap_err().to_string().contains("other"));
        assert!(check(other.join("val")).unwrap_err().to_string().contains("other"));
        let colmap = dir.path().join("colmap");
        fs::create_dir_all(colmap.join("sparse/0")).unwrap();
        fs::create_dir_all(colmap.join("images/left")).unwrap();
        fs::write(colmap.join("sparse/0/cameras.bin"), b"x").unwrap();
        fs::write(colmap.join("images/left/a.jpg"), b"x").unwrap();
        for folder in ["", "sparse/0", "images/left"] {
            assert!(check(colmap.join(folder)).is_err(), "{folder}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn links_are_seen_through() {
        use std::os::unix::fs::symlink;
        let (dir, _) = place();
        let [root, camera, linked] = ["scene", "camera", "linked"].map(|name| dir.path().join(name));
        fs::create_dir_all(&camera).unwrap();
        fs::write(camera.join("c.png"), b"x").unwrap();
        fs::create_dir_all(root.join("images_4")).unwrap();
        symlink(camera.join("c.png"), root.join("images_4/c.png")).unwrap();
        symlink(root.join("images"), &linked).unwrap();
        let mut inputs = Inputs::default();
        inputs.add_below(&root);
        for folder in [&camera, &linked] {
            assert!(inputs.expect_other_folder("--out", folder).is_err(), "{}", folder.display());
        }
        assert!(inputs.expect_other_file("--video", &camera.join("c.png")).is_err());
        assert!(inputs.expect_other_file("--video", &linked.join("a.png")).is_err());
        inputs.expect_other_file("--video", &root.join("fly.gif")).unwrap();
    }
}
