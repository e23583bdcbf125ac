//! Everything a run needs to go on as if it had never stopped, in one file.

use crate::adam::Adam;
use crate::ps::{Ps, ShiftForm};
use crate::{Error, Result};
use gnt::Config;
use safetensors::tensor::{Dtype, SafeTensors, TensorView, serialize};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::path::Path;

/// Parameters, optimiser moments and running average of a run, after `step` steps.
#[derive(Clone, Debug, PartialEq)]
pub struct State {
    /// Steps done.
    pub step: u64,
    /// Options that shape the result; a resumed run keeps them.
    pub options: super::Options,
    /// The network.
    pub config: Config,
    /// Parameters.
    pub params: Vec<f32>,
    /// Optimiser.
    pub adam: Adam,
    /// Running average of the parameters, which is what gets used.
    pub average: Vec<f32>,
    /// Exponents and signs of shift weights, where [`ShiftForm::Ps`] trains them.
    pub ps: Option<Ps>,
}

#[derive(Serialize, Deserialize)]
struct Header {
    step: u64,
    options: super::Options,
    config: Config,
}

const NAMES: [&str; 4] = ["params", "adam.first", "adam.second", "average"];
const PS_NAMES: [&str; 3] = ["ps.values", "ps.first", "ps.second"];

impl State {
    /// Writes the state to `path`, whole or not at all.
    ///
    /// # Errors
    /// [`Error::Io`] naming the file.
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
        let temporary = path.with_extension("tmp");
        std::fs::write(&temporary, bytes).and_then(|()| std::fs::rename(&temporary, path)).map_err(|source| {
            let _ = std::fs::remove_file(&temporary);
            Error::Io { path: path.to_owned(), source }
        })
    }

    /// Reads a state written by [`State::write`].
    ///
    /// # Errors
    /// If the file is missing, damaged, or does not fit its own configuration.
    pub fn read(path: &Path) -> Result<Self> {
        let bytes = std::fs::read(path).map_err(|source| Error::Io { path: path.to_owned(), source })?;
        let bad = |problem: String| Error::Run(format!("{}: {problem}", path.display()));
        let (_, metadata) =
            SafeTensors::read_metadata(&bytes).map_err(|e| bad(format!("expected a training state, found {e}")))?;
        let header = metadata.metadata().as_ref().and_then(|m| m.get("training"));
        let header = header.ok_or_else(|| bad("expected a \"training\" entry in its metadata, found none".into()))?;
        let header: Header = serde_json::from_str(header).map_err(|e| bad(format!("metadata: {e}")))?;
        let model = gnt::Model::new(header.config)?;
        let tensors = SafeTensors::deserialize(&bytes).map_err(|e| bad(e.to_string()))?;
        let vector = |name: &str, len: usize| -> Result<Vec<f32>> {
            let view = tensors.tensor(name).map_err(|e| bad(e.to_string()))?;
            if view.dtype() != Dtype::F32 || view.shape() != [len] {
                return Err(bad(format!("{name}: expected {len} values, found {:?} {:?}", view.dtype(), view.shape())));
            }
            Ok(view.data().chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect())
        };
        let [params, first, second, average] = NAMES.map(|name| vector(name, model.layout.len()));
        let ps = if header.options.form == ShiftForm::Ps {
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
