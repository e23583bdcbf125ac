//! The real program on small scenes of its own making.

mod bench;
mod classify;
mod eval;
mod failures;
mod finetune;
mod formats;
mod frames;
#[cfg(unix)]
mod gpu_script;
mod info;
mod kill;
mod packaging;
mod real;
mod render;
mod reparam;
mod selftest;
mod sets;
mod support;
mod synth;
mod train;
mod view;
mod world;
