//! The renderer's network: feature network, projection, sampling, view and ray transformers, engine and checkpoints.
//!
//! A scene, a model and a pose make an image with its depth:
//! ```
//! use gnt::engine::Engine;
//! use gnt::renderer::{Renderer, Samples, Settings};
//! use scene::{Camera, Frame, LoadOptions};
//!
//! let scene = scene::open("still-life", &[], &LoadOptions { factor: Some(4), ..LoadOptions::default() })?;
//! let (model, params, _) = gnt::builtin::load("gnt-shiftadd")?;
//! let settings = Settings { views: 4, ..Settings::new(&scene, &model.config, Samples::Auto) };
//!
//! // A little to the right of a photograph, in the coordinates of the scene's files; x right, y down, z forward.
//! let photographed = scene.views[9].camera;
//! let mut file_from_camera = scene.scene_from_file.inverse().pose(photographed.world_from_camera.as_dmat4());
//! file_from_camera.w_axis += 0.02 * file_from_camera.x_axis;
//! let world_from_camera = scene.scene_from_file.pose(file_from_camera).as_mat4();
//! let camera = Camera { world_from_camera, ..photographed.resized(40, 30) };
//!
//! let mut renderer = Renderer::new(Engine::new(model, &params), scene);
//! let rendered = renderer.render(&Frame::new("to the right", camera), &settings, &|_| {})?;
//! assert_eq!((rendered.image.width, rendered.image.height), (40, 30));
//! assert_eq!(rendered.depth.len(), 30 * 40); // along the optical axis, in scene units
//! assert!(rendered.depth.iter().all(|z| (settings.depth_range.0..=settings.depth_range.1).contains(z)));
//! # Ok::<(), gnt::Error>(())
//! ```
pub mod axes;
pub mod builtin;
pub mod checkpoint;
pub mod config;
pub mod cuda;
pub mod device;
pub mod encoding;
pub mod engine;
pub mod error;
pub mod features;
pub mod folded;
pub mod guided;
pub mod model;
pub mod network;
pub mod operations;
#[cfg(test)]
mod parity;
pub mod plain;
pub mod projection;
pub mod renderer;
pub mod sampling;
mod sharpen;
pub mod shift_shares;
pub mod stage;
pub mod surface;
#[doc(hidden)]
pub mod testing;
pub mod trace;

pub use axes::Axes;
pub use config::{
    Config, FeatureConfig, FeedForwardKind, Head, LinearKind, Position, RayAttentionKind, Start, ViewAttentionKind,
};
pub use error::{Error, Result};
pub use guided::Guided;
pub use model::Model;
pub use sharpen::sharpened;
