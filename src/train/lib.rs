//! Training: data feeding, losses, optimiser, schedule, resumable loop.
pub mod adam;
pub mod calibration;
pub mod classification;
pub mod cuda;
pub mod data;
pub mod distillation;
pub mod error;
pub mod guided;
pub mod log;
mod muon;
pub mod ps;
pub mod reparam;
pub mod routing;
pub mod run;
pub mod schedule;
pub mod state;
pub mod step;
mod surfaces;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
pub mod validation;
mod vectors;

pub use error::{Error, Result};
pub use run::{Run, RunOptions};
