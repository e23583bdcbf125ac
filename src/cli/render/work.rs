//! The frames of a run, one after the other: rendered, compared, written and recorded.

use super::path::Fade;
use super::record::{Entry, Journal};
use super::report::{FrameReport, RenderReport, per_second};
use super::resume::Wanted;
use crate::cli::compared::{Quality, Truth, as_saved, expect_numbers, photograph};
use crate::cli::progress::Progress;
use gnt::renderer::{Renderer, Settings};
use scene::coverage::Coverage;
use scene::view::{Alpha, read_image};
use scene::{Frame, Image};

/// What rendering needs from the first frame to the last.
pub struct Work {
    /// Scene and network.
    pub renderer: Renderer,
    /// How frames are rendered.
    pub settings: Settings,
    /// What becomes of pixels that no source sees.
    pub fade: Option<Fade>,
    /// [`Entry::settings`].
    pub id: String,
    /// The record of the frames.
    pub journal: Journal,
    /// The bar that counts rays.
    pub progress: Progress,
}

impl Work {
    /// Reads the photographs and masks that frames are compared with: whether a mask leaves a pixel depends on the stride.
    ///
    /// # Errors
    /// If one cannot be read, or its mask leaves no pixel.
    pub fn check_photographs(&self, frames: &[Frame], finished: &[Option<Entry>]) -> anyhow::Result<()> {
        for (frame, finished) in frames.iter().zip(finished) {
            if let (Some(view), None) = (photograph(self.renderer.scene(), frame), finished) {
                Truth::load(view, self.settings.stride)?;
            }
        }
        Ok(())
    }

    /// Renders, compares, writes and records a frame, or finds it finished.
    ///
    /// # Errors
    /// If it cannot be rendered or compared, or a file cannot be written.
    pub fn frame(
        &mut self,
        frame: &Frame,
        wanted: &Wanted,
        (finished, coverage): (Option<Entry>, Coverage),
        report: &mut RenderReport,
    ) -> anyhow::Result<()> {
        let files = &wanted.files;
        let mut out = FrameReport {
            name: frame.name.clone(),
            file: files.image.clone(),
            skipped: finished.is_some(),
            depth_files: files.depth.clone(),
            coverage: coverage.one,
            coverage_two: coverage.two,
            ..FrameReport::default()
        };
        if let Some(entry) = finished {
            out.sources = entry.sources;
            out.quality = match entry.quality {
                Some(quality) => Some(quality),
                None => self.compare(frame, || Ok(read_image(&files.image, Alpha::Ignore)?))?,
            };
        } else {
            let Self { renderer, settings, progress, fade, .. } = self;
            let mut rendered = renderer.render(frame, settings, &|rays| progress.add(rays as u64))?;
            expect_numbers(&rendered, &format!("frame {} by {}", frame.name, report.model))?;
            // Photographs are compared with what comes out.
            if let Some(fade) = fade.filter(|_| frame.truth.is_none()) {
                fade.apply(&mut rendered, renderer.scene(), frame, settings.stride);
            }
            report.seconds_features += rendered.seconds_features;
            out.seconds = Some(rendered.seconds_rays);
            out.rays = rendered.rays;
            out.rays_per_second = per_second(rendered.rays, rendered.seconds_rays);
            out.sources = rendered.sources.iter().map(|id| renderer.scene().views[*id].name.clone()).collect();
            out.quality = self.compare(frame, || as_saved(&rendered.image))?;
            let entry = Entry {
                name: frame.name.clone(),
                settings: self.id.clone(),
                camera: wanted.camera.clone(),
                files: Default::default(),
                sources: out.sources.clone(),
                quality: out.quality,
            };
            files.write(&rendered, report.depth_png_scale.unwrap_or(1.0), entry, &mut self.journal)?;
        }
        report.frames.push(out);
        Ok(())
    }

    /// Likeness to the photograph of a frame, where it has one.
    fn compare(&self, frame: &Frame, image: impl FnOnce() -> anyhow::Result<Image>) -> anyhow::Result<Option<Quality>> {
        let view = photograph(self.renderer.scene(), frame);
        view.map(|view| Quality::measure(&image()?, view, self.settings.stride)).transpose()
    }
}
