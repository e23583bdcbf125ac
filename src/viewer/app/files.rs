//! Where files go: nothing of a scene and nothing of anyone else is written over.

use super::App;
use crate::{Error, Result};
use std::path::{Path, PathBuf};

/// What is to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target<'a> {
    /// A file.
    File(&'a Path),
    /// Files in a folder.
    Folder(&'a Path),
}

/// Whether something may be written; in words why not.
pub type MayWrite = Box<dyn Fn(Target) -> std::result::Result<(), String>>;

/// `path` if it is not `taken`, else the first of `name-2.png` and so on that is not.
pub fn free(path: &Path, taken: impl Fn(&Path) -> bool) -> PathBuf {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let end = path.extension().map(|end| format!(".{}", end.to_string_lossy())).unwrap_or_default();
    let numbered = (2..).map(|i| path.with_file_name(format!("{stem}-{i}{end}")));
    let mut names = std::iter::once(path.to_owned()).chain(numbered);
    names.find(|name| !taken(name)).unwrap_or_else(|| path.to_owned())
}

/// Whether something of this name is there, be it a link that leads nowhere.
pub fn is_there(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

impl App {
    /// Checks that a picture of a script may go to a file: nothing of the scene is there, and nothing but a picture, which
    /// is replaced, as the same script followed again does.
    ///
    /// # Errors
    /// [`Error::Script`] if not, with the reason.
    pub(crate) fn expect_writable(&self, file: &Path) -> Result<()> {
        (self.may_write)(Target::File(file)).map_err(Error::Script)?;
        let is_picture = file.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("png"));
        if is_picture || !is_there(file) {
            return Ok(());
        }
        Err(Error::Script(format!("{}: is there already, and is no picture (PNG)", file.display())))
    }

    /// Whether something may be written; says why not.
    pub(super) fn may_write(&mut self, target: Target) -> bool {
        match (self.may_write)(target) {
            Ok(()) => true,
            Err(problem) => {
                self.fail(problem);
                false
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_taken_get_a_number() {
        let free =
            |name: &str, taken: &[&str]| free(Path::new(name), |path| taken.iter().any(|t| path == Path::new(t)));
        assert_eq!(free("view.png", &[]), PathBuf::from("view.png"));
        assert_eq!(free("a/view.png", &["a/view.png", "a/view-2.png"]), PathBuf::from("a/view-3.png"));
        assert_eq!(free("frames", &["frames"]), PathBuf::from("frames-2"));
    }
}
