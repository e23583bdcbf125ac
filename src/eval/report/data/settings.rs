//! What was asked for, and how figures are defined.

use serde::{Deserialize, Serialize};

/// What was asked for; none stands for what the protocol says.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct EvalSettings {
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
