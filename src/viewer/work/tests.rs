//! Who gets a turn, what is given up, and that nothing old comes through, with a source that renders nothing.

use super::*;
use crate::source::{Quality, Stop, Texel};
use scene::Camera;
use std::collections::HashMap;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

/// Makes texels whose red is the camera's focal length, and looks whether it should stop a hundred times a part.
#[derive(Default)]
struct Fake {
    open: HashMap<ShotId, Shot>,
    seen: Arc<Seen>,
    pause: Duration,
}

/// What a test looks at from outside.
#[derive(Debug, Default)]
struct Seen {
    parts: AtomicUsize,
    stopped: AtomicUsize,
    open: AtomicUsize,
}

impl Fake {
    fn part(&self, id: ShotId, part: crate::source::Part, stop: Stop) -> Result<Option<Patch>, String> {
        for _ in 0..100 {
            if stop() {
                self.seen.stopped.fetch_add(1, Ordering::SeqCst);
                return Ok(None);
            }
            std::thread::sleep(self.pause / 100);
        }
        self.seen.parts.fetch_add(1, Ordering::SeqCst);
        let red = self.open.get(&id).ok_or("a shot that is not open")?.camera.focal.x;
        let texel = Texel { rgb: [red, 0.0, 0.0], ..Texel::default() };
        Ok(Some(Patch { part, texels: vec![texel; part.places().count()] }))
    }
}

impl FrameSource for Fake {
    fn open(&mut self, id: ShotId, shot: &Shot, stop: Stop) -> Result<Option<Opened>, String> {
        if stop() {
            return Ok(None);
        }
        if shot.quality.model == 9 {
            return Err("no such model".into());
        }
        self.open.insert(id, shot.clone());
        self.seen.open.store(self.open.len(), Ordering::SeqCst);
        Ok(Some(Opened { sources: vec![0], cell: 4, fades: false }))
    }

    fn guide(&mut self, id: ShotId, part: crate::source::Part, stop: Stop) -> Result<Option<Patch>, String> {
        self.part(id, part, stop)
    }

    fn pixels(&mut self, id: ShotId, part: crate::source::Part, stop: Stop) -> Result<Option<Patch>, String> {
        self.part(id, part, stop)
    }

    fn close(&mut self, id: ShotId) {
        self.open.remove(&id);
        self.seen.open.store(self.open.len(), Ordering::SeqCst);
    }
}

fn worker(pause: Duration) -> (Worker, Arc<Seen>) {
    let fake = Fake { pause, ..Fake::default() };
    let seen = Arc::clone(&fake.seen);
    (Worker::start(move || Ok(Box::new(fake)), || ()).unwrap(), seen)
}

fn shot(focal: f32) -> Shot {
    let camera = Camera {
        width: 120,
        height: 72,
        focal: glam::Vec2::splat(focal),
        center: glam::Vec2::ONE,
        world_from_camera: glam::Mat4::IDENTITY,
    };
    Shot { camera, truth: None, excluded: Vec::new(), quality: Quality::default() }
}

/// News until `enough`, for at most ten seconds.
fn until(worker: &Worker, mut enough: impl FnMut(&News) -> bool) -> Vec<News> {
    let started = Instant::now();
    let mut all = Vec::new();
    while started.elapsed() < Duration::from_secs(10) {
        for news in worker.news() {
            let done = enough(&news);
            all.push(news);
            if done {
                return all;
            }
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    panic!("not enough news in ten seconds: {}", all.len());
}

#[test]
fn a_resting_shot_is_made_whole_guide_first() {
    let (worker, seen) = worker(Duration::ZERO);
    let number = worker.look(shot(7.0), [0.5; 2]);
    let news = until(&worker, |news| *news == News::Finished(Purpose::Look(number)));
    let mut full = parts::Canvas::new((120, 72));
    let mut guide = parts::Canvas::new((31, 19));
    let mut order = Vec::new();
    for item in &news {
        if let News::Made { of, patch, .. } = item {
            order.push(*of);
            if *of == Of::Picture { &mut full } else { &mut guide }.put(patch);
        }
    }
    assert!(full.is_whole() && guide.is_whole() && order.is_sorted());
    assert!(matches!(&news[0], News::Begun(Purpose::Look(n), _) if *n == number));
    // Nothing more is done for it, and it is closed.
    std::thread::sleep(Duration::from_millis(20));
    assert!(worker.news().is_empty());
    assert_eq!(seen.open.load(Ordering::SeqCst), 0);
}

/// A camera that moves all the time: whatever is shown is of the newest shot, by its number and by its texels, and parts
/// of older ones are left in the middle.
#[test]
fn nothing_of_an_old_shot_is_shown() {
    let (worker, seen) = worker(Duration::from_millis(4));
    let mut shown = 0;
    for focal in 1..60 {
        let number = worker.look(shot(focal as f32), [0.5; 2]);
        let asked = Instant::now();
        let patience = Duration::from_millis(if focal % 10 == 0 { 60 } else { 3 });
        while asked.elapsed() < patience {
            for news in worker.news() {
                assert_eq!(news.purpose(), Purpose::Look(number));
                if let News::Made { patch, .. } = &news {
                    assert!(patch.texels.iter().all(|texel| texel.rgb[0] == focal as f32));
                    shown += 1;
                }
            }
            std::thread::sleep(Duration::from_micros(200));
        }
    }
    assert!(shown > 10, "{shown} parts were shown");
    assert!(seen.stopped.load(Ordering::SeqCst) > 10, "parts of old shots are given up in the middle");
    worker.rest();
    std::thread::sleep(Duration::from_millis(50));
    assert!(worker.news().is_empty());
    assert_eq!(seen.open.load(Ordering::SeqCst), 0, "old shots are forgotten");
}

#[test]
fn a_part_is_given_up_at_once() {
    let (worker, seen) = worker(Duration::from_secs(5));
    worker.look(shot(1.0), [0.5; 2]);
    std::thread::sleep(Duration::from_millis(120));
    let asked = Instant::now();
    worker.rest();
    while seen.stopped.load(Ordering::SeqCst) == 0 {
        assert!(asked.elapsed() < Duration::from_secs(2));
        std::thread::sleep(Duration::from_millis(1));
    }
    assert!(asked.elapsed() < Duration::from_millis(500), "{:?} of five seconds", asked.elapsed());
}

/// Where nobody reads the news, the worker waits.
#[test]
fn the_queue_is_bounded() {
    let (worker, seen) = worker(Duration::ZERO);
    worker.look(shot(1.0), [0.5; 2]);
    worker.render_path((0..50).map(|_| shot(2.0)));
    std::thread::sleep(Duration::from_millis(200));
    assert_eq!(worker.office.desk().news.len(), MOST_WAITING);
    assert!(seen.parts.load(Ordering::SeqCst) <= MOST_WAITING);
    assert!(!worker.news().is_empty());
}

/// A path is finished, in order, while somebody looks around without a rest.
#[test]
fn nothing_starves() {
    let (worker, _) = worker(Duration::from_micros(300));
    worker.render_path((0..3).map(|_| shot(2.0)));
    let (mut finished, mut looked) = (Vec::new(), 0);
    let started = Instant::now();
    while finished.len() < 3 {
        assert!(started.elapsed() < Duration::from_secs(60), "{finished:?}");
        worker.look(shot(1.0), [0.5; 2]);
        for _ in 0..20 {
            for news in worker.news() {
                match news {
                    News::Finished(purpose @ Purpose::Path(_)) => finished.push(purpose),
                    News::Made { purpose: Purpose::Look(_), .. } => looked += 1,
                    _ => {}
                }
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    assert_eq!(finished, [0, 1, 2].map(Purpose::Path));
    assert!(looked > 20, "the shot has most of the turns: {looked}");
}

/// Whoever looks elsewhere sees what is there next, in the same pass.
#[test]
fn attention_is_followed() {
    let (worker, _) = worker(Duration::from_millis(2));
    worker.look(shot(1.0), [0.0; 2]);
    until(&worker, |news| matches!(news, News::Made { of: Of::Picture, patch, .. } if patch.part.every == 1));
    worker.attend([1.0; 2]);
    // One part may have been under way.
    let corner = |news: &News| matches!(news, News::Made { patch, .. } if patch.part.x == 96 && patch.part.y == 48);
    let news = until(&worker, corner);
    assert!(news.len() <= 3, "{news:?}");
}

#[test]
fn a_dropped_path_says_nothing_more() {
    let (worker, seen) = worker(Duration::from_millis(2));
    worker.render_path((0..9).map(|_| shot(2.0)));
    until(&worker, |news| matches!(news, News::Made { .. }));
    worker.stop_path();
    std::thread::sleep(Duration::from_millis(60));
    let made = seen.parts.load(Ordering::SeqCst);
    worker.news();
    std::thread::sleep(Duration::from_millis(60));
    assert!(worker.news().is_empty() && seen.parts.load(Ordering::SeqCst) == made);
    assert_eq!(worker.waiting(), 0);
}

#[test]
fn problems_are_told() {
    let (worker, _) = worker(Duration::ZERO);
    let mut bad = shot(1.0);
    bad.quality.model = 9;
    let number = worker.look(bad, [0.5; 2]);
    let news = until(&worker, |news| matches!(news, News::Failed(..)));
    assert_eq!(news, [News::Failed(Purpose::Look(number), "no such model".into())]);
    let none = Worker::start(|| Err("no memory".into()), || ()).unwrap();
    none.look(shot(1.0), [0.5; 2]);
    let news = until(&none, |_| true);
    assert!(matches!(&news[0], News::Failed(_, problem) if problem == "no memory"));
}
