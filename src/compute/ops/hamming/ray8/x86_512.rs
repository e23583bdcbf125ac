//! The kernel with AVX-512 and its dot products of bytes: a block of keys is one register, and so is a group of values.

use super::head::{BLOCK, GROUP, Head, Weights};
use super::x86::DISTANCES;
use super::{CHANNELS, QUERIES, Table};
use std::arch::x86_64::*;

/// [`Head::attend`].
///
/// # Safety
/// `weights` has all blocks of all queries.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
pub unsafe fn attend(
    head: &Head,
    queries: [u16; QUERIES],
    table: &Table,
    weights: &mut [Weights],
    y: &mut [[f32; CHANNELS]; QUERIES],
) -> [u32; QUERIES] {
    let apart = head.blocks() * (BLOCK / GROUP);
    // SAFETY: `weights` as the caller says.
    let totals = unsafe { weigh(head, queries, table, weights.as_mut_ptr().cast()) };
    // Even and odd groups have sums of their own: eight under way hide the time that a product takes.
    let mut sums = [[_mm512_setzero_si512(); QUERIES]; 2];
    let row = weights.as_ptr().cast::<i32>();
    let pairs = head.values.chunks_exact(2);
    let rest = pairs.remainder();
    // SAFETY: a group of values is one register; a row of weights has four bytes for each group.
    let weight = |r: usize, g: usize| unsafe { _mm512_set1_epi32(*row.add(r * apart + g)) };
    for (g, pair) in pairs.enumerate() {
        for i in 0..2 {
            // SAFETY: as above.
            let values = unsafe { _mm512_load_si512(pair[i].0.as_ptr().cast()) };
            for r in 0..QUERIES {
                sums[i][r] = _mm512_dpbusd_epi32(sums[i][r], weight(r, 2 * g + i), values);
            }
        }
    }
    for values in rest {
        // SAFETY: as above.
        let values = unsafe { _mm512_load_si512(values.0.as_ptr().cast()) };
        for r in 0..QUERIES {
            sums[0][r] = _mm512_dpbusd_epi32(sums[0][r], weight(r, head.values.len() - 1), values);
        }
    }
    // SAFETY: 16 channels are one register.
    let scale = unsafe { _mm512_loadu_ps(head.scale.as_ptr()) };
    for r in 0..QUERIES {
        let factor = _mm512_set1_ps(table.one / totals[r] as f32);
        let mean = _mm512_mul_ps(_mm512_cvtepi32_ps(_mm512_add_epi32(sums[0][r], sums[1][r])), factor);
        // SAFETY: as above.
        unsafe { _mm512_storeu_ps(y[r].as_mut_ptr(), _mm512_mul_ps(mean, scale)) };
    }
    totals
}

/// Weights of all queries and their sums.
///
/// # Safety
/// `rows` has room for all blocks of all queries.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
unsafe fn weigh(head: &Head, queries: [u16; QUERIES], table: &Table, rows: *mut __m512i) -> [u32; QUERIES] {
    let blocks = head.blocks();
    // SAFETY: tables of 16 bytes, one register of `present`, four for each block of keys; `rows` as the caller says.
    unsafe {
        let four = |p: *const u8| _mm512_broadcast_i32x4(_mm_loadu_si128(p.cast()));
        let mut distances = [[_mm512_setzero_si512(); 4]; QUERIES];
        for r in 0..QUERIES {
            for p in 0..4 {
                distances[r][p] = four(DISTANCES.0[usize::from(queries[r] >> (4 * p)) & 15].as_ptr());
            }
        }
        let mut least = [_mm512_set1_epi8(CHANNELS as i8); QUERIES];
        for (b, keys) in head.keys.iter().enumerate() {
            let keys = keys.0.as_ptr().cast::<__m512i>();
            let keys = [
                _mm512_load_si512(keys),
                _mm512_load_si512(keys.add(1)),
                _mm512_load_si512(keys.add(2)),
                _mm512_load_si512(keys.add(3)),
            ];
            for r in 0..QUERIES {
                let low = _mm512_add_epi8(
                    _mm512_shuffle_epi8(distances[r][0], keys[0]),
                    _mm512_shuffle_epi8(distances[r][1], keys[1]),
                );
                let high = _mm512_add_epi8(
                    _mm512_shuffle_epi8(distances[r][2], keys[2]),
                    _mm512_shuffle_epi8(distances[r][3], keys[3]),
                );
                let bits = _mm512_add_epi8(low, high);
                least[r] = _mm512_min_epu8(least[r], bits);
                _mm512_store_si512(rows.add(r * blocks + b), bits);
            }
        }
        let mut beyond = [_mm512_setzero_si512(); QUERIES];
        for r in 0..QUERIES {
            let half = _mm256_min_epu8(_mm512_castsi512_si256(least[r]), _mm512_extracti64x4_epi64::<1>(least[r]));
            let least = _mm_min_epu8(_mm256_castsi256_si128(half), _mm256_extracti128_si256::<1>(half));
            let least = _mm_minpos_epu16(_mm_min_epu8(least, _mm_srli_epi16::<8>(least)));
            // As with AVX2: 112 to 128 for 0 to 16 bits beyond the least, whose sign chooses the seventeenth weight.
            beyond[r] = _mm512_sub_epi8(_mm512_set1_epi8(112), _mm512_broadcastb_epi8(least));
        }
        let mut sums = [_mm512_setzero_si512(); QUERIES];
        let weights = four(table.weights.as_ptr());
        let seventeenth = _mm512_set1_epi8(table.weights[16] as i8);
        let last = _mm512_load_si512(head.present.0.as_ptr().cast());
        for b in 0..blocks {
            for r in 0..QUERIES {
                let at = rows.add(r * blocks + b);
                let bits = _mm512_add_epi8(_mm512_load_si512(at), beyond[r]);
                let w =
                    _mm512_mask_mov_epi8(_mm512_shuffle_epi8(weights, bits), _mm512_movepi8_mask(bits), seventeenth);
                let w = if b == blocks - 1 { _mm512_and_si512(w, last) } else { w };
                _mm512_store_si512(at, w);
                sums[r] = _mm512_add_epi64(sums[r], _mm512_sad_epu8(w, _mm512_setzero_si512()));
            }
        }
        let mut totals = [0; QUERIES];
        for r in 0..QUERIES {
            totals[r] = _mm512_reduce_add_epi64(sums[r]) as u32;
        }
        totals
    }
}
