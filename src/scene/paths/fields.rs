//! Values of a camera path's JSON, with errors in the words of whoever wrote the file.

use crate::json::{self, kind, matrix};
use crate::{Error, Result};
use glam::DMat4;
use serde_json::{Map, Value};

/// A JSON object and where it stands, such as `path.json: frame 3`.
pub(super) struct Fields<'a> {
    pub map: &'a Map<String, Value>,
    pub what: String,
}

impl<'a> Fields<'a> {
    pub fn of(value: &'a Value, what: String) -> Result<Self> {
        match value {
            Value::Object(map) => Ok(Self { map, what }),
            other => Err(camera_error(&what, format!("expected an object in braces, found {}", kind(other)))),
        }
    }

    pub fn fail(&self, problem: impl Into<String>) -> Error {
        camera_error(&self.what, problem.into())
    }

    /// The value of a key that is there and not null.
    pub fn get(&self, key: &str) -> Option<&'a Value> {
        self.map.get(key).filter(|value| !value.is_null())
    }

    pub fn number(&self, key: &str) -> Result<Option<f64>> {
        json::number(self.map, key).map_err(|problem| self.fail(problem))
    }

    pub fn text(&self, key: &str) -> Result<Option<&'a str>> {
        json::text(self.map, key).map_err(|problem| self.fail(problem))
    }

    pub fn list(&self, key: &str) -> Result<Option<&'a [Value]>> {
        json::list(self.map, key).map_err(|problem| self.fail(problem))
    }

    /// The pose under `camera_to_world`: 4x4, 3x4, or 12 or 16 numbers row by row.
    pub fn pose(&self) -> Result<DMat4> {
        const EXPECTED: &str = "expected camera_to_world with 4x4 or 3x4 numbers, row by row";
        let value = self.get("camera_to_world").ok_or_else(|| self.fail(format!("{EXPECTED}, found none")))?;
        let numbers = matrix(value).filter(|numbers| matches!(numbers.len(), 12 | 16));
        let numbers = numbers.ok_or_else(|| self.fail(format!("{EXPECTED}, found {}", kind(value))))?;
        let last: [f64; 4] = std::array::from_fn(|i| numbers.get(12 + i).copied().unwrap_or([0.0, 0.0, 0.0, 1.0][i]));
        if last.iter().zip([0.0, 0.0, 0.0, 1.0]).any(|(found, expected)| (found - expected).abs() > 1e-4) {
            let column = [3, 7, 11].iter().all(|i| numbers[*i].abs() < 1e-9);
            let hint = if column { " (the matrix seems to be written column by column)" } else { "" };
            return Err(
                self.fail(format!("expected camera_to_world to end with the row 0 0 0 1, found {last:?}{hint}"))
            );
        }
        let row = |r: usize| std::array::from_fn(|c| numbers[4 * r + c]);
        Ok(DMat4::from_cols_array_2d(&[row(0), row(1), row(2), [0.0, 0.0, 0.0, 1.0]]).transpose())
    }

    /// Refuses what would change the picture and cannot be rendered; panoramas are accepted where they are `panoramas`.
    pub fn refuse_other_cameras(&self, panoramas: bool) -> Result<()> {
        for key in ["camera_type", "camera_model"] {
            let Some(found) = self.text(key)? else { continue };
            if found.eq_ignore_ascii_case("equirectangular") {
                match panoramas {
                    true => continue,
                    false => return Err(self.fail(format!("{key} {found:?} makes panoramas: add --panorama WIDTH"))),
                }
            }
            if !["perspective", "pinhole", "simple_pinhole", "opencv"].contains(&found.to_lowercase().as_str()) {
                return Err(
                    self.fail(format!("{key} {found:?} is not supported: only perspective pictures are rendered"))
                );
            }
        }
        for key in ["k1", "k2", "k3", "k4", "k5", "k6", "p1", "p2", "distortion_params"] {
            if self.get(key).is_some_and(|value| value.as_f64() != Some(0.0)) {
                return Err(self.fail(format!("{key} is not supported: frames are rendered without lens distortion")));
            }
        }
        match self.get("crop") {
            Some(_) => Err(self.fail("crop is not supported: whole scenes are rendered; expected a path without it")),
            None => Ok(()),
        }
    }

    /// Keys that mean nothing here.
    pub fn unknown(&self, known: &[&str]) -> Vec<String> {
        self.map.keys().filter(|key| !known.contains(&key.as_str())).cloned().collect()
    }
}

pub(super) fn camera_error(what: &str, problem: String) -> Error {
    Error::Camera { what: what.to_owned(), problem }
}
