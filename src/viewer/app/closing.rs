//! Closing: what is under way is finished or knowingly given up, and key frames that were not saved are kept.

use super::App;
use super::words::key_frames;
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
            words.push(self.unsaved_keys());
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
                let frames = key_frames(loaded.keys.eyes.len());
                self.say(format!("restored: {frames} of the last time, not saved yet"));
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::{Command, Start};
    use crate::settings::Settings;
    use crate::source::{Choices, FrameSource, Opened, Part, Patch, Shot, ShotId, Stop, Texel};
    use std::sync::Arc;

    /// Makes black pictures.
    struct Black;

    impl FrameSource for Black {
        fn open(&mut self, _: ShotId, _: &Shot, _: Stop) -> Result<Option<Opened>, String> {
            Ok(Some(Opened { sources: vec![0], cell: 8 }))
        }

        fn guide(&mut self, _: ShotId, part: Part, _: Stop) -> Result<Option<Patch>, String> {
            Ok(Some(Patch { part, texels: vec![Texel::default(); part.places().count()] }))
        }

        fn pixels(&mut self, id: ShotId, part: Part, stop: Stop) -> Result<Option<Patch>, String> {
            self.guide(id, part, stop)
        }

        fn close(&mut self, _: ShotId) {}
    }

    /// A viewer without a window; the scene's folder is `name`, though its photographs are those of the bundled scene.
    fn app(folder: Option<&Path>, name: &str) -> App {
        let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../scenes/still-life"));
        let mut scene = scene::formats::load(root, &Default::default()).unwrap();
        scene.root = name.into();
        let start = Start {
            scene: Arc::new(scene),
            choices: Choices::default(),
            make: Box::new(|| Ok(Box::new(Black))),
            threads: 1,
            scene_argument: name.into(),
            eye: None,
            settings: Settings::default(),
            settings_folder: folder.map(Path::to_owned),
            may_write: Box::new(|_| Ok(())),
            loaded: Instant::now(),
        };
        let mut app = App::new(start, || ()).unwrap();
        app.set_viewport((24, 16));
        app.tick(0.0);
        app
    }

    #[test]
    fn key_frames_that_were_not_saved_come_back_in_their_scene() {
        let dir = tempfile::tempdir().unwrap();
        let mut first = app(Some(dir.path()), "/a/still-life");
        first.perform(Command::AddKey);
        first.perform(Command::PathSeconds(12.0));
        drop(first);
        assert!(app(Some(dir.path()), "/b/still-life").keys.eyes.is_empty());
        let mut again = app(Some(dir.path()), "/a/still-life");
        assert!(again.keys.eyes.len() == 1 && again.keys.unsaved);
        assert!((again.path_seconds - 12.0).abs() < 0.1, "{}", again.path_seconds);
        again.perform(Command::RemoveKey(0));
        drop(again);
        assert_eq!(std::fs::read_dir(dir.path().join("unsaved")).unwrap().count(), 0);
    }

    /// A crash loses at most the last second.
    #[test]
    fn key_frames_are_kept_before_the_viewer_is_closed() {
        let dir = tempfile::tempdir().unwrap();
        let mut app = app(Some(dir.path()), "/a/still-life");
        app.perform(Command::AddKey);
        std::thread::sleep(KEEP + Duration::from_millis(50));
        app.tick(0.0);
        assert!(app.kept_file().unwrap().is_file());
    }

    #[test]
    fn a_damaged_file_is_told_and_left() {
        let dir = tempfile::tempdir().unwrap();
        let file = app(Some(dir.path()), "/a/still-life").kept_file().unwrap();
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, "{\"frames\": [").unwrap();
        let mut damaged = app(Some(dir.path()), "/a/still-life");
        assert!(damaged.message.as_ref().unwrap().0.contains("cannot be read"), "{:?}", damaged.message);
        damaged.perform(Command::AddKey);
        drop(damaged);
        assert_eq!(std::fs::read_to_string(file.with_extension("unreadable.json")).unwrap(), "{\"frames\": [");
        assert_eq!(app(Some(dir.path()), "/a/still-life").keys.eyes.len(), 1);
    }

    #[test]
    fn closing_asks_while_something_would_be_lost() {
        let dir = tempfile::tempdir().unwrap();
        let mut app = app(None, "/a/still-life");
        app.perform(Command::AddKey);
        app.perform(Command::PathSeconds(0.2));
        app.perform(Command::RenderPath(dir.path().join("flight")));
        app.perform(Command::Close);
        assert!(app.closing == Closing::Asked && !app.quit);
        let words = app.unfinished();
        assert!(
            words.len() == 2 && words[0].contains("0 of 5") && words[1].contains("1 key frame is not saved"),
            "{words:?}"
        );
        app.perform(Command::Stay);
        app.perform(Command::SavePath(dir.path().join("path.json")));
        app.perform(Command::CloseWhenDone);
        let started = Instant::now();
        while !app.quit {
            assert!(started.elapsed() < Duration::from_secs(60), "{:?}", app.unfinished());
            app.tick(0.0);
            std::thread::sleep(Duration::from_millis(1));
        }
        assert_eq!(std::fs::read_dir(dir.path().join("flight")).unwrap().count(), 5);
    }

    #[test]
    fn what_cannot_be_finished_keeps_the_viewer_open() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("file"), "").unwrap();
        let mut app = app(None, "/a/still-life");
        app.perform(Command::AddKey);
        app.perform(Command::RenderPath(dir.path().join("file/flight")));
        app.perform(Command::CloseWhenDone);
        let started = Instant::now();
        while app.path.is_some() {
            assert!(started.elapsed() < Duration::from_secs(60));
            app.tick(0.0);
            std::thread::sleep(Duration::from_millis(1));
        }
        assert!(!app.quit && app.closing == Closing::No && app.failed.as_ref().unwrap().contains("flight"));
    }

    #[test]
    fn nothing_is_written_over() {
        let dir = tempfile::tempdir().unwrap();
        let mut app = app(None, "/a/still-life");
        let [poses, path] = ["transforms.json", "path.json"].map(|name| dir.path().join(name));
        std::fs::write(&poses, "{}").unwrap();
        app.perform(Command::AddKey);
        app.perform(Command::SavePath(poses.clone()));
        assert!(app.failed.take().unwrap().contains("transforms.json") && app.keys.unsaved);
        assert_eq!(std::fs::read_to_string(&poses).unwrap(), "{}");
        app.perform(Command::SavePath(path.clone()));
        assert!(!app.keys.unsaved);
        // A path of ours is replaced, and key frames that were not saved are not, until that is asked for again.
        app.perform(Command::AddKey);
        app.perform(Command::LoadPath(path.clone()));
        assert_eq!(app.keys.eyes.len(), 2);
        app.perform(Command::LoadPath(path.clone()));
        assert_eq!(app.keys.eyes.len(), 1);
        app.perform(Command::AddKey);
        app.perform(Command::SavePath(path));
        assert!(!app.keys.unsaved && app.failed.is_none());
        app.perform(Command::Screenshot(poses));
        assert_eq!(app.screenshots, [dir.path().join("transforms-2.json")]);
    }
}
