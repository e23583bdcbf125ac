//! DeiT in the CPU engine.

use super::Deit;
use crate::config::DeitConfig;
use compute::Isa;
use compute::ops::product8::Sign;
use layers::engine::SharedScratch;
use layers::grid_mlp::engine::{GridMlpBuffers, PackedGridMlp};
use layers::layer_norm::engine::Norm;
use layers::linear::engine::Precision;
use layers::patch_conv::engine::{PackedPatchConv, PatchConvBuffers};
use layers::ray_attention::engine::{PackedRayAttention, RayAttentionBuffers};

/// The packed network; what is no product reads the folded parameters.
#[derive(Clone, Debug)]
pub struct PackedDeit {
    net: Deit,
    patches: PackedPatchConv,
    blocks: Vec<(PackedRayAttention, PackedGridMlp)>,
    norm: Norm,
}

/// Buffers of a thread.
#[derive(Clone, Debug, Default)]
pub struct DeitBuffers {
    conv: PatchConvBuffers,
    embedded: Vec<f32>,
    states: Vec<f32>,
    normal: Vec<f32>,
    shared: SharedScratch,
    attention: RayAttentionBuffers,
    /// With the tokens of each expert so far, by block.
    pub mlp: GridMlpBuffers,
}

impl PackedDeit {
    /// Packs the folded parameters.
    pub fn new(precision: Precision, config: &DeitConfig, net: &Deit, folded: &[f32]) -> Self {
        let blocks = net.blocks.iter().enumerate().map(|(i, (attention, mlp))| {
            let attention = PackedRayAttention::new(precision, config.linears, attention, folded);
            (attention, PackedGridMlp::new(precision, config.feed_forward, mlp, folded, i))
        });
        Self {
            // Inputs are pixels.
            patches: PackedPatchConv::new(Precision::F32, &net.patches, folded, Sign::Signed),
            blocks: blocks.collect(),
            norm: Norm::apart(&net.norm, folded),
            net: net.clone(),
        }
    }

    /// Classifies one image `x` `[height, width, 3]`; `logits` is resized.
    pub fn apply(&self, isa: Isa, folded: &[f32], x: &[f32], logits: &mut Vec<f32>, buffers: &mut DeitBuffers) {
        let DeitBuffers { conv, embedded, states, normal, shared, attention, mlp } = buffers;
        let (net, c, tokens, extra) = (&self.net, self.net.width, self.net.num_tokens(), self.net.tokens.len());
        self.patches.apply(isa, net.image, x, embedded, conv);
        states.clear();
        net.tokens.iter().for_each(|token| states.extend_from_slice(token.of(folded)));
        states.extend_from_slice(embedded);
        states.iter_mut().zip(net.position.of(folded)).for_each(|(s, p)| *s += p);
        shared.fit(tokens, c);
        for (look, think) in &self.blocks {
            look.apply(isa, states, 1, shared, attention, None);
            think.apply(isa, folded, (1, tokens), states, mlp);
        }
        normal.resize(extra * c, 0.0);
        self.norm.apply(isa, &states[..extra * c], c, normal);
        logits.clear();
        logits.resize(net.heads[0].outputs, 0.0);
        for (head, token) in net.heads.iter().zip(normal.chunks_exact(c)) {
            head.forward(folded, token, logits, true);
        }
        let scale = 1.0 / net.heads.len() as f32;
        logits.iter_mut().for_each(|l| *l *= scale);
    }
}
