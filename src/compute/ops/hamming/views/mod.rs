//! Attention of each sample over the source views that see it, queries and keys being codes.

mod blend;
mod exchange;

use super::code_views::CodeViews;
use super::codes::words;
use super::logits::{GROUP, logits};
use super::{MOST_TAU, channels};
use crate::Isa;
use crate::ops::{PAD, padded};

/// Scratch of [`blend_codes`], sized as needed.
#[derive(Clone, Debug, Default)]
pub struct ViewScratch {
    tau: Vec<f32>,
    /// `[groups, rows, GROUP]`.
    logits: Vec<f32>,
    /// As the logits, and a register more.
    weights: Vec<f32>,
    /// Last columns of a sample's values, filled up to a register.
    tail: Vec<f32>,
}

/// `y[s, h] = Σ_v softmax_v(tau_h·(d − 2·hamming) + bias_vh)·values_v` for each sample and head, `d = channels / heads`;
/// zeros for a sample without rows. Columns of `y` from `width` to the padded width become zero.
///
/// # Shapes
/// - `y`: `[samples, heads, padded(width)]`
///
/// # Panics
/// If sizes disagree or heads have more than 64 channels.
// 192 samples with 10 rows, 64 channels, 4 heads and 72 values a row: 29 us on one AVX2 core (Zen 3, other work running,
// best of 200) where `blend_views` with 64 channels and 8 hidden ones takes 105 us.
pub fn blend_codes(isa: Isa, views: CodeViews, scratch: &mut ViewScratch, y: &mut [f32]) {
    let CodeViews { channels: c, heads, tau, .. } = views;
    channels(c, heads);
    let (samples, codes) = (views.uniform.len(), words(c));
    assert_eq!(tau.len(), heads, "one factor a head");
    assert!(views.width > 0, "values of no width");
    assert_eq!(views.rows.len(), samples + 1, "first rows of {samples} samples and the end");
    assert!(views.rows.windows(2).all(|w| w[0] <= w[1]), "rows in order");
    let last = views.rows[samples] as usize;
    assert!(y.len() >= samples * heads * padded(views.width), "{} values of y", y.len());
    assert!(views.query.len() >= samples * codes, "{} words of queries", views.query.len());
    if last > 0 {
        let before = last - 1;
        assert!(views.keys.len() >= before * views.key_stride + codes, "{} words of keys", views.keys.len());
        assert!(views.bias.len() >= before * views.bias_stride + heads, "{} biases", views.bias.len());
        assert!(views.values.len() >= before * views.value_stride + views.width, "{} values", views.values.len());
    }
    let most = views.rows.windows(2).map(|w| (w[1] - w[0]) as usize).max().unwrap_or(0);
    scratch.tau.clear();
    scratch.tau.extend(tau.iter().map(|tau| tau.clamp(-MOST_TAU, MOST_TAU)));
    scratch.logits.resize(heads.div_ceil(GROUP) * last * GROUP, 0.0);
    scratch.weights.resize(scratch.logits.len() + PAD, 0.0);
    scratch.tail.resize(most * PAD, 0.0);
    logits(isa, views, &scratch.tau, &mut scratch.logits);
    let ViewScratch { logits, weights, tail, .. } = scratch;
    // SAFETY: the slices were measured above, and scratch has room for the sample with most rows.
    unsafe { blend::blend(isa, views, logits, weights, tail, y) };
}
