//! Reading files that anyone may have made: only regular ones, and only up to a size.

use crate::{Error, Result};
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// Opens a regular file; pipes, sockets, devices and folders are refused before they are opened, since opening a pipe
/// waits for another program and a device may never end.
///
/// # Errors
/// [`Error::Io`] if there is no such file or it cannot be opened, [`Error::Format`] if it is no regular file.
pub fn open_regular(path: &Path) -> Result<File> {
    let io = |source| Error::Io { path: path.to_owned(), source };
    let metadata = std::fs::metadata(path).map_err(io)?;
    if !metadata.is_file() {
        let found = if metadata.is_dir() { "a folder" } else { "a pipe or device" };
        return Err(Error::Format {
            path: path.to_owned(),
            problem: format!("expected a regular file, found {found}"),
        });
    }
    File::open(path).map_err(io)
}

/// Reads a whole regular file of at most `limit` bytes.
///
/// # Errors
/// As [`open_regular`], and [`Error::Format`] if the file is larger.
pub fn read_regular(path: &Path, limit: u64) -> Result<Vec<u8>> {
    let file = open_regular(path)?;
    let mut bytes = Vec::new();
    file.take(limit + 1).read_to_end(&mut bytes).map_err(|source| Error::Io { path: path.to_owned(), source })?;
    if bytes.len() as u64 > limit {
        let problem = format!("expected a file of at most {limit} bytes, found a larger one");
        return Err(Error::Format { path: path.to_owned(), problem });
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_regular_files_up_to_the_limit_are_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.json");
        std::fs::write(&path, b"12345").unwrap();
        assert_eq!(read_regular(&path, 5).unwrap(), b"12345");
        let message = read_regular(&path, 4).unwrap_err().to_string();
        assert!(message.contains("a.json") && message.contains("at most 4 bytes"), "{message}");
        assert!(read_regular(dir.path(), 5).unwrap_err().to_string().contains("found a folder"));
        assert!(matches!(read_regular(&dir.path().join("none"), 5), Err(Error::Io { .. })));
        #[cfg(unix)]
        assert!(read_regular(Path::new("/dev/zero"), 5).unwrap_err().to_string().contains("device"));
    }

    #[cfg(unix)]
    #[test]
    fn a_pipe_is_refused_without_waiting_for_its_writer() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&path).status();
        if made.is_ok_and(|status| status.success()) {
            assert!(read_regular(&path, 5).unwrap_err().to_string().contains("pipe or device"));
        }
    }
}
