//! Everything a classifier's run needs to go on, in one file.

use super::ClassifyOptions;
use crate::adam::Adam;
use crate::vectors::{self, Opened};
use crate::{Error, Result};
use compute::Products;
use serde::{Deserialize, Serialize};
use std::path::Path;
use vit::Model;
use vit::checkpoint::Description;

/// Parameters, moments and running average of a run after `step` steps.
#[derive(Clone, Debug, PartialEq)]
pub struct ClassifyState {
    /// Steps done.
    pub step: u64,
    /// Options that shape the result.
    pub options: ClassifyOptions,
    /// The model.
    pub description: Description,
    /// Pictures of an epoch.
    pub pictures: u64,
    /// Parameters, in the order of the layout.
    pub params: Vec<f32>,
    /// State of the optimiser.
    pub adam: Adam,
    /// Running average of the parameters, which is what gets used.
    pub average: Vec<f32>,
}

#[derive(Serialize, Deserialize)]
struct Header {
    step: u64,
    options: ClassifyOptions,
    description: Description,
    pictures: u64,
}

const KEY: &str = "classifier training";
const NAMES: [&str; 4] = ["params", "adam.first", "adam.second", "average"];

impl ClassifyState {
    /// Steps of an epoch: whole batches, at least one.
    pub fn epoch_steps(&self) -> u64 {
        (self.pictures / u64::from(self.options.batch)).max(1)
    }

    /// Steps of the whole run.
    pub fn steps(&self) -> u64 {
        self.epoch_steps() * u64::from(self.options.epochs)
    }

    /// Writes the state to `path`, whole or not at all.
    ///
    /// # Errors
    /// If a value is not finite or the file cannot be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        let all = [&self.params, &self.adam.first, &self.adam.second, &self.average];
        if all.iter().any(|values| values.iter().any(|v| !v.is_finite())) {
            return Err(Error::Run(format!("step {}: expected finite weights; what was saved stays", self.step)));
        }
        let Self { step, options, description, pictures, .. } = self;
        let header = Header { step: *step, options: *options, description: description.clone(), pictures: *pictures };
        let header = serde_json::to_string(&header).expect("plain numbers and strings");
        let named: Vec<(&str, &[f32])> = NAMES.into_iter().zip(all).map(|(name, v)| (name, &v[..])).collect();
        vectors::write(path, KEY, header, &named)
    }

    /// Reads a state written by [`ClassifyState::write`].
    ///
    /// # Errors
    /// If the file is missing, damaged, does not fit its own description, or holds what is not finite.
    pub fn read(path: &Path) -> Result<Self> {
        let bad = |problem: String| Error::Run(format!("{}: {problem}", path.display()));
        let opened = Opened::new(path, KEY)?;
        let header: Header = serde_json::from_str(&opened.header).map_err(|e| bad(format!("metadata: {e}")))?;
        let Header { step, options, description, pictures } = header;
        options.validate().map_err(|e| bad(e.to_string()))?;
        let len = Model::new(description.config, Products::F32).map_err(|e| bad(e.to_string()))?.layout.len();
        let mut found = opened.vectors(&NAMES.map(|name| (name, len)))?.into_iter();
        let mut next = || found.next().expect("as many as were asked for");
        let (params, adam, average) = (next(), Adam { first: next(), second: next() }, next());
        Ok(Self { step, options, description, pictures, params, adam, average })
    }
}
