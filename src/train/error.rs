//! What can go wrong while training.

use std::path::PathBuf;

/// Result of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// Errors of the training crate.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file could not be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A run that cannot be started or resumed as asked.
    #[error("{0}")]
    Run(String),
    /// The classification crate's error.
    #[error(transparent)]
    Vit(#[from] vit::Error),
    /// The scene crate's error.
    #[error(transparent)]
    Scene(#[from] scene::Error),
    /// The CUDA device's error.
    #[error(transparent)]
    Cuda(#[from] compute::cuda::CudaError),
    /// The network crate's error.
    #[error(transparent)]
    Network(#[from] gnt::Error),
}
