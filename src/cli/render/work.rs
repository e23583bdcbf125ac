//! The frames of a run, one after the other: rendered, compared, written and recorded.

use super::format::FrameFormat;
use super::maps::DepthScale;
use super::picture::{Picture, Told};
use super::record::{Entry, Journal};
use super::report::{FrameReport, RenderReport, per_second};
use super::resume::Wanted;
use super::shots::Shot;
use crate::cli::compared::{Quality, Truth, expect_numbers, photograph};
use crate::cli::progress::Progress;
use anyhow::Context;
use gnt::renderer::{Renderer, Settings};
use scene::coverage::Coverage;
use scene::fade::Fade;
use scene::{Camera, Frame, Image};
use std::collections::BTreeMap;

/// What rendering needs from the first frame to the last.
pub struct Work {
    /// Scene and network.
    pub renderer: Renderer,
    /// How frames are rendered.
    pub settings: Settings,
    /// What becomes of pixels that no source sees.
    pub fade: Option<Fade>,
    /// Format of the frames.
    pub format: FrameFormat,
    /// What is told beside colours and depths.
    pub told: Told,
    /// How depths become pictures.
    pub scale: DepthScale,
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
    pub fn check_photographs(&self, shots: &[Shot], finished: &[Option<Entry>]) -> anyhow::Result<()> {
        for (shot, finished) in shots.iter().zip(finished).filter(|(shot, _)| shot.wanted) {
            let view = shot.single().and_then(|frame| photograph(self.renderer.scene(), frame));
            if let (Some(view), None) = (view, finished) {
                Truth::load(view, self.settings.stride)?;
            }
        }
        Ok(())
    }

    /// Renders, compares, writes and records a picture, or finds it finished; `kept` are files that it has besides.
    ///
    /// # Errors
    /// If it cannot be rendered or compared, or a file cannot be written.
    pub fn shot(
        &mut self,
        (shot, wanted): (&Shot, &Wanted),
        (finished, kept): (Option<Entry>, BTreeMap<String, String>),
        coverage: Coverage,
        report: &mut RenderReport,
    ) -> anyhow::Result<()> {
        let files = &wanted.files;
        let mut out = FrameReport {
            name: shot.name.clone(),
            file: files.image.clone(),
            skipped: finished.is_some(),
            maps: files.report(),
            coverage: coverage.one,
            coverage_two: coverage.two,
            ..FrameReport::default()
        };
        if let Some(entry) = finished {
            out.sources = entry.sources;
            out.quality = match entry.quality {
                Some(quality) => Some(quality),
                None => {
                    self.compare(shot, || Ok(self.format.read(&files.image, shot.size(self.settings.stride))?))?
                }
            };
        } else {
            let parts = shot.parts.iter().map(|part| self.part(part, &mut out, report));
            let parts = parts.collect::<anyhow::Result<Vec<_>>>()?;
            let picture = shot.join(parts, self.settings.stride).context("expected a camera to render, found none")?;
            out.quality = self.compare(shot, || self.format.as_saved(&picture.image))?;
            let entry = Entry {
                name: shot.name.clone(),
                settings: self.id.clone(),
                camera: wanted.camera.clone(),
                files: kept,
                sources: out.sources.clone(),
                quality: out.quality,
            };
            files.write(&picture, self.scale, entry, &mut self.journal)?;
        }
        report.frames.push(out);
        Ok(())
    }

    /// Renders what one camera sees.
    fn part(&mut self, part: &Frame, out: &mut FrameReport, report: &mut RenderReport) -> anyhow::Result<Picture> {
        let Self { renderer, settings, progress, fade, .. } = self;
        let mut rendered = renderer.render(part, settings, &|rays| progress.add(rays as u64))?;
        expect_numbers(&rendered, &format!("frame {} by {}", part.name, report.model))?;
        // Photographs are compared with what comes out.
        if let Some(fade) = fade.filter(|_| part.truth.is_none()) {
            let sources: Vec<Camera> = rendered.sources.iter().map(|id| renderer.scene().views[*id].camera).collect();
            fade.apply(&mut rendered.image.data, &part.camera, &rendered.depth, settings.stride, &sources);
        }
        report.seconds_features += rendered.seconds_features;
        let seconds = out.seconds.unwrap_or_default() + rendered.seconds_rays;
        out.seconds = Some(seconds);
        out.rays += rendered.rays;
        out.rays_per_second = per_second(out.rays, seconds);
        let views = &renderer.scene().views;
        let sources: Vec<Camera> = rendered.sources.iter().map(|id| views[*id].camera).collect();
        for id in &rendered.sources {
            if !out.sources.contains(&views[*id].name) {
                out.sources.push(views[*id].name.clone());
            }
        }
        Ok(Picture::new(rendered, &part.camera, settings.stride, &sources, self.told)?)
    }

    /// Likeness to the photograph of a frame, where it has one.
    fn compare(&self, shot: &Shot, image: impl FnOnce() -> anyhow::Result<Image>) -> anyhow::Result<Option<Quality>> {
        let view = shot.single().and_then(|frame| photograph(self.renderer.scene(), frame));
        view.map(|view| Quality::measure(&image()?, view, self.settings.stride)).transpose()
    }
}
