//! Photographs and their first depth, made on threads of their own: those wanted most first, so that there is a picture
//! before all are there.

use super::depth::{DepthMap, compare};
use super::sweep::{Small, sweep};
use crate::background::step_back;
use glam::Vec3;
use scene::{Image, Scene, resample};
use std::collections::HashMap;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

/// Photographs that are swept among themselves as soon as they are there.
const FIRST: usize = 4;
/// Views that a view is compared with.
const OTHERS: usize = 5;
/// Longest side of a photograph on the graphics device.
const LONGEST: u32 = 1024;
/// Longest side of the pictures that are compared.
const SMALL: u32 = 128;
/// Longest side of thumbnails.
const THUMBNAIL: u32 = 64;

/// What the threads made.
#[derive(Debug)]
pub enum Loaded {
    /// A photograph.
    Photo {
        /// The view.
        view: usize,
        /// Width and height.
        size: (u32, u32),
        /// Four bytes a pixel.
        rgba: Vec<u8>,
        /// A small picture, with its width and height, in the same form.
        thumbnail: ((u32, u32), Vec<u8>),
    },
    /// Depth of a view.
    Depth(usize, DepthMap),
    /// A photograph that cannot be read, and why.
    Failed(usize, String),
}

/// What is known of a view.
#[derive(Debug, Default)]
struct Known {
    small: Option<Arc<Small>>,
    /// Others, nearest first.
    neighbours: Vec<usize>,
    /// Somebody reads or sweeps it.
    taken: bool,
    failed: bool,
    map: Option<Arc<DepthMap>>,
    /// With how many others it was swept.
    others: usize,
    compared: bool,
}

#[derive(Debug, Default)]
struct Desk {
    order: Vec<usize>,
    known: HashMap<usize, Known>,
    /// The camera moves.
    moving: bool,
    /// Threads that have a task.
    working: usize,
    quit: bool,
}

/// Something to do.
enum Task {
    Read(usize),
    Sweep(usize, Arc<Small>, Vec<Arc<Small>>),
    Compare(usize, DepthMap, Vec<Arc<DepthMap>>),
}

struct Office {
    desk: Mutex<Desk>,
    changed: Condvar,
    scene: Arc<Scene>,
    wake: Box<dyn Fn() + Send + Sync>,
}

impl Office {
    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The threads.
pub struct Loader {
    office: Arc<Office>,
    loaded: Option<Receiver<Loaded>>,
    threads: Vec<JoinHandle<()>>,
}

impl Loader {
    /// Starts `threads` of them; `wake` is called whenever something is there.
    pub fn start(scene: Arc<Scene>, threads: usize, wake: impl Fn() + Send + Sync + 'static) -> Self {
        let office = Arc::new(Office { desk: Mutex::default(), changed: Condvar::new(), scene, wake: Box::new(wake) });
        // Bounded: photographs that nobody fetches wait in their files.
        let (sender, loaded) = sync_channel(8);
        let run = |_| {
            let (office, sender) = (Arc::clone(&office), sender.clone());
            let run = move || {
                step_back();
                work(&office, &sender);
            };
            std::thread::Builder::new().name("photographs".into()).spawn(run).ok()
        };
        let threads = (0..threads.max(1)).filter_map(run).collect();
        Self { office, loaded: Some(loaded), threads }
    }

    /// Wants these views, in this order; what is not wanted any more is not begun.
    pub fn want(&self, order: Vec<usize>) {
        let mut desk = self.office.desk();
        if desk.order != order {
            desk.order = order;
            self.office.changed.notify_all();
        }
    }

    /// Whether the camera moves. Once there is a picture, one thread has to be enough meanwhile: the others' time is that of
    /// the frames that follow the camera.
    pub fn set_moving(&self, moving: bool) {
        let mut desk = self.office.desk();
        if desk.moving != moving {
            desk.moving = moving;
            self.office.changed.notify_all();
        }
    }

    /// Forgets views, which are read again when they are wanted; of all views, if none are named.
    pub fn forget(&self, views: Option<&[usize]>) {
        let mut desk = self.office.desk();
        match views {
            Some(views) => views.iter().for_each(|view| drop(desk.known.remove(view))),
            None => desk.known.clear(),
        }
        self.office.changed.notify_all();
    }

    /// What was made since.
    pub fn loaded(&self) -> Vec<Loaded> {
        self.loaded.iter().flat_map(Receiver::try_iter).collect()
    }

    /// Whether nothing that is wanted is left to do.
    pub fn is_done(&self) -> bool {
        let desk = self.office.desk();
        !desk.order.iter().any(|view| desk.known.get(view).is_none_or(|known| known.taken)) && desk.next().is_none()
    }
}

impl Drop for Loader {
    fn drop(&mut self) {
        self.office.desk().quit = true;
        self.office.changed.notify_all();
        // Whoever waits for room is let go.
        self.loaded = None;
        for thread in self.threads.drain(..) {
            // A thread that panicked has said so itself.
            let _ = thread.join();
        }
    }
}

impl Desk {
    /// The next thing to do: the first few photographs, their depth, all others, depth with more others, comparison.
    fn next(&self) -> Option<Task> {
        let unread = |view: &&usize| {
            self.known.get(view).is_none_or(|known| known.small.is_none() && !known.taken && !known.failed)
        };
        let first = &self.order[..FIRST.min(self.order.len())];
        if let Some(view) = first.iter().find(unread) {
            return Some(Task::Read(*view));
        }
        let all_there = first.iter().all(|view| self.known.get(view).is_some_and(|k| k.small.is_some() || k.failed));
        if all_there && let Some(task) = first.iter().find_map(|view| self.sweep(*view, 0)) {
            return Some(task);
        }
        if let Some(view) = self.order.iter().find(unread) {
            return Some(Task::Read(*view));
        }
        let swept = self.order.iter().find_map(|view| self.sweep(*view, OTHERS - 1));
        swept.or_else(|| self.order.iter().find_map(|view| self.comparison(*view)))
    }

    /// Depth of a view that has none, or one from few others where there are more than `least` now.
    fn sweep(&self, view: usize, least: usize) -> Option<Task> {
        let known = self.known.get(&view).filter(|known| !known.taken)?;
        let own = known.small.as_ref()?;
        let smalls = known.neighbours.iter().filter_map(|other| self.known.get(other)?.small.clone());
        let others: Vec<Arc<Small>> = smalls.take(OTHERS).collect();
        let better = others.len() > known.others.max(least) || known.map.is_none();
        better.then(|| Task::Sweep(view, Arc::clone(own), others))
    }

    /// A comparison of a view's depth with that of others, when all that are wanted have one.
    fn comparison(&self, view: usize) -> Option<Task> {
        let ready = |view: &usize| self.known.get(view).is_some_and(|known| known.map.is_some() || known.failed);
        let known = self.known.get(&view).filter(|known| !known.taken && !known.compared)?;
        let map = known.map.as_ref().filter(|_| self.order.iter().all(ready))?;
        let others = known.neighbours.iter().filter_map(|other| self.known.get(other)?.map.clone()).take(OTHERS);
        Some(Task::Compare(view, DepthMap::clone(map), others.collect()))
    }
}

fn work(office: &Office, sender: &SyncSender<Loaded>) {
    loop {
        let task = {
            let mut desk = office.desk();
            loop {
                if desk.quit {
                    return;
                }
                let enough = desk.moving && desk.working > 0 && desk.known.values().any(|known| known.map.is_some());
                if let Some(task) = if enough { None } else { desk.next() } {
                    desk.working += 1;
                    let (Task::Read(view) | Task::Sweep(view, ..) | Task::Compare(view, ..)) = &task;
                    desk.known.entry(*view).or_default().taken = true;
                    break task;
                }
                desk = office.changed.wait(desk).unwrap_or_else(PoisonError::into_inner);
            }
        };
        let loaded = done(office, task);
        office.desk().working -= 1;
        office.changed.notify_all();
        if sender.send(loaded).is_err() {
            return; // Nobody wants it any more.
        }
        (office.wake)();
    }
}

/// Does a task and notes it.
fn done(office: &Office, task: Task) -> Loaded {
    let scene = &office.scene;
    let range = scene.depth_range(1.2);
    match task {
        Task::Read(view) => {
            let read = scene.views[view].load_image().and_then(|image| pictures(&image, scene, view));
            let others: Vec<usize> = (0..scene.views.len()).filter(|other| *other != view).collect();
            let near = scene::nearest_sources(scene, &scene.views[view].camera, &others, 2 * OTHERS);
            let mut desk = office.desk();
            let known = desk.known.entry(view).or_default();
            (known.taken, known.neighbours) = (false, near.unwrap_or_default());
            match read {
                Ok((small, loaded)) => {
                    known.small = Some(Arc::new(small));
                    loaded
                }
                Err(problem) => {
                    known.failed = true;
                    Loaded::Failed(view, problem.to_string())
                }
            }
        }
        Task::Sweep(view, own, others) => {
            let map = sweep(&own, &others.iter().map(Arc::as_ref).collect::<Vec<_>>(), range);
            let mut desk = office.desk();
            // If it was forgotten meanwhile it is read again when wanted.
            if let Some(known) = desk.known.get_mut(&view) {
                (known.taken, known.compared, known.others) = (false, false, others.len());
                known.map = Some(Arc::new(map.clone()));
            }
            Loaded::Depth(view, map)
        }
        Task::Compare(view, mut map, others) => {
            compare(&mut map, &others.iter().map(Arc::as_ref).collect::<Vec<_>>());
            let mut desk = office.desk();
            if let Some(known) = desk.known.get_mut(&view) {
                // The map that others are compared with stays as it was swept.
                (known.taken, known.compared) = (false, true);
            }
            Loaded::Depth(view, map)
        }
    }
}

/// A photograph in the sizes that are needed.
fn pictures(image: &Image, scene: &Scene, view: usize) -> scene::Result<(Small, Loaded)> {
    let reduced = |longest: u32| {
        let (width, height) = (image.width, image.height);
        let part = f64::from(longest) / f64::from(width.max(height));
        let side = |length: u32| if part < 1.0 { ((f64::from(length) * part).round() as u32).max(1) } else { length };
        resample::area_downscale(image, side(width), side(height))
    };
    let rgba = |image: &Image| -> Vec<u8> {
        image.to_rgb8().as_chunks::<3>().0.iter().flat_map(|[r, g, b]| [*r, *g, *b, 255]).collect()
    };
    let (photo, small, thumbnail) = (reduced(LONGEST)?, reduced(SMALL)?, reduced(THUMBNAIL)?);
    let camera = scene.views[view].camera.resized(small.width, small.height);
    let colours = small.data.as_chunks::<3>().0.iter().map(|rgb| Vec3::from(*rgb)).collect();
    let loaded = Loaded::Photo {
        view,
        size: (photo.width, photo.height),
        rgba: rgba(&photo),
        thumbnail: ((thumbnail.width, thumbnail.height), rgba(&thumbnail)),
    };
    Ok((Small { camera, rgb: colours }, loaded))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;
    use std::time::{Duration, Instant};

    fn still_life() -> Scene {
        let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../scenes/still-life"));
        scene::formats::load(root, &Default::default()).unwrap()
    }

    /// The first few photographs come first, then their depth, then the rest; in the end all have a depth.
    #[test]
    fn what_is_wanted_most_comes_first() {
        let scene = Arc::new(still_life());
        let count = scene.views.len();
        let loader = Loader::start(Arc::clone(&scene), 2, || ());
        let order: Vec<usize> = (0..count).rev().collect();
        loader.want(order.clone());
        let (mut photos, mut maps, started) = (Vec::new(), Vec::new(), Instant::now());
        while !loader.is_done() {
            assert!(started.elapsed() < Duration::from_secs(60), "{photos:?} {maps:?}");
            for loaded in loader.loaded() {
                match loaded {
                    Loaded::Photo { view, size, rgba, thumbnail: (small, pixels) } => {
                        assert_eq!(rgba.len(), 4 * (size.0 * size.1) as usize);
                        assert_eq!(pixels.len(), 4 * (small.0 * small.1) as usize);
                        photos.push(view);
                    }
                    Loaded::Depth(view, map) => {
                        if maps.len() < FIRST {
                            assert!(order[..FIRST].contains(&view), "{view} before the first are there");
                        }
                        assert_eq!(map.depth.len(), (map.camera.width * map.camera.height) as usize);
                        maps.push(view);
                    }
                    Loaded::Failed(view, problem) => panic!("{view}: {problem}"),
                }
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        photos.sort_unstable();
        assert_eq!(photos, (0..count).collect::<Vec<_>>());
        assert!((0..count).all(|view| maps.contains(&view)));
    }

    #[test]
    fn a_photograph_that_is_gone_is_told_and_the_rest_goes_on() {
        let mut scene = still_life();
        scene.views[0].path = "/nowhere/at/all.png".into();
        let loader = Loader::start(Arc::new(scene), 2, || ());
        loader.want(vec![0, 1, 2]);
        let (mut failed, mut depth, started) = (Vec::new(), 0, Instant::now());
        while depth < 2 || failed.is_empty() {
            assert!(started.elapsed() < Duration::from_secs(60));
            for loaded in loader.loaded() {
                match loaded {
                    Loaded::Failed(view, problem) => failed.push((view, problem)),
                    Loaded::Depth(..) => depth += 1,
                    Loaded::Photo { .. } => {}
                }
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        assert!(failed[0].0 == 0 && failed[0].1.contains("all.png"));
    }
}
