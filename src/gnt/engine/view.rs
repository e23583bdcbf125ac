//! Attention of each sample over the source views that see it.

use super::linear::{Matrix, Norm, Precision, with_norm};
use super::ray::{GROUP, RayScratch};
use super::weights::bias;
use crate::Config;
use crate::network::parameters::ViewLayer;
use layers::hamming_view_attention::HammingViewAttention;
use layers::view_attention::ViewAttention;
use tensor::Level;
use tensor::ops::blend_views::{Views, blend_views};
use tensor::ops::hamming::{CodeViews, ViewScratch, blend_codes, pack_signs, words};
use tensor::ops::padded;
use tensor::ops::product::Epilogue;
use tensor::ops::product8::{Rows8, Sign};

/// Weights of an attention over views.
#[derive(Clone, Debug)]
pub enum View {
    /// By subtraction.
    Subtract(SubtractWeights),
    /// On codes.
    Hamming(HammingWeights),
}

/// Weights of the attention by subtraction.
#[derive(Clone, Debug)]
pub struct SubtractWeights {
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
}

/// Weights of the attention on codes.
#[derive(Clone, Debug)]
pub struct HammingWeights {
    norm: Norm,
    /// `[5, H]`, as in [`SubtractWeights`].
    direction: Vec<f32>,
    query: Matrix,
    /// `C → C`, for the tokens of the feature map.
    pub key: Matrix,
    /// `[H, heads]`.
    bias: Vec<f32>,
    /// `H + C → d` of each head; here the hidden direction comes before the token.
    value: Vec<Matrix>,
    tau: Vec<f32>,
    out: Matrix,
}

/// Buffers of a thread.
#[derive(Clone, Debug, Default)]
pub struct ViewBuffers {
    mixed: Vec<f32>,
    query: Vec<f32>,
    hidden: Vec<f32>,
    logits: Vec<f32>,
    relative: Vec<u32>,
    bytes: Rows8,
    codes: Vec<u64>,
    bias: Vec<f32>,
    blended: Vec<f32>,
    head: Vec<f32>,
    scratch: ViewScratch,
}

impl View {
    /// Packs a layer of the folded network.
    pub fn new(precision: Precision, config: &Config, layer: &ViewLayer, folded: &[f32]) -> Self {
        match layer {
            ViewLayer::Subtract(view) => Self::Subtract(SubtractWeights::new(precision, view, folded)),
            ViewLayer::Hamming(view) => {
                let shift = config.linears != crate::Weights::Dense;
                Self::Hamming(HammingWeights::new(precision, shift, view, folded))
            }
        }
    }

    /// Adds the attention's output to the ray's states; `block` counts the blocks before this one.
    pub fn apply(&self, level: Level, config: &Config, block: usize, scratch: &mut RayScratch) {
        match self {
            Self::Subtract(weights) => weights.apply(level, config, scratch),
            Self::Hamming(weights) => weights.apply(level, config, block, scratch),
        }
    }
}

impl SubtractWeights {
    fn new(precision: Precision, view: &ViewAttention, folded: &[f32]) -> Self {
        let (c, h) = (view.out.inputs, view.query.outputs);
        let (tokens, hidden) = view.mix.weight.of(folded).split_at(c * (c + h));
        let mix = [hidden, tokens].concat();
        // The query is subtracted, so the constant that its normalisation adds is subtracted from the bias.
        let (query, constant) = with_norm(&view.norm, &view.query, folded);
        let mut mix_bias = bias(&view.mix, folded).to_vec();
        mix_bias[c..].iter_mut().zip(&constant).for_each(|(b, q)| *b -= q);
        Self {
            norm: Norm::folded(&view.norm),
            direction: direction(&view.direction, folded),
            mix: Matrix::new(precision, false, &mix, Some(&mix_bias), h + c, c + h),
            query: Matrix::new(precision, false, &query, None, c, h),
            logits: view.logits.weight.of(folded).to_vec(),
            out: Matrix::of(precision, false, &view.out, folded),
        }
    }

    fn apply(&self, level: Level, config: &Config, scratch: &mut RayScratch) {
        let Config { width: c, attention_hidden: h, .. } = *config;
        let RayScratch { rows, q, normal, wide, view, .. } = scratch;
        let ViewBuffers { mixed, query, hidden, logits, relative, bytes, .. } = view;
        let samples = q.len() / c;
        self.norm.apply(level, q, c, normal);
        query.resize(samples * padded(h), 0.0);
        let out = (&mut query[..], padded(h));
        self.query.apply(level, samples, (normal, c, Sign::Signed), bytes, out, Epilogue::Store);
        let blended = &mut wide[..samples * c];
        let stride = padded(c + h);
        for (s, end) in rows.groups(GROUP) {
            let (from, to) = (rows.first[s] as usize, rows.first[end] as usize);
            rows.set_direction(from, to, h, &self.direction);
            mixed.resize(mixed.len().max((to - from) * stride), 0.0);
            let x = (&rows.values[from * rows.stride..], rows.stride, Sign::Signed);
            self.mix.apply(level, to - from, x, bytes, (mixed, stride), Epilogue::Store);
            relative.clear();
            relative.extend(rows.first[s..=end].iter().map(|r| r - from as u32));
            let views = Views {
                rows: relative,
                uniform: &rows.uniform[s..end],
                mixed,
                mixed_stride: stride,
                query: &query[s * padded(h)..],
            };
            blend_views(level, views, &self.logits, c, h, hidden, logits, &mut blended[s * c..]);
        }
        self.out.apply(level, samples, (blended, c, Sign::Signed), bytes, (q, c), Epilogue::Add);
    }
}

impl HammingWeights {
    fn new(precision: Precision, shift: bool, view: &HammingViewAttention, folded: &[f32]) -> Self {
        let (c, h, d) = (view.out.inputs, view.direction.outputs, view.out.inputs / view.heads);
        let (tokens, hidden) = view.value.weight.of(folded).split_at(c * c);
        let value = [hidden, tokens].concat();
        let head = |head: usize| {
            let part: Vec<f32> = value.chunks_exact(c).flat_map(|row| row[head * d..][..d].to_vec()).collect();
            Matrix::new(precision, shift, &part, None, h + c, d)
        };
        let (norm, query) = super::linear::normed(precision, shift, &view.norm, &view.query, folded);
        Self {
            norm,
            direction: direction(&view.direction, folded),
            query,
            // Keys are made once a source view: exact weights and activations cost nothing there.
            key: Matrix::of(Precision::F32, shift, &view.key, folded),
            bias: view.bias.weight.of(folded).to_vec(),
            value: (0..view.heads).map(head).collect(),
            tau: view.tau.of(folded).to_vec(),
            out: Matrix::of(precision, shift, &view.out, folded),
        }
    }

    fn apply(&self, level: Level, config: &Config, block: usize, scratch: &mut RayScratch) {
        let Config { width: c, attention_hidden: h, heads, .. } = *config;
        let RayScratch { rows, q, normal, wide, view, .. } = scratch;
        let ViewBuffers { query, relative, bytes, codes, bias, blended, head, scratch, .. } = view;
        let (samples, d, code) = (q.len() / c, c / heads, words(c));
        self.norm.apply(level, q, c, normal);
        query.resize(samples * c, 0.0);
        self.query.apply(level, samples, (normal, c, Sign::Signed), bytes, (query, c), Epilogue::Store);
        codes.resize(samples * code, 0);
        pack_signs(level, samples, query, c, c, codes);
        let width = padded(h + c);
        blended.resize(samples * heads * width, 0.0);
        let key_stride = rows.key_words;
        for (s, end) in rows.groups(GROUP) {
            let (from, to) = (rows.first[s] as usize, rows.first[end] as usize);
            bias.resize(bias.len().max((to - from) * heads), 0.0);
            rows.set_direction_and_bias(from, to, h, &self.direction, &self.bias, bias);
            let values = &rows.values[from * rows.stride..];
            relative.clear();
            relative.extend(rows.first[s..=end].iter().map(|r| r - from as u32));
            let views = CodeViews {
                rows: relative,
                uniform: &rows.uniform[s..end],
                query: &codes[s * code..],
                keys: &rows.keys[(from * key_stride + block * code).min(rows.keys.len())..],
                key_stride,
                bias,
                bias_stride: heads,
                values,
                value_stride: rows.stride,
                width: h + c,
            };
            blend_codes(level, views, c, heads, &self.tau, scratch, &mut blended[s * heads * width..]);
        }
        // Head after head: each reads its own blend and writes its own channels.
        let mixed = &mut wide[..samples * c];
        head.resize(samples * padded(d), 0.0);
        for (i, value) in self.value.iter().enumerate() {
            let x = (&blended[i * width..], heads * width, Sign::Signed);
            if d == padded(d) {
                value.apply(level, samples, x, bytes, (&mut mixed[i * d..], c), Epilogue::Store);
                continue;
            }
            value.apply(level, samples, x, bytes, (head, padded(d)), Epilogue::Store);
            for (out, row) in mixed.chunks_exact_mut(c).zip(head.chunks_exact(padded(d))) {
                out[i * d..][..d].copy_from_slice(&row[..d]);
            }
        }
        self.out.apply(level, samples, (mixed, c, Sign::Signed), bytes, (q, c), Epilogue::Add);
    }
}

/// `[5, H]`: rows and bias of a relative direction's layer.
fn direction(layer: &layers::linear::Linear, folded: &[f32]) -> Vec<f32> {
    [layer.weight.of(folded), bias(layer, folded)].concat()
}
