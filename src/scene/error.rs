//! What can go wrong while reading or writing scenes.

use std::path::PathBuf;

/// Result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Errors of the scene crate; each message names the thing, what was expected and what was found.
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
    /// A file's content is not what its format asks for.
    #[error("{}: {problem}", path.display())]
    Format {
        /// The file or folder.
        path: PathBuf,
        /// Expected and found.
        problem: String,
    },
    /// Photographs that poses are for are not there, or there are others.
    #[error("{}: {problem}", path.display())]
    Photographs {
        /// The file or folder.
        path: PathBuf,
        /// Expected and found.
        problem: String,
    },
    /// Depth bounds that cannot be used.
    #[error("{what}: {problem}")]
    Bounds {
        /// The file or the view.
        what: String,
        /// Expected and found.
        problem: String,
    },
    /// A camera that cannot be used.
    #[error("{what}: {problem}")]
    Camera {
        /// Which camera.
        what: String,
        /// Expected and found.
        problem: String,
    },
    /// A buffer of the wrong length.
    #[error("{what}: expected {expected} values, found {found}")]
    Shape {
        /// Which buffer.
        what: String,
        /// Expected length.
        expected: usize,
        /// Found length.
        found: usize,
    },
    /// A scene that cannot be used as asked.
    #[error("{0}")]
    Scene(String),
}
