//! Closing: what is under way is finished or knowingly given up, and key frames that were not saved are kept.

use super::App;
use crate::eye::Eye;
use crate::keys::Keys;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How often key frames that were not saved are kept.
const KEEP: Duration = Duration::from_secs(1);

/// Whether the viewer is to be closed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Closing {
    /// It stays.
    #[default]
    No,
    /// The user is asked, since something is under way.
    Asked,
    /// As soon as nothing is under way.
    WhenDone,
}

/// Key frames that were not saved, in the platform's place for settings.
#[derive(Debug, Default)]
pub(super) struct Kept {
    /// Those that are in the file, if it is ours to write and to remove.
    eyes: Option<Vec<Eye>>,
    /// When they were last looked at.
    looked: Option<Instant>,
    /// They cannot be written, which was said.
    failed: bool,
}

impl App {
    /// What would be lost if the viewer was closed now, in words.
    pub fn unfinished(&self) -> Vec<String> {
        let mut words = Vec::new();
        if let Some(path) = &self.path {
            words.push(format!("a path is being rendered: {} of {} frames are there", path.written, path.frames.len()));
        }
        match self.screenshots.len() {
            0 => {}
            1 => words.push("a screenshot waits for its complete picture".into()),
            count => words.push(format!("{count} screenshots wait for their complete picture")),
        }
        if self.keys.unsaved && !self.keys.eyes.is_empty() && (self.kept_file().is_none() || self.kept.failed) {
            words.push(format!("{} key frames are not saved", self.keys.eyes.len()));
        }
        words
    }

    /// Closes, or asks whether to.
    pub(super) fn close(&mut self) {
        match self.unfinished().is_empty() {
            true => self.quit = true,
            false => self.closing = Closing::Asked,
        }
    }

    /// Closes if that was wished for as soon as nothing is under way.
    pub(super) fn close_when_done(&mut self) {
        if self.closing == Closing::WhenDone && self.unfinished().is_empty() {
            self.quit = true;
        }
    }

    /// Where key frames of this scene that were not saved are kept.
    fn kept_file(&self) -> Option<PathBuf> {
        let folder = self.settings_folder.as_ref()?;
        // Scenes of one name lie in several folders.
        let root = self.scene.root.canonicalize().unwrap_or_else(|_| self.scene.root.clone());
        let number = root.to_string_lossy().bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            // FNV-1a: the same number in every build.
            (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
        });
        Some(folder.join("unsaved").join(format!("{}-{number:016x}.json", self.scene.name)))
    }

    /// Key frames that were not saved when the viewer was closed.
    pub(super) fn restore_keys(&mut self) {
        let Some(file) = self.kept_file().filter(|file| file.is_file()) else { return };
        match Keys::load(&file, &self.scene) {
            Ok(loaded) => {
                self.say(format!("{} key frames of the last time, which were not saved", loaded.keys.eyes.len()));
                self.take_keys(loaded);
                self.keys.unsaved = true;
                self.kept.eyes = Some(self.keys.eyes.clone());
            }
            // It is not ours: nothing is written over it.
            Err(problem) => self.say(format!("key frames of the last time cannot be read: {problem}")),
        }
    }

    /// Keeps key frames that were not saved, now and then, so that not even a crash loses them.
    pub(super) fn keep_keys(&mut self) {
        if self.kept.looked.is_none_or(|then| then.elapsed() > KEEP) {
            self.kept.looked = Some(Instant::now());
            if let Err(problem) = self.keep_keys_now()
                && !self.kept.failed
            {
                self.kept.failed = true;
                self.say(format!("key frames cannot be kept: {problem}"));
            }
        }
    }

    /// The file holds what is not saved, and is gone when all is.
    fn keep_keys_now(&mut self) -> Result<(), String> {
        let Some(file) = self.kept_file() else { return Ok(()) };
        if !self.keys.unsaved || self.keys.eyes.is_empty() {
            if self.kept.eyes.take().is_some() {
                // A file that stays is offered again, which harms nobody.
                let _ = std::fs::remove_file(&file);
            }
            return Ok(());
        }
        if self.kept.eyes.as_ref() == Some(&self.keys.eyes) {
            return Ok(());
        }
        self.write_keys(&file).map_err(|e| e.to_string())?;
        (self.kept.eyes, self.kept.failed) = (Some(self.keys.eyes.clone()), false);
        Ok(())
    }

    fn write_keys(&self, file: &Path) -> crate::Result<()> {
        if let Some(folder) = file.parent() {
            let failed = |source| scene::Error::Io { path: folder.to_owned(), source };
            std::fs::create_dir_all(folder).map_err(failed)?;
        }
        if self.kept.eyes.is_none() && file.exists() {
            // One that could not be read: it goes on under another name.
            let failed = |source| scene::Error::Io { path: file.to_owned(), source };
            std::fs::rename(file, file.with_extension("unreadable.json")).map_err(failed)?;
        }
        self.keys.write(file, &self.scene, self.num_frames(), self.path_size(), self.controls.unit())
    }

    /// Remembers settings, and key frames that were not saved: nothing is lost on closing.
    pub(super) fn remember(&mut self) {
        let Some(folder) = self.settings_folder.clone() else { return };
        self.settings.speed = self.controls.speed;
        if let Err(problem) = self.settings.save(&folder) {
            eprintln!("warning: {problem}");
        }
        if let Err(problem) = self.keep_keys_now() {
            eprintln!("warning: key frames are lost: {problem}");
        } else if let (Some(_), Some(file)) = (&self.kept.eyes, self.kept_file()) {
            eprintln!("key frames are kept in {}", file.display());
        }
    }
}
