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
