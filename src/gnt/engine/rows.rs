//! The tokens of one ray: one row for each (sample, view) pair that counts.

use super::PreparedSource;
use super::direction::{direction_and_bias2, direction_and_bias4, head_bias, set_direction};
use super::weights::Weights;
use crate::projection::{Projection8, Taps, taps, toward};
use glam::Vec2;
use scene::Ray;
use tensor::Level;
use tensor::ops::gather::{LookUp, gather};
use tensor::ops::padded;
use tensor::ops::product::{Epilogue, product};

/// Rows of a ray. A row holds the hidden direction `[H]` (rewritten by every block), the token `[C]` and the relative
/// direction `[4]`, so that products read their inputs side by side.
#[derive(Clone, Debug, Default)]
pub struct Rows {
    /// `[rows, stride]`.
    pub values: Vec<f32>,
    /// `H + C + 4`.
    pub stride: usize,
    /// First row of each sample, and the end.
    pub first: Vec<u32>,
    /// For each sample, whether no view sees it; then all views have rows.
    pub uniform: Vec<bool>,
    /// Codes of the keys of all blocks `[rows, key_words]`.
    pub keys: Vec<u64>,
    /// Words of a row of `keys`; 0 where no block reads them.
    pub key_words: usize,
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
        level: Level,
        weights: &Weights,
        hidden: usize,
        key_words: usize,
        sources: &[&PreparedSource],
        maps: &[&[f32]],
        ray: &Ray,
        depths: &[f32],
        all_views: bool,
    ) {
        let c = weights.outside.len();
        self.stride = hidden + c + 4;
        self.first.clear();
        self.first.push(0);
        self.uniform.clear();
        self.look_ups.clear();
        self.border.clear();
        self.border_sample.clear();
        self.blank.clear();
        self.values.resize(depths.len() * sources.len() * self.stride + padded(c), 0.0);
        project(self, sources, ray, depths, all_views, hidden + c);
        let rows = self.look_ups.len();
        self.hidden.resize(rows.max(self.border.len()) * c, 0.0);
        gather(level, &self.look_ups, maps, &weights.colour, c, &mut self.hidden);
        let tokens = &mut self.values[hidden..];
        product(level, rows, &self.hidden, c, &weights.token, tokens, self.stride, Epilogue::Store);
        self.key_words = key_words;
        self.keys.clear();
        if key_words > 0 {
            for at in &self.look_ups {
                let pixel = nearest(at) as usize * key_words;
                self.keys.extend_from_slice(&sources[at.view as usize].keys[pixel..pixel + key_words]);
            }
        }
        // The product pads no columns, because `C` is a multiple of the padding; directions stay as they are.
        debug_assert_eq!(c, padded(c));
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

    /// `q` `[samples, C]` = maximum of the tokens over all views, seen or not.
    pub fn maximum(&mut self, level: Level, weights: &Weights, hidden: usize, maps: &[&[f32]], q: &mut [f32]) {
        let c = weights.outside.len();
        for (s, q) in q.chunks_exact_mut(c).enumerate() {
            q.fill(f32::MIN);
            if self.blank[s] && !self.uniform[s] {
                q.copy_from_slice(&weights.outside);
            }
            for row in self.first[s] as usize..self.first[s + 1] as usize {
                let token = &self.values[row * self.stride + hidden..][..c];
                q.iter_mut().zip(token).for_each(|(q, t)| *q = q.max(*t));
            }
        }
        if self.border.is_empty() {
            return;
        }
        gather(level, &self.border, maps, &weights.colour, c, &mut self.hidden);
        let mut tokens = vec![0.0; self.border.len() * c];
        product(level, self.border.len(), &self.hidden, c, &weights.token, &mut tokens, c, Epilogue::Store);
        for (token, s) in tokens.chunks_exact(c).zip(&self.border_sample) {
            let q = &mut q[*s as usize * c..][..c];
            q.iter_mut().zip(token).for_each(|(q, t)| *q = q.max(*t));
        }
    }

    /// `out` `[samples, 2C]` = mean and variance of the tokens over the views that see each sample; zeros if none does.
    pub fn moments(&self, hidden: usize, c: usize, out: &mut [f32]) {
        moments(&self.values, self.stride, &self.first, &self.uniform, hidden, c, out);
    }

    /// As [`Rows::set_direction`], and what the hidden direction adds to each head's logit: `bias` `[rows, heads]` becomes
    /// `hidden · head_weight`, `head_weight` being `[H, heads]`.
    pub fn set_direction_and_bias(
        &mut self,
        from: usize,
        to: usize,
        hidden: usize,
        weight: &[f32],
        head_weight: &[f32],
        bias: &mut [f32],
    ) {
        let (rows, stride) = (&mut self.values[from * self.stride..to * self.stride], self.stride);
        match head_weight.len() / hidden {
            2 if hidden == 8 => direction_and_bias2(rows, stride, weight, head_weight, bias),
            4 if hidden == 8 => direction_and_bias4(rows, stride, weight, head_weight, bias),
            heads => {
                set_direction(rows, stride, hidden, weight);
                head_bias(rows, stride, hidden, heads, head_weight, bias);
            }
        }
    }

    /// Writes the hidden direction of rows `from..to` for a block: `max(direction · W + b, 0)`, `weight` being `[5, H]`.
    pub fn set_direction(&mut self, from: usize, to: usize, hidden: usize, weight: &[f32]) {
        let rows = &mut self.values[from * self.stride..to * self.stride];
        set_direction(rows, self.stride, hidden, weight);
    }
}

/// The pixel of a look-up's greatest weight.
#[inline(always)]
fn nearest(at: &LookUp) -> u32 {
    Taps { index: at.index, weight: at.weight }.nearest()
}

tensor::simd_fn! {
    /// Fills the rows' look-ups and directions, which start at column `direction`.
    fn project(rows: &mut Rows, sources: &[&PreparedSource], ray: &Ray, depths: &[f32], all_views: bool, direction: usize) {
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
            for i in 0..depths.len() {
                let seen = rows.projected.iter().any(|p| p.visible[i]);
                let mut blank = false;
                for (v, source) in sources.iter().enumerate() {
                    let p = &rows.projected[v];
                    // A sample that no view sees takes all of them.
                    let row = p.visible[i] || !seen;
                    if !row && !all_views {
                        continue;
                    }
                    let pixel = Vec2::new(p.x[i], p.y[i]);
                    let taps = taps(pixel, source.size(), source.map_size);
                    let colour = source.colour(pixel);
                    let look_up = LookUp { view: v as u32, index: taps.index, weight: taps.weight, colour };
                    if row {
                        let at = rows.look_ups.len() * rows.stride + direction;
                        rows.values[at..at + 4].copy_from_slice(&p.direction.map(|d| d[i]));
                        rows.look_ups.push(look_up);
                    } else if taps.weight == [0.0; 4] && colour == [0.0; 3] {
                        blank = true;
                    } else {
                        rows.border.push(look_up);
                        rows.border_sample.push((8 * chunk + i) as u32);
                    }
                }
                rows.uniform.push(!seen);
                rows.blank.push(blank);
                rows.first.push(rows.look_ups.len() as u32);
            }
        }
    }
}

tensor::simd_fn! {
    fn moments(values: &[f32], stride: usize, first: &[u32], uniform: &[bool], hidden: usize, c: usize, out: &mut [f32]) {
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
