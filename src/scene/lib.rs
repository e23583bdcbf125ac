//! Scenes: cameras, images, dataset formats, camera paths and procedural scenes. No tensors.
//!
//! A scene is read from a folder, or by a name that is looked up; `still-life` is in the program:
//! ```
//! use scene::LoadOptions;
//!
//! let scene = scene::open("still-life", &[], &LoadOptions { factor: Some(8), ..LoadOptions::default() })?;
//! let view = &scene.views[0];
//! let image = view.load_image()?; // [height, width, 3], colours from 0 to 1
//! assert_eq!((scene.views.len(), image.width, image.height), (20, 60, 45));
//!
//! // Where the photograph was taken, in the coordinates of the scene's files; x right, y down, z forward.
//! let file_from_camera = scene.scene_from_file.inverse().pose(view.camera.world_from_camera.as_dmat4());
//! assert_eq!(file_from_camera.w_axis.w, 1.0);
//! # Ok::<(), scene::Error>(())
//! ```
mod archive;
pub mod camera;
pub mod capture;
pub mod check;
pub mod cloud;
pub mod coverage;
pub mod demo;
pub mod depth;
pub mod distortion;
pub mod error;
pub mod exr;
pub mod fade;
pub mod file;
pub mod formats;
pub mod image;
mod json;
pub mod lens;
pub mod locate;
pub mod normals;
mod npy;
mod parallel;
pub mod paths;
mod picture;
mod pose;
pub mod procedural;
pub mod resample;
mod robust;
pub mod scene;
pub mod select;
mod similarity;
#[cfg(test)]
mod testing;
pub mod video;
pub mod view;
pub mod write;

pub use camera::{Camera, Ray, middle};
pub use distortion::Distortion;
pub use error::{Error, Result};
pub use formats::{LoadOptions, Split};
pub use image::Image;
pub use lens::{Lens, LensModel};
pub use locate::{locate, open};
pub use paths::{Frame, PathKind};
pub use picture::{read_upright, upright_from_bytes};
pub use scene::{FAR_EVAL, Format, Scene, SourceOrder};
pub use select::nearest_sources;
pub use similarity::Similarity;
pub use view::{Alpha, View};
