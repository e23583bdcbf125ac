//! The lowest crate: matrix views and products, instruction-set selection and numeric helpers.
pub mod cuda;
pub mod level;
pub mod math;
pub mod matrix;
pub mod ops;
pub mod parallel;
pub mod simd;

pub use level::{Level, check_level, level};
pub use matrix::{Mat, MatMut, matmul};
