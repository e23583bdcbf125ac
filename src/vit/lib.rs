//! Vision transformers that classify images, on the layers that the renderer uses.
//!
//! To a layer, an image is what a ray is to the renderer, and its tokens are the ray's samples: they look at one another
//! through a [`layers::RayAttention`] and go through a [`layers::FeedForward`] each by itself.
pub mod builtin;
pub mod checkpoint;
pub mod compact;
pub mod config;
pub mod cuda;
pub mod data;
pub mod deit;
pub mod engine;
pub mod error;
pub mod hub;
pub mod model;
pub mod operations;
pub mod preprocess;
pub mod pvt;
pub mod reparam;
pub mod routers;
mod tensor;
#[cfg(test)]
mod testing;
pub mod timm;

pub use config::Config;
pub use engine::Engine;
pub use error::{Error, Result};
pub use model::Model;
