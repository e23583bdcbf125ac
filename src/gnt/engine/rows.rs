//! The tokens of one ray: one row for each (sample, view) pair that counts.

use super::PreparedSource;
use super::weights::Weights;
use crate::projection::{Projection8, Taps, taps, toward};
use crate::surface::{CLEARANCE, HIDDEN};
use compute::Isa;
use compute::ops::gather::{LookUp, gather};
use compute::ops::padded;
use compute::ops::product::{Epilogue, product};
use glam::Vec2;
use layers::view_attention::rows::TokenRows;
use scene::Ray;

/// Tokens of a ray, with where they come from.
#[derive(Clone, Debug, Default)]
pub struct Rows {
    /// What the attentions read.
    pub tokens: TokenRows,
    /// Where each row reads its source, and its colour.
    pub look_ups: Vec<LookUp>,
    hidden: Vec<f32>,
    /// Views that do not see a sample but touch it within a pixel of their border; only a maximum over views reads them.
    border: Vec<LookUp>,
    border_sample: Vec<u32>,
    /// For each sample, whether some view shows nothing at all there.
    blank: Vec<bool>,
    projected: Vec<Projection8>,
}

impl Rows {
    /// Projects the samples of a ray into all sources and computes their tokens.
    ///
    /// `all_views` keeps the tokens of views that do not see a sample for [`Rows::maximum`].
    pub fn build(
        &mut self,
        isa: Isa,
        weights: &Weights,
        sources: &[&PreparedSource],
        maps: &[&[f32]],
        ray: &Ray,
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
        let how = Looks { all_views, visibility: weights.visibility };
        project(isa, self, sources, ray, depths, how, hidden + c);
        let count = self.look_ups.len();
        self.hidden.resize(count.max(self.border.len()) * c, 0.0);
        gather(isa, &self.look_ups, maps, &weights.colour, c, &mut self.hidden);
        let rows = &mut self.tokens;
        let tokens = &mut rows.values[hidden..];
        product(isa, count, &self.hidden, c, &weights.token, tokens, rows.stride, Epilogue::Store);
        rows.key_words = key_words;
        rows.keys.clear();
        if key_words > 0 {
            for at in &self.look_ups {
                let pixel = nearest(at) as usize * key_words;
                rows.keys.extend_from_slice(&sources[at.view as usize].keys[pixel..pixel + key_words]);
            }
        }
        // The product pads no columns, because `C` is a multiple of the padding; directions stay as they are.
        debug_assert_eq!(c, padded(c));
    }

    /// `q` `[samples, C]` = maximum of the tokens over all views, seen or not.
    pub fn maximum(&mut self, isa: Isa, weights: &Weights, maps: &[&[f32]], q: &mut [f32]) {
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
        gather(isa, &self.border, maps, &weights.colour, c, &mut self.hidden);
        let mut tokens = vec![0.0; self.border.len() * c];
        product(isa, self.border.len(), &self.hidden, c, &weights.token, &mut tokens, c, Epilogue::Store);
        for (token, s) in tokens.chunks_exact(c).zip(&self.border_sample) {
            let q = &mut q[*s as usize * c..][..c];
            q.iter_mut().zip(token).for_each(|(q, t)| *q = q.max(*t));
        }
    }

    /// `out` `[samples, 2C]` = mean and variance of the tokens over the views that see each sample; zeros if none does.
    pub fn moments(&self, isa: Isa, c: usize, out: &mut [f32]) {
        let TokenRows { values, stride, first, uniform, hidden, .. } = &self.tokens;
        moments(isa, values, *stride, first, uniform, *hidden, c, out);
    }
}

/// The pixel of a look-up's greatest weight.
#[inline(always)]
fn nearest(at: &LookUp) -> u32 {
    Taps { index: at.index, weight: at.weight }.nearest()
}

/// What is asked of the views.
#[derive(Clone, Copy)]
struct Looks {
    /// Also those that do not see a sample, for a maximum.
    all_views: bool,
    /// Which of them a sample is hidden from.
    visibility: bool,
}

/// Tells the samples how far they lie before the surfaces that the views see, and takes the views that a sample is hidden from
/// out, unless it is hidden from all that see its place.
#[inline(always)]
fn leave_hidden_out(projected: &mut [Projection8], sources: &[&PreparedSource]) {
    let mut open = [false; 8];
    for (p, source) in projected.iter_mut().zip(sources) {
        for i in 0..8 {
            let clearance = source.visibility().clearance(Vec2::new(p.x[i], p.y[i]), p.z[i]);
            p.direction[CLEARANCE][i] = clearance.unwrap_or(0.0);
            open[i] |= p.visible[i] & (p.direction[CLEARANCE][i] >= HIDDEN);
        }
    }
    for p in projected {
        for i in 0..8 {
            p.visible[i] &= !open[i] | (p.direction[CLEARANCE][i] >= HIDDEN);
        }
    }
}

compute::simd_fn! {
    /// Fills the rows' look-ups and directions, which start at column `direction`.
    fn project(
        isa: Isa, rows: &mut Rows, sources: &[&PreparedSource], ray: &Ray, depths: &[f32],
        how: Looks, direction: usize,
    ) {
        let views = sources.len();
        rows.projected.resize(views, Projection8::default());
        for (chunk, depths) in depths.chunks(8).enumerate() {
            let (mut points, mut to_target) = ([[0.0; 8]; 3], [[0.0; 8]; 3]);
            for i in 0..8 {
                // The last chunk is filled up with its last sample.
                let point = depths[i.min(depths.len() - 1)] * ray.direction + ray.origin;
                let unit = toward(point, ray.origin);
                for c in 0..3 {
                    points[c][i] = point[c];
                    to_target[c][i] = unit[c];
                }
            }
            for (out, source) in rows.projected.iter_mut().zip(sources) {
                *out = source.projector.project8(&points, &to_target);
            }
            if how.visibility {
                leave_hidden_out(&mut rows.projected, sources);
            }
            for i in 0..depths.len() {
                let seen = rows.projected.iter().any(|p| p.visible[i]);
                let mut blank = false;
                for (v, source) in sources.iter().enumerate() {
                    let p = &rows.projected[v];
                    // A sample that no view sees takes all of them.
                    let row = p.visible[i] || !seen;
                    if !row && !how.all_views {
                        continue;
                    }
                    let pixel = Vec2::new(p.x[i], p.y[i]);
                    let taps = taps(pixel, source.size(), source.map_size);
                    let colour = source.colour(pixel);
                    let look_up = LookUp { view: v as u32, index: taps.index, weight: taps.weight, colour };
                    if row {
                        let at = rows.look_ups.len() * rows.tokens.stride + direction;
                        rows.tokens.values[at..at + 4].copy_from_slice(&p.direction.map(|d| d[i]));
                        rows.look_ups.push(look_up);
                    } else if taps.weight == [0.0; 4] && colour == [0.0; 3] {
                        blank = true;
                    } else {
                        rows.border.push(look_up);
                        rows.border_sample.push((8 * chunk + i) as u32);
                    }
                }
                rows.tokens.uniform.push(!seen);
                rows.blank.push(blank);
                rows.tokens.first.push(rows.look_ups.len() as u32);
            }
        }
    }
}

compute::simd_fn! {
    fn moments(
        isa: Isa, values: &[f32], stride: usize, first: &[u32], uniform: &[bool], hidden: usize, c: usize,
        out: &mut [f32],
    ) {
        for (s, out) in out.chunks_exact_mut(2 * c).enumerate() {
            out.fill(0.0);
            if uniform[s] {
                continue;
            }
            let rows = first[s] as usize..first[s + 1] as usize;
            let scale = 1.0 / rows.len().max(1) as f32;
            let (mean, variance) = out.split_at_mut(c);
            for row in rows.clone() {
                let token = &values[row * stride + hidden..][..c];
                for i in 0..c {
                    mean[i] += token[i] * scale;
                }
            }
            for row in rows {
                let token = &values[row * stride + hidden..][..c];
                for i in 0..c {
                    let d = token[i] - mean[i];
                    variance[i] += d * d * scale;
                }
            }
        }
    }
}
