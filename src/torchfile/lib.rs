//! Reads the weights in PyTorch files without executing anything: the zip containers of PyTorch 1.6 and later, and the
//! files of earlier versions.
//!
//! The pickle in a file is parsed for its structure. Tensors are taken by name; what nobody asks for, such as the state of
//! an optimizer, is never read from the file. Memory is bounded by some twenty times the pickle, which has at most 16 MiB,
//! and four times the file. Each way in which a file can be damaged or hostile ends in one [`Error`].

mod bytes;
mod container;
mod error;
mod legacy;
mod pickle;
mod rebuild;
mod select;
mod tensor;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
mod value;

pub use error::{Error, Result};
pub use select::{Item, Selection};
pub use value::short;

use container::Container;
use legacy::Legacy;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek};
use std::path::Path;
use tensor::{Storage, StridedView};

/// Largest file that is read, in bytes; torchvision's VGG-16 with its classifier has 553 MB.
pub const MAX_FILE_BYTES: u64 = 2 << 30;

/// Most dimensions of a tensor; a convolution weight has four.
const MAX_RANK: usize = 8;

/// Most bytes of pickle in a file; a checkpoint of 64 blocks with its optimizer state has about 100 kB.
const MAX_PICKLE_BYTES: u64 = 16 << 20;

/// One named array of weights.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    /// Shape, outermost dimension first.
    pub shape: Vec<usize>,
    /// Values, row-major.
    pub data: Vec<f32>,
}

/// The tensors of a state dict whose names `wanted` accepts; all weights become f32.
///
/// Nested dicts are followed where their keys are text, and names are joined with a dot. What lies under other keys, such
/// as the moments that an optimizer numbers, tensors of integers, such as counters, and everything that is no tensor is
/// left out. If nothing is accepted, the map is empty.
///
/// # Errors
/// [`Error::Io`], or [`Error::File`] with what is damaged, of unknown form or there twice.
pub fn read(path: &Path, wanted: impl Fn(&str) -> bool) -> Result<BTreeMap<String, Tensor>> {
    read_selected(path, |root| select::walk(root, &wanted))
}

/// The tensors that `select` takes from what was saved; all weights become f32.
///
/// # Errors
/// [`Error::Io`], or [`Error::File`] with what is damaged, of unknown form or what `select` had to say.
pub fn read_selected(
    path: &Path,
    select: impl FnOnce(Item) -> std::result::Result<Selection, String>,
) -> Result<BTreeMap<String, Tensor>> {
    let (file, len) = open(path)?;
    read_from(file, len, select).map_err(|problem| Error::File { path: path.to_path_buf(), problem })
}

/// Opens a regular file and tells its length; a folder or a pipe has no length to bound allocations with.
fn open(path: &Path) -> Result<(File, u64)> {
    let io = |source| Error::Io { path: path.to_path_buf(), source };
    let refuse = |problem| Err(Error::File { path: path.to_path_buf(), problem });
    // Asked before opening: opening a pipe would wait for a writer.
    let meta = std::fs::metadata(path).map_err(io)?;
    if !meta.is_file() {
        return refuse("expected a file, found a folder or device".into());
    }
    if meta.len() > MAX_FILE_BYTES {
        return refuse(format!("expected at most {MAX_FILE_BYTES} bytes, found {}", meta.len()));
    }
    Ok((File::open(path).map_err(io)?, meta.len()))
}

/// Where the values of storages are.
enum Values<R> {
    Container(Container<R>),
    Legacy(Legacy<R>),
}

impl<R: Read + Seek> Values<R> {
    /// What messages call the place of a storage.
    fn place(&self, storage: &Storage) -> String {
        match self {
            Self::Container(_) => format!("data/{}", storage.key),
            Self::Legacy(_) => format!("storage {}", storage.key),
        }
    }

    /// All bytes of a storage, at most `limit`.
    fn read(&mut self, storage: &Storage, limit: u64) -> std::result::Result<Vec<u8>, String> {
        match self {
            Self::Container(container) => container.read(&format!("data/{}", storage.key), limit),
            Self::Legacy(legacy) => legacy.read(&storage.key),
        }
    }
}

/// The selected tensors of a file of `len` bytes.
fn read_from<R: Read + Seek>(
    mut reader: R,
    len: u64,
    select: impl FnOnce(Item) -> std::result::Result<Selection, String>,
) -> std::result::Result<BTreeMap<String, Tensor>, String> {
    let mut magic = Vec::new();
    reader.by_ref().take(legacy::MAGIC.len() as u64).read_to_end(&mut magic).map_err(|e| e.to_string())?;
    let (arena, root, mut storages) = if magic.starts_with(b"PK\x03\x04") {
        let mut container = Container::open(reader, len)?;
        if container.contains("byteorder") {
            let order = container.read("byteorder", 16)?;
            if order != b"little" {
                return Err(format!("byteorder: expected little, found {:?}", String::from_utf8_lossy(&order)));
            }
        }
        let pickle = container.read("data.pkl", MAX_PICKLE_BYTES)?;
        let (arena, root, _) = pickle::parse(&pickle).map_err(|problem| format!("data.pkl, {problem}"))?;
        (arena, root, Values::Container(container))
    } else if magic == legacy::MAGIC {
        let (arena, root, legacy) = Legacy::open(reader, len)?;
        (arena, root, Values::Legacy(legacy))
    } else {
        magic.truncate(4);
        return Err(format!(
            "expected a PyTorch checkpoint (a zip container, or the older format with its magic number), found the bytes \
             {magic:02x?}"
        ));
    };
    let views = select(Item::new(&arena, root))?.into_views();
    drop(arena);

    // Two bytes are the smallest weight. Views may share a storage, even repeat one element, so this needs a bound; it
    // leaves room for weights that are listed twice.
    let values = views.values().try_fold(0u64, |sum, view| sum.checked_add(view.len() as u64));
    if values.is_none_or(|values| values > len) {
        let found = values.map_or_else(|| "more than can be counted".to_owned(), |values| values.to_string());
        return Err(format!("expected fewer weights than the file's {len} bytes can hold, found {found}"));
    }
    let mut by_storage: BTreeMap<&str, Vec<(&String, &StridedView)>> = BTreeMap::new();
    for (name, view) in &views {
        by_storage.entry(&view.storage.key).or_default().push((name, view));
    }
    let mut tensors = BTreeMap::new();
    for views in by_storage.into_values() {
        let storage = &views[0].1.storage;
        let place = storages.place(storage);
        let bytes = storages.read(storage, len)?;
        for (name, view) in views {
            let data = view.gather(&bytes).map_err(|e| format!("{name:?} in {place:?}: {e}"))?;
            tensors.insert(name.clone(), Tensor { shape: view.shape.clone(), data });
        }
    }
    Ok(tensors)
}

#[cfg(test)]
#[path = "lib_tests.rs"]
mod tests;
