//! Everything a run needs to go on as if it had never stopped, in one file.

use crate::adam::Adam;
use crate::ps::{Ps, ShiftForm};
use crate::vectors::{self, Opened};
use crate::{Error, Result};
use gnt::Config;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// Parameters, optimiser moments and running average of a run, after `step` steps.
#[derive(Clone, Debug, PartialEq)]
pub struct State {
    /// Steps done.
    pub step: u64,
    /// Seconds that they took, of a run in time; of others it is not counted, and 0.
    pub seconds: f64,
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
    #[serde(default, skip_serializing_if = "is_zero")]
    seconds: f64,
}

fn is_zero(seconds: &f64) -> bool {
    *seconds == 0.0
}

/// Where the header lies in the file's metadata.
const KEY: &str = "training";

const NAMES: [&str; 4] = ["params", "adam.first", "adam.second", "average"];
const PS_NAMES: [&str; 3] = ["ps.values", "ps.first", "ps.second"];

impl State {
    /// Writes the state to `path`, whole or not at all.
    ///
    /// # Errors
    /// [`Error::Io`] or [`Error::Scene`] naming the file.
    pub fn write(&self, path: &Path) -> Result<()> {
        let (step, seconds) = (self.step, self.seconds);
        let header = Header { step, options: self.options.clone(), config: self.config, seconds };
        let header = serde_json::to_string(&header).expect("plain numbers and strings");
        let main = NAMES.into_iter().zip([&self.params, &self.adam.first, &self.adam.second, &self.average]);
        let ps = self.ps.iter().flat_map(|ps| PS_NAMES.into_iter().zip([&ps.values, &ps.adam.first, &ps.adam.second]));
        let all: Vec<(&str, &[f32])> = main.chain(ps).map(|(name, v)| (name, &v[..])).collect();
        vectors::write(path, KEY, header, &all)
    }

    /// Reads a state written by [`State::write`].
    ///
    /// # Errors
    /// If the file is missing, damaged, does not fit its own configuration, or holds what is not finite.
    pub fn read(path: &Path) -> Result<Self> {
        let bad = |problem: String| Error::Run(format!("{}: {problem}", path.display()));
        let opened = Opened::new(path, KEY)?;
        let header: Header = serde_json::from_str(&opened.header).map_err(|e| bad(format!("metadata: {e}")))?;
        header.options.validate().map_err(|e| bad(e.to_string()))?;
        let model = gnt::Model::new(header.config).map_err(|e| bad(e.to_string()))?;
        let with_ps = header.options.form == ShiftForm::Ps;
        let mut expected = NAMES.map(|name| (name, model.layout.len())).to_vec();
        if with_ps {
            expected.extend(PS_NAMES.map(|name| (name, Ps::len(&model.net))));
        }
        let mut found = opened.vectors(&expected)?.into_iter();
        let mut next = || found.next().expect("as many as were asked for");
        let (params, adam, average) = (next(), Adam { first: next(), second: next() }, next());
        let ps = with_ps.then(|| Ps { values: next(), adam: Adam { first: next(), second: next() } });
        let Header { step, options, config, seconds } = header;
        Ok(Self { step, seconds, options, config, params, adam, average, ps })
    }
}
