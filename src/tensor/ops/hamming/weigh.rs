//! Unnormalised softmax weights of a block of queries over all keys of one head.

use super::codes::field;
use super::powers::Powers;
use crate::Level;

/// The codes of one head's keys, laid out for the kernel that will read them.
#[derive(Clone, Debug, Default)]
pub struct Keys {
    kernel: Kernel,
    samples: usize,
    narrow: Vec<u16>,
    wide: Vec<u64>,
}

/// How weights are computed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Kernel {
    /// One key at a time, codes of up to 64 bits.
    #[default]
    Plain,
    /// As `Plain` with the instructions of AVX2 and POPCNT.
    #[cfg(target_arch = "x86_64")]
    PlainAvx2,
    /// Sixteen keys at a time, codes of up to 16 bits.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// Thirty-two keys at a time, codes of up to 16 bits.
    #[cfg(target_arch = "x86_64")]
    Bitalg,
}

impl Kernel {
    fn of(level: Level, d: usize) -> Self {
        #[cfg(target_arch = "x86_64")]
        match level.min(crate::level()) {
            Level::Avx512 if d <= 16 && crate::level::has_bitalg() => return Self::Bitalg,
            Level::Avx2 | Level::Avx512 if d <= 16 => return Self::Avx2,
            Level::Avx2 | Level::Avx512 if is_x86_feature_detected!("popcnt") => return Self::PlainAvx2,
            _ => {}
        }
        let _ = (level, d);
        Self::Plain
    }

    /// Keys in one step.
    fn block(self) -> usize {
        match self {
            Self::Plain => 1,
            #[cfg(target_arch = "x86_64")]
            Self::PlainAvx2 => 1,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => 16,
            #[cfg(target_arch = "x86_64")]
            Self::Bitalg => 32,
        }
    }
}

/// Rows of weights are a multiple of this apart, so that no kernel needs a tail.
pub const BLOCK: usize = 32;

impl Keys {
    /// Takes bits `start .. start + d` of `samples` codes that are `words` long.
    pub fn take(&mut self, level: Level, k: &[u64], samples: usize, words: usize, start: usize, d: usize) {
        self.kernel = Kernel::of(level, d);
        self.samples = samples;
        let codes = k.chunks_exact(words).take(samples).map(|code| field(code, start, d));
        let block = self.kernel.block();
        if block == 1 {
            self.wide.clear();
            self.wide.extend(codes);
            return;
        }
        // The first half of a block's keys are the low halves of 32-bit lanes, the second half the high halves: the
        // powers of neighbours then come out of a register's lanes without any conversion. Keys of padding repeat the
        // last one, which changes no minimum.
        self.narrow.resize(samples.next_multiple_of(block), 0);
        let half = block / 2;
        let mut last = 0;
        for (j, code) in codes.enumerate() {
            last = code as u16;
            self.narrow[place(j, half)] = last;
        }
        for j in samples..self.narrow.len() {
            self.narrow[place(j, half)] = last;
        }
    }
}

/// Where key `j` goes in blocks of twice `half` keys.
fn place(j: usize, half: usize) -> usize {
    let (block, at) = (j / (2 * half), j % (2 * half));
    block * 2 * half + at % half * 2 + at / half
}

/// Weights `e^(τ(d − 2·hamming))`, relative to a best score that has 1, and their sums over keys.
///
/// # Shapes
/// - `queries`: codes of the head, each in the low bits of a word
/// - `weights`: `[queries, samples]`, rows `width` apart, a multiple of [`BLOCK`]
/// - `sums`: at least `[queries]`
pub fn weigh(queries: &[u64], keys: &Keys, powers: &Powers, weights: &mut [f32], width: usize, sums: &mut [f32]) {
    assert!(keys.samples <= width && width.is_multiple_of(BLOCK), "{} keys in rows of {width}", keys.samples);
    assert!(weights.len() >= queries.len() * width && sums.len() >= queries.len(), "{} queries", queries.len());
    match keys.kernel {
        Kernel::Plain => plain(queries, keys, powers, weights, width, sums),
        // SAFETY: `Kernel::of` chose a kernel whose instructions the processor has.
        #[cfg(target_arch = "x86_64")]
        Kernel::PlainAvx2 => unsafe { x86::plain_avx2(queries, keys, powers, weights, width, sums) },
        // SAFETY: as above; `Keys::take` filled whole blocks, and rows of weights have room for whole blocks.
        #[cfg(target_arch = "x86_64")]
        Kernel::Avx2 if powers.relative => unsafe { x86::avx2::<true>(queries, keys, powers, weights, width, sums) },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        Kernel::Avx2 => unsafe { x86::avx2::<false>(queries, keys, powers, weights, width, sums) },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        Kernel::Bitalg if powers.relative => unsafe {
            x86::bitalg::<true>(queries, keys, powers, weights, width, sums)
        },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        Kernel::Bitalg => unsafe { x86::bitalg::<false>(queries, keys, powers, weights, width, sums) },
    }
}

#[inline(always)]
fn plain(queries: &[u64], keys: &Keys, powers: &Powers, weights: &mut [f32], width: usize, sums: &mut [f32]) {
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

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::{Keys, Powers};
    use std::arch::x86_64::*;

    #[target_feature(enable = "avx2,fma,popcnt")]
    pub fn plain_avx2(q: &[u64], keys: &Keys, powers: &Powers, weights: &mut [f32], width: usize, sums: &mut [f32]) {
        super::plain(q, keys, powers, weights, width, sums);
    }

    /// # Safety
    /// Whole blocks of 16 keys and of 16 weights a query are there.
    #[target_feature(enable = "avx2,fma")]
    pub unsafe fn avx2<const RELATIVE: bool>(
        queries: &[u64],
        keys: &Keys,
        powers: &Powers,
        weights: &mut [f32],
        width: usize,
        sums: &mut [f32],
    ) {
        let codes = keys.narrow.as_ptr();
        let blocks = keys.samples.div_ceil(16);
        let mut lanes = [0.0f32; 16];
        lanes[..keys.samples - (blocks - 1) * 16].fill(f32::from_bits(u32::MAX));
        let four = _mm_setr_epi8(0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4);
        let (four, low, one) = (_mm256_broadcastsi128_si256(four), _mm256_set1_epi8(15), _mm256_set1_epi8(1));
        // SAFETY: arrays of eight and sixteen values; blocks as the caller says.
        unsafe {
            let (fine, coarse) = (_mm256_loadu_ps(powers.fine.as_ptr()), _mm256_loadu_ps(powers.coarse.as_ptr()));
            let (mask0, mask1) = (_mm256_loadu_ps(lanes.as_ptr()), _mm256_loadu_ps(lanes.as_ptr().add(8)));
            for (r, query) in queries.iter().enumerate() {
                let query = _mm256_set1_epi16((query ^ powers.flip) as i16);
                let row = weights.as_mut_ptr().add(r * width);
                // Bits that differ in each of 16 codes: by half bytes, then the two bytes of a code.
                let count = |b: usize| {
                    let differ = _mm256_xor_si256(query, _mm256_loadu_si256(codes.add(b * 16).cast()));
                    let even = _mm256_shuffle_epi8(four, _mm256_and_si256(differ, low));
                    let odd = _mm256_shuffle_epi8(four, _mm256_and_si256(_mm256_srli_epi16::<4>(differ), low));
                    _mm256_maddubs_epi16(_mm256_add_epi8(even, odd), one)
                };
                let mut least = _mm256_setzero_si256();
                if RELATIVE {
                    least = _mm256_set1_epi16(16);
                    for b in 0..blocks {
                        least = _mm256_min_epu16(least, count(b));
                    }
                    let mut values = [0u16; 16];
                    _mm256_storeu_si256(values.as_mut_ptr().cast(), least);
                    least = _mm256_set1_epi16(values.into_iter().fold(16, u16::min) as i16);
                }
                // Only the lowest three bits of a lane choose, so that what is above them need not be cleared.
                let weigh = |b: usize| {
                    let mut bits = count(b);
                    if RELATIVE {
                        bits = _mm256_sub_epi16(bits, least);
                    }
                    let power = |fine_bits, coarse_bits| {
                        let fine = _mm256_permutevar8x32_ps(fine, fine_bits);
                        _mm256_mul_ps(fine, _mm256_permutevar8x32_ps(coarse, coarse_bits))
                    };
                    (
                        power(bits, _mm256_srli_epi32::<3>(bits)),
                        power(_mm256_srli_epi32::<16>(bits), _mm256_srli_epi32::<19>(bits)),
                    )
                };
                let (mut sum0, mut sum1) = (_mm256_setzero_ps(), _mm256_setzero_ps());
                for b in 0..blocks - 1 {
                    let (w0, w1) = weigh(b);
                    _mm256_storeu_ps(row.add(b * 16), w0);
                    _mm256_storeu_ps(row.add(b * 16 + 8), w1);
                    (sum0, sum1) = (_mm256_add_ps(sum0, w0), _mm256_add_ps(sum1, w1));
                }
                let (w0, w1) = weigh(blocks - 1);
                let (w0, w1) = (_mm256_and_ps(w0, mask0), _mm256_and_ps(w1, mask1));
                _mm256_storeu_ps(row.add(blocks * 16 - 16), w0);
                _mm256_storeu_ps(row.add(blocks * 16 - 8), w1);
                let sum = _mm256_add_ps(_mm256_add_ps(sum0, w0), _mm256_add_ps(sum1, w1));
                let sum = _mm_add_ps(_mm256_castps256_ps128(sum), _mm256_extractf128_ps::<1>(sum));
                let sum = _mm_add_ps(sum, _mm_movehl_ps(sum, sum));
                sums[r] = _mm_cvtss_f32(_mm_add_ss(sum, _mm_movehdup_ps(sum)));
            }
        }
    }

    /// # Safety
    /// Whole blocks of 32 keys and of 32 weights a query are there.
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512bitalg")]
    pub unsafe fn bitalg<const RELATIVE: bool>(
        queries: &[u64],
        keys: &Keys,
        powers: &Powers,
        weights: &mut [f32],
        width: usize,
        sums: &mut [f32],
    ) {
        let codes = keys.narrow.as_ptr();
        let blocks = keys.samples.div_ceil(32);
        let mask = u32::MAX >> (blocks * 32 - keys.samples);
        let (mask0, mask1) = (mask as u16, (mask >> 16) as u16);
        // SAFETY: an array of more than 32 values; blocks as the caller says.
        unsafe {
            let first = _mm512_loadu_ps(powers.whole.as_ptr());
            let second = _mm512_loadu_ps(powers.whole.as_ptr().add(16));
            for (r, query) in queries.iter().enumerate() {
                let query = _mm512_set1_epi16((query ^ powers.flip) as i16);
                let row = weights.as_mut_ptr().add(r * width);
                let count = |b: usize| {
                    _mm512_popcnt_epi16(_mm512_xor_si512(query, _mm512_loadu_si512(codes.add(b * 32).cast())))
                };
                let mut least = _mm512_setzero_si512();
                if RELATIVE {
                    least = _mm512_set1_epi16(16);
                    for b in 0..blocks {
                        least = _mm512_min_epu16(least, count(b));
                    }
                    let mut values = [0u16; 32];
                    _mm512_storeu_si512(values.as_mut_ptr().cast(), least);
                    least = _mm512_set1_epi16(values.into_iter().fold(16, u16::min) as i16);
                }
                // Only the lowest five bits of a lane choose, so that what is above them need not be cleared.
                let weigh = |b: usize| {
                    let mut bits = count(b);
                    if RELATIVE {
                        bits = _mm512_sub_epi16(bits, least);
                    }
                    let upper = _mm512_srli_epi32::<16>(bits);
                    (_mm512_permutex2var_ps(first, bits, second), _mm512_permutex2var_ps(first, upper, second))
                };
                let (mut sum0, mut sum1) = (_mm512_setzero_ps(), _mm512_setzero_ps());
                for b in 0..blocks - 1 {
                    let (w0, w1) = weigh(b);
                    _mm512_storeu_ps(row.add(b * 32), w0);
                    _mm512_storeu_ps(row.add(b * 32 + 16), w1);
                    (sum0, sum1) = (_mm512_add_ps(sum0, w0), _mm512_add_ps(sum1, w1));
                }
                let (w0, w1) = weigh(blocks - 1);
                let (w0, w1) = (_mm512_maskz_mov_ps(mask0, w0), _mm512_maskz_mov_ps(mask1, w1));
                _mm512_storeu_ps(row.add(blocks * 32 - 32), w0);
                _mm512_storeu_ps(row.add(blocks * 32 - 16), w1);
                sums[r] = _mm512_reduce_add_ps(_mm512_add_ps(_mm512_add_ps(sum0, w0), _mm512_add_ps(sum1, w1)));
            }
        }
    }
}
