//! What an evaluation consists of: scenes and their splits, models, cases, images.

use super::models::{self, LoadedModel};
use super::score::Scorer;
use super::targets::{self, Target};
use super::{Args, Protocol, definitions};
use crate::cli::names as file_names;
use anyhow::{Context, bail, ensure};
use eval::report::data::{Case, CaseKey, FORMAT, Metrics, Shard};
use gnt::Guided;
use gnt::renderer::Samples;
use scene::FAR_EVAL;
use std::collections::HashSet;
use std::path::PathBuf;

/// Samples on each ray, by the protocol.
const SAMPLES: Samples = Samples::Even(192);
/// Source views of the protocol, and of its few-view form.
const VIEWS: [&[u32]; 2] = [&[10], &[1, 2, 3]];

/// Everything that is to be done, and the frame of what is reported.
pub struct Evaluation {
    /// What is evaluated: one target for each split of each scene.
    pub targets: Vec<Target>,
    /// The models that are evaluated.
    pub models: Vec<LoadedModel>,
    /// Cases of the report, without images; for each the number of its target and model.
    pub cases: Vec<(Case, usize, usize)>,
    /// The report so far, with all that is known before an image is rendered.
    pub metrics: Metrics,
}

/// An image that is to be rendered: one of a case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImageJob {
    /// Number of the case.
    pub case: usize,
    /// Number of the image in the split.
    pub image: usize,
}

impl Evaluation {
    /// Reads scenes and models and lists the cases.
    ///
    /// # Errors
    /// If one cannot be used.
    pub fn new(args: &Args, scorer: &Scorer) -> anyhow::Result<Self> {
        if let (Some(guided @ Samples::Guided(..)), Some(importance @ 1..)) = (args.samples, args.importance) {
            bail!("--importance: expected 0 with the guided samples {guided}, found {importance}");
        }
        let mut scenes = Vec::new();
        let mut targets = Vec::new();
        let mut roots = Vec::new();
        for given in &args.scene {
            let root = scene::locate(given, &args.scenes)?;
            let same = |other: &PathBuf| other.canonicalize().ok() == root.canonicalize().ok();
            ensure!(!roots.iter().any(same), "--scene {given}: expected every scene once, found it twice");
            roots.push(root);
        }
        let scene_names = targets::names(&roots);
        let folders = file_names::for_files(scene_names.iter().map(String::as_str));
        for (((given, root), name), folder) in args.scene.iter().zip(&roots).zip(scene_names).zip(&folders) {
            let of_scene = Target::all(args, root, (&name, folder), &mut HashSet::new())?;
            ensure!(
                !of_scene.is_empty(),
                "{}: expected photographs that are held out, such as transforms_test.json, found only those for training",
                root.display()
            );
            scenes.push(targets::scene_info(given, &name, &of_scene)?);
            targets.extend(of_scene);
        }
        let (models, infos) = models::load(&args.model)?;
        let metrics = Metrics {
            format: FORMAT.into(),
            shard: args.shard,
            settings: definitions::settings(args, scorer),
            definitions: definitions::definitions(scorer),
            models: infos,
            scenes,
            cases: Vec::new(),
            summaries: Vec::new(),
            latencies: Vec::new(),
            runs: Vec::new(),
        };
        for target in &targets {
            let (width, height) = target.scene.size();
            scorer.check_size([width, height].map(|n| n.div_ceil(target.stride))).context(target.name.clone())?;
        }
        for (target, loaded) in targets.iter().flat_map(|target| models.iter().map(move |loaded| (target, loaded))) {
            let (width, height) = target.scene.size();
            let fits = loaded.model.features.check_size(height as usize, width as usize);
            fits.with_context(|| format!("{} on {}", loaded.name, target.name))?;
        }
        let mut evaluation = Self { targets, models, cases: Vec::new(), metrics };
        evaluation.list_cases(args);
        Ok(evaluation)
    }

    fn list_cases(&mut self, args: &Args) {
        let protocol = args.protocol.unwrap_or(Protocol::Gnt);
        let views = if args.views.is_empty() { VIEWS[protocol as usize].to_vec() } else { args.views.clone() };
        for (t, target) in self.targets.iter().enumerate() {
            let (width, height) = target.scene.size();
            let [near, far] = target.scene.depth_range(FAR_EVAL);
            for (m, model) in self.models.iter().enumerate() {
                for &views in &views {
                    let key = CaseKey {
                        scene: target.name.clone(),
                        split: target.split.clone(),
                        model: model.name.clone(),
                        views,
                    };
                    if self.cases.iter().any(|(case, ..)| case.key == key) {
                        continue;
                    }
                    let importance = args.importance.unwrap_or(0);
                    let placed = args.samples.unwrap_or(SAMPLES);
                    let (samples, guided) = placed.of(&model.model.config, target.stride, importance as usize);
                    let case = Case {
                        key,
                        samples: samples as u32,
                        guided: guided.map(|how| Samples::Guided(how, samples).to_string()),
                        importance,
                        photographs: target.sha256.clone(),
                        scale: target.scale,
                        stride: target.stride,
                        source_size: [width, height],
                        size: [width, height].map(|n| n.div_ceil(target.stride)),
                        depth_range: [near, far],
                        precision: String::new(),
                        total: target.frames.len() as u32,
                        images: Vec::new(),
                        mean: Default::default(),
                        operations: Default::default(),
                        modelled: Default::default(),
                        routed: Vec::new(),
                    };
                    self.cases.push((case, t, m));
                }
            }
        }
    }

    /// The images of a part, in order. Parts are runs of neighbours, so that each needs few source views, with about
    /// the same number of network rows each.
    pub fn jobs(&self, shard: Option<Shard>) -> Vec<ImageJob> {
        let all = self.cases.iter().enumerate().flat_map(|(number, (case, ..))| {
            let samples = u64::from(2 * case.samples + case.importance);
            let cost = u64::from(case.size[0]) * u64::from(case.size[1]) * samples * u64::from(case.key.views + 5);
            (0..case.total as usize).map(move |image| (ImageJob { case: number, image }, u128::from(cost)))
        });
        let all: Vec<(ImageJob, u128)> = all.collect();
        let Some(Shard { index, count }) = shard else { return all.into_iter().map(|(job, _)| job).collect() };
        let total: u128 = all.iter().map(|(_, cost)| cost).sum();
        let mut before = 0;
        let mut part = Vec::new();
        for (job, cost) in all {
            // The part in which the middle of the job lies.
            if (2 * before + cost) * u128::from(count) / (2 * total).max(1) == u128::from(index - 1) {
                part.push(job);
            }
            before += cost;
        }
        part
    }
}

/// How a case's samples are guided.
pub fn guided(case: &Case) -> Option<Guided> {
    match case.guided.as_deref()?.parse() {
        Ok(Samples::Guided(how, _)) => Some(how),
        _ => None,
    }
}
