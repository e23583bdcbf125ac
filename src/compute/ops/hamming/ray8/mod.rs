//! Self-attention over the samples of one ray whose queries and keys are codes, with bytes for weights and values.

use super::MOST_TAU;
use super::codes::{field, words};
use super::ray::{RayCodes, RayScratch, attend_ray_codes};
use crate::Isa;

mod head;
#[cfg(test)]
mod tests;
#[cfg(target_arch = "x86_64")]
mod x86;
#[cfg(target_arch = "x86_64")]
mod x86_512;

use head::{Head, Weights};

/// Channels of a head that the kernels are written for.
const CHANNELS: usize = 16;

/// Queries handled together, so that one load of values serves all of them.
const QUERIES: usize = 4;

/// The weight of a row's best key.
const MOST_WEIGHT: f64 = 255.0;

/// More samples could leave the range of 32-bit sums: `2^17 · 255 · 64 < 2^31`.
const MOST_SAMPLES: usize = 1 << 17;

/// Scratch of [`attend_ray_codes8`]. Made to be reused: memory grows to the largest use and stays.
#[derive(Clone, Debug)]
pub struct RayScratch8 {
    head: Head,
    weights: Vec<Weights>,
    /// Scratch of heads that are not of 16 channels, with the samples and channels it is for.
    exact: Option<(usize, usize, RayScratch)>,
}

impl RayScratch8 {
    /// Scratch for rays of up to `samples` samples and heads of `d` channels. More of either is possible, but allocates.
    pub fn new(samples: usize, d: usize) -> Self {
        if d != CHANNELS {
            let exact = Some((samples, d, RayScratch::new(samples, d)));
            return Self { head: Head::default(), weights: Vec::new(), exact };
        }
        let head = Head::room(samples);
        Self { weights: vec![Weights::default(); QUERIES * head.blocks()], head, exact: None }
    }
}

/// [`attend_ray_codes`] with bytes for weights and values, in integers up to the last two products:
/// `y_ic = s_c·(Σ_j w_ij·u_jc) / Σ_j w_ij` with
/// - `w_ij = round(255·e^(−2|τ|·n))`, where `n` is by how many bits key `j` is further from query `i` than the closest
///   key of the row (for a negative τ, nearer than the furthest). The best key has 255, and weights are normalised by
///   their own sum.
/// - `u_jc = round(v_jc·(64 / m_c))`, ties to even, and `s_c = m_c / 64`, where `m_c = max_j |v_jc|` is of this ray.
///
/// Results are the same to the bit with every instruction set, and never exceed `m_c`. Heads must have 16 channels for this; for
/// any other number it is [`attend_ray_codes`] itself, in `f32`.
///
/// From exact attention a result is at most `m_c·(1/128 + samples / Σ_j w_ij)` away, beside rounding of `f32`: values
/// are off by half a step of `m_c / 64`, and each weight by half of the best one's 255th, which moves the mean by no
/// more than that times `|v_jc − y_ic| ≤ 2·m_c`, over the sum of weights. The second part is small where many keys have
/// weight. It is large only where one key is best and very many share what is lost below its 510th part.
///
/// A channel whose values are all below `1e-30` becomes zero, one with a value that is not finite NaN, and a head whose
/// τ is NaN becomes NaN.
///
/// # Shapes
/// As [`attend_ray_codes`].
///
/// # Panics
/// As [`attend_ray_codes`], and if there are more than 131 072 samples.
// On one AVX2 core (Zen 3, other work running, best of 1500) for 48, 64 and 192 samples: 5.8, 8.4 and 42.0 us with 64
// channels in four heads, where `attend_ray_codes` takes 9.0, 14.1 and 86.5; 2.3, 3.4 and 20.8 us with 32 in two, where
// it takes 4.0, 6.2 and 43.3. Of the 42 us, 25 are products with values and 5 the layout of keys and values. Without
// AVX2 bytes are slower than floats: 722 us for 656 with 192 samples and 64 channels.
pub fn attend_ray_codes8(
    isa: Isa,
    ray: RayCodes,
    scratch: &mut RayScratch8,
    y: &mut [f32],
    mut first_row: Option<&mut [f32]>,
) {
    let d = ray.check(y);
    let RayCodes { query, key, value, stride, samples, width: c, heads, tau } = ray;
    if d != CHANNELS {
        let (most, width, _) = scratch.exact.get_or_insert_with(|| (samples, d, RayScratch::new(samples, d)));
        if *most < samples || *width != d {
            scratch.exact = Some((samples, d, RayScratch::new(samples, d)));
        }
        if let Some((_, _, exact)) = &mut scratch.exact {
            attend_ray_codes(isa, ray, exact, y, first_row);
        }
        return;
    }
    assert!(samples <= MOST_SAMPLES, "{samples} samples, {MOST_SAMPLES} are possible");
    if let Some(row) = first_row.as_deref_mut() {
        row.fill(0.0);
    }
    if samples == 0 {
        return;
    }
    let words = words(c);
    let RayScratch8 { head, weights, .. } = scratch;
    for h in 0..heads {
        let table = Table::new(tau[h]);
        head.take(isa, key, words, &value[h * CHANNELS..], stride, samples, h * CHANNELS);
        weights.resize(weights.len().max(QUERIES * head.blocks()), Weights::default());
        for start in (0..samples).step_by(QUERIES) {
            let rows = QUERIES.min(samples - start);
            // The last query is repeated where there are not enough.
            let queries = std::array::from_fn(|r| {
                let row = start + r.min(rows - 1);
                field(&query[row * words..][..words], h * CHANNELS, CHANNELS) as u16 ^ table.flip
            });
            let mut mixed = [[0.0; CHANNELS]; QUERIES];
            let totals = head.attend(isa, queries, &table, weights, &mut mixed);
            for (r, mixed) in mixed[..rows].iter().enumerate() {
                y[(start + r) * c + h * CHANNELS..][..CHANNELS].copy_from_slice(mixed);
            }
            if let (0, Some(row)) = (start, first_row.as_deref_mut()) {
                let scale = table.one / (totals[0] as f32 * heads as f32);
                let weights = weights.iter().flat_map(|w| w.0).take(samples);
                row.iter_mut().zip(weights).for_each(|(r, w)| *r += f32::from(w) * scale);
            }
        }
    }
}

/// Weights of one head by bits beyond the closest key's. Whatever that key's distance is, only the difference counts,
/// so that one table is enough.
#[derive(Clone, Copy, Debug)]
struct Table {
    weights: [u8; CHANNELS + 1],
    /// What to XOR queries with: all bits if τ is negative, where the code that differs most scores best.
    flip: u16,
    /// One, or NaN if τ is.
    one: f32,
}

impl Table {
    fn new(tau: f32) -> Self {
        let one = if tau.is_nan() { f32::NAN } else { 1.0 };
        let flip = if tau < 0.0 { u16::MAX } else { 0 };
        // `min` makes a number of a NaN, too.
        let step = (-2.0 * f64::from(tau.abs().min(MOST_TAU))).exp();
        let (mut weights, mut power) = ([0; CHANNELS + 1], MOST_WEIGHT);
        for weight in &mut weights {
            *weight = power.round() as u8;
            // What rounds to zero stays there; denormal numbers would be slow.
            power = if *weight == 0 { 0.0 } else { power * step };
        }
        Self { weights, flip, one }
    }
}
