//! Official training checkpoints: zip containers with a pickle, as `torch.save` of PyTorch 1.6 and later writes them.
//!
//! Only weights are taken; optimizer and scheduler state is parsed for its structure and never read from the file.

mod container;
mod pickle;
mod rebuild;
#[cfg(test)]
mod testing;
mod value;

use super::{Checkpoint, Tensor, infer, open_regular, problem_in};
use crate::{Model, Result};
use container::Container;
use rebuild::View;
use std::collections::BTreeMap;
use std::io::{Read, Seek};
use std::path::Path;
use value::{Arena, Node, Value};

/// Longest `data.pkl`; that of the largest official checkpoint has about 100 kB.
const MAX_PICKLE_BYTES: u64 = 16 << 20;

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
    let (file, len) = open_regular(path)?;
    let tensors = read_tensors(file, len).map_err(|problem| problem_in(path, problem))?;
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

/// The weights of a checkpoint of `len` bytes under their full names.
fn read_tensors<R: Read + Seek>(mut reader: R, len: u64) -> std::result::Result<BTreeMap<String, Tensor>, String> {
    let mut magic = Vec::new();
    reader.by_ref().take(4).read_to_end(&mut magic).map_err(|e| e.to_string())?;
    match magic[..] {
        [b'P', b'K', 3, 4] => {}
        [0x80, 2, ..] => {
            return Err("expected a zip container, found the format of PyTorch before 1.6; load it there and save it \
                        again with torch.save of a later version"
                .into());
        }
        _ => return Err(format!("expected a PyTorch checkpoint (a zip container), found the bytes {magic:02x?}")),
    }
    let mut container = Container::open(reader, len)?;
    if container.contains("byteorder") {
        let order = container.read("byteorder", 16)?;
        if order != b"little" {
            return Err(format!("byteorder: expected little, found {:?}", String::from_utf8_lossy(&order)));
        }
    }
    let pickle = container.read("data.pkl", MAX_PICKLE_BYTES)?;
    let (arena, root) = pickle::parse(&pickle)?;
    drop(pickle);
    let views = select(&arena, root)?;

    // Two bytes are the smallest weight. Views may share a storage, even repeat one element, so this needs a bound.
    let values = views.values().try_fold(0u64, |sum, view| sum.checked_add(view.len() as u64));
    if values.is_none_or(|values| values > len / 2) {
        return Err(format!("expected fewer weights than the file's {len} bytes can hold"));
    }
    let mut by_storage: BTreeMap<&str, Vec<(&String, &View)>> = BTreeMap::new();
    for (name, view) in &views {
        by_storage.entry(&view.storage.key).or_default().push((name, view));
    }
    let mut tensors = BTreeMap::new();
    for (key, views) in by_storage {
        let entry = format!("data/{key}");
        let bytes = container.read(&entry, len)?;
        for (name, view) in views {
            let data = view.gather(&bytes).map_err(|e| format!("{name:?} in {entry:?}: {e}"))?;
            tensors.insert(name.clone(), Tensor { shape: view.shape.clone(), data });
        }
    }
    Ok(tensors)
}

/// The weights among everything that was saved.
fn select(arena: &Arena, root: Value) -> std::result::Result<BTreeMap<String, View>, String> {
    let found = || arena.describe(root);
    let pairs = arena.dict(root).ok_or_else(|| format!("expected a dict of state dicts, found {}", found()))?;
    let top: Vec<_> = pairs.iter().filter_map(|&(key, value)| Some((arena.text(key)?, value))).collect();
    let fine = |(key, value): &(&str, Value)| {
        let key = key.strip_prefix("module.").unwrap_or(key);
        key.split('.').next() == Some("net_fine") && *value != Value::None
    };
    if top.iter().any(fine) {
        return Err("expected a checkpoint with one network, found net_fine beside net_coarse; checkpoints with two \
                    networks are not supported, only those trained with single_net"
            .into());
    }

    let mut views = BTreeMap::new();
    let mut add = |name: String, value: Value| {
        let Some(Node::Tensor(view)) = arena.node(value) else {
            return Err(format!("{name:?}: expected a tensor, found {}", arena.describe(value)));
        };
        if !view.storage.element.is_float() {
            return Err(format!("{name:?}: expected floating-point weights, found {:?}", view.storage.element));
        }
        match views.insert(name.clone(), (**view).clone()) {
            None => Ok(()),
            Some(_) => Err(format!("{name:?}: expected one such tensor, found two")),
        }
    };
    for &(key, value) in &top {
        let key = key.strip_prefix("module.").unwrap_or(key);
        let (network, rest) = key.split_once('.').map_or((key, None), |(network, rest)| (network, Some(rest)));
        if !NETWORKS.contains(&network) {
            continue;
        }
        if let Some(rest) = rest {
            add(full_name(network, rest), value)?;
            continue;
        }
        let state = arena.dict(value);
        let state = state.ok_or_else(|| format!("{key}: expected a state dict, found {}", arena.describe(value)))?;
        for &(key, value) in state {
            let text =
                arena.text(key).ok_or_else(|| format!("{network}: expected names, found {}", arena.describe(key)))?;
            add(full_name(network, text), value)?;
        }
    }
    if views.is_empty() {
        let keys: Vec<_> = top.iter().take(5).map(|(key, _)| format!("{key:.64?}")).collect();
        return Err(format!("expected the state dicts {NETWORKS:?}, found keys {}", keys.join(", ")));
    }
    Ok(views)
}

fn full_name(network: &str, rest: &str) -> String {
    format!("{network}.{}", rest.strip_prefix("module.").unwrap_or(rest))
}

#[cfg(test)]
#[path = "torch_tests.rs"]
mod tests;
