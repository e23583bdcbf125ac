//! Scenes: cameras, images, dataset formats, camera paths and procedural scenes. No tensors.
pub mod camera;
pub mod capture;
pub mod coverage;
pub mod demo;
pub mod depth;
pub mod distortion;
pub mod error;
pub mod file;
pub mod formats;
pub mod image;
pub mod locate;
mod parallel;
pub mod paths;
mod picture;
mod pose;
pub mod procedural;
pub mod resample;
pub mod scene;
pub mod select;
mod similarity;
#[cfg(test)]
mod testing;
pub mod view;
pub mod write;

pub use camera::{Camera, Ray, middle};
pub use distortion::Distortion;
pub use error::{Error, Result};
pub use formats::{LoadOptions, Split};
pub use image::Image;
pub use locate::locate;
pub use paths::{Frame, PathKind};
pub use scene::{FAR_EVAL, Format, Scene, SourceOrder};
pub use select::nearest_sources;
pub use similarity::Similarity;
pub use view::{Alpha, View};
