//! A folder that a command writes to: one process at a time, and what killed runs left in it is removed.

use super::{kept, output};
use anyhow::{Context, bail};
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

/// Name of the lock's file. It is there while a run is at work, and stays behind, unlocked, when one is killed.
const LOCK: &str = ".shiftray.lock";

/// The right to write to a folder, until it is dropped or the process ends, however it ends.
#[derive(Debug)]
pub struct FolderLock {
    folder: PathBuf,
    /// None where the file system knows no locks.
    file: Option<File>,
    /// Folders that were not there before, from the innermost one.
    made: Vec<PathBuf>,
}

impl FolderLock {
    /// Creates the folder where it is missing, locks it, and removes the temporary files of killed runs that lie in it.
    /// `what` is the command at work, such as `render`; another process is told. Folders that were created here and are
    /// empty in the end, since the run failed, are removed again.
    ///
    /// # Errors
    /// If another process has the lock, which is named, or the folder cannot be created or written to.
    pub fn take(folder: &Path, what: &str) -> anyhow::Result<Self> {
        let made = kept::absent(folder.ancestors());
        let mut taken = Self { folder: folder.to_owned(), file: None, made };
        fs::create_dir_all(folder).with_context(|| format!("{}: cannot be created", folder.display()))?;
        taken.file = lock(folder, what)?;
        remove_leftovers(folder);
        Ok(taken)
    }

    /// Removes the temporary files of killed runs in the folder `below` and in the folders in it; links are not followed.
    pub fn remove_leftovers_below(&self, below: &str) {
        let mut folders = vec![self.folder.join(below)];
        while let Some(folder) = folders.pop() {
            let inner = fs::read_dir(&folder).into_iter().flatten().flatten();
            let inner = inner.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
            folders.extend(inner.map(|entry| entry.path()));
            remove_leftovers(&folder);
        }
    }
}

impl Drop for FolderLock {
    fn drop(&mut self) {
        // Removed while it is locked: whoever waits for it finds that its file is no longer the folder's, see `lock`.
        if self.file.is_some() && cfg!(unix) {
            let _ = fs::remove_file(self.folder.join(LOCK));
        }
        kept::take_back(&self.made);
    }
}

/// Locks the folder's lock file and writes the process into it.
fn lock(folder: &Path, what: &str) -> anyhow::Result<Option<File>> {
    let path = folder.join(LOCK);
    loop {
        if let Ok(found) = path.symlink_metadata()
            && !found.is_file()
        {
            bail!("{}: expected the file of a lock, found something else", path.display());
        }
        let opened = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
        let mut file = opened.with_context(|| format!("{}: cannot be written to", folder.display()))?;
        match file.try_lock() {
            Ok(()) if !is_at(&file, &path) => continue,
            Ok(()) => {
                let text = format!("{what}, process {}\n", std::process::id());
                let written = file.set_len(0).and_then(|()| file.write_all(text.as_bytes()));
                written.with_context(|| format!("{}: cannot be written to", folder.display()))?;
                return Ok(Some(file));
            }
            Err(TryLockError::WouldBlock) => {
                let mut text = String::new();
                // A process that has just taken the lock may not have said its name yet.
                let _ = (&mut file).take(200).read_to_string(&mut text);
                let other = if text.trim().is_empty() { "another run" } else { text.trim() };
                bail!(
                    "{}: expected a folder that no run is writing to, found shiftray {other} at work",
                    folder.display()
                )
            }
            Err(TryLockError::Error(problem)) => {
                let folder = folder.display();
                output::warn(&format!("{folder}: cannot be locked, so keep other runs out of it: {problem}"));
                return Ok(None);
            }
        }
    }
}

/// Whether `path` still names the opened file: the run before may have removed it between opening and locking.
#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let (Ok(ours), Ok(there)) = (file.metadata(), path.symlink_metadata()) else { return false };
    (ours.dev(), ours.ino()) == (there.dev(), there.ino())
}

#[cfg(not(unix))]
fn is_at(_: &File, _: &Path) -> bool {
    true
}

/// Checks that files can be made in a folder that is not locked: makes one and removes it.
///
/// # Errors
/// If the folder does not allow it.
pub fn probe(folder: &Path) -> std::io::Result<()> {
    let path = folder.join(format!(".shiftray.{}.tmp", std::process::id()));
    File::create(&path)?;
    fs::remove_file(path)
}

/// Removes what killed processes left in a folder: temporary files, those of [`probe`] too, and folders of scenes that
/// were being made, `.scene_NUMBER.PROCESS`. What cannot be removed is only litter.
fn remove_leftovers(folder: &Path) {
    scene::file::remove_leftovers(folder);
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let (Some(name), Ok(kind)) = (name.to_str(), entry.file_type()) else { continue };
        let file = name.strip_prefix(".shiftray.").and_then(|name| name.strip_suffix(".tmp"));
        let scene = name.strip_prefix(".scene_").and_then(|name| name.split_once('.')).filter(|(n, _)| is_number(n));
        let process = file.filter(|_| kind.is_file()).or(scene.map(|(_, process)| process).filter(|_| kind.is_dir()));
        if process.is_some_and(|process| is_number(process) && !is_alive(process)) {
            let _ = if kind.is_dir() { fs::remove_dir_all(entry.path()) } else { fs::remove_file(entry.path()) };
        }
    }
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Whether another process of this number runs, or may run where the system does not tell. One of our own number is gone:
/// this one writes nothing yet.
fn is_alive(process: &str) -> bool {
    let processes = Path::new("/proc");
    let known = processes.join("self").exists();
    process != std::process::id().to_string() && (!known || processes.join(process).exists())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_at_a_time_and_nothing_stays() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("a/b");
        let held = FolderLock::take(&folder, "render").unwrap();
        let message = FolderLock::take(&folder, "eval").unwrap_err().to_string();
        for part in ["a/b", "shiftray render", &std::process::id().to_string()] {
            assert!(message.contains(part), "{message}");
        }
        drop(held);
        // Nothing came of it, so that neither the folder nor the one above it stays.
        assert!(fs::read_dir(dir.path()).unwrap().next().is_none());
        let held = FolderLock::take(&folder, "eval").unwrap();
        fs::write(folder.join("mine"), b"x").unwrap();
        drop(held);
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);
        // A folder that was there before stays, empty as it is.
        fs::remove_file(folder.join("mine")).unwrap();
        drop(FolderLock::take(&folder, "eval").unwrap());
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
    }

    /// Elsewhere than on Linux nobody tells which processes run.
    #[cfg(target_os = "linux")]
    #[test]
    fn what_a_killed_run_left_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str| fs::write(dir.path().join(name), b"x").unwrap();
        let (gone, ours) = (u32::MAX, std::process::id());
        for name in [format!(".a.png.{gone}-3.tmp"), format!(".b.png.{ours}-0.tmp"), format!(".shiftray.{gone}.tmp")] {
            file(&name);
        }
        file(LOCK);
        fs::create_dir_all(dir.path().join(format!(".scene_00003.{gone}/images"))).unwrap();
        // These only look alike; and the first process of all is alive.
        let kept = [".d.tmp", &format!(".e.{gone}"), &format!(".mine.{gone}"), ".scene_00004.1", "below", "c.tmp"];
        kept.iter().take(2).for_each(|name| file(name));
        kept.iter().skip(2).take(3).for_each(|name| fs::create_dir_all(dir.path().join(name).join("deep")).unwrap());
        file("c.tmp");
        let deep = format!("below/deep/.g.png.{gone}-0.tmp");
        file(&deep);
        let lock = FolderLock::take(dir.path(), "render").unwrap();
        assert!(dir.path().join(&deep).exists());
        lock.remove_leftovers_below("below");
        assert!(!dir.path().join(&deep).exists());
        drop(lock);
        let mut left: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, kept);
    }

    #[cfg(unix)]
    #[test]
    fn a_link_in_place_of_the_lock_is_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("photograph"), b"mine").unwrap();
        std::os::unix::fs::symlink("photograph", dir.path().join(LOCK)).unwrap();
        assert!(FolderLock::take(dir.path(), "render").unwrap_err().to_string().contains(LOCK));
        assert_eq!(fs::read(dir.path().join("photograph")).unwrap(), b"mine");
    }
}
