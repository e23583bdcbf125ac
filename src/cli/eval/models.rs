//! The models of an evaluation.

use crate::cli::{hash, names as file_names};
use anyhow::ensure;
use eval::report::data::ModelInfo;
use gnt::Model;
use gnt::shift_shares::ShiftShares;
use std::path::Path;

/// A model in memory.
pub struct LoadedModel {
    /// [`ModelInfo::name`].
    pub name: String,
    /// The name as a folder can have it.
    pub folder: String,
    /// SHA-256 of its file.
    pub sha256: String,
    /// The network.
    pub model: Model,
    /// Its parameters.
    pub params: Vec<f32>,
}

/// Built-in names as they are; of files their stems, or as they are given where two are equal.
fn names(given: &[String]) -> anyhow::Result<Vec<String>> {
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

/// Loads the models that the command line gives, or the default one, and says what a report tells of each.
///
/// # Errors
/// If one is given twice or cannot be loaded.
pub fn load(given: &[String]) -> anyhow::Result<(Vec<LoadedModel>, Vec<ModelInfo>)> {
    let default = [gnt::builtin::NAMES[0].to_owned()];
    let given = if given.is_empty() { &default } else { given };
    let names = names(given)?;
    let folders = file_names::for_files(names.iter().map(String::as_str));
    let (mut models, mut infos) = (Vec::new(), Vec::new());
    for ((given, name), folder) in given.iter().zip(names).zip(folders) {
        let checkpoint = gnt::builtin::checkpoint(given)?;
        let model = Model::new(checkpoint.config)?;
        let params = checkpoint.into_params(&model.layout)?;
        let sha256 = hash::model(&model.config, &params)?;
        infos.push(ModelInfo {
            name: name.clone(),
            given: given.clone(),
            sha256: sha256.clone(),
            parameters: params.len() as u64,
            config: serde_json::to_value(model.config)?,
            rendered_shift_shares: ShiftShares::of(&checkpoint)?.rendered().map(<[f64]>::to_vec),
        });
        models.push(LoadedModel { name, folder, sha256, model, params });
    }
    Ok((models, infos))
}
