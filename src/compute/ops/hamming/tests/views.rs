//! Attention over source views on codes, with every instruction set.

use super::*;
use crate::ops::padded;

struct Scene {
    rows: Vec<u32>,
    uniform: Vec<bool>,
    query: Vec<u64>,
    keys: Vec<u64>,
    bias: Vec<f32>,
    values: Vec<f32>,
    c: usize,
    heads: usize,
    width: usize,
    tau: Vec<f32>,
}

impl Scene {
    /// Keys, biases and values are 1, 2 and 3 apart beyond their widths; the last row ends without padding.
    fn new(counts: &[u32], c: usize, heads: usize, width: usize) -> Self {
        let mut rows = vec![0];
        counts.iter().for_each(|n| rows.push(rows[rows.len() - 1] + n));
        let all = rows[counts.len()] as usize;
        let (words, stride) = (words(c), width + 3);
        let mut keys = vec![u64::MAX; all * (words + 1)];
        for (key, code) in keys.chunks_mut(words + 1).zip(codes(all, c, 5).chunks(words)) {
            key[..words].copy_from_slice(code);
        }
        let mut values = noise(all * stride, 6);
        values.chunks_mut(stride).for_each(|row| row[width..].fill(f32::NAN));
        keys.truncate(keys.len().saturating_sub(1));
        values.truncate(values.len().saturating_sub(3));
        let mut bias: Vec<f32> = noise(all * (heads + 2), 7).iter().map(|x| 3.0 * x).collect();
        bias.truncate(bias.len().saturating_sub(2));
        Self {
            uniform: (0..counts.len()).map(|s| s % 4 == 2).collect(),
            query: codes(counts.len(), c, 8),
            tau: (0..heads).map(|h| [0.25, -0.6, 0.0, 1.1, 0.4][h % 5]).collect(),
            rows,
            keys,
            bias,
            values,
            c,
            heads,
            width,
        }
    }

    fn run(&self, isa: Isa, scratch: &mut ViewScratch) -> Vec<f32> {
        let views = CodeViews {
            rows: &self.rows,
            uniform: &self.uniform,
            query: &self.query,
            keys: &self.keys,
            key_stride: words(self.c) + 1,
            bias: &self.bias,
            bias_stride: self.heads + 2,
            values: &self.values,
            value_stride: self.width + 3,
            width: self.width,
            channels: self.c,
            heads: self.heads,
            tau: &self.tau,
        };
        let mut y = vec![f32::NAN; self.uniform.len() * self.heads * padded(self.width)];
        blend_codes(isa, views, scratch, &mut y);
        y
    }

    fn plain(&self) -> Vec<f64> {
        let (d, words, width) = (self.c / self.heads, words(self.c), padded(self.width));
        let mut y = vec![0.0; self.uniform.len() * self.heads * width];
        for s in 0..self.uniform.len() {
            let rows: Vec<usize> = (self.rows[s] as usize..self.rows[s + 1] as usize).collect();
            let keys: Vec<&[u64]> = rows.iter().map(|r| &self.keys[r * (words + 1)..][..words]).collect();
            for h in 0..self.heads {
                let bias: Vec<f64> = rows.iter().map(|r| f64::from(self.bias[r * (self.heads + 2) + h])).collect();
                let query = &self.query[s * words..][..words];
                let mut weights = plain_weights(query, &keys, &bias, self.tau[h], h * d..(h + 1) * d);
                if self.uniform[s] {
                    weights.fill(1.0 / rows.len() as f64);
                }
                for (r, w) in rows.iter().zip(weights) {
                    for i in 0..self.width {
                        y[(s * self.heads + h) * width + i] += w * f64::from(self.values[r * (self.width + 3) + i]);
                    }
                }
            }
        }
        y
    }
}

#[test]
fn blend_equals_the_plain_computation() {
    let mut scratch = ViewScratch::default();
    for (c, heads) in HEADS {
        for width in [1, 8, 31, 33, 64, 72] {
            let scene = Scene::new(&[3, 0, 7, 1, 10, 2, 0, 31, 10, 9], c, heads, width);
            let want = scene.plain();
            for isa in Isa::available() {
                // The same scratch for all sizes: nothing may depend on what was there.
                assert_close(
                    &scene.run(isa, &mut scratch),
                    &want,
                    &format!("{isa:?} {c} channels, {heads} heads, width {width}"),
                );
            }
        }
    }
    for counts in [&[][..], &[0][..], &[0, 0, 0][..]] {
        let scene = Scene::new(counts, 64, 4, 72);
        for isa in Isa::available() {
            assert!(scene.run(isa, &mut scratch).iter().all(|y| *y == 0.0));
        }
    }
}

/// Factors on scores and on biases.
const EXTREME_LOGITS: [(f32, f32); 6] =
    [(1e3, 1.0), (-1e3, 1.0), (3e38, 0.0), (f32::NEG_INFINITY, 0.0), (0.25, 1e30), (0.0, f32::INFINITY)];

#[test]
fn extreme_logits_of_views_stay_finite() {
    for (c, heads) in [(64, 4), (24, 1)] {
        for (tau, bias) in EXTREME_LOGITS {
            let mut scene = Scene::new(&[4, 9, 1], c, heads, 33);
            scene.tau.fill(tau);
            // Eighths, so that the logits are numbers of `f32` even where they are large.
            scene.bias.iter_mut().for_each(|b| *b = (*b * 8.0).round() / 8.0);
            scene.bias.iter_mut().for_each(|b| *b = if *b == 0.0 { 0.0 } else { *b * bias });
            // What a cut to the range of finite logits makes of them, which no row notices otherwise.
            let cut = Scene {
                tau: vec![tau.clamp(-1e30, 1e30); heads],
                bias: scene.bias.iter().map(|b| b.clamp(-1e37, 1e37)).collect(),
                ..Scene::new(&[4, 9, 1], c, heads, 33)
            };
            let want = cut.plain();
            for isa in Isa::available() {
                let got = scene.run(isa, &mut ViewScratch::default());
                assert_close(&got, &want, &format!("{isa:?} tau {tau}, bias times {bias}"));
            }
        }
    }
}

proptest! {
    /// The order of a sample's views carries no meaning.
    #[test]
    fn ignores_the_order_of_views(shift in 1usize..10, count in 2u32..12) {
        let scene = Scene::new(&[count], 64, 4, 72);
        let mut turned = Scene::new(&[count], 64, 4, 72);
        for r in 0..count as usize {
            let from = (r + shift) % count as usize;
            turned.keys[r * 2] = scene.keys[from * 2];
            turned.bias[r * 6..][..4].copy_from_slice(&scene.bias[from * 6..][..4]);
            turned.values[r * 75..][..72].copy_from_slice(&scene.values[from * 75..][..72]);
        }
        for isa in Isa::available() {
            let (a, b) = (scene.run(isa, &mut ViewScratch::default()), turned.run(isa, &mut ViewScratch::default()));
            let a: Vec<f64> = a.into_iter().map(f64::from).collect();
            assert_close(&b, &a, "views in another order");
        }
    }
}
