//! The tokens of some rays as the packed view attentions read them: one row for each (sample, view) pair that counts.

use super::direction::{direction_and_bias2, direction_and_bias4, head_bias, set_direction};
use compute::Isa;

/// Rows of some rays. A row holds the hidden direction `[H]` (rewritten by every block), the token `[C]` and the relative
/// direction `[4]`, so that products read their inputs side by side. Views that do not see a sample have no row there,
/// which changes nothing: their weight is 0.
#[derive(Clone, Debug, Default)]
pub struct TokenRows {
    /// `[rows, stride]`, and room for a product that writes past the last token.
    pub values: Vec<f32>,
    /// `H + C + 4`.
    pub stride: usize,
    /// H.
    pub hidden: usize,
    /// First row of each sample, and the end.
    pub first: Vec<u32>,
    /// For each sample, whether no view sees it; then all views have rows.
    pub uniform: Vec<bool>,
    /// Codes of the keys of all blocks `[rows, key_words]`.
    pub keys: Vec<u64>,
    /// Words of a row of `keys`; 0 where no block reads them.
    pub key_words: usize,
}

impl TokenRows {
    /// The token of a row, `[C]`.
    #[inline(always)]
    pub fn token(&self, row: usize) -> &[f32] {
        &self.values[row * self.stride + self.hidden..(row + 1) * self.stride - 4]
    }

    /// Runs of samples whose rows are about `most` together (at least one sample a run): first sample and end.
    pub fn groups(&self, most: usize) -> Vec<(usize, usize)> {
        let samples = self.uniform.len();
        let mut groups = Vec::new();
        let mut s = 0;
        while s < samples {
            let mut end = s + 1;
            while end < samples && (self.first[end + 1] - self.first[s]) as usize <= most {
                end += 1;
            }
            groups.push((s, end));
            s = end;
        }
        groups
    }

    /// Writes the hidden direction of rows `from..to` for a block: `max(direction · W + b, 0)`, `weight` being `[5, H]`.
    pub fn set_direction(&mut self, isa: Isa, from: usize, to: usize, weight: &[f32]) {
        let rows = &mut self.values[from * self.stride..to * self.stride];
        set_direction(isa, rows, self.stride, self.hidden, weight);
    }

    /// As [`TokenRows::set_direction`], and what the hidden direction adds to each head's logit: `bias` `[rows, heads]`
    /// becomes `hidden · head_weight`, `head_weight` being `[H, heads]`.
    pub fn set_direction_and_bias(
        &mut self,
        isa: Isa,
        from: usize,
        to: usize,
        weight: &[f32],
        head_weight: &[f32],
        bias: &mut [f32],
    ) {
        let hidden = self.hidden;
        let (rows, stride) = (&mut self.values[from * self.stride..to * self.stride], self.stride);
        match head_weight.len() / hidden {
            2 if hidden == 8 => direction_and_bias2(isa, rows, stride, weight, head_weight, bias),
            4 if hidden == 8 => direction_and_bias4(isa, rows, stride, weight, head_weight, bias),
            heads => {
                set_direction(isa, rows, stride, hidden, weight);
                head_bias(isa, rows, stride, hidden, heads, head_weight, bias);
            }
        }
    }
}
