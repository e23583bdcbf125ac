//! What the CUDA ray kernel (`kernels/render/render.cu`) takes of the layers: weights packed in the order in which the
//! matrix units read them, and memory for a ray.
//!
//! A layer kind has a file `ray_kernel.rs` in its folder: the struct of its weights, which Rust and C share, how it packs
//! itself, and what it keeps for a ray. The file of the same name in its slot's folder has one line for each kind.

mod arena;
mod memory;
mod packer;
mod precision;
mod slot;

pub use arena::{Arena, Order};
pub use memory::{Element, KEY_CHUNK, Memory, Part, Size, Sizes, Space};
pub use packer::Packer;
pub use precision::CudaPrecision;
pub use slot::{RayKind, RaySlot};

/// Numbers behind each row of a state and of keys, so that the rows of a tile fall on different banks of shared memory.
pub const ROW_PADDING: usize = 8;
/// Rows of a tile: those that a warp works on at a time.
pub const TILE: usize = 16;
