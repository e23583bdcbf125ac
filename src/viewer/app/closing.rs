//! Closing: what is under way is finished or knowingly given up, and key frames that were not saved are kept.

use super::App;
use super::words::key_frames;
use crate::eye::Eye;
use crate::keys::Keys;
use std::fs::File;
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

/// Most viewers of one scene at a time that keep key frames.
const SLOTS: usize = 16;

/// Key frames that were not saved, in the platform's place for settings. Each viewer of a scene has a file of its own there,
/// which is its as long as it holds the lock beside it.
#[derive(Debug, Default)]
pub(super) struct Kept {
    /// The file of this viewer, with its lock; none where none is to be had.
    file: Option<(PathBuf, File)>,
    /// Those that are in the file, with the number of the path's frames, if it is ours to write and to remove.
    eyes: Option<(Vec<Eye>, usize)>,
    /// Files of viewers that ended, whose key frames came back here; gone when these are kept or saved.
    taken: Vec<PathBuf>,
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

    /// Where this viewer keeps key frames that were not saved.
    fn kept_file(&self) -> Option<PathBuf> {
        self.kept.file.as_ref().map(|(file, _)| file.clone())
    }

    /// Where viewers of this scene keep key frames that were not saved.
    fn kept_files(&self) -> Option<impl Iterator<Item = PathBuf> + use<>> {
        let folder = self.settings_folder.as_ref()?;
        // Scenes of one name lie in several folders.
        let root = self.scene.root.canonicalize().unwrap_or_else(|_| self.scene.root.clone());
        let number = root.to_string_lossy().bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            // FNV-1a: the same number in every build.
            (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
        });
        let (folder, name) = (folder.join("unsaved"), format!("{}-{number:016x}", self.scene.name));
        Some((0..SLOTS).map(move |slot| folder.join(format!("{name}-{slot}.json"))))
    }

    /// Key frames that were not saved when the viewer was closed, or several viewers of this scene.
    pub(super) fn restore_keys(&mut self) {
        for file in self.kept_files().into_iter().flatten() {
            if self.kept.file.is_some() && !file.is_file() {
                continue;
            }
            // Who holds a lock still has the key frames.
            let Some(lock) = lock(&file) else { continue };
            let is_own = self.kept.file.is_none();
            if is_own {
                self.kept.file = Some((file.clone(), lock));
            }
            if !file.is_file() {
                continue;
            }
            match Keys::load(&file, &self.scene) {
                Ok(mut loaded) => {
                    loaded.keys.eyes.splice(..0, std::mem::take(&mut self.keys.eyes));
                    self.take_keys(loaded);
                    self.keys.unsaved = true;
                    self.say(format!("restored: {} of the last time, not saved yet", key_frames(self.keys.eyes.len())));
                    match is_own {
                        true => self.kept.eyes = Some((self.keys.eyes.clone(), self.num_frames())),
                        false => self.kept.taken.push(file),
                    }
                }
                // It is not ours: nothing is written over it.
                Err(problem) => self.say(format!("key frames of the last time cannot be read: {problem}")),
            }
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
            let own = self.kept.eyes.take().map(|_| file);
            // A file that stays is offered again, which harms nobody.
            own.into_iter().chain(self.kept.taken.drain(..)).for_each(|file| drop(std::fs::remove_file(file)));
            return Ok(());
        }
        let now = (&self.keys.eyes, self.num_frames());
        if self.kept.eyes.as_ref().is_some_and(|(eyes, frames)| (eyes, *frames) == now) {
            return Ok(());
        }
        self.write_keys(&file).map_err(|e| e.to_string())?;
        (self.kept.eyes, self.kept.failed) = (Some((self.keys.eyes.clone(), self.num_frames())), false);
        self.kept.taken.drain(..).for_each(|file| drop(std::fs::remove_file(file)));
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
            let other = super::files::free(&file.with_extension("unreadable.json"), super::files::is_there);
            std::fs::rename(file, other).map_err(failed)?;
        }
        let size = (self.path_size(), self.controls.unit());
        self.keys.write(file, &self.scene, self.num_frames(), size, &[])
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

/// The lock of a file of key frames, if nobody else holds it; the system lets go of it when a viewer ends, however it ends.
fn lock(file: &Path) -> Option<File> {
    std::fs::create_dir_all(file.parent()?).ok()?;
    let lock = File::options().create(true).truncate(false).write(true).open(file.with_extension("lock")).ok()?;
    lock.try_lock().ok()?;
    Some(lock)
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
            Ok(Some(Opened { sources: vec![0], cell: 8, fades: false }))
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
            scene_arguments: vec![name.into()],
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
        assert!(kept(dir.path()).is_empty(), "{:?}", kept(dir.path()));
    }

    /// Files of key frames that were not saved.
    fn kept(folder: &Path) -> Vec<PathBuf> {
        let files = std::fs::read_dir(folder.join("unsaved")).unwrap().map(|entry| entry.unwrap().path());
        files.filter(|file| file.extension().is_some_and(|ending| ending == "json")).collect()
    }

    /// Two viewers of one scene at a time: neither loses what the other has.
    #[test]
    fn viewers_of_one_scene_keep_their_own_key_frames() {
        let dir = tempfile::tempdir().unwrap();
        let mut first = app(Some(dir.path()), "/a/still-life");
        first.perform(Command::AddKey);
        first.perform(Command::AddKey);
        first.keep_keys_now().unwrap();
        let mut second = app(Some(dir.path()), "/a/still-life");
        assert!(second.keys.eyes.is_empty(), "the first one still has them");
        second.perform(Command::AddKey);
        drop(second);
        drop(first);
        assert_eq!(kept(dir.path()).len(), 2);
        let mut third = app(Some(dir.path()), "/a/still-life");
        assert!(third.keys.eyes.len() == 3 && third.keys.unsaved);
        // Kept in one file from now on, and again when only the length of the path changes.
        third.keep_keys_now().unwrap();
        assert_eq!(kept(dir.path()).len(), 1);
        third.perform(Command::PathSeconds(9.0));
        drop(third);
        let fourth = app(Some(dir.path()), "/a/still-life");
        assert!(fourth.keys.eyes.len() == 3 && (fourth.path_seconds - 9.0).abs() < 0.1);
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
