//! A window on a scene: one moves through it while pictures are made.
//!
//! What makes the pictures is a [`source::FrameSource`]; this crate knows cameras and photographs, no model. While a source
//! is at work there is a picture all the same: photographs projected through depth maps ([`proxy`]) at the window's rate,
//! then the source's pixels, every fourth, every second, then all, from the middle outwards ([`work`]). [`present`] shows
//! the best of them, [`app`] ties everything together, [`window`] and [`headless`] run it.
pub mod app;
mod background;
pub mod controls;
pub mod error;
pub mod eye;
pub mod gpu;
pub mod headless;
pub mod keys;
pub mod play;
pub mod present;
pub mod proxy;
pub mod script;
pub mod settings;
#[cfg(test)]
mod shaders;
pub mod source;
pub mod ui;
pub mod window;
pub mod work;

pub use app::{App, Start};
pub use error::{Error, Result};
