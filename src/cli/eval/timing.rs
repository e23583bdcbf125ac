//! How long an image takes: a model on a scene is warmed up, then every repetition of an image is timed by itself.

use super::targets::Target;
use crate::cli::device::Chosen;
use crate::cli::memory;
use crate::cli::progress::Progress;
use anyhow::Context;
use eval::power::Meter;
use eval::report::data::ImageTime;
use gnt::renderer::{Rendered, Renderer, Settings};
use scene::Frame;

/// A model that is ready to render a scene.
pub struct Pair<'a> {
    /// Scene and network.
    pub renderer: Renderer,
    /// What is rendered of the scene.
    pub target: &'a Target,
    /// The device that renders.
    pub device: Chosen,
    /// Counts the device's joules; lent out while an image is rendered.
    pub meter: Option<Meter>,
}

/// What the first, untimed image of a model on a scene has shown.
pub struct Warm {
    /// Seconds for features, and how many sources had none yet; the first image takes them over.
    features: (f64, u64),
    /// Largest resident memory of the process in bytes, features included; the first image takes it over.
    peak: Option<u64>,
    /// Names of the stages of a ray and their shares of the time.
    pub stages: Vec<(String, f64)>,
}

/// An image and what it took.
pub struct Timed {
    /// The image of the last repetition.
    pub rendered: Rendered,
    /// Times of all repetitions; the number of the image is left at 0.
    pub time: ImageTime,
    /// Largest resident memory of the process in bytes.
    pub peak_memory: Option<u64>,
}

impl Pair<'_> {
    /// Prepares the source views, casts some rays and finds the shares of the stages.
    ///
    /// # Errors
    /// If the frame cannot be rendered.
    pub fn warm_up(&mut self, frame: &Frame, settings: &Settings) -> anyhow::Result<Warm> {
        memory::forget_peak();
        let rendered = self.renderer.warm_up(frame, settings)?;
        let peak = memory::peak();
        let stages = self.renderer.profile(frame, settings)?;
        Ok(Warm {
            features: (rendered.seconds_features, rendered.prepared as u64),
            peak,
            stages: stages.into_iter().map(|(name, share)| (name.to_owned(), share)).collect(),
        })
    }

    /// Renders a frame `repeat` times; `progress` counts the rays of the first.
    ///
    /// # Errors
    /// If the frame cannot be rendered.
    pub fn time(
        &mut self,
        frame: &Frame,
        settings: &Settings,
        warm: &mut Warm,
        (repeat, progress): (u32, &Progress),
    ) -> anyhow::Result<Timed> {
        memory::forget_peak();
        let (seconds_features, prepared) = self.renderer.prepare_sources(frame, settings)?;
        let before = std::mem::take(&mut warm.features);
        let features = (before.0 + seconds_features, before.1 + prepared as u64);
        let (mut seconds, mut joules, mut last) = (Vec::new(), Vec::new(), None);
        for repetition in 0..repeat {
            let meter = self.meter.take().context("a meter between two images")?.start();
            let rendered = self.renderer.render(frame, settings, &|rays| {
                if repetition == 0 {
                    progress.add(rays as u64);
                }
            })?;
            joules.extend(meter.joules());
            self.meter = Some(meter);
            seconds.push(rendered.seconds_rays);
            last = Some(rendered);
        }
        let rendered = last.context("expected at least one repetition")?;
        let time = ImageTime {
            index: 0,
            name: frame.name.clone(),
            rays: rendered.rays as u64,
            joules: (joules.len() == seconds.len()).then(|| joules.iter().sum::<f64>() / seconds.len() as f64),
            seconds,
            features,
        };
        Ok(Timed { rendered, time, peak_memory: warm.peak.take().max(memory::peak()) })
    }
}
