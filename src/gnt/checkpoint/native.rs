//! Reads our model file: safetensors, with the config as JSON in the metadata.
//!
//! The header is checked here rather than by the safetensors crate, so that each error names its tensor and offsets near
//! the integer limit cannot overflow; the file is exactly what that crate reads and writes.

use super::packed::{self, Part, ShiftNames};
use super::{Checkpoint, MAX_FILE_BYTES, MAX_RANK, Tensor, infer, problem_in};
use crate::{Config, Result};
use half::{bf16, f16};
use safetensors::tensor::{Dtype, TensorInfo};
use serde::de::{Deserializer, Error as _, MapAccess, Visitor};
use serde::{Deserialize, Serialize, Serializer, ser::SerializeMap};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::path::Path;

/// Largest header in bytes; the deepest network that a config allows needs a tenth of it.
pub(super) const MAX_HEADER_BYTES: u64 = 4 << 20;
/// What `format` in the metadata of our files says.
pub(super) const FORMAT: &str = "shiftray";
/// Newest version of the meaning of names and config; raised when an older program would misread a file.
const VERSION: u32 = 2;

/// The JSON at the start of a safetensors file.
#[derive(Default)]
pub(super) struct Header {
    pub metadata: BTreeMap<String, String>,
    pub tensors: BTreeMap<String, TensorInfo>,
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

/// A header as it stands at the beginning of a file: its length, then its JSON.
pub(super) fn header_bytes(header: &Header) -> std::result::Result<Vec<u8>, String> {
    let mut json = serde_json::to_vec(header).map_err(|e| format!("safetensors header: {e}"))?;
    // The format asks for data that starts at a multiple of eight.
    json.resize(json.len().next_multiple_of(8), b' ');
    if json.len() as u64 > MAX_HEADER_BYTES {
        return Err(format!("expected a header of at most {MAX_HEADER_BYTES} bytes, found {}", json.len()));
    }
    let mut encoded = (json.len() as u64).to_le_bytes().to_vec();
    encoded.append(&mut json);
    Ok(encoded)
}

/// See [`Checkpoint::read`].
pub(super) fn read(path: &Path) -> Result<Checkpoint> {
    decode(path, &scene::file::read_limited(path, MAX_FILE_BYTES)?)
}

/// See [`Checkpoint::from_bytes`].
pub(super) fn decode(path: &Path, bytes: &[u8]) -> Result<Checkpoint> {
    decode_parts(bytes)
        .map(|(config, tensors, metadata)| Checkpoint { config, tensors, metadata, origin: path.to_path_buf() })
        .map_err(|problem| problem_in(path, problem))
}

type Parts = (Config, BTreeMap<String, Tensor>, BTreeMap<String, String>);

fn decode_parts(bytes: &[u8]) -> std::result::Result<Parts, String> {
    let (Header { mut metadata, tensors: infos }, data) = split(bytes)?;
    check_version(&mut metadata)?;
    let mut in_order: Vec<_> = infos.iter().collect();
    in_order.sort_by_key(|(_, info)| info.data_offsets);
    let (mut tensors, mut parts) = (BTreeMap::new(), BTreeMap::new());
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
        if info.shape.len() > MAX_RANK {
            return Err(format!("{name:?}: expected at most {MAX_RANK} dimensions, found {}", info.shape.len()));
        }
        if packed::is_part(name) {
            parts.insert(name.clone(), Part { info, bytes });
        } else {
            tensors.insert(name.clone(), decode_tensor(name, info, bytes)?);
        }
    }
    if next != data.len() {
        return Err(format!("expected {next} bytes of tensor data, found {}", data.len()));
    }
    let config = match (metadata.remove("config"), parts.keys().next()) {
        (Some(text), _) => serde_json::from_str(&text).map_err(|e| format!("config in the metadata: {e}"))?,
        (None, Some(name)) => {
            return Err(format!("{name:?}: expected a config in the metadata beside packed weights, found none"));
        }
        (None, None) => {
            infer::config(&tensors).map_err(|e| format!("no config in the metadata, and from the names: {e}"))?
        }
    };
    config.validate().map_err(|e| e.to_string())?;
    if !parts.is_empty() {
        ShiftNames::of(&config)?.unpack(&parts, &mut tensors)?;
    }
    Ok((config, tensors, metadata))
}

/// Header and data of a file.
pub(super) fn split(bytes: &[u8]) -> std::result::Result<(Header, &[u8]), String> {
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
    Ok((serde_json::from_slice(header).map_err(|e| format!("safetensors header: {e}"))?, data))
}

/// Takes format and version out of the metadata; files of other programs have neither.
fn check_version(metadata: &mut BTreeMap<String, String>) -> std::result::Result<(), String> {
    let (format, version) = (metadata.remove("format"), metadata.remove("version").unwrap_or_default());
    if format.as_deref() == Some(FORMAT) && !version.parse::<u32>().is_ok_and(|v| (1..=VERSION).contains(&v)) {
        return Err(format!("expected format version 1 to {VERSION}, found {version:?}"));
    }
    Ok(())
}

fn decode_tensor(name: &str, info: &TensorInfo, bytes: &[u8]) -> std::result::Result<Tensor, String> {
    let shape = &info.shape;
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

#[cfg(test)]
#[path = "native_tests.rs"]
mod tests;
