//! The network follows the camera: what it is asked for, and when.

use super::{App, LEAST};
use crate::present::Kind;
use crate::proxy::pass::MOST_PHOTOS;
use crate::source::Shot;
use scene::{Camera, Scene};
use std::time::{Duration, Instant};

/// How long a camera rests before the network is asked: less than anyone notices, longer than from one frame of a drag to
/// the next.
const REST: Duration = Duration::from_millis(60);
/// How often the order of background work follows the camera.
const REORDER: Duration = Duration::from_millis(300);

impl App {
    /// Has the network follow the camera: gives up what is under way when it moves, asks when it rests.
    pub(super) fn follow(&mut self) {
        let shot = self.wanted_shot();
        if shot != self.shot {
            self.shot = shot;
            self.change();
        }
        let now = Instant::now();
        let rests = self.controls.rests() && self.playing.is_none();
        if self.asked.is_none()
            && rests
            && now - self.changed >= REST
            && self.stage.is_some()
            && let Some(shot) = &self.shot
        {
            self.asked = Some(self.worker.look(shot.clone(), self.attention));
            self.asked_at = now;
        }
        if self.reordered.is_none_or(|then| now - then > REORDER)
            && let Some(camera) = self.camera()
        {
            self.reordered = Some(now);
            self.wanted_views = order(&self.scene, &camera);
            self.loader.want(self.wanted_views.clone());
        }
    }

    /// What is shown is not what is wanted any more.
    pub(super) fn change(&mut self) {
        self.worker.rest();
        (self.asked, self.changed, self.level_seconds) = (None, Instant::now(), [None; 3]);
        self.network_failed = None;
        self.stats.begin();
        if let Some(stage) = &mut self.stage {
            let old = stage.made.take().filter(|made| made.complete);
            stage.held = if self.look.holds() { old.or(stage.held.take()) } else { None };
        }
    }

    /// Gives up the picture that is held, unless it is to be.
    pub(super) fn let_go(&mut self) {
        if let Some(stage) = self.stage.as_mut().filter(|_| !self.look.holds()) {
            self.unseen |= stage.held.take().is_some();
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

    /// Whether the best picture is there, of what is wanted now.
    pub fn is_full(&self) -> bool {
        let stage = self.stage.as_ref();
        // A camera that is about to move still shows the old picture.
        let rests = self.controls.rests() && self.playing.is_none();
        let same = rests && self.shot.is_some() && self.wanted_shot() == self.shot;
        same && self.asked.is_some() && stage.is_some_and(|s| s.made.as_ref().is_some_and(|made| made.complete))
    }

    /// Whether a frame is due soon, though nothing happens: the network is asked as soon as the camera has rested for a
    /// moment, or something waits to be shown.
    pub fn awaits_frame(&self) -> bool {
        self.awaits_network() || self.unseen
    }

    /// Whether the network is asked as soon as the camera has rested for a moment.
    pub fn awaits_network(&self) -> bool {
        self.asked.is_none()
    }
}

/// Source views in the order in which they matter for a camera; as many as are kept.
pub(super) fn order(scene: &Scene, camera: &Camera) -> Vec<usize> {
    let all: Vec<usize> = (0..scene.views.len()).collect();
    scene::nearest_sources(scene, camera, &all, MOST_PHOTOS).unwrap_or_default()
}
