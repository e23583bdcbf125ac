//! What `metrics.json` holds.
//!
//! The file has two halves. [`Metrics::settings`] to [`Metrics::cases`] follow from scenes, models and settings alone: two
//! runs on the same kind of device give the same bytes, in one piece or merged from shards. [`Metrics::latencies`] and
//! [`Metrics::runs`] are measurements and differ from run to run.

mod cases;
mod measured;
mod settings;

pub use cases::{Case, CaseKey, ImageResult, ModelledEnergy, Operations, Scores, Summary};
pub use measured::{CommandRun, ImageTime, Latency};
pub use settings::{Definitions, EvalSettings};

use serde::{Deserialize, Serialize};

/// Name and version of the format, in [`Metrics::format`].
pub const FORMAT: &str = "shiftray-metrics/1";

/// A whole evaluation, or one part of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Metrics {
    /// [`FORMAT`].
    pub format: String,
    /// Which part of the evaluation this is; none for the whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shard: Option<Shard>,
    /// The options that shape the figures.
    pub settings: EvalSettings,
    /// How each figure is computed.
    pub definitions: Definitions,
    /// The models, in the order in which they were given.
    pub models: Vec<ModelInfo>,
    /// The scenes, in the order in which they were given.
    pub scenes: Vec<SceneInfo>,
    /// Figures by scene, split, model and number of source views.
    pub cases: Vec<Case>,
    /// Means over scenes and over images by model and setting.
    pub summaries: Vec<Summary>,
    /// Measured times, memory and energy of the cases.
    pub latencies: Vec<Latency>,
    /// The commands that made it.
    pub runs: Vec<CommandRun>,
}

/// Part `index` of `count`, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shard {
    /// Number of the part, from 1.
    pub index: u32,
    /// Parts in all.
    pub count: u32,
}

/// A model that was evaluated.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelInfo {
    /// Unique among the models.
    pub name: String,
    /// The name or path that the command line gave.
    pub given: String,
    /// SHA-256 of configuration and weights as they are used.
    pub sha256: String,
    /// Weights in all.
    pub parameters: u64,
    /// Configuration of the network.
    pub config: serde_json::Value,
    /// Shares of the rows that its routers send to the experts of shifts when pictures are rendered, by feed-forward part,
    /// as its file tells them; none where it does not, or there are no routers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rendered_shift_shares: Option<Vec<f64>>,
}

/// A scene on which models were evaluated.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SceneInfo {
    /// Unique among the scenes.
    pub name: String,
    /// The name or path that the command line gave.
    pub given: String,
    /// `llff`, `blender` or `nerfstudio`.
    pub kind: String,
    /// SHA-256 of poses and photographs in use; where several splits are, of the splits' hashes.
    pub sha256: String,
    /// Photographs in use.
    pub photographs: u64,
    /// What was guessed, repaired or ignored when it was loaded.
    pub warnings: Vec<String>,
}
