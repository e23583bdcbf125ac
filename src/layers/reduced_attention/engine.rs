//! Attention of tokens to fewer tokens in the CPU engine: its linear layers are packed, the attention is that of training,
//! where codes are numbers of ±1.

use super::reduction::pool;
use super::train::Looks;
use super::{POOLED, ReducedAttention};
use crate::gelu::gelu;
use crate::layer_norm::engine::Norm;
use crate::linear::LinearKind;
use crate::linear::engine::{LinearBuffers, PackedLinear, Precision};
use crate::patch_conv::engine::{PackedPatchConv, PatchConvBuffers};
use compute::Isa;
use compute::ops::product::Epilogue;
use compute::ops::product8::Sign;

/// A packed attention.
#[derive(Clone, Debug)]
pub struct PackedReducedAttention {
    layer: ReducedAttention,
    norm: Norm,
    q: PackedLinear,
    kv: PackedLinear,
    proj: PackedLinear,
    shrink: Option<(PackedPatchConv, Norm)>,
}

/// Buffers of a thread.
#[derive(Clone, Debug, Default)]
pub struct ReducedAttentionBuffers {
    normal: Vec<f32>,
    pooled: Vec<f32>,
    small: Vec<f32>,
    source: Vec<f32>,
    q: Vec<f32>,
    kv: Vec<f32>,
    looks: Looks,
    mixed: Vec<f32>,
    conv: PatchConvBuffers,
    linear: LinearBuffers,
}

impl PackedReducedAttention {
    /// Packs a layer of the folded network, whose linear layers have weights of `kind`.
    pub fn new(precision: Precision, kind: LinearKind, layer: &ReducedAttention, folded: &[f32]) -> Self {
        let linear = |layer| PackedLinear::new(precision, kind, layer, folded, Sign::Signed);
        let shrink = layer.shrink.as_ref().map(|shrink| {
            let conv = PackedPatchConv::new(precision, &shrink.conv, folded, Sign::Signed);
            (conv, Norm::apart(&shrink.norm, folded))
        });
        let (q, kv, proj) = (linear(&layer.q), linear(&layer.kv), linear(&layer.proj));
        Self { layer: *layer, norm: Norm::apart(&layer.norm, folded), q, kv, proj, shrink }
    }

    /// Adds the attention's output to the tokens `x` `[height, width, C]` of one image; factors of codes are read from
    /// `folded`.
    pub fn apply(
        &self,
        isa: Isa,
        folded: &[f32],
        (height, width): (usize, usize),
        x: &mut [f32],
        buffers: &mut ReducedAttentionBuffers,
    ) {
        let ReducedAttentionBuffers { normal, pooled, small, source, q, kv, looks, mixed, conv, linear } = buffers;
        let (c, tokens) = (self.layer.norm.width, height * width);
        normal.resize(x.len(), 0.0);
        self.norm.apply(isa, x, c, normal);
        let source = match &self.shrink {
            None => &*normal,
            Some((shrink, after)) => {
                let is_pooled = self.layer.shrink.is_some_and(|shrink| shrink.pooled);
                if is_pooled {
                    pool((1, height, width), c, normal, pooled);
                    shrink.apply(isa, (POOLED, POOLED), pooled, small, conv);
                } else {
                    shrink.apply(isa, (height, width), normal, small, conv);
                }
                source.resize(small.len(), 0.0);
                after.apply(isa, small, c, source);
                if is_pooled {
                    small.clone_from(source);
                    gelu(isa, small, source);
                }
                &*source
            }
        };
        let keys = source.len() / c;
        q.resize(tokens * c, 0.0);
        mixed.resize(tokens * c, 0.0);
        kv.resize(keys * 2 * c, 0.0);
        self.q.apply(isa, tokens, normal, linear, q, Epilogue::Store);
        self.kv.apply(isa, keys, source, linear, kv, Epilogue::Store);
        self.layer.attend(isa, folded, 1, (q, kv), looks, mixed);
        self.proj.apply(isa, tokens, mixed, linear, x, Epilogue::Add);
    }
}
