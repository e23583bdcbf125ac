//! What leaves the viewer: screenshots, and words for the clipboard.

use super::App;
use super::files::{self, Target};
use crate::keys::{pose_in_file, pose_json};
use crate::work::parts::Level;
use std::path::Path;

impl App {
    /// Wants a picture in a file as soon as it is complete; under another name if there is such a file.
    pub(super) fn screenshot(&mut self, file: &Path) {
        if !self.may_write(Target::File(file)) {
            return;
        }
        let file =
            files::free(file, |name| files::is_there(name) || self.screenshots.iter().any(|other| other == name));
        self.say(format!("{} is saved when the picture is complete", file.display()));
        self.screenshots.push(file);
        if self.is_full() {
            self.save_screenshots();
        }
    }

    /// Saves the screenshots that waited for the picture.
    pub(super) fn save_screenshots(&mut self) {
        for file in std::mem::take(&mut self.screenshots) {
            // Somebody else may have taken the name while it waited.
            let file = files::free(&file, files::is_there);
            let saved = self.read(Level::Full).and_then(|image| Ok(scene::write::write_png(&file, &image)?));
            match saved {
                Ok(()) => self.say(format!("saved {}", file.display())),
                Err(problem) => self.fail(problem.to_string()),
            }
        }
    }

    /// Whether a screenshot waits for the picture.
    pub fn awaits_screenshot(&self) -> bool {
        !self.screenshots.is_empty()
    }

    /// The camera of the picture.
    fn own_camera(&self) -> scene::Camera {
        self.controls.eye().camera(self.path_size())
    }

    pub(super) fn copy_pose(&mut self) {
        let pose = pose_json(&self.scene, &self.own_camera());
        self.copied = Some(serde_json::json!({ "frame": "file", "frames": [pose] }).to_string());
        self.say("the camera is in the clipboard, as a path file of one frame");
    }

    pub(super) fn copy_argument(&mut self) {
        let rows = pose_in_file(&self.scene, &self.own_camera());
        let numbers: Vec<String> = rows.concat().iter().take(12).map(|v| format!("{v:.6}")).collect();
        self.copied = Some(format!("shiftray view {} --pose {}", self.scene_words(), numbers.join(",")));
        self.say("the command is in the clipboard");
    }

    pub(super) fn copy_render(&mut self) {
        let saved = self.saved_path.clone().filter(|_| !self.keys.unsaved);
        let file = saved.clone().unwrap_or_else(|| "path.json".into());
        self.copied = Some(self.render_command(&file, "frames"));
        self.say(match saved {
            Some(file) => format!("the command is in the clipboard; it renders {}", file.display()),
            None => "the command is in the clipboard; save the path as path.json".into(),
        });
    }

    /// The scene with the options that it was opened with, as a shell takes them.
    pub(super) fn scene_words(&self) -> String {
        self.scene_arguments.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ")
    }

    /// The command that renders a path file as it is rendered here. Views that are switched off are in the file.
    pub(super) fn render_command(&self, file: &Path, folder: &str) -> String {
        let quality = self.look.quality;
        let named = |list: &[String], i: usize| list.get(i).map(|name| quoted(name));
        let mut words =
            vec![format!("shiftray render {} --path {}", self.scene_words(), quoted(&file.to_string_lossy()))];
        words.extend(named(&self.choices.models, quality.model).map(|name| format!("--model {name}")));
        words.extend(
            named(&self.choices.samples, quality.samples)
                .filter(|_| quality.samples > 0)
                .map(|s| format!("--samples {s}")),
        );
        words.extend((quality.views > 0).then(|| format!("--views {}", quality.views)));
        words.push(format!("-o {folder}"));
        words.join(" ")
    }
}

/// A word as a shell takes it.
pub(super) fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "_-./+:".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn names_with_spaces_are_quoted() {
        assert_eq!(quoted("llff/fern"), "llff/fern");
        assert_eq!(quoted("my scene"), "'my scene'");
        assert_eq!(quoted("it's"), "'it'\\''s'");
        assert_eq!(quoted(""), "''");
    }
}
