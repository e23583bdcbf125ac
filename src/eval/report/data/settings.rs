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
    /// The kind of SSIM: `gnt`, `gaussian` or `uniform`.
    pub ssim: String,
    /// Which LPIPS; none if no weights were given.
    pub lpips: Option<String>,
}

/// How each figure is computed, in words.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Definitions {
    /// In which form images are compared.
    pub colours: String,
    /// How PSNR is computed.
    pub psnr: String,
    /// How SSIM is computed.
    pub ssim: String,
    /// How LPIPS is computed, or why it is not there.
    pub lpips: String,
    /// How FLIP is computed.
    pub flip: String,
    /// How latency is measured.
    pub latency: String,
    /// What modelled energy is, with its biases.
    pub energy: Vec<String>,
}
