//! Checkpoints of timm: DeiT and PVTv2 by their published names, in safetensors or PyTorch files.

use crate::checkpoint::{Checkpoint, Description, MAX_FILE_BYTES};
use crate::config::{DeitConfig, Kinds, PvtConfig};
use crate::preprocess::{Interpolation, resize};
use crate::tensor::{KINDS, values};
use crate::{Config, Error, Model, Result, hub};
use safetensors::tensor::SafeTensors;
use std::collections::BTreeMap;
use std::path::Path;
use torchfile::Tensor;

/// Channels of a head in every DeiT.
const HEAD_WIDTH: usize = 64;
/// Height and width of images where neither the file nor the caller says.
const SIDE: usize = 224;

type Tensors = BTreeMap<String, Tensor>;

/// Reads a checkpoint; its model takes images of `size`, height and width, for which position embeddings are resized.
///
/// Without a size it takes the images that it was trained on: those that its position embeddings cover, or 224 by 224
/// pixels. What the tensors are called and their shapes say which model it is; preprocessing and names of classes are those
/// of a `config.json` beside it ([`hub`]), else ImageNet's and none.
///
/// # Errors
/// If the file cannot be read, is no such checkpoint, or does not fit the size. Nothing in it is executed, and no more
/// memory is taken than its size explains.
pub fn read(path: &Path, size: Option<(usize, usize)>) -> Result<Checkpoint> {
    let bad = |problem: String| Error::File { path: path.to_owned(), problem };
    let mut tensors = tensors(path)?;
    let beside = hub::beside(path)?;
    // A DeiT's position embeddings tell its size themselves.
    let told = beside.size.filter(|_| !tensors.contains_key("pos_embed"));
    let config = config(&tensors, size.or(told)).map_err(bad)?;
    let (names, classes) = (beside.classes.len(), config.classes());
    if names != 0 && names != classes {
        return Err(bad(format!("expected {classes} names of classes in {} beside it, found {names}", hub::FILE)));
    }
    let model = Model::new(config, compute::Products::F32).map_err(|e| bad(e.to_string()))?;
    if let Config::Deit(config) = &config {
        fit_positions(&mut tensors, config).map_err(bad)?;
    }
    let known = model.layout.entries();
    // Buffers of attention variants and classifiers that timm drops are no weights of these models.
    if let Some(name) = tensors.keys().find(|name| !known.iter().any(|entry| entry.name == **name)) {
        return Err(bad(format!("{name:?}: expected a tensor of {config:?}, found one more")));
    }
    let mut params = vec![0.0; known.iter().map(|entry| entry.slot.len).sum()];
    for entry in known {
        let tensor = tensors
            .get(&entry.name)
            .ok_or_else(|| bad(format!("{:?}: expected {:?}, found none", entry.name, entry.shape)))?;
        if tensor.shape != entry.shape {
            return Err(bad(format!("{:?}: expected {:?}, found {:?}", entry.name, entry.shape, tensor.shape)));
        }
        if let Some(wrong) = tensor.data.iter().find(|v| !v.is_finite()) {
            return Err(bad(format!("{:?}: expected finite weights, found {wrong}", entry.name)));
        }
        entry.slot.of_mut(&mut params).copy_from_slice(&tensor.data);
    }
    let description = Description { config, preprocess: beside.preprocess, classes: beside.classes };
    Ok(Checkpoint { description, params, origin: path.to_owned() })
}

/// Whether a file has a checkpoint of such a model, by the name of a tensor that all of them have.
///
/// # Errors
/// If it cannot be read or is no file of tensors.
pub fn is_one(path: &Path) -> Result<bool> {
    Ok(tensors(path)?.contains_key("patch_embed.proj.weight"))
}

/// All tensors of a file, in f32.
fn tensors(path: &Path) -> Result<Tensors> {
    let bad = |problem: String| Error::File { path: path.to_owned(), problem };
    let is_safetensors = path.extension().is_some_and(|e| e.eq_ignore_ascii_case("safetensors"));
    if !is_safetensors {
        let read = torchfile::read(path, |_| true).map_err(|e| match e {
            torchfile::Error::Io { path, source } => Error::Io { path, source },
            torchfile::Error::File { path, problem } => Error::File { path, problem },
        })?;
        // Training code saves the weights under "model" or "state_dict" beside what only training needs.
        let of = |prefix: &str| -> Tensors {
            read.iter().filter_map(|(n, t)| Some((n.strip_prefix(prefix)?.to_owned(), t.clone()))).collect()
        };
        let inner = ["model.", "state_dict."].into_iter().map(of).find(|found| !found.is_empty());
        return Ok(inner.unwrap_or(read));
    }
    let bytes = scene::file::read_limited(path, MAX_FILE_BYTES)?;
    let file = SafeTensors::deserialize(&bytes).map_err(|e| bad(format!("safetensors header: {e}")))?;
    let mut tensors = BTreeMap::new();
    for (name, view) in file.iter() {
        let data = values(&view).ok_or_else(|| bad(format!("{name:?}: expected {KINDS}, found {:?}", view.dtype())))?;
        tensors.insert(name.to_owned(), Tensor { shape: view.shape().to_vec(), data });
    }
    Ok(tensors)
}

/// The model that has these tensors.
fn config(tensors: &Tensors, size: Option<(usize, usize)>) -> std::result::Result<Config, String> {
    let shape = |name: &str| {
        let found = tensors.get(name).map(|t| t.shape.as_slice());
        found.ok_or_else(|| format!("expected a DeiT or a PVTv2 of timm, found no {name:?}"))
    };
    let blocks =
        |prefix: &str| (0..).take_while(|i| tensors.contains_key(&format!("{prefix}{i}.norm1.weight"))).count();
    let &[classes, _] = shape("head.weight")? else { return Err("\"head.weight\": expected two dimensions".into()) };
    let &[width, _, patch, _] = shape("patch_embed.proj.weight")? else {
        return Err("\"patch_embed.proj.weight\": expected four dimensions".into());
    };
    if !tensors.contains_key("cls_token") {
        let mut widths = [width; 4];
        for (s, width) in widths.iter_mut().enumerate().skip(1) {
            *width = shape(&format!("stages.{s}.downsample.proj.weight"))?[0];
        }
        let depths = std::array::from_fn(|s| blocks(&format!("stages.{s}.blocks.")));
        // Only the linear variant reduces in the last stage, too.
        let linear = tensors.contains_key("stages.3.blocks.0.attn.sr.weight");
        let image = size.unwrap_or((SIDE, SIDE));
        let Kinds { attention, linears, feed_forward } = Kinds::default();
        let config = PvtConfig { image, classes, widths, depths, linear, attention, linears, feed_forward };
        return Ok(Config::Pvt(config));
    }
    let distilled = tensors.contains_key("dist_token");
    let &[_, positions, _] = shape("pos_embed")? else { return Err("\"pos_embed\": expected three dimensions".into()) };
    let patches = positions.saturating_sub(1 + usize::from(distilled));
    let own = patches.isqrt() * patch;
    let depth = blocks("blocks.");
    let image = size.unwrap_or((own, own));
    let heads = (width / HEAD_WIDTH).max(1);
    let Kinds { attention, linears, feed_forward } = Kinds::default();
    Ok(Config::Deit(DeitConfig {
        image,
        patch,
        classes,
        width,
        depth,
        heads,
        distilled,
        attention,
        linears,
        feed_forward,
    }))
}

/// Resizes the position embeddings to the grid of the images, as timm does: bicubic, those of extra tokens as they are.
fn fit_positions(tensors: &mut Tensors, config: &DeitConfig) -> std::result::Result<(), String> {
    let (extra, width) = (1 + usize::from(config.distilled), config.width);
    let Some(tensor) = tensors.get_mut("pos_embed") else { return Ok(()) };
    let (rows, columns) = config.grid();
    let (found, wanted) = (tensor.shape.clone(), extra + rows * columns);
    if found.get(1) == Some(&wanted) {
        return Ok(());
    }
    let side = found.get(1).map_or(0, |n| n.saturating_sub(extra).isqrt());
    if found.len() != 3 || found[0] != 1 || found[2] != width || side == 0 || side * side + extra != found[1] {
        return Err(format!("\"pos_embed\": expected [1, {extra} and a square, {width}], found {found:?}"));
    }
    let (head, grid) = tensor.data.split_at(extra * width);
    let resized = resize(grid, width, (side, side), (rows, columns), Interpolation::Bicubic);
    let data = [head, &resized[..]].concat();
    *tensor = Tensor { shape: vec![1, wanted, width], data };
    Ok(())
}

#[cfg(test)]
#[path = "timm_tests.rs"]
mod tests;
