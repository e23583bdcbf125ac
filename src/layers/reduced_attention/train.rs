//! Forward and backward pass in training.

use super::ReducedAttention;
use super::reduction::{ShrinkScratch, ShrinkTape};
use crate::codes::{binarise, straight_through};
use crate::layer_norm::LayerNormTape;
use crate::patch_conv::ImageSize;
use crate::softmax::{softmax_rows, softmax_rows_backward};
use compute::{Isa, Mat, MatMut, Start};

/// What the backward pass needs from the forward pass.
#[derive(Clone, Debug, Default)]
pub struct ReducedAttentionTape {
    /// The normalised input.
    pub(super) norm: LayerNormTape,
    shrink: ShrinkTape,
    /// `[images, tokens, C]`.
    pub(super) q: Vec<f32>,
    /// `[images, keys, 2C]`.
    pub(super) kv: Vec<f32>,
    looks: Looks,
    /// Attention output before the last projection, `[images, tokens, C]`.
    mixed: Vec<f32>,
}

/// How tokens look at keys.
#[derive(Clone, Debug, Default)]
pub(super) struct Looks {
    /// ±1 codes of the queries, and of the keys in rows as those of `kv`; empty without codes.
    codes: [Vec<f32>; 2],
    /// Before the factor a head, `[images, heads, tokens, keys]`.
    scores: Vec<f32>,
    /// Their softmax; rows sum to 1.
    weights: Vec<f32>,
}

/// Buffers of both passes, shared by all layers of a thread.
#[derive(Clone, Debug, Default)]
pub struct ReducedAttentionScratch {
    shrink: ShrinkScratch,
    d_mixed: Vec<f32>,
    d_q: Vec<f32>,
    d_kv: Vec<f32>,
    d_weights: Vec<f32>,
    d_source: Vec<f32>,
    d_norm: Vec<f32>,
}

/// Where the head's part of one image lies among its queries and its keys and values.
#[derive(Clone, Copy)]
struct Place {
    image: usize,
    head: usize,
    tokens: usize,
    keys: usize,
    c: usize,
    d: usize,
}

impl Place {
    /// In rows `[images, tokens, C]`.
    fn query(self) -> usize {
        self.image * self.tokens * self.c + self.head * self.d
    }

    /// In rows `[images, keys, 2C]`: keys (part 0) or values (1).
    fn key(self, part: usize) -> usize {
        (self.image * self.keys * 2 + part) * self.c + self.head * self.d
    }

    /// In maps `[images, heads, tokens, keys]`.
    fn map(self) -> std::ops::Range<usize> {
        let (size, heads) = (self.tokens * self.keys, self.c / self.d);
        let first = (self.image * heads + self.head) * size;
        first..first + size
    }

    fn queries(self, x: &[f32]) -> Mat<'_> {
        Mat::strided(&x[self.query()..], self.tokens, self.d, self.c)
    }

    fn keys(self, x: &[f32], part: usize) -> Mat<'_> {
        Mat::strided(&x[self.key(part)..], self.keys, self.d, 2 * self.c)
    }
}

impl ReducedAttention {
    /// Adds the attention's output to `x` `[images, height, width, C]`.
    pub fn forward(
        &self,
        params: &[f32],
        size: ImageSize,
        x: &mut [f32],
        tape: &mut ReducedAttentionTape,
        scratch: &mut ReducedAttentionScratch,
    ) {
        let ReducedAttentionTape { norm, shrink, q, kv, looks, mixed } = tape;
        self.norm.forward(params, x, norm);
        let source = match &self.shrink {
            None => &norm.y[..],
            Some(layer) => layer.forward(params, size, &norm.y, shrink, &mut scratch.shrink),
        };
        q.resize(x.len(), 0.0);
        mixed.resize(x.len(), 0.0);
        kv.resize(2 * source.len(), 0.0);
        self.q.forward(params, &norm.y, q, false);
        self.kv.forward(params, source, kv, false);
        self.attend(compute::isa(), params, size.0, (q, kv), looks, mixed);
        self.proj.forward(params, mixed, x, true);
    }

    /// Mixes the values of each image, in `kv` `[images, keys, 2C]`, for its queries `q` `[images, tokens, C]`, to `mixed`.
    pub(super) fn attend(
        &self,
        isa: Isa,
        params: &[f32],
        images: usize,
        (q, kv): (&[f32], &[f32]),
        looks: &mut Looks,
        mixed: &mut [f32],
    ) {
        let Looks { codes, scores, weights } = looks;
        let c = self.norm.width;
        let (tokens, keys) = (q.len() / c / images, kv.len() / (2 * c) / images);
        scores.resize(images * self.heads * tokens * keys, 0.0);
        weights.resize(scores.len(), 0.0);
        let [query, key] = match self.codes {
            None => [q, kv],
            Some(_) => {
                for (code, x) in codes.iter_mut().zip([q, kv]) {
                    code.resize(x.len(), 0.0);
                    binarise(isa, x, code);
                }
                [&codes[0][..], &codes[1][..]]
            }
        };
        for at in self.places(images, tokens, keys) {
            let products = self.q.products;
            let (scores, weights) = (&mut scores[at.map()], &mut weights[at.map()]);
            products.matmul(
                1.0,
                at.queries(query),
                at.keys(key, 0).t(),
                MatMut::new(scores, tokens, keys),
                Start::Zero,
            );
            let factor = self.factor(params, at.head);
            weights.iter_mut().zip(&*scores).for_each(|(w, s)| *w = factor * s);
            softmax_rows(isa, weights, keys);
            let out = MatMut::strided(&mut mixed[at.query()..], tokens, at.d, c);
            products.matmul(1.0, Mat::new(weights, tokens, keys), at.keys(kv, 1), out, Start::Zero);
        }
    }

    /// Turns the gradient of the output into that of the input, in place in `dx`. Gradients pass the signs of codes by the
    /// straight-through rule of [`crate::codes`].
    pub fn backward(
        &self,
        params: &[f32],
        size: ImageSize,
        tape: &ReducedAttentionTape,
        dx: &mut [f32],
        scratch: &mut ReducedAttentionScratch,
        grads: &mut [f32],
    ) {
        let isa = compute::isa();
        let ReducedAttentionScratch { shrink, d_mixed, d_q, d_kv, d_weights, d_source, d_norm } = scratch;
        let (c, images, products) = (self.norm.width, size.0, self.q.products);
        let (tokens, keys) = (size.1 * size.2, tape.kv.len() / (2 * c) / images);
        d_mixed.resize(dx.len(), 0.0);
        d_norm.resize(dx.len(), 0.0);
        d_q.resize(dx.len(), 0.0);
        d_kv.resize(tape.kv.len(), 0.0);
        d_weights.resize(tokens * keys, 0.0);
        self.proj.backward(params, &tape.mixed, dx, Some((d_mixed, false)), grads);
        let [query, key] = match self.codes {
            None => [&tape.q[..], &tape.kv[..]],
            Some(_) => [&tape.looks.codes[0][..], &tape.looks.codes[1][..]],
        };
        for at in self.places(images, tokens, keys) {
            let (scores, weights) = (&tape.looks.scores[at.map()], &tape.looks.weights[at.map()]);
            let d_out = at.queries(d_mixed);
            products.matmul(1.0, d_out, at.keys(&tape.kv, 1).t(), MatMut::new(d_weights, tokens, keys), Start::Zero);
            softmax_rows_backward(isa, weights, d_weights, keys);
            let factor = self.factor(params, at.head);
            if let Some(codes) = &self.codes {
                codes.tau.of_mut(grads)[at.head] += scores.iter().zip(&*d_weights).map(|(s, d)| s * d).sum::<f32>();
            }
            let (weights, d_scores) = (Mat::new(weights, tokens, keys), Mat::new(d_weights, tokens, keys));
            let d_query = MatMut::strided(&mut d_q[at.query()..], tokens, at.d, c);
            products.matmul(factor, d_scores, at.keys(key, 0), d_query, Start::Zero);
            let mut into = |scale: f32, a: Mat, b: Mat, part: usize| {
                let out = MatMut::strided(&mut d_kv[at.key(part)..], keys, at.d, 2 * c);
                products.matmul(scale, a, b, out, Start::Zero);
            };
            into(factor, d_scores.t(), at.queries(query), 0);
            into(1.0, weights.t(), d_out, 1);
        }
        if self.codes.is_some() {
            straight_through(isa, &tape.q, d_q);
            for (x, d) in tape.kv.chunks_exact(2 * c).zip(d_kv.chunks_exact_mut(2 * c)) {
                straight_through(isa, &x[..c], &mut d[..c]);
            }
        }
        self.q.backward(params, &tape.norm.y, d_q, Some((d_norm, false)), grads);
        match &self.shrink {
            None => self.kv.backward(params, &tape.norm.y, d_kv, Some((d_norm, true)), grads),
            Some(layer) => {
                d_source.resize(tape.kv.len() / 2, 0.0);
                self.kv.backward(params, layer.output(&tape.shrink), d_kv, Some((d_source, false)), grads);
                layer.backward(params, size, (&tape.norm.y, d_source, d_norm), &tape.shrink, shrink, grads);
            }
        }
        self.norm.backward(params, &tape.norm, d_norm, dx, grads);
    }

    /// Factor on the scores of a head.
    fn factor(&self, params: &[f32], head: usize) -> f32 {
        match &self.codes {
            None => 1.0 / ((self.norm.width / self.heads) as f32).sqrt(),
            Some(codes) => codes.tau.of(params)[head],
        }
    }

    fn places(&self, images: usize, tokens: usize, keys: usize) -> impl Iterator<Item = Place> + use<> {
        let (c, heads) = (self.norm.width, self.heads);
        let all = (0..images).flat_map(move |image| (0..heads).map(move |head| (image, head)));
        all.map(move |(image, head)| Place { image, head, tokens, keys, c, d: c / heads })
    }
}
