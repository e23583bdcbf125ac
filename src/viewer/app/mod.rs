//! The viewer itself, without a window: what is wanted, what is there, what is drawn.

pub mod closing;
pub mod command;
mod commands;
pub mod files;
mod follow;
pub mod look;
mod news;
mod out;
pub mod path;
mod picture;
pub mod stage;
pub mod stats;
mod way;
mod words;

use crate::controls::Controls;
use crate::controls::home::Home;
use crate::keys::Keys;
use crate::proxy::depth::DepthMap;
use crate::proxy::loader::Loader;
use crate::settings::Settings;
use crate::source::{Choices, FrameSource, Shot};
use crate::work::Worker;
use crate::{Error, Result};
use closing::{Closing, Kept};
pub use command::Command;
use files::MayWrite;
use follow::order;
pub use look::Look;
use path::PathJob;
use scene::fade::Fade;
use scene::{Camera, Scene};
use stage::Stage;
use stats::Stats;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Smallest side of a picture.
pub const LEAST: u32 = 8;

/// Makes the source of frames, on the thread that uses it.
pub type MakeSource = Box<dyn FnOnce() -> std::result::Result<Box<dyn FrameSource>, String> + Send>;

/// What a viewer is started with.
pub struct Start {
    /// The scene.
    pub scene: Arc<Scene>,
    /// What the source can be asked for.
    pub choices: Choices,
    /// Makes the source.
    pub make: MakeSource,
    /// Threads for photographs and their depth.
    pub threads: usize,
    /// The words that name the scene on the command line, options among them.
    pub scene_arguments: Vec<String>,
    /// Where to start instead of the home view.
    pub eye: Option<crate::eye::Eye>,
    /// What was remembered.
    pub settings: Settings,
    /// Where settings are remembered; none to remember nothing.
    pub settings_folder: Option<PathBuf>,
    /// Whether something may be written.
    pub may_write: MayWrite,
    /// When the scene was loaded, from which times are counted.
    pub loaded: Instant,
}

/// A source view's small picture for the window.
pub type Thumbnail = ((u32, u32), Vec<u8>);

/// The viewer.
pub struct App {
    /// The scene.
    pub scene: Arc<Scene>,
    /// What can be asked for.
    pub choices: Choices,
    /// How one moves.
    pub controls: Controls,
    /// What the user chose.
    pub look: Look,
    /// What is remembered.
    pub settings: Settings,
    /// The camera's way.
    pub keys: Keys,
    /// Seconds that the way takes.
    pub path_seconds: f64,
    /// Where on the way one is while it plays, from 0 to 1.
    pub playing: Option<f64>,
    /// The last place of the way that was asked for.
    pub scrub: f64,
    /// A path that is rendered.
    pub path: Option<PathJob>,
    /// Figures.
    pub stats: Stats,
    /// Text for the clipboard.
    pub copied: Option<String>,
    /// What was said last, and when.
    pub message: Option<(String, Instant)>,
    /// Why the network, or a file, failed last, for whoever cannot read messages.
    pub failed: Option<String>,
    /// Why the network makes nothing of what is looked at.
    network_failed: Option<String>,
    /// Whether the viewer is to be closed when it can be.
    pub closing: Closing,
    /// Whether the viewer is to be closed now.
    pub quit: bool,
    /// Small pictures of the source views.
    pub thumbnails: HashMap<usize, Thumbnail>,
    /// When there was a first picture, from when the scene was loaded.
    pub first_picture: Option<Duration>,
    /// Source views of the network's picture.
    pub sources: Vec<usize>,
    scene_arguments: Vec<String>,
    /// The path file that was saved last.
    saved_path: Option<PathBuf>,
    settings_folder: Option<PathBuf>,
    may_write: MayWrite,
    loaded: Instant,
    stage: Option<Stage>,
    loader: Loader,
    worker: Worker,
    /// Width and height of the picture in the window, in pixels.
    viewport: (u32, u32),
    /// Where in the picture one looks, from 0 to 1 in x and y.
    attention: [f64; 2],
    shot: Option<Shot>,
    /// Number of the shot that the network was asked for.
    asked: Option<u64>,
    changed: Instant,
    asked_at: Instant,
    /// Whether something was made that no frame has shown yet.
    unseen: bool,
    /// Seconds from when the network was asked to the levels of its picture.
    pub level_seconds: [Option<f64>; 3],
    reordered: Option<Instant>,
    /// Source views whose photographs are wanted, nearest first.
    wanted_views: Vec<usize>,
    maps: HashMap<usize, DepthMap>,
    /// What unseen pixels fade to, once it was asked for.
    fade: Option<Option<Fade>>,
    screenshots: Vec<PathBuf>,
    kept: Kept,
    /// The path file that is to be loaded although key frames are not saved, if that is asked for once more.
    replacing: Option<PathBuf>,
    home_view: usize,
}

impl App {
    /// Starts the threads. `wake` is called from them whenever [`tick`](Self::tick) has something to do.
    ///
    /// # Errors
    /// [`Error::Source`] if the scene has no views, or no thread can be started.
    pub fn new(start: Start, wake: impl Fn() + Send + Sync + Clone + 'static) -> Result<Self> {
        let Start { scene, choices, make, threads, scene_arguments, eye, settings, settings_folder, may_write, loaded } =
            start;
        let home =
            Home::of(&scene).ok_or_else(|| Error::Source(format!("{}: expected views, found none", scene.name)))?;
        let home_view = home.view;
        let mut controls = Controls::new(home);
        if let Some(eye) = &eye {
            controls.go_to(eye);
        } else if let Some(fov) = settings.fov {
            controls.set_fov_degrees(fov);
        }
        controls.jump();
        controls.speed = settings.speed;
        let loader = Loader::start(Arc::clone(&scene), threads, wake.clone());
        loader.want(order(&scene, &controls.eye().camera(scene.size())));
        let worker = Worker::start(make, wake)?;
        let now = Instant::now();
        let mut app = Self {
            scene,
            choices,
            controls,
            look: Look::default(),
            settings,
            keys: Keys::default(),
            path_seconds: 5.0,
            playing: None,
            scrub: 0.0,
            path: None,
            stats: Stats::default(),
            copied: None,
            message: None,
            failed: None,
            network_failed: None,
            closing: Closing::No,
            quit: false,
            thumbnails: HashMap::new(),
            first_picture: None,
            sources: Vec::new(),
            scene_arguments,
            saved_path: None,
            settings_folder,
            may_write,
            loaded,
            stage: None,
            loader,
            worker,
            viewport: (0, 0),
            attention: [0.5; 2],
            shot: None,
            asked: None,
            changed: now,
            asked_at: now,
            unseen: false,
            level_seconds: [None; 3],
            reordered: None,
            wanted_views: Vec::new(),
            maps: HashMap::new(),
            fade: None,
            screenshots: Vec::new(),
            kept: Kept::default(),
            replacing: None,
            home_view,
        };
        app.restore_keys();
        Ok(app)
    }

    /// Takes a graphics device to draw with, which may replace one that was lost: photographs are put on it again.
    pub fn set_stage(&mut self, stage: Stage) {
        if self.stage.replace(stage).is_some() {
            self.loader.forget(None);
            self.maps.clear();
            self.change();
        }
    }

    /// The graphics device, if there is one.
    pub fn stage(&self) -> Option<&Stage> {
        self.stage.as_ref()
    }

    /// Whether another device is needed.
    pub fn is_lost(&self) -> bool {
        self.stage.as_ref().is_some_and(|stage| stage.gpu.is_lost())
    }

    /// Takes textures of the ui that changed.
    pub fn take_textures(&mut self, mut textures: egui::TexturesDelta) {
        match &mut self.stage {
            Some(stage) => stage.take_textures(textures),
            // Whoever brings a device brings another ui.
            None => textures.clear(),
        }
    }

    /// Sets the size of the picture in the window, in pixels; nothing is drawn for 0.
    pub fn set_viewport(&mut self, size: (u32, u32)) {
        self.viewport = size;
    }

    /// Where in the picture one looks, in its pixels: what is there is made first. None for its middle.
    pub fn attend(&mut self, at: Option<[f64; 2]>) {
        let (width, height) = (f64::from(self.viewport.0.max(1)), f64::from(self.viewport.1.max(1)));
        let middle = at.map_or([0.5; 2], |[x, y]| [(x / width).clamp(0.0, 1.0), (y / height).clamp(0.0, 1.0)]);
        if self.attention != middle {
            self.attention = middle;
            self.worker.attend(middle);
        }
    }

    /// The camera at the size that the picture has in the window; none if that is too small.
    pub fn camera(&self) -> Option<Camera> {
        let (width, height) = self.viewport;
        (width >= LEAST && height >= LEAST).then(|| self.controls.eye().camera((width, height)))
    }

    /// Says something for a few seconds.
    pub fn say(&mut self, message: impl Into<String>) {
        self.message = Some((message.into(), Instant::now()));
    }

    /// Says that something failed.
    fn fail(&mut self, problem: String) {
        self.failed = Some(problem.clone());
        // Nobody would read it.
        self.closing = Closing::No;
        self.say(problem);
    }

    /// Lets `seconds` pass: fetches what was made, moves the camera, asks for what is missing. Returns whether a frame is
    /// due: something looks different, or soon will, and frames do not take too much of the time.
    pub fn tick(&mut self, seconds: f64) -> bool {
        self.unseen |= self.fetch_photos();
        self.unseen |= self.fetch_news();
        self.play(seconds);
        let moved = !self.controls.rests();
        self.controls.pass(seconds);
        self.loader.set_moving(!self.controls.rests() || self.playing.is_some());
        self.follow();
        self.keep_keys();
        self.close_when_done();
        let now = Instant::now();
        let faded = self.message.as_ref().is_some_and(|(_, then)| now - *then > Duration::from_secs(6));
        if faded {
            self.message = None;
        }
        let shows_more = self.unseen && self.stats.may_draw_more(now);
        let changed = shows_more || moved || faded || self.asked.is_none() || self.playing.is_some();
        self.unseen &= !changed;
        changed
    }

    /// Whether all photographs that are kept are there, with their depth.
    pub fn has_photographs(&self) -> bool {
        self.loader.is_done()
    }
}

impl Drop for App {
    fn drop(&mut self) {
        self.remember();
    }
}
