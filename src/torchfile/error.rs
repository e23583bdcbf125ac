//! What can go wrong while a PyTorch file is read.

use std::path::PathBuf;

/// Result of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// Errors of this crate; each message names the file, what was expected and what was found.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file that could not be opened.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file that is not what `torch.save` writes for weights, or that is damaged.
    #[error("{}: {problem}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Expected and found.
        problem: String,
    },
}
