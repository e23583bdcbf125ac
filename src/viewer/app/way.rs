//! The camera's way: played, scrubbed, saved, loaded, rendered.

use super::App;
use super::files::{self, Target};
use super::path::PathJob;
use super::words::{counted, key_frames};
use crate::keys::{Keys, Loaded};
use std::path::{Path, PathBuf};

/// Frames a second of a path.
const RATE: f64 = 25.0;
/// Shortest and longest way, in seconds.
pub(super) const SECONDS: [f64; 2] = [0.2, 600.0];

impl App {
    /// Goes on along the path.
    pub(super) fn play(&mut self, seconds: f64) {
        let Some(at) = self.playing else { return };
        let next = at + seconds / self.path_seconds;
        self.scrub_to(next.min(1.0));
        self.playing = (next < 1.0).then_some(next);
    }

    pub(super) fn scrub_to(&mut self, part: f64) {
        let count = self.num_frames();
        let unit = self.controls.unit();
        let along = self.keys.along(count, unit);
        self.scrub = part.clamp(0.0, 1.0);
        if let Some(eye) = along.get(((count - 1) as f64 * self.scrub).round() as usize) {
            self.controls.go_to(eye);
            self.controls.jump();
        }
    }

    /// Frames of the path at its rate.
    pub fn num_frames(&self) -> usize {
        ((self.path_seconds * RATE).round() as usize).clamp(2, scene::paths::MAX_FRAMES)
    }

    /// Size of the path's frames: that of the network's picture.
    pub(super) fn path_size(&self) -> (u32, u32) {
        self.shot.as_ref().map_or(self.scene.size(), |shot| (shot.camera.width, shot.camera.height))
    }

    pub(super) fn save_path(&mut self, file: PathBuf) {
        if !self.may_write(Target::File(&file)) {
            return;
        }
        let ours = |path: &Path| !files::is_there(path) || Keys::load(path, &self.scene).is_ok();
        if !ours(&file) {
            self.fail(format!("{}: is there already, and is no camera path", file.display()));
            return;
        }
        let (count, size, unit) = (self.num_frames(), self.path_size(), self.controls.unit());
        let hidden: Vec<usize> = self.look.hidden.iter().copied().collect();
        match self.keys.save(&file, &self.scene, count, (size, unit), &hidden) {
            Ok(()) => {
                self.say(format!("saved: {}", self.render_command(&file, "FOLDER")));
                self.saved_path = Some(file);
            }
            Err(problem) => self.say(problem.to_string()),
        }
    }

    pub(super) fn render_path(&mut self, folder: PathBuf) {
        if self.keys.eyes.is_empty() {
            self.say("a path needs key frames: K adds one");
            return;
        }
        if !self.may_write(Target::Folder(&folder)) {
            return;
        }
        let Some(shot) = self.shot.clone() else { return };
        // Frames of several paths in one folder would be no path.
        let folder = files::free(&folder, |name| {
            std::fs::read_dir(name).map_or(files::is_there(name), |mut l| l.next().is_some())
        });
        let frames = self.keys.frames(self.num_frames(), self.path_size(), self.controls.unit());
        let job = PathJob::new(folder, frames);
        self.worker.render_path(job.shots(&shot));
        let (frames, folder) = (counted(job.frames.len(), "frame"), job.folder.display());
        self.say(format!("rendering {frames} into {folder} in the background"));
        self.path = Some(job);
    }

    /// Gives up the rest of the path that is rendered.
    pub(super) fn stop_path(&mut self) {
        self.worker.stop_path();
        self.path = None;
    }

    pub(super) fn load_path(&mut self, file: &Path) {
        if self.keys.unsaved && !self.keys.eyes.is_empty() && self.replacing.as_deref() != Some(file) {
            self.replacing = Some(file.to_owned());
            let unsaved = self.unsaved_keys();
            self.say(format!("{unsaved}: load once more to replace them"));
            return;
        }
        self.replacing = None;
        match Keys::load(file, &self.scene) {
            Ok(loaded) => {
                let note = loaded.warnings.first().map(|warning| format!("; {warning}")).unwrap_or_default();
                self.say(format!("{}{note}", key_frames(loaded.keys.eyes.len())));
                self.take_keys(loaded);
            }
            Err(problem) => self.say(problem.to_string()),
        }
    }

    /// Goes along other key frames from now on, as long as their file has frames.
    pub(super) fn take_keys(&mut self, loaded: Loaded) {
        self.playing = None;
        self.path_seconds = (loaded.frames as f64 / RATE).clamp(SECONDS[0], SECONDS[1]);
        self.keys = loaded.keys;
    }
}
