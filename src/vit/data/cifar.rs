//! CIFAR-10's binary batches: records of a label and 32 by 32 pixels, all red ones, then green, then blue.

use super::{Bytes, Found};
use crate::{Error, Result};
use std::io::{BufReader, Read};
use std::path::Path;

/// Height and width of a picture.
pub(super) const SIDE: usize = 32;
/// Bytes of a record.
const RECORD: usize = 1 + SIDE * SIDE * 3;
/// The classes, where no `batches.meta.txt` names them.
const CLASSES: [&str; 10] = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"];

/// Whether a folder holds training batches.
pub(super) fn is_folder(path: &Path) -> bool {
    path.join("data_batch_1.bin").is_file()
}

/// Whether a file is a batch: its name ends so, and its length is that of whole records.
pub(super) fn is_batch(path: &Path) -> Result<bool> {
    let io = |source| Error::Io { path: path.to_owned(), source };
    let length = std::fs::metadata(path).map_err(io)?.len();
    Ok(path.extension().is_some_and(|e| e == "bin") && length > 0 && length.is_multiple_of(RECORD as u64))
}

/// Hands out the pictures of all training batches; returns the classes.
pub(super) fn read_folder(path: &Path, found: &mut dyn FnMut(Found) -> Result<()>) -> Result<Vec<String>> {
    for batch in (1..).map(|i| path.join(format!("data_batch_{i}.bin"))).take_while(|batch| batch.is_file()) {
        read_file(&batch, found)?;
    }
    Ok(classes(path))
}

/// Hands out the pictures of one batch; returns the classes.
pub(super) fn read_file(path: &Path, found: &mut dyn FnMut(Found) -> Result<()>) -> Result<Vec<String>> {
    let io = |source| Error::Io { path: path.to_owned(), source };
    let classes = classes(path.parent().unwrap_or(Path::new("")));
    let file = scene::file::open_regular(path)?;
    let length = file.metadata().map_err(io)?.len();
    let mut file = BufReader::new(file);
    let mut record = [0; RECORD];
    for i in 0..length / RECORD as u64 {
        file.read_exact(&mut record).map_err(io)?;
        let class = classes.get(usize::from(record[0])).ok_or_else(|| {
            let problem = format!("record {i}: expected a class below {}, found {}", classes.len(), record[0]);
            Error::File { path: path.to_owned(), problem }
        })?;
        let pixels = (0..SIDE * SIDE * 3).map(|p| record[1 + p % 3 * SIDE * SIDE + p / 3]).collect();
        let name = format!("{}/{i:05}", path.display());
        found(Found { class: class.clone(), name, bytes: Bytes::Cifar(pixels) })?;
    }
    Ok(classes)
}

fn classes(folder: &Path) -> Vec<String> {
    let text = scene::file::read_text(&folder.join("batches.meta.txt"), 1 << 16).unwrap_or_default();
    let named: Vec<String> = text.lines().map(str::trim).filter(|l| !l.is_empty()).map(str::to_owned).collect();
    if named.is_empty() { CLASSES.map(str::to_owned).into() } else { named }
}
