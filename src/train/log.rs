//! The log of a run: one JSON object a line, each with its step.

use crate::{Error, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::Path;

/// Name of the log in the folder of a run.
pub const FILE: &str = "log.jsonl";
/// Longest line that is read, and the part of a log's end that [`last`] looks at.
const MOST_BYTES: u64 = 1 << 16;

fn io(path: &Path) -> impl Fn(std::io::Error) -> Error + use<> {
    let path = path.to_owned();
    move |source| Error::Io { path: path.clone(), source }
}

/// Appends a JSON object as a line.
pub(crate) fn append(path: &Path, line: &impl Serialize) -> Result<()> {
    let text = serde_json::to_string(line).expect("plain numbers");
    scene::file::check_replaceable(path)?;
    let file = OpenOptions::new().create(true).append(true).open(path);
    file.and_then(|mut file| file.write_all(format!("{text}\n").as_bytes())).map_err(io(path))
}

/// Cuts off what lies beyond `step`: the lines that a killed run wrote after its last checkpoint, which come again, and a
/// line that it did not finish. Nothing happens where there is no log.
pub(crate) fn rewind(path: &Path, step: u64) -> Result<()> {
    #[derive(serde::Deserialize)]
    struct Line {
        step: u64,
    }
    if !path.is_file() {
        return Ok(());
    }
    scene::file::check_replaceable(path)?;
    let file = scene::file::open_regular(path)?;
    let length = file.metadata().map_err(io(path))?.len();
    let mut reader = BufReader::new(file);
    let (mut kept, mut line) = (0, Vec::new());
    loop {
        line.clear();
        let read = reader.by_ref().take(MOST_BYTES).read_until(b'\n', &mut line).map_err(io(path))?;
        let whole = line.ends_with(b"\n") && serde_json::from_slice::<Line>(&line).is_ok_and(|line| line.step <= step);
        if !whole {
            break;
        }
        kept += read as u64;
    }
    if kept < length {
        OpenOptions::new().write(true).open(path).and_then(|file| file.set_len(kept)).map_err(io(path))?;
    }
    Ok(())
}

/// The last line of a log that is a `T`.
pub fn last<T: DeserializeOwned>(path: &Path) -> Option<T> {
    let mut file: File = scene::file::open_regular(path).ok()?;
    let length = file.metadata().ok()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(MOST_BYTES))).ok()?;
    let mut end = Vec::new();
    file.take(MOST_BYTES).read_to_end(&mut end).ok()?;
    end.split(|byte| *byte == b'\n').rev().find_map(|line| serde_json::from_slice(line).ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn a_log_goes_back_to_a_step() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log.jsonl");
        rewind(&path, 3).unwrap();
        for step in 1..=4 {
            append(&path, &json!({"step": step, "psnr": 20.5})).unwrap();
        }
        let whole = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, format!("{whole}{{\"step\": 5, \"ps")).unwrap();
        assert_eq!(last::<Value>(&path).unwrap()["step"], 4);
        rewind(&path, 9).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), whole);
        rewind(&path, 2).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap().lines().count(), 2);
        assert_eq!(last::<Value>(&path).unwrap()["step"], 2);
        rewind(&path, 0).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().len(), 0);
        assert!(last::<Value>(&path).is_none());
    }

    #[cfg(unix)]
    #[test]
    fn a_link_is_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let (target, link) = (dir.path().join("mine"), dir.path().join("log.jsonl"));
        std::fs::write(&target, "text").unwrap();
        std::os::unix::fs::symlink(&target, &link).unwrap();
        for result in [append(&link, &json!({"step": 1})), rewind(&link, 0)] {
            assert!(result.unwrap_err().to_string().contains("symbolic link"));
        }
        assert_eq!(std::fs::read_to_string(&target).unwrap(), "text");
    }
}
