//! Official training checkpoints, as `torch.save` writes them.
//!
//! Only weights are taken; optimizer and scheduler state is never read from the file.

use super::{Checkpoint, infer, problem_in};
use crate::{Error, Model, Result};
use std::collections::BTreeMap;
use std::path::Path;
use torchfile::{Item, Selection, short};

/// Names of the two networks of a checkpoint that are read, as keys and as prefixes.
const NETWORKS: [&str; 2] = ["net_coarse", "feature_net"];

/// Reads an official checkpoint and finds its config from names and shapes.
///
/// Taken are dicts with the state dicts `net_coarse` and `feature_net`, as the training code saves them, and plain state
/// dicts whose keys begin with these names; `module.` of distributed training is dropped. All weights become f32.
///
/// # Errors
/// [`crate::Error::Io`], or [`crate::Error::Checkpoint`] naming the file and what differs from an official checkpoint.
/// Nothing in the file is executed, and no more memory is taken than the file's size explains.
pub fn read_torch(path: &Path) -> Result<Checkpoint> {
    let tensors = torchfile::read_selected(path, select).map_err(|e| match e {
        torchfile::Error::Io { path, source } => Error::Io { path, source },
        torchfile::Error::File { path, problem } => Error::Checkpoint { path, problem },
    })?;
    let config = infer::config(&tensors).map_err(|problem| problem_in(path, problem))?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let about = format!("imported from the PyTorch checkpoint {name}");
    let metadata = BTreeMap::from([("about".to_owned(), about)]);
    let checkpoint = Checkpoint { config, tensors, metadata, origin: path.to_path_buf() };
    let layout = Model::new(config)?.layout;
    checkpoint.expect_tensors(layout.entries().iter().map(|e| (e.name.as_str(), e.shape.as_slice())))?;
    checkpoint.expect_finite()?;
    Ok(checkpoint)
}

/// The weights among everything that was saved.
fn select(root: Item) -> std::result::Result<Selection, String> {
    let pairs = root.pairs().ok_or_else(|| format!("expected a dict of state dicts, found {root}"))?;
    let top: Vec<_> = pairs.filter_map(|(key, item)| Some((key.text()?, item))).collect();
    let fine = |(key, item): &(&str, Item)| {
        let key = key.strip_prefix("module.").unwrap_or(key);
        key.split('.').next() == Some("net_fine") && !item.is_none()
    };
    if top.iter().any(fine) {
        return Err("expected a checkpoint with one network, found net_fine beside net_coarse; checkpoints with two \
                    networks are not supported, only those trained with single_net"
            .into());
    }

    let mut selection = Selection::new();
    for &(key, item) in &top {
        let key = key.strip_prefix("module.").unwrap_or(key);
        let (network, rest) = key.split_once('.').map_or((key, None), |(network, rest)| (network, Some(rest)));
        if !NETWORKS.contains(&network) {
            continue;
        }
        if let Some(rest) = rest {
            selection.add(full_name(network, rest), item)?;
            continue;
        }
        let state = item.pairs().ok_or_else(|| format!("{key}: expected a state dict, found {item}"))?;
        for (key, item) in state {
            let text = key.text().ok_or_else(|| format!("{network}: expected names, found {key}"))?;
            selection.add(full_name(network, text), item)?;
        }
    }
    if selection.is_empty() {
        let keys: Vec<_> = top.iter().take(5).map(|(key, _)| short(key)).collect();
        return Err(format!("expected the state dicts {NETWORKS:?}, found keys {}", keys.join(", ")));
    }
    Ok(selection)
}

fn full_name(network: &str, rest: &str) -> String {
    format!("{network}.{}", rest.strip_prefix("module.").unwrap_or(rest))
}

#[cfg(test)]
#[path = "torch_tests.rs"]
mod tests;
