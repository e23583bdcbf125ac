//! Masks beside the photographs.

use crate::picture::with_extension;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

/// The folder of masks beside a folder of photographs: `masks` beside `images`, `masks_8` beside `images_8`.
pub(super) fn folder(images: &Path) -> PathBuf {
    let name = images.file_name().unwrap_or_default().to_string_lossy();
    images.with_file_name(format!("masks{}", name.strip_prefix("images").unwrap_or_default()))
}

/// The mask of a photograph: the file of the same stem in `folder`.
pub(super) fn find(folder: &Path, photograph: &Path) -> Option<PathBuf> {
    with_extension(&folder.join(photograph.file_stem()?))
}

/// The masks of photographs in several folders beside one folder `masks`: `masks/test/r_0.png` for `test/r_0.png`, or
/// `masks/r_0.png` where no other photograph is called `r_0`.
pub(super) fn find_all(folder: &Path, photographs: &[PathBuf]) -> Vec<Option<PathBuf>> {
    if !folder.is_dir() {
        return vec![None; photographs.len()];
    }
    let mut count = std::collections::HashMap::<Option<OsString>, usize>::new();
    for photograph in photographs {
        *count.entry(photograph.file_stem().map(OsStr::to_owned)).or_default() += 1;
    }
    let mask = |photograph: &PathBuf| {
        let parent = photograph.parent().and_then(Path::file_name).unwrap_or_default();
        let unique = count[&photograph.file_stem().map(OsStr::to_owned)] == 1;
        find(&folder.join(parent), photograph).or_else(|| find(folder, photograph).filter(|_| unique))
    };
    photographs.iter().map(mask).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_lie_beside_the_photographs() {
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| root.path().join(name);
        for (images, masks) in [("images", "masks"), ("images_8", "masks_8"), ("train", "masks")] {
            assert_eq!(folder(&at(images)), at(masks));
        }
        std::fs::create_dir(at("masks_8")).unwrap();
        std::fs::write(at("masks_8/a.b.JPG"), b"x").unwrap();
        assert_eq!(find(&at("masks_8"), &at("images_8/a.b.png")), Some(at("masks_8/a.b.JPG")));
        assert_eq!(find(&at("masks_8"), &at("images_8/a.png")), None);
        assert_eq!(find(&at("masks"), &at("images/a.b.png")), None);
    }

    #[test]
    fn one_mask_is_not_taken_for_two_photographs() {
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| root.path().join(name);
        let photographs = ["train/r_0.png", "test/r_0.png", "test/r_1.png"].map(at);
        assert_eq!(find_all(&at("masks"), &photographs), [None, None, None]);
        std::fs::create_dir_all(at("masks/test")).unwrap();
        for name in ["masks/r_0.png", "masks/r_1.png"] {
            std::fs::write(at(name), b"x").unwrap();
        }
        assert_eq!(find_all(&at("masks"), &photographs), [None, None, Some(at("masks/r_1.png"))]);
        std::fs::write(at("masks/test/r_0.jpg"), b"x").unwrap();
        assert_eq!(find_all(&at("masks"), &photographs)[1], Some(at("masks/test/r_0.jpg")));
    }
}
