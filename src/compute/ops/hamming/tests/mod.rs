//! Every kernel with every instruction set against the plain computation in double precision.

mod views;

use super::*;
use crate::Isa;
use proptest::prelude::*;

/// Channels and heads: heads of 1, 3, 8, 16, 24, 32, 35, 57, 63 and 64 channels, some of them across words.
const HEADS: [(usize, usize); 14] = [
    (6, 6),
    (24, 8),
    (8, 1),
    (64, 8),
    (16, 1),
    (32, 2),
    (64, 4),
    (192, 12),
    (72, 3),
    (64, 2),
    (70, 2),
    (171, 3),
    (126, 2),
    (128, 2),
];

/// Values in `[-1, 1)`.
pub fn noise(n: usize, seed: u32) -> Vec<f32> {
    let mut state = seed.wrapping_mul(2_654_435_761) | 1;
    (0..n)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / (1 << 23) as f32 - 1.0
        })
        .collect()
}

fn codes(rows: usize, c: usize, seed: u32) -> Vec<u64> {
    let mut out = vec![0; rows * words(c)];
    pack_signs(Isa::PORTABLE, rows, &noise(rows * c, seed), c, c, &mut out);
    out
}

fn sign(code: &[u64], i: usize) -> f64 {
    if code[i / 64] >> (i % 64) & 1 == 1 { 1.0 } else { -1.0 }
}

/// Weights of one head by floats: softmax of `tau·(b_q·b_k) + bias`.
fn plain_weights(q: &[u64], keys: &[&[u64]], bias: &[f64], tau: f32, channels: std::ops::Range<usize>) -> Vec<f64> {
    let dot = |k: &&[u64]| channels.clone().map(|i| sign(q, i) * sign(k, i)).sum::<f64>();
    let logits: Vec<f64> = keys.iter().zip(bias).map(|(k, b)| f64::from(tau) * dot(k) + b).collect();
    let max = logits.iter().copied().fold(f64::MIN, f64::max);
    let powers: Vec<f64> = logits.iter().map(|x| (x - max).exp()).collect();
    let total: f64 = powers.iter().sum();
    powers.iter().map(|p| p / total).collect()
}

struct Ray {
    samples: usize,
    c: usize,
    heads: usize,
    tau: Vec<f32>,
    q: Vec<u64>,
    k: Vec<u64>,
    v: Vec<f32>,
    stride: usize,
}

impl Ray {
    fn new(samples: usize, c: usize, heads: usize, tau: Vec<f32>) -> Self {
        let stride = c + 3;
        let (q, k) = (codes(samples, c, 1), codes(samples, c, 2));
        Self { samples, c, heads, tau, q, k, v: noise(samples * stride, 3), stride }
    }

    fn codes(&self) -> RayCodes<'_> {
        let Self { samples, c: width, heads, tau, q: query, k: key, v: value, stride } = self;
        RayCodes { query, key, value, stride: *stride, samples: *samples, width: *width, heads: *heads, tau }
    }

    /// Attention and the averaged row of query 0.
    fn run(&self, isa: Isa) -> (Vec<f32>, Vec<f32>) {
        // Scratch of a longer ray and dirty outputs: nothing may depend on what was there.
        let mut scratch = RayScratch::new(self.samples + 40, self.c / self.heads);
        let (mut y, mut row) = (vec![f32::NAN; self.samples * self.c], vec![f32::NAN; self.samples]);
        attend_ray_codes(isa, self.codes(), &mut scratch, &mut y, Some(&mut row));
        (y, row)
    }

    fn plain(&self) -> (Vec<f64>, Vec<f64>) {
        let (d, words) = (self.c / self.heads, words(self.c));
        let (mut y, mut row) = (vec![0.0; self.samples * self.c], vec![0.0; self.samples]);
        let keys: Vec<&[u64]> = self.k.chunks(words).collect();
        let bias = vec![0.0; self.samples];
        for head in 0..self.heads {
            for i in 0..self.samples {
                let q = &self.q[i * words..][..words];
                let weights = plain_weights(q, &keys, &bias, self.tau[head], head * d..(head + 1) * d);
                for (j, w) in weights.iter().enumerate() {
                    for a in head * d..(head + 1) * d {
                        y[i * self.c + a] += w * f64::from(self.v[j * self.stride + a]);
                    }
                    if i == 0 {
                        row[j] += w / self.heads as f64;
                    }
                }
            }
        }
        (y, row)
    }

    fn bucketed(&self) -> Vec<f32> {
        let mut y = vec![f32::NAN; self.samples * self.c];
        bucketed(self.codes(), &mut y);
        y
    }
}

#[track_caller]
fn assert_close(got: &[f32], want: &[f64], what: &str) {
    assert_eq!(got.len(), want.len(), "{what}");
    for (i, (got, want)) in got.iter().zip(want).enumerate() {
        assert!((f64::from(*got) - want).abs() < 1e-5, "{what} at {i}: {got}, expected {want}");
    }
}

#[test]
fn signs_become_bits_with_every_set() {
    for (rows, c) in [(1, 1), (3, 7), (2, 16), (5, 31), (33, 64), (2, 65), (4, 129), (1, 512), (0, 64)] {
        let stride = c + 2;
        let mut x = noise(rows * stride, 9);
        let special = [0.0, -0.0, f32::NAN, -f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 1e-45, -1e-45];
        for (i, value) in x.iter_mut().enumerate().filter(|(i, _)| i % 3 == 0) {
            *value = special[i / 3 % special.len()];
        }
        for isa in Isa::available() {
            // The last row ends without padding.
            let mut out = vec![u64::MAX; rows * words(c)];
            pack_signs(isa, rows, &x[..(rows * stride).saturating_sub(2)], stride, c, &mut out);
            for r in 0..rows {
                for i in 0..words(c) * 64 {
                    let want = i < c && x[r * stride + i] > 0.0;
                    assert_eq!(sign(&out[r * words(c)..], i) > 0.0, want, "{isa:?} {rows}x{c} at {r},{i}");
                }
            }
        }
    }
}

#[test]
fn attention_equals_the_plain_computation() {
    for (c, heads) in HEADS {
        for samples in [1, 7, 33, 64, 197] {
            // A quarter as in the papers, and factors of either sign and of zero.
            let tau = (0..heads).map(|h| [0.25, 0.7, -0.3, 0.0, 1.2][h % 5]).collect();
            let ray = Ray::new(samples, c, heads, tau);
            let (want, want_row) = ray.plain();
            for isa in Isa::available() {
                let (y, row) = ray.run(isa);
                assert_close(&y, &want, &format!("{isa:?} {samples}x{c}, {heads} heads"));
                assert_close(&row, &want_row, &format!("first row, {isa:?} {samples}x{c}, {heads} heads"));
            }
            assert_close(&ray.bucketed(), &want, &format!("bucketed {samples}x{c}, {heads} heads"));
        }
    }
}

/// Factors with which the powers of a whole row leave the range of `f32`.
#[test]
fn extreme_factors_stay_finite() {
    for (c, heads) in [(16, 1), (48, 3), (24, 1), (64, 1), (8, 1)] {
        let d = (c / heads) as f32;
        for tau in [1.5, -1.5, 20.1 / d, 19.9 / d, 3.0, -6.0, 44.0, 1e3, -1e30, 3e38, f32::INFINITY, f32::NEG_INFINITY]
        {
            let mut ray = Ray::new(35, c, heads, vec![tau; heads]);
            let run = |ray: &Ray| {
                let finite = Ray {
                    tau: vec![tau.clamp(-1e30, 1e30); heads],
                    k: ray.k.clone(),
                    ..Ray::new(35, c, heads, vec![])
                };
                let (want, _) = finite.plain();
                for isa in Isa::available() {
                    assert_close(&ray.run(isa).0, &want, &format!("{isa:?} tau {tau}, {c} channels"));
                }
                assert_close(&ray.bucketed(), &want, &format!("bucketed, tau {tau}, {c} channels"));
            };
            run(&ray);
            // All keys the worst of all for the first query, or the best.
            for flip in [0, u64::MAX >> (64 - c)] {
                let code = ray.q[0] ^ flip;
                ray.k.fill(code);
                run(&ray);
            }
        }
    }
}

/// A ray without samples.
pub const NO_SAMPLES: RayCodes<'static> =
    RayCodes { query: &[], key: &[], value: &[], stride: 16, samples: 0, width: 16, heads: 1, tau: &[0.25] };

#[test]
fn no_samples_give_nothing() {
    let mut row: [f32; 0] = [];
    let mut scratch = RayScratch::new(0, 16);
    for isa in Isa::available() {
        attend_ray_codes(isa, NO_SAMPLES, &mut scratch, &mut [], Some(&mut row));
    }
}

proptest! {
    #[test]
    fn scores_are_products_of_signs(x in prop::collection::vec(-1.0f32..1.0, 2 * 150), start in 0usize..150, d in 0usize..150) {
        let (c, end) = (150, (start + d).min(150));
        let mut packed = vec![0; 2 * words(c)];
        pack_signs(Isa::detect(), 2, &x, c, c, &mut packed);
        let (q, k) = packed.split_at(words(c));
        let dot: i32 = (start..end).map(|i| if (x[i] > 0.0) == (x[c + i] > 0.0) { 1 } else { -1 }).sum();
        prop_assert_eq!((end - start) as i32 - 2 * hamming(q, k, start..end) as i32, dot);
    }

    /// A lone key that matches has all the weight that its score leaves to others: the scores the kernels use are those
    /// of [`hamming`] for every pair of codes.
    #[test]
    fn kernels_count_as_hamming_does(q: u16, k: u16, tau in -0.6f32..0.6) {
        let values = [1.0f32, 0.0].map(|v| [v; 16]).concat();
        let score = |k: u16| 16.0 - 2.0 * f64::from(hamming(&[q.into()], &[k.into()], 0..16));
        let powers = [k, q].map(|k| (f64::from(tau) * score(k)).exp());
        for isa in Isa::available() {
            let mut y = [0.0; 32];
            let mut scratch = RayScratch::new(2, 16);
            let (query, key, tau) = (&[q.into(); 2], &[k.into(), q.into()], &[tau]);
            let ray = RayCodes { query, key, value: &values, stride: 16, samples: 2, width: 16, heads: 1, tau };
            attend_ray_codes(isa, ray, &mut scratch, &mut y, None);
            let want = powers[0] / (powers[0] + powers[1]);
            prop_assert!((f64::from(y[0]) - want).abs() < 1e-6, "{:?}: {} for {}", isa, y[0], want);
        }
    }
}
