//! What can go wrong in the classification crate.

use std::path::PathBuf;

/// Result of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// Errors of the classification crate; each message names the thing, what was expected and what was found.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file could not be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file that is not what its format asks for.
    #[error("{}: {problem}", path.display())]
    File {
        /// The file, or the name of a built-in model.
        path: PathBuf,
        /// Expected and found.
        problem: String,
    },
    /// A configuration out of range.
    #[error("config: {0}")]
    Config(String),
    /// The error of a CUDA device.
    #[error(transparent)]
    Cuda(#[from] compute::cuda::CudaError),
    /// The error of reading a picture or replacing a file.
    #[error(transparent)]
    Scene(#[from] scene::Error),
}
