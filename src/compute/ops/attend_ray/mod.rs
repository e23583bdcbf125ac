//! Self-attention over the samples of one ray, a few queries at a time: the full matrix of scores is never stored.

mod cpu;

use super::product::{Epilogue, Packed, product};
use super::{PAD, padded};
use crate::Isa;

/// Queries handled together: their scores stay in the first-level cache.
const QUERIES: usize = 24;

/// Scratch of [`attend_ray`].
#[derive(Clone, Debug)]
pub struct Scratch {
    keys: Packed,
    values: Packed,
    scores: Vec<f32>,
    mixed: Vec<f32>,
    sums: Vec<f32>,
}

impl Scratch {
    /// Scratch for rays of up to `samples` samples and heads of `d` channels.
    pub fn new(samples: usize, d: usize) -> Self {
        Self {
            keys: Packed::room(d, samples),
            values: Packed::room(samples, d),
            scores: vec![0.0; QUERIES * padded(samples)],
            mixed: vec![0.0; QUERIES * padded(d)],
            sums: vec![0.0; QUERIES],
        }
    }
}

/// The samples of one ray.
#[derive(Clone, Copy, Debug)]
pub struct Ray<'a> {
    /// `[samples, 3 · width]`, `stride` apart: queries, keys, values; queries already carry the factor `1/sqrt(d)`.
    pub qkv: &'a [f32],
    /// Distance between rows of `qkv`.
    pub stride: usize,
    /// Number of samples.
    pub samples: usize,
    /// Channels of all heads together.
    pub width: usize,
    /// Number of heads; each has `d = width / heads` channels.
    pub heads: usize,
}

/// Multi-head attention `softmax(Q·Kᵀ)·V`.
///
/// # Shapes
/// - `y`: `[samples, width]`
/// - `first_row`: where given, receives the attention row of the first (nearest) sample, averaged over heads
pub fn attend_ray(isa: Isa, ray: Ray, scratch: &mut Scratch, y: &mut [f32], mut first_row: Option<&mut [f32]>) {
    let Ray { qkv, stride, samples, width: c, heads } = ray;
    let d = c / heads;
    let width = padded(samples);
    if let Some(row) = first_row.as_deref_mut() {
        row.fill(0.0);
    }
    for head in 0..heads {
        scratch.keys.repack_transposed(&qkv[c + head * d..], d, samples, stride);
        scratch.values.repack(&qkv[2 * c + head * d..], samples, d, stride);
        for start in (0..samples).step_by(QUERIES) {
            let rows = QUERIES.min(samples - start);
            let queries = &qkv[start * stride + head * d..];
            product(isa, rows, queries, stride, &scratch.keys, &mut scratch.scores, width, Epilogue::Store);
            // SAFETY: it asks for nothing beyond the instructions.
            unsafe { cpu::exponentials(isa, &mut scratch.scores[..rows * width], samples, &mut scratch.sums) };
            product(isa, rows, &scratch.scores, width, &scratch.values, &mut scratch.mixed, padded(d), Epilogue::Store);
            for r in 0..rows {
                let scale = 1.0 / scratch.sums[r];
                let out = &mut y[(start + r) * c + head * d..][..d];
                for (o, m) in out.iter_mut().zip(&scratch.mixed[r * padded(d)..]) {
                    *o = m * scale;
                }
            }
            if let (0, Some(row)) = (start, first_row.as_deref_mut()) {
                let scale = 1.0 / (scratch.sums[0] * heads as f32);
                row.iter_mut().zip(&scratch.scores).for_each(|(r, p)| *r += p * scale);
            }
        }
    }
    debug_assert_eq!(width % PAD, 0);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equals_plain_attention() {
        for (samples, c, heads) in [(1, 16, 4), (7, 16, 2), (33, 64, 4), (64, 32, 4), (50, 24, 1)] {
            let stride = 3 * c + 5;
            let qkv: Vec<f32> = (0..samples * stride).map(|i| ((i * 53 + 7) % 89) as f32 / 30.0 - 1.4).collect();
            for isa in Isa::available() {
                let mut scratch = Scratch::new(samples, c / heads);
                let (mut y, mut row) = (vec![0.0; samples * c], vec![0.0; samples]);
                let ray = Ray { qkv: &qkv, stride, samples, width: c, heads };
                attend_ray(isa, ray, &mut scratch, &mut y, Some(&mut row));
                let d = c / heads;
                let at = |s: usize, part: usize, i: usize| f64::from(qkv[s * stride + part * c + i]);
                let mut want_row = vec![0.0; samples];
                for head in 0..heads {
                    for q in 0..samples {
                        let score =
                            |k: usize| (0..d).map(|i| at(q, 0, head * d + i) * at(k, 1, head * d + i)).sum::<f64>();
                        let max = (0..samples).map(score).fold(f64::MIN, f64::max);
                        let total: f64 = (0..samples).map(|k| (score(k) - max).exp()).sum();
                        for i in 0..d {
                            let want: f64 =
                                (0..samples).map(|k| (score(k) - max).exp() / total * at(k, 2, head * d + i)).sum();
                            assert!((f64::from(y[q * c + head * d + i]) - want).abs() < 1e-5, "{isa:?} {samples} {c}");
                        }
                        if q == 0 {
                            (0..samples).for_each(|k| want_row[k] += (score(k) - max).exp() / total / heads as f64);
                        }
                    }
                }
                for (got, want) in row.iter().zip(want_row) {
                    assert!((f64::from(*got) - want).abs() < 1e-5);
                }
            }
        }
    }
}
