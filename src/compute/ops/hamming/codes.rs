//! Codes: the signs of a row of channels as bits.

use crate::Isa;
use std::ops::Range;

/// Words of a code of `c` bits.
pub fn words(c: usize) -> usize {
    c.div_ceil(64)
}

/// Binary codes of rows: bit `i` of row `r` is `x[r][i] > 0`, so zero and NaN give 0; bits from `c` on are 0.
///
/// # Shapes
/// - `x`: `[rows, c]`, rows `stride` apart
/// - `out`: `[rows, words(c)]`; channel `i` is bit `i % 64` of word `i / 64`
pub fn pack_signs(isa: Isa, rows: usize, x: &[f32], stride: usize, c: usize, out: &mut [u64]) {
    let words = words(c);
    assert!(out.len() >= rows * words, "{} words for {rows} codes of {words}", out.len());
    if rows == 0 || c == 0 {
        return;
    }
    assert!(x.len() >= (rows - 1) * stride + c, "{} values for {rows} rows of {c}, {stride} apart", x.len());
    // SAFETY: the lengths were just measured.
    unsafe { pack(isa, x, stride, c, &mut out[..rows * words]) }
}

crate::simd_fn! {
    /// # Safety
    /// `x` has as many rows of `c > 0` values, `stride` apart, as `out` has codes.
    unsafe fn pack(isa: Isa, x: &[f32], stride: usize, c: usize, out: &mut [u64]) => {
        // SAFETY: the caller vouches for the rows.
        avx512 => unsafe { x86::pack_avx512(x, stride, c, out) },
        // SAFETY: as above.
        avx2 => unsafe { x86::pack_avx2(x, stride, c, out) },
        portable => plain(x, stride, c, out),
    }
}

fn plain(x: &[f32], stride: usize, c: usize, out: &mut [u64]) {
    for (r, code) in out.chunks_exact_mut(words(c)).enumerate() {
        for (word, values) in code.iter_mut().zip(x[r * stride..][..c].chunks(64)) {
            *word = values.iter().enumerate().fold(0, |bits, (i, v)| bits | u64::from(*v > 0.0) << i);
        }
    }
}

/// Bits `start .. start + d` of a code, `d` from 1 to 64.
#[inline(always)]
pub(super) fn field(code: &[u64], start: usize, d: usize) -> u64 {
    let (at, shift) = (start / 64, start % 64);
    let mut bits = code[at] >> shift;
    if shift + d > 64 {
        bits |= code[at + 1] << (64 - shift);
    }
    bits & (u64::MAX >> (64 - d))
}

/// Bits of `head` in which two codes differ; the product of the codes as ±1 is `head.len() − 2·hamming`.
pub fn hamming(q: &[u64], k: &[u64], head: Range<usize>) -> u32 {
    let end = head.end;
    head.step_by(64)
        .map(|start| {
            let d = (end - start).min(64);
            (field(q, start, d) ^ field(k, start, d)).count_ones()
        })
        .sum()
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    /// # Safety
    /// As [`super::pack`].
    #[target_feature(enable = "avx2")]
    pub unsafe fn pack_avx2(x: &[f32], stride: usize, c: usize, out: &mut [u64]) {
        let (words, zero) = (super::words(c), _mm256_setzero_ps());
        // Signs of the eight values at `p`.
        // SAFETY: every use below stays inside a row.
        let eight = |p: *const f32| unsafe {
            let mask = _mm256_movemask_ps(_mm256_cmp_ps::<_CMP_GT_OQ>(_mm256_loadu_ps(p), zero));
            u64::from(mask as u8)
        };
        for (r, code) in out.chunks_exact_mut(words).enumerate() {
            // SAFETY: the row is there.
            let row = unsafe { x.as_ptr().add(r * stride) };
            for (w, word) in code.iter_mut().enumerate() {
                let here = (c - 64 * w).min(64);
                // SAFETY: `here` values of the row are left.
                unsafe {
                    let p = row.add(64 * w);
                    let mut bits = 0;
                    if here == 64 {
                        for i in 0..8 {
                            bits |= eight(p.add(8 * i)) << (8 * i);
                        }
                    } else {
                        let whole = here / 8 * 8;
                        for i in (0..whole).step_by(8) {
                            bits |= eight(p.add(i)) << i;
                        }
                        for i in whole..here {
                            bits |= u64::from(*p.add(i) > 0.0) << i;
                        }
                    }
                    *word = bits;
                }
            }
        }
    }

    /// # Safety
    /// As [`pack_avx2`].
    #[target_feature(enable = "avx512f")]
    pub unsafe fn pack_avx512(x: &[f32], stride: usize, c: usize, out: &mut [u64]) {
        let (words, zero) = (super::words(c), _mm512_setzero_ps());
        for (r, code) in out.chunks_exact_mut(words).enumerate() {
            for (w, word) in code.iter_mut().enumerate() {
                let here = (c - 64 * w).min(64);
                let mut bits = 0;
                for i in (0..here).step_by(16) {
                    let present = u16::MAX >> (16 - (here - i).min(16));
                    // SAFETY: lanes beyond the row are not loaded.
                    let part = unsafe { _mm512_maskz_loadu_ps(present, x.as_ptr().add(r * stride + 64 * w + i)) };
                    bits |= u64::from(_mm512_cmp_ps_mask::<_CMP_GT_OQ>(part, zero)) << i;
                }
                *word = bits;
            }
        }
    }
}
