//! Rendering, timing and comparing the images of an evaluation.

use super::plan::{Job, Loaded, Plan, Target};
use super::record::{Files, Record};
use super::score::{Scorer, Truth};
use super::{Args, costs, hash, machine, output};
use crate::cli::device::{Chosen, Device};
use crate::cli::memory;
use crate::cli::render::files::prepare_folder;
use anyhow::{Context, bail};
use eval::mask::Mask;
use eval::power::Meter;
use eval::report::data::{Case, ImageResult, ImageTime, Latency, Metrics};
use eval::report::merge::{finish, join_latency};
use eval::report::sheet;
use gnt::MlpKind;
use gnt::renderer::{Rendered, Renderer, Settings};
use indicatif::ProgressBar;
use scene::{Frame, Image};
use std::path::PathBuf;

/// Rays of the warm-up.
const WARM_UP: u32 = 2000;

/// Renders what is not there yet and gathers all figures.
///
/// # Errors
/// If scenes, models or metrics cannot be used, which shows before anything is rendered; if a file cannot be read or
/// written, or the device fails. Images that are finished by then stay.
pub fn evaluate(args: &Args) -> anyhow::Result<Metrics> {
    let started = machine::Started::now();
    let scorer = Scorer::new(args)?;
    let mut plan = Plan::new(args, &scorer)?;
    let out = args.out();
    for target in &plan.targets {
        prepare_folder(&out, &target.scene)?;
    }
    let earlier = output::read(&out).ok();
    let jobs = plan.jobs(args.shard);
    let rays = |job: &Job| {
        let [width, height] = plan.cases[job.case].0.size.map(u64::from);
        width * height
    };
    let bar = crate::cli::progress(jobs.iter().map(rays).sum(), "rays");
    let mut work =
        Work { args, scorer, out, bar, devices: vec![None; plan.models.len()], latencies: Vec::new(), rendered: 0 };
    let mut precisions = vec![String::new(); plan.models.len()];
    for t in 0..plan.targets.len() {
        for m in 0..plan.models.len() {
            work.pair(&mut plan, (t, m), &jobs, &mut precisions[m])?;
        }
    }
    work.bar.finish_and_clear();
    let mut metrics = Metrics { latencies: work.latencies, ..plan.metrics };
    metrics.cases = plan.cases.into_iter().map(|(case, ..)| case).collect();
    let chosen = work.devices.iter().flatten().next().cloned().unwrap_or(Chosen::Cpu);
    let run = started.finish(args, &chosen.to_string(), machine::details(&chosen), work.rendered);
    // Runs that made the images which were there already.
    let same = |old: &&Metrics| {
        let of = |m: &Metrics| hash::json(&(&m.settings, &m.models, &m.scenes)).ok();
        of(old) == of(&metrics)
    };
    metrics.runs = earlier.as_ref().filter(same).map(|old| old.runs.clone()).unwrap_or_default();
    if work.rendered > 0 || metrics.runs.is_empty() {
        metrics.runs.push(run);
    }
    finish(&mut metrics);
    costs::fill(&mut metrics)?;
    Ok(metrics)
}

/// What lasts for the whole evaluation.
struct Work<'a> {
    args: &'a Args,
    scorer: Scorer,
    out: PathBuf,
    bar: ProgressBar,
    /// Of each model, once it is known.
    devices: Vec<Option<Chosen>>,
    latencies: Vec<Latency>,
    rendered: u64,
}

/// A model on a scene.
struct Pair<'a> {
    renderer: Renderer,
    target: &'a Target,
    device: Chosen,
    meter: Option<Meter>,
}

impl Work<'_> {
    /// All images of a model on a split of a scene.
    fn pair(
        &mut self,
        plan: &mut Plan,
        (t, m): (usize, usize),
        jobs: &[Job],
        precision: &mut String,
    ) -> anyhow::Result<()> {
        let Plan { targets, models, cases, metrics } = plan;
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
            let scene = metrics.scenes.iter().find(|scene| scene.name == case.key.scene);
            let scene = scene.map(|scene| scene.sha256.as_str()).unwrap_or_default();
            let images: Vec<usize> = jobs.iter().filter(|job| job.case == number).map(|job| job.image).collect();
            if let Some(pair) = &mut pair {
                self.case(pair, case, &images, (scene, &models[m].sha256))?;
            }
        }
        Ok(())
    }

    fn engine(&mut self, model: &Loaded, m: usize) -> anyhow::Result<(crate::cli::device::AnyEngine, Chosen)> {
        // What auto took is said once a model; without a GPU, once.
        let known = self.devices[m].as_ref().or(self.devices.iter().flatten().find(|d| matches!(d, Chosen::Cpu)));
        let device = match known {
            Some(Chosen::Cuda(number, _)) => Device::Cuda(*number),
            Some(Chosen::Cpu) if self.devices[m].is_some() || self.args.device != Device::Auto => Device::Cpu,
            Some(Chosen::Cpu) if tensor::cuda::real::open(0).is_err() => Device::Cpu,
            _ => self.args.device,
        };
        let (engine, device) =
            self.args.precision.engine(device, self.args.threads(), model.model.clone(), &model.params)?;
        self.devices[m] = Some(device.clone());
        Ok((engine, device))
    }

    fn case(
        &mut self,
        pair: &mut Pair,
        case: &mut Case,
        images: &[usize],
        (scene, model): (&str, &str),
    ) -> anyhow::Result<()> {
        let mut warm: Option<Warm> = None;
        // What an image follows from: the case without what comes of it.
        let made_of = Case { images: Vec::new(), total: 0, ..case.clone() };
        for &index in images {
            let frame = &pair.target.frames[index];
            let files = Files::new(&case.key, &frame.name);
            let version = env!("CARGO_PKG_VERSION");
            let rendered = hash::json(&(version, scene, model, &made_of, &frame.name))?;
            let found = if self.args.overwrite { None } else { files.find(&self.out, &rendered) };
            let record = match found {
                Some((record, image)) => {
                    self.bar.inc(u64::from(image.width) * u64::from(image.height));
                    self.again(record, &image, pair.target, frame, &files)?
                }
                None => {
                    let warm = match &mut warm {
                        Some(warm) => warm,
                        None => warm.insert(self.warm_up(pair, case, frame)?),
                    };
                    self.bar.set_message(format!("{} {} {}", case.key.scene, case.key.model, frame.name));
                    self.image(pair, case, (index, frame), &files, warm, rendered)?
                }
            };
            join_latency(&mut self.latencies, &record.latency);
            case.images.push(ImageResult { index: index as u32, ..record.result });
        }
        Ok(())
    }

    /// A finished image; its scores are computed anew where others are asked for.
    fn again(
        &self,
        mut record: Record,
        image: &Image,
        target: &Target,
        frame: &Frame,
        files: &Files,
    ) -> anyhow::Result<Record> {
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
            importance: case.importance as usize,
            views: case.key.views as usize,
            threads: self.args.threads(),
            stride: case.stride,
            depth_range: case.depth_range.into(),
            routing: experts,
        }
    }

    /// Prepares the source views, casts some rays and finds the shares of the stages.
    fn warm_up(&self, pair: &mut Pair, case: &Case, frame: &Frame) -> anyhow::Result<Warm> {
        memory::forget_peak();
        let settings = self.settings(case, false);
        let pixels = f64::from(case.size[0]) * f64::from(case.size[1]);
        let coarser = (pixels / f64::from(WARM_UP)).sqrt().ceil().max(1.0) as u32;
        let few = Settings { stride: case.stride.saturating_mul(coarser), ..settings };
        let rendered = pair.renderer.render(frame, &few, &|_| {})?;
        let stages = pair.renderer.profile(frame, &settings)?;
        Ok(Warm {
            features: (rendered.seconds_features, rendered.prepared as u64),
            stages: stages.into_iter().map(|(name, share)| (name.to_owned(), share)).collect(),
        })
    }

    fn image(
        &mut self,
        pair: &mut Pair,
        case: &Case,
        (index, frame): (usize, &Frame),
        files: &Files,
        warm: &mut Warm,
        fingerprint: String,
    ) -> anyhow::Result<Record> {
        let experts = matches!(pair.renderer.config().mlp, MlpKind::Experts { .. });
        let settings = self.settings(case, experts);
        let mut features = std::mem::take(&mut warm.features);
        let (mut seconds, mut joules, mut last) = (Vec::new(), Vec::new(), None);
        for repetition in 0..self.args.repeat {
            let meter = pair.meter.take().context("a meter between two images")?.start();
            let rendered = pair.renderer.render(frame, &settings, &|rays| {
                if repetition == 0 {
                    self.bar.inc(rays as u64);
                }
            })?;
            joules.extend(meter.joules());
            pair.meter = Some(meter);
            features = (features.0 + rendered.seconds_features, features.1 + rendered.prepared as u64);
            seconds.push(rendered.seconds_rays);
            last = Some(rendered);
        }
        let rendered = last.context("expected at least one repetition")?;
        self.rendered += 1;
        let image = saved(&rendered, case, frame)?;
        let truth = truth(pair.target, frame)?;
        let result = ImageResult {
            index: index as u32,
            name: frame.name.clone(),
            file: files.image(),
            sha256: hash::bytes(&image.to_rgb8()),
            sources: rendered.sources.iter().map(|id| pair.target.scene.views[*id].name.clone()).collect(),
            scores: self.scorer.score(&image, &truth)?,
            unmasked: truth.unmasked(),
            routed: rendered.routing.as_ref().map(|routing| routing.parts.clone()).unwrap_or_default(),
        };
        let meter = pair.meter.as_ref().map(|meter| meter.describe().to_owned()).unwrap_or_default();
        let mut latency = Latency {
            key: case.key.clone(),
            device: pair.device.to_string(),
            threads: settings.threads as u32,
            images: vec![ImageTime {
                index: index as u32,
                name: frame.name.clone(),
                rays: rendered.rays as u64,
                joules: (joules.len() == seconds.len()).then(|| joules.iter().sum::<f64>() / seconds.len() as f64),
                seconds,
                features,
            }],
            stages: warm.stages.clone(),
            peak_memory: memory::peak(),
            device_memory: pair.renderer.device_memory(),
            meter,
            ..Latency::default()
        };
        latency.complete();
        let panels = sheet::panels(&sheet::Rendered {
            image: &image,
            truth: &truth.image,
            depth: &rendered.depth,
            depth_range: case.depth_range,
            routing: rendered.routing.as_ref().map(|routing| routing.multiplied.as_slice()),
            mask: truth.mask.as_ref().map(Mask::counts),
        })?;
        let sheet = sheet::jpeg(&sheet::composite(&panels))?;
        let record = Record { rendered: fingerprint, scored: self.scorer.fingerprint(), result, latency };
        files.write(&self.out, &record, &image, &sheet)?;
        Ok(record)
    }
}

/// What a warm-up found.
struct Warm {
    /// Seconds for features, and how many sources had none yet; the first image takes them over.
    features: (f64, u64),
    stages: Vec<(String, f64)>,
}

/// The photograph of a held-out view as it is compared.
fn truth(target: &Target, frame: &Frame) -> anyhow::Result<Truth> {
    let view = frame.truth.and_then(|id| target.scene.views.get(id));
    Truth::load(view.with_context(|| format!("{}: expected a photograph, found none", frame.name))?, target.stride)
}

/// The image as its file has it.
fn saved(rendered: &Rendered, case: &Case, frame: &Frame) -> anyhow::Result<Image> {
    let image = &rendered.image;
    if let Some(value) = image.data.iter().find(|value| !value.is_finite()) {
        let (scene, model) = (&case.key.scene, &case.key.model);
        bail!("{model} on {scene}, image {}: expected colours that are numbers, found {value}", frame.name);
    }
    let rounded = image.to_rgb8().iter().map(|value| f32::from(*value) / 255.0).collect();
    Ok(Image::new(image.width, image.height, rounded)?)
}
