//! Logits of every (row, head) of a view attention on codes.

use super::code_views::CodeViews;
use super::codes::{field, words};
use crate::Isa;

/// Logits beyond this are cut off, so that differences of infinite biases are numbers.
const MOST: f32 = 1e37;

/// Heads whose logits lie side by side: one word of codes of sixteen channels.
pub const GROUP: usize = 4;

/// `tau_h·(d − 2·hamming) + bias`.
///
/// # Shapes
/// - `tau`: `[heads]`, finite; taken instead of that of `views`
/// - `logits`: `[groups, rows, GROUP]`, `groups = ceil(heads / GROUP)`; zero where the last group has no head
pub fn logits(isa: Isa, views: CodeViews, tau: &[f32], logits: &mut [f32]) {
    let (d, heads, codes) = (views.channels / views.heads, views.heads, words(views.channels));
    let rows = *views.rows.last().unwrap_or(&0) as usize;
    let logits = &mut logits[..heads.div_ceil(GROUP) * rows * GROUP];
    if rows == 0 {
        return;
    }
    if d == 16 {
        assert!(tau.len() == heads && views.rows.is_sorted(), "rows in order");
        assert!(views.query.len() >= (views.rows.len() - 1) * codes, "{} words of queries", views.query.len());
        assert!(views.keys.len() >= (rows - 1) * views.key_stride + codes, "{} words of keys", views.keys.len());
        assert!(views.bias.len() >= (rows - 1) * views.bias_stride + heads, "{} biases", views.bias.len());
        // SAFETY: the slices were just measured.
        return unsafe { of_sixteen(isa, views, codes, tau, logits) };
    }
    of_any(isa, views, d, tau, logits);
}

crate::simd_fn! {
    /// Heads of 16 channels.
    ///
    /// # Safety
    /// Queries, keys and biases of all samples and rows are there, and room for the logits.
    unsafe fn of_sixteen(isa: Isa, views: CodeViews, codes: usize, tau: &[f32], logits: &mut [f32]) => {
        // SAFETY: the caller vouches for the slices.
        avx2 => unsafe { x86::sixteen(views, codes, tau, logits) },
        portable => plain(views, 16, tau, logits),
    }
}

crate::simd_fn! {
    /// Heads of `d` channels.
    fn of_any(isa: Isa, views: CodeViews, d: usize, tau: &[f32], logits: &mut [f32]) => {
        avx2 => plain(views, d, tau, logits),
        portable => plain(views, d, tau, logits),
    }
}

#[inline(always)]
fn plain(views: CodeViews, d: usize, tau: &[f32], logits: &mut [f32]) {
    let (codes, rows) = (words(views.channels), logits.len() / tau.len().div_ceil(GROUP) / GROUP);
    for (group, (logits, tau)) in logits.chunks_exact_mut(rows * GROUP).zip(tau.chunks(GROUP)).enumerate() {
        for (s, pair) in views.rows.windows(2).enumerate() {
            let query = &views.query[s * codes..][..codes];
            let mut parts = [0; GROUP];
            for h in 0..tau.len() {
                parts[h] = field(query, (group * GROUP + h) * d, d);
            }
            for r in pair[0] as usize..pair[1] as usize {
                let key = &views.keys[r * views.key_stride..][..codes];
                let bias = &views.bias[r * views.bias_stride + group * GROUP..][..tau.len()];
                let mut of_row = [0.0; GROUP];
                for h in 0..tau.len() {
                    let bits = (parts[h] ^ field(key, (group * GROUP + h) * d, d)).count_ones();
                    let dot = d as f32 - 2.0 * bits as f32;
                    of_row[h] = (tau[h] * dot + bias[h]).clamp(-MOST, MOST);
                }
                logits[r * GROUP..][..GROUP].copy_from_slice(&of_row);
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::{CodeViews, GROUP, MOST};
    use std::arch::x86_64::*;

    /// One word of codes at a time, which four heads of 16 channels share.
    ///
    /// # Safety
    /// As [`super::of_sixteen`].
    #[target_feature(enable = "avx2,fma")]
    pub unsafe fn sixteen(views: CodeViews, codes: usize, tau: &[f32], logits: &mut [f32]) {
        let four = _mm_setr_epi8(0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4);
        let (low, one) = (_mm_set1_epi8(15), _mm_set1_epi8(1));
        let (most, least) = (_mm_set1_ps(MOST), _mm_set1_ps(-MOST));
        let (d, minus_two) = (_mm_set1_ps(16.0), _mm_set1_ps(-2.0));
        let rows = logits.len() / codes / GROUP;
        for (w, tau) in tau.chunks(GROUP).enumerate() {
            let mut factors = [0.0; GROUP];
            factors[..tau.len()].copy_from_slice(tau);
            let mut present = [0; GROUP];
            present[..tau.len()].fill(-1);
            for (s, pair) in views.rows.windows(2).enumerate() {
                // SAFETY: a code has a word for each group; lanes without a head are not loaded; rows as the caller says.
                unsafe {
                    let (factors, present) = (_mm_loadu_ps(factors.as_ptr()), _mm_loadu_si128(present.as_ptr().cast()));
                    let query = *views.query.as_ptr().add(s * codes + w);
                    for r in pair[0] as usize..pair[1] as usize {
                        let key = *views.keys.as_ptr().add(r * views.key_stride + w);
                        let differ = _mm_cvtsi64_si128((query ^ key) as i64);
                        let even = _mm_shuffle_epi8(four, _mm_and_si128(differ, low));
                        let odd = _mm_shuffle_epi8(four, _mm_and_si128(_mm_srli_epi16::<4>(differ), low));
                        let bits = _mm_maddubs_epi16(_mm_add_epi8(even, odd), one);
                        let dot = _mm_fmadd_ps(_mm_cvtepi32_ps(_mm_cvtepu16_epi32(bits)), minus_two, d);
                        let bias = views.bias.as_ptr().add(r * views.bias_stride + w * GROUP);
                        let logit = _mm_fmadd_ps(factors, dot, _mm_maskload_ps(bias, present));
                        let logit = _mm_max_ps(_mm_min_ps(logit, most), least);
                        _mm_storeu_ps(logits.as_mut_ptr().add((w * rows + r) * GROUP), logit);
                    }
                }
            }
        }
    }
}
