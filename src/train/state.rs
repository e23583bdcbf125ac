//! Everything a run needs to go on as if it had never stopped, in one file.

use crate::adam::Adam;
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
}

#[derive(Serialize, Deserialize)]
struct Header {
    step: u64,
    options: super::Options,
    config: Config,
}

const NAMES: [&str; 4] = ["params", "adam.first", "adam.second", "average"];

impl State {
    /// Writes the state to `path`, whole or not at all.
    ///
    /// # Errors
    /// [`Error::Io`] naming the file.
    pub fn write(&self, path: &Path) -> Result<()> {
        let header = Header { step: self.step, options: self.options.clone(), config: self.config };
        let header = serde_json::to_string(&header).expect("plain numbers and strings");
        let data = [&self.params, &self.adam.first, &self.adam.second, &self.average]
            .map(|v| v.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>());
        let tensors = NAMES.into_iter().zip(&data).map(|(name, bytes)| {
            let view =
                TensorView::new(Dtype::F32, vec![bytes.len() / 4], bytes).expect("the length is that of the data");
            (name, view)
        });
        let metadata = HashMap::from([("training".to_owned(), header)]);
        let bytes = serialize(tensors, Some(metadata)).expect("four plain vectors");
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
        let len = gnt::Model::new(header.config)?.layout.len();
        let tensors = SafeTensors::deserialize(&bytes).map_err(|e| bad(e.to_string()))?;
        let mut vectors = Vec::new();
        for name in NAMES {
            let view = tensors.tensor(name).map_err(|e| bad(e.to_string()))?;
            if view.dtype() != Dtype::F32 || view.shape() != [len] {
                return Err(bad(format!("{name}: expected {len} values, found {:?} {:?}", view.dtype(), view.shape())));
            }
            vectors.push(
                view.data().chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect::<Vec<f32>>(),
            );
        }
        let [params, first, second, average] = <[Vec<f32>; 4]>::try_from(vectors).expect("four names");
        Ok(Self {
            step: header.step,
            options: header.options,
            config: header.config,
            params,
            adam: Adam { first, second },
            average,
        })
    }
}
