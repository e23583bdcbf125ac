//! The lowest crate: instruction sets, SIMD kernels, matrix products, threads, and the CUDA device.
pub mod cuda;
pub mod isa;
pub mod math;
pub mod matrix;
pub mod ops;
pub mod parallel;
pub mod simd;
#[cfg(target_arch = "x86_64")]
pub(crate) mod tiles;

pub use isa::{ISA_VARIABLE, Isa, check_isa, isa};
pub use matrix::{Mat, MatMut, matmul};
pub use ops::product_bf16::{Products, Start};
