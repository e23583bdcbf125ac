//! What commands do.

use super::path::PathJob;
use super::{App, Command};
use crate::eye::Eye;
use crate::keys::{Keys, pose_in_file, pose_json};
use crate::work::parts::Level;
use glam::{DVec2, DVec3};
use std::path::PathBuf;

/// Frames a second of a path.
const RATE: f64 = 25.0;

impl App {
    /// Does what the user asks for.
    pub fn perform(&mut self, command: Command) {
        match command {
            Command::Show(kind) => self.look.kind = kind,
            Command::Model(model) if model < self.choices.models.len() => self.look.quality.model = model,
            Command::Samples(samples) if samples < self.choices.samples.len() => self.look.quality.samples = samples,
            Command::Model(_) | Command::Samples(_) => self.say("there is no such choice"),
            Command::Views(views) => self.look.quality.views = views.min(self.scene.views.len()),
            Command::Resolution(divide) => self.look.resolution = divide.clamp(1, 16),
            Command::HoldSharp(hold) => self.look.hold_sharp = hold,
            Command::LeaveOut(leave) => self.look.leave_out = leave,
            Command::Refine(refine) => self.look.refine = refine,
            Command::ToggleView(view) if view < self.scene.views.len() => {
                if !self.look.hidden.remove(&view) {
                    self.look.hidden.insert(view);
                }
                if self.look.hidden.len() == self.scene.views.len() {
                    self.look.hidden.remove(&view);
                    self.say("one source view has to stay");
                }
            }
            Command::AllViews => self.look.hidden.clear(),
            Command::GoToView(view) if view < self.scene.views.len() => self.go_to_view(view),
            Command::ToggleView(view) | Command::GoToView(view) => self.say(format!("there is no source view {view}")),
            Command::StepView(step) => {
                let count = self.scene.views.len() as i64;
                let from = self.controls.view().unwrap_or_else(|| self.nearest_view());
                self.go_to_view((from as i64 + step).rem_euclid(count.max(1)) as usize);
            }
            Command::Home => self.controls.go_home(),
            Command::Move(mode) => self.controls.mode = mode,
            Command::Fov(fov) => {
                self.controls.set_fov_degrees(fov);
                self.settings.fov = Some(self.controls.fov_degrees());
            }
            Command::Speed(speed) => self.controls.speed = speed.clamp(0.01, 20.0),
            Command::Panel(open) => self.settings.panel = open,
            Command::Help(open) => self.look.help = open,
            Command::Cameras(shown) => self.settings.cameras = shown,
            Command::Turn(pixels) => self.moves(|controls| controls.turn(DVec2::from(pixels))),
            Command::Pan(pixels) => {
                let height = f64::from(self.viewport.1);
                self.moves(|controls| controls.pan(DVec2::from(pixels), height));
            }
            Command::Zoom(factor) => self.moves(|controls| controls.zoom(factor)),
            Command::Wheel(lines) => self.moves(|controls| controls.wheel(lines)),
            Command::Pivot([x, y]) => self.pivot(x, y),
            Command::Fly(along) => {
                self.playing = None;
                self.controls.held.along = DVec3::from(along);
            }
            Command::Screenshot(file) => {
                self.screenshots.push(file);
                self.say("the screenshot is saved when the picture is complete");
                if self.is_full() {
                    self.save_screenshots();
                }
            }
            Command::CopyPose => self.copy_pose(),
            Command::CopyArgument => self.copy_argument(),
            Command::CopyRender => self.copy_render(),
            Command::AddKey => {
                self.keys.add(self.controls.eye());
                self.say(format!("key frame {}", self.keys.eyes.len()));
            }
            Command::RemoveKey(i) => self.keys.remove(i),
            Command::MoveKey(from, to) => self.keys.reorder(from, to),
            Command::GoToKey(i) => {
                if let Some(eye) = self.keys.eyes.get(i).copied() {
                    self.playing = None;
                    self.controls.go_to(&eye);
                }
            }
            Command::Play(play) => self.playing = (play && self.keys.eyes.len() > 1).then_some(0.0),
            Command::Scrub(part) => self.scrub_to(part),
            Command::PathSeconds(seconds) => self.path_seconds = seconds.clamp(0.2, 600.0),
            Command::SavePath(file) => self.save_path(file),
            Command::LoadPath(file) => match Keys::load(&file, &self.scene) {
                Ok((keys, warnings)) => {
                    let note = warnings.first().map(|warning| format!("; {warning}")).unwrap_or_default();
                    self.say(format!("{} key frames{note}", keys.eyes.len()));
                    self.keys = keys;
                }
                Err(problem) => self.say(problem.to_string()),
            },
            Command::RenderPath(folder) => self.render_path(folder),
            Command::StopPath => {
                self.worker.stop_path();
                self.path = None;
            }
            Command::LoseDevice => self.stage.iter().for_each(|stage| stage.gpu.device.destroy()),
            Command::Quit => self.quit = true,
        }
    }

    /// A movement by hand ends one that plays.
    fn moves(&mut self, change: impl FnOnce(&mut crate::controls::Controls)) {
        self.playing = None;
        change(&mut self.controls);
    }

    fn go_to_view(&mut self, view: usize) {
        self.playing = None;
        self.controls.go_to_view(view, &Eye::of(&self.scene.views[view].camera));
        self.say(format!("{} ({} of {})", self.scene.views[view].name, view + 1, self.scene.views.len()));
    }

    /// The source view nearest to where one stands.
    fn nearest_view(&self) -> usize {
        let camera = self.controls.eye().camera(self.scene.size());
        let all: Vec<usize> = (0..self.scene.views.len()).collect();
        let nearest = scene::nearest_sources(&self.scene, &camera, &all, 1);
        nearest.ok().and_then(|ids| ids.first().copied()).unwrap_or(self.home_view)
    }

    fn pivot(&mut self, x: f64, y: f64) {
        let (Some(camera), Some(depth)) = (self.camera(), self.depth_at(x, y)) else {
            self.say("nothing is known of the depth there");
            return;
        };
        let ray = camera.ray(glam::Vec2::new(x as f32, y as f32));
        self.moves(|controls| controls.look_at((ray.origin + ray.direction * depth).as_dvec3()));
    }

    /// Goes on along the path.
    pub(super) fn play(&mut self, seconds: f64) {
        let Some(at) = self.playing else { return };
        let next = at + seconds / self.path_seconds;
        self.scrub_to(next.min(1.0));
        self.playing = (next < 1.0).then_some(next);
    }

    fn scrub_to(&mut self, part: f64) {
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
    fn path_size(&self) -> (u32, u32) {
        self.shot.as_ref().map_or(self.scene.size(), |shot| (shot.camera.width, shot.camera.height))
    }

    fn save_path(&mut self, file: PathBuf) {
        let (count, size, unit) = (self.num_frames(), self.path_size(), self.controls.unit());
        match self.keys.save(&file, &self.scene, count, size, unit) {
            Ok(()) => {
                self.say(format!("saved: shiftray render {} --path {} -o FOLDER", self.scene_argument, file.display()))
            }
            Err(problem) => self.say(problem.to_string()),
        }
    }

    fn render_path(&mut self, folder: PathBuf) {
        if self.keys.eyes.is_empty() {
            self.say("a path needs key frames: K adds one");
            return;
        }
        let Some(shot) = self.shot.clone() else { return };
        let frames = self.keys.frames(self.num_frames(), self.path_size(), self.controls.unit());
        let job = PathJob::new(folder, frames);
        self.worker.render_path(job.shots(&shot));
        self.say(format!("{} frames are rendered in the background", job.frames.len()));
        self.path = Some(job);
    }

    /// Saves the screenshots that waited for the picture.
    pub(super) fn save_screenshots(&mut self) {
        for file in std::mem::take(&mut self.screenshots) {
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

    fn copy_pose(&mut self) {
        let pose = pose_json(&self.scene, &self.own_camera());
        self.copied = Some(serde_json::json!({ "frame": "file", "frames": [pose] }).to_string());
        self.say("the camera is in the clipboard, as a path file of one frame");
    }

    fn copy_argument(&mut self) {
        let rows = pose_in_file(&self.scene, &self.own_camera());
        let numbers: Vec<String> = rows.concat().iter().take(12).map(|v| format!("{v:.6}")).collect();
        self.copied = Some(format!("shiftray view {} --pose {}", self.scene_argument, numbers.join(",")));
        self.say("the command is in the clipboard");
    }

    fn copy_render(&mut self) {
        self.copied = Some(format!("shiftray render {} --path path.json -o frames", self.scene_argument));
        self.say("the command is in the clipboard; save the path as path.json");
    }

    /// Where key frames that were not saved are kept.
    fn unsaved_keys(&self) -> Option<PathBuf> {
        let folder = self.settings_folder.as_ref()?;
        Some(folder.join("unsaved").join(format!("{}.json", self.scene.name)))
    }

    /// Key frames that were not saved when the viewer was closed.
    pub(super) fn restore_keys(&mut self) {
        let Some(file) = self.unsaved_keys().filter(|file| file.is_file()) else { return };
        if let Ok((keys, _)) = Keys::load(&file, &self.scene) {
            self.say(format!("{} key frames of the last time, which were not saved", keys.eyes.len()));
            self.keys = Keys { unsaved: true, ..keys };
        }
    }

    /// Remembers settings, and key frames that were not saved: nothing is lost on closing.
    pub(super) fn remember(&mut self) {
        let Some(folder) = self.settings_folder.clone() else { return };
        self.settings.speed = self.controls.speed;
        if let Err(problem) = self.settings.save(&folder) {
            eprintln!("warning: {problem}");
        }
        let Some(file) = self.unsaved_keys() else { return };
        if self.keys.unsaved && !self.keys.eyes.is_empty() {
            let (count, size, unit) = (self.num_frames(), self.path_size(), self.controls.unit());
            let made = file.parent().map_or(Ok(()), std::fs::create_dir_all);
            match made
                .map_err(|e| e.to_string())
                .and_then(|()| self.keys.save(&file, &self.scene, count, size, unit).map_err(|e| e.to_string()))
            {
                Ok(()) => eprintln!("key frames are kept in {}", file.display()),
                Err(problem) => eprintln!("warning: key frames are lost: {problem}"),
            }
        } else if file.is_file() {
            // They were saved or removed meanwhile; a file that stays is offered again, which harms nobody.
            let _ = std::fs::remove_file(&file);
        }
    }
}
