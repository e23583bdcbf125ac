//! What can go wrong in the viewer.

use thiserror::Error;

/// The crate's result.
pub type Result<T> = std::result::Result<T, Error>;

/// What went wrong, in words for the user.
#[derive(Debug, Error)]
pub enum Error {
    /// No graphics adapter can be used, or one failed.
    #[error("graphics: {0}")]
    Graphics(String),
    /// No window can be opened.
    #[error("window: {0}")]
    Window(String),
    /// A script cannot be read or followed.
    #[error("script: {0}")]
    Script(String),
    /// Frames cannot be made.
    #[error("{0}")]
    Source(String),
    /// The scene, a photograph or a file.
    #[error(transparent)]
    Scene(#[from] scene::Error),
}
