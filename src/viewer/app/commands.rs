//! What commands do.

use super::closing::Closing;
use super::way::SECONDS;
use super::{App, Command};
use crate::eye::Eye;
use glam::{DVec2, DVec3};

impl App {
    /// Does what the user asks for.
    pub fn perform(&mut self, command: Command) {
        match command {
            Command::Show(kind) => {
                self.look.kind = kind;
                self.let_go();
            }
            Command::Model(model) if model < self.choices.models.len() => self.look.quality.model = model,
            Command::Samples(samples) if samples < self.choices.samples.len() => self.look.quality.samples = samples,
            Command::Model(_) | Command::Samples(_) => self.say("there is no such choice"),
            Command::Views(views) => self.look.quality.views = views.min(self.scene.views.len()),
            Command::Resolution(divide) => self.look.resolution = divide.clamp(1, 16),
            Command::HoldSharp(hold) => {
                self.look.hold_sharp = hold;
                self.let_go();
            }
            Command::LeaveOut(leave) => self.look.leave_out = leave,
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
            Command::Home => {
                self.playing = None;
                self.controls.go_home();
                self.settings.fov = None;
            }
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
            Command::Screenshot(file) => self.screenshot(&file),
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
            Command::Play(play) => {
                // From where it was stopped, or again.
                let from = if self.scrub < 1.0 { self.scrub } else { 0.0 };
                self.playing = (play && self.keys.eyes.len() > 1).then_some(from);
            }
            Command::Scrub(part) => {
                self.scrub_to(part);
                self.playing = self.playing.map(|_| self.scrub);
            }
            Command::PathSeconds(seconds) => self.path_seconds = seconds.clamp(SECONDS[0], SECONDS[1]),
            Command::SavePath(file) => self.save_path(file),
            Command::LoadPath(file) => self.load_path(&file),
            Command::RenderPath(folder) => self.render_path(folder),
            Command::StopPath => self.stop_path(),
            Command::LoseDevice => self.stage.iter().for_each(|stage| stage.gpu.device.destroy()),
            Command::Close => self.close(),
            Command::CloseWhenDone => self.closing = Closing::WhenDone,
            Command::Stay => self.closing = Closing::No,
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
        let (Some(camera), Some(depth)) = (self.shown_camera(), self.depth_at(x, y)) else {
            self.say("nothing is known of the depth there");
            return;
        };
        let ray = camera.ray(glam::Vec2::new(x as f32, y as f32));
        self.moves(|controls| controls.look_at((ray.origin + ray.direction * depth).as_dvec3()));
    }
}
