//! The kernel with AVX2, and the layout of keys and values, which that of AVX-512 reads too.

use super::head::{BLOCK, GROUP, Head, Quarters, Values, Weights, scales};
use super::{CHANNELS, QUERIES, Table};
use crate::ops::product8::lanes::Dot;
use std::arch::x86_64::*;

/// Registers of a byte for each key of a block.
const HALVES: usize = BLOCK / 32;

/// Tables that do not straddle lines of the cache.
#[repr(align(64))]
pub struct Tables(pub [[u8; 16]; 16]);

/// Bits in which each half of a byte differs from each other.
pub static DISTANCES: Tables = {
    let mut table = [[0; 16]; 16];
    let mut i = 0;
    while i < 256 {
        table[i / 16][i % 16] = ((i / 16) ^ (i % 16)).count_ones() as u8;
        i += 1;
    }
    Tables(table)
};

/// Codes, whole blocks, to quarters.
#[target_feature(enable = "avx2")]
pub fn take_keys(codes: &[u16], keys: &mut [Quarters]) {
    let (low_byte, low_half) = (_mm256_set1_epi16(255), _mm256_set1_epi8(15));
    for (codes, keys) in codes.as_chunks::<BLOCK>().0.iter().zip(keys) {
        for half in 0..HALVES {
            // SAFETY: half a block of codes is two registers, and its quarters are four.
            unsafe {
                let p = codes.as_ptr().cast::<__m256i>().add(2 * half);
                let (a, b) = (_mm256_loadu_si256(p), _mm256_loadu_si256(p.add(1)));
                let bytes = |a, b| _mm256_permute4x64_epi64::<0b11_01_10_00>(_mm256_packus_epi16(a, b));
                let low = bytes(_mm256_and_si256(a, low_byte), _mm256_and_si256(b, low_byte));
                let high = bytes(_mm256_srli_epi16::<8>(a), _mm256_srli_epi16::<8>(b));
                let to = keys.0.as_mut_ptr().cast::<__m256i>().add(half);
                _mm256_store_si256(to, _mm256_and_si256(low, low_half));
                _mm256_store_si256(to.add(HALVES), _mm256_and_si256(_mm256_srli_epi16::<4>(low), low_half));
                _mm256_store_si256(to.add(2 * HALVES), _mm256_and_si256(high, low_half));
                _mm256_store_si256(to.add(3 * HALVES), _mm256_and_si256(_mm256_srli_epi16::<4>(high), low_half));
            }
        }
    }
}

/// Values to bytes, and the channels' scales.
///
/// # Safety
/// There are `samples` rows of 16 values, `stride` apart, and as many groups of four.
#[target_feature(enable = "avx2")]
pub unsafe fn take_values(v: &[f32], stride: usize, samples: usize, to: &mut [Values]) -> [f32; CHANNELS] {
    let (v, magnitude) = (v.as_ptr(), _mm256_set1_epi32(i32::MAX));
    let mut max = [0; CHANNELS];
    // SAFETY: rows as the caller says; a row is two registers.
    let load = |j: usize, half: usize| unsafe { _mm256_loadu_ps(v.add(j * stride + 8 * half)) };
    let mut most = [_mm256_setzero_si256(); 2];
    for j in 0..samples {
        for half in 0..2 {
            let bits = _mm256_and_si256(_mm256_castps_si256(load(j, half)), magnitude);
            most[half] = _mm256_max_epi32(most[half], bits);
        }
    }
    // SAFETY: 16 values are two registers.
    unsafe {
        _mm256_storeu_si256(max.as_mut_ptr().cast(), most[0]);
        _mm256_storeu_si256(max.as_mut_ptr().add(8).cast(), most[1]);
    }
    let (scale, inverse) = scales(&max);
    // Four rows of four bytes to four columns.
    let turn = _mm256_broadcastsi128_si256(_mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15));
    for (g, to) in to.iter_mut().enumerate() {
        for half in 0..2 {
            // SAFETY: 16 factors are two registers, and so is a group; rows beyond the last are not loaded.
            unsafe {
                let inverse = _mm256_loadu_ps(inverse.as_ptr().add(8 * half));
                let row = |i: usize| match g * GROUP + i {
                    // A channel that is not finite may saturate: its scale is NaN.
                    j if j < samples => _mm256_cvtps_epi32(_mm256_mul_ps(load(j, half), inverse)),
                    _ => _mm256_setzero_si256(),
                };
                let (a, b) = (_mm256_packs_epi32(row(0), row(1)), _mm256_packs_epi32(row(2), row(3)));
                let bytes = _mm256_shuffle_epi8(_mm256_packs_epi16(a, b), turn);
                _mm256_store_si256(to.0.as_mut_ptr().cast::<__m256i>().add(half), bytes);
            }
        }
    }
    scale
}

/// [`Head::attend`].
///
/// # Safety
/// The instructions of `D` are available, and `weights` has all blocks of all queries.
#[inline(always)]
pub unsafe fn attend<D: Dot<Sum = __m256i, Four = __m256i, Weights = __m256i>>(
    head: &Head,
    queries: [u16; QUERIES],
    table: &Table,
    weights: &mut [Weights],
    y: &mut [[f32; CHANNELS]; QUERIES],
) -> [u32; QUERIES] {
    let blocks = head.blocks();
    // SAFETY: `weights` as the caller says. A group of values is two registers, and so are 16 channels; a row of weights has
    // four bytes for each group.
    unsafe {
        let totals = weigh(head, queries, table, weights.as_mut_ptr().cast());
        let mut sums = [[D::zero(); 2]; QUERIES];
        let row = weights.as_ptr().cast::<u8>();
        for (g, values) in head.values.iter().enumerate() {
            let values = values.0.as_ptr();
            let values = [D::weights(values), D::weights(values.add(32))];
            for r in 0..QUERIES {
                let w = D::four(row.add(GROUP * (r * blocks * (BLOCK / GROUP) + g)));
                for half in 0..2 {
                    sums[r][half] = D::dot(sums[r][half], w, values[half]);
                }
            }
        }
        for r in 0..QUERIES {
            let factor = _mm256_set1_ps(table.one / totals[r] as f32);
            for half in 0..2 {
                let scale = _mm256_loadu_ps(head.scale.as_ptr().add(8 * half));
                let mean = _mm256_mul_ps(_mm256_cvtepi32_ps(sums[r][half]), factor);
                _mm256_storeu_ps(y[r].as_mut_ptr().add(8 * half), _mm256_mul_ps(mean, scale));
            }
        }
        totals
    }
}

/// Weights of all queries and their sums. Queries go together through each loop: one alone would wait for its own
/// results most of the time.
///
/// # Safety
/// `rows` has room for all blocks of all queries.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn weigh(head: &Head, queries: [u16; QUERIES], table: &Table, rows: *mut __m256i) -> [u32; QUERIES] {
    let halves = head.blocks() * HALVES;
    // SAFETY: tables of 16 bytes, two registers of `present`, eight for each block of keys; `rows` as the caller says.
    unsafe {
        let both = |p: *const u8| _mm256_broadcastsi128_si256(_mm_loadu_si128(p.cast()));
        let mut beyond = [_mm256_setzero_si256(); QUERIES];
        // Two queries: the tables of more would not stay in registers.
        for pair in [0, 2] {
            let quarter =
                |r: usize, p: usize| both(DISTANCES.0[usize::from(queries[pair + r] >> (4 * p)) & 15].as_ptr());
            let of = |r| [quarter(r, 0), quarter(r, 1), quarter(r, 2), quarter(r, 3)];
            let (distances, mut least) = ([of(0), of(1)], [_mm256_set1_epi8(CHANNELS as i8); 2]);
            for b in 0..halves {
                let keys = head.keys[b / HALVES].0.as_ptr().cast::<__m256i>().add(b % HALVES);
                for r in 0..2 {
                    let part = |p: usize| _mm256_shuffle_epi8(distances[r][p], _mm256_load_si256(keys.add(p * HALVES)));
                    let bits = _mm256_add_epi8(_mm256_add_epi8(part(0), part(1)), _mm256_add_epi8(part(2), part(3)));
                    least[r] = _mm256_min_epu8(least[r], bits);
                    _mm256_store_si256(rows.add((pair + r) * halves + b), bits);
                }
            }
            for r in 0..2 {
                let least = _mm_min_epu8(_mm256_castsi256_si128(least[r]), _mm256_extracti128_si256::<1>(least[r]));
                let least = _mm_minpos_epu16(_mm_min_epu8(least, _mm_srli_epi16::<8>(least)));
                // 112 to 128 for 0 to 16 bits beyond the least: 128 alone has the sign that chooses the seventeenth
                // weight.
                beyond[pair + r] = _mm256_sub_epi8(_mm256_set1_epi8(112), _mm256_broadcastb_epi8(least));
            }
        }
        let weights = both(table.weights.as_ptr());
        let seventeenth = _mm256_set1_epi8(table.weights[16] as i8);
        let (zero, all) = (_mm256_setzero_si256(), _mm256_set1_epi8(-1));
        let last = head.present.0.as_ptr().cast::<__m256i>();
        let mut sums = [zero; QUERIES];
        for b in 0..halves {
            let present = if b + HALVES >= halves { _mm256_load_si256(last.add(b % HALVES)) } else { all };
            for r in 0..QUERIES {
                let at = rows.add(r * halves + b);
                let bits = _mm256_add_epi8(_mm256_load_si256(at), beyond[r]);
                let w = _mm256_blendv_epi8(_mm256_shuffle_epi8(weights, bits), seventeenth, bits);
                let w = _mm256_and_si256(w, present);
                _mm256_store_si256(at, w);
                sums[r] = _mm256_add_epi64(sums[r], _mm256_sad_epu8(w, zero));
            }
        }
        let mut totals = [0; QUERIES];
        for r in 0..QUERIES {
            let sum = _mm_add_epi64(_mm256_castsi256_si128(sums[r]), _mm256_extracti128_si256::<1>(sums[r]));
            totals[r] = _mm_cvtsi128_si32(_mm_add_epi64(sum, _mm_unpackhi_epi64(sum, sum))) as u32;
        }
        totals
    }
}
