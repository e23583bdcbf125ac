//! Depth maps beside procedural scenes.

use crate::file::read_limited;
use crate::formats::npy;
use crate::{Error, Result};
use std::path::Path;

/// Reads a `.npy` depth map `[height, width]` of the given `(width, height)`, in the units of the scene's files.
///
/// # Errors
/// [`Error::Io`] or [`Error::Format`] if the file is missing, damaged, of another size, or holds a depth that is not
/// positive and finite.
pub fn read_npy(path: &Path, (width, height): (usize, usize)) -> Result<Vec<f32>> {
    // As many f64 as there are pixels, and a header.
    let bytes = read_limited(path, 8 * (width * height) as u64 + (1 << 16))?;
    let bad = |problem: String| Error::Format { path: path.to_owned(), problem };
    let table = npy::parse(&bytes).map_err(bad)?;
    if (table.columns, table.rows) != (width, height) {
        return Err(bad(format!("expected a depth map of {width}x{height}, found {}x{}", table.columns, table.rows)));
    }
    let depth: Vec<f32> = table.values.iter().map(|v| *v as f32).collect();
    match depth.iter().position(|z| !(z.is_finite() && *z > 0.0)) {
        Some(at) => Err(bad(format!("expected positive depths, found {} at pixel {at}", depth[at]))),
        None => Ok(depth),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_was_written_and_checks_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.npy");
        crate::write::write_npy(&path, 3, 2, &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]).unwrap();
        assert_eq!(read_npy(&path, (3, 2)).unwrap()[3], 4.0);
        assert!(read_npy(&path, (2, 3)).unwrap_err().to_string().contains("found 3x2"));
        crate::write::write_npy(&path, 1, 1, &[f32::NAN]).unwrap();
        assert!(read_npy(&path, (1, 1)).unwrap_err().to_string().contains("NaN"));
        assert!(read_npy(&dir.path().join("missing.npy"), (1, 1)).is_err());
        std::fs::File::create(&path).unwrap().set_len(1 << 40).unwrap();
        assert!(read_npy(&path, (2, 3)).unwrap_err().to_string().contains("at most 65584 bytes"));
    }
}
