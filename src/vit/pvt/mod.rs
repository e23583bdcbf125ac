//! PVTv2 (arXiv 2106.13797), with the parameter names of timm: four stages of overlapping patches, attention to a reduced
//! grid and feed-forward parts with a depthwise convolution.
//!
//! Where its blocks are of other kinds, the attention of the last stage stays as it is, with dense layers (ShiftAddViT, arXiv
//! 2306.06446). Linear-angular attention costs as much for all tokens as for reduced ones: there is no reduction with it.

pub mod cuda;
pub mod engine;
mod look;
mod reparam;
mod train;

pub use train::{PvtScratch, PvtTape};

use crate::config::PvtConfig;
use compute::Products;
use layers::Layout;
use layers::builder::Builder;
use layers::folding::Fold;
use layers::grid_mlp::{GridMlp, GridMlpShape};
use layers::layer_norm::LayerNorm;
use layers::linear::Linear;
use layers::patch_conv::PatchConv;
use look::Look;
pub(crate) use look::kinds;

/// Added to variances, as in timm.
const EPS: f32 = 1e-6;
/// The same after patches, where timm leaves PyTorch's default.
const PATCH_EPS: f32 = 1e-5;
/// Tokens in each direction that a reduction joins, stage by stage.
pub(crate) const REDUCTIONS: [usize; 4] = [8, 4, 2, 1];
/// Hidden channels of the feed-forward parts as multiples of the width.
pub(crate) const RATIOS: [usize; 4] = [8, 8, 4, 4];
/// Heads of the attentions.
pub(crate) const HEADS: [usize; 4] = [1, 2, 5, 8];

/// The network; all its layers read the folded parameters.
#[derive(Clone, Debug)]
pub struct Pvt {
    stages: Vec<Stage>,
    head: Linear,
    image: (usize, usize),
}

#[derive(Clone, Debug)]
struct Stage {
    patches: PatchConv,
    patch_norm: LayerNorm,
    blocks: Vec<(Look, GridMlp)>,
    norm: LayerNorm,
}

impl Pvt {
    /// The feed-forward parts in order.
    pub fn mlps(&self) -> impl Iterator<Item = &GridMlp> {
        self.stages.iter().flat_map(|stage| stage.blocks.iter().map(|(_, mlp)| mlp))
    }

    /// Registers all parameters in `layout`; returns the network with the folded layout and the folds.
    pub fn build(config: &PvtConfig, layout: &mut Layout, products: Products) -> (Self, Layout, Vec<Fold>) {
        let mut b = Builder::new(layout, "");
        b.products = products;
        let mut inputs = 3;
        let stages = (0..4).map(|s| {
            let (name, width) = (format!("stages.{s}"), config.widths[s]);
            let (patch, kernel, stride) =
                if s == 0 { ("patch_embed".into(), 7, 4) } else { (format!("{name}.downsample"), 3, 2) };
            let patches =
                PatchConv::build(&mut b, &format!("{patch}.proj"), (inputs, width), kernel, stride, kernel / 2);
            let patch_norm = b.norm(&format!("{patch}.norm"), width, PATCH_EPS);
            inputs = width;
            let mlp = GridMlpShape {
                hidden: RATIOS[s] * width,
                local: true,
                clips: config.linear,
                kind: config.feed_forward,
            };
            let blocks = (0..config.depths[s]).map(|i| {
                let name = format!("{name}.blocks.{i}");
                let norm = b.norm(&format!("{name}.norm1"), width, EPS);
                let look = Look::build(&mut b, &format!("{name}.attn"), norm, config, s);
                let norm = b.norm(&format!("{name}.norm2"), width, EPS);
                (look, GridMlp::build(&mut b, &format!("{name}.mlp"), norm, mlp))
            });
            let blocks = blocks.collect();
            Stage { patches, patch_norm, blocks, norm: b.norm(&format!("{name}.norm"), width, EPS) }
        });
        let stages = stages.collect();
        let head = b.linear("head", config.widths[3], config.classes, true);
        (Self { stages, head, image: config.image }, b.folded, b.folds)
    }
}

/// The mean of the tokens of an image, `[tokens, C]`, which is added to `out` `[C]`.
fn mean(tokens: &[f32], out: &mut [f32]) {
    let part = out.len() as f32 / tokens.len() as f32;
    for token in tokens.chunks_exact(out.len()) {
        out.iter_mut().zip(token).for_each(|(sum, t)| *sum += part * t);
    }
}
