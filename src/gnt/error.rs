//! What can go wrong in the network crate.

use std::path::PathBuf;

/// Result of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// Errors of the network crate; each message names the thing, what was expected and what was found.
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
    /// A checkpoint that is not what its format asks for.
    #[error("{}: {problem}", path.display())]
    Checkpoint {
        /// The file, or the name of a built-in model.
        path: PathBuf,
        /// Expected and found.
        problem: String,
    },
    /// A configuration out of range.
    #[error("config: {0}")]
    Config(String),
    /// Input that cannot be rendered.
    #[error("{0}")]
    Input(String),
    /// Something that a device has no kernels for.
    #[error("{0}")]
    Unsupported(String),
    /// The CUDA device's error.
    #[error(transparent)]
    Cuda(#[from] compute::cuda::CudaError),
    /// The scene crate's error.
    #[error(transparent)]
    Scene(scene::Error),
}

impl From<scene::Error> for Error {
    fn from(error: scene::Error) -> Self {
        match error {
            scene::Error::Io { path, source } => Self::Io { path, source },
            other => Self::Scene(other),
        }
    }
}
