//! The viewer itself, without a window: what is wanted, what is there, what is drawn.

pub mod command;
mod commands;
pub mod path;
pub mod stage;
pub mod stats;

use crate::controls::Controls;
use crate::controls::home::Home;
use crate::keys::Keys;
use crate::present::{Kind, Made};
use crate::proxy::depth::{DepthMap, merge};
use crate::proxy::loader::{Loaded, Loader};
use crate::proxy::pass::MOST_PHOTOS;
use crate::proxy::views::{self, Chosen};
use crate::settings::Settings;
use crate::source::{Choices, FrameSource, Quality, Shot, grid_size};
use crate::work::parts::{Canvas, Level};
use crate::work::{News, Purpose, Worker};
use crate::{Error, Result};
pub use command::Command;
use path::PathJob;
use scene::{Camera, Scene};
use stage::{Paint, Picture, Stage};
use stats::Stats;
use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long a camera rests before the network is asked: less than anyone notices, longer than from one frame of a drag to
/// the next.
const REST: Duration = Duration::from_millis(60);
/// How often the order of background work follows the camera.
const REORDER: Duration = Duration::from_millis(300);
/// Source views with which the network's depth of another is compared.
const COMPARED: usize = 5;
/// Smallest side of a picture.
const LEAST: u32 = 8;

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
    /// The words that name the scene on the command line.
    pub scene_argument: String,
    /// Where to start instead of the home view.
    pub eye: Option<crate::eye::Eye>,
    /// What was remembered.
    pub settings: Settings,
    /// Where settings are remembered; none to remember nothing.
    pub settings_folder: Option<PathBuf>,
    /// When the scene was loaded, from which times are counted.
    pub loaded: Instant,
}

/// What the user chose.
#[derive(Clone, Debug)]
pub struct Look {
    /// What is shown of the picture.
    pub kind: Kind,
    /// How well it is made.
    pub quality: Quality,
    /// Pixels of the window for one of the picture.
    pub resolution: u32,
    /// Whether the last complete picture stays until a new one is complete.
    pub hold_sharp: bool,
    /// Whether the photograph at which one stands is left out of the sources.
    pub leave_out: bool,
    /// Whether depth of the source views is refined by the network.
    pub refine: bool,
    /// Source views that are switched off.
    pub hidden: BTreeSet<usize>,
    /// Whether the help is open.
    pub help: bool,
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
    /// Whether the viewer is to be closed.
    pub quit: bool,
    /// Small pictures of the source views.
    pub thumbnails: HashMap<usize, Thumbnail>,
    /// When there was a first picture, from when the scene was loaded.
    pub first_picture: Option<Duration>,
    /// Source views of the network's picture.
    pub sources: Vec<usize>,
    scene_argument: String,
    settings_folder: Option<PathBuf>,
    loaded: Instant,
    stage: Option<Stage>,
    loader: Loader,
    worker: Worker,
    /// Width and height of the picture in the window, in pixels.
    viewport: (u32, u32),
    shot: Option<Shot>,
    /// Number of the shot that the network was asked for.
    asked: Option<u64>,
    changed: Instant,
    asked_at: Instant,
    /// Seconds from when the network was asked to the levels of its picture.
    pub level_seconds: [Option<f64>; 2],
    reordered: Option<Instant>,
    maps: HashMap<usize, DepthMap>,
    /// Source views whose depth the network was asked for, and what is known of it.
    refining: HashMap<usize, (u32, Canvas)>,
    refined: BTreeSet<usize>,
    screenshots: Vec<PathBuf>,
    home_view: usize,
}

impl App {
    /// Starts the threads. `wake` is called from them whenever [`tick`](Self::tick) has something to do.
    ///
    /// # Errors
    /// [`Error::Source`] if the scene has no views, or no thread can be started.
    pub fn new(start: Start, wake: impl Fn() + Send + Sync + Clone + 'static) -> Result<Self> {
        let Start { scene, choices, make, threads, scene_argument, eye, settings, settings_folder, loaded } = start;
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
        let look = Look {
            kind: Kind::Colour,
            quality: Quality::default(),
            resolution: 1,
            hold_sharp: false,
            leave_out: false,
            refine: true,
            hidden: BTreeSet::new(),
            help: false,
        };
        let mut app = Self {
            scene,
            choices,
            controls,
            look,
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
            quit: false,
            thumbnails: HashMap::new(),
            first_picture: None,
            sources: Vec::new(),
            scene_argument,
            settings_folder,
            loaded,
            stage: None,
            loader,
            worker,
            viewport: (0, 0),
            shot: None,
            asked: None,
            changed: now,
            asked_at: now,
            level_seconds: [None; 2],
            reordered: None,
            maps: HashMap::new(),
            refining: HashMap::new(),
            refined: BTreeSet::new(),
            screenshots: Vec::new(),
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
            self.refined.clear();
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

    /// Sets the size of the picture in the window, in pixels; nothing is drawn for 0.
    pub fn set_viewport(&mut self, size: (u32, u32)) {
        self.viewport = size;
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
        self.say(problem);
    }

    /// Lets `seconds` pass: fetches what was made, moves the camera, asks for what is missing. Returns whether something
    /// may look different, or soon will.
    pub fn tick(&mut self, seconds: f64) -> bool {
        let mut news = self.fetch_photos();
        news |= self.fetch_news();
        self.play(seconds);
        let moved = !self.controls.rests();
        self.controls.pass(seconds);
        self.follow();
        let now = Instant::now();
        let faded = self.message.as_ref().is_some_and(|(_, then)| now - *then > Duration::from_secs(6));
        if faded {
            self.message = None;
        }
        news || moved || faded || self.asked.is_none() || self.playing.is_some()
    }

    /// Photographs and their depth.
    fn fetch_photos(&mut self) -> bool {
        if self.is_lost() {
            return false; // They wait for another device.
        }
        let Some(stage) = &mut self.stage else { return false };
        let loaded = self.loader.loaded();
        let any = !loaded.is_empty();
        for item in loaded {
            match item {
                Loaded::Photo { view, size, rgba, thumbnail } => {
                    self.thumbnails.insert(view, thumbnail);
                    let camera = &self.scene.views[view].camera;
                    let given_up = stage.proxy.put_photo(&stage.gpu, view, camera, size, &rgba);
                    if !given_up.is_empty() {
                        self.loader.forget(Some(&given_up));
                        for view in given_up {
                            self.maps.remove(&view);
                            self.refined.remove(&view);
                        }
                    }
                }
                Loaded::Depth(view, map) => {
                    // The network's is better.
                    if !self.refined.contains(&view) {
                        stage.proxy.put_depth(&stage.gpu, view, &map);
                        self.maps.insert(view, map);
                    }
                }
                Loaded::Failed(_, problem) => self.message = Some((problem, Instant::now())),
            }
        }
        any
    }

    /// What the network made.
    fn fetch_news(&mut self) -> bool {
        let all = self.worker.news();
        let any = !all.is_empty();
        for news in all {
            match news {
                News::Begun(Purpose::Look(number), opened) if self.asked == Some(number) => {
                    if let (Some(stage), Some(shot)) = (&mut self.stage, &self.shot) {
                        stage.made = Some(Made::new(&stage.gpu, &shot.camera, &opened));
                    }
                    self.sources = opened.sources;
                }
                News::Made { purpose: Purpose::Look(number), level, patch, seconds } if self.asked == Some(number) => {
                    self.stats.made(Instant::now(), &patch, seconds);
                    if let Some(Stage { made: Some(made), gpu, .. }) = &mut self.stage {
                        made.put(gpu, level, &patch);
                        let reached = made.level();
                        let seconds = self.asked_at.elapsed().as_secs_f64();
                        for (level, at) in [Level::Coarse, Level::Full].iter().zip(&mut self.level_seconds) {
                            if reached >= *level {
                                at.get_or_insert(seconds);
                            }
                        }
                    }
                }
                News::Finished(Purpose::Look(number)) if self.asked == Some(number) => {
                    if let Some(stage) = &mut self.stage {
                        stage.held = None;
                    }
                    self.save_screenshots();
                }
                News::Begun(Purpose::Depth(view), opened) => {
                    let size = grid_size(self.scene.size(), opened.cell);
                    self.refining.insert(view, (opened.cell, Canvas::new(size)));
                }
                News::Made { purpose: Purpose::Depth(view), patch, .. } => {
                    if let Some((_, canvas)) = self.refining.get_mut(&view) {
                        canvas.put(&patch);
                    }
                }
                News::Finished(Purpose::Depth(view)) => self.refine(view),
                News::Made { purpose: Purpose::Path(frame), level: Level::Full, patch, .. } => {
                    self.path.iter_mut().for_each(|path| path.put(frame, &patch));
                }
                News::Finished(Purpose::Path(frame)) => {
                    let finished = self.path.as_mut().map(|path| path.finish(frame).map(|()| path.is_done()));
                    match finished {
                        Some(Ok(true)) => {
                            let count = self.path.take().map_or(0, |path| path.frames.len());
                            self.say(format!("the path is rendered: {count} frames"));
                        }
                        Some(Err(problem)) => {
                            self.worker.stop_path();
                            self.path = None;
                            self.fail(problem.to_string());
                        }
                        _ => {}
                    }
                }
                News::Failed(purpose, problem) => {
                    if let Purpose::Depth(view) = purpose {
                        self.refining.remove(&view);
                    }
                    self.fail(problem);
                }
                _ => {}
            }
        }
        any
    }

    /// The network has told a source view's depth.
    fn refine(&mut self, view: usize) {
        let Some((cell, canvas)) = self.refining.remove(&view) else { return };
        let Some(map) = DepthMap::of_grid(&self.scene.views[view].camera, cell, &canvas) else { return };
        let Some(swept) = self.maps.get(&view) else { return };
        let near = order(&self.scene, &self.scene.views[view].camera).into_iter().filter(|other| *other != view);
        let others: Vec<&DepthMap> = near.filter_map(|other| self.maps.get(&other)).take(COMPARED).collect();
        let map = merge(map, swept, &others);
        if let Some(stage) = &mut self.stage {
            stage.proxy.put_depth(&stage.gpu, view, &map);
            self.refined.insert(view);
            self.maps.insert(view, map);
        }
    }

    /// Has the network follow the camera: gives up what is under way when it moves, asks when it rests.
    fn follow(&mut self) {
        let shot = self.wanted_shot();
        if shot != self.shot {
            self.shot = shot;
            self.change();
        }
        let now = Instant::now();
        let rests = self.controls.rests() && self.playing.is_none();
        if self.asked.is_none() && rests && now - self.changed >= REST && self.stage.is_some() {
            self.worker.set_moving(false);
            if let Some(shot) = &self.shot {
                self.asked = Some(self.worker.look(shot.clone(), [0.5; 2]));
                self.asked_at = now;
            }
        }
        if self.reordered.is_none_or(|then| now - then > REORDER)
            && let Some(camera) = self.camera()
        {
            self.reordered = Some(now);
            let order = order(&self.scene, &camera);
            self.want_depth(&order);
            self.loader.want(order);
        }
    }

    /// The next source view whose depth the network should tell, if it has nothing else to do.
    fn want_depth(&mut self, order: &[usize]) {
        let idle = self.asked.is_some() && self.worker.waiting().1 == 0 && self.refining.is_empty();
        let full =
            self.stage.as_ref().is_some_and(|stage| stage.made.as_ref().is_some_and(|made| made.full.is_whole()));
        if !self.look.refine || !idle || !full || !self.loader.is_done() {
            return;
        }
        let rough = order.iter().find(|view| !self.refined.contains(view) && self.maps.contains_key(view));
        if let Some(view) = rough {
            let camera = self.scene.views[*view].camera;
            let quality = Quality { views: 0, ..self.look.quality };
            self.worker.want_depth([(*view, Shot { camera, truth: None, excluded: vec![*view], quality })]);
        }
    }

    /// What is shown is not what is wanted any more.
    fn change(&mut self) {
        self.worker.rest();
        self.worker.set_moving(true);
        (self.asked, self.changed, self.level_seconds) = (None, Instant::now(), [None; 2]);
        self.stats.begin();
        if let Some(stage) = &mut self.stage {
            let old = stage.made.take().filter(|made| made.full.is_whole());
            stage.held = if self.look.hold_sharp { old.or(stage.held.take()) } else { None };
        }
    }

    /// The shot that the network should make.
    fn wanted_shot(&self) -> Option<Shot> {
        let (width, height) = self.viewport;
        let divide = self.look.resolution.max(1);
        let size = ((width / divide).max(LEAST), (height / divide).max(LEAST));
        self.camera()?;
        Some(Shot {
            camera: self.controls.eye().camera(size),
            truth: self.left_out(),
            excluded: self.look.hidden.iter().copied().collect(),
            quality: self.look.quality,
        })
    }

    /// The source view that is left out, since one stands there.
    pub fn left_out(&self) -> Option<usize> {
        self.controls.view().filter(|_| self.look.leave_out || self.look.kind == Kind::Error)
    }

    /// Photographs of the proxy.
    fn chosen(&self, camera: &Camera) -> Vec<Chosen> {
        let Some(stage) = &self.stage else { return Vec::new() };
        let truth = self.left_out();
        let frame = scene::Frame { name: String::new(), camera: *camera, truth, excluded: Vec::new() };
        let allowed = scene::paths::source_candidates(&self.scene, &frame);
        let mut ready = stage.proxy.ready();
        ready.retain(|view| allowed.binary_search(view).is_ok() && !self.look.hidden.contains(view));
        views::choose(&self.scene, camera, &ready)
    }

    /// The level that is shown; none while there is no picture at all.
    pub fn level(&self) -> Option<Level> {
        let stage = self.stage.as_ref()?;
        match stage.shown() {
            Some(made) => Some(made.level()),
            None => (!stage.proxy.ready().is_empty()).then_some(Level::Proxy),
        }
    }

    /// Whether the best picture is there, of what is wanted now.
    pub fn is_full(&self) -> bool {
        let stage = self.stage.as_ref();
        let same = self.shot.is_some() && self.wanted_shot() == self.shot;
        same && self.asked.is_some() && stage.is_some_and(|s| s.made.as_ref().is_some_and(|made| made.full.is_whole()))
    }

    /// Depths of the colour map.
    pub fn depth_range(&self) -> [f32; 2] {
        self.scene.depth_range(1.2)
    }

    /// Draws the picture at `origin` of a target, unless the device is lost, and what is painted over it.
    pub fn draw(&mut self, paint: &Paint, target: &wgpu::TextureView, size: (u32, u32), origin: (u32, u32)) {
        if self.is_lost() {
            return; // Whoever has the window gives another device.
        }
        let camera = self.camera();
        let chosen = camera.as_ref().map(|camera| self.chosen(camera)).unwrap_or_default();
        let ready = self.level().is_some() || self.stage.as_ref().is_some_and(|stage| stage.held.is_some());
        let scene = Arc::clone(&self.scene);
        let (range, truth, kind) = (self.depth_range(), self.controls.view(), self.look.kind);
        let Some(stage) = &mut self.stage else { return };
        let picture = camera.as_ref().filter(|_| ready).map(|camera| Picture {
            camera,
            near: 0.05 * scene.near,
            chosen: &chosen,
            kind,
            range,
            level: Level::Full,
            truth: truth.map(|view| (view, &scene.views[view].camera)),
        });
        stage.draw(picture.as_ref(), paint, target, size, origin);
        if picture.is_some() && self.first_picture.is_none() {
            stage.gpu.finish();
            self.first_picture = Some(self.loaded.elapsed());
        }
        if let Some(problem) = stage.gpu.problem().filter(|_| !stage.gpu.is_lost()) {
            self.say(problem);
        }
    }

    /// The picture as it is shown, without the panel, up to a level and at the size of the network's picture.
    ///
    /// # Errors
    /// [`Error::Graphics`] if there is no device, or it is lost.
    pub fn read(&mut self, level: Level) -> Result<scene::Image> {
        let camera = self.shot.as_ref().map(|shot| shot.camera).or(self.camera());
        let camera = camera.ok_or_else(|| Error::Graphics("the picture has no size".into()))?;
        let chosen = self.chosen(&camera);
        let scene = Arc::clone(&self.scene);
        let (range, truth, kind) = (self.depth_range(), self.controls.view(), self.look.kind);
        let stage = self.stage.as_mut().ok_or_else(|| Error::Graphics("there is no device".into()))?;
        stage.read(&Picture {
            camera: &camera,
            near: 0.05 * scene.near,
            chosen: &chosen,
            kind,
            range,
            level,
            truth: truth.map(|view| (view, &scene.views[view].camera)),
        })
    }

    /// Depth at a pixel of the window's picture: the network's where it is known, else that of the source views.
    pub fn depth_at(&self, x: f64, y: f64) -> Option<f32> {
        let camera = self.camera()?;
        let stage = self.stage.as_ref()?;
        let (u, v) = (x / f64::from(camera.width), y / f64::from(camera.height));
        if !(0.0..1.0).contains(&u) || !(0.0..1.0).contains(&v) {
            return None;
        }
        let made = stage.made.as_ref().and_then(|made| {
            let (width, height) = made.full.size;
            made.depth((u * f64::from(width)) as u32, (v * f64::from(height)) as u32)
        });
        let of_maps = || {
            let chosen = self.chosen(&camera);
            let maps: Vec<&DepthMap> = chosen.iter().filter_map(|one| self.maps.get(&one.view)).collect();
            let ray = camera.ray(glam::Vec2::new(x as f32, y as f32));
            crate::proxy::depth::meet(&ray, &maps, self.depth_range())
        };
        made.or_else(of_maps)
    }

    /// What is going on in the background, in words.
    pub fn background(&self) -> Vec<String> {
        let mut words = Vec::new();
        if !self.loader.is_done() {
            words.push(format!("photographs and their depth: {} of {}", self.maps.len(), self.wanted_photos()));
        }
        if let Some(view) = self.refining.keys().next() {
            words.push(format!("depth of {} by the network", self.scene.views[*view].name));
        }
        if let Some(path) = &self.path {
            words.push(format!("path: {} of {} frames", path.written, path.frames.len()));
        }
        words
    }

    /// Whether the network is asked as soon as the camera has rested for a moment.
    pub fn awaits_network(&self) -> bool {
        self.asked.is_none()
    }

    /// Whether all photographs that are kept are there, with their depth.
    pub fn has_photographs(&self) -> bool {
        self.loader.is_done()
    }

    fn wanted_photos(&self) -> usize {
        self.scene.views.len().min(MOST_PHOTOS)
    }

    /// Number of source views whose depth the network has told.
    pub fn num_refined(&self) -> usize {
        self.refined.len()
    }

    /// What level is shown, in words for the corner.
    pub fn level_words(&self) -> String {
        let Some(stage) = &self.stage else { return "no graphics device".into() };
        let size = |(width, height): (u32, u32)| format!("{width}×{height}");
        if let Some(held) = &stage.held {
            return format!("network, {}: the last complete picture, held", size(held.full.size));
        }
        let part = |canvas: &Canvas| 100 * canvas.known / canvas.texels.len().max(1);
        match (&stage.made, self.level()) {
            (Some(made), Some(Level::Full)) => format!("network, {}: complete", size(made.full.size)),
            (Some(made), Some(Level::Coarse)) if made.full.known > 0 => {
                format!(
                    "network, {}: {} %, elsewhere every {}th pixel",
                    size(made.full.size),
                    part(&made.full),
                    made.cell
                )
            }
            (Some(made), Some(Level::Coarse)) => {
                format!("network at every {}th pixel, detail from photographs", made.cell)
            }
            (Some(made), _) if made.coarse.known > 0 => {
                format!("photographs through depth; network at every {}th pixel: {} %", made.cell, part(&made.coarse))
            }
            (_, Some(Level::Proxy)) => "photographs through depth".into(),
            _ => "reading photographs".into(),
        }
    }
}

impl Drop for App {
    fn drop(&mut self) {
        self.remember();
    }
}

/// Source views in the order in which they matter for a camera; as many as are kept.
fn order(scene: &Scene, camera: &Camera) -> Vec<usize> {
    let all: Vec<usize> = (0..scene.views.len()).collect();
    scene::nearest_sources(scene, camera, &all, MOST_PHOTOS).unwrap_or_default()
}
