//! The renderer's network: feature network, projection, sampling, view and ray transformers, engine and checkpoints.
pub mod checkpoint;
pub mod config;
pub mod encoding;
pub mod engine;
pub mod error;
pub mod builtin;
pub mod renderer;
pub mod features;
#[cfg(test)]
mod parity;
pub mod sampling;
#[doc(hidden)]
pub mod testing;
pub mod plain;
pub mod projection;
pub mod network;
pub mod model;

pub use config::{Config, FeatureConfig, Head, Position, Start};
pub use error::{Error, Result};
pub use model::Model;
