//! Numbers of tensors in files.

use half::{bf16, f16};
use safetensors::tensor::{Dtype, TensorView};

/// Kinds of numbers that weights are kept in, in words.
pub(crate) const KINDS: &str = "F32, F16 or BF16";

/// The values of a tensor, or none for another kind of numbers.
pub(crate) fn values(view: &TensorView) -> Option<Vec<f32>> {
    let pairs = || view.data().chunks_exact(2).map(|b| [b[0], b[1]]);
    match view.dtype() {
        Dtype::F32 => Some(view.data().chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect()),
        Dtype::F16 => Some(pairs().map(|b| f16::from_le_bytes(b).to_f32()).collect()),
        Dtype::BF16 => Some(pairs().map(|b| bf16::from_le_bytes(b).to_f32()).collect()),
        _ => None,
    }
}
