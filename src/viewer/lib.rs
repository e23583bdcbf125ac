//! A window on a scene.
pub mod controls;
pub mod error;
pub mod eye;
pub mod source;
pub mod work;
pub use error::{Error, Result};
