//! The Hamming view attention in the CPU engine, where codes are bits.

use super::HammingViewAttention;
use crate::engine::{GROUP, SharedScratch};
use crate::layer_norm::engine::Norm;
use crate::linear::LinearKind;
use crate::linear::engine::{Matrix, Precision};
use crate::view_attention::direction::direction_rows;
use crate::view_attention::rows::TokenRows;
use compute::Isa;
use compute::ops::hamming::{CodeViews, ViewScratch, blend_codes, pack_signs, words};
use compute::ops::padded;
use compute::ops::product::Epilogue;
use compute::ops::product8::{Rows8, Sign};

/// Packed weights; `C` channels, `H` hidden channels, heads of `d` channels.
#[derive(Clone, Debug)]
pub struct PackedHammingViewAttention {
    norm: Norm,
    /// `[5, H]`: four rows and the bias of the relative direction's layer.
    direction: Vec<f32>,
    query: Matrix,
    /// `C → C`, for the tokens of the feature map.
    key: Matrix,
    /// `[H, heads]`.
    bias: Vec<f32>,
    /// `H + C → d` of each head; here the hidden direction comes before the token.
    value: Vec<Matrix>,
    tau: Vec<f32>,
    out: Matrix,
    width: usize,
    hidden: usize,
    /// This block's first word in a row of key codes.
    first_word: usize,
}

/// Buffers of a thread.
#[derive(Clone, Debug, Default)]
pub struct HammingViewBuffers {
    query: Vec<f32>,
    codes: Vec<u64>,
    relative: Vec<u32>,
    bias: Vec<f32>,
    blended: Vec<f32>,
    head: Vec<f32>,
    scratch: ViewScratch,
    bytes: Rows8,
}

impl PackedHammingViewAttention {
    /// Packs a layer of the folded network; `block` counts the blocks before it.
    pub fn new(
        precision: Precision,
        kind: LinearKind,
        layer: &HammingViewAttention,
        folded: &[f32],
        block: usize,
    ) -> Self {
        let (c, h, d) = (layer.out.inputs, layer.direction.outputs, layer.out.inputs / layer.heads);
        let (tokens, hidden) = layer.value.weight.of(folded).split_at(c * c);
        let value = [hidden, tokens].concat();
        let head = |head: usize| {
            let part: Vec<f32> = value.chunks_exact(c).flat_map(|row| row[head * d..][..d].to_vec()).collect();
            Matrix::new(precision, kind, &part, None, h + c, d)
        };
        let (norm, query) = Norm::with_layer(precision, kind, &layer.norm, &layer.query, folded);
        Self {
            norm,
            direction: direction_rows(&layer.direction, folded),
            query,
            // Keys are made once a source view: exact weights and activations cost nothing there.
            key: Matrix::of(Precision::F32, kind, &layer.key, folded),
            bias: layer.bias.weight.of(folded).to_vec(),
            value: (0..layer.heads).map(head).collect(),
            tau: layer.tau.of(folded).to_vec(),
            out: Matrix::of(precision, kind, &layer.out, folded),
            width: c,
            hidden: h,
            first_word: block * words(c),
        }
    }

    /// Words of the code of one key.
    pub fn key_words(&self) -> usize {
        words(self.width)
    }

    /// Writes the codes of the keys of tokens `[rows, C]` to this block's words of `keys` `[rows, all words]`.
    pub fn key_codes(&self, isa: Isa, tokens: &[f32], buffers: &mut HammingViewBuffers, keys: &mut [u64]) {
        let (c, word) = (self.width, self.key_words());
        let rows = tokens.len() / c;
        let HammingViewBuffers { query: key, codes, bytes, .. } = buffers;
        key.resize(rows * c, 0.0);
        codes.resize(rows * word, 0);
        self.key.apply(isa, rows, (tokens, c, Sign::Signed), bytes, (key, c), Epilogue::Store);
        pack_signs(isa, rows, key, c, c, codes);
        let all_words = keys.len() / rows;
        for (row, code) in codes.chunks_exact(word).enumerate() {
            keys[row * all_words + self.first_word..][..word].copy_from_slice(code);
        }
    }

    /// Adds the attention's output to the ray's states `q` `[samples, C]`.
    pub fn apply(
        &self,
        isa: Isa,
        rows: &mut TokenRows,
        q: &mut [f32],
        shared: &mut SharedScratch,
        buffers: &mut HammingViewBuffers,
    ) {
        let (c, h, heads) = (self.width, self.hidden, self.tau.len());
        let SharedScratch { normal, wide, bytes } = shared;
        let HammingViewBuffers { query, relative, codes, bias, blended, head, scratch, .. } = buffers;
        let (samples, d, code) = (q.len() / c, c / heads, self.key_words());
        self.norm.apply(isa, q, c, normal);
        query.resize(samples * c, 0.0);
        self.query.apply(isa, samples, (normal, c, Sign::Signed), bytes, (query, c), Epilogue::Store);
        codes.resize(samples * code, 0);
        pack_signs(isa, samples, query, c, c, codes);
        let width = padded(h + c);
        blended.resize(samples * heads * width, 0.0);
        let key_stride = rows.key_words;
        for (s, end) in rows.groups(GROUP) {
            let (from, to) = (rows.first[s] as usize, rows.first[end] as usize);
            bias.resize(bias.len().max((to - from) * heads), 0.0);
            rows.set_direction_and_bias(isa, from, to, &self.direction, &self.bias, bias);
            let values = &rows.values[from * rows.stride..];
            relative.clear();
            relative.extend(rows.first[s..=end].iter().map(|r| r - from as u32));
            let views = CodeViews {
                rows: relative,
                uniform: &rows.uniform[s..end],
                query: &codes[s * code..],
                keys: &rows.keys[(from * key_stride + self.first_word).min(rows.keys.len())..],
                key_stride,
                bias,
                bias_stride: heads,
                values,
                value_stride: rows.stride,
                width: h + c,
                channels: c,
                heads,
                tau: &self.tau,
            };
            blend_codes(isa, views, scratch, &mut blended[s * heads * width..]);
        }
        // Head after head: each reads its own blend and writes its own channels.
        let mixed = &mut wide[..samples * c];
        head.resize(samples * padded(d), 0.0);
        for (i, value) in self.value.iter().enumerate() {
            let x = (&blended[i * width..], heads * width, Sign::Signed);
            if d == padded(d) {
                value.apply(isa, samples, x, bytes, (&mut mixed[i * d..], c), Epilogue::Store);
                continue;
            }
            value.apply(isa, samples, x, bytes, (head, padded(d)), Epilogue::Store);
            for (out, row) in mixed.chunks_exact_mut(c).zip(head.chunks_exact(padded(d))) {
                out[i * d..][..d].copy_from_slice(&row[..d]);
            }
        }
        self.out.apply(isa, samples, (mixed, c, Sign::Signed), bytes, (q, c), Epilogue::Add);
    }
}
