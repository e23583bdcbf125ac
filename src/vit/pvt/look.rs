//! The attention of a block: to reduced tokens, or to all of them.

use super::{HEADS, REDUCTIONS};
use crate::config::PvtConfig;
use layers::layer_norm::LayerNorm;
use layers::patch_conv::ImageSize;
use layers::ray_attention::{RayAttentionScratch, RayAttentionTape};
use layers::reduced_attention::{
    ReducedAttention, ReducedAttentionScratch, ReducedAttentionShape, ReducedAttentionTape, Reduction,
};
use layers::{BlockShape, Builder, LinearKind, Names, RayAttention, RayAttentionKind};

/// Number of the stage whose attention is always dense.
const LAST: usize = 3;

/// The attention of a block.
#[expect(clippy::large_enum_variant, reason = "one a block: places in a vector, not weights")]
#[derive(Clone, Debug)]
pub(super) enum Look {
    /// To reduced tokens.
    Reduced(ReducedAttention),
    /// To all tokens.
    All(RayAttention),
}

/// What the backward pass needs from the forward pass; the kind that is not used stays empty.
#[derive(Clone, Debug, Default)]
pub(super) struct LookTape {
    pub reduced: ReducedAttentionTape,
    pub all: RayAttentionTape,
}

/// Buffers of both passes, for one thread.
#[derive(Clone, Debug, Default)]
pub(super) struct LookScratch {
    reduced: ReducedAttentionScratch,
    all: RayAttentionScratch,
}

/// What the attentions of `stage` are made of.
pub(crate) fn kinds(config: &PvtConfig, stage: usize) -> (RayAttentionKind, LinearKind) {
    if stage == LAST { Default::default() } else { (config.attention, config.linears) }
}

impl Look {
    /// Registers the parameters under `{name}.`, after the normalisation.
    pub fn build(b: &mut Builder, name: &str, norm: LayerNorm, config: &PvtConfig, stage: usize) -> Self {
        let ((kind, linears), heads) = (kinds(config, stage), HEADS[stage]);
        if let RayAttentionKind::LinearAngular { .. } = kind {
            let names = Names::Paired;
            let shape = BlockShape { width: norm.width, heads, attention_hidden: 0, mlp_ratio: 1, linears, names };
            return Self::All(RayAttention::build(b, name, norm, &shape, kind));
        }
        let reduction = match (config.linear, REDUCTIONS[stage]) {
            (true, _) => Reduction::Pooled,
            (false, 1) => Reduction::None,
            (false, size) => Reduction::Convolved(size),
        };
        let codes = kind == RayAttentionKind::Hamming;
        Self::Reduced(ReducedAttention::build(
            b,
            name,
            norm,
            ReducedAttentionShape { heads, reduction, linears, codes },
        ))
    }

    /// Adds the attention's output to `x` `[images, height, width, C]`.
    pub fn forward(
        &self,
        params: &[f32],
        size: ImageSize,
        x: &mut [f32],
        tape: &mut LookTape,
        scratch: &mut LookScratch,
    ) {
        match self {
            Self::Reduced(layer) => layer.forward(params, size, x, &mut tape.reduced, &mut scratch.reduced),
            Self::All(layer) => layer.forward(params, size.1 * size.2, x, &mut tape.all),
        }
    }

    /// Turns the gradient of the output into that of the input, in place in `dx`.
    pub fn backward(
        &self,
        params: &[f32],
        size: ImageSize,
        tape: &LookTape,
        dx: &mut [f32],
        scratch: &mut LookScratch,
        grads: &mut [f32],
    ) {
        match self {
            Self::Reduced(layer) => layer.backward(params, size, &tape.reduced, dx, &mut scratch.reduced, grads),
            Self::All(layer) => layer.backward(params, size.1 * size.2, &tape.all, dx, &mut scratch.all, grads),
        }
    }
}
