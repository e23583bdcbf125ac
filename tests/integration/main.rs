//! The real program on small scenes of its own making.

mod failures;
mod info;
mod real;
mod render;
mod support;
mod train;
