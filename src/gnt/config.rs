//! The shape of a network: everything that a checkpoint must say beside its weights.

use crate::{Axes, Error, Result};
use compute::ops::hamming::MOST_CHANNELS;
use layers::{BlockShape, Names};
pub use layers::{FeedForwardKind, LinearKind, RayAttentionKind, ViewAttentionKind};
use serde::{Deserialize, Serialize};

/// How the state of a sample starts before the first view block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Start {
    /// Maximum of the tokens over all source views, masked or not (GNT).
    Max,
    /// A linear layer on mean and variance of the tokens over the views that see the sample: the variance tells how
    /// well the views agree, which is what depth is read from.
    Stats,
}

/// What tells a sample where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Position {
    /// Frequency encoding of the world point and of the unit ray direction (GNT: 10 frequencies).
    World {
        /// Number of octaves.
        frequencies: usize,
    },
    /// Frequency encoding of the normalised inverse depth along the ray, 0 at the far and 1 at the near bound: free of
    /// the scene's own frame, so it needs fewer training scenes.
    Ray {
        /// Number of octaves.
        frequencies: usize,
    },
}

impl Position {
    /// Number of channels of the encoding.
    pub fn channels(self) -> usize {
        match self {
            Self::World { frequencies } => 2 * (3 + 6 * frequencies),
            Self::Ray { frequencies } => 1 + 2 * frequencies,
        }
    }

    /// Channels that differ from sample to sample; the others, which come last, are constant along a ray.
    pub fn sample_channels(self) -> usize {
        match self {
            Self::World { frequencies } => 3 + 6 * frequencies,
            Self::Ray { .. } => self.channels(),
        }
    }
}

/// How the samples of a ray become a colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Head {
    /// Colour is a linear layer on the mean over samples (GNT).
    Mean,
    /// Colours of the source views are blended per sample and then along the ray with learned weights, plus the linear
    /// layer of [`Head::Mean`] as a correction.
    Blend,
}

/// The feature network (ResUNet).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FeatureConfig {
    /// Channels after the first convolution (GNT: 64).
    pub stem_width: usize,
    /// Stride of the first convolution (GNT: 2); 1 doubles the resolution of the feature map.
    pub stem_stride: usize,
    /// Channels of the three stages (GNT: 64, 128, 256).
    pub widths: [usize; 3],
    /// Residual blocks in each stage (GNT: 3, 4, 6).
    pub blocks: [usize; 3],
    /// Channels of the feature map (GNT: 32).
    pub channels: usize,
}

/// The shape of a whole network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Channels of tokens and sample states, C (GNT: 64).
    pub width: usize,
    /// Number of view and ray blocks, L (GNT: 8 across scenes, 4 for one scene).
    pub depth: usize,
    /// Heads of the ray transformer (GNT: 4).
    pub heads: usize,
    /// Hidden width of the feed-forward layers as a multiple of `width` (GNT: 4).
    pub mlp_ratio: usize,
    /// Hidden width of the two small MLPs of the view attention (GNT: `width / 8`).
    pub attention_hidden: usize,
    /// Start of a sample's state.
    pub start: Start,
    /// Position encoding.
    pub position: Position,
    /// The frame of the relative directions; [`Position::World`] needs [`Axes::World`].
    #[serde(default, skip_serializing_if = "is_default")]
    pub axes: Axes,
    /// Whether samples are told which views they are hidden from, see [`crate::surface`]; needs [`Axes::Target`], and
    /// [`Head::Blend`], which tells where a ray ends.
    #[serde(default, skip_serializing_if = "is_default")]
    pub visibility: bool,
    /// How much source photographs are sharpened before they are read, in hundredths, see [`crate::sharpened`].
    #[serde(default, skip_serializing_if = "is_default")]
    pub sharpening: u8,
    /// Whether the feature network reads photographs of up to [`crate::features::MOST_DOUBLED`] pixels at twice their size, which
    /// makes its maps twice as fine at four times the memory; for networks that are trained so, which no embedded one is.
    #[serde(default, skip_serializing_if = "is_default")]
    pub doubled: bool,
    /// Colour head.
    pub head: Head,
    /// Attention over source views.
    #[serde(default, skip_serializing_if = "is_default")]
    pub view_attention: ViewAttentionKind,
    /// Attention along the ray.
    #[serde(default, skip_serializing_if = "is_default")]
    pub ray_attention: RayAttentionKind,
    /// Weights of queries, keys, values and outputs of both attentions; a view attention by subtraction stays dense.
    #[serde(default, skip_serializing_if = "is_default")]
    pub linears: LinearKind,
    /// Feed-forward parts.
    #[serde(default, skip_serializing_if = "is_default")]
    pub mlp: FeedForwardKind,
    /// Feature network.
    pub features: FeatureConfig,
    /// Samples a ray when the user names none.
    pub samples: usize,
    /// Source views when the user names none.
    pub views: usize,
}

/// Kinds that dense networks have are left out of files, which programs from before those kinds can read then.
fn is_default<T: Default + PartialEq>(kind: &T) -> bool {
    *kind == T::default()
}

impl Config {
    /// The official GNT with `depth` blocks and width 64.
    pub fn official(depth: usize) -> Self {
        Self {
            width: 64,
            depth,
            heads: 4,
            mlp_ratio: 4,
            attention_hidden: 8,
            start: Start::Max,
            position: Position::World { frequencies: 10 },
            axes: Axes::World,
            visibility: false,
            sharpening: 0,
            doubled: false,
            head: Head::Mean,
            view_attention: ViewAttentionKind::Subtract,
            ray_attention: RayAttentionKind::Softmax,
            linears: LinearKind::Dense,
            mlp: FeedForwardKind::Dense,
            features: FeatureConfig {
                stem_width: 64,
                stem_stride: 2,
                widths: [64, 128, 256],
                blocks: [3, 4, 6],
                channels: 32,
            },
            samples: 192,
            views: 10,
        }
    }

    /// The small network whose trained weights are embedded.
    pub fn compact() -> Self {
        Self {
            width: 32,
            heads: 2,
            mlp_ratio: 2,
            attention_hidden: 8,
            start: Start::Stats,
            position: Position::Ray { frequencies: 4 },
            axes: Axes::Target,
            head: Head::Blend,
            features: FeatureConfig {
                stem_width: 16,
                stem_stride: 2,
                widths: [16, 32, 48],
                blocks: [1, 1, 1],
                channels: 16,
            },
            samples: 48,
            ..Self::official(2)
        }
    }

    /// Between the two: as the embedded dense network in its parts, of the official width and half of its blocks; 0.8 million
    /// parameters.
    pub fn medium() -> Self {
        Self {
            width: 64,
            depth: 4,
            heads: 4,
            mlp_ratio: 4,
            visibility: true,
            sharpening: 40,
            features: FeatureConfig {
                stem_width: 32,
                stem_stride: 1,
                widths: [32, 64, 96],
                blocks: [1, 1, 1],
                channels: 32,
            },
            ..Self::compact()
        }
    }

    /// The same sizes with Hamming attention, shift layers and experts throughout.
    pub fn shift_add(self) -> Self {
        Self {
            view_attention: ViewAttentionKind::Hamming,
            ray_attention: RayAttentionKind::Hamming,
            linears: LinearKind::Shift { bits: 4 },
            mlp: FeedForwardKind::Experts { bits: 4 },
            ..self
        }
    }

    /// What the layers of a block share.
    pub fn block_shape(&self) -> BlockShape {
        let Self { width, heads, attention_hidden, mlp_ratio, linears, .. } = *self;
        BlockShape { width, heads, attention_hidden, mlp_ratio, linears, names: Names::Separate }
    }

    /// Whether some layer has weights that are powers of two.
    pub fn has_shifts(&self) -> bool {
        self.linears.is_shift() || self.mlp.linears().is_shift()
    }

    /// Checks that every size is usable; checkpoints from outside pass through here before anything is allocated.
    ///
    /// # Errors
    /// [`Error::Config`] naming the field, what is allowed and what was found.
    pub fn validate(&self) -> Result<()> {
        let range = |name: &str, value: usize, low: usize, high: usize| {
            if (low..=high).contains(&value) {
                Ok(())
            } else {
                Err(Error::Config(format!("{name}: expected {low} to {high}, found {value}")))
            }
        };
        range("width", self.width, 8, 512)?;
        range("depth", self.depth, 1, 64)?;
        range("heads", self.heads, 1, 64)?;
        range("mlp_ratio", self.mlp_ratio, 1, 16)?;
        range("attention_hidden", self.attention_hidden, 1, 128)?;
        match self.position {
            Position::World { frequencies } | Position::Ray { frequencies } => {
                range("frequencies", frequencies, 0, 16)?
            }
        }
        if matches!(self.position, Position::World { .. }) && self.axes != Axes::World {
            return Err(Error::Config(
                "axes: expected world where the position is that of world points, found target".into(),
            ));
        }
        if self.visibility && (self.axes != Axes::Target || self.head != Head::Blend) {
            return Err(Error::Config("visibility: expected axes target and head blend beside it".into()));
        }
        range("sharpening", usize::from(self.sharpening), 0, 100)?;
        if let LinearKind::Shift { bits } = self.linears {
            range("linears.shift.bits", usize::from(bits), 4, 5)?;
        }
        if let FeedForwardKind::Shift { bits } | FeedForwardKind::Experts { bits } = self.mlp {
            range("mlp bits", usize::from(bits), 4, 5)?;
        }
        let f = &self.features;
        range("features.stem_width", f.stem_width, 1, 1024)?;
        range("features.stem_stride", f.stem_stride, 1, 2)?;
        for (w, b) in f.widths.into_iter().zip(f.blocks) {
            range("features.widths", w, 1, 1024)?;
            range("features.blocks", b, 1, 64)?;
        }
        range("features.channels", f.channels, 1, 512)?;
        range("samples", self.samples, 2, 4096)?;
        range("views", self.views, 1, 256)?;
        if !self.width.is_multiple_of(16) || !self.width.is_multiple_of(self.heads) {
            return Err(Error::Config(format!(
                "width: expected a multiple of 16 and of {} heads, found {}",
                self.heads, self.width
            )));
        }
        // A code of more bits than a word holds has no kernel.
        let channels = self.width / self.heads;
        let codes =
            self.view_attention == ViewAttentionKind::Hamming || self.ray_attention == RayAttentionKind::Hamming;
        if codes && channels > MOST_CHANNELS {
            return Err(Error::Config(format!(
                "heads: expected at most {MOST_CHANNELS} channels a head for attention on codes, found {} channels in {} \
                 heads, {channels} each",
                self.width, self.heads
            )));
        }
        Ok(())
    }
}
