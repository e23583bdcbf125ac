//! The subtraction attention in the CPU engine.

use super::SubtractionAttention;
use crate::engine::{GROUP, SharedScratch};
use crate::layer_norm::engine::{Norm, fold_norm};
use crate::linear::LinearKind;
use crate::linear::engine::{Matrix, Precision};
use crate::view_attention::direction::direction_rows;
use crate::view_attention::rows::TokenRows;
use compute::Isa;
use compute::ops::blend_views::{Scratch, Views, blend_views};
use compute::ops::padded;
use compute::ops::product::Epilogue;
use compute::ops::product8::Sign;

/// Packed weights; `C` channels, `H` hidden channels.
#[derive(Clone, Debug)]
pub struct PackedSubtractionAttention {
    norm: Norm,
    /// `[5, H]`: four rows and the bias of the relative direction's layer.
    direction: Vec<f32>,
    /// `H + C → C + H`; here the hidden direction comes before the token.
    mix: Matrix,
    /// `C → H`.
    query: Matrix,
    /// `[H, C]`.
    logits: Vec<f32>,
    /// `C → C`.
    out: Matrix,
    width: usize,
    hidden: usize,
}

/// Buffers of a thread.
#[derive(Clone, Debug, Default)]
pub struct SubtractionBuffers {
    mixed: Vec<f32>,
    query: Vec<f32>,
    relative: Vec<u32>,
    kernel: Scratch,
}

impl PackedSubtractionAttention {
    /// Packs a layer of the folded network, whose weights are dense.
    pub fn new(precision: Precision, layer: &SubtractionAttention, folded: &[f32]) -> Self {
        let (c, h, dense) = (layer.out.inputs, layer.query.outputs, LinearKind::Dense);
        let (tokens, hidden) = layer.mix.weight.of(folded).split_at(c * (c + h));
        let mix = [hidden, tokens].concat();
        // The query is subtracted, so the constant that its normalisation adds is subtracted from the bias.
        let (query, constant) = fold_norm(&layer.norm, &layer.query, folded);
        let mut mix_bias = layer.mix.bias_or_none(folded).to_vec();
        mix_bias[c..].iter_mut().zip(&constant).for_each(|(b, q)| *b -= q);
        Self {
            norm: Norm::folded(&layer.norm),
            direction: direction_rows(&layer.direction, folded),
            mix: Matrix::new(precision, dense, &mix, Some(&mix_bias), h + c, c + h),
            query: Matrix::new(precision, dense, &query, None, c, h),
            logits: layer.logits.weight.of(folded).to_vec(),
            out: Matrix::of(precision, dense, &layer.out, folded),
            width: c,
            hidden: h,
        }
    }

    /// Adds the attention's output to the ray's states `q` `[samples, C]`.
    pub fn apply(
        &self,
        isa: Isa,
        rows: &mut TokenRows,
        q: &mut [f32],
        shared: &mut SharedScratch,
        buffers: &mut SubtractionBuffers,
    ) {
        let (c, h) = (self.width, self.hidden);
        let SharedScratch { normal, wide, bytes } = shared;
        let SubtractionBuffers { mixed, query, relative, kernel } = buffers;
        let samples = q.len() / c;
        self.norm.apply(isa, q, c, normal);
        query.resize(samples * padded(h), 0.0);
        let out = (&mut query[..], padded(h));
        self.query.apply(isa, samples, (normal, c, Sign::Signed), bytes, out, Epilogue::Store);
        let blended = &mut wide[..samples * c];
        let stride = padded(c + h);
        for (s, end) in rows.groups(GROUP) {
            let (from, to) = (rows.first[s] as usize, rows.first[end] as usize);
            rows.set_direction(isa, from, to, &self.direction);
            mixed.resize(mixed.len().max((to - from) * stride), 0.0);
            let x = (&rows.values[from * rows.stride..], rows.stride, Sign::Signed);
            self.mix.apply(isa, to - from, x, bytes, (mixed, stride), Epilogue::Store);
            relative.clear();
            relative.extend(rows.first[s..=end].iter().map(|r| r - from as u32));
            let views = Views {
                rows: relative,
                uniform: &rows.uniform[s..end],
                mixed,
                mixed_stride: stride,
                query: &query[s * padded(h)..],
                weight: &self.logits,
                width: c,
                hidden: h,
            };
            blend_views(isa, views, kernel, &mut blended[s * c..]);
        }
        self.out.apply(isa, samples, (blended, c, Sign::Signed), bytes, (q, c), Epilogue::Add);
    }
}
