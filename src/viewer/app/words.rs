//! What is shown and what goes on, in words for the window.

use super::App;
use super::closing::Closing;
use crate::proxy::pass::MOST_PHOTOS;
use crate::work::parts::Level;

/// A number of things, as "1 frame" or "2 frames".
pub(super) fn counted(count: usize, thing: &str) -> String {
    format!("{count} {thing}{}", if count == 1 { "" } else { "s" })
}

/// A number of key frames, in words.
pub(super) fn key_frames(count: usize) -> String {
    counted(count, "key frame")
}

impl App {
    /// That key frames are not saved, in words.
    pub(super) fn unsaved_keys(&self) -> String {
        let count = self.keys.eyes.len();
        format!("{} {} not saved", key_frames(count), if count == 1 { "is" } else { "are" })
    }

    /// What is going on in the background, in words.
    pub fn background(&self) -> Vec<String> {
        let mut words = Vec::new();
        if !self.loader.is_done() {
            words.push(format!("photographs and their depth: {} of {}", self.maps.len(), self.wanted_photos()));
        }
        if let Some(path) = &self.path {
            words.push(format!("path: {} of {} frames", path.written, path.frames.len()));
        }
        if self.closing == Closing::WhenDone {
            words.push("closes when this is done; Esc stays".into());
        }
        words
    }

    fn wanted_photos(&self) -> usize {
        self.scene.views.len().min(MOST_PHOTOS)
    }

    /// Whether the network has made pixels, none of which has a share of experts.
    pub fn has_no_experts(&self) -> bool {
        let made = self.stage.as_ref().and_then(|stage| stage.shown());
        made.is_some_and(|made| made.full.known > 0) && self.stats.multiplied().is_none()
    }

    /// What level is shown, in words for the corner.
    pub fn level_words(&self) -> String {
        let Some(stage) = &self.stage else { return "no graphics device".into() };
        let size = |(width, height): (u32, u32)| format!("{width}×{height}");
        if let Some(held) = &stage.held {
            return format!("network, {}: the last complete picture, held", size(held.full.size));
        }
        let percent = |part: f64| (100.0 * part) as u32;
        match (&stage.made, self.level()) {
            (Some(made), Some(Level::Full)) => format!("network, {}: complete", size(made.full.size)),
            (Some(made), Some(Level::Half)) => {
                format!(
                    "network, {}: {} %, elsewhere every 2nd pixel",
                    size(made.full.size),
                    percent(made.full.part_of(2))
                )
            }
            (Some(made), Some(Level::Coarse)) => format!(
                "network, {}: every 4th pixel, detail from photographs; every 2nd: {} %",
                size(made.full.size),
                percent(made.full.part_of(1))
            ),
            (Some(made), _) if made.full.known > 0 => format!(
                "photographs through depth; network, {}: every 4th pixel: {} %",
                size(made.full.size),
                percent(made.full.part_of(0))
            ),
            (Some(made), _) if made.guide.known > 0 => {
                let (part, size) =
                    (made.guide.known as f64 / made.guide.texels.len().max(1) as f64, size(made.full.size));
                format!("photographs through depth; network, {size}: looks for surfaces: {} %", percent(part))
            }
            (_, Some(Level::Proxy)) => match &self.network_failed {
                Some(problem) => format!("photographs through depth; the network makes nothing: {problem}"),
                None => "photographs through depth".into(),
            },
            _ => "reading photographs".into(),
        }
    }
}
