//! One JSON file of cameras.

use super::intrinsics::Intrinsics;
use crate::json::{self, as_number, kind};
use crate::{Error, Result};
use glam::DMat4;
use serde_json::{Map, Value};
use std::path::{Path, PathBuf};

/// How far the last row of a matrix may be from 0 0 0 1, by rounding to single precision.
const LAST_ROW: f64 = 1e-6;

/// A JSON file of cameras, read and checked.
pub(super) struct CameraFile {
    pub path: PathBuf,
    /// Intrinsics of all frames.
    pub shared: Intrinsics,
    pub frames: Vec<CameraFrame>,
    /// Names under `train_filenames`, `val_filenames` and `test_filenames`.
    pub train: Vec<String>,
    pub val: Vec<String>,
    pub test: Vec<String>,
    /// Depth bounds along the optical axis in the units of the poses.
    pub near: Option<f64>,
    pub far: Option<f64>,
}

/// One photograph of the file.
pub(super) struct CameraFrame {
    /// Position in the file.
    pub index: usize,
    pub own: Intrinsics,
    pub file_path: String,
    pub mask_path: Option<String>,
    /// Camera-to-world in OpenGL axes.
    pub pose: DMat4,
}

impl CameraFile {
    /// Reads the file.
    ///
    /// # Errors
    /// As [`json::read`], and [`Error::Format`] or [`Error::Camera`] naming the frame: a key that is missing or of
    /// another kind, or a camera that is not read.
    pub fn read(path: &Path) -> Result<Self> {
        let object = json::read(path)?;
        let bad = |problem: String| Error::Format { path: path.to_owned(), problem };
        let list = match object.get("frames") {
            Some(Value::Array(list)) => list,
            Some(other) => return Err(bad(format!("expected frames to be a list, found {}", kind(other)))),
            None => {
                let keys: Vec<&str> = object.keys().take(8).map(String::as_str).collect();
                let found = if keys.is_empty() { "none".to_owned() } else { keys.join(", ") };
                return Err(bad(format!("expected the key frames with a list of photographs, found the keys {found}")));
            }
        };
        if list.is_empty() {
            return Err(bad("expected at least one frame, found none".into()));
        }
        let frame = |(index, value): (usize, &Value)| {
            let what = |name: &str| format!("{}: frame {index}{name}", path.display());
            let Value::Object(frame) = value else {
                let problem = format!("expected an object, found {}", kind(value));
                return Err(Error::Camera { what: what(""), problem });
            };
            CameraFrame::read(index, frame).map_err(|(name, problem)| {
                let name = name.map_or_else(String::new, |name| format!(" ({name})"));
                Error::Camera { what: what(&name), problem }
            })
        };
        let frames = list.iter().enumerate().map(frame).collect::<Result<_>>()?;
        let texts = |key: &str| json::texts(&object, key).map_err(bad);
        let number = |key: &str| json::number(&object, key).map_err(bad);
        Ok(Self {
            path: path.to_owned(),
            shared: Intrinsics::read(&object).map_err(bad)?,
            frames,
            train: texts("train_filenames")?,
            val: texts("val_filenames")?,
            test: texts("test_filenames")?,
            near: number("near")?,
            far: number("far")?,
        })
    }

    /// Whether any list of names has one.
    pub fn has_lists(&self) -> bool {
        [&self.train, &self.val, &self.test].into_iter().any(|names| !names.is_empty())
    }

    /// A frame for messages.
    pub fn what(&self, frame: &CameraFrame) -> String {
        format!("{}: frame {} ({})", self.path.display(), frame.index, frame.file_path)
    }
}

impl CameraFrame {
    /// Errors come with the frame's picture, as far as it is known.
    fn read(index: usize, frame: &Map<String, Value>) -> Result<Self, (Option<String>, String)> {
        let file_path = json::text(frame, "file_path").map_err(|problem| (None, problem))?;
        let Some(file_path) = file_path.map(str::to_owned) else {
            return Err((None, "expected file_path to be the name of a picture, found none".into()));
        };
        let read = || {
            Ok(Self {
                index,
                own: Intrinsics::read(frame)?,
                mask_path: json::text(frame, "mask_path")?.map(str::to_owned),
                pose: pose(frame.get("transform_matrix"))?,
                file_path: file_path.clone(),
            })
        };
        read().map_err(|problem| (Some(file_path.clone()), problem))
    }
}

/// The pose of a matrix of 4 rows (the last may be left out) or of their 16 or 12 numbers.
///
/// # Errors
/// Says what was expected and found.
fn pose(matrix: Option<&Value>) -> Result<DMat4, String> {
    const EXPECTED: &str = "expected transform_matrix to have 4 rows of 4 numbers";
    let list = match matrix {
        Some(Value::Array(list)) => list,
        Some(other) => return Err(format!("{EXPECTED}, found {}", kind(other))),
        None => return Err(format!("{EXPECTED}, found none")),
    };
    let are_rows = list.iter().all(|row| matches!(row, Value::Array(row) if row.len() == 4));
    let values: Vec<&Value> = if are_rows {
        list.iter().flat_map(|row| row.as_array().into_iter().flatten()).collect()
    } else {
        list.iter().collect()
    };
    let numbers: Option<Vec<f64>> = values.iter().map(|value| as_number(value)).collect();
    let mut numbers = match numbers {
        Some(numbers) if numbers.len() == 12 || numbers.len() == 16 => numbers,
        Some(_) if are_rows => return Err(format!("{EXPECTED}, found {}", list.len())),
        Some(numbers) => return Err(format!("{EXPECTED}, found {} numbers", numbers.len())),
        None => {
            let odd = values.iter().find(|value| as_number(value).is_none());
            return Err(format!("{EXPECTED}, found {}", odd.map_or_else(String::new, |value| kind(value))));
        }
    };
    numbers.resize(16, 0.0);
    let last = &mut numbers[12..];
    if values.len() == 16 {
        // NaN is not within the bound.
        let is_last =
            last.iter().zip([0.0, 0.0, 0.0, 1.0]).all(|(found, expected)| (found - expected).abs() <= LAST_ROW);
        if !is_last {
            return Err(format!("expected the last row 0 0 0 1 of transform_matrix, found {last:?}"));
        }
    }
    last.copy_from_slice(&[0.0, 0.0, 0.0, 1.0]);
    let rows: [f64; 16] = numbers.try_into().map_err(|_| EXPECTED.to_owned())?;
    Ok(DMat4::from_cols_array(&rows).transpose())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn matrices_of_every_form_are_one_pose() {
        let rows = [[0.0, -1.0, 0.0, 3.0], [1.0, 0.0, 0.0, -2.0], [0.0, 0.0, 1.0, 7.0], [0.0, 0.0, 0.0, 1.0]];
        let expected = DMat4::from_cols_array_2d(&rows).transpose();
        let rounded = [rows[0], rows[1], rows[2], [0.0, 1e-8, 0.0, 1.0000001192092896]];
        let flat = rows.as_flattened();
        for form in [json!(rows), json!(rounded), json!(rows[..3]), json!(flat), json!(flat[..12])] {
            assert_eq!(pose(Some(&form)).unwrap(), expected, "{form}");
        }
        for (form, found) in [
            (json!(null), "found null"),
            (json!([]), "4 rows of 4 numbers, found 0"),
            (json!(vec![[0.0; 4]; 5]), "found 5"),
            (json!(vec![[0.0; 3]; 3]), "found a list of 3"),
            (json!(vec![0.0; 15]), "found 15 numbers"),
            (json!(vec!["a"; 16]), "found the text \"a\""),
            (json!(vec![[1.0; 4]; 4]), "the last row 0 0 0 1"),
            (json!(vec![[0.0, 0.0, 0.0, 0.99999]; 4]), "the last row 0 0 0 1"),
        ] {
            let message = pose(Some(&form)).unwrap_err();
            assert!(message.contains(found), "{form}: {message}");
        }
        assert!(pose(None).unwrap_err().contains("found none"));
    }
}
