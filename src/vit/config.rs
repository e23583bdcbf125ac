//! Sizes and variants of classifiers, as a model file's metadata has them.

use crate::pvt::HEADS;
use crate::{Error, Result};
use compute::ops::hamming::MOST_CHANNELS;
use layers::{BlockShape, FeedForwardKind, LinearKind, Names, RayAttentionKind};
use serde::{Deserialize, Serialize};

/// A classifier.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "model", rename_all = "snake_case", deny_unknown_fields)]
pub enum Config {
    /// Our own for small images.
    Compact(CompactConfig),
    /// DeiT, with timm's names.
    Deit(DeitConfig),
    /// PVTv2, with timm's names.
    Pvt(PvtConfig),
}

/// What the blocks of a classifier are made of: all that reparameterisation replaces.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Kinds {
    /// How tokens look at one another.
    pub attention: RayAttentionKind,
    /// Weights of queries, keys, values and outputs.
    pub linears: LinearKind,
    /// What each token goes through by itself.
    pub feed_forward: FeedForwardKind,
}

impl Kinds {
    /// Checks them for heads of as many `channels`.
    fn validate(self, channels: usize) -> Result<()> {
        bits("linears", self.linears)?;
        bits("feed_forward", self.feed_forward.linears())?;
        if self.attention != RayAttentionKind::Softmax && channels > MOST_CHANNELS {
            let problem = format!("expected at most {MOST_CHANNELS} channels a head for codes, found {channels}");
            return Err(Error::Config(format!("heads: {problem}")));
        }
        Ok(())
    }
}

/// Sizes of a DeiT.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeitConfig {
    /// Height and width of images, multiples of `patch`.
    pub image: (usize, usize),
    /// Height and width of a patch.
    pub patch: usize,
    /// Number of classes.
    pub classes: usize,
    /// Channels of tokens.
    pub width: usize,
    /// Number of blocks.
    pub depth: usize,
    /// Heads of each attention.
    pub heads: usize,
    /// Whether a token beside the class token learned from a teacher.
    pub distilled: bool,
    /// How tokens look at one another.
    #[serde(default)]
    pub attention: RayAttentionKind,
    /// Weights of queries, keys, values and outputs.
    #[serde(default)]
    pub linears: LinearKind,
    /// What each token goes through by itself.
    #[serde(default)]
    pub feed_forward: FeedForwardKind,
}

/// Sizes of a PVTv2.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PvtConfig {
    /// Height and width of images, any from 32 on.
    pub image: (usize, usize),
    /// Number of classes.
    pub classes: usize,
    /// Channels of each stage.
    pub widths: [usize; 4],
    /// Blocks of each stage.
    pub depths: [usize; 4],
    /// Whether keys and values are pooled to 7 by 7 tokens (the linear variant).
    pub linear: bool,
    /// How tokens look at one another in all stages but the last, which stays dense
    /// (ShiftAddViT, arXiv 2306.06446); linear-angular attention looks at all tokens, the others at reduced ones.
    #[serde(default)]
    pub attention: RayAttentionKind,
    /// Weights of queries, keys, values and outputs there.
    #[serde(default)]
    pub linears: LinearKind,
    /// What each token goes through by itself.
    #[serde(default)]
    pub feed_forward: FeedForwardKind,
}

/// A compact transformer: a convolutional stem, tokens of 4 by 4 pixels, blocks, sequence pooling.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CompactConfig {
    /// Height and width of images, a multiple of 4.
    pub image_size: usize,
    /// Number of classes.
    pub classes: usize,
    /// Channels of the stem at full and at half resolution.
    pub stem: [usize; 2],
    /// Channels of tokens.
    pub width: usize,
    /// Number of blocks.
    pub depth: usize,
    /// Heads of each attention.
    pub heads: usize,
    /// Hidden channels of a feed-forward part as a multiple of `width`.
    pub mlp_ratio: usize,
    /// How tokens look at one another.
    #[serde(default)]
    pub attention: RayAttentionKind,
    /// Weights of queries, keys, values and outputs.
    #[serde(default)]
    pub linears: LinearKind,
    /// What each token goes through by itself.
    #[serde(default)]
    pub feed_forward: FeedForwardKind,
}

/// Pixels along one side of a token.
pub const TOKEN_SIDE: usize = 4;

/// Most classes of a model.
pub const MOST_CLASSES: usize = 100_000;

impl CompactConfig {
    /// The network of the embedded models: 32 by 32 pixels, ten classes, dense.
    pub fn embedded() -> Self {
        Self {
            image_size: 32,
            classes: 10,
            stem: [64, 128],
            width: 192,
            depth: 4,
            heads: 6,
            mlp_ratio: 2,
            attention: RayAttentionKind::Softmax,
            linears: LinearKind::Dense,
            feed_forward: FeedForwardKind::Dense,
        }
    }

    /// What the parts of a block share.
    pub fn block_shape(&self) -> BlockShape {
        let Self { width, heads, mlp_ratio, linears, .. } = *self;
        BlockShape { width, heads, attention_hidden: 0, mlp_ratio, linears, names: Names::Separate }
    }

    /// Tokens along one side of an image.
    pub fn grid(&self) -> usize {
        self.image_size / TOKEN_SIDE
    }

    fn validate(&self) -> Result<()> {
        range("image_size", self.image_size, TOKEN_SIDE, 512)?;
        range("classes", self.classes, 2, MOST_CLASSES)?;
        for channels in self.stem {
            range("stem", channels, 8, 512)?;
        }
        range("width", self.width, 16, 1024)?;
        range("depth", self.depth, 1, 64)?;
        range("heads", self.heads, 1, 64)?;
        range("mlp_ratio", self.mlp_ratio, 1, 8)?;
        multiple("image_size", self.image_size, TOKEN_SIDE)?;
        for channels in self.stem {
            multiple("stem", channels, 8)?;
        }
        multiple("width", self.width, 16)?;
        multiple("width", self.width, self.heads)
    }
}

impl DeitConfig {
    /// Patches down and across.
    pub fn grid(&self) -> (usize, usize) {
        (self.image.0 / self.patch, self.image.1 / self.patch)
    }

    fn validate(&self) -> Result<()> {
        range("patch", self.patch, 1, 64)?;
        for side in [self.image.0, self.image.1] {
            range("image", side, self.patch, 2048)?;
            multiple("image", side, self.patch)?;
        }
        range("classes", self.classes, 2, MOST_CLASSES)?;
        range("width", self.width, 8, 4096)?;
        range("depth", self.depth, 1, 128)?;
        range("heads", self.heads, 1, 64)?;
        multiple("width", self.width, 16)?;
        multiple("width", self.width, self.heads)
    }

    /// What the parts of a block share.
    pub fn block_shape(&self) -> BlockShape {
        let Self { width, heads, linears, .. } = *self;
        BlockShape { width, heads, attention_hidden: 0, mlp_ratio: 4, linears, names: Names::Fused }
    }
}

impl PvtConfig {
    fn validate(&self) -> Result<()> {
        for side in [self.image.0, self.image.1] {
            range("image", side, 32, 2048)?;
        }
        range("classes", self.classes, 2, MOST_CLASSES)?;
        for (width, heads) in self.widths.into_iter().zip(HEADS) {
            range("widths", width, 8, 2048)?;
            multiple("widths", width, 8)?;
            multiple("widths", width, heads)?;
        }
        if let RayAttentionKind::LinearAngular { .. } = self.attention {
            self.widths[..3].iter().try_for_each(|width| multiple("widths", *width, 16))?;
        }
        self.depths.into_iter().try_for_each(|depth| range("depths", depth, 1, 64))
    }
}

impl Config {
    /// Checks every size.
    ///
    /// # Errors
    /// [`Error::Config`] naming the first that is out of range.
    pub fn validate(&self) -> Result<()> {
        // Channels of the heads that may compare codes.
        let channels = match self {
            Self::Compact(config) => {
                config.validate()?;
                vec![config.width / config.heads]
            }
            Self::Deit(config) => {
                config.validate()?;
                vec![config.width / config.heads]
            }
            Self::Pvt(config) => {
                config.validate()?;
                config.widths.into_iter().zip(HEADS).take(3).map(|(width, heads)| width / heads).collect()
            }
        };
        channels.into_iter().try_for_each(|channels| self.kinds().validate(channels))
    }

    /// What it is, for people.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Compact(_) => "compact transformer",
            Self::Deit(_) => "DeiT",
            Self::Pvt(_) => "PVTv2",
        }
    }

    /// What its blocks are made of.
    pub fn kinds(&self) -> Kinds {
        let (Self::Compact(CompactConfig { attention, linears, feed_forward, .. })
        | Self::Deit(DeitConfig { attention, linears, feed_forward, .. })
        | Self::Pvt(PvtConfig { attention, linears, feed_forward, .. })) = *self;
        Kinds { attention, linears, feed_forward }
    }

    /// The same network with blocks made of other parts.
    pub fn with_kinds(self, kinds: Kinds) -> Self {
        let Kinds { attention, linears, feed_forward } = kinds;
        match self {
            Self::Compact(config) => Self::Compact(CompactConfig { attention, linears, feed_forward, ..config }),
            Self::Deit(config) => Self::Deit(DeitConfig { attention, linears, feed_forward, ..config }),
            Self::Pvt(config) => Self::Pvt(PvtConfig { attention, linears, feed_forward, ..config }),
        }
    }

    /// Whether some layer's weights are powers of two.
    pub fn has_shifts(&self) -> bool {
        let kinds = self.kinds();
        kinds.linears.is_shift() || kinds.feed_forward.linears().is_shift()
    }

    /// The same network with a head of other classes.
    pub fn with_classes(self, classes: usize) -> Self {
        match self {
            Self::Compact(config) => Self::Compact(CompactConfig { classes, ..config }),
            Self::Deit(config) => Self::Deit(DeitConfig { classes, ..config }),
            Self::Pvt(config) => Self::Pvt(PvtConfig { classes, ..config }),
        }
    }

    /// Number of classes.
    pub fn classes(&self) -> usize {
        match self {
            Self::Compact(config) => config.classes,
            Self::Deit(config) => config.classes,
            Self::Pvt(config) => config.classes,
        }
    }

    /// Height and width of the images that it takes.
    pub fn image_size(&self) -> (usize, usize) {
        match self {
            Self::Compact(config) => (config.image_size, config.image_size),
            Self::Deit(config) => config.image,
            Self::Pvt(config) => config.image,
        }
    }
}

fn range(name: &str, found: usize, least: usize, most: usize) -> Result<()> {
    if (least..=most).contains(&found) {
        return Ok(());
    }
    Err(Error::Config(format!("{name}: expected {least} to {most}, found {found}")))
}

fn multiple(name: &str, found: usize, of: usize) -> Result<()> {
    if found.is_multiple_of(of) {
        return Ok(());
    }
    Err(Error::Config(format!("{name}: expected a multiple of {of}, found {found}")))
}

fn bits(name: &str, kind: LinearKind) -> Result<()> {
    match kind {
        LinearKind::Shift { bits } if !(4..=5).contains(&bits) => {
            Err(Error::Config(format!("{name}: expected shifts of 4 or 5 bits, found {bits}")))
        }
        _ => Ok(()),
    }
}
