//! Our model file: safetensors, with the config as JSON in the metadata.
//!
//! The header is checked here rather than by the safetensors crate, so that each error names its tensor and offsets near
//! the integer limit cannot overflow; the file is exactly what that crate reads and writes.

use super::{Checkpoint, MAX_RANK, Precision, Tensor, infer, open_regular, problem_in};
use crate::{Config, Error, Result};
use half::{bf16, f16};
use safetensors::tensor::{Dtype, TensorInfo};
use serde::de::{Deserializer, Error as _, MapAccess, Visitor};
use serde::{Deserialize, Serialize, Serializer, ser::SerializeMap};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fs::File;
use std::io::{BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// Largest header in bytes; the deepest network that a config allows needs a tenth of it.
const MAX_HEADER_BYTES: u64 = 4 << 20;
const FORMAT: &str = "shiftray";
/// Version of the meaning of names and config; raised when an older program would misread a file.
const VERSION: u32 = 1;

/// The JSON at the start of a safetensors file.
#[derive(Default)]
struct Header {
    metadata: BTreeMap<String, String>,
    tensors: BTreeMap<String, TensorInfo>,
}

impl<'de> Deserialize<'de> for Header {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Header;

            fn expecting(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
                f.write_str("an object of tensors")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<Header, A::Error> {
                let mut header = Header::default();
                while let Some(name) = map.next_key::<String>()? {
                    let in_tensor = |e| A::Error::custom(format!("{name:?}: {e}"));
                    if name == "__metadata__" {
                        header.metadata = map.next_value().map_err(in_tensor)?;
                        continue;
                    }
                    let info = map.next_value().map_err(in_tensor)?;
                    match header.tensors.entry(name) {
                        Entry::Vacant(place) => drop(place.insert(info)),
                        Entry::Occupied(place) => {
                            return Err(A::Error::custom(format!("{:?} is there twice", place.key())));
                        }
                    }
                }
                Ok(header)
            }
        }
        deserializer.deserialize_map(Reader)
    }
}

impl Serialize for Header {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("__metadata__", &self.metadata)?;
        for (name, info) in &self.tensors {
            map.serialize_entry(name, info)?;
        }
        map.end()
    }
}

/// See [`Checkpoint::read`].
pub(super) fn read(path: &Path) -> Result<Checkpoint> {
    let (file, len) = open_regular(path)?;
    let mut bytes = Vec::with_capacity(len as usize);
    // Limited: another process may be appending.
    file.take(len).read_to_end(&mut bytes).map_err(|source| Error::Io { path: path.to_path_buf(), source })?;
    decode(path, &bytes)
}

/// See [`Checkpoint::from_bytes`].
pub(super) fn decode(path: &Path, bytes: &[u8]) -> Result<Checkpoint> {
    decode_parts(bytes)
        .and_then(|(tensors, metadata)| {
            let (config, metadata) = take_config(&tensors, metadata)?;
            Ok(Checkpoint { config, tensors, metadata, origin: path.to_path_buf() })
        })
        .map_err(|problem| problem_in(path, problem))
}

type Parts = (BTreeMap<String, Tensor>, BTreeMap<String, String>);

fn decode_parts(bytes: &[u8]) -> std::result::Result<Parts, String> {
    let Some((len, rest)) = bytes.split_first_chunk::<8>() else {
        return Err(format!("expected a safetensors file, found {} bytes", bytes.len()));
    };
    if bytes.starts_with(b"PK\x03\x04") {
        return Err("expected a safetensors file, found a zip; use `shiftray import` for PyTorch checkpoints".into());
    }
    let len = u64::from_le_bytes(*len);
    if len > MAX_HEADER_BYTES || len > rest.len() as u64 {
        let most = MAX_HEADER_BYTES.min(rest.len() as u64);
        return Err(format!("safetensors header: expected at most {most} bytes, found a claim of {len}"));
    }
    let (header, data) = rest.split_at(len as usize);
    let header: Header = serde_json::from_slice(header).map_err(|e| format!("safetensors header: {e}"))?;

    let mut in_order: Vec<_> = header.tensors.iter().collect();
    in_order.sort_by_key(|(_, info)| info.data_offsets);
    let mut tensors = BTreeMap::new();
    let mut next = 0;
    for (name, info) in in_order {
        let (start, end) = info.data_offsets;
        // Tensors lie end to end: that excludes overlap and hidden bytes, and bounds the memory by the file.
        if start != next {
            return Err(format!("{name:?}: expected its data at byte {next}, found {start}"));
        }
        let bytes = data
            .get(start..end)
            .ok_or_else(|| format!("{name:?}: expected data within {} bytes, found {start} to {end}", data.len()))?;
        next = end;
        tensors.insert(name.clone(), decode_tensor(name, info, bytes)?);
    }
    if next != data.len() {
        return Err(format!("expected {next} bytes of tensor data, found {}", data.len()));
    }
    Ok((tensors, header.metadata))
}

fn decode_tensor(name: &str, info: &TensorInfo, bytes: &[u8]) -> std::result::Result<Tensor, String> {
    let shape = &info.shape;
    if shape.len() > MAX_RANK {
        return Err(format!("{name:?}: expected at most {MAX_RANK} dimensions, found {}", shape.len()));
    }
    let width: usize = match info.dtype {
        Dtype::F32 => 4,
        Dtype::F16 | Dtype::BF16 => 2,
        other => return Err(format!("{name:?}: expected F32, F16 or BF16, found {other:?}")),
    };
    let expected = shape.iter().try_fold(width, |product, &n| product.checked_mul(n));
    if expected != Some(bytes.len()) {
        let expected = expected.map_or("more than any memory".into(), |n| n.to_string());
        return Err(format!("{name:?}: expected {expected} bytes for {shape:?}, found {}", bytes.len()));
    }
    let pairs = || bytes.chunks_exact(2).map(|b| [b[0], b[1]]);
    let data = match info.dtype {
        Dtype::F32 => bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect(),
        Dtype::F16 => pairs().map(|b| f16::from_le_bytes(b).to_f32()).collect(),
        _ => pairs().map(|b| bf16::from_le_bytes(b).to_f32()).collect(),
    };
    Ok(Tensor { shape: shape.clone(), data })
}

/// Config and remaining metadata; files without a config speak through their official names.
fn take_config(
    tensors: &BTreeMap<String, Tensor>,
    mut metadata: BTreeMap<String, String>,
) -> std::result::Result<(Config, BTreeMap<String, String>), String> {
    let format = metadata.remove("format");
    let version = metadata.remove("version");
    if format.as_deref() == Some(FORMAT) {
        let found = version.unwrap_or_default();
        if !found.parse::<u32>().is_ok_and(|v| (1..=VERSION).contains(&v)) {
            return Err(format!("expected format version 1 to {VERSION}, found {found:?}"));
        }
    }
    let config = match metadata.remove("config") {
        Some(text) => serde_json::from_str(&text).map_err(|e| format!("config in the metadata: {e}"))?,
        None => infer::config(tensors).map_err(|e| format!("no config in the metadata, and from the names: {e}"))?,
    };
    config.validate().map_err(|e| e.to_string())?;
    Ok((config, metadata))
}

/// See [`Checkpoint::write`].
pub(super) fn write(checkpoint: &Checkpoint, path: &Path, precision: Precision) -> Result<()> {
    let encoded = encode_header(checkpoint, precision).map_err(|problem| problem_in(path, problem))?;
    let temporary = Temporary::beside(path);
    let io = |source| Error::Io { path: path.to_path_buf(), source };
    let file = File::create_new(&temporary.0).map_err(io)?;
    let mut out = BufWriter::with_capacity(1 << 18, &file);
    out.write_all(&encoded).map_err(io)?;
    for (name, tensor) in &checkpoint.tensors {
        for (i, &value) in tensor.data.iter().enumerate() {
            match precision {
                Precision::F32 => out.write_all(&value.to_le_bytes()).map_err(io)?,
                Precision::F16 => {
                    let half = f16::from_f32(value);
                    if half.is_infinite() && value.is_finite() {
                        let problem = format!("{name:?}: expected weights up to 65504 for f16, found {value} at {i}");
                        return Err(problem_in(path, problem));
                    }
                    out.write_all(&half.to_le_bytes()).map_err(io)?;
                }
            }
        }
    }
    out.flush().map_err(io)?;
    drop(out);
    // On disk before the rename, or a crash could leave an empty file under the final name.
    file.sync_all().map_err(io)?;
    std::fs::rename(&temporary.0, path).map_err(io)
}

fn encode_header(checkpoint: &Checkpoint, precision: Precision) -> std::result::Result<Vec<u8>, String> {
    let (dtype, width) = match precision {
        Precision::F32 => (Dtype::F32, 4),
        Precision::F16 => (Dtype::F16, 2),
    };
    let mut header = Header { metadata: checkpoint.metadata.clone(), ..Header::default() };
    let config = serde_json::to_string(&checkpoint.config).map_err(|e| format!("config: {e}"))?;
    header.metadata.insert("config".into(), config);
    header.metadata.insert("format".into(), FORMAT.into());
    header.metadata.insert("version".into(), VERSION.to_string());
    let mut next = 0;
    for (name, tensor) in &checkpoint.tensors {
        let len = tensor.shape.iter().product::<usize>();
        assert_eq!(len, tensor.data.len(), "{name}: shape and number of values differ");
        let info = TensorInfo { dtype, shape: tensor.shape.clone(), data_offsets: (next, next + len * width) };
        next = info.data_offsets.1;
        header.tensors.insert(name.clone(), info);
    }
    let mut json = serde_json::to_vec(&header).map_err(|e| format!("safetensors header: {e}"))?;
    // The format asks for data that starts at a multiple of eight.
    json.resize(json.len().next_multiple_of(8), b' ');
    if json.len() as u64 > MAX_HEADER_BYTES {
        return Err(format!("expected a header of at most {MAX_HEADER_BYTES} bytes, found {}", json.len()));
    }
    let mut encoded = (json.len() as u64).to_le_bytes().to_vec();
    encoded.append(&mut json);
    Ok(encoded)
}

/// A file beside its final place, removed if it never got there.
struct Temporary(PathBuf);

impl Temporary {
    fn beside(path: &Path) -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        Self(path.with_file_name(format!(".{name}.{}-{count}.tmp", std::process::id())))
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // After a successful rename nothing is there any more; otherwise the first error is the one to report.
        let _ = std::fs::remove_file(&self.0);
    }
}

#[cfg(test)]
#[path = "native_tests.rs"]
mod tests;
