//! Writes our model file, whole or not at all.

use super::native::{FORMAT, Header, header_bytes};
use super::packed::ShiftNames;
use super::{Checkpoint, Storage, problem_in};
use crate::{Config, Error, FeedForwardKind, LinearKind, RayAttentionKind, Result, ViewAttentionKind};
use half::f16;
use safetensors::tensor::{Dtype, TensorInfo};
use std::borrow::Cow;
use std::path::Path;

/// One tensor as it is stored.
struct Stored<'a> {
    name: Cow<'a, str>,
    dtype: Dtype,
    shape: &'a [usize],
    data: Data<'a>,
}

enum Data<'a> {
    Floats(&'a [f32]),
    Bytes(&'a [u8]),
}

/// See [`Checkpoint::write`].
pub(super) fn write(checkpoint: &Checkpoint, path: &Path, storage: Storage) -> Result<()> {
    let problem = |problem| problem_in(path, problem);
    let names = match storage {
        Storage::Packed => Some(ShiftNames::of(&checkpoint.config).map_err(problem)?),
        Storage::F32 | Storage::F16 => None,
    };
    let (mut stored, mut parts) = (Vec::new(), Vec::new());
    for (name, tensor) in &checkpoint.tensors {
        let packed = names.as_ref().map_or(Ok(None), |names| names.pack(name, tensor)).map_err(problem)?;
        match packed {
            Some(packed) => parts.extend(packed),
            None => {
                let dtype = if storage == Storage::F32 { Dtype::F32 } else { Dtype::F16 };
                let (shape, data) = (tensor.shape.as_slice(), Data::Floats(&tensor.data));
                stored.push(Stored { name: name.into(), dtype, shape, data });
            }
        }
    }
    // Last, because bytes may have any number and some readers need floats to be aligned.
    stored.extend(parts.iter().map(|part| {
        let (name, shape) = (part.name.as_str().into(), part.shape.as_slice());
        Stored { name, dtype: part.dtype, shape, data: Data::Bytes(&part.bytes) }
    }));
    let header = encode_header(checkpoint, &stored).map_err(problem)?;
    scene::file::replace(path, |out| {
        let io = |source| Error::Io { path: path.to_path_buf(), source };
        out.write_all(&header).map_err(io)?;
        for tensor in &stored {
            match tensor.data {
                Data::Bytes(bytes) => out.write_all(bytes).map_err(io)?,
                Data::Floats(floats) if tensor.dtype == Dtype::F32 => {
                    floats.iter().try_for_each(|v| out.write_all(&v.to_le_bytes())).map_err(io)?;
                }
                Data::Floats(floats) => {
                    for (i, &value) in floats.iter().enumerate() {
                        let half = f16::from_f32(value);
                        if half.is_infinite() && value.is_finite() {
                            let limit = format!("expected weights up to 65504 for f16, found {value} at {i}");
                            return Err(problem(format!("{:?}: {limit}", tensor.name)));
                        }
                        out.write_all(&half.to_le_bytes()).map_err(io)?;
                    }
                }
            }
        }
        Ok(())
    })
}

/// The oldest version that says what a file with `config` needs. Packed weights need no test of their own: only configs
/// with shift layers have them.
fn version(config: &Config) -> u32 {
    let first = Config {
        view_attention: ViewAttentionKind::Subtract,
        ray_attention: RayAttentionKind::Softmax,
        linears: LinearKind::Dense,
        mlp: FeedForwardKind::Dense,
        ..*config
    };
    if *config == first { 1 } else { 2 }
}

fn encode_header(checkpoint: &Checkpoint, stored: &[Stored]) -> std::result::Result<Vec<u8>, String> {
    let mut header = Header { metadata: checkpoint.metadata.clone(), ..Header::default() };
    let config = serde_json::to_string(&checkpoint.config).map_err(|e| format!("config: {e}"))?;
    header.metadata.insert("config".into(), config);
    header.metadata.insert("format".into(), FORMAT.into());
    header.metadata.insert("version".into(), version(&checkpoint.config).to_string());
    let mut next = 0;
    for Stored { name, dtype, shape, data } in stored {
        let len = shape.iter().product::<usize>();
        let (found, width) = match (data, dtype) {
            (Data::Bytes(bytes), _) => (bytes.len(), 1),
            (Data::Floats(floats), Dtype::F32) => (floats.len(), 4),
            (Data::Floats(floats), _) => (floats.len(), 2),
        };
        assert_eq!(len, found, "{name}: shape and number of values differ");
        let info = TensorInfo { dtype: *dtype, shape: shape.to_vec(), data_offsets: (next, next + len * width) };
        next = info.data_offsets.1;
        header.tensors.insert(name.to_string(), info);
    }
    header_bytes(&header)
}
