//! The scenes of an evaluation: one target for each split.

use super::Args;
use crate::cli::{hash, names as file_names, output};
use anyhow::{Context, bail};
use eval::report::data::SceneInfo;
use scene::formats::Split;
use scene::{Frame, LoadOptions, PathKind, Scene, paths};
use std::collections::HashSet;
use std::path::{Path, PathBuf};

/// The views of a scene that are rendered and compared, and what they may look up.
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
    /// Reduction of the photographs.
    pub scale: u32,
    /// Name of the split.
    pub split: String,
    /// Hash of poses and photographs.
    pub sha256: String,
}

impl Target {
    /// The splits of a scene that are evaluated. Warnings that are not in `told` are said.
    ///
    /// # Errors
    /// If the scene or a split cannot be used.
    pub fn all(args: &Args, root: &Path, names: (&str, &str), told: &mut HashSet<String>) -> anyhow::Result<Vec<Self>> {
        let present = scene::formats::splits(root, args.reading.format)?;
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
        let scale = match args.scale {
            Some(scale) => scale,
            None => scene::formats::eval_factor(root, args.reading.format)?,
        };
        let options = LoadOptions { split: Some(split), ..args.reading.options(Some(scale)) };
        let scene = scene::formats::load(root, &options)?;
        // At once: what was guessed may be why a step below cannot go on. Splits often share a warning.
        for warning in scene.warnings.iter().filter(|warning| told.insert((*warning).clone())) {
            output::warn(&format!("{name}: {warning}"));
        }
        // The protocol's stride belongs to its size.
        let stride = match (args.stride, args.scale) {
            (Some(stride), _) => stride,
            (None, Some(_)) => 1,
            (None, None) => scene.eval_stride,
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

/// What a report says of a scene.
///
/// # Errors
/// None in practice; that of the JSON library.
pub fn scene_info(given: &str, name: &str, targets: &[Target]) -> anyhow::Result<SceneInfo> {
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
pub fn names(roots: &[PathBuf]) -> Vec<String> {
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
