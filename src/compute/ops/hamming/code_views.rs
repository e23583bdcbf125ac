//! Codes of samples and of the views that see them.

/// What a blend reads; rows are the (sample, view) pairs that count, sample after sample.
#[derive(Clone, Copy, Debug)]
pub struct CodeViews<'a> {
    /// First row of each sample, and the end: `samples + 1` entries.
    pub rows: &'a [u32],
    /// For each sample, whether all its rows get the same weight (no view sees it).
    pub uniform: &'a [bool],
    /// `[samples, words(c)]`: codes of the queries.
    pub query: &'a [u64],
    /// `[rows, words(c)]`, `key_stride` apart: codes of the keys.
    pub keys: &'a [u64],
    /// Distance between rows of `keys`.
    pub key_stride: usize,
    /// `[rows, heads]`, `bias_stride` apart: what is added to the scores (direction logits).
    pub bias: &'a [f32],
    /// Distance between rows of `bias`.
    pub bias_stride: usize,
    /// `[rows, width]`, `value_stride` apart: what is blended; every head blends all of it.
    pub values: &'a [f32],
    /// Distance between rows of `values`.
    pub value_stride: usize,
    /// Values of a row.
    pub width: usize,
    /// Channels of all heads together: bits of a code.
    pub channels: usize,
    /// Number of heads.
    pub heads: usize,
    /// `[heads]`: the factor on each head's scores.
    pub tau: &'a [f32],
}
