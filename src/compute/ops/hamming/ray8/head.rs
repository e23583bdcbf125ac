//! One head's keys and values in the layout of the kernels, and the kernel of any processor.

use super::{CHANNELS, QUERIES, Table};
#[cfg(target_arch = "x86_64")]
use super::{x86, x86_512};
use crate::Isa;
use crate::ops::hamming::codes::field;
#[cfg(target_arch = "x86_64")]
use crate::ops::product8::lanes::{Avx2, AvxVnni};

/// Keys in one step of weighing: a register of AVX-512, two of AVX2. Those of padding repeat the last one, which changes no
/// minimum, and get weight 0.
pub const BLOCK: usize = 64;

/// Keys whose values of a channel lie side by side, as products of bytes are summed over four.
pub const GROUP: usize = 4;

/// Steps from zero to a channel's largest value: `2 · 255 · 64`, two products, stays in 16 bits.
pub const STEPS: f32 = 64.0;

/// Channels whose largest magnitude is below this count as zero: `64 / max` must stay finite.
const SMALLEST: f32 = 1e-30;

/// Codes of a block of keys by halves of bytes: quarter `p` of key `j` is the low half of byte `[p][j]`. That makes each quarter
/// the index of a byte shuffle, whose table holds the distances from the query's quarter.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
pub struct Quarters(pub [[u8; BLOCK]; 4]);

/// Weights of a block of keys.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
pub struct Weights(pub [u8; BLOCK]);

impl Default for Weights {
    fn default() -> Self {
        Self([0; _])
    }
}

/// Values of four keys: `[GROUP, CHANNELS]` where no vector instructions are, else `[CHANNELS, GROUP]`.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
pub struct Values(pub [i8; CHANNELS * GROUP]);

/// One head of a ray.
#[derive(Clone, Debug, Default)]
pub struct Head {
    samples: usize,
    /// Only where vector instructions read them; there is one for each block in any case.
    pub keys: Vec<Quarters>,
    pub values: Vec<Values>,
    pub scale: [f32; CHANNELS],
    /// All bits for the keys of the last block that are there, none for those of padding.
    pub present: Weights,
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
        let padding = blocks * BLOCK - samples;
        self.present = Weights(std::array::from_fn(|j| if j < BLOCK - padding { u8::MAX } else { 0 }));
    }

    /// Blocks of keys.
    pub fn blocks(&self) -> usize {
        self.keys.len()
    }

    /// Takes bits `start .. start + CHANNELS` of `samples` codes that are `words` long, at least one, and the first
    /// `CHANNELS` values of as many rows, `stride` apart.
    pub fn take(&mut self, isa: Isa, k: &[u64], words: usize, v: &[f32], stride: usize, samples: usize, start: usize) {
        assert!(samples > 0 && v.len() >= (samples - 1) * stride + CHANNELS, "{} values of {samples}", v.len());
        self.resize(samples);
        for (to, code) in self.codes.iter_mut().zip(k.chunks_exact(words).take(samples)) {
            *to = field(code, start, CHANNELS) as u16;
        }
        let last = self.codes[samples - 1];
        self.codes[samples..].fill(last);
        // SAFETY: all rows of values are there, and `resize` has made room for them.
        unsafe { lay_out(isa, self, v, stride) };
    }

    /// Values to bytes, where codes need no other layout than they have.
    fn lay_out_plainly(&mut self, v: &[f32], stride: usize) {
        let samples = self.samples;
        let mut max = [0; CHANNELS];
        for j in 0..samples {
            let row = &v[j * stride..][..CHANNELS];
            max.iter_mut().zip(row).for_each(|(max, x)| *max = x.abs().to_bits().max(*max));
        }
        let inverse;
        (self.scale, inverse) = scales(&max);
        self.values.last_mut().into_iter().for_each(|last| last.0.fill(0));
        for j in 0..samples {
            let row = &v[j * stride..][..CHANNELS];
            let group = &mut self.values[j / GROUP].0;
            for (i, (x, inverse)) in row.iter().zip(&inverse).enumerate() {
                group[j % GROUP * CHANNELS + i] = (x * inverse).round_ties_even() as i8;
            }
        }
    }

    /// Attention of [`QUERIES`] queries, and the sums of their weights. `weights` becomes `[QUERIES, BLOCKS]`.
    pub fn attend(
        &self,
        isa: Isa,
        queries: [u16; QUERIES],
        table: &Table,
        weights: &mut [Weights],
        y: &mut [[f32; CHANNELS]; QUERIES],
    ) -> [u32; QUERIES] {
        // SAFETY: weights have all blocks of all queries.
        unsafe { attend(isa, self, queries, table, &mut weights[..QUERIES * self.blocks()], y) }
    }

    fn attend_plainly(
        &self,
        queries: [u16; QUERIES],
        table: &Table,
        weights: &mut [Weights],
        y: &mut [[f32; CHANNELS]; QUERIES],
    ) -> [u32; QUERIES] {
        let mut totals = [0; QUERIES];
        for (r, row) in weights.chunks_exact_mut(self.blocks()).enumerate() {
            let mut least = CHANNELS as u8;
            for (to, codes) in row.iter_mut().zip(self.codes.as_chunks::<BLOCK>().0) {
                *to = Weights(codes.map(|code| (queries[r] ^ code).count_ones() as u8));
                least = to.0.into_iter().fold(least, u8::min);
            }
            for block in row.iter_mut() {
                block.0 = block.0.map(|bits| table.weights[usize::from(bits - least)]);
            }
            if let Some(last) = row.last_mut() {
                last.0.iter_mut().zip(self.present.0).for_each(|(w, present)| *w &= present);
            }
            let mut sums = [0i32; CHANNELS];
            let groups = row.iter().flat_map(|block| block.0.as_chunks::<GROUP>().0);
            for (w, values) in groups.zip(&self.values) {
                totals[r] += w.iter().map(|w| u32::from(*w)).sum::<u32>();
                let (w, v) = (w.map(i16::from), values.0.as_chunks::<CHANNELS>().0);
                for i in [0, 2] {
                    for (c, sum) in sums.iter_mut().enumerate() {
                        // At most 2 · 255 · 64, which stays in 16 bits; any processor multiplies those well.
                        *sum += i32::from(w[i] * i16::from(v[i][c]) + w[i + 1] * i16::from(v[i + 1][c]));
                    }
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

crate::simd_fn! {
    /// Keys and values as the kernel of the same set reads them.
    ///
    /// # Safety
    /// There are as many rows of 16 values, `stride` apart, as the head has samples, and it has been resized to them.
    unsafe fn lay_out(isa: Isa, head: &mut Head, v: &[f32], stride: usize) => {
        avx2 => {
            x86::take_keys(&head.codes, &mut head.keys);
            // SAFETY: the caller vouches for the rows.
            head.scale = unsafe { x86::take_values(v, stride, head.samples, &mut head.values) };
        },
        portable => head.lay_out_plainly(v, stride),
    }
}

crate::simd_fn! {
    /// [`Head::attend`].
    ///
    /// # Safety
    /// `weights` has all blocks of all queries.
    unsafe fn attend(
        isa: Isa, head: &Head, queries: [u16; QUERIES], table: &Table, weights: &mut [Weights],
        y: &mut [[f32; CHANNELS]; QUERIES],
    ) -> [u32; QUERIES] => {
        // SAFETY: the caller vouches for the weights.
        avx512+vnni => unsafe { x86_512::attend(head, queries, table, weights, y) },
        // SAFETY: as above.
        avx2+vnni => unsafe { x86::attend::<AvxVnni>(head, queries, table, weights, y) },
        // SAFETY: as above.
        avx2 => unsafe { x86::attend::<Avx2>(head, queries, table, weights, y) },
        portable => head.attend_plainly(queries, table, weights, y),
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
