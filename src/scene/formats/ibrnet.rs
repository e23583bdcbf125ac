//! Objects of IBRNet's training data, and scenes of NSVF: a text file with a matrix for each picture.
//!
//! `rgb/NAME.png` has its camera-to-world in OpenCV axes (x right, y down, z forward) in `pose/NAME.txt`, 16 numbers row by
//! row, and its intrinsics in `intrinsics/NAME.txt`, a 3×3 or 4×4 matrix in pixels counted from the image's corner. NSVF has
//! one `intrinsics.txt` for all.

use super::posed::{self, Intrinsics, Photograph, Posed};
use super::{LoadOptions, format_error, stem};
use crate::distortion::Coefficients;
use crate::file::read_text;
use crate::pose::flip_axes;
use crate::{Format, Result, Scene};
use glam::{DMat4, DVec2};
use std::path::{Path, PathBuf};

/// Largest file of a matrix.
const MAX_BYTES: u64 = 1 << 16;

/// The folder of poses, where pictures and intrinsics lie beside it.
pub(super) fn find(root: &Path) -> Option<PathBuf> {
    let intrinsics = root.join("intrinsics").is_dir() || root.join("intrinsics.txt").is_file();
    Some(root.join("pose")).filter(|pose| pose.is_dir() && root.join("rgb").is_dir() && intrinsics)
}

/// Loads a scene of matrices in text files.
///
/// # Errors
/// [`crate::Error::Io`], `Format` or `Camera` naming the file: pictures without a pose, or files that hold no matrix;
/// otherwise as for all formats, see `posed.rs`.
pub fn load(root: &Path, options: &LoadOptions) -> Result<Scene> {
    let shared = root.join("intrinsics.txt");
    let shared = if root.join("intrinsics").is_dir() { None } else { Some((read(&shared)?, shared)) };
    let (mut photographs, mut pose_files) = (Vec::new(), Vec::new());
    let paths = super::list_images(&root.join("rgb"))?;
    for path in paths {
        let named = |folder: &str| root.join(folder).join(format!("{}.txt", stem(&path)));
        let file = named("pose");
        let matrix = pose(&file)?;
        let (numbers, from) = match &shared {
            Some((numbers, from)) => (numbers.clone(), from.clone()),
            None => (read(&named("intrinsics"))?, named("intrinsics")),
        };
        photographs.push(Photograph {
            what: file.display().to_string(),
            mask: None,
            path,
            pose: flip_axes(matrix),
            intrinsics: intrinsics(&numbers, &from)?,
            bounds: None,
        });
        pose_files.push(file);
        pose_files.extend(Some(from).filter(|_| shared.is_none()));
    }
    pose_files.extend(shared.map(|(_, file)| file));
    if pose_files.is_empty() {
        return Err(format_error(&root.join("rgb"), "expected pictures, found none"));
    }
    let mut warnings = Vec::new();
    posed::say_unused(&photographs, "without a pose: not used", &mut warnings);
    let posed =
        Posed { root, format: Format::Ibrnet, pose_files, photographs, missing: 0, stored_factor: None, warnings };
    posed.into_scene(options)
}

/// The numbers of a file.
fn read(file: &Path) -> Result<Vec<f64>> {
    let text = read_text(file, MAX_BYTES)?;
    let numbers: Result<Vec<f64>, _> = text.split_ascii_whitespace().map(str::parse).collect();
    numbers.map_err(|_| {
        let odd = text.split_ascii_whitespace().find(|word| word.parse::<f64>().is_err()).unwrap_or_default();
        format_error(file, format!("expected numbers, found {:?}", odd.chars().take(40).collect::<String>()))
    })
}

/// The matrix of a pose.
fn pose(file: &Path) -> Result<DMat4> {
    let mut numbers = read(file)?;
    if numbers.len() == 12 {
        numbers.extend([0.0, 0.0, 0.0, 1.0]);
    }
    let found = numbers.len();
    let numbers: [f64; 16] = numbers
        .try_into()
        .map_err(|_| format_error(file, format!("expected the 16 numbers of a 4x4 matrix, found {found}")))?;
    if numbers[12..].iter().zip([0.0, 0.0, 0.0, 1.0]).any(|(found, expected)| (found - expected).abs() > 1e-6) {
        return Err(format_error(file, format!("expected the last row 0 0 0 1, found {:?}", &numbers[12..])));
    }
    Ok(DMat4::from_cols_array(&numbers).transpose())
}

/// Focal lengths and principal point of a matrix of intrinsics.
fn intrinsics(numbers: &[f64], file: &Path) -> Result<Intrinsics> {
    let width = match numbers.len() {
        9 => 3,
        16 => 4,
        // NSVF's own: focal length and principal point; then a place, a near plane and a scale of its grid, which mean
        // nothing here; then the height and width that they are for.
        11 => {
            let size = DVec2::new(numbers[10], numbers[9]);
            return Ok(Intrinsics {
                size: Some(size).filter(|size| size.min_element() >= 1.0),
                focal: DVec2::splat(numbers[0]),
                center: Some(DVec2::new(numbers[1], numbers[2])),
                lens: Coefficients::default().into(),
            });
        }
        found => {
            let problem = format!("expected a matrix of 3x3 or 4x4 numbers, or the 11 numbers of NSVF, found {found}");
            return Err(format_error(file, problem));
        }
    };
    let at = |row: usize, column: usize| numbers[row * width + column];
    let rest = [at(0, 1), at(1, 0), at(2, 0), at(2, 1), at(2, 2) - 1.0];
    if rest.iter().any(|value| value.abs() > 1e-6 || value.is_nan()) {
        let problem = "expected a matrix of focal lengths and principal point, found other numbers beside them";
        return Err(format_error(file, problem));
    }
    Ok(Intrinsics {
        size: None,
        focal: DVec2::new(at(0, 0), at(1, 1)),
        center: Some(DVec2::new(at(0, 2), at(1, 2))),
        lens: Coefficients::default().into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intrinsics_are_a_matrix_or_nsvfs_own() {
        let file = Path::new("intrinsics.txt");
        let matrix = intrinsics(&[380.0, 0.0, 160.0, 0.0, 390.0, 120.0, 0.0, 0.0, 1.0], file).unwrap();
        assert_eq!(
            (matrix.focal, matrix.center, matrix.size),
            (DVec2::new(380.0, 390.0), Some(DVec2::new(160.0, 120.0)), None)
        );
        let own = [380.0, 160.0, 120.0, 0.0, 0.1, 0.2, 0.3, 0.0, 1.0, 240.0, 320.0];
        let own = intrinsics(&own, file).unwrap();
        assert_eq!((own.focal, own.size), (DVec2::splat(380.0), Some(DVec2::new(320.0, 240.0))));
        assert!(intrinsics(&[1.0; 5], file).unwrap_err().to_string().contains("found 5"));
        assert!(intrinsics(&[1.0; 9], file).unwrap_err().to_string().contains("other numbers"));
    }
}
