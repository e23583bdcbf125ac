//! The renderer's network: feature network, projection, sampling, view and ray transformers, engine and checkpoints.
pub mod axes;
pub mod builtin;
pub mod checkpoint;
pub mod config;
pub mod cuda;
pub mod encoding;
pub mod engine;
pub mod error;
pub mod features;
pub mod guided;
pub mod model;
pub mod network;
#[cfg(test)]
mod parity;
pub mod plain;
pub mod projection;
pub mod renderer;
pub mod sampling;
#[doc(hidden)]
pub mod testing;

pub use axes::Axes;
pub use config::{Config, FeatureConfig, Head, MlpKind, Position, RayAttentionKind, Start, ViewAttentionKind, Weights};
pub use error::{Error, Result};
pub use guided::Guided;
pub use model::Model;
