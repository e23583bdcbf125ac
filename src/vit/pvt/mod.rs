//! PVTv2 (arXiv 2106.13797), with the parameter names of timm: four stages of overlapping patches, attention to a reduced
//! grid and feed-forward parts with a depthwise convolution. It has a forward pass only.

pub mod engine;

use crate::config::PvtConfig;
use compute::Products;
use layers::Layout;
use layers::builder::Builder;
use layers::folding::Fold;
use layers::grid_mlp::{GridMlp, GridMlpTape};
use layers::layer_norm::{LayerNorm, LayerNormTape};
use layers::linear::Linear;
use layers::patch_conv::{PatchConv, PatchConvScratch};
use layers::reduced_attention::{ReducedAttention, ReducedAttentionScratch, Reduction};

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
    blocks: Vec<(ReducedAttention, GridMlp)>,
    norm: LayerNorm,
}

/// What a pass leaves, and its buffers.
#[derive(Clone, Debug, Default)]
pub struct PvtTape {
    embedded: Vec<f32>,
    states: Vec<f32>,
    norm: LayerNormTape,
    attention: ReducedAttentionScratch,
    mlp: GridMlpTape,
    conv: PatchConvScratch,
    /// The tokens after every block, `[images, tokens, C]`, for whoever puts an empty list here before the pass.
    pub after_blocks: Option<Vec<Vec<f32>>>,
    /// `[images, classes]`.
    pub logits: Vec<f32>,
}

impl Pvt {
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
            let reduction = match (config.linear, REDUCTIONS[s]) {
                (true, _) => Reduction::Pooled,
                (false, 1) => Reduction::None,
                (false, size) => Reduction::Convolved(size),
            };
            let blocks = (0..config.depths[s]).map(|i| {
                let name = format!("{name}.blocks.{i}");
                let norm = b.norm(&format!("{name}.norm1"), width, EPS);
                let attention = ReducedAttention::build(&mut b, &format!("{name}.attn"), norm, HEADS[s], reduction);
                let norm = b.norm(&format!("{name}.norm2"), width, EPS);
                let hidden = RATIOS[s] * width;
                (attention, GridMlp::build(&mut b, &format!("{name}.mlp"), norm, hidden, true, config.linear))
            });
            let blocks = blocks.collect();
            Stage { patches, patch_norm, blocks, norm: b.norm(&format!("{name}.norm"), width, EPS) }
        });
        let stages = stages.collect();
        let head = b.linear("head", config.widths[3], config.classes, true);
        (Self { stages, head, image: config.image }, b.folded, b.folds)
    }

    /// Classifies `images` images `x` `[images, height, width, 3]`; the logits are in the tape.
    pub fn forward(&self, params: &[f32], images: usize, x: &[f32], tape: &mut PvtTape) {
        let PvtTape { embedded, states, norm, attention, mlp, conv, after_blocks, logits } = tape;
        let (mut height, mut width) = self.image;
        for (i, stage) in self.stages.iter().enumerate() {
            let input = if i == 0 { x } else { &norm.y };
            stage.patches.forward(params, (images, height, width), input, embedded, conv);
            (height, width) = stage.patches.output_size(height, width);
            stage.patch_norm.forward(params, embedded, norm);
            states.clone_from(&norm.y);
            for (layer, feed_forward) in &stage.blocks {
                layer.forward(params, (images, height, width), states, attention);
                feed_forward.forward(params, (height, width), states, mlp);
                after_blocks.iter_mut().for_each(|list| list.push(states.clone()));
            }
            stage.norm.forward(params, states, norm);
        }
        let (c, tokens) = (self.head.inputs, height * width);
        let mut pooled = vec![0.0; images * c];
        for (image, pooled) in norm.y.chunks_exact(tokens * c).zip(pooled.chunks_exact_mut(c)) {
            mean(image, pooled);
        }
        logits.resize(images * self.head.outputs, 0.0);
        self.head.forward(params, &pooled, logits, false);
    }
}

/// The mean of the tokens of an image, `[tokens, C]`, which is added to `out` `[C]`.
fn mean(tokens: &[f32], out: &mut [f32]) {
    let part = out.len() as f32 / tokens.len() as f32;
    for token in tokens.chunks_exact(out.len()) {
        out.iter_mut().zip(token).for_each(|(sum, t)| *sum += part * t);
    }
}
