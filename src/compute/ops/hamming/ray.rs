//! Self-attention over the samples of one ray whose queries and keys are codes.

use super::codes::{field, hamming, words};
use super::powers::Powers;
use super::weigh::{BLOCK, Keys, Weighing};
use super::{MOST_TAU, channels};
use crate::Isa;
use crate::ops::padded;
use crate::ops::product::{Epilogue, Packed, product};

/// Queries handled together: their weights stay in the first-level cache.
const QUERIES: usize = 24;

/// Scratch of [`attend_ray_codes`].
#[derive(Clone, Debug)]
pub struct RayScratch {
    keys: Keys,
    values: Packed,
    queries: Vec<u64>,
    weights: Vec<f32>,
    mixed: Vec<f32>,
    sums: Vec<f32>,
}

impl RayScratch {
    /// Scratch for rays of up to `samples` samples and heads of `d` channels.
    pub fn new(samples: usize, d: usize) -> Self {
        Self {
            keys: Keys::default(),
            values: Packed::room(samples, d),
            queries: Vec::with_capacity(QUERIES),
            weights: vec![0.0; QUERIES * samples.next_multiple_of(BLOCK)],
            mixed: vec![0.0; QUERIES * padded(d)],
            sums: vec![0.0; QUERIES],
        }
    }
}

/// The samples of one ray, queries and keys as codes (see [`super::pack_signs`]).
#[derive(Clone, Copy, Debug)]
pub struct RayCodes<'a> {
    /// `[samples, words(width)]`; head `h` has bits `h·d .. (h+1)·d`, `d = width / heads`.
    pub query: &'a [u64],
    /// As `query`.
    pub key: &'a [u64],
    /// `[samples, width]`, rows `stride` apart.
    pub value: &'a [f32],
    /// Distance between rows of `value`.
    pub stride: usize,
    /// Number of samples.
    pub samples: usize,
    /// Channels of all heads together.
    pub width: usize,
    /// Number of heads.
    pub heads: usize,
    /// `[heads]`: the factor on each head's scores. Any number is possible; a negative one prefers unlike codes.
    pub tau: &'a [f32],
}

/// Multi-head attention whose score of a query and a key is `τ·(d − 2·hamming)`, the product of their ±1 codes times
/// the head's factor: `y_i = Σ_j softmax_j(score_ij)·v_j`.
///
/// # Shapes
/// - `y`: `[samples, width]`
/// - `first_row`: where given, receives the attention row of the first (nearest) sample, averaged over heads
///
/// # Panics
/// If sizes disagree or heads have more than 64 channels.
// Powers looked up in registers, then an `f32` product with the values. With 64 channels and 4 heads on one AVX2 core
// (Zen 3, other work running, best of 200), for 48, 64 and 192 samples: 7.7, 12.4 and 88 us; `attend_ray` 16, 27 and
// 199 us; `bucketed` 85, 144 and 1113 us. Most of what is left is the product with the values, which
// `attend_ray_codes8` does in bytes, at an error of up to half a 255th of the largest weight in each weight.
pub fn attend_ray_codes(
    isa: Isa,
    ray: RayCodes,
    scratch: &mut RayScratch,
    y: &mut [f32],
    mut first_row: Option<&mut [f32]>,
) {
    let d = ray.check(y);
    let RayCodes { query, key, value, stride, samples, width: c, heads, tau } = ray;
    if let Some(row) = first_row.as_deref_mut() {
        row.fill(0.0);
    }
    if samples == 0 {
        return;
    }
    let words = words(c);
    let width = samples.next_multiple_of(BLOCK);
    let RayScratch { keys, values, queries, weights, mixed, sums } = scratch;
    for head in 0..heads {
        let powers = Powers::new(tau[head], d);
        keys.take(isa, key, samples, words, head * d, d);
        values.repack(&value[head * d..], samples, d, stride);
        for start in (0..samples).step_by(QUERIES) {
            let rows = QUERIES.min(samples - start);
            queries.clear();
            queries.extend(query[start * words..].chunks_exact(words).take(rows).map(|code| field(code, head * d, d)));
            Weighing { queries, keys, powers: &powers, weights, width, sums }.run();
            product(isa, rows, weights, width, values, mixed, padded(d), Epilogue::Store);
            for r in 0..rows {
                let scale = 1.0 / sums[r];
                let out = &mut y[(start + r) * c + head * d..][..d];
                for (o, m) in out.iter_mut().zip(&mixed[r * padded(d)..]) {
                    *o = m * scale;
                }
            }
            if let (0, Some(row)) = (start, first_row.as_deref_mut()) {
                let scale = 1.0 / (sums[0] * heads as f32);
                row.iter_mut().zip(&weights[..samples]).for_each(|(r, p)| *r += p * scale);
            }
        }
    }
}

/// The same attention by additions: values are summed by their key's score, and each of the `d + 1` sums is multiplied
/// once by its power. This is the literal form that hardware without multipliers would run, and the reference of
/// [`attend_ray_codes`]; shapes are the same.
pub fn bucketed(ray: RayCodes, y: &mut [f32]) {
    let d = ray.check(y);
    let RayCodes { query, key, value, stride, samples, width: c, heads, tau } = ray;
    let words = words(c);
    let (mut counts, mut sums) = (vec![0u32; d + 1], vec![0.0f32; (d + 1) * d]);
    for head in 0..heads {
        let tau = tau[head].clamp(-MOST_TAU, MOST_TAU);
        for i in 0..samples {
            counts.fill(0);
            sums.fill(0.0);
            for j in 0..samples {
                let (query, key) = (&query[i * words..][..words], &key[j * words..][..words]);
                let bits = hamming(query, key, head * d..(head + 1) * d) as usize;
                counts[bits] += 1;
                let value = &value[j * stride + head * d..][..d];
                sums[bits * d..][..d].iter_mut().zip(value).for_each(|(sum, v)| *sum += v);
            }
            let logit = |bits: usize| tau * (d as f32 - 2.0 * bits as f32);
            let present = || (0..=d).filter(|bits| counts[*bits] > 0);
            let max = present().map(logit).fold(f32::MIN, f32::max);
            let out = &mut y[i * c + head * d..][..d];
            out.fill(0.0);
            let mut total = 0.0;
            for bits in present() {
                let power = (logit(bits) - max).exp();
                total += power * counts[bits] as f32;
                out.iter_mut().zip(&sums[bits * d..]).for_each(|(o, sum)| *o += power * sum);
            }
            out.iter_mut().for_each(|o| *o /= total);
        }
    }
}

impl RayCodes<'_> {
    /// Asserts the sizes and returns the channels of a head.
    pub(super) fn check(&self, y: &[f32]) -> usize {
        let Self { query, key, value, stride, samples, width: c, heads, tau } = *self;
        let d = channels(c, heads);
        let codes = samples * words(c);
        assert!(query.len() >= codes && key.len() >= codes, "{} and {} words of {codes}", query.len(), key.len());
        assert_eq!(tau.len(), heads, "one factor a head");
        assert!(y.len() >= samples * c, "{} values of y for {samples}x{c}", y.len());
        assert!(samples == 0 || value.len() >= (samples - 1) * stride + c, "{} values for {samples}x{c}", value.len());
        d
    }
}
