//! Forward and backward pass of the linear-angular attention in training.

use super::{LinearAngularAttention, NORM_EPS, REACH, TAPS};
use crate::codes::{binarise, straight_through};
use crate::layer_norm::LayerNormTape;
use compute::{Isa, Mat, MatMut, matmul};
use std::f32::consts::FRAC_1_PI;

/// What the backward pass needs from the forward pass.
#[derive(Clone, Debug, Default)]
pub struct LinearAngularAttentionTape {
    norm: LayerNormTape,
    /// `[rows, 3·width]`, before the codes are taken.
    pub qkv: Vec<f32>,
    /// Codes of queries and keys as 0 and 1, `[rows, 2·width]`.
    pub codes: Vec<f32>,
    /// `b(K)ᵀ V`, `[rays, heads, d, d]`.
    sums: Vec<f32>,
    /// `Z / ‖Z‖`, `[rows, width]`.
    unit: Vec<f32>,
    /// `1 / ‖Z‖`, `[rows, heads]`.
    scale: Vec<f32>,
    /// Input of the last projection, `[rows, width]`.
    pub mixed: Vec<f32>,
}

/// Buffers of the backward pass, shared by all blocks of a thread.
#[derive(Clone, Debug, Default)]
pub struct LinearAngularAttentionScratch {
    d_mixed: Vec<f32>,
    d_z: Vec<f32>,
    d_sums: Vec<f32>,
    d_qkv: Vec<f32>,
    d_norm: Vec<f32>,
}

impl LinearAngularAttention {
    /// Adds the block's output to `x` `[rays, samples, width]`.
    pub fn forward(&self, params: &[f32], samples: usize, x: &mut [f32], tape: &mut LinearAngularAttentionTape) {
        let c = self.out.inputs;
        let rows = x.len() / c;
        assert!(samples > 0 && rows * c == x.len() && rows.is_multiple_of(samples), "{rows} rows, {samples} samples");
        self.norm.forward(params, x, &mut tape.norm);
        tape.qkv.resize(rows * 3 * c, 0.0);
        self.qkv.forward(params, &tape.norm.y, &mut tape.qkv, false);
        attend(compute::isa(), samples, self.heads, self.filter.map(|f| f.of(params)), c, tape);
        self.out.forward(params, &tape.mixed, x, true);
    }

    /// Turns the gradient of the output into that of the input, in place in `dx` `[rays, samples, width]`.
    ///
    /// Gradients pass the codes by the straight-through rule of [`crate::codes`]; a code of zeros and ones is
    /// `(±1 + 1) / 2`, so queries and keys get half of the codes' gradient.
    pub fn backward(
        &self,
        params: &[f32],
        samples: usize,
        tape: &LinearAngularAttentionTape,
        dx: &mut [f32],
        scratch: &mut LinearAngularAttentionScratch,
        grads: &mut [f32],
    ) {
        let isa = compute::isa();
        let (c, d) = (self.out.inputs, self.out.inputs / self.heads);
        scratch.d_mixed.resize(dx.len(), 0.0);
        scratch.d_z.resize(dx.len(), 0.0);
        scratch.d_norm.resize(dx.len(), 0.0);
        scratch.d_qkv.resize(tape.qkv.len(), 0.0);
        scratch.d_sums.resize(d * d, 0.0);
        self.out.backward(params, &tape.mixed, dx, Some((&mut scratch.d_mixed, false)), grads);
        normalise_backward(isa, &tape.unit, &tape.scale, &scratch.d_mixed, d, &mut scratch.d_z);
        for (i, sums) in tape.sums.chunks_exact(d * d).enumerate() {
            let (ray, head) = (i / self.heads, i % self.heads);
            let at = Place::new(ray * samples, head, c, d);
            let value = Mat::strided(&tape.qkv[at.qkv(2)..], samples, d, 3 * c);
            let code = |part: usize| Mat::strided(&tape.codes[at.code(part)..], samples, d, 2 * c);
            let d_z = Mat::strided(&scratch.d_z[at.mixed()..], samples, d, c);
            matmul(FRAC_1_PI, code(0).t(), d_z, MatMut::new(&mut scratch.d_sums, d, d), false);
            let d_sums = Mat::new(&scratch.d_sums, d, d);
            let mut product = |alpha: f32, a: Mat, b: Mat, part: usize| {
                let d_part = MatMut::strided(&mut scratch.d_qkv[at.qkv(part)..], samples, d, 3 * c);
                matmul(alpha, a, b, d_part, false);
            };
            product(0.5 * FRAC_1_PI, d_z, Mat::new(sums, d, d).t(), 0);
            product(0.5, value, d_sums.t(), 1);
            product(1.0, code(1), d_sums, 2);
        }
        let rows = tape.qkv.chunks_exact(3 * c).zip(scratch.d_qkv.chunks_exact_mut(3 * c));
        for ((qkv, d_qkv), d_z) in rows.zip(scratch.d_z.chunks_exact(c)) {
            straight_through(isa, &qkv[..2 * c], &mut d_qkv[..2 * c]);
            d_qkv[2 * c..].iter_mut().zip(d_z).for_each(|(d, z)| *d += 0.5 * z);
        }
        if let Some(filter) = self.filter {
            let (taps, d_taps) = (filter.of(params), filter.of_mut(grads));
            filter_backward(isa, &tape.qkv, taps, samples, c, &scratch.d_mixed, &mut scratch.d_qkv, d_taps);
        }
        self.qkv.backward(params, &tape.norm.y, &scratch.d_qkv, Some((&mut scratch.d_norm, false)), grads);
        self.norm.backward(params, &tape.norm, &scratch.d_norm, dx, grads);
    }
}

/// The attention itself, from `tape.qkv` `[rays · samples, 3 · c]` to `tape.mixed` `[rays · samples, c]`; `filter` is
/// `[heads, 9]`.
pub fn attend(
    isa: Isa,
    samples: usize,
    heads: usize,
    filter: Option<&[f32]>,
    c: usize,
    tape: &mut LinearAngularAttentionTape,
) {
    let (d, rows) = (c / heads, tape.qkv.len() / (3 * c));
    tape.codes.resize(rows * 2 * c, 0.0);
    tape.sums.resize(rows / samples * heads * d * d, 0.0);
    tape.unit.resize(rows * c, 0.0);
    tape.scale.resize(rows * heads, 0.0);
    tape.mixed.resize(rows * c, 0.0);
    for (qkv, code) in tape.qkv.chunks_exact(3 * c).zip(tape.codes.chunks_exact_mut(2 * c)) {
        binarise(isa, &qkv[..2 * c], code);
        code.iter_mut().for_each(|b| *b = (*b + 1.0) * 0.5);
    }
    for (i, sums) in tape.sums.chunks_exact_mut(d * d).enumerate() {
        let (ray, head) = (i / heads, i % heads);
        let at = Place::new(ray * samples, head, c, d);
        let value = Mat::strided(&tape.qkv[at.qkv(2)..], samples, d, 3 * c);
        let code = |part: usize| Mat::strided(&tape.codes[at.code(part)..], samples, d, 2 * c);
        matmul(1.0, code(1).t(), value, MatMut::new(sums, d, d), false);
        let z = &mut tape.unit[at.mixed()..];
        matmul(FRAC_1_PI, code(0), Mat::new(sums, d, d), MatMut::strided(z, samples, d, c), false);
    }
    add_own_and_normalise(isa, &tape.qkv, c, d, &mut tape.unit, &mut tape.scale);
    tape.mixed.copy_from_slice(&tape.unit);
    if let Some(filter) = filter {
        add_filtered(isa, &tape.qkv, filter, samples, c, &mut tape.mixed);
    }
}

/// Where a head's channels of one ray start.
#[derive(Clone, Copy)]
struct Place {
    row: usize,
    channel: usize,
    width: usize,
}

impl Place {
    fn new(row: usize, head: usize, width: usize, d: usize) -> Self {
        Self { row, channel: head * d, width }
    }

    /// In rows of queries (part 0), keys (1) and values (2).
    fn qkv(self, part: usize) -> usize {
        (self.row * 3 + part) * self.width + self.channel
    }

    /// In rows of codes of queries (part 0) and keys (1).
    fn code(self, part: usize) -> usize {
        (self.row * 2 + part) * self.width + self.channel
    }

    /// In rows of outputs.
    fn mixed(self) -> usize {
        self.row * self.width + self.channel
    }
}

compute::simd_fn! {
    /// Adds half of each value to `z` `[rows, width]` and scales every head's part to length 1; `scale` gets the
    /// factors.
    fn add_own_and_normalise(isa: Isa, qkv: &[f32], width: usize, d: usize, z: &mut [f32], scale: &mut [f32]) {
        let rows = qkv.chunks_exact(3 * width).zip(z.chunks_exact_mut(width)).zip(scale.chunks_exact_mut(width / d));
        for ((qkv, z), scale) in rows {
            for ((value, z), scale) in qkv[2 * width..].chunks_exact(d).zip(z.chunks_exact_mut(d)).zip(scale) {
                let mut square = NORM_EPS;
                for (z, v) in z.iter_mut().zip(value) {
                    *z += 0.5 * v;
                    square += *z * *z;
                }
                *scale = 1.0 / square.sqrt();
                z.iter_mut().for_each(|z| *z *= *scale);
            }
        }
    }
}

compute::simd_fn! {
    /// Gradient of the unnormalised rows: `(dy − y (y · dy)) / ‖Z‖` in every head.
    fn normalise_backward(isa: Isa, y: &[f32], scale: &[f32], dy: &[f32], d: usize, dz: &mut [f32]) {
        let parts = y.chunks_exact(d).zip(dy.chunks_exact(d)).zip(dz.chunks_exact_mut(d));
        for (((y, dy), dz), scale) in parts.zip(scale) {
            let dot = y.iter().zip(dy).map(|(y, d)| y * d).sum::<f32>();
            for ((dz, d), y) in dz.iter_mut().zip(dy).zip(y) {
                *dz = (d - y * dot) * scale;
            }
        }
    }
}

/// Taps that stay on the ray of a row, each with the row that it reads.
#[inline(always)]
fn reached(row: usize, samples: usize) -> impl Iterator<Item = (usize, usize)> {
    let i = row % samples;
    (REACH.saturating_sub(i)..TAPS.min(samples + REACH - i)).map(move |tap| (tap, row + tap - REACH))
}

compute::simd_fn! {
    /// `mixed += filter ∗ values` along the samples of every ray; a correlation, as convolution layers have it.
    fn add_filtered(isa: Isa, qkv: &[f32], taps: &[f32], samples: usize, width: usize, mixed: &mut [f32]) {
        let d = width * TAPS / taps.len();
        for (row, mixed) in mixed.chunks_exact_mut(width).enumerate() {
            for (tap, source) in reached(row, samples) {
                let value = &qkv[(source * 3 + 2) * width..][..width];
                let heads = mixed.chunks_exact_mut(d).zip(value.chunks_exact(d)).zip(taps.chunks_exact(TAPS));
                for ((mixed, value), taps) in heads {
                    mixed.iter_mut().zip(value).for_each(|(m, v)| *m += taps[tap] * v);
                }
            }
        }
    }
}

compute::simd_fn! {
    /// Adds the gradients of values and taps.
    fn filter_backward(
        isa: Isa, qkv: &[f32], taps: &[f32], samples: usize, width: usize, d_mixed: &[f32], d_qkv: &mut [f32],
        d_taps: &mut [f32],
    ) {
        let d = width * TAPS / taps.len();
        for (row, d_mixed) in d_mixed.chunks_exact(width).enumerate() {
            for (tap, source) in reached(row, samples) {
                let at = (source * 3 + 2) * width;
                for (head, d_mixed) in d_mixed.chunks_exact(d).enumerate() {
                    let value = &qkv[at + head * d..][..d];
                    let d_value = &mut d_qkv[at + head * d..][..d];
                    let weight = taps[head * TAPS + tap];
                    let mut dot = 0.0;
                    for ((dv, v), dm) in d_value.iter_mut().zip(value).zip(d_mixed) {
                        *dv += weight * dm;
                        dot += v * dm;
                    }
                    d_taps[head * TAPS + tap] += dot;
                }
            }
        }
    }
}
