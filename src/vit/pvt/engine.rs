//! PVTv2 in the CPU engine.

use super::Pvt;
use super::look::{Look, kinds};
use crate::config::PvtConfig;
use compute::Isa;
use compute::ops::product8::Sign;
use layers::engine::SharedScratch;
use layers::grid_mlp::engine::{GridMlpBuffers, PackedGridMlp};
use layers::layer_norm::engine::Norm;
use layers::linear::engine::Precision;
use layers::patch_conv::engine::{PackedPatchConv, PatchConvBuffers};
use layers::ray_attention::engine::{PackedRayAttention, RayAttentionBuffers};
use layers::reduced_attention::engine::{PackedReducedAttention, ReducedAttentionBuffers};

/// The packed network; what is no product reads the folded parameters.
#[derive(Clone, Debug)]
pub struct PackedPvt {
    net: Pvt,
    stages: Vec<PackedStage>,
}

#[derive(Clone, Debug)]
struct PackedStage {
    patches: PackedPatchConv,
    patch_norm: Norm,
    blocks: Vec<(PackedLook, PackedGridMlp)>,
    norm: Norm,
}

#[derive(Clone, Debug)]
enum PackedLook {
    Reduced(Box<PackedReducedAttention>),
    All(Box<PackedRayAttention>),
}

/// Buffers of a thread.
#[derive(Clone, Debug, Default)]
pub struct PvtBuffers {
    conv: PatchConvBuffers,
    embedded: Vec<f32>,
    states: Vec<f32>,
    normal: Vec<f32>,
    reduced: ReducedAttentionBuffers,
    shared: SharedScratch,
    all: RayAttentionBuffers,
    /// With the tokens of each expert so far, by block.
    pub mlp: GridMlpBuffers,
}

impl PackedPvt {
    /// Packs the folded parameters.
    pub fn new(precision: Precision, config: &PvtConfig, net: &Pvt, folded: &[f32]) -> Self {
        let stages = net.stages.iter().enumerate().map(|(i, stage)| {
            let (_, linears) = kinds(config, i);
            let blocks = stage.blocks.iter().enumerate().map(|(b, (look, mlp))| {
                let look = match look {
                    Look::Reduced(layer) => {
                        let layer = PackedReducedAttention::new(precision, linears, layer, folded);
                        PackedLook::Reduced(Box::new(layer))
                    }
                    Look::All(layer) => {
                        let layer = PackedRayAttention::new(precision, linears, layer, folded);
                        PackedLook::All(Box::new(layer))
                    }
                };
                let part = config.depths[..i].iter().sum::<usize>() + b;
                (look, PackedGridMlp::new(precision, config.feed_forward, mlp, folded, part))
            });
            // Inputs of the first are pixels.
            let of_patches = if i == 0 { Precision::F32 } else { precision };
            PackedStage {
                patches: PackedPatchConv::new(of_patches, &stage.patches, folded, Sign::Signed),
                patch_norm: Norm::apart(&stage.patch_norm, folded),
                blocks: blocks.collect(),
                norm: Norm::apart(&stage.norm, folded),
            }
        });
        Self { stages: stages.collect(), net: net.clone() }
    }

    /// Classifies one image `x` `[height, width, 3]`; `logits` is resized.
    pub fn apply(&self, isa: Isa, folded: &[f32], x: &[f32], logits: &mut Vec<f32>, buffers: &mut PvtBuffers) {
        let PvtBuffers { conv, embedded, states, normal, reduced, shared, all, mlp } = buffers;
        let (mut height, mut width) = self.net.image;
        for (i, (stage, plain)) in self.stages.iter().zip(&self.net.stages).enumerate() {
            let c = plain.norm.width;
            stage.patches.apply(isa, (height, width), if i == 0 { x } else { normal }, embedded, conv);
            (height, width) = plain.patches.output_size(height, width);
            states.resize(embedded.len(), 0.0);
            stage.patch_norm.apply(isa, embedded, c, states);
            for (look, think) in &stage.blocks {
                match look {
                    PackedLook::Reduced(layer) => layer.apply(isa, folded, (height, width), states, reduced),
                    PackedLook::All(layer) => {
                        shared.fit(height * width, c);
                        layer.apply(isa, states, 1, shared, all, None);
                    }
                }
                think.apply(isa, folded, (height, width), states, mlp);
            }
            normal.resize(states.len(), 0.0);
            stage.norm.apply(isa, states, c, normal);
        }
        let head = &self.net.head;
        let mut pooled = vec![0.0; head.inputs];
        super::mean(normal, &mut pooled);
        logits.resize(head.outputs, 0.0);
        head.forward(folded, &pooled, logits, false);
    }
}
