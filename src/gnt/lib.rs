//! The renderer's network: feature network, projection, sampling, view and ray transformers, engine and checkpoints.
pub mod config;
pub mod error;

pub use config::{Config, FeatureConfig, Head, Position, Start};
pub use error::{Error, Result};
