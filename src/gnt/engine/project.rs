//! Where the samples of a ray fall in the sources.

use super::PreparedSource;
use super::rows::Rows;
use crate::projection::{Projection8, Taps8, taps8, toward};
use crate::surface::{CLEARANCE, HIDDEN};
use compute::ops::gather::LookUp;
use compute::simd;
use glam::Vec2;
use scene::Ray;

/// What is asked of the views.
#[derive(Clone, Copy)]
pub(super) struct Ask {
    /// Whether views that do not see a sample are looked up too, for a maximum.
    pub all_views: bool,
    /// Whether views that a sample is hidden from are left out.
    pub visibility: bool,
    /// Words of the codes of a pixel's keys.
    pub key_words: usize,
}

/// Eight samples in one source.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Projected {
    place: Projection8,
    /// In the feature map.
    map: Taps8,
    /// In the photograph.
    photograph: Taps8,
}

/// Tells the samples how far they lie before the surfaces that the views see, and takes the views that a sample is hidden from
/// out, unless it is hidden from all that see its place.
#[inline(always)]
fn leave_hidden_out(projected: &mut [Projected], sources: &[&PreparedSource]) {
    let mut open = [false; 8];
    for (Projected { place: p, .. }, source) in projected.iter_mut().zip(sources) {
        for i in 0..8 {
            let clearance = source.visibility().clearance(Vec2::new(p.x[i], p.y[i]), p.z[i]);
            p.direction[CLEARANCE][i] = clearance.unwrap_or(0.0);
            open[i] |= p.visible[i] & (p.direction[CLEARANCE][i] >= HIDDEN);
        }
    }
    for Projected { place: p, .. } in projected {
        for i in 0..8 {
            p.visible[i] &= !open[i] | (p.direction[CLEARANCE][i] >= HIDDEN);
        }
    }
}

compute::simd_fn! {
    /// Fills the rows' look-ups and directions, which start at column `direction`; `depths` are `[rays, samples]`.
    pub(super) fn project(
        isa: Isa, rows: &mut Rows, sources: &[&PreparedSource], rays: &[Ray], depths: &[f32],
        how: Ask, direction: usize,
    ) {
        rows.projected.resize(sources.len(), Projected::default());
        let samples = depths.len() / rays.len();
        let (mut ray, mut end) = (0, samples);
        for (chunk, depths) in depths.chunks(8).enumerate() {
            let (mut points, mut to_target) = ([[0.0; 8]; 3], [[0.0; 8]; 3]);
            for lane in 0..8 {
                // The last chunk is filled up with its last sample.
                let i = lane.min(depths.len() - 1);
                while 8 * chunk + i >= end {
                    (ray, end) = (ray + 1, end + samples);
                }
                let point = depths[i] * rays[ray].direction + rays[ray].origin;
                let unit = toward(point, rays[ray].origin);
                for c in 0..3 {
                    points[c][lane] = point[c];
                    to_target[c][lane] = unit[c];
                }
            }
            for (out, source) in rows.projected.iter_mut().zip(sources) {
                let place = source.projector.project8(&points, &to_target);
                let size = source.photograph.size();
                out.map = taps8(&place.x, &place.y, size, source.map_size);
                out.photograph = taps8(&place.x, &place.y, size, size);
                out.place = place;
                // What is read below, and by the look-ups after it, is asked for now: most of the time would go in waiting.
                for i in (0..depths.len()).filter(|i| place.visible[*i]) {
                    source.photograph.prefetch(out.photograph.pixels(i));
                    source.map.prefetch(out.map.pixels(i));
                    if !source.keys.is_empty() {
                        simd::prefetch(&source.keys, out.map.pixels(i)[0] as usize * how.key_words);
                    }
                }
            }
            if how.visibility {
                leave_hidden_out(&mut rows.projected, sources);
            }
            let mut seen = [false; 8];
            for p in &rows.projected {
                for i in 0..8 {
                    seen[i] |= p.place.visible[i];
                }
            }
            for i in 0..depths.len() {
                let seen = seen[i];
                let mut blank = false;
                for (v, source) in sources.iter().enumerate() {
                    let p = &rows.projected[v];
                    // A sample that no view sees takes all of them.
                    let row = p.place.visible[i] || !seen;
                    if !row && !how.all_views {
                        continue;
                    }
                    let (map, photograph) = (p.map.at(i), p.photograph.at(i));
                    let colour = source.photograph.colour(photograph.index, photograph.weight);
                    let look_up = LookUp { view: v as u32, index: map.index, weight: map.weight, colour };
                    if row {
                        let at = rows.look_ups.len() * rows.tokens.stride + direction;
                        let [a, b, c, d] = &p.place.direction;
                        rows.tokens.values[at..at + 4].copy_from_slice(&[a[i], b[i], c[i], d[i]]);
                        rows.look_ups.push(look_up);
                    } else if map.weight == [0.0; 4] && photograph.weight == [0.0; 4] {
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
