//! Bytes against their definition in double precision, and against exact attention.

use super::*;
use crate::ops::hamming::tests::{NO_SAMPLES, noise};
use crate::ops::hamming::{hamming, pack_signs};
use proptest::prelude::*;

/// Blocks of 64 keys and halves of them, groups of four and of four queries, each whole and not.
const SAMPLES: [usize; 14] = [1, 2, 4, 7, 31, 32, 33, 48, 63, 64, 65, 129, 192, 197];

const TAUS: [f32; 14] =
    [0.25, -0.25, 0.0, -0.0, 1e-30, 1e-3, -0.02, 0.07, 1.2, -3.0, 1e3, 3e38, f32::INFINITY, f32::NEG_INFINITY];

struct Ray {
    samples: usize,
    heads: usize,
    tau: Vec<f32>,
    q: Vec<u64>,
    k: Vec<u64>,
    v: Vec<f32>,
    stride: usize,
}

/// A result by the definition of [`attend_ray_codes8`] in double precision, by exact attention, and how far the two may
/// be apart.
#[derive(Clone, Copy, Debug, Default)]
struct Plain {
    bytes: f64,
    exact: f64,
    apart: f64,
    most: f64,
}

impl Ray {
    fn new(samples: usize, heads: usize, tau: &[f32]) -> Self {
        let (c, stride) = (heads * CHANNELS, heads * CHANNELS + 3);
        let codes = |seed| {
            let mut out = vec![0; samples * words(c)];
            pack_signs(Isa::PORTABLE, samples, &noise(samples * c, seed), c, c, &mut out);
            out
        };
        let mut v = noise(samples * stride, 3);
        // Channels of very different size; the last row ends without padding.
        v.iter_mut().enumerate().for_each(|(i, v)| *v *= [1.0, 1e-3, 7e4, 0.3][i % stride % 4]);
        v.truncate(samples * stride - 3);
        let tau = (0..heads).map(|h| tau[h % tau.len()]).collect();
        Self { samples, heads, tau, q: codes(1), k: codes(2), v, stride }
    }

    fn run(&self, isa: Isa, scratch: &mut RayScratch8) -> (Vec<f32>, Vec<f32>) {
        let Self { samples, heads, tau, q: query, k: key, v: value, stride } = self;
        let (samples, heads, stride, width) = (*samples, *heads, *stride, heads * CHANNELS);
        let ray = RayCodes { query, key, value, stride, samples, width, heads, tau };
        let (mut y, mut row) = (vec![f32::NAN; samples * width], vec![f32::NAN; samples]);
        attend_ray_codes8(isa, ray, scratch, &mut y, Some(&mut row));
        let mut again = vec![f32::NAN; y.len()];
        attend_ray_codes8(isa, ray, scratch, &mut again, None);
        assert_eq!(bits(&y), bits(&again), "{isa:?} without the first row");
        (y, row)
    }

    /// Every result, and the averaged weights of the first query.
    fn plain(&self) -> (Vec<Plain>, Vec<f64>) {
        let (c, words) = (self.heads * CHANNELS, words(self.heads * CHANNELS));
        let mut y = vec![Plain::default(); self.samples * c];
        let mut row = vec![0.0; self.samples];
        let code = |codes: &[u64], i: usize| codes[i * words..][..words].to_vec();
        for h in 0..self.heads {
            let tau = f64::from(self.tau[h].clamp(-1e30, 1e30));
            for i in 0..self.samples {
                let bits = |j| hamming(&code(&self.q, i), &code(&self.k, j), h * CHANNELS..(h + 1) * CHANNELS);
                let scores: Vec<f64> = (0..self.samples).map(|j| tau * (16.0 - 2.0 * f64::from(bits(j)))).collect();
                let best = scores.iter().copied().fold(f64::MIN, f64::max);
                let powers: Vec<f64> = scores.iter().map(|s| (s - best).exp()).collect();
                let weights: Vec<f64> = powers.iter().map(|p| (255.0 * p).round()).collect();
                let (sum, total) = (powers.iter().sum::<f64>(), weights.iter().sum::<f64>());
                if i == 0 {
                    row.iter_mut().zip(&weights).for_each(|(row, w)| *row += w / total / self.heads as f64);
                }
                for channel in h * CHANNELS..(h + 1) * CHANNELS {
                    let values: Vec<f32> = (0..self.samples).map(|j| self.v[j * self.stride + channel]).collect();
                    let most = values.iter().fold(0.0, |most: f32, v| v.abs().max(most));
                    let step = |v: &f32| f64::from((v * (64.0 / most)).round_ties_even());
                    let mean = |weights: &[f64], values: &mut dyn Iterator<Item = f64>| -> f64 {
                        weights.iter().zip(values).map(|(w, v)| w * v).sum()
                    };
                    let bytes = if most < 1e-30 { 0.0 } else { mean(&weights, &mut values.iter().map(step)) };
                    let most = f64::from(most);
                    y[i * c + channel] = Plain {
                        bytes: bytes / total * most / 64.0,
                        exact: mean(&powers, &mut values.iter().map(|v| f64::from(*v))) / sum,
                        apart: most * (1.0 / 128.0 + self.samples as f64 / total + 1e-6),
                        most,
                    };
                }
            }
        }
        (y, row)
    }

    /// All there is to say about one ray.
    #[track_caller]
    fn check(&self, scratch: &mut RayScratch8, what: &str) {
        let what = format!("{what}: {} samples, {} heads, tau {:?}", self.samples, self.heads, self.tau);
        let (plain, plain_row) = self.plain();
        let (y, row) = self.run(Isa::PORTABLE, scratch);
        for (i, (y, plain)) in y.iter().zip(&plain).enumerate() {
            let y = f64::from(*y);
            // Three roundings of `f32`; a sum may be small beside its parts, but it is an integer.
            assert!((y - plain.bytes).abs() <= 1e-6 * plain.bytes.abs() + 1e-45, "{what} at {i}: {y} of {plain:?}");
            assert!((y - plain.exact).abs() <= plain.apart + 1e-30, "{what} at {i}: {y} of {plain:?}");
            assert!(y.abs() <= plain.most, "{what} at {i}: {y} of {plain:?}");
        }
        for (j, (got, want)) in row.iter().zip(&plain_row).enumerate() {
            assert!((f64::from(*got) - want).abs() <= 1e-6 * want, "{what}, first row at {j}: {got} of {want}");
        }
        for isa in Isa::available().filter(|isa| *isa != Isa::PORTABLE) {
            let (other, other_row) = self.run(isa, scratch);
            assert_eq!(bits(&y), bits(&other), "{isa:?}, {what}");
            assert_eq!(bits(&row), bits(&other_row), "{isa:?}, first row, {what}");
        }
    }
}

fn bits(x: &[f32]) -> Vec<u32> {
    x.iter().map(|x| x.to_bits()).collect()
}

#[test]
fn equals_its_definition_and_is_near_exact_attention() {
    // One scratch for all, from long to short and back: nothing may depend on what was there.
    let mut scratch = RayScratch8::new(40, CHANNELS);
    for samples in SAMPLES.into_iter().rev().chain(SAMPLES) {
        for heads in [1, 3, 4, 5] {
            Ray::new(samples, heads, &[0.25, 0.7, -0.3, 0.0, 0.1]).check(&mut scratch, "noise");
        }
    }
}

#[test]
fn takes_any_factor() {
    let mut scratch = RayScratch8::new(197, CHANNELS);
    for tau in TAUS {
        for samples in [1, 7, 33, 197] {
            let mut ray = Ray::new(samples, 2, &[tau]);
            ray.check(&mut scratch, "noise");
            // All keys the same: as they are, the first query's, and its opposite.
            for code in [ray.k[0], ray.q[0], ray.q[0] ^ u64::from(u32::MAX)] {
                ray.k.fill(code);
                ray.check(&mut scratch, "equal keys");
            }
            // One key is the first query, all others its opposite: 16 bits beyond the closest.
            ray.k[samples / 2] ^= u64::from(u32::MAX);
            ray.check(&mut scratch, "opposite keys");
        }
    }
}

#[test]
fn equal_keys_give_the_mean() {
    for tau in TAUS {
        let mut ray = Ray::new(33, 1, &[tau]);
        ray.k.fill(ray.q[5]);
        ray.v.iter_mut().enumerate().for_each(|(i, v)| *v = (i / ray.stride) as f32 * 2.0);
        for isa in Isa::available() {
            let (y, row) = ray.run(isa, &mut RayScratch8::new(33, CHANNELS));
            // Of 0, 2, .., 64, all of which are bytes.
            assert!(y.iter().all(|y| (y - 32.0).abs() < 1e-5), "{isa:?} tau {tau}: {y:?}");
            assert!(row.iter().all(|w| (w - 1.0 / 33.0).abs() < 1e-8), "{isa:?} tau {tau}: {row:?}");
        }
    }
}

/// Every product at its largest, of either sign, where 16 bits would saturate first.
#[test]
fn largest_products_do_not_saturate() {
    for value in [1.0, -1.0, f32::MAX, f32::MIN, 1e-30, -3e-30] {
        for samples in [4, 33, 197] {
            let mut ray = Ray::new(samples, 2, &[0.0]);
            ray.v.fill(value);
            for isa in Isa::available() {
                let (y, _) = ray.run(isa, &mut RayScratch8::new(samples, CHANNELS));
                assert!(y.iter().all(|y| (y / value - 1.0).abs() < 1e-6), "{isa:?} {value} {samples}: {y:?}");
                assert!(y.iter().all(|y| y.abs() <= value.abs()), "{isa:?} {value} {samples}: {y:?}");
            }
        }
    }
}

#[test]
fn special_values_stay_in_their_channel() {
    for (special, expected) in [
        (f32::NAN, f32::NAN),
        (-f32::NAN, f32::NAN),
        (f32::INFINITY, f32::NAN),
        (f32::NEG_INFINITY, f32::NAN),
        (1e-31, 0.0),
        (-0.0, 0.0),
        (1e-45, 0.0),
    ] {
        let clean = Ray::new(33, 2, &[0.25]);
        let mut ray = Ray::new(33, 2, &[0.25]);
        (0..33).for_each(|j| ray.v[j * ray.stride + 19] = special);
        for isa in Isa::available() {
            let (y, _) = ray.run(isa, &mut RayScratch8::new(33, CHANNELS));
            let (reference, _) = clean.run(isa, &mut RayScratch8::new(33, CHANNELS));
            for (i, (y, reference)) in y.iter().zip(&reference).enumerate() {
                let want = if i % 32 == 19 { expected } else { *reference };
                assert!(*y == want || y.is_nan() && want.is_nan(), "{isa:?} {special} at {i}: {y}, expected {want}");
            }
        }
    }
    let mut scratch = RayScratch8::new(7, CHANNELS);
    for isa in Isa::available() {
        let (y, row) = Ray::new(7, 2, &[0.25, f32::NAN]).run(isa, &mut scratch);
        assert!(y.iter().enumerate().all(|(i, y)| y.is_nan() == (i % 32 >= 16)), "{isa:?}: {y:?}");
        assert!(row.iter().all(|w| w.is_nan()), "{isa:?}: {row:?}");
    }
}

#[test]
fn no_samples_give_nothing() {
    let mut row: [f32; 0] = [];
    for isa in Isa::available() {
        let mut scratch = RayScratch8::new(0, 16);
        attend_ray_codes8(isa, NO_SAMPLES, &mut scratch, &mut [], Some(&mut row));
    }
}

/// Heads of any other size are computed exactly, whatever the scratch was made for.
#[test]
fn other_heads_are_exact() {
    for (c, heads) in [(24, 8), (8, 1), (64, 8), (64, 2), (35, 1)] {
        for samples in [1, 33, 64] {
            let (d, tau) = (c / heads, vec![0.25; heads]);
            let mut codes = vec![0; samples * words(c)];
            pack_signs(Isa::PORTABLE, samples, &noise(samples * c, 1), c, c, &mut codes);
            let v = noise(samples * c, 2);
            let (query, key, value, width, tau) = (&codes[..], &codes[..], &v[..], c, &tau[..]);
            let ray = RayCodes { query, key, value, stride: c, samples, width, heads, tau };
            for isa in Isa::available() {
                let mut want = vec![f32::NAN; samples * c];
                let exact = &mut RayScratch::new(samples, d);
                attend_ray_codes(isa, ray, exact, &mut want, None);
                for made in [RayScratch8::new(samples, d), RayScratch8::new(3, 16), RayScratch8::new(99, 5)] {
                    let (mut scratch, mut y) = (made, vec![f32::NAN; samples * c]);
                    attend_ray_codes8(isa, ray, &mut scratch, &mut y, None);
                    assert_eq!(y, want, "{isa:?} {samples}x{c}, {heads} heads");
                }
            }
        }
    }
}

proptest! {
    /// Any codes, values and factors; few bits, so that distances of 0 and 16 are frequent.
    #[test]
    fn sets_and_definition_agree(
        q in prop::collection::vec(prop_oneof![Just(0u16), Just(u16::MAX), any::<u16>()], 1..70),
        seed: u32,
        tau in prop_oneof![-1.5f32..1.5, -0.1f32..0.1, any::<f32>().prop_filter("not NaN", |t| !t.is_nan())],
    ) {
        let mut ray = Ray::new(q.len(), 1, &[tau]);
        ray.v = noise(ray.v.len(), seed);
        ray.k.iter_mut().zip(&q).for_each(|(k, q)| *k = u64::from(q.rotate_left(3)));
        ray.q.iter_mut().zip(&q).for_each(|(to, q)| *to = u64::from(*q));
        ray.check(&mut RayScratch8::new(3, CHANNELS), "any");
    }
}
