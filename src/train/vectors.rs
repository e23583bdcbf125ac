//! Files of named vectors of f32 with a header of JSON: what a run needs to go on.

use crate::{Error, Result};
use safetensors::tensor::{Dtype, SafeTensors, TensorView, serialize};
use serde::Deserialize;
use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Longest header that is read; one of 64 blocks has some thousand bytes.
const MAX_HEADER_BYTES: u64 = 1 << 20;

/// Writes `vectors` with `header` under `key` in the metadata, whole or not at all.
///
/// # Errors
/// [`Error::Io`] or [`Error::Scene`] naming the file.
pub(crate) fn write(path: &Path, key: &str, header: String, vectors: &[(&str, &[f32])]) -> Result<()> {
    let data: Vec<(&str, Vec<u8>)> =
        vectors.iter().map(|(name, v)| (*name, v.iter().flat_map(|x| x.to_le_bytes()).collect())).collect();
    let tensors = data.iter().map(|(name, bytes)| {
        let view = TensorView::new(Dtype::F32, vec![bytes.len() / 4], bytes).expect("the length is that of the data");
        (name, view)
    });
    let metadata = HashMap::from([(key.to_owned(), header)]);
    let bytes = serialize(tensors, Some(metadata)).expect("plain vectors");
    scene::file::replace(path, |out| {
        out.write_all(&bytes).map_err(|source| Error::Io { path: path.to_owned(), source })
    })
}

/// A file whose header has been read, and nothing else.
#[derive(Debug)]
pub(crate) struct Opened {
    path: PathBuf,
    file: File,
    length: u64,
    bytes: Vec<u8>,
    /// The JSON that was given to [`write`].
    pub header: String,
}

/// What is read of a header before its tensors.
#[derive(Deserialize)]
struct Outer {
    #[serde(rename = "__metadata__", default)]
    metadata: HashMap<String, String>,
}

impl Opened {
    /// Opens `path`, which holds a header under `key`.
    ///
    /// # Errors
    /// If the file is missing or no such file.
    pub fn new(path: &Path, key: &str) -> Result<Self> {
        let bad = |problem: String| Error::Run(format!("{}: {problem}", path.display()));
        let io = |source| Error::Io { path: path.to_owned(), source };
        let mut file = scene::file::open_regular(path)?;
        let length = file.metadata().map_err(io)?.len();
        let mut bytes = Vec::new();
        file.by_ref().take(8).read_to_end(&mut bytes).map_err(io)?;
        let claimed = bytes.first_chunk().map_or(u64::MAX, |bytes| u64::from_le_bytes(*bytes));
        if claimed > MAX_HEADER_BYTES.min(length.saturating_sub(8)) {
            return Err(bad(format!("expected a training state, found {length} bytes that are none")));
        }
        file.by_ref().take(claimed).read_to_end(&mut bytes).map_err(io)?;
        let outer: Outer = serde_json::from_slice(bytes.get(8..).unwrap_or_default())
            .map_err(|e| bad(format!("expected a training state, found a header that is none: {e}")))?;
        let header = outer.metadata.get(key).cloned();
        let header = header.ok_or_else(|| bad(format!("expected a {key:?} entry in its metadata, found none")))?;
        Ok(Self { path: path.to_owned(), file, length, bytes, header })
    }

    /// Reads the vectors with the names and lengths of `expected`, in that order.
    ///
    /// # Errors
    /// If the file is longer than those, one is missing or of another length, or holds what is not finite.
    pub fn vectors(self, expected: &[(&str, usize)]) -> Result<Vec<Vec<f32>>> {
        let Self { path, file, length, mut bytes, .. } = self;
        let bad = |problem: String| Error::Run(format!("{}: {problem}", path.display()));
        // What follows the header is no longer than the network says; what is missing is named below.
        let values = 4 * expected.iter().map(|(_, len)| *len as u64).sum::<u64>();
        let most = bytes.len() as u64 + values;
        if length > most {
            return Err(bad(format!("expected at most {most} bytes for its network, found {length}")));
        }
        file.take(values).read_to_end(&mut bytes).map_err(|source| Error::Io { path: path.clone(), source })?;
        let tensors = SafeTensors::deserialize(&bytes).map_err(|e| bad(e.to_string()))?;
        let vector = |(name, len): &(&str, usize)| -> Result<Vec<f32>> {
            let view = tensors.tensor(name).map_err(|e| bad(e.to_string()))?;
            if view.dtype() != Dtype::F32 || view.shape() != [*len] {
                return Err(bad(format!("{name}: expected {len} values, found {:?} {:?}", view.dtype(), view.shape())));
            }
            let values: Vec<f32> =
                view.data().chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
            match values.iter().position(|v| !v.is_finite()) {
                Some(at) => Err(bad(format!("{name}: expected numbers, found {} at {at}", values[at]))),
                None => Ok(values),
            }
        };
        expected.iter().map(vector).collect()
    }
}
