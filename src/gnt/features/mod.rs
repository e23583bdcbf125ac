//! The feature network: a ResNet-34 stem with three stages and a two-step decoder (ResUNet), one image at a time.
//!
//! Every normalisation is over one image, so features of a source view depend on nothing but its photograph. Parameter
//! names are those of the official code, where instance normalisations are called `bn`.

pub mod cuda;
mod join;
mod pass;
#[cfg(test)]
mod tests;

use crate::config::FeatureConfig;
use crate::{Error, Result};
use layers::Layout;
use layers::activation::Activation;
use layers::conv2d::{Conv2d, ConvWeights};
use layers::instance_norm::{InstanceNorm, NormWeights};
pub use pass::Tape;

/// Features of an image.
#[derive(Clone, Debug, PartialEq)]
pub struct FeatureMap {
    /// Width, about a quarter of the image's.
    pub width: usize,
    /// Height.
    pub height: usize,
    /// Channels.
    pub channels: usize,
    /// `[height, width, channels]`.
    pub data: Vec<f32>,
}

/// Most pixels of a photograph that is read at twice its size: beyond, its maps would take much memory and show little more.
pub const MOST_DOUBLED: usize = 1 << 18;

/// The structure of the network.
#[derive(Clone, Debug)]
pub struct FeatureNet {
    /// All convolutions but the last, in the order in which their parameters are registered; the stem is the first.
    units: Vec<Unit>,
    /// Blocks of the three stages.
    stages: [Vec<Block>; 3],
    decoder: [Decode; 2],
    out: Conv2d,
    stem_stride: usize,
    /// Whether small images are read at twice their size.
    doubled: bool,
}

/// Convolution, normalisation and activation.
#[derive(Clone, Copy, Debug)]
struct Unit {
    conv: Conv2d,
    norm: InstanceNorm,
    activation: Activation,
}

/// A residual block, as indices of its units. The second unit adds the shortcut before its activation.
#[derive(Clone, Copy, Debug)]
struct Block {
    first: usize,
    second: usize,
    /// Only in the first block of a stage, which has stride 2.
    shortcut: Option<usize>,
}

/// A step of the decoder, as indices of its units.
#[derive(Clone, Copy, Debug)]
struct Decode {
    /// Follows the upsampling.
    up: usize,
    /// Follows the joining with a stage of the encoder.
    merge: usize,
    /// That stage.
    stage: usize,
}

/// Weights in the order in which products read them; made once a step, shared by all images.
#[derive(Clone, Debug)]
pub struct Prepared {
    units: Vec<(ConvWeights, NormWeights)>,
    out: ConvWeights,
}

impl FeatureNet {
    /// Registers the parameters, in the official order, under `feature_net.`.
    pub fn new(config: &FeatureConfig, layout: &mut Layout) -> Self {
        let mut units = Vec::new();
        let mut unit = |conv: &str, norm: &str, [ci, co, kernel, stride]: [usize; 4], activation: Activation| {
            let bias = activation == Activation::Elu;
            let conv = Conv2d::new(layout, &format!("feature_net.{conv}"), ci, co, kernel, stride, bias);
            let norm = InstanceNorm::new(layout, &format!("feature_net.{norm}"), co);
            units.push(Unit { conv, norm, activation });
            units.len() - 1
        };
        unit("conv1", "bn1", [3, config.stem_width, 7, config.stem_stride], Activation::Relu);
        let mut channels = config.stem_width;
        let stages = [0, 1, 2].map(|stage| {
            let width = config.widths[stage];
            let mut block = |b: usize| {
                let (name, stride) = (format!("layer{}.{b}", stage + 1), if b == 0 { 2 } else { 1 });
                let mut part = |conv: &str, norm: &str, sizes, activation| {
                    unit(&format!("{name}.{conv}"), &format!("{name}.{norm}"), sizes, activation)
                };
                let first = part("conv1", "bn1", [channels, width, 3, stride], Activation::Relu);
                let second = part("conv2", "bn2", [width, width, 3, 1], Activation::Relu);
                let shortcut = (b == 0)
                    .then(|| part("downsample.0", "downsample.1", [channels, width, 1, stride], Activation::Identity));
                channels = width;
                Block { first, second, shortcut }
            };
            (0..config.blocks[stage]).map(&mut block).collect()
        });
        let [w1, w2, w3] = config.widths;
        let mut decode =
            |name: &str, ci, co| unit(&format!("{name}.conv"), &format!("{name}.bn"), [ci, co, 3, 1], Activation::Elu);
        let decoder = [
            Decode { up: decode("upconv3.conv", w3, w2), merge: decode("iconv3", 2 * w2, w2), stage: 1 },
            Decode { up: decode("upconv2.conv", w2, w1), merge: decode("iconv2", 2 * w1, config.channels), stage: 0 },
        ];
        let out = Conv2d::new(layout, "feature_net.out_conv", config.channels, config.channels, 1, 1, true);
        Self { units, stages, decoder, out, stem_stride: config.stem_stride, doubled: false }
    }

    /// The same, but that it reads photographs of up to [`MOST_DOUBLED`] pixels at twice their size, where `doubled`.
    pub fn reading_doubled(self, doubled: bool) -> Self {
        Self { doubled, ..self }
    }

    /// Whether an image is read at twice its size.
    pub fn doubles(&self, height: usize, width: usize) -> bool {
        self.doubled && height * width <= MOST_DOUBLED
    }

    /// Brings the weights of flat `params` into the order in which products read them.
    pub fn prepare(&self, params: &[f32]) -> Prepared {
        self.reorder(params, true)
    }

    /// As [`FeatureNet::prepare`] at half the memory; [`FeatureNet::backward`] refuses the result.
    pub fn prepare_inference(&self, params: &[f32]) -> Prepared {
        self.reorder(params, false)
    }

    fn reorder(&self, params: &[f32], backward: bool) -> Prepared {
        // Nobody asks for the gradient of the photograph, so the stem needs no weights for it.
        let units = self.units.iter().enumerate();
        let units = units.map(|(i, u)| (u.conv.prepare(params, backward && i > 0), u.norm.prepare(params))).collect();
        Prepared { units, out: self.out.prepare(params, backward) }
    }

    /// Smallest height and width of an image: the last stage must keep two pixels a side, or its 3×3 convolutions have
    /// nothing to reflect.
    pub fn min_size(&self) -> usize {
        8 * self.stem_stride + 1
    }

    /// Checks that reflect padding is possible at every stage.
    ///
    /// # Errors
    /// [`Error::Input`] naming the smallest size.
    pub fn check_size(&self, height: usize, width: usize) -> Result<()> {
        let smallest = self.min_size();
        if height.min(width) < smallest {
            return Err(Error::Input(format!(
                "source image: expected at least {smallest} pixels on each side, found {width}x{height}"
            )));
        }
        Ok(())
    }

    /// Height and width of the feature map of an image: four times those of the last stage, which are halved with
    /// rounding up, hence sometimes a little more than a quarter of the image, as it is read.
    pub fn output_size(&self, height: usize, width: usize) -> (usize, usize) {
        let times = if self.doubles(height, width) { 2 } else { 1 };
        let last = |n: usize| (times * n).div_ceil(self.stem_stride).div_ceil(8);
        (4 * last(height), 4 * last(width))
    }
}
