//! The folder of a scene's photographs: which reduction of them is read.

use crate::formats::{MAX_FACTOR, check_factor, file_name, photographs_error};
use crate::{Error, Result};
use std::path::{Path, PathBuf};

/// Where photographs come from and how they are reduced.
pub(in crate::formats) struct ImageFolder {
    pub path: PathBuf,
    /// Reduction of the stored images against the full size.
    pub stored_factor: u32,
    /// Reduction that is asked for; a multiple of the stored one.
    pub factor: u32,
}

impl ImageFolder {
    /// The folder for a reduction, or by default the smallest of the usual ones. Says so where photographs of the size are to
    /// be made from larger ones.
    ///
    /// # Errors
    /// [`Error::Photographs`] if there is no such folder; [`Error::Scene`] for a factor out of range.
    pub fn find(root: &Path, factor: Option<u32>, warnings: &mut Vec<String>) -> Result<Self> {
        let named = |f: u32| root.join(if f == 1 { "images".to_owned() } else { format!("images_{f}") });
        let Some(factor) = factor.map(check_factor).transpose()? else {
            let found = [8, 4, 1].into_iter().find(|&f| named(f).is_dir());
            let factor = found.ok_or_else(|| {
                let other = (1..=MAX_FACTOR).find(|&f| named(f).is_dir());
                let hint = other.map_or_else(String::new, |f| format!("; --factor {f} reads {}", file_name(&named(f))));
                missing(root, "images_8, images_4 or images", &hint)
            })?;
            return Ok(Self { path: named(factor), stored_factor: factor, factor });
        };
        let stored = (1..=factor).rev().filter(|f| factor.is_multiple_of(*f)).find(|&f| named(f).is_dir());
        let wanted = file_name(&named(factor));
        let stored_factor =
            stored.ok_or_else(|| missing(root, &format!("{wanted}, or a larger size to reduce from"), ""))?;
        let path = named(stored_factor);
        if stored_factor != factor {
            let (by, from) = (factor / stored_factor, file_name(&path));
            warnings.push(format!("{wanted} is missing: the images in {from} are reduced by {by} while loading"));
        }
        Ok(Self { path, stored_factor, factor })
    }
}

/// Error for a missing image folder that names those that exist.
fn missing(root: &Path, expected: &str, hint: &str) -> Error {
    let mut found: Vec<String> = std::fs::read_dir(root)
        .into_iter()
        .flatten()
        .flatten()
        .filter(|e| e.path().is_dir())
        .map(|e| e.file_name().to_string_lossy().into_owned())
        .filter(|name| name.starts_with("images"))
        .take(8)
        .collect();
    found.sort();
    let found = if found.is_empty() { "no image folder".to_owned() } else { found.join(", ") };
    photographs_error(root, format!("expected {expected}, found {found}{hint}"))
}
