//! Where a COLMAP model and its photographs lie.

use super::{Model, ModelPoint, binary, text};
use crate::Result;
use crate::formats::{MAX_FACTOR, check_factor, file_name, find::Finder, format_error, photographs_error};
use std::path::{Path, PathBuf};

/// Folders in which programs leave models, below the scene's; numbered models lie in them.
const FOLDERS: [&str; 9] = [
    "sparse",
    "colmap/sparse",
    "dense/sparse",
    "distorted/sparse",
    "colmap",
    "sparse/aligned",
    "dense/0/sparse",
    "undistorted/sparse",
    "",
];
/// Most numbered models that are looked at in one folder.
const MOST_MODELS: usize = 1000;

/// A model's folder and whether its files are text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub folder: PathBuf,
    is_text: bool,
}

impl Found {
    /// The model in a folder: binary goes before text, as in COLMAP.
    fn at(folder: PathBuf) -> Option<Self> {
        let has = |extension: &str| {
            ["cameras", "images"].iter().all(|name| folder.join(format!("{name}.{extension}")).is_file())
        };
        let is_text = if has("bin") {
            false
        } else if has("txt") {
            true
        } else {
            return None;
        };
        Some(Self { folder, is_text })
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.{}", if self.is_text { "txt" } else { "bin" }))
    }

    /// The file of images, which names most faults.
    pub fn images(&self) -> PathBuf {
        self.file("images")
    }

    /// The files that the scene comes from.
    pub fn files(&self) -> Vec<PathBuf> {
        let points = Some(self.file("points3D")).filter(|points| points.is_file());
        [self.file("images"), self.file("cameras")].into_iter().chain(points).collect()
    }

    /// Cameras and images.
    pub fn read(&self) -> Result<Model> {
        let (cameras, images) = (self.file("cameras"), self.file("images"));
        Ok(if self.is_text {
            Model { cameras: text::cameras(&cameras)?, images: text::images(&images)? }
        } else {
            Model { cameras: binary::cameras(&cameras)?, images: binary::images(&images)? }
        })
    }

    /// Shows `each` the points; tells whether there is a file of them.
    pub fn each_point(&self, each: &mut dyn FnMut(ModelPoint)) -> Result<bool> {
        let points = self.file("points3D");
        if !points.exists() {
            return Ok(false);
        }
        if self.is_text {
            text::points(&points, each)?
        } else {
            binary::points(&points, each)?
        };
        Ok(true)
    }

    fn count(&self) -> Result<usize> {
        if self.is_text { text::count_images(&self.images()) } else { binary::count_images(&self.images()) }
    }
}

/// All models of the first folder that has any.
fn models(root: &Path) -> Vec<Found> {
    for folder in FOLDERS.map(|folder| root.join(folder)) {
        // `sparse` itself goes first: where it holds a model, numbered ones beside it are parts.
        if let Some(found) = Found::at(folder.clone()) {
            return vec![found];
        }
        if folder == root {
            continue;
        }
        let entries = std::fs::read_dir(&folder).into_iter().flatten().flatten().take(MOST_MODELS);
        let mut numbered: Vec<(u64, Found)> = entries
            .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, Found::at(entry.path())?)))
            .collect();
        numbered.sort_by_key(|(number, _)| *number);
        if !numbered.is_empty() {
            return numbered.into_iter().map(|(_, found)| found).collect();
        }
    }
    Vec::new()
}

/// The file of cameras of a model in the usual places below a folder.
pub(in crate::formats) fn cameras_file(root: &Path) -> Option<PathBuf> {
    models(root).first().map(|found| found.file("cameras"))
}

/// The model of a scene; of several the one with most images, which is said.
pub(super) fn model(root: &Path, warnings: &mut Vec<String>) -> Result<Found> {
    let models = models(root);
    let counts = models.iter().map(Found::count).collect::<Result<Vec<usize>>>()?;
    let best = (0..models.len()).max_by_key(|&i| (counts[i], std::cmp::Reverse(i)));
    let Some(best) = best else {
        return Err(format_error(root, "expected a COLMAP model (cameras and images, .bin or .txt), found none"));
    };
    if models.len() > 1 {
        let listed: Vec<String> =
            models.iter().zip(&counts).map(|(m, count)| format!("{} has {count}", file_name(&m.folder))).collect();
        warnings.push(format!(
            "{} COLMAP models, which COLMAP could not join: {} is used, as it has most photographs ({})",
            models.len(),
            models[best].folder.display(),
            listed.join(", ")
        ));
    }
    Ok(models[best].clone())
}

/// The photographs of a model.
pub(super) struct Pictures {
    pub folder: PathBuf,
    /// One for each name; none where it is missing.
    pub paths: Vec<Option<PathBuf>>,
    /// Reduction that they are stored with, where a folder of this reduction was asked for.
    pub stored_factor: Option<u32>,
}

/// Finds photographs by their names: in `images`, `input` and others beside the model or above it, up to the scene's folder,
/// or in `images_4` and its kind for a reduction.
///
/// # Errors
/// [`Error::Photographs`](crate::Error::Photographs) that lists where they were looked for if less than half of them are in any one folder; what is wrong
/// with a folder's pictures.
pub(super) fn pictures(
    root: &Path,
    model: &Path,
    names: &[&str],
    factor: Option<u32>,
    file: &Path,
    warnings: &mut Vec<String>,
) -> Result<Pictures> {
    const NAMES: [&str; 8] = ["images", "input", "image", "rgb", "photos", "frames", "raw", ""];
    let factor = factor.map(check_factor).transpose()?;
    let mut bases = Vec::new();
    for base in model.ancestors() {
        bases.push(base.to_owned());
        // A model that is named itself has its photographs above it.
        if base == root && model != root || bases.len() == 3 && model == root {
            break;
        }
    }
    let reduced = factor.into_iter().flat_map(|factor| {
        (2..=factor.min(MAX_FACTOR))
            .rev()
            .filter(move |f| factor.is_multiple_of(*f))
            .map(|f| (format!("images_{f}"), Some(f)))
    });
    let folders: Vec<(String, Option<u32>)> = reduced.chain(NAMES.map(|name| (name.to_owned(), None))).collect();
    let mut looked = Vec::new();
    let mut unread = None;
    for (name, stored) in &folders {
        for base in &bases {
            let folder = base.join(name);
            if !folder.is_dir() {
                continue;
            }
            let finder = Finder::new(&folder);
            let found: Vec<_> = names.iter().map(|name| finder.find(name)).collect();
            let there = found.iter().flatten().count();
            if 2 * there >= names.len().max(1) {
                if let Some((name, repair)) =
                    names.iter().zip(&found).find_map(|(name, found)| Some((name, found.as_ref()?.repair?)))
                {
                    warnings.push(format!("{}: {name:?} is found only without regard to {repair}", file.display()));
                }
                let paths = found.into_iter().map(|found| found.map(|found| found.path)).collect();
                return Ok(Pictures { folder, paths, stored_factor: *stored });
            }
            unread =
                unread.or_else(|| names.iter().find_map(|name| crate::picture::unread_sibling(&folder.join(name))));
            if !name.is_empty() || there > 0 {
                looked.push(format!("{} ({there} of {})", folder.display(), names.len()));
            }
        }
    }
    if let Some(unread) = unread {
        return Err(crate::picture::unread(&unread));
    }
    let looked = if looked.is_empty() { "no folder of photographs".to_owned() } else { looked.join(", ") };
    let problem = format!(
        "expected the photographs of {} images, such as {}, in a folder images beside the model; found {looked}",
        names.len(),
        names.first().unwrap_or(&"none")
    );
    Err(photographs_error(file, problem))
}
