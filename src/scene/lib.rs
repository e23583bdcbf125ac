//! Scenes: cameras, images, dataset formats, camera paths and procedural scenes. No tensors.
pub mod camera;
pub mod error;
pub mod image;

pub use camera::{Camera, Ray};
pub use error::{Error, Result};
pub use image::Image;
