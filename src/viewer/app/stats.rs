//! Figures of what goes on, for the read-out and for reports.

use crate::source::Patch;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// How long the read-out looks back.
const WINDOW: Duration = Duration::from_secs(2);

/// How many times as long as a frame took to draw the next one waits, if all that it would show is more of a picture.
const PAUSE: f64 = 4.0;

/// What was drawn and made lately.
#[derive(Debug, Default)]
pub struct Stats {
    frames: VecDeque<(Instant, f64)>,
    rays: VecDeque<(Instant, usize, f64)>,
    /// Sum of the shares of multiply experts, and pixels that have one, of the shot at hand.
    multiplied: (f64, usize),
}

impl Stats {
    /// A frame was drawn, which took some seconds.
    pub fn drew(&mut self, now: Instant, seconds: f64) {
        self.frames.push_back((now, seconds));
        while self.frames.front().is_some_and(|(then, _)| now - *then > WINDOW) {
            self.frames.pop_front();
        }
    }

    /// Whether a frame may be drawn that only shows more of a picture. Where the processor draws, frames take their time from
    /// what they show.
    pub fn may_draw_more(&self, now: Instant) -> bool {
        self.frames.back().is_none_or(|(then, seconds)| (now - *then).as_secs_f64() >= PAUSE * seconds)
    }

    /// Pixels were made, in some seconds.
    pub fn made(&mut self, now: Instant, patch: &Patch, seconds: f64) {
        self.rays.push_back((now, patch.texels.len(), seconds));
        while self.rays.front().is_some_and(|(then, ..)| now - *then > WINDOW) {
            self.rays.pop_front();
        }
        for share in patch.texels.iter().filter_map(|texel| texel.multiplied) {
            self.multiplied.0 += f64::from(share);
            self.multiplied.1 += 1;
        }
    }

    /// Another shot begins.
    pub fn begin(&mut self) {
        self.multiplied = (0.0, 0);
    }

    /// Mean milliseconds of a drawn frame.
    pub fn frame_ms(&self) -> Option<f64> {
        let count = self.frames.len();
        (count > 0).then(|| 1e3 * self.frames.iter().map(|(_, s)| s).sum::<f64>() / count as f64)
    }

    /// Rays a second of the network, while it works.
    pub fn rays_per_second(&self) -> Option<f64> {
        let seconds: f64 = self.rays.iter().map(|(_, _, s)| s).sum();
        (seconds > 0.0).then(|| self.rays.iter().map(|(_, rays, _)| *rays as f64).sum::<f64>() / seconds)
    }

    /// Share of the rows that multiply experts took, of the shot at hand.
    pub fn multiplied(&self) -> Option<f64> {
        (self.multiplied.1 > 0).then(|| self.multiplied.0 / self.multiplied.1 as f64)
    }
}
