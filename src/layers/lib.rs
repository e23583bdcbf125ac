//! The layers that networks are made of. A layer kind is a folder, and everything about it is in there: its contract
//! with shapes and parameters (`mod.rs`), forward and backward pass in training (`train.rs`), its packed form in the CPU
//! engine (`engine.rs`), training on CUDA (`cuda.rs`) and what the CUDA ray kernel takes (`ray_kernel.rs`).
//!
//! A block has slots ([`view_attention`], [`ray_attention`], [`feed_forward`]), each with a choice of kinds.
//!
//! Parameters of a whole model live in one flat vector described by a [`Layout`]; gradients, optimiser moments
//! and averages use the same layout, so a layer holds only [`Slot`]s into it. What products read is a second, folded
//! vector, which [`folding`] makes from the first; [`builder`] registers a layer in both.
pub mod activation;
pub mod builder;
pub mod codes;
pub mod conv2d;
pub mod cuda;
pub mod depthwise;
pub mod engine;
pub mod executor;
pub mod feed_forward;
pub mod folding;
pub mod gelu;
pub mod grid_mlp;
pub mod instance_norm;
pub mod layer_norm;
pub mod linear;
pub mod max_pool;
pub mod operations;
pub mod params;
pub mod patch_conv;
pub mod ray_attention;
pub mod ray_kernel;
pub mod reduced_attention;
pub mod sequence_pool;
pub mod shift;
pub mod softmax;
pub mod statistics;
#[cfg(test)]
mod testing;
pub mod upsample;
pub mod view_attention;

pub use builder::{BlockShape, Builder, Names};
pub use feed_forward::{FeedForward, FeedForwardKind};
pub use linear::LinearKind;
pub use params::{Init, Layout, Slot};
pub use ray_attention::{RayAttention, RayAttentionKind};
pub use view_attention::{ViewAttention, ViewAttentionKind};
