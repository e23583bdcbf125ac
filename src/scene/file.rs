//! Files that are read within bounds, and files that are written whole or not at all.
//!
//! A file is written under a temporary name in its own folder, brought to the disk and renamed when complete, so that a
//! crash or a full disk leaves no half-written file behind. The temporary file is locked while it is written, which tells
//! those of killed processes from those that are still being written.

use crate::{Error, Result};
use std::fs::{self, File, FileType};
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// Opens a regular file; a link to one is followed.
///
/// # Errors
/// [`Error::Io`] if there is none or it cannot be opened; [`Error::Format`] for folders, pipes and devices, which are not
/// opened: a pipe would wait for a writer, and some devices never end.
pub fn open_regular(path: &Path) -> Result<File> {
    let regular = |file_type: FileType| match file_type.is_file() {
        true => Ok(()),
        false => Err(format_error(path, format!("expected a file, found {}", kind(file_type)))),
    };
    regular(fs::metadata(path).map_err(io(path))?.file_type())?;
    let file = File::open(path).map_err(io(path))?;
    // Once more: what has the name may have been replaced meanwhile.
    regular(file.metadata().map_err(io(path))?.file_type())?;
    Ok(file)
}

/// Reads a whole regular file of at most `limit` bytes.
///
/// # Errors
/// As [`open_regular`]; [`Error::Format`] if the file is longer.
pub fn read_limited(path: &Path, limit: u64) -> Result<Vec<u8>> {
    let file = open_regular(path)?;
    let length = file.metadata().map_err(io(path))?.len();
    let mut bytes = Vec::new();
    if length <= limit {
        let no_memory = |_| format_error(path, format!("{length} bytes do not fit in memory"));
        bytes.try_reserve_exact(length as usize).map_err(no_memory)?;
        // Limited whatever the length says: another process may be appending.
        file.take(limit.saturating_add(1)).read_to_end(&mut bytes).map_err(io(path))?;
    }
    let found = length.max(bytes.len() as u64);
    if found > limit {
        return Err(format_error(path, format!("expected at most {limit} bytes, found {found}")));
    }
    Ok(bytes)
}

/// As [`read_limited`], for text.
///
/// # Errors
/// As [`read_limited`]; [`Error::Format`] if the bytes are not UTF-8.
pub fn read_text(path: &Path, limit: u64) -> Result<String> {
    String::from_utf8(read_limited(path, limit)?).map_err(|e| {
        format_error(path, format!("expected text, found a byte that is none at {}", e.utf8_error().valid_up_to()))
    })
}

/// Writes the file `path`, whole or not at all; `body` writes the content. A crash at any moment leaves the older file, or
/// the new one.
///
/// # Errors
/// As [`check_replaceable`]; [`Error::Io`] naming `path` if the folder cannot be written or the disk is full; whatever
/// `body` fails with. The temporary file is then removed, and an older file at `path` stays as it was.
pub fn replace<E: From<Error>>(
    path: &Path,
    body: impl FnOnce(&mut dyn Write) -> std::result::Result<(), E>,
) -> std::result::Result<(), E> {
    check_replaceable(path)?;
    let (temporary, file) = create_temporary(path).map_err(io(path))?;
    let write = || {
        let mut buffered = BufWriter::with_capacity(1 << 16, &file);
        body(&mut buffered)?;
        let finish = || {
            buffered.flush()?;
            drop(buffered);
            // On disk before the rename, or a crash could leave an empty file under the final name.
            file.sync_all()?;
            fs::rename(&temporary, path)?;
            sync_folder(path);
            Ok(())
        };
        Ok(finish().map_err(io(path))?)
    };
    let written: std::result::Result<(), E> = write();
    if written.is_err() {
        // The first error is the one to report; a file that cannot be removed either is only litter.
        let _ = fs::remove_file(&temporary);
    }
    written
}

/// Checks that `path` can be replaced by a file: only regular files are, since a rename over a device would take the device
/// away, and a link may lead to anything.
///
/// # Errors
/// [`Error::Format`] if `path` is there and no regular file.
pub fn check_replaceable(path: &Path) -> Result<()> {
    match fs::symlink_metadata(path) {
        Ok(found) if !found.is_file() => {
            let found = kind(found.file_type());
            Err(format_error(path, format!("expected a regular file to write, or none yet, found {found}")))
        }
        _ => Ok(()),
    }
}

/// Removes the temporary files in `folder` whose writers were killed; those that are being written stay.
///
/// What cannot be listed or removed stays as well: leftovers harm nobody.
pub fn remove_leftovers(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let regular = entry.file_type().is_ok_and(|t| t.is_file());
        if !regular || !is_temporary(&entry.file_name().to_string_lossy()) {
            continue;
        }
        if let Ok(file) = File::open(entry.path())
            && file.try_lock().is_ok()
        {
            // Removed under the lock: a writer that waits for it sees that its file is gone.
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// Whether a name is one of [`replace`]'s: `.NAME.PROCESS-NUMBER.tmp`.
fn is_temporary(name: &str) -> bool {
    let number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let inner = name.strip_prefix('.').and_then(|name| name.strip_suffix(".tmp"));
    let parts = inner.and_then(|inner| inner.rsplit_once('.')).and_then(|(_, writer)| writer.split_once('-'));
    parts.is_some_and(|(process, count)| number(process) && number(count))
}

/// A new file beside `path` that no other thread or process uses, locked.
fn create_temporary(path: &Path) -> io::Result<(PathBuf, File)> {
    static COUNTER: AtomicU32 = AtomicU32::new(0);
    let name = path.file_name().ok_or_else(|| io::Error::other("expected the name of a file"))?;
    // Names of 255 bytes are allowed; the temporary one must not be longer than that.
    let name: String = name.to_string_lossy().chars().take(48).collect();
    loop {
        let number = COUNTER.fetch_add(1, Ordering::Relaxed);
        let temporary = path.with_file_name(format!(".{name}.{}-{number}.tmp", std::process::id()));
        let file = match File::create_new(&temporary) {
            // A process of the same number, in another container or before a restart, may have left it.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
            file => file?,
        };
        // File systems without locks do without: there, leftovers stay.
        let locked = file.lock().is_ok();
        if !locked || temporary.exists() {
            return Ok((temporary, file));
        }
    }
}

/// Brings a rename in the folder of `path` to the disk, where the system can.
fn sync_folder(path: &Path) {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let _ = File::open(folder).and_then(|folder| folder.sync_all());
}

/// What a name leads to, for messages.
fn kind(file_type: FileType) -> &'static str {
    if file_type.is_dir() {
        "a folder"
    } else if file_type.is_symlink() {
        "a symbolic link"
    } else if file_type.is_file() {
        "a file"
    } else {
        "a pipe, socket or device"
    }
}

fn io(path: &Path) -> impl FnOnce(io::Error) -> Error + use<> {
    let path = path.to_owned();
    move |source| Error::Io { path, source }
}

fn format_error(path: &Path, problem: String) -> Error {
    Error::Format { path: path.to_owned(), problem }
}

#[cfg(test)]
#[path = "file_tests.rs"]
mod tests;
