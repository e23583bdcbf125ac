//! Rendering, timing and comparing the images of an evaluation.

use super::Args;
use super::evaluation::{Evaluation, ImageJob, guided};
use super::models::LoadedModel;
use super::record::{ImageFiles, ImageRecord, pixels};
use super::score::Scorer;
use super::targets::Target;
use super::timing::{Pair, Warm};
use crate::cli::compared::{Truth, as_saved, expect_numbers};
use crate::cli::device::{AnyEngine, Chosen};
use crate::cli::made::{Made, Rendering};
use crate::cli::progress::Progress;
use crate::cli::{hash, machine};
use anyhow::Context;
use eval::mask::Mask;
use eval::report::data::{Case, CaseKey, ImageResult, ImageTime, Latency};
use eval::report::merge::join_latency;
use eval::report::sheet;
use gnt::FeedForwardKind;
use gnt::renderer::{Renderer, Settings};
use scene::{Frame, Image};
use std::path::PathBuf;

/// What lasts for the whole evaluation.
pub struct Work<'a> {
    args: &'a Args,
    scorer: Scorer,
    out: PathBuf,
    progress: Progress,
    /// Images in all, and those that were begun.
    of: usize,
    begun: usize,
    /// Of each model, once it is known.
    devices: Vec<Option<Chosen>>,
    latencies: Vec<Latency>,
    rendered: u64,
    /// Driver and clocks of the device right after the last image.
    details: Option<String>,
}

/// What rendering all images has measured.
pub struct Done {
    /// Times of all images.
    pub latencies: Vec<Latency>,
    /// The device that rendered.
    pub device: Chosen,
    /// Images that were rendered; the others were there already.
    pub rendered: u64,
    /// Driver and clocks of the device right after the last image.
    pub details: Option<String>,
}

impl<'a> Work<'a> {
    /// Starts on `jobs`, of which none is rendered yet.
    pub fn new(args: &'a Args, scorer: Scorer, evaluation: &Evaluation, jobs: &[ImageJob]) -> Self {
        let rays = |job: &ImageJob| {
            let [width, height] = evaluation.cases[job.case].0.size.map(u64::from);
            width * height
        };
        Self {
            args,
            scorer,
            out: args.out(),
            progress: Progress::new(jobs.iter().map(rays).sum(), args.quiet),
            of: jobs.len(),
            begun: 0,
            devices: vec![None; evaluation.models.len()],
            latencies: Vec::new(),
            rendered: 0,
            details: None,
        }
    }

    /// Ends the work and hands over what it measured.
    pub fn finish(self) -> Done {
        self.progress.finish();
        let device = self.devices.into_iter().flatten().next().unwrap_or(Chosen::Cpu);
        Done { latencies: self.latencies, device, rendered: self.rendered, details: self.details }
    }

    /// All images of a model on a split of a scene; `precision` is how the model computes, once it is known.
    ///
    /// # Errors
    /// If an image cannot be rendered, compared or written.
    pub fn pair(
        &mut self,
        evaluation: &mut Evaluation,
        (t, m): (usize, usize),
        jobs: &[ImageJob],
        precision: &mut String,
    ) -> anyhow::Result<()> {
        let Evaluation { targets, models, cases, .. } = evaluation;
        let numbers: Vec<usize> = (0..cases.len()).filter(|c| (cases[*c].1, cases[*c].2) == (t, m)).collect();
        let any = jobs.iter().any(|job| numbers.contains(&job.case));
        let mut pair = None;
        // Every part of an evaluation tells how all models compute.
        if any || precision.is_empty() {
            let (engine, device) = self.engine(&models[m], m)?;
            *precision = engine.precision().to_owned();
            let renderer = Renderer::new(engine, targets[t].scene.clone());
            let meter = Some(machine::meter(&device));
            pair = Some(Pair { renderer, target: &targets[t], device, meter });
        }
        for number in numbers {
            let case = &mut cases[number].0;
            case.precision.clone_from(precision);
            let images: Vec<usize> = jobs.iter().filter(|job| job.case == number).map(|job| job.image).collect();
            if let Some(pair) = &mut pair {
                self.case(pair, case, &images, &models[m])?;
            }
        }
        Ok(())
    }

    fn engine(&mut self, model: &LoadedModel, m: usize) -> anyhow::Result<(AnyEngine, Chosen)> {
        let (device, threads) = (self.args.device, self.args.threads());
        let (engine, device) = self.args.precision().engine(device, threads, model.model.clone(), &model.params)?;
        self.devices[m] = Some(device.clone());
        Ok((engine, device))
    }

    fn case(&mut self, pair: &mut Pair, case: &mut Case, images: &[usize], model: &LoadedModel) -> anyhow::Result<()> {
        let mut warm: Option<Warm> = None;
        let made = Made::rendering(&Rendering {
            scene: (&case.key.scene, &case.photographs),
            photographs: case.source_size.into(),
            model: (&model.name, &model.sha256),
            device: &pair.device.to_string(),
            precision: &case.precision,
            settings: &self.settings(case, false),
        });
        let made = made.with("scale", case.scale).with("split", &case.key.split).id()?;
        for &index in images {
            let frame = &pair.target.frames[index];
            let files = ImageFiles::new(model, pair.target, case.key.views, index);
            let rendered = hash::json(&(&made, format!("{frame:?}")))?;
            self.begun += 1;
            let CaseKey { scene, model, .. } = &case.key;
            self.progress.begin(format!("image {} of {} ({scene}, {model})", self.begun, self.of));
            let found = if self.args.overwrite { None } else { files.find(&self.out, &rendered) };
            let record = match found.filter(|(record, _)| self.is_timed(record)) {
                Some((record, image)) => {
                    self.progress.skip(u64::from(image.width) * u64::from(image.height));
                    self.again(record, &image, pair.target, frame, &files)?
                }
                None => {
                    let warm = match &mut warm {
                        Some(warm) => warm,
                        None => warm.insert(pair.warm_up(frame, &self.settings(case, false))?),
                    };
                    self.image(pair, case, (index, frame), &files, warm, rendered)?
                }
            };
            join_latency(&mut self.latencies, &record.latency);
            case.images.push(ImageResult { index: index as u32, ..record.result });
        }
        Ok(())
    }

    /// Whether a finished image was timed as often as is asked for, and with the threads that are, if they are given.
    fn is_timed(&self, record: &ImageRecord) -> bool {
        let enough = |image: &ImageTime| image.seconds.len() >= self.args.repeat as usize;
        let threads = |asked: u16| u32::from(asked) == record.latency.threads;
        record.latency.images.iter().all(enough) && self.args.threads.is_none_or(threads)
    }

    /// A finished image; its scores are computed anew where others are asked for.
    fn again(
        &self,
        mut record: ImageRecord,
        image: &Image,
        target: &Target,
        frame: &Frame,
        files: &ImageFiles,
    ) -> anyhow::Result<ImageRecord> {
        let scored = self.scorer.fingerprint();
        if record.scored != scored {
            let truth = truth(target, frame)?;
            record.result.scores = self.scorer.score(image, &truth)?;
            record.scored = scored;
            let bytes = serde_json::to_vec_pretty(&record)?;
            scene::write::write_bytes(&self.out.join(files.record()), &bytes)?;
        }
        Ok(record)
    }

    fn settings(&self, case: &Case, experts: bool) -> Settings {
        Settings {
            samples: case.samples as usize,
            guided: guided(case),
            importance: case.importance as usize,
            views: case.key.views as usize,
            threads: self.args.threads(),
            stride: case.stride,
            depth_range: case.depth_range.into(),
            routing: experts,
            confidence: false,
        }
    }

    fn image(
        &mut self,
        pair: &mut Pair,
        case: &Case,
        (index, frame): (usize, &Frame),
        files: &ImageFiles,
        warm: &mut Warm,
        fingerprint: String,
    ) -> anyhow::Result<ImageRecord> {
        let truth = truth(pair.target, frame)?;
        let experts = matches!(pair.renderer.config().mlp, FeedForwardKind::Experts { .. });
        let settings = self.settings(case, experts);
        let timed = pair.time(frame, &settings, warm, (self.args.repeat, &self.progress))?;
        let rendered = timed.rendered;
        self.details = machine::details(&pair.device).or(self.details.take());
        self.rendered += 1;
        let (scene, model) = (&case.key.scene, &case.key.model);
        expect_numbers(&rendered, &format!("{model} on {scene}, image {}", frame.name))?;
        let image = as_saved(&rendered.image)?;
        let result = ImageResult {
            index: index as u32,
            name: frame.name.clone(),
            file: files.image(),
            sha256: pixels(&image),
            sources: rendered.sources.iter().map(|id| pair.target.scene.views[*id].name.clone()).collect(),
            scores: self.scorer.score(&image, &truth)?,
            unmasked: truth.unmasked(),
            routed: rendered.routing.as_ref().map(|routing| routing.parts.clone()).unwrap_or_default(),
        };
        let meter = pair.meter.as_ref().map(|meter| meter.describe().to_owned()).unwrap_or_default();
        let mut latency = Latency {
            key: case.key.clone(),
            device: machine::device(&pair.device),
            threads: settings.threads as u32,
            images: vec![ImageTime { index: index as u32, ..timed.time }],
            stages: warm.stages.clone(),
            peak_memory: timed.peak_memory,
            device_memory: pair.renderer.device_memory(),
            meter,
            ..Latency::default()
        };
        latency.complete();
        let panels = sheet::panels(&sheet::PanelInputs {
            image: &image,
            truth: &truth.image,
            depth: &rendered.depth,
            depth_range: case.depth_range,
            routing: rendered.routing.as_ref().map(|routing| routing.multiplied.as_slice()),
            mask: truth.mask.as_ref().map(Mask::counts),
        })?;
        let sheet = sheet::jpeg(&sheet::composite(&panels))?;
        let record = ImageRecord { rendered: fingerprint, scored: self.scorer.fingerprint(), result, latency };
        files.write(&self.out, &record, &image, &sheet)?;
        Ok(record)
    }
}

/// The photograph of a held-out view as it is compared.
///
/// # Errors
/// If it cannot be read, or its mask leaves no pixel.
pub fn truth(target: &Target, frame: &Frame) -> anyhow::Result<Truth> {
    let view = frame.truth.and_then(|id| target.scene.views.get(id));
    Truth::load(view.with_context(|| format!("{}: expected a photograph, found none", frame.name))?, target.stride)
}
