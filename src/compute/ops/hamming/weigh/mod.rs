//! Unnormalised softmax weights of a block of queries over all keys of one head.

#[cfg(target_arch = "x86_64")]
mod blocks;
#[cfg(target_arch = "x86_64")]
mod x86;

use super::codes::field;
use super::powers::Powers;
use crate::Isa;

/// Rows of weights are a multiple of this apart, so that no kernel needs a tail.
pub const BLOCK: usize = 32;

/// Most channels of heads whose keys are weighed a block at a time.
const NARROW: usize = 16;

/// The codes of one head's keys, laid out for the kernel that will read them.
#[derive(Clone, Debug, Default)]
pub struct Keys {
    /// What the layout is for; weights are computed with the same instructions.
    isa: Isa,
    /// Keys in one step: 1, or whole blocks of `narrow`.
    block: usize,
    samples: usize,
    narrow: Vec<u16>,
    wide: Vec<u64>,
}

/// Keys in one step of the kernel for heads of `d` channels.
fn block(isa: Isa, d: usize) -> usize {
    match d {
        ..=NARROW if isa.has_bitalg() => 32,
        ..=NARROW if isa.has_avx2() => 16,
        _ => 1,
    }
}

impl Keys {
    /// Takes bits `start .. start + d` of `samples` codes that are `words` long.
    pub fn take(&mut self, isa: Isa, k: &[u64], samples: usize, words: usize, start: usize, d: usize) {
        (self.isa, self.block, self.samples) = (isa, block(isa, d), samples);
        let codes = k.chunks_exact(words).take(samples).map(|code| field(code, start, d));
        match self.block {
            32 => self.fill::<16>(codes),
            16 => self.fill::<8>(codes),
            _ => {
                self.wide.clear();
                self.wide.extend(codes);
            }
        }
    }

    /// Fills blocks of twice `HALF` keys. The first half of a block's keys are the low halves of 32-bit lanes, the second
    /// half the high halves: the powers of neighbours then come out of a register's lanes without any conversion. Keys
    /// of padding repeat the last one, which changes no minimum.
    fn fill<const HALF: usize>(&mut self, codes: impl Iterator<Item = u64>) {
        let place = |j: usize| j / (2 * HALF) * 2 * HALF + j % HALF * 2 + j % (2 * HALF) / HALF;
        self.narrow.resize(self.samples.next_multiple_of(2 * HALF), 0);
        let mut last = 0;
        for (j, code) in codes.enumerate() {
            last = code as u16;
            self.narrow[place(j)] = last;
        }
        for j in self.samples..self.narrow.len() {
            self.narrow[place(j)] = last;
        }
    }
}

/// Weights `e^(τ(d − 2·hamming))` of a block of queries over all keys of a head, relative to a best score that has 1.
#[derive(Debug)]
pub struct Weighing<'a> {
    /// Codes of the head, each in the low bits of a word.
    pub queries: &'a [u64],
    /// Keys of the head, of which there is at least one.
    pub keys: &'a Keys,
    /// What the weights can be.
    pub powers: &'a Powers,
    /// `[queries, samples]`, rows `width` apart: becomes the weights.
    pub weights: &'a mut [f32],
    /// Distance between rows of `weights`, a multiple of [`BLOCK`].
    pub width: usize,
    /// `[queries]`: becomes the sums over keys.
    pub sums: &'a mut [f32],
}

impl Weighing<'_> {
    /// Computes weights and sums.
    pub fn run(self) {
        let Self { queries, keys, width, .. } = self;
        assert!(keys.samples <= width && width.is_multiple_of(BLOCK), "{} keys in rows of {width}", keys.samples);
        let room = self.weights.len() >= queries.len() * width && self.sums.len() >= queries.len();
        assert!(room, "{} queries", queries.len());
        if keys.block <= 1 {
            return one_by_one(keys.isa, self);
        }
        assert!(keys.samples > 0, "no keys");
        // SAFETY: `Keys::take` filled whole blocks, and rows of weights have room for whole blocks.
        unsafe { by_blocks(keys.isa, self) }
    }
}

crate::simd_fn! {
    /// Keys one after the other, codes of up to 64 bits.
    fn one_by_one(isa: Isa, block: Weighing) => {
        avx2 => plain(block),
        portable => plain(block),
    }
}

crate::simd_fn! {
    /// Many keys at a time, codes of up to 16 bits.
    ///
    /// # Safety
    /// Keys and rows of weights are whole blocks of what [`block`] says for `isa`.
    unsafe fn by_blocks(isa: Isa, block: Weighing) => {
        // SAFETY: the caller vouches for the blocks.
        avx512+bitalg => unsafe { blocks::weigh::<x86::Bitalg>(block) },
        // SAFETY: as above.
        avx2 => unsafe { blocks::weigh::<x86::Avx2>(block) },
        portable => unreachable!("{} keys a block", block.keys.block),
    }
}

#[inline(always)]
fn plain(Weighing { queries, keys, powers, weights, width, sums }: Weighing) {
    for ((query, row), sum) in queries.iter().zip(weights.chunks_exact_mut(width)).zip(sums) {
        let query = query ^ powers.flip;
        let row = &mut row[..keys.samples];
        let bits = |key: &u64| (query ^ key).count_ones();
        let least = if powers.relative { keys.wide.iter().map(bits).min().unwrap_or(0) } else { 0 };
        let mut total = 0.0;
        for (weight, key) in row.iter_mut().zip(&keys.wide) {
            *weight = powers.whole[(bits(key) - least) as usize];
            total += *weight;
        }
        *sum = total;
    }
}
