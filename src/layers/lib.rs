//! The shared layer crate: every layer states its shapes and has its backward pass beside its forward pass.
//!
//! Parameters of a whole model live in one flat vector described by a [`Layout`]; gradients, optimiser moments
//! and averages use the same layout, so a layer holds only [`Slot`]s into it.
pub mod activation;
pub mod codes;
pub mod conv2d;
pub mod cuda;
pub mod experts;
pub mod feed_forward;
pub mod hamming_ray_attention;
pub mod hamming_view_attention;
pub mod instance_norm;
pub mod ksh;
pub mod layer_norm;
pub mod linear;
pub mod linear_angular;
pub mod params;
pub mod ray_attention;
pub mod shift;
#[cfg(test)]
mod testing;
pub mod upsample;
pub mod view_attention;

pub use params::{Init, Layout, Slot};
