//! What is made in the background, on one thread that owns the [`FrameSource`]: the shot that is looked at, and frames of a
//! path.
//!
//! There is one wanted shot; a newer one takes its place, and what is under way for an older one is given up within a ray.
//! Results wait in a queue of bounded length for whoever shows them, each with the number of the shot that it is of, so
//! that nothing of an old shot is ever shown. The shot goes before all else, but every eighth turn is given away, so that
//! a path is finished while somebody keeps looking around.

pub mod parts;
#[cfg(test)]
mod tests;

use crate::background::step_back;
use crate::source::{FrameSource, Opened, Patch, Shot, ShotId};
use parts::{Of, Parts};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Instant;

/// Most results that wait.
pub const MOST_WAITING: usize = 32;
/// Turns of the wanted shot after which something else gets one.
const TURNS: u32 = 8;

/// What a picture is made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// The shot of this number, which somebody looks at.
    Look(u64),
    /// A frame of the path that is rendered, by its number.
    Path(usize),
}

/// A result.
#[derive(Clone, Debug, PartialEq)]
pub enum News {
    /// A picture is begun.
    Begun(Purpose, Opened),
    /// A part of a picture.
    Made {
        /// What it is for.
        purpose: Purpose,
        /// What it is of.
        of: Of,
        /// The part.
        patch: Patch,
        /// How long it took.
        seconds: f64,
    },
    /// A picture is complete.
    Finished(Purpose),
    /// A picture cannot be made.
    Failed(Purpose, String),
}

impl News {
    fn purpose(&self) -> Purpose {
        match self {
            Self::Begun(purpose, _) | Self::Made { purpose, .. } | Self::Finished(purpose) => *purpose,
            Self::Failed(purpose, _) => *purpose,
        }
    }
}

/// A picture that is wanted, or under way.
#[derive(Debug)]
struct Job {
    id: ShotId,
    purpose: Purpose,
    shot: Shot,
    middle: [f64; 2],
    parts: Option<Parts>,
}

/// What the threads share.
#[derive(Debug, Default)]
struct Desk {
    look: Option<Job>,
    /// Where one looks in the wanted shot.
    middle: [f64; 2],
    path: VecDeque<Job>,
    /// Shots to be forgotten.
    closing: Vec<ShotId>,
    quit: bool,
    news: VecDeque<News>,
    last_id: ShotId,
    /// Path jobs up to this one were dropped.
    dropped: ShotId,
    /// Turns of the wanted shot since something else had one.
    turns: u32,
}

/// The desk, and who waits at it.
struct Office {
    desk: Mutex<Desk>,
    /// Something is wanted, or there is room for news.
    changed: Condvar,
    /// Number of the wanted shot; work for smaller numbers stops.
    wanted: AtomicU64,
    /// Nothing at all is wanted any more.
    quit: AtomicU64,
    /// Called when there is news.
    wake: Box<dyn Fn() + Send + Sync>,
}

impl Office {
    fn desk(&self) -> MutexGuard<'_, Desk> {
        // A panic elsewhere leaves no half-made state here.
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The thread that makes pictures.
pub struct Worker {
    office: Arc<Office>,
    thread: Option<JoinHandle<()>>,
}

impl Worker {
    /// Starts the thread; `make` makes the source there, since it may take long to load. `wake` is called, from that
    /// thread, whenever there is news.
    ///
    /// # Errors
    /// [`crate::Error::Source`] if the system starts no thread.
    pub fn start(
        make: impl FnOnce() -> Result<Box<dyn FrameSource>, String> + Send + 'static,
        wake: impl Fn() + Send + Sync + 'static,
    ) -> crate::Result<Self> {
        let office = Arc::new(Office {
            desk: Mutex::default(),
            changed: Condvar::new(),
            wanted: AtomicU64::new(0),
            quit: AtomicU64::new(0),
            wake: Box::new(wake),
        });
        let there = Arc::clone(&office);
        let run = move || {
            step_back();
            match make() {
                Ok(mut source) => work(&there, source.as_mut()),
                Err(problem) => refuse(&there, &problem),
            }
        };
        let thread = std::thread::Builder::new().name("frames".into()).spawn(run);
        let thread = thread.map_err(|e| crate::Error::Source(format!("no thread for frames: {e}")))?;
        Ok(Self { office, thread: Some(thread) })
    }

    /// Wants a shot instead of any before; `middle` is where one looks, from 0 to 1 in x and y. Returns its number.
    pub fn look(&self, shot: Shot, middle: [f64; 2]) -> u64 {
        let mut desk = self.office.desk();
        let number = self.stop_looking(&mut desk);
        desk.last_id += 1;
        let (id, purpose) = (desk.last_id, Purpose::Look(number));
        desk.middle = middle;
        desk.look = Some(Job { id, purpose, shot, middle, parts: None });
        self.office.changed.notify_all();
        number
    }

    /// Wants no shot for now; what is under way is given up.
    pub fn rest(&self) {
        let mut desk = self.office.desk();
        self.stop_looking(&mut desk);
        self.office.changed.notify_all();
    }

    fn stop_looking(&self, desk: &mut Desk) -> u64 {
        let number = self.office.wanted.fetch_add(1, Ordering::SeqCst) + 1;
        if let Some(old) = desk.look.take() {
            desk.closing.push(old.id);
        }
        // What waits of older shots is not to be shown, and makes room.
        desk.news.retain(|news| !matches!(news.purpose(), Purpose::Look(_)));
        number
    }

    /// Looks elsewhere in the wanted shot: `middle` is where, from 0 to 1 in x and y. What is still to be made is made from
    /// there outwards.
    pub fn attend(&self, middle: [f64; 2]) {
        self.office.desk().middle = middle;
    }

    /// Wants frames of a path, numbered from 0, instead of any before.
    pub fn render_path(&self, shots: impl IntoIterator<Item = Shot>) {
        let mut desk = self.office.desk();
        self.drop_path(&mut desk);
        for (i, shot) in shots.into_iter().enumerate() {
            desk.last_id += 1;
            let (id, purpose) = (desk.last_id, Purpose::Path(i));
            desk.path.push_back(Job { id, purpose, shot, middle: [0.5; 2], parts: None });
        }
        self.office.changed.notify_all();
    }

    /// Gives up the rest of the path.
    pub fn stop_path(&self) {
        self.drop_path(&mut self.office.desk());
    }

    fn drop_path(&self, desk: &mut Desk) {
        let old: Vec<ShotId> = desk.path.drain(..).map(|job| job.id).collect();
        desk.closing.extend(old);
        desk.dropped = desk.last_id;
        desk.news.retain(|news| !matches!(news.purpose(), Purpose::Path(_)));
    }

    /// What has been made since; makes room for more.
    pub fn news(&self) -> Vec<News> {
        let mut desk = self.office.desk();
        let news = desk.news.drain(..).collect();
        self.office.changed.notify_all();
        news
    }

    /// Pictures of the path that are wanted or under way.
    pub fn waiting(&self) -> usize {
        self.office.desk().path.len()
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.office.quit.store(1, Ordering::SeqCst);
        self.office.desk().quit = true;
        self.office.changed.notify_all();
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has said so itself.
            let _ = thread.join();
        }
    }
}

/// Which queue a turn is of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Queue {
    Look,
    Path,
}

impl Desk {
    /// Whose turn it is.
    fn turn(&self) -> Option<Queue> {
        let path = (!self.path.is_empty()).then_some(Queue::Path);
        let look = self.look.as_ref().map(|_| Queue::Look);
        if self.turns >= TURNS { path.or(look) } else { look.or(path) }
    }

    fn take(&mut self, queue: Queue) -> Option<Job> {
        self.turns = if queue == Queue::Look { self.turns + 1 } else { 0 };
        match queue {
            Queue::Look => {
                let mut job = self.look.take()?;
                if job.middle != self.middle {
                    job.middle = self.middle;
                    job.parts.iter_mut().for_each(|parts| parts.attend(&job.shot, job.middle));
                }
                Some(job)
            }
            Queue::Path => self.path.pop_front(),
        }
    }
}

/// A source that cannot be made fails all that is wanted.
fn refuse(office: &Office, problem: &str) {
    let mut desk = office.desk();
    while !desk.quit {
        let failed: Vec<Purpose> = {
            let Desk { look, path, .. } = &mut *desk;
            look.take().into_iter().chain(path.drain(..)).map(|job| job.purpose).collect()
        };
        if let Some(first) = failed.first() {
            desk.news.push_back(News::Failed(*first, problem.to_owned()));
            (office.wake)();
        }
        desk = office.changed.wait(desk).unwrap_or_else(PoisonError::into_inner);
    }
}

/// The thread's loop: one part after the other.
fn work(office: &Office, source: &mut dyn FrameSource) {
    loop {
        let (queue, mut job) = {
            let mut desk = office.desk();
            loop {
                if desk.quit {
                    return;
                }
                let closing: Vec<ShotId> = desk.closing.drain(..).collect();
                closing.into_iter().for_each(|id| source.close(id));
                let turn = if desk.news.len() < MOST_WAITING { desk.turn() } else { None };
                if let Some(found) = turn.and_then(|queue| desk.take(queue).map(|job| (queue, job))) {
                    break found;
                }
                desk = office.changed.wait(desk).unwrap_or_else(PoisonError::into_inner);
            }
        };
        let started = Instant::now();
        let quit = || office.quit.load(Ordering::Relaxed) != 0;
        let old = || matches!(job.purpose, Purpose::Look(mine) if office.wanted.load(Ordering::Relaxed) != mine);
        let stop = || quit() || old();
        let step = step(source, &job, &stop);
        let mut desk = office.desk();
        let dropped = queue == Queue::Path && job.id <= desk.dropped;
        if matches!(step, Ok(None)) || old() || dropped {
            desk.closing.push(job.id);
            continue;
        }
        let news = match step {
            Ok(Some(Step::Begun(opened))) => {
                job.parts = Some(Parts::of(&job.shot, &opened, job.middle));
                News::Begun(job.purpose, opened)
            }
            Ok(Some(Step::Made(of, patch))) => {
                job.parts.iter_mut().for_each(Parts::made);
                News::Made { purpose: job.purpose, of, patch, seconds: started.elapsed().as_secs_f64() }
            }
            Ok(Some(Step::Finished)) => News::Finished(job.purpose),
            Ok(None) => continue,
            Err(problem) => News::Failed(job.purpose, problem),
        };
        if matches!(news, News::Finished(_) | News::Failed(..)) {
            desk.closing.push(job.id);
        } else {
            desk.give_back(queue, job);
        }
        desk.news.push_back(news);
        drop(desk);
        (office.wake)();
    }
}

impl Desk {
    /// A job goes on with its next turn.
    fn give_back(&mut self, queue: Queue, job: Job) {
        match queue {
            Queue::Look => self.look = Some(job),
            Queue::Path => self.path.push_front(job),
        }
    }
}

/// What a turn did.
enum Step {
    Begun(Opened),
    Made(Of, Patch),
    Finished,
}

/// The next step of a job; none if it was stopped.
fn step(source: &mut dyn FrameSource, job: &Job, stop: crate::source::Stop) -> Result<Option<Step>, String> {
    let Some(parts) = &job.parts else {
        return Ok(source.open(job.id, &job.shot, stop)?.map(Step::Begun));
    };
    let made = match parts.next() {
        None => return Ok(Some(Step::Finished)),
        Some((Of::Guide, part)) => source.guide(job.id, part, stop)?.map(|patch| Step::Made(Of::Guide, patch)),
        Some((Of::Picture, part)) => source.pixels(job.id, part, stop)?.map(|patch| Step::Made(Of::Picture, patch)),
    };
    Ok(made)
}
