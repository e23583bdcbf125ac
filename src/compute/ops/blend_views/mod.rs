//! The core of the view attention: hidden logits, logits, softmax over views per channel, and the blend of the values,
//! without a tensor of logits or weights.

mod cpu;

use super::{PAD, padded};
use crate::Isa;

/// What a blend reads; rows are the (sample, view) pairs that count, sample after sample.
#[derive(Clone, Copy, Debug)]
pub struct Views<'a> {
    /// First row of each sample, and the end: `samples + 1` entries.
    pub rows: &'a [u32],
    /// For each sample, whether all its rows get the same weight (no view sees it).
    pub uniform: &'a [bool],
    /// `[rows, width | hidden]`, `mixed_stride` apart: values and hidden logits before the query is subtracted.
    pub mixed: &'a [f32],
    /// Distance between rows of `mixed`.
    pub mixed_stride: usize,
    /// `[samples, hidden]`, padded: the queries.
    pub query: &'a [f32],
    /// `[hidden, width]`: from hidden logits to those of each channel.
    pub weight: &'a [f32],
    /// Channels that are blended, a multiple of 8.
    pub width: usize,
    /// Hidden logits.
    pub hidden: usize,
}

/// Scratch of [`blend_views`], sized as needed.
#[derive(Clone, Debug, Default)]
pub struct Scratch {
    /// `[rows of a sample, hidden]`.
    hidden: Vec<f32>,
    /// `[rows of a sample, lanes]`.
    logits: Vec<f32>,
}

/// `y[s] = Σ_v softmax_v(relu(h_v − query_s) · weight) · value_v` for each sample and channel.
///
/// # Shapes
/// - `y`: `[samples, width]`
pub fn blend_views(isa: Isa, views: Views, scratch: &mut Scratch, y: &mut [f32]) {
    let Views { width: c, hidden: h, .. } = views;
    let samples = views.uniform.len();
    let last = views.rows.last().map_or(0, |r| *r as usize);
    assert!(c.is_multiple_of(8) && views.weight.len() == h * c && views.rows.len() == samples + 1);
    assert!(views.rows.windows(2).all(|w| w[0] <= w[1]), "rows in order");
    assert!(y.len() >= samples * c && views.query.len() >= samples * padded(h));
    assert!(last == 0 || views.mixed.len() >= (last - 1) * views.mixed_stride + c + h);
    let most = views.rows.windows(2).map(|w| (w[1] - w[0]) as usize).max().unwrap_or(0);
    scratch.hidden.resize(most * h, 0.0);
    scratch.logits.resize(most * PAD, 0.0);
    // SAFETY: just checked; scratch has room for the sample with most rows, and the width is a multiple of the lanes.
    unsafe { cpu::blend_views(isa.for_width(c), views, &mut scratch.hidden, &mut scratch.logits, y) };
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
            let views = Views {
                rows: &rows,
                uniform: &uniform,
                mixed: &mixed,
                mixed_stride: stride,
                query: &query,
                weight: &weight,
                width: c,
                hidden: h,
            };
            for isa in Isa::available() {
                let mut y = vec![0.0; 4 * c];
                blend_views(isa, views, &mut Scratch::default(), &mut y);
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
                        assert!((f64::from(y[s * c + i]) - want).abs() < 1e-5, "{isa:?} {c} {h} at {s},{i}");
                    }
                }
            }
        }
    }
}
