//! Depth maps beside procedural scenes.

use crate::file::{open_regular, read_limited};
use crate::npy;
use crate::{Error, Result};
use std::io::Read;
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

/// Width and height of the table in a `.npy` file, by its header; none where that is not understood, or the file is too
/// short for it.
pub fn npy_size(path: &Path) -> Option<(usize, usize)> {
    // Headers are padded to a multiple of 64 bytes, and those of a table take one or two of them.
    const HEADER: u64 = 512;
    let mut start = Vec::new();
    let file = open_regular(path).ok()?;
    let bytes = file.metadata().ok()?.len();
    file.take(HEADER).read_to_end(&mut start).ok()?;
    let [1, _, low, high, text @ ..] = start.strip_prefix(b"\x93NUMPY")? else { return None };
    let length = u16::from_le_bytes([*low, *high]);
    let text = std::str::from_utf8(text.get(..length.into())?).ok()?;
    let shape = text.split_once("shape")?.1.split_once('(')?.1.split_once(')')?.0;
    let (rows, columns) = shape.split_once(',')?;
    let (rows, columns): (usize, usize) = (rows.trim().parse().ok()?, columns.trim_matches([' ', ',']).parse().ok()?);
    // Numbers take four bytes at least.
    let least = (rows.checked_mul(columns)?.checked_mul(4)? as u64).checked_add(10 + u64::from(length))?;
    (bytes >= least).then_some((columns, rows))
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

    #[test]
    fn headers_tell_the_size_of_a_depth_map() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.npy");
        crate::write::write_npy(&path, 3, 2, &[1.0; 6]).unwrap();
        assert_eq!(npy_size(&path), Some((3, 2)));
        let bytes = std::fs::read(&path).unwrap();
        for wrong in [&bytes[..bytes.len() - 24], &bytes[..20], b"not an array".as_slice(), b""] {
            std::fs::write(&path, wrong).unwrap();
            assert_eq!(npy_size(&path), None);
        }
        assert_eq!(npy_size(dir.path()), None);
    }
}
