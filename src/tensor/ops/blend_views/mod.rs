//! The core of the view attention: hidden logits, logits, softmax over views per channel, and the blend of the values,
//! without a tensor of logits or weights.

mod cpu;

use super::padded;
use crate::Level;

/// What a blend reads; rows are the (sample, view) pairs that count, sample after sample.
#[derive(Clone, Copy, Debug)]
pub struct Views<'a> {
    /// First row of each sample, and the end: `samples + 1` entries.
    pub rows: &'a [u32],
    /// For each sample, whether all its rows get the same weight (no view sees it).
    pub uniform: &'a [bool],
    /// `[rows, C | H]`, `mixed_stride` apart: values and hidden logits before the query is subtracted.
    pub mixed: &'a [f32],
    /// Distance between rows of `mixed`.
    pub mixed_stride: usize,
    /// `[samples, H]`, padded: the queries.
    pub query: &'a [f32],
}

/// `y[s] = Σ_v softmax_v(relu(h_v − query_s) · W) · value_v` for each sample and channel.
///
/// # Shapes
/// - `weight`: `[H, C]`
/// - `y`: `[samples, C]`; `C` is a multiple of 8
/// - `hidden`, `logits`: scratch, resized as needed
pub fn blend_views(
    level: Level,
    views: Views,
    weight: &[f32],
    c: usize,
    h: usize,
    hidden: &mut Vec<f32>,
    logits: &mut Vec<f32>,
    y: &mut [f32],
) {
    let samples = views.uniform.len();
    let last = views.rows.last().map_or(0, |r| *r as usize);
    assert!(c.is_multiple_of(8) && weight.len() == h * c && views.rows.len() == samples + 1);
    assert!(views.rows.windows(2).all(|w| w[0] <= w[1]), "rows in order");
    assert!(y.len() >= samples * c && views.query.len() >= samples * padded(h));
    assert!(last == 0 || views.mixed.len() >= (last - 1) * views.mixed_stride + c + h);
    let most = views.rows.windows(2).map(|w| (w[1] - w[0]) as usize).max().unwrap_or(0);
    hidden.resize(most * h, 0.0);
    logits.resize(most * 16, 0.0);
    let level = if c.is_multiple_of(16) { level } else { level.min(Level::Avx2) };
    cpu::blend_views(level, views, weight, c, h, hidden, logits, y);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equals_the_plain_computation() {
        for (c, h) in [(16, 3), (32, 8), (24, 5)] {
            let value = |i: usize| ((i * 37 + 11) % 97) as f32 / 40.0 - 1.2;
            let rows = [0u32, 3, 3 + 1, 3 + 1 + 7, 3 + 1 + 7 + 2];
            let uniform = [false, false, false, true];
            let stride = c + h + 2;
            let mixed: Vec<f32> = (0..13 * stride).map(value).collect();
            let query: Vec<f32> = (0..4 * padded(h)).map(|i| value(i + 5) * 0.5).collect();
            let weight: Vec<f32> = (0..h * c).map(|i| value(i * 3)).collect();
            let views = Views { rows: &rows, uniform: &uniform, mixed: &mixed, mixed_stride: stride, query: &query };
            for level in [Level::Portable, Level::Avx2, Level::Avx512] {
                let (mut y, mut a, mut b) = (vec![0.0; 4 * c], Vec::new(), Vec::new());
                blend_views(level, views, &weight, c, h, &mut a, &mut b, &mut y);
                for s in 0..4 {
                    for i in 0..c {
                        let range = rows[s] as usize..rows[s + 1] as usize;
                        let logit = |r: usize| -> f64 {
                            let hidden =
                                |j: usize| f64::from(mixed[r * stride + c + j] - query[s * padded(h) + j]).max(0.0);
                            (0..h).map(|j| hidden(j) * f64::from(weight[j * c + i])).sum()
                        };
                        let power = |r: usize| if uniform[s] { 1.0 } else { logit(r).exp() };
                        let total: f64 = range.clone().map(power).sum();
                        let want: f64 = range.map(|r| power(r) / total * f64::from(mixed[r * stride + i])).sum();
                        assert!((f64::from(y[s * c + i]) - want).abs() < 1e-5, "{level:?} {c} {h} at {s},{i}");
                    }
                }
            }
        }
    }
}
