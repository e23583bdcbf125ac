//! The compact transformer for small images (after Compact Convolutional Transformers, arXiv 2104.05704): a convolutional
//! stem makes tokens of 4 by 4 pixels, blocks let them look at their neighbours and at one another, and sequence pooling
//! makes one vector of them.

pub mod cuda;
pub mod engine;
mod reparam;
mod stem;
#[cfg(test)]
mod tests;
mod train;

pub use train::{CompactScratch, CompactTape};

use crate::config::{CompactConfig, TOKEN_SIDE};
use compute::Products;
use layers::builder::Builder;
use layers::depthwise::Depthwise;
use layers::folding::Fold;
use layers::layer_norm::LayerNorm;
use layers::linear::Linear;
use layers::sequence_pool::SequencePool;
use layers::{FeedForward, Init, Layout, RayAttention, Slot};
use stem::Stem;

/// Added to variances.
const EPS: f32 = 1e-5;

/// The network; all its layers read the folded parameters.
#[derive(Clone, Debug)]
pub struct Compact {
    stem: Stem,
    /// `[tokens, width]`, added to the tokens.
    position: Slot,
    /// The blocks in order.
    pub blocks: Vec<Block>,
    norm: LayerNorm,
    pool: SequencePool,
    head: Linear,
    grid: usize,
}

/// A block: each token looks at its neighbours, then at all others, then goes through a feed-forward part.
#[derive(Clone, Debug)]
pub struct Block {
    /// Neighbours, residual.
    pub local: Depthwise,
    /// All tokens.
    pub attention: RayAttention,
    /// Each by itself.
    pub feed_forward: FeedForward,
}

impl Compact {
    /// Registers all parameters in `layout`; returns the network with the folded layout and the folds.
    pub fn build(config: &CompactConfig, layout: &mut Layout, products: Products) -> (Self, Layout, Vec<Fold>) {
        let mut b = Builder::new(layout, "");
        b.products = products;
        let (width, shape) = (config.width, config.block_shape());
        let stem = Stem::build(&mut b, config);
        let position = b.copy("position", &[config.grid() * config.grid(), width], Init::Uniform(0.03));
        let blocks = (0..config.depth).map(|i| {
            let name = format!("blocks.{i}");
            let local = Depthwise::build(&mut b, &format!("{name}.local"), width, true);
            let norm = b.norm(&format!("{name}.attn_norm"), width, EPS);
            let attention = RayAttention::build(&mut b, &format!("{name}.attn"), norm, &shape, config.attention);
            let norm = b.norm(&format!("{name}.ff_norm"), width, EPS);
            let feed_forward = FeedForward::build(&mut b, &name, norm, &shape, config.feed_forward);
            Block { local, attention, feed_forward }
        });
        let blocks = blocks.collect();
        let norm = b.norm("norm", width, EPS);
        let pool = SequencePool::build(&mut b, "pool", width);
        let head = b.linear("head", width, config.classes, true);
        let net = Self { stem, position, blocks, norm, pool, head, grid: config.grid() };
        (net, b.folded, b.folds)
    }

    /// Height and width of an image.
    pub fn image_side(&self) -> usize {
        self.grid * TOKEN_SIDE
    }

    /// Tokens of an image.
    pub fn tokens(&self) -> usize {
        self.grid * self.grid
    }

    /// Number of classes.
    pub fn classes(&self) -> usize {
        self.head.outputs
    }
}
