//! Training of classifiers: batches of augmented pictures, cross entropy, a resumable loop.

mod augment;
mod loss;
mod options;
pub mod reparam;
mod routing;
mod run;
mod state;
mod step;
#[cfg(test)]
mod tests;

pub use options::{ClassifyOptions, Optimiser};
pub use run::{ClassifyLine, ClassifyRun, ClassifySettings, MODEL_FILE, STATE_FILE};
pub use state::ClassifyState;
pub use step::{Accuracy, evaluate};
