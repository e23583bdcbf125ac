//! Reading values from a JSON file of cameras or of a camera path, with messages that name the key.
//!
//! Python writes `NaN` and `Infinity`, which JSON has not. They are read as numbers, so that the check of the value that
//! they stand in can name the frame; where nothing uses them they do no harm.

use crate::file::read_limited;
use crate::{Error, Result};
use serde_json::{Map, Value};
use std::borrow::Cow;
use std::path::Path;

/// Largest file that is read; parsed values take up to sixteen times as much memory.
const MAX_BYTES: u64 = 32 << 20;
/// Names of what JSON has no number for.
const NOT_FINITE: [(&str, f64); 3] = [("NaN", f64::NAN), ("-Infinity", f64::NEG_INFINITY), ("Infinity", f64::INFINITY)];

/// The object in a file; poses of a scene and camera paths are read alike.
///
/// # Errors
/// [`Error::Io`] if the file cannot be read, [`Error::Format`] with line and column if it is no JSON, or no object.
pub(crate) fn read(path: &Path) -> Result<Map<String, Value>> {
    match read_any(path)? {
        Value::Object(object) => Ok(object),
        other => {
            let problem = format!("expected a JSON file with an object, found {}", kind(&other));
            Err(Error::Format { path: path.to_owned(), problem })
        }
    }
}

/// Whatever is in a file.
///
/// # Errors
/// As [`read`], but for what is no object.
pub(crate) fn read_any(path: &Path) -> Result<Value> {
    let bytes = read_limited(path, MAX_BYTES)?;
    let bad = |problem: String| Error::Format { path: path.to_owned(), problem };
    // Editors of Windows put a mark before the text.
    let text = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(&bytes);
    let text = quote_not_finite(text);
    serde_json::from_slice(&text).map_err(|e| bad(format!("expected a JSON file of cameras: {e}")))
}

/// The text with `NaN` and infinities outside of strings made strings.
fn quote_not_finite(text: &[u8]) -> Cow<'_, [u8]> {
    let has = |name: &str| text.windows(name.len()).any(|part| part == name.as_bytes());
    if !has("NaN") && !has("Infinity") {
        return Cow::Borrowed(text);
    }
    let mut out = Vec::with_capacity(text.len() + 64);
    let (mut at, mut in_string) = (0, false);
    while at < text.len() {
        let name = NOT_FINITE.iter().find(|(name, _)| !in_string && text[at..].starts_with(name.as_bytes()));
        if let Some((name, _)) = name {
            out.push(b'"');
            out.extend_from_slice(name.as_bytes());
            out.push(b'"');
            at += name.len();
            continue;
        }
        let escaped = in_string && text[at] == b'\\' && at + 1 < text.len();
        if text[at] == b'"' {
            in_string = !in_string;
        }
        let count = if escaped { 2 } else { 1 };
        out.extend_from_slice(&text[at..at + count]);
        at += count;
    }
    Cow::Owned(out)
}

/// The number under a key; none if it is absent or null.
///
/// # Errors
/// Says what was expected and found.
pub(crate) fn number(object: &Map<String, Value>, key: &str) -> Result<Option<f64>, String> {
    match object.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => match as_number(value) {
            Some(number) => Ok(Some(number)),
            None => Err(format!("expected {key} to be a number, found {}", kind(value))),
        },
    }
}

/// A number, also one that is not finite.
pub(crate) fn as_number(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => NOT_FINITE.iter().find(|(name, _)| name == text).map(|(_, number)| *number),
        _ => None,
    }
}

/// The text under a key; none if it is absent or null.
///
/// # Errors
/// Says what was expected and found.
pub(crate) fn text<'a>(object: &'a Map<String, Value>, key: &str) -> Result<Option<&'a str>, String> {
    match object.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(other) => Err(format!("expected {key} to be a text, found {}", kind(other))),
    }
}

/// The list under a key; none if it is absent or null.
///
/// # Errors
/// Says what was expected and found.
pub(crate) fn list<'a>(object: &'a Map<String, Value>, key: &str) -> Result<Option<&'a [Value]>, String> {
    match object.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Array(list)) => Ok(Some(list)),
        Some(other) => Err(format!("expected {key} to be a list, found {}", kind(other))),
    }
}

/// The list of texts under a key; empty if it is absent or null.
///
/// # Errors
/// Says what was expected and found.
pub(crate) fn texts(object: &Map<String, Value>, key: &str) -> Result<Vec<String>, String> {
    let list = list(object, key)?.unwrap_or_default();
    let item = |value: &Value| match value {
        Value::String(text) => Ok(text.clone()),
        other => Err(format!("expected {key} to be a list of texts, found {} in it", kind(other))),
    };
    list.iter().map(item).collect()
}

/// The numbers of a matrix row by row: of a list, or of a list of rows of four. `None` for anything else.
pub(crate) fn matrix(value: &Value) -> Option<Vec<f64>> {
    let list = value.as_array()?;
    if list.iter().all(Value::is_array) {
        let rows = list.iter().map(|row| matrix(row).filter(|row| row.len() == 4));
        return Some(rows.collect::<Option<Vec<_>>>()?.concat());
    }
    list.iter().map(as_number).collect()
}

/// A value in short, for messages.
pub(crate) fn kind(value: &Value) -> String {
    match value {
        Value::Null => "null".into(),
        Value::Bool(value) => value.to_string(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => format!("the text {:?}", text.chars().take(40).collect::<String>()),
        Value::Array(list) => format!("a list of {}", list.len()),
        Value::Object(_) => "an object".into(),
    }
}

/// Whether a value says that a thing is absent: null, false, zero, nothing, or nothing but these.
pub(crate) fn is_neutral(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(value) => !value,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.iter().all(is_neutral),
        Value::Object(object) => object.values().all(is_neutral),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(text: &str) -> Result<Map<String, Value>> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.json");
        std::fs::write(&path, text).unwrap();
        read(&path)
    }

    #[test]
    fn what_python_and_windows_write_is_read() {
        let file =
            parse("\u{feff}{\"a\": [NaN, -Infinity], \"b\": \"NaN of \\\"Infinity\\\"\", \"c\": Infinity}").unwrap();
        let list: Vec<f64> = file["a"].as_array().unwrap().iter().map(|v| as_number(v).unwrap()).collect();
        assert!(list[0].is_nan() && list[1] == f64::NEG_INFINITY);
        assert_eq!(file["b"], "NaN of \"Infinity\"");
        assert_eq!(number(&file, "c"), Ok(Some(f64::INFINITY)));
        assert_eq!(number(&file, "d"), Ok(None));
    }

    #[test]
    fn values_of_another_kind_are_named() {
        let file = parse(r#"{"fl_x": "40", "w": [1], "list": ["a", 1], "name": 3}"#).unwrap();
        assert!(number(&file, "fl_x").unwrap_err().contains("fl_x to be a number, found the text \"40\""));
        assert!(number(&file, "w").unwrap_err().contains("a list of 1"));
        assert!(texts(&file, "list").unwrap_err().contains("found 1 in it"));
        assert!(text(&file, "name").unwrap_err().contains("name to be a text, found 3"));
        for broken in ["", "[1]", "{\"a\": 1,}", "{ // comment\n}", "{\"a\": 1e999}"] {
            let message = parse(broken).unwrap_err().to_string();
            assert!(message.contains("a.json") && message.contains("JSON"), "{broken}: {message}");
        }
        assert!(parse("{\n \"a\": 1,\n}").unwrap_err().to_string().contains("line 3"));
    }

    proptest! {
        #[test]
        fn quoting_never_breaks_what_is_json(text in "[ \\[\\]{}:,\"\\\\NaInfinity0-9-]{0,60}") {
            let quoted = quote_not_finite(text.as_bytes());
            if let Ok(value) = serde_json::from_slice::<Value>(text.as_bytes()) {
                prop_assert_eq!(serde_json::from_slice::<Value>(&quoted).unwrap(), value);
            }
        }
    }
}
