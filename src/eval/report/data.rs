//! What `metrics.json` holds.
//!
//! The file has two halves. [`Metrics::settings`] to [`Metrics::cases`] follow from scenes, models and settings alone: two
//! runs on the same kind of device give the same bytes, in one piece or merged from shards. [`Metrics::latencies`] and
//! [`Metrics::runs`] are measurements and differ from run to run.

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
    /// What was asked for.
    pub settings: Settings,
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
    pub runs: Vec<Run>,
}

/// Part `index` of `count`, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shard {
    /// From 1.
    pub index: u32,
    /// Parts in all.
    pub count: u32,
}

/// What was asked for; none stands for what the protocol says.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// `gnt` or `few-view`.
    pub protocol: String,
    /// Splits of Blender scenes; empty for all that the scene has.
    pub splits: Vec<String>,
    /// Source views, one case each.
    pub views: Option<Vec<u32>>,
    /// Samples a ray.
    pub samples: Option<u32>,
    /// How they are guided by a coarse grid of rays, as CELL:COARSE+SAMPLES or `auto`; none where they are spread evenly.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guided: Option<String>,
    /// Samples of a second pass.
    pub importance: u32,
    /// Reduction of the photographs.
    pub scale: Option<u32>,
    /// Every how many pixels in x and y a ray is cast.
    pub stride: Option<u32>,
    /// Most held-out images of a scene's split.
    pub images: Option<u32>,
    /// How products are computed: `auto` or a precision.
    pub precision: String,
    /// Which SSIM.
    pub ssim: String,
    /// Which LPIPS; none if no weights were given.
    pub lpips: Option<String>,
}

/// How each figure is computed, in words.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Definitions {
    /// What images are compared.
    pub colours: String,
    /// PSNR.
    pub psnr: String,
    /// SSIM.
    pub ssim: String,
    /// LPIPS, or why it is not there.
    pub lpips: String,
    /// FLIP.
    pub flip: String,
    /// What latency is.
    pub latency: String,
    /// What modelled energy is, with its biases.
    pub energy: Vec<String>,
}

/// A model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelInfo {
    /// Unique among the models.
    pub name: String,
    /// What the command line gave.
    pub given: String,
    /// SHA-256 of configuration and weights as they are used.
    pub sha256: String,
    /// Weights in all.
    pub parameters: u64,
    /// Its configuration.
    pub config: serde_json::Value,
}

/// A scene.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SceneInfo {
    /// Unique among the scenes.
    pub name: String,
    /// What the command line gave.
    pub given: String,
    /// `llff`, `blender` or `nerfstudio`.
    pub kind: String,
    /// SHA-256 of poses and photographs in use; where several splits are, of the splits' hashes.
    pub sha256: String,
    /// Photographs in use.
    pub photographs: u64,
    /// What looked odd.
    pub warnings: Vec<String>,
}

/// What identifies a case.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct CaseKey {
    /// [`SceneInfo::name`].
    pub scene: String,
    /// `held-out`, `test` or `val`.
    pub split: String,
    /// [`ModelInfo::name`].
    pub model: String,
    /// Source views that were asked for.
    pub views: u32,
}

/// Figures of one model on one split of one scene with one number of source views.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Case {
    /// What it is.
    #[serde(flatten)]
    pub key: CaseKey,
    /// Samples a ray.
    pub samples: u32,
    /// How they were guided by a coarse grid of rays, as CELL:COARSE+SAMPLES; none where they were spread evenly.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guided: Option<String>,
    /// Samples of a second pass.
    pub importance: u32,
    /// SHA-256 of the poses and photographs in use.
    pub photographs: String,
    /// Reduction of the photographs.
    pub scale: u32,
    /// Every how many pixels in x and y a ray was cast.
    pub stride: u32,
    /// Width and height of the source photographs.
    pub source_size: [u32; 2],
    /// Width and height of the compared images.
    pub size: [u32; 2],
    /// Nearest and farthest sample in scene units.
    pub depth_range: [f32; 2],
    /// How products were computed.
    pub precision: String,
    /// Images of the split in all; a part of an evaluation holds some of them.
    pub total: u32,
    /// The images, in the order of the split.
    pub images: Vec<ImageResult>,
    /// Mean over the images; not written where a part of an evaluation has none of them.
    #[serde(default, skip_serializing_if = "Scores::is_empty")]
    pub mean: Scores,
    /// Operations of one ray whose samples are seen by all source views.
    pub operations: Operations,
    /// Modelled energy of one image of this size.
    pub modelled: ModelledEnergy,
    /// Rows of the feed-forward parts that went to the multiply expert and to the shift expert, view and ray part of block
    /// 0 first; empty where there are no experts or the device does not count them.
    pub routed: Vec<[u64; 2]>,
}

/// One image.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ImageResult {
    /// Its place in the split, from 0.
    pub index: u32,
    /// Name of the photograph.
    pub name: String,
    /// Path of the rendered image below the report's folder.
    pub file: String,
    /// SHA-256 of its 8-bit colours `[height, width, 3]`.
    pub sha256: String,
    /// Names of the source views, nearest first.
    pub sources: Vec<String>,
    /// Likeness to the photograph.
    #[serde(flatten)]
    pub scores: Scores,
    /// Part of the pixels that count, where a mask leaves some out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unmasked: Option<f64>,
    /// As [`Case::routed`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub routed: Vec<[u64; 2]>,
}

/// Likeness to a photograph.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Scores {
    /// dB.
    pub psnr: f64,
    /// At most 1.
    pub ssim: f64,
    /// At least 0; none without weights.
    pub lpips: Option<f64>,
    /// From 0 to 1.
    pub flip: f64,
}

/// Operations of one ray.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Operations {
    /// Products of two numbers.
    pub multiplies: u64,
    /// Products with a power of two.
    pub shifts: u64,
    /// Sums.
    pub additions: u64,
    /// Values read from tables.
    pub lookups: u64,
    /// Bytes of the matrices.
    pub weight_bytes: u64,
}

impl Scores {
    /// The scores of no image. Images cannot have them: equal ones have an SSIM of 1, and others a FLIP above 0.
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Modelled energy of an image, feature network excluded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ModelledEnergy {
    /// All of it, in joules.
    pub joules: f64,
    /// Operations.
    pub compute: f64,
    /// Movement to and from memory.
    pub memory: f64,
    /// Movement on the chip.
    pub on_chip: f64,
    /// The dense network of the same sizes in 8-bit integers.
    pub dense_8_bit_joules: f64,
    /// The dense network of the same sizes in 32 bits.
    pub dense_joules: f64,
}

/// Means of a model at one number of source views.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// [`ModelInfo::name`].
    pub model: String,
    /// `held-out`, `test` or `val`: splits are never mixed.
    pub split: String,
    /// Source views that were asked for.
    pub views: u32,
    /// Scenes.
    pub num_scenes: u64,
    /// Images.
    pub num_images: u64,
    /// Every image counts the same, as in the GNT evaluation.
    pub mean_over_images: Scores,
    /// Every scene counts the same.
    pub mean_over_scenes: Scores,
}

/// Measured times, memory and energy of a case on one device.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Latency {
    /// The case.
    #[serde(flatten)]
    pub key: CaseKey,
    /// What computed, such as `cpu (AMD EPYC)` or `cuda:0 (NVIDIA H200)`.
    pub device: String,
    /// Threads of the host.
    pub threads: u32,
    /// Times of the images, in the order of the split.
    pub images: Vec<ImageTime>,
    /// Images that were timed, repetitions included.
    pub timed: u64,
    /// Seconds an image, features excluded.
    pub median: f64,
    /// 95 % of the images took no longer.
    pub p95: f64,
    /// The fastest.
    pub min: f64,
    /// The slowest.
    pub max: f64,
    /// Rays of the images over their seconds.
    pub rays_per_second: f64,
    /// Seconds for the features of one source view, which are computed once a scene.
    pub seconds_a_source: Option<f64>,
    /// Shares of a ray's time by stage, which add up to 1: `gather`, `view_blocks`, `position`, `ray_blocks`, `experts`
    /// (the feed-forward parts), `head`; empty where they were not measured.
    pub stages: Vec<(String, f64)>,
    /// Largest resident memory of the host's process while it rendered, in bytes; LPIPS weights lie in it, too.
    pub peak_memory: Option<u64>,
    /// Memory in use on the device, in bytes.
    pub device_memory: Option<u64>,
    /// Measured joules an image, idle power included.
    pub joules: Option<f64>,
    /// What measured it, or why there is no figure.
    pub meter: String,
}

/// Times of one image.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ImageTime {
    /// As [`ImageResult::index`].
    pub index: u32,
    /// Name of the photograph.
    pub name: String,
    /// Rays.
    pub rays: u64,
    /// Seconds for the rays, one number a repetition.
    pub seconds: Vec<f64>,
    /// Seconds for features of sources that were not there yet, and how many these were.
    pub features: (f64, u64),
    /// Measured joules of the rays, mean over the repetitions.
    pub joules: Option<f64>,
}

/// One command that contributed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// The command line.
    pub command: String,
    /// Which part it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shard: Option<Shard>,
    /// Version of the program.
    pub version: String,
    /// Beginning of the SHA-256 of the program's file.
    #[serde(default)]
    pub build: String,
    /// Beginning, in UTC: `2026-11-24T09:00:00Z`.
    pub started: String,
    /// Seconds in all.
    pub seconds: f64,
    /// Images that it rendered itself; the others were there already.
    pub rendered: u64,
    /// Operating system and architecture.
    pub system: String,
    /// Name of the processor.
    pub processor: String,
    /// Instructions in use.
    pub instructions: String,
    /// Threads.
    pub threads: u32,
    /// Megahertz of the processor as the system tells it, at the end of the run.
    pub processor_mhz: Option<f64>,
    /// What computed.
    pub device: String,
    /// Driver and clocks of the device, where it tells them.
    pub device_details: Option<String>,
}
