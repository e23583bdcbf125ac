//! Figures by scene, split, model and number of source views, and their means.

use serde::{Deserialize, Serialize};

/// What identifies a case.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct CaseKey {
    /// [`super::SceneInfo::name`].
    pub scene: String,
    /// `held-out`, `test` or `val`.
    pub split: String,
    /// [`super::ModelInfo::name`].
    pub model: String,
    /// Source views that were asked for.
    pub views: u32,
}

/// Figures of one model on one split of one scene with one number of source views.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Case {
    /// Scene, split, model and number of views, which identify the case.
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
    /// Name of the precision of the products.
    pub precision: String,
    /// Images of the split in all; a part of an evaluation holds some of them.
    pub total: u32,
    /// The images, in the order of the split.
    pub images: Vec<ImageResult>,
    /// Mean over the images; not written where a part of an evaluation has none of them.
    #[serde(default, skip_serializing_if = "Scores::is_empty")]
    pub mean: Scores,
    /// Operations of one ray whose samples are seen by all source views, with rows of experts counted as they were routed;
    /// zero where there are experts and nothing tells how they routed.
    pub operations: Operations,
    /// Modelled energy of one image of this size, of the same operations.
    pub modelled: ModelledEnergy,
    /// Rows of the feed-forward parts that went to the multiply expert and to the shift expert, view and ray part of block
    /// 0 first; empty where there are no experts or the device does not count them.
    pub routed: Vec<[u64; 2]>,
}

/// Likeness and cost of one image.
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
    /// PSNR in dB.
    pub psnr: f64,
    /// SSIM, at most 1.
    pub ssim: f64,
    /// At least 0; none without weights.
    pub lpips: Option<f64>,
    /// FLIP, from 0 to 1.
    pub flip: f64,
}

/// Operations of one ray.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Operations {
    /// Products of two numbers.
    pub multiplies: u64,
    /// Products with a power of two.
    pub shifts: u64,
    /// Sums of two numbers.
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
    /// The sum of the three places below, in joules.
    pub joules: f64,
    /// Joules of the operations.
    pub compute: f64,
    /// Joules of movement to and from memory.
    pub memory: f64,
    /// Joules of movement on the chip.
    pub on_chip: f64,
    /// The dense network of the same sizes in 8-bit integers.
    pub dense_8_bit_joules: f64,
    /// The dense network of the same sizes in 32 bits.
    pub dense_joules: f64,
}

/// Means of a model at one number of source views.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// [`super::ModelInfo::name`].
    pub model: String,
    /// `held-out`, `test` or `val`: splits are never mixed.
    pub split: String,
    /// Source views that were asked for.
    pub views: u32,
    /// How many scenes there are.
    pub num_scenes: u64,
    /// How many images there are.
    pub num_images: u64,
    /// Every image counts the same, as in the GNT evaluation.
    pub mean_over_images: Scores,
    /// Means in which every scene counts the same.
    pub mean_over_scenes: Scores,
}
