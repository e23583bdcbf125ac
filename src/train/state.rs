//! Everything a run needs to go on as if it had never stopped, in one file.

use crate::adam::Adam;
use crate::ps::{Ps, ShiftForm};
use crate::{Error, Result};
use gnt::Config;
use safetensors::tensor::{Dtype, SafeTensors, TensorView, serialize};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::io::Read;
use std::path::Path;

/// Parameters, optimiser moments and running average of a run, after `step` steps.
#[derive(Clone, Debug, PartialEq)]
pub struct State {
    /// Steps done.
    pub step: u64,
    /// Options that shape the result; a resumed run keeps them.
    pub options: crate::run::RunOptions,
    /// Configuration of the network.
    pub config: Config,
    /// Parameters of the network, in the order of its layout.
    pub params: Vec<f32>,
    /// State of the optimiser.
    pub adam: Adam,
    /// Running average of the parameters, which is what gets used.
    pub average: Vec<f32>,
    /// Exponents and signs of shift weights, where [`ShiftForm::Ps`] trains them.
    pub ps: Option<Ps>,
}

impl State {
    /// Whether all that makes the model is finite.
    pub fn is_finite(&self) -> bool {
        [&self.params, &self.average].into_iter().flatten().all(|value| value.is_finite())
    }
}

#[derive(Serialize, Deserialize)]
struct Header {
    step: u64,
    options: crate::run::RunOptions,
    config: Config,
}

/// What is read of a header before its tensors.
#[derive(Deserialize)]
struct Outer {
    #[serde(rename = "__metadata__", default)]
    metadata: HashMap<String, String>,
}

/// Longest header that is read; one of 64 blocks has some thousand bytes.
const MAX_HEADER_BYTES: u64 = 1 << 20;

const NAMES: [&str; 4] = ["params", "adam.first", "adam.second", "average"];
const PS_NAMES: [&str; 3] = ["ps.values", "ps.first", "ps.second"];

impl State {
    /// Writes the state to `path`, whole or not at all.
    ///
    /// # Errors
    /// [`Error::Io`] or [`Error::Scene`] naming the file.
    pub fn write(&self, path: &Path) -> Result<()> {
        let header = Header { step: self.step, options: self.options.clone(), config: self.config };
        let header = serde_json::to_string(&header).expect("plain numbers and strings");
        let main = NAMES.into_iter().zip([&self.params, &self.adam.first, &self.adam.second, &self.average]);
        let ps = self.ps.iter().flat_map(|ps| PS_NAMES.into_iter().zip([&ps.values, &ps.adam.first, &ps.adam.second]));
        let data: Vec<(&str, Vec<u8>)> =
            main.chain(ps).map(|(name, v)| (name, v.iter().flat_map(|x| x.to_le_bytes()).collect())).collect();
        let tensors = data.iter().map(|(name, bytes)| {
            let view =
                TensorView::new(Dtype::F32, vec![bytes.len() / 4], bytes).expect("the length is that of the data");
            (name, view)
        });
        let metadata = HashMap::from([("training".to_owned(), header)]);
        let bytes = serialize(tensors, Some(metadata)).expect("plain vectors");
        scene::file::replace(path, |out| {
            out.write_all(&bytes).map_err(|source| Error::Io { path: path.to_owned(), source })
        })
    }

    /// Reads a state written by [`State::write`].
    ///
    /// # Errors
    /// If the file is missing, damaged, does not fit its own configuration, or holds what is not finite.
    pub fn read(path: &Path) -> Result<Self> {
        let bad = |problem: String| Error::Run(format!("{}: {problem}", path.display()));
        let io = |source| Error::Io { path: path.to_owned(), source };
        let mut file = scene::file::open_regular(path)?;
        let length = file.metadata().map_err(io)?.len();
        let mut bytes = Vec::new();
        file.by_ref().take(8).read_to_end(&mut bytes).map_err(io)?;
        let claimed = bytes.first_chunk().map_or(u64::MAX, |bytes| u64::from_le_bytes(*bytes));
        if claimed > MAX_HEADER_BYTES.min(length.saturating_sub(8)) {
            return Err(bad(format!("expected a training state, found {length} bytes that are none")));
        }
        file.by_ref().take(claimed).read_to_end(&mut bytes).map_err(io)?;
        let outer: Outer = serde_json::from_slice(bytes.get(8..).unwrap_or_default())
            .map_err(|e| bad(format!("expected a training state, found a header that is none: {e}")))?;
        let header = outer.metadata.get("training");
        let header = header.ok_or_else(|| bad("expected a \"training\" entry in its metadata, found none".into()))?;
        let header: Header = serde_json::from_str(header).map_err(|e| bad(format!("metadata: {e}")))?;
        header.options.validate().map_err(|e| bad(e.to_string()))?;
        let model = gnt::Model::new(header.config).map_err(|e| bad(e.to_string()))?;
        let with_ps = header.options.form == ShiftForm::Ps;
        // What follows the header is no longer than the network says; what is missing is named below.
        let values = NAMES.len() * model.layout.len() + if with_ps { PS_NAMES.len() * Ps::len(&model.net) } else { 0 };
        let expected = 8 + claimed + 4 * values as u64;
        if length > expected {
            return Err(bad(format!("expected at most {expected} bytes for its network, found {length}")));
        }
        file.take(4 * values as u64).read_to_end(&mut bytes).map_err(io)?;
        let tensors = SafeTensors::deserialize(&bytes).map_err(|e| bad(e.to_string()))?;
        let vector = |name: &str, len: usize| -> Result<Vec<f32>> {
            let view = tensors.tensor(name).map_err(|e| bad(e.to_string()))?;
            if view.dtype() != Dtype::F32 || view.shape() != [len] {
                return Err(bad(format!("{name}: expected {len} values, found {:?} {:?}", view.dtype(), view.shape())));
            }
            let values: Vec<f32> =
                view.data().chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
            match values.iter().position(|v| !v.is_finite()) {
                Some(at) => Err(bad(format!("{name}: expected numbers, found {} at {at}", values[at]))),
                None => Ok(values),
            }
        };
        let [params, first, second, average] = NAMES.map(|name| vector(name, model.layout.len()));
        let ps = if with_ps {
            let [values, first, second] = PS_NAMES.map(|name| vector(name, Ps::len(&model.net)));
            Some(Ps { values: values?, adam: Adam { first: first?, second: second? } })
        } else {
            None
        };
        Ok(Self {
            step: header.step,
            options: header.options,
            config: header.config,
            params: params?,
            adam: Adam { first: first?, second: second? },
            average: average?,
            ps,
        })
    }
}
