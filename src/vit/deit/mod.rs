//! DeiT (arXiv 2012.12877), with the parameter names of timm: patches of 16 by 16 pixels, a class token and, where it was
//! distilled, a token that learned from a teacher.

pub mod cuda;
pub mod engine;
mod reparam;
mod train;

pub use train::{DeitScratch, DeitTape};

use crate::config::DeitConfig;
use compute::Products;
use layers::builder::Builder;
use layers::folding::Fold;
use layers::grid_mlp::{GridMlp, GridMlpShape};
use layers::layer_norm::LayerNorm;
use layers::linear::Linear;
use layers::patch_conv::PatchConv;
use layers::{Init, Layout, RayAttention, Slot};

/// Added to variances, as in timm.
const EPS: f32 = 1e-6;

/// The network; all its layers read the folded parameters.
#[derive(Clone, Debug)]
pub struct Deit {
    patches: PatchConv,
    /// The class token and, where there is one, the distillation token, `[C]` each.
    tokens: Vec<Slot>,
    /// `[tokens, C]`, those of the extra tokens first.
    position: Slot,
    /// The blocks in order: attention and feed-forward part.
    pub blocks: Vec<(RayAttention, GridMlp)>,
    norm: LayerNorm,
    /// One for each extra token; their logits are averaged.
    heads: Vec<Linear>,
    image: (usize, usize),
    width: usize,
}

impl Deit {
    /// Registers all parameters in `layout`; returns the network with the folded layout and the folds.
    pub fn build(config: &DeitConfig, layout: &mut Layout, products: Products) -> (Self, Layout, Vec<Fold>) {
        let mut b = Builder::new(layout, "");
        b.products = products;
        let width = config.width;
        let init = Init::Uniform(0.03);
        let names: &[&str] = if config.distilled { &["cls_token", "dist_token"] } else { &["cls_token"] };
        let tokens: Vec<Slot> = names.iter().map(|name| b.copy(name, &[1, 1, width], init)).collect();
        let (rows, columns) = config.grid();
        let position = b.copy("pos_embed", &[1, tokens.len() + rows * columns, width], init);
        let patches = PatchConv::build(&mut b, "patch_embed.proj", (3, width), config.patch, config.patch, 0);
        let shape = config.block_shape();
        let mlp =
            GridMlpShape { hidden: shape.mlp_ratio * width, local: false, clips: false, kind: config.feed_forward };
        let blocks = (0..config.depth).map(|i| {
            let name = format!("blocks.{i}");
            let norm = b.norm(&format!("{name}.norm1"), width, EPS);
            let attention = RayAttention::build(&mut b, &format!("{name}.attn"), norm, &shape, config.attention);
            let norm = b.norm(&format!("{name}.norm2"), width, EPS);
            (attention, GridMlp::build(&mut b, &format!("{name}.mlp"), norm, mlp))
        });
        let blocks = blocks.collect();
        let norm = b.norm("norm", width, EPS);
        let names: &[&str] = if config.distilled { &["head", "head_dist"] } else { &["head"] };
        let heads = names.iter().map(|name| b.linear(name, width, config.classes, true)).collect();
        let net =
            Self { patches, tokens, position, blocks, norm, heads, image: (config.image.0, config.image.1), width };
        (net, b.folded, b.folds)
    }
}
