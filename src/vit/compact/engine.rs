//! The compact transformer in the CPU engine.

use super::stem::Stem;
use super::{Compact, TOKEN_SIDE};
use crate::config::CompactConfig;
use compute::Isa;
use compute::ops::product8::Sign;
use layers::engine::SharedScratch;
use layers::feed_forward::engine::{FeedForwardBuffers, PackedFeedForward};
use layers::layer_norm::engine::Norm;
use layers::linear::engine::Precision;
use layers::linear::relu;
use layers::max_pool;
use layers::patch_conv::engine::{PackedPatchConv, PatchConvBuffers};
use layers::ray_attention::engine::{PackedRayAttention, RayAttentionBuffers};

/// The packed network; what is no product reads the folded parameters.
#[derive(Clone, Debug)]
pub struct PackedCompact {
    net: Compact,
    convolutions: [PackedPatchConv; 4],
    stem_norms: [Norm; 3],
    blocks: Vec<(PackedRayAttention, PackedFeedForward)>,
    norm: Norm,
}

/// Buffers of a thread.
#[derive(Clone, Debug, Default)]
pub struct CompactBuffers {
    conv: PatchConvBuffers,
    a: Vec<f32>,
    b: Vec<f32>,
    c: Vec<f32>,
    shared: SharedScratch,
    attention: RayAttentionBuffers,
    /// With the rows of each expert so far, by block.
    pub feed_forward: FeedForwardBuffers,
    pooling: Vec<f32>,
}

impl PackedCompact {
    /// Packs the folded parameters.
    pub fn new(precision: Precision, config: &CompactConfig, net: &Compact, folded: &[f32]) -> Self {
        let Stem { first, first_norm, second, second_norm, third, third_norm, tokens, .. } = &net.stem;
        let conv = |conv, precision, sign| PackedPatchConv::new(precision, conv, folded, sign);
        let blocks = net.blocks.iter().enumerate().map(|(i, block)| {
            let attention = PackedRayAttention::new(precision, config.linears, &block.attention, folded);
            let kind = config.feed_forward;
            (attention, PackedFeedForward::new(precision, kind, &block.feed_forward, folded, i))
        });
        Self {
            // A hundredth of the products are in the first, whose inputs are pixels.
            convolutions: [
                conv(first, Precision::F32, Sign::Signed),
                conv(second, precision, Sign::NonNegative),
                conv(third, precision, Sign::NonNegative),
                conv(tokens, precision, Sign::NonNegative),
            ],
            stem_norms: [first_norm, second_norm, third_norm].map(|norm| Norm::apart(norm, folded)),
            blocks: blocks.collect(),
            norm: Norm::apart(&net.norm, folded),
            net: net.clone(),
        }
    }

    /// Classifies one image `x` `[side, side, 3]`; `logits` is resized.
    pub fn apply(&self, isa: Isa, folded: &[f32], x: &[f32], logits: &mut Vec<f32>, buffers: &mut CompactBuffers) {
        let CompactBuffers { conv, a, b, c, shared, attention, feed_forward, pooling } = buffers;
        let (net, side) = (&self.net, self.net.image_side());
        let half = (side / 2, side / 2);
        let widths = [&net.stem.first, &net.stem.second].map(|conv| conv.linear.outputs);
        let activate = |norm: &Norm, width: usize, x: &[f32], y: &mut Vec<f32>| {
            y.resize(x.len(), 0.0);
            norm.apply(isa, x, width, y);
            relu(isa, y);
        };
        self.convolutions[0].apply(isa, (side, side), x, a, conv);
        max_pool::forward((1, side, side), widths[0], a, b);
        activate(&self.stem_norms[0], widths[0], b, a);
        self.convolutions[1].apply(isa, half, a, b, conv);
        activate(&self.stem_norms[1], widths[1], b, a);
        self.convolutions[2].apply(isa, half, a, b, conv);
        activate(&self.stem_norms[2], widths[1], b, c);
        a.iter_mut().zip(&*c).for_each(|(sum, y)| *sum += y);
        self.convolutions[3].apply(isa, half, a, b, conv);
        // From here on `b` are the tokens' states.
        b.iter_mut().zip(net.position.of(folded)).for_each(|(state, p)| *state += p);
        let grid = side / TOKEN_SIDE;
        let (tokens, width) = (net.tokens(), net.head.inputs);
        shared.fit(tokens, width);
        for (block, (look, think)) in net.blocks.iter().zip(&self.blocks) {
            a.resize(b.len(), 0.0);
            block.local.forward(folded, (grid, grid), b, a);
            std::mem::swap(a, b);
            look.apply(isa, b, 1, shared, attention, None);
            think.apply(isa, b, 1, feed_forward);
        }
        a.resize(b.len(), 0.0);
        self.norm.apply(isa, b, width, a);
        net.pool.forward(folded, tokens, a, pooling, c);
        logits.resize(net.classes(), 0.0);
        net.head.forward(folded, c, logits, false);
    }
}
