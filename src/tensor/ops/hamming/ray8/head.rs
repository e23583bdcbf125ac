//! One head's keys and values in the layout of the kernels, and the kernel of any processor.

#[cfg(target_arch = "x86_64")]
use super::x86;
use super::{CHANNELS, QUERIES, Table};
use crate::Level;
use crate::ops::hamming::codes::field;

/// Keys in one step of weighing. Those of padding repeat the last one, which changes no minimum, and get weight 0.
pub const BLOCK: usize = 32;

/// Keys whose values of a channel lie side by side, as products of bytes are summed over four.
pub const GROUP: usize = 4;

/// Steps from zero to a channel's largest value: `2 · 255 · 64`, two products, stays in 16 bits.
pub const STEPS: f32 = 64.0;

/// Channels whose largest magnitude is below this count as zero: `64 / max` must stay finite.
const SMALLEST: f32 = 1e-30;

/// Codes of 32 keys by halves of bytes: quarter `p` of key `j` is the low half of byte `[p][j]`. That makes each quarter
/// the index of a byte shuffle, whose table holds the distances from the query's quarter.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(32))]
pub struct Quarters(pub [[u8; BLOCK]; 4]);

/// Weights of 32 keys.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C, align(32))]
pub struct Weights(pub [u8; BLOCK]);

/// Values of four keys, `[CHANNELS, GROUP]`.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
pub struct Values(pub [i8; CHANNELS * GROUP]);

/// One head of a ray.
#[derive(Clone, Debug, Default)]
pub struct Head {
    pub samples: usize,
    pub keys: Vec<Quarters>,
    pub values: Vec<Values>,
    pub scale: [f32; CHANNELS],
    codes: Vec<u16>,
}

impl Head {
    /// A head of `samples` keys that mean nothing yet.
    pub fn room(samples: usize) -> Self {
        let mut head = Self::default();
        head.resize(samples);
        head
    }

    fn resize(&mut self, samples: usize) {
        self.samples = samples;
        let blocks = samples.div_ceil(BLOCK);
        self.codes.resize(blocks * BLOCK, 0);
        self.keys.resize(blocks, Quarters([[0; _]; _]));
        self.values.resize(samples.div_ceil(GROUP), Values([0; _]));
    }

    /// Blocks of keys.
    pub fn blocks(&self) -> usize {
        self.keys.len()
    }

    /// Takes bits `start .. start + CHANNELS` of `samples` codes that are `words` long, at least one, and the first
    /// `CHANNELS` values of as many rows, `stride` apart.
    pub fn take(
        &mut self,
        level: Level,
        k: &[u64],
        words: usize,
        v: &[f32],
        stride: usize,
        samples: usize,
        start: usize,
    ) {
        assert!(samples > 0 && v.len() >= (samples - 1) * stride + CHANNELS, "{} values of {samples}", v.len());
        self.resize(samples);
        for (to, code) in self.codes.iter_mut().zip(k.chunks_exact(words).take(samples)) {
            *to = field(code, start, CHANNELS) as u16;
        }
        let last = self.codes[samples - 1];
        self.codes[samples..].fill(last);
        #[cfg(target_arch = "x86_64")]
        if level.min(crate::level()) >= Level::Avx2 {
            // SAFETY: the processor has these instructions, and all rows of values are there.
            return unsafe {
                x86::take_keys(&self.codes, &mut self.keys);
                self.scale = x86::take_values(v, stride, samples, &mut self.values);
            };
        }
        let _ = level;
        for (block, codes) in self.keys.iter_mut().zip(self.codes.chunks_exact(BLOCK)) {
            for (j, code) in codes.iter().enumerate() {
                (0..4).for_each(|p| block.0[p][j] = (code >> (4 * p)) as u8 & 15);
            }
        }
        let mut max = [0; CHANNELS];
        for row in v.chunks(stride).take(samples) {
            max.iter_mut().zip(row).for_each(|(max, x)| *max = x.abs().to_bits().max(*max));
        }
        let inverse;
        (self.scale, inverse) = scales(&max);
        self.values.last_mut().into_iter().for_each(|last| last.0.fill(0));
        for (j, row) in v.chunks(stride).take(samples).enumerate() {
            let group = &mut self.values[j / GROUP].0;
            for (i, (x, inverse)) in row.iter().zip(&inverse).enumerate() {
                group[i * GROUP + j % GROUP] = (x * inverse).round_ties_even() as i8;
            }
        }
    }

    /// Attention of [`QUERIES`] queries, and the sums of their weights. `weights` becomes `[QUERIES, BLOCKS]`.
    pub fn attend(
        &self,
        level: Level,
        queries: [u16; QUERIES],
        table: &Table,
        weights: &mut [Weights],
        y: &mut [[f32; CHANNELS]; QUERIES],
    ) -> [u32; QUERIES] {
        let weights = &mut weights[..QUERIES * self.blocks()];
        #[cfg(target_arch = "x86_64")]
        if level.min(crate::level()) >= Level::Avx2 {
            // SAFETY: the processor has these instructions, and weights have room for all blocks of all queries.
            return unsafe { x86::attend(self, queries, table, weights, y) };
        }
        let _ = level;
        let mut totals = [0; QUERIES];
        for (r, row) in weights.chunks_exact_mut(self.blocks()).enumerate() {
            let quarter = |p: usize| (queries[r] >> (4 * p)) as u8 & 15;
            let query = [quarter(0), quarter(1), quarter(2), quarter(3)];
            let mut least = CHANNELS as u8;
            for (to, keys) in row.iter_mut().zip(&self.keys) {
                for (j, to) in to.0.iter_mut().enumerate() {
                    *to = (0..4).map(|p| (query[p] ^ keys.0[p][j]).count_ones() as u8).sum();
                    least = least.min(*to);
                }
            }
            for w in row.iter_mut().flat_map(|block| &mut block.0) {
                *w = table.weights[usize::from(*w - least)];
            }
            let padding = self.blocks() * BLOCK - self.samples;
            row.last_mut().into_iter().for_each(|last| last.0[BLOCK - padding..].fill(0));
            totals[r] = row.iter().flat_map(|block| block.0).map(u32::from).sum();
            let mut sums = [0i32; CHANNELS];
            let groups = row.iter().flat_map(|block| block.0.as_chunks::<GROUP>().0);
            for (w, values) in groups.zip(&self.values) {
                for (sum, v) in sums.iter_mut().zip(values.0.as_chunks::<GROUP>().0) {
                    *sum += (0..GROUP).map(|i| i32::from(w[i]) * i32::from(v[i])).sum::<i32>();
                }
            }
            let factor = table.one / totals[r] as f32;
            for ((y, sum), scale) in y[r].iter_mut().zip(sums).zip(self.scale) {
                *y = sum as f32 * factor * scale;
            }
        }
        totals
    }
}

/// Value of one step of each channel, and what to multiply values with, from the bits of the largest magnitudes.
pub fn scales(max: &[u32; CHANNELS]) -> ([f32; CHANNELS], [f32; CHANNELS]) {
    let (mut scale, mut inverse) = ([0.0; CHANNELS], [0.0; CHANNELS]);
    for i in 0..CHANNELS {
        let max = f32::from_bits(max[i]);
        if !max.is_finite() {
            scale[i] = f32::NAN;
        } else if max >= SMALLEST {
            (scale[i], inverse[i]) = (max / STEPS, STEPS / max);
        }
    }
    (scale, inverse)
}
