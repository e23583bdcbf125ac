//! The picture at once: source photographs projected through depth maps of the source views.
pub mod depth;
pub mod loader;
pub mod mesh;
pub mod pass;
#[cfg(test)]
mod reference;
pub mod sweep;
pub mod views;
