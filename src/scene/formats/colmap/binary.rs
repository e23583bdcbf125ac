//! COLMAP's binary files, read as a stream: little-endian numbers, lists behind their lengths, and names that end in zero.

use super::cameras::{MODELS, ModelCamera};
use super::{ModelImage, ModelPoint};
use crate::file::open_regular;
use crate::{Error, Result};
use glam::DVec3;
use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

/// Longest name of an image.
const LONGEST_NAME: usize = 4096;

/// A file that knows how much is left of it, so that no length is believed that it cannot hold.
struct Source {
    path: PathBuf,
    from: BufReader<File>,
    left: u64,
}

impl Source {
    fn open(path: &Path) -> Result<Self> {
        let file = open_regular(path)?;
        let left = file.metadata().map_err(|source| Error::Io { path: path.to_owned(), source })?.len();
        Ok(Self { path: path.to_owned(), from: BufReader::with_capacity(1 << 16, file), left })
    }

    fn bad(&self, problem: String) -> Error {
        Error::Format { path: self.path.clone(), problem }
    }

    fn bytes<const N: usize>(&mut self, what: &str) -> Result<[u8; N]> {
        let mut bytes = [0; N];
        if self.left < N as u64 {
            return Err(self.bad(format!("expected {what}, found the end of the file")));
        }
        self.from.read_exact(&mut bytes).map_err(|source| Error::Io { path: self.path.clone(), source })?;
        self.left -= N as u64;
        Ok(bytes)
    }

    fn u64(&mut self, what: &str) -> Result<u64> {
        Ok(u64::from_le_bytes(self.bytes(what)?))
    }

    fn u32(&mut self, what: &str) -> Result<u32> {
        Ok(u32::from_le_bytes(self.bytes(what)?))
    }

    fn numbers<const N: usize>(&mut self, what: &str) -> Result<[f64; N]> {
        let mut numbers = [0.0; N];
        for number in &mut numbers {
            *number = f64::from_le_bytes(self.bytes(what)?);
        }
        Ok(numbers)
    }

    /// The length of a list whose items take at least `item` bytes each.
    fn length(&mut self, what: &str, item: u64) -> Result<usize> {
        let count = self.u64(&format!("the number of {what}"))?;
        if count > self.left / item {
            let left = self.left;
            return Err(self.bad(format!("expected {count} {what}, found room for {} ({left} bytes)", left / item)));
        }
        Ok(count as usize)
    }

    fn skip(&mut self, bytes: u64) -> Result<()> {
        let skipped = std::io::copy(&mut self.from.by_ref().take(bytes), &mut std::io::sink())
            .map_err(|source| Error::Io { path: self.path.clone(), source })?;
        self.left = self.left.saturating_sub(skipped);
        Ok(())
    }

    fn name(&mut self, what: &str) -> Result<String> {
        let mut name = Vec::new();
        let most = self.left.min(LONGEST_NAME as u64 + 1);
        let read = self.from.by_ref().take(most).read_until(0, &mut name);
        read.map_err(|source| Error::Io { path: self.path.clone(), source })?;
        self.left -= name.len() as u64;
        if name.pop() != Some(0) || name.is_empty() {
            return Err(self.bad(format!("expected {what} of 1 to {LONGEST_NAME} bytes that ends in zero, found none")));
        }
        String::from_utf8(name).map_err(|e| {
            let shown = String::from_utf8_lossy(e.as_bytes()).into_owned();
            self.bad(format!("expected {what} in UTF-8, found {shown:?}"))
        })
    }

    /// Whatever follows the last list is not of this format.
    fn end(&self) -> Result<()> {
        match self.left {
            0 => Ok(()),
            left => Err(self.bad(format!("expected the end of the file, found {left} more bytes"))),
        }
    }
}

/// `cameras.bin`, by identifier.
pub(super) fn cameras(path: &Path) -> Result<HashMap<u32, ModelCamera>> {
    let mut source = Source::open(path)?;
    // Identifier, model, width, height and two parameters.
    let count = source.length("cameras", 40)?;
    let mut cameras = HashMap::with_capacity(count);
    for i in 0..count {
        let id = source.u32("the identifier of a camera")?;
        let model = source.u32("the model of a camera")?;
        let size = [source.u64("the width of a camera")?, source.u64("the height of a camera")?];
        let Some((name, params)) = MODELS.get(model as usize) else {
            let (known, (last, _)) = (MODELS.len() - 1, MODELS[MODELS.len() - 1]);
            let model = model.cast_signed();
            return Err(source.bad(format!(
                "camera {id} (number {i}): expected a model of number 0 (SIMPLE_PINHOLE) to {known} ({last}), found {model}"
            )));
        };
        let params = (0..*params)
            .map(|_| source.numbers::<1>(&format!("a parameter of camera {id} ({name})")).map(|[p]| p))
            .collect::<Result<_>>()?;
        if cameras.insert(id, ModelCamera { model: model as usize, size, params }).is_some() {
            return Err(source.bad(format!("camera {id}: expected it once, found it twice")));
        }
    }
    source.end()?;
    Ok(cameras)
}

/// The number of images in `images.bin`, by its first bytes.
pub(super) fn count_images(path: &Path) -> Result<usize> {
    Source::open(path)?.length("images", 74)
}

/// `images.bin`, without the points in the pictures.
pub(super) fn images(path: &Path) -> Result<Vec<ModelImage>> {
    let mut source = Source::open(path)?;
    // Identifier, quaternion, translation, camera, a name of one letter, and the number of its points.
    let count = source.length("images", 74)?;
    let mut images = Vec::with_capacity(count);
    for i in 0..count {
        let id = source.u32("the identifier of an image")?;
        let rotation = source.numbers("the rotation of an image")?;
        let translation = source.numbers("the translation of an image")?;
        let camera = source.u32("the camera of an image")?;
        let name = source.name(&format!("the name of image {id} (number {i})"))?;
        let points = source.length("points in an image", 24)?;
        source.skip(24 * points as u64)?;
        images.push(ModelImage { id, camera, name, rotation, translation });
    }
    source.end()?;
    Ok(images)
}

/// Shows `each` the points of `points3D.bin`.
pub(super) fn points(path: &Path, each: &mut dyn FnMut(ModelPoint)) -> Result<()> {
    let mut source = Source::open(path)?;
    let count = source.length("points", 51)?;
    let mut seen_by = Vec::new();
    for _ in 0..count {
        source.u64("the identifier of a point")?;
        let place = DVec3::from_array(source.numbers("the place of a point")?);
        source.bytes::<3>("the colour of a point")?;
        let [error] = source.numbers("the error of a point")?;
        let length = source.length("views of a point", 8)?;
        seen_by.clear();
        for _ in 0..length {
            seen_by.push(source.u32("an image of a point")?);
            source.u32("an image of a point")?;
        }
        each(ModelPoint { place, error, seen_by: &seen_by });
    }
    source.end()
}
