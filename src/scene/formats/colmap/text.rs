//! COLMAP's text files: lines of words, with comments behind `#`.

use super::cameras::{MODELS, ModelCamera};
use super::{ModelImage, ModelPoint};
use crate::file::open_regular;
use crate::{Error, Result};
use glam::DVec3;
use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::str::{FromStr, SplitAsciiWhitespace};

/// Longest line that is read: some 200 000 points of one image.
const LONGEST_LINE: u64 = 1 << 24;

/// The lines of a file, with their numbers.
struct Lines {
    path: PathBuf,
    from: BufReader<File>,
    number: usize,
    line: String,
}

impl Lines {
    fn open(path: &Path) -> Result<Self> {
        let from = BufReader::with_capacity(1 << 16, open_regular(path)?);
        Ok(Self { path: path.to_owned(), from, number: 0, line: String::new() })
    }

    fn bad(&self, problem: impl std::fmt::Display) -> Error {
        Error::Format { path: self.path.clone(), problem: format!("line {}: {problem}", self.number) }
    }

    /// The next line without its end, or none at the end of the file.
    fn next(&mut self) -> Result<bool> {
        let mut bytes = std::mem::take(&mut self.line).into_bytes();
        bytes.clear();
        self.number += 1;
        let read = self.from.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut bytes);
        let read = read.map_err(|source| Error::Io { path: self.path.clone(), source })?;
        if read as u64 == LONGEST_LINE {
            return Err(self.bad(format!("expected a line of at most {LONGEST_LINE} bytes, found a longer one")));
        }
        self.line = String::from_utf8(bytes).map_err(|_| self.bad("expected text in UTF-8, found other bytes"))?;
        self.line.truncate(self.line.trim_end_matches(['\n', '\r']).len());
        Ok(read > 0)
    }

    /// The next line that is no comment and not empty.
    fn next_item(&mut self) -> Result<bool> {
        loop {
            if !self.next()? {
                return Ok(false);
            }
            let text = self.line.trim_start();
            if !text.is_empty() && !text.starts_with('#') {
                return Ok(true);
            }
        }
    }
}

/// The next word of a line as a number.
fn word<T: FromStr>(words: &mut SplitAsciiWhitespace, what: &str) -> Result<T, String> {
    let Some(word) = words.next() else { return Err(format!("expected {what}, found the end of the line")) };
    let shown = || word.chars().take(40).collect::<String>();
    word.parse().map_err(|_| format!("expected {what}, found {:?}", shown()))
}

fn words<const N: usize>(from: &mut SplitAsciiWhitespace, what: &str) -> Result<[f64; N], String> {
    let mut numbers = [0.0; N];
    for number in &mut numbers {
        *number = word(from, what)?;
    }
    Ok(numbers)
}

/// `cameras.txt`, by identifier.
pub(super) fn cameras(path: &Path) -> Result<HashMap<u32, ModelCamera>> {
    let mut lines = Lines::open(path)?;
    let mut cameras = HashMap::new();
    while lines.next_item()? {
        let (id, camera) = camera(&lines.line).map_err(|problem| lines.bad(problem))?;
        if cameras.insert(id, camera).is_some() {
            return Err(lines.bad(format!("camera {id}: expected it once, found it twice")));
        }
    }
    Ok(cameras)
}

fn camera(line: &str) -> Result<(u32, ModelCamera), String> {
    let mut from = line.split_ascii_whitespace();
    let id = word(&mut from, "the number of a camera")?;
    let name: String = word(&mut from, "the model of a camera")?;
    let Some(model) = MODELS.iter().position(|(known, _)| *known == name) else {
        let known: Vec<&str> = MODELS.iter().map(|(known, _)| *known).collect();
        let name: String = name.chars().take(40).collect();
        return Err(format!("camera {id}: expected a model of {}, found {name:?}", known.join(", ")));
    };
    let size = [word(&mut from, "the width of a camera")?, word(&mut from, "the height of a camera")?];
    let params: Vec<f64> =
        from.map(|p| p.parse().map_err(|_| format!("expected a parameter, found {p:?}"))).collect::<Result<_, _>>()?;
    let count = MODELS[model].1;
    if params.len() != count {
        return Err(format!("camera {id}: expected {count} parameters of {name}, found {}", params.len()));
    }
    Ok((id, ModelCamera { model, size, params }))
}

/// The number of images in `images.txt`.
pub(super) fn count_images(path: &Path) -> Result<usize> {
    let mut lines = Lines::open(path)?;
    let mut count = 0;
    while lines.next_item()? {
        count += 1;
        // The line of its points may be empty.
        lines.next()?;
    }
    Ok(count)
}

/// `images.txt`, without the points in the pictures. Each image has two lines, the second of which may be empty.
pub(super) fn images(path: &Path) -> Result<Vec<ModelImage>> {
    let mut lines = Lines::open(path)?;
    let mut images = Vec::new();
    while lines.next_item()? {
        images.push(image(&lines.line).map_err(|problem| lines.bad(problem))?);
        if lines.next()? && lines.line.split_ascii_whitespace().any(|word| word.parse::<f64>().is_err()) {
            return Err(lines.bad("expected the points of the image above (or an empty line), found other words"));
        }
    }
    Ok(images)
}

fn image(line: &str) -> Result<ModelImage, String> {
    let mut from = line.split_ascii_whitespace();
    let id = word(&mut from, "the number of an image")?;
    let rotation = words(&mut from, "the rotation of an image")?;
    let translation = words(&mut from, "the translation of an image")?;
    let camera = word(&mut from, "the camera of an image")?;
    // The name is the rest of the line, with whatever spaces it has.
    let mut name = line.trim_start();
    for _ in 0..9 {
        name = name.split_once(|c: char| c.is_ascii_whitespace()).map_or("", |(_, rest)| rest.trim_start());
    }
    let name = name.trim_end().to_owned();
    if name.is_empty() {
        return Err(format!("expected the name of image {id}, found the end of the line"));
    }
    Ok(ModelImage { id, camera, name, rotation, translation })
}

/// Shows `each` the points of `points3D.txt`.
pub(super) fn points(path: &Path, each: &mut dyn FnMut(ModelPoint)) -> Result<()> {
    let mut lines = Lines::open(path)?;
    let mut seen_by = Vec::new();
    while lines.next_item()? {
        seen_by.clear();
        let mut read = || -> Result<_, String> {
            let mut from = lines.line.split_ascii_whitespace();
            let _: u64 = word(&mut from, "the number of a point")?;
            let place = DVec3::from_array(words(&mut from, "the place of a point")?);
            words::<3>(&mut from, "the colour of a point")?;
            let [error] = words(&mut from, "the error of a point")?;
            while from.clone().next().is_some() {
                seen_by.push(word(&mut from, "an image of a point")?);
                let _: u32 = word(&mut from, "an image of a point")?;
            }
            Ok((place, error))
        };
        let (place, error) = read().map_err(|problem| lines.bad(problem))?;
        each(ModelPoint { place, error, seen_by: &seen_by });
    }
    Ok(())
}
