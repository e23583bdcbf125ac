//! What the names and shapes of an official GNT checkpoint tell about its network.

use super::Tensor;
use crate::{Config, FeatureConfig, Position};
use std::collections::{BTreeMap, BTreeSet};

type Tensors = BTreeMap<String, Tensor>;

/// Channels of a frequency encoding of a world point or direction beyond the octaves, and per octave.
const ENCODED: [usize; 2] = [3, 6];

/// The config of a checkpoint under official names.
///
/// Heads, samples and views leave no trace in the weights: the official 4, 192 and 10 are assumed.
///
/// # Errors
/// A sentence naming the tensor, expected and found.
pub fn config(tensors: &Tensors) -> Result<Config, String> {
    let depth = count_blocks(tensors, "net_coarse.view_crosstrans.")?;
    let [width, _] = dims(tensors, "net_coarse.rgbfeat_fc.2.weight")?;
    let [_, token] = dims(tensors, "net_coarse.rgbfeat_fc.0.weight")?;
    let [mlp_hidden, _] = dims(tensors, "net_coarse.view_crosstrans.0.ff.fc1.weight")?;
    let [attention_hidden, _] = dims(tensors, "net_coarse.view_crosstrans.0.attn.attn_fc.0.weight")?;
    let [_, encoded] = dims(tensors, "net_coarse.q_fcs.0.0.weight")?;
    let [stem_width, _, _, _] = dims(tensors, "feature_net.conv1.weight")?;
    let [channels, _, _, _] = dims(tensors, "feature_net.out_conv.weight")?;
    let (mut widths, mut blocks) = ([0; 3], [0; 3]);
    for stage in 0..3 {
        let prefix = format!("feature_net.layer{}.", stage + 1);
        blocks[stage] = count_blocks(tensors, &prefix)?;
        [widths[stage], _, _, _] = dims(tensors, &format!("{prefix}0.conv1.weight"))?;
    }

    if token.checked_sub(3) != Some(channels) {
        let hint =
            if token.saturating_sub(3) * 2 == channels { "; two-network checkpoints are not supported" } else { "" };
        return Err(format!(
            "\"feature_net.out_conv.weight\": expected {} channels for rgbfeat_fc, found {channels}{hint}",
            token.saturating_sub(3)
        ));
    }
    if width == 0 || !mlp_hidden.is_multiple_of(width) {
        return Err(format!(
            "\"net_coarse.view_crosstrans.0.ff.fc1.weight\": expected a multiple of {width} rows, found {mlp_hidden}"
        ));
    }
    let fixed = width.checked_add(2 * ENCODED[0]).and_then(|fixed| encoded.checked_sub(fixed));
    let frequencies = fixed.filter(|rest| rest.is_multiple_of(2 * ENCODED[1])).map(|rest| rest / (2 * ENCODED[1]));
    let Some(frequencies) = frequencies else {
        return Err(format!(
            "\"net_coarse.q_fcs.0.0.weight\": expected {width} columns plus two frequency encodings, found {encoded}"
        ));
    };
    let config = Config {
        width,
        mlp_ratio: mlp_hidden / width,
        attention_hidden,
        position: Position::World { frequencies },
        features: FeatureConfig { stem_width, stem_stride: 2, widths, blocks, channels },
        ..Config::official(depth)
    };
    config.validate().map_err(|e| e.to_string())?;
    Ok(config)
}

/// Checks that `tensors` holds exactly the names and shapes of `wanted`.
///
/// # Errors
/// A sentence naming the tensor, expected and found.
pub fn compare<'a>(wanted: impl IntoIterator<Item = (&'a str, &'a [usize])>, tensors: &Tensors) -> Result<(), String> {
    let mut extra: BTreeSet<&str> = tensors.keys().map(String::as_str).collect();
    for (name, shape) in wanted {
        match tensors.get(name) {
            None => return Err(format!("{name:?}: expected {shape:?}, found no such tensor")),
            Some(t) if t.shape != shape => return Err(format!("{name:?}: expected {shape:?}, found {:?}", t.shape)),
            Some(_) => extra.remove(name),
        };
    }
    if extra.is_empty() {
        return Ok(());
    }
    let shown: Vec<_> = extra.iter().take(5).map(|name| format!("{name:?}")).collect();
    Err(format!("found {} tensors that this network lacks: {}", extra.len(), shown.join(", ")))
}

fn dims<const N: usize>(tensors: &Tensors, name: &str) -> Result<[usize; N], String> {
    let tensor = tensors.get(name).ok_or_else(|| format!("{name:?}: found no such tensor"))?;
    let shape = tensor.shape.as_slice();
    shape.try_into().map_err(|_| format!("{name:?}: expected {N} dimensions, found {shape:?}"))
}

/// Number of blocks under `prefix`, which must be numbered from 0 without gaps.
fn count_blocks(tensors: &Tensors, prefix: &str) -> Result<usize, String> {
    let mut seen = BTreeSet::new();
    for name in tensors.keys() {
        if let Some(rest) = name.strip_prefix(prefix) {
            let number = rest.split('.').next().unwrap_or_default();
            seen.insert(
                number.parse::<usize>().map_err(|_| format!("{name:?}: expected a block number after {prefix:?}"))?,
            );
        }
    }
    match seen.last() {
        None => Err(format!("found no tensor called {prefix:?}0 and so on")),
        Some(&last) if last != seen.len() - 1 => {
            Err(format!("{prefix:?}: expected blocks 0 to {}, found number {last}", seen.len() - 1))
        }
        Some(_) => Ok(seen.len()),
    }
}

#[cfg(test)]
#[path = "infer_tests.rs"]
pub(super) mod tests;
