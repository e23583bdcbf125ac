//! What an evaluation consists of: scenes and their splits, models, cases, images.

use super::score::Scorer;
use super::{Args, Protocol};
use crate::cli::samples::Samples;
use crate::cli::{hash, names as file_names, output};
use anyhow::{Context, bail, ensure};
use clap::ValueEnum;
use eval::report::data::{Case, CaseKey, Definitions, FORMAT, Metrics, ModelInfo, SceneInfo, Settings, Shard};
use gnt::{Guided, Model};
use scene::formats::Split;
use scene::{FAR_EVAL, Format, Frame, LoadOptions, PathKind, Scene, paths};
use std::collections::HashSet;
use std::path::{Path, PathBuf};

/// Samples a ray of the protocol.
const SAMPLES: Samples = Samples::Even(192);
/// Source views of the protocol, and of its few-view form.
const VIEWS: [&[u32]; 2] = [&[10], &[1, 2, 3]];

/// Everything that is to be done, and the frame of what is reported.
pub struct Plan {
    /// Scenes, one for each split.
    pub targets: Vec<Target>,
    /// Models.
    pub models: Vec<Loaded>,
    /// Cases of the report, without images; for each the number of its target and model.
    pub cases: Vec<(Case, usize, usize)>,
    /// The report without cases.
    pub metrics: Metrics,
}

/// One split of a scene.
pub struct Target {
    /// [`SceneInfo::name`].
    pub name: String,
    /// The scene; its held-out views are those of the split.
    pub scene: Scene,
    /// The held-out views that are rendered.
    pub frames: Vec<Frame>,
    /// File names of these, without endings.
    pub stems: Vec<String>,
    /// [`name`](Self::name) as the name of a folder.
    pub folder: String,
    /// Every how many pixels a ray is cast.
    pub stride: u32,
    scale: u32,
    /// Name of the split.
    pub split: String,
    /// Hash of poses and photographs.
    sha256: String,
}

/// A model in memory.
pub struct Loaded {
    /// [`ModelInfo::name`].
    pub name: String,
    /// The same as the name of a folder.
    pub folder: String,
    /// Its hash.
    pub sha256: String,
    /// The network.
    pub model: Model,
    /// Its parameters.
    pub params: Vec<f32>,
}

/// An image of a case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Job {
    /// Number of the case.
    pub case: usize,
    /// Number of the image in the split.
    pub image: usize,
}

impl Plan {
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
        let scene_names = names(&roots);
        let folders = file_names::for_files(scene_names.iter().map(String::as_str));
        for (((given, root), name), folder) in args.scene.iter().zip(&roots).zip(scene_names).zip(&folders) {
            let of_scene = Target::all(args, root, (&name, folder), &mut HashSet::new())?;
            ensure!(
                !of_scene.is_empty(),
                "{}: expected photographs that are held out, such as transforms_test.json, found only those for training",
                root.display()
            );
            scenes.push(scene_info(given, &name, &of_scene)?);
            targets.extend(of_scene);
        }
        let given = if args.model.is_empty() { vec![gnt::builtin::NAMES[0].to_owned()] } else { args.model.clone() };
        let mut models = Vec::new();
        let mut infos = Vec::new();
        let names = model_names(&given)?;
        let folders = file_names::for_files(names.iter().map(String::as_str));
        for ((given, name), folder) in given.iter().zip(names).zip(folders) {
            let (model, params, _) = gnt::builtin::load(given)?;
            let sha256 = hash::model(&model.config, &params)?;
            infos.push(ModelInfo {
                name: name.clone(),
                given: given.clone(),
                sha256: sha256.clone(),
                parameters: params.len() as u64,
                config: serde_json::to_value(model.config)?,
            });
            models.push(Loaded { name, folder, sha256, model, params });
        }
        let metrics = Metrics {
            format: FORMAT.into(),
            shard: args.shard,
            settings: settings(args, scorer),
            definitions: definitions(scorer),
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
        let mut plan = Self { targets, models, cases: Vec::new(), metrics };
        plan.list_cases(args);
        Ok(plan)
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
    pub fn jobs(&self, shard: Option<Shard>) -> Vec<Job> {
        let all = self.cases.iter().enumerate().flat_map(|(number, (case, ..))| {
            let samples = u64::from(2 * case.samples + case.importance);
            let cost = u64::from(case.size[0]) * u64::from(case.size[1]) * samples * u64::from(case.key.views + 5);
            (0..case.total as usize).map(move |image| (Job { case: number, image }, u128::from(cost)))
        });
        let all: Vec<(Job, u128)> = all.collect();
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

impl Target {
    /// The splits of a scene that are evaluated. Warnings that are not in `told` are said.
    fn all(args: &Args, root: &Path, names: (&str, &str), told: &mut HashSet<String>) -> anyhow::Result<Vec<Self>> {
        let present = scene::formats::splits(root)?;
        let wanted: Vec<Split> = if args.split.is_empty() || present.contains(&Split::HeldOut) {
            present
        } else {
            // A split that is missing is the loader's to tell.
            args.split.iter().map(|split| if split == "val" { Split::Val } else { Split::Test }).collect()
        };
        wanted.into_iter().map(|split| Self::one(args, root, names, split, told)).collect()
    }

    fn one(
        args: &Args,
        root: &Path,
        (name, folder): (&str, &str),
        split: Split,
        told: &mut HashSet<String>,
    ) -> anyhow::Result<Self> {
        let by_protocol = if root.join("poses_bounds.npy").exists() {
            // The published protocol where images of its size exist or can be made.
            let large = ["images_4", "images_2", "images"].iter().any(|folder| root.join(folder).is_dir());
            if large { (4, 2) } else { (8, 1) }
        } else {
            (1, 0)
        };
        let scale = args.scale.unwrap_or(by_protocol.0);
        let options = LoadOptions { factor: Some(scale), split: Some(split), ..LoadOptions::default() };
        let scene = scene::formats::load(root, &options)?;
        // At once: what was guessed may be why a step below cannot go on. Splits often share a warning.
        for warning in scene.warnings.iter().filter(|warning| told.insert((*warning).clone())) {
            output::warn(&format!("{name}: {warning}"));
        }
        let stride = match (args.stride, args.scale, by_protocol.1) {
            (Some(stride), ..) => stride,
            (None, Some(_), _) => 1,
            // The script's stride of 2 is meant for Blender images of 800x800.
            (None, None, 0) if scene.format == Format::Blender && scene.size().0 >= 800 => 2,
            (None, None, stride) => stride.max(1),
        };
        let frames = paths::frames(&scene, &PathKind::Test, args.images.map(|n| n as usize))?;
        let mut stems = HashSet::new();
        if let Some(twice) = frames.iter().find(|frame| !stems.insert(&frame.name)) {
            bail!("{name}: expected held-out images of different names, found {:?} twice", twice.name);
        }
        for frame in &frames {
            let candidates = paths::source_candidates(&scene, frame);
            scene::nearest_sources(&scene, &frame.camera, &candidates, 1)
                .with_context(|| format!("{name}: image {} cannot be rendered", frame.name))?;
        }
        let sha256 = hash::files(root, &scene::formats::files(&scene))?;
        let stems = file_names::for_files(frames.iter().map(|frame| frame.name.as_str()));
        let (name, folder) = (name.to_owned(), folder.to_owned());
        Ok(Self { name, folder, scene, frames, stems, stride, scale, split: split.name().into(), sha256 })
    }
}

fn scene_info(given: &str, name: &str, targets: &[Target]) -> anyhow::Result<SceneInfo> {
    let mut warnings: Vec<String> = targets.iter().flat_map(|t| t.scene.warnings.clone()).collect();
    warnings.sort();
    warnings.dedup();
    let photographs: HashSet<&Path> =
        targets.iter().flat_map(|t| t.scene.views.iter().map(|view| view.path.as_path())).collect();
    Ok(SceneInfo {
        name: name.to_owned(),
        given: given.to_owned(),
        kind: targets.first().map_or("", |t| t.scene.format.name()).into(),
        sha256: match targets {
            [one] => one.sha256.clone(),
            several => hash::json(&several.iter().map(|t| &t.sha256).collect::<Vec<_>>())?,
        },
        photographs: photographs.len() as u64,
        warnings,
    })
}

/// Last parts of the folders; where two are equal, with the parts before them.
fn names(roots: &[PathBuf]) -> Vec<String> {
    let full: Vec<PathBuf> = roots.iter().map(|root| root.canonicalize().unwrap_or_else(|_| root.clone())).collect();
    let tail = |path: &Path, parts: usize| {
        let all: Vec<_> = path.components().map(|c| c.as_os_str().to_string_lossy().into_owned()).collect();
        all[all.len().saturating_sub(parts)..].join("/")
    };
    let name = |path: &PathBuf| {
        let unique = |parts: &usize| full.iter().filter(|other| tail(other, *parts) == tail(path, *parts)).count() == 1;
        let parts = (1..=path.components().count()).find(unique).unwrap_or(1);
        tail(path, parts)
    };
    full.iter().map(name).collect()
}

/// Built-in names as they are; of files their stems, or as they are given where two are equal.
fn model_names(given: &[String]) -> anyhow::Result<Vec<String>> {
    let short = |text: &String| {
        let stem = Path::new(text).file_stem().map(|stem| stem.to_string_lossy().into_owned());
        if gnt::builtin::NAMES.contains(&text.as_str()) { text.clone() } else { stem.unwrap_or_else(|| text.clone()) }
    };
    let mut names: Vec<String> = Vec::new();
    for text in given {
        let unique = given.iter().filter(|other| short(other) == short(text)).count() == 1;
        let name = if unique { short(text) } else { text.clone() };
        ensure!(!names.contains(&name), "--model {text}: expected every model once, found it twice");
        names.push(name);
    }
    Ok(names)
}

fn settings(args: &Args, scorer: &Scorer) -> Settings {
    let name = |value: &dyn Fn() -> Option<clap::builder::PossibleValue>| {
        value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    };
    let protocol = args.protocol.unwrap_or(Protocol::Gnt);
    Settings {
        protocol: name(&|| protocol.to_possible_value()),
        splits: args.split.clone(),
        views: (!args.views.is_empty()).then(|| args.views.clone()),
        samples: match args.samples {
            Some(Samples::Even(samples) | Samples::Guided(_, samples)) => Some(samples as u32),
            Some(Samples::Auto) | None => None,
        },
        guided: args.samples.filter(|samples| !matches!(samples, Samples::Even(_))).map(|samples| samples.to_string()),
        importance: args.importance.unwrap_or(0),
        scale: args.scale,
        stride: args.stride,
        images: args.images,
        precision: name(&|| args.precision().to_possible_value()),
        ssim: scorer.ssim.name().into(),
        lpips: scorer.lpips_name(),
    }
}

fn definitions(scorer: &Scorer) -> Definitions {
    Definitions {
        colours: "Images are compared as they are saved: clipped to 0..1 and rounded to 8 bits. With a stride, the \
                  same pixels of the photograph are taken. Pixels that a mask leaves out do not count."
            .into(),
        psnr: "-10 log10(mean squared error + 1e-6) in dB over all pixels and channels, so at most 60, as in the GNT \
               evaluation."
            .into(),
        ssim: scorer.ssim.describe().into(),
        lpips: scorer.describe_lpips(),
        flip: eval::flip::DESCRIPTION.into(),
        latency: "Seconds for the rays of an image, from cameras to colours in host memory, after a warm-up of about \
                  2000 rays; features of the source views, which are computed once a scene, are timed apart. Shares \
                  of the stages are from a sample of rays that is not part of the times."
            .into(),
        energy: crate::cli::info::energy::BIASES.iter().map(|text| (*text).to_owned()).collect(),
    }
}
