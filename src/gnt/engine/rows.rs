//! The tokens of a ray, or of some: one row for each (sample, view) pair that counts.

use super::PreparedSource;
use super::project::{Ask, Projected, project};
use super::source::FeatureMaps;
use super::weights::Weights;
use crate::projection::Taps;
use compute::Isa;
use compute::ops::gather::{LookUp, gather, gather8};
use compute::ops::padded;
use compute::ops::product::Epilogue;
use compute::ops::product8::{Rows8, Sign, product8};
use compute::simd::Simd;
use layers::linear::engine::Matrix;
use layers::view_attention::rows::TokenRows;
use scene::Ray;

/// Tokens of a ray, with where they come from.
#[derive(Clone, Debug, Default)]
pub struct Rows {
    /// What the attentions read.
    pub tokens: TokenRows,
    /// Where each row reads its source, and its colour.
    pub look_ups: Vec<LookUp>,
    looked_up: LookedUp,
    /// Views that do not see a sample but touch it within a pixel of their border; only a maximum over views reads them.
    pub(super) border: Vec<LookUp>,
    pub(super) border_sample: Vec<u32>,
    /// For each sample, whether some view shows nothing at all there.
    pub(super) blank: Vec<bool>,
    pub(super) projected: Vec<Projected>,
}

/// What the first token layer makes of look-ups, `[look-ups, C]`.
#[derive(Clone, Debug, Default)]
struct LookedUp {
    values: Vec<f32>,
    bytes: Rows8,
}

impl LookedUp {
    /// Tokens of the look-ups, `[look-ups, C]`, rows `stride` apart.
    fn tokens(
        &mut self,
        isa: Isa,
        weights: &Weights,
        maps: &FeatureMaps,
        look_ups: &[LookUp],
        tokens: &mut [f32],
        stride: usize,
    ) {
        let (c, count) = (weights.width(), look_ups.len());
        let Self { values, bytes } = self;
        match (maps, &weights.look_ups) {
            (FeatureMaps::Bytes(maps), Matrix::Bytes(token)) => {
                gather8(isa, look_ups, maps, &weights.colour, c, bytes);
                product8(isa, bytes, token, tokens, stride, Epilogue::Store);
            }
            (FeatureMaps::Bytes(_), _) => unreachable!("maps are asked for as the token layer reads them"),
            (FeatureMaps::Exact(maps), token) => {
                values.resize(values.len().max(count * c), 0.0);
                gather(isa, look_ups, maps, &weights.colour, c, values);
                token.apply(isa, count, (values, c, Sign::NonNegative), bytes, (tokens, stride), Epilogue::Store);
            }
        }
    }
}

impl Rows {
    /// Projects the samples of some rays, at `depths` `[rays, samples]`, into all sources and computes their tokens.
    ///
    /// `all_views` keeps the tokens of views that do not see a sample for [`Rows::maximum`].
    pub fn build(
        &mut self,
        isa: Isa,
        weights: &Weights,
        sources: &[&PreparedSource],
        maps: &FeatureMaps,
        rays: &[Ray],
        depths: &[f32],
        all_views: bool,
    ) {
        let (c, hidden, key_words) = (weights.width(), weights.hidden, weights.key_words());
        let rows = &mut self.tokens;
        rows.hidden = hidden;
        rows.stride = hidden + c + 4;
        rows.first.clear();
        rows.first.push(0);
        rows.uniform.clear();
        rows.values.resize(depths.len() * sources.len() * rows.stride + padded(c), 0.0);
        self.look_ups.clear();
        self.border.clear();
        self.border_sample.clear();
        self.blank.clear();
        let how = Ask { all_views, visibility: weights.visibility, key_words };
        project(isa, self, sources, rays, depths, how, hidden + c);
        let (rows, look_ups) = (&mut self.tokens, &self.look_ups);
        self.looked_up.tokens(isa, weights, maps, look_ups, &mut rows.values[hidden..], rows.stride);
        rows.key_words = key_words;
        rows.keys.clear();
        match key_words {
            0 => {}
            // A number that is known when this is compiled spares a call for each row.
            2 => codes_of::<2>(look_ups, sources, &mut rows.keys),
            4 => codes_of::<4>(look_ups, sources, &mut rows.keys),
            8 => codes_of::<8>(look_ups, sources, &mut rows.keys),
            _ => {
                for at in look_ups {
                    let pixel = nearest(at) as usize * key_words;
                    rows.keys.extend_from_slice(&sources[at.view as usize].keys[pixel..pixel + key_words]);
                }
            }
        }
        // The product pads no columns, because `C` is a multiple of the padding; directions stay as they are.
        debug_assert_eq!(c, padded(c));
    }

    /// `q` `[samples, C]` = maximum of the tokens over all views, seen or not.
    pub fn maximum(&mut self, isa: Isa, weights: &Weights, maps: &FeatureMaps, q: &mut [f32]) {
        let (c, rows) = (weights.width(), &self.tokens);
        for (s, q) in q.chunks_exact_mut(c).enumerate() {
            q.fill(f32::MIN);
            if self.blank[s] && !rows.uniform[s] {
                q.copy_from_slice(&weights.outside);
            }
            for row in rows.first[s] as usize..rows.first[s + 1] as usize {
                q.iter_mut().zip(rows.token(row)).for_each(|(q, t)| *q = q.max(*t));
            }
        }
        if self.border.is_empty() {
            return;
        }
        let mut tokens = vec![0.0; self.border.len() * c];
        self.looked_up.tokens(isa, weights, maps, &self.border, &mut tokens, c);
        for (token, s) in tokens.chunks_exact(c).zip(&self.border_sample) {
            let q = &mut q[*s as usize * c..][..c];
            q.iter_mut().zip(token).for_each(|(q, t)| *q = q.max(*t));
        }
    }

    /// `out` `[samples, 2C]` = mean and variance of the tokens over the views that see each sample; zeros if none does.
    pub fn moments(&self, isa: Isa, c: usize, out: &mut [f32]) {
        let TokenRows { values, stride, first, uniform, hidden, .. } = &self.tokens;
        let last = *first.last().unwrap_or(&0) as usize;
        assert!(first.is_sorted() && first.len() == uniform.len() + 1, "rows in order");
        assert!(c.is_multiple_of(8) && hidden + c <= *stride, "tokens of {c} channels in rows of {stride}");
        assert!(
            out.len() == uniform.len() * 2 * c && values.len() >= last * stride,
            "{} values of {last} rows",
            values.len()
        );
        // SAFETY: just checked; the width is a multiple of the lanes.
        unsafe { moments(isa.for_width(c), values, *stride, first, uniform, *hidden, c, out) };
    }
}

/// The pixel of a look-up's greatest weight.
#[inline(always)]
fn nearest(at: &LookUp) -> u32 {
    Taps { index: at.index, weight: at.weight }.nearest()
}

/// Appends the codes of the keys at each look-up's nearest pixel, `N` words each.
#[inline(always)]
fn codes_of<const N: usize>(look_ups: &[LookUp], sources: &[&PreparedSource], keys: &mut Vec<u64>) {
    for at in look_ups {
        keys.extend(sources[at.view as usize].keys.as_chunks::<N>().0[nearest(at) as usize]);
    }
}

compute::simd_fn! {
    /// # Safety
    /// `c` is a multiple of the lanes, rows have as many values from column `hidden` on, `first` names rows that are there, and
    /// `out` has `2c` values for each sample.
    unsafe fn moments(
        isa: Isa, values: &[f32], stride: usize, first: &[u32], uniform: &[bool], hidden: usize, c: usize,
        out: &mut [f32],
    ) => moments_kernel
}

/// # Safety
/// The instructions of `S` are available; the rest as [`moments`].
#[inline(always)]
unsafe fn moments_kernel<S: Simd>(
    values: &[f32],
    stride: usize,
    first: &[u32],
    uniform: &[bool],
    hidden: usize,
    c: usize,
    out: &mut [f32],
) {
    for (s, out) in out.chunks_exact_mut(2 * c).enumerate() {
        let rows = first[s] as usize..first[s + 1] as usize;
        if uniform[s] || rows.is_empty() {
            out.fill(0.0);
            continue;
        }
        // SAFETY: as the caller vouches.
        unsafe {
            let scale = S::splat(1.0 / rows.len() as f32);
            for i in (0..c).step_by(S::LANES) {
                let value = |row: usize| S::load(values.as_ptr().add(row * stride + hidden + i));
                let mut sum = S::splat(0.0);
                for row in rows.clone() {
                    sum = S::add(sum, value(row));
                }
                let mean = S::mul(sum, scale);
                let mut squares = S::splat(0.0);
                for row in rows.clone() {
                    let d = S::sub(value(row), mean);
                    squares = S::fma(d, d, squares);
                }
                S::store(out.as_mut_ptr().add(i), mean);
                S::store(out.as_mut_ptr().add(c + i), S::mul(squares, scale));
            }
        }
    }
}
