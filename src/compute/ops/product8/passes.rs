//! The two passes over a row that is quantised, for each instruction set.

use super::lanes::Portable;

/// One pass for the largest magnitude of a row, one to write its bytes.
///
/// # Safety
/// Every method may only be called where the instructions of the implementing type are available.
pub(in crate::ops) unsafe trait Passes {
    /// Writes `x · factor` to the nearest integer, as bytes; `out` is as long as `x` rounded up to a multiple of eight,
    /// and what lies past `x` gets the byte of zero.
    ///
    /// # Safety
    /// See the trait.
    unsafe fn convert<const SIGNED: bool>(x: &[f32], factor: f32, out: &mut [u8]);

    /// Rows whose largest magnitudes are found together.
    const MANY: usize;

    /// The largest of the bit patterns without sign of each of the first [`Passes::MANY`] rows, `width` values each: that of the
    /// largest magnitude, or one past every finite number.
    ///
    /// # Safety
    /// See the trait; there are as many values at each pointer.
    unsafe fn largest_bits_of(rows: &[*const f32; 16], width: usize) -> [u32; 16];
}

// SAFETY: plain Rust.
unsafe impl Passes for Portable {
    #[inline(always)]
    unsafe fn convert<const SIGNED: bool>(x: &[f32], factor: f32, out: &mut [u8]) {
        // Added to a small number, 1.5 · 2^23 leaves its nearest even integer in the low bits: SSE2 has no rounding.
        const MAGIC: f32 = 12_582_912.0;
        let (used, rest) = out.split_at_mut(x.len());
        for (v, byte) in x.iter().zip(used) {
            let integer = (v * factor + MAGIC).to_bits() as i32 - MAGIC.to_bits() as i32;
            *byte = if SIGNED { integer + 128 } else { integer.max(0) } as u8;
        }
        rest.fill(if SIGNED { 128 } else { 0 });
    }

    const MANY: usize = 1;

    #[inline(always)]
    unsafe fn largest_bits_of(rows: &[*const f32; 16], width: usize) -> [u32; 16] {
        // SAFETY: as the caller says.
        let row = unsafe { std::slice::from_raw_parts(rows[0], width) };
        let mut largest = [0; 16];
        largest[0] = row.iter().fold(0, |largest: i32, v| largest.max(v.abs().to_bits() as i32)) as u32;
        largest
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::Passes;
    use crate::ops::product8::lanes::{Avx2, Avx512};
    use crate::simd::{turn8, turn16};
    use std::arch::x86_64::*;

    /// A window of eight values that starts at `8 − n` selects `n` lanes.
    static FIRST_LANES: [i32; 16] = [-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0];

    /// Up to eight values, zeros after them.
    ///
    /// # Safety
    /// AVX2 is available.
    #[inline(always)]
    unsafe fn load_upto8(x: &[f32]) -> __m256 {
        // SAFETY: only lanes of `x` are read; the window ends within the table.
        unsafe {
            let lanes = _mm256_loadu_si256(FIRST_LANES.as_ptr().add(8 - x.len().min(8)).cast());
            _mm256_maskload_ps(x.as_ptr(), lanes)
        }
    }

    // SAFETY: the caller of each method vouches for the instructions.
    unsafe impl Passes for Avx2 {
        #[inline(always)]
        unsafe fn convert<const SIGNED: bool>(x: &[f32], factor: f32, out: &mut [u8]) {
            // SAFETY: stores stay within `out`, which is `x` rounded up to a multiple of eight.
            unsafe {
                let factor = _mm256_set1_ps(factor);
                let chunks = x.chunks_exact(32);
                let rest = chunks.remainder();
                let mut to = out.as_mut_ptr();
                for chunk in chunks {
                    let mut words = [_mm256_setzero_si256(); 4];
                    for (i, words) in words.iter_mut().enumerate() {
                        *words = _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_loadu_ps(chunk.as_ptr().add(8 * i)), factor));
                    }
                    let (a, b) = (_mm256_packs_epi32(words[0], words[1]), _mm256_packs_epi32(words[2], words[3]));
                    let bytes = if SIGNED {
                        _mm256_xor_si256(_mm256_packs_epi16(a, b), _mm256_set1_epi8(i8::MIN))
                    } else {
                        _mm256_packus_epi16(a, b)
                    };
                    // Packing works in halves of a register and leaves the groups of four interleaved.
                    let order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
                    _mm256_storeu_si256(to.cast(), _mm256_permutevar8x32_epi32(bytes, order));
                    to = to.add(32);
                }
                for chunk in rest.chunks(8) {
                    let words = _mm256_cvtps_epi32(_mm256_mul_ps(load_upto8(chunk), factor));
                    let a = _mm_packs_epi32(_mm256_castsi256_si128(words), _mm256_extracti128_si256::<1>(words));
                    let bytes = if SIGNED {
                        _mm_xor_si128(_mm_packs_epi16(a, a), _mm_set1_epi8(i8::MIN))
                    } else {
                        _mm_packus_epi16(a, a)
                    };
                    _mm_storel_epi64(to.cast(), bytes);
                    to = to.add(8);
                }
            }
        }

        const MANY: usize = 8;

        #[inline(always)]
        unsafe fn largest_bits_of(rows: &[*const f32; 16], width: usize) -> [u32; 16] {
            // SAFETY: only values of the rows are read.
            unsafe {
                let no_sign = _mm256_set1_epi32(0x7fff_ffff);
                let whole = width / 8 * 8;
                let mut parts = [_mm256_setzero_si256(); 8];
                for r in 0..8 {
                    let mut largest = _mm256_setzero_si256();
                    for i in (0..whole).step_by(8) {
                        let bits = _mm256_loadu_si256(rows[r].add(i).cast());
                        largest = _mm256_max_epi32(largest, _mm256_and_si256(bits, no_sign));
                    }
                    if whole < width {
                        let rest = std::slice::from_raw_parts(rows[r].add(whole), width - whole);
                        let bits = _mm256_castps_si256(load_upto8(rest));
                        largest = _mm256_max_epi32(largest, _mm256_and_si256(bits, no_sign));
                    }
                    parts[r] = largest;
                }
                let mut out = [0; 16];
                _mm256_storeu_si256(out.as_mut_ptr().cast(), turned_max8(&parts));
                out
            }
        }
    }

    /// The larger of two bit patterns in each lane.
    ///
    /// # Safety
    /// AVX2 is available.
    #[inline(always)]
    unsafe fn max_bits8(a: __m256, b: __m256) -> __m256 {
        // SAFETY: the caller vouches for the instructions.
        unsafe { _mm256_castsi256_ps(_mm256_max_epi32(_mm256_castps_si256(a), _mm256_castps_si256(b))) }
    }

    /// The largest lane of each of eight registers, that of register `i` in lane `i`.
    ///
    /// # Safety
    /// AVX2 is available.
    #[inline(always)]
    unsafe fn turned_max8(parts: &[__m256i; 8]) -> __m256i {
        // SAFETY: the caller vouches for the instructions.
        unsafe {
            let mut floats = [_mm256_setzero_ps(); 8];
            for i in 0..8 {
                floats[i] = _mm256_castsi256_ps(parts[i]);
            }
            _mm256_castps_si256(turn8!(floats, max_bits8))
        }
    }

    /// Values that fill four registers, and their bytes one.
    const FOUR: usize = 64;

    /// Up to sixteen values, zeros after them.
    ///
    /// # Safety
    /// AVX-512 is available.
    #[inline(always)]
    unsafe fn load_upto16(x: &[f32]) -> __m512 {
        let lanes = (u32::MAX >> (32 - x.len().min(16))) as __mmask16;
        // SAFETY: only lanes of `x` are read.
        unsafe { _mm512_maskz_loadu_ps(lanes, x.as_ptr()) }
    }

    // SAFETY: the caller of each method vouches for the instructions.
    unsafe impl Passes for Avx512 {
        #[inline(always)]
        unsafe fn convert<const SIGNED: bool>(x: &[f32], factor: f32, out: &mut [u8]) {
            // SAFETY: loads and stores stay within the chunks; `out` is `x` rounded up to a multiple of eight.
            unsafe {
                let factor = _mm512_set1_ps(factor);
                // Packing works in quarters of a register and leaves the groups of four interleaved.
                let order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
                let order_of_half = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 0, 0, 0, 0, 0, 0, 0, 0);
                let chunks = x.chunks_exact(FOUR);
                let rest = chunks.remainder();
                let done = x.len() - rest.len();
                for (chunk, out) in chunks.zip(out.chunks_exact_mut(FOUR)) {
                    let words: [__m512i; 4] = std::array::from_fn(|i| {
                        _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_loadu_ps(chunk.as_ptr().add(16 * i)), factor))
                    });
                    let (a, b) = (_mm512_packs_epi32(words[0], words[1]), _mm512_packs_epi32(words[2], words[3]));
                    let bytes = if SIGNED {
                        _mm512_xor_si512(_mm512_packs_epi16(a, b), _mm512_set1_epi8(i8::MIN))
                    } else {
                        _mm512_packus_epi16(a, b)
                    };
                    _mm512_storeu_si512(out.as_mut_ptr().cast(), _mm512_permutexvar_epi32(order, bytes));
                }
                // Half a register, which rows of 32 channels are.
                let half = if rest.len() >= 32 { 32 } else { 0 };
                if half > 0 {
                    let words: [__m512i; 2] = std::array::from_fn(|i| {
                        _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_loadu_ps(rest.as_ptr().add(16 * i)), factor))
                    });
                    let both = _mm512_packs_epi32(words[0], words[1]);
                    let bytes = if SIGNED {
                        _mm512_xor_si512(_mm512_packs_epi16(both, both), _mm512_set1_epi8(i8::MIN))
                    } else {
                        _mm512_packus_epi16(both, both)
                    };
                    let bytes = _mm512_castsi512_si256(_mm512_permutexvar_epi32(order_of_half, bytes));
                    _mm256_storeu_si256(out[done..done + half].as_mut_ptr().cast(), bytes);
                }
                for (x, out) in rest[half..].chunks(16).zip(out[done + half..].chunks_mut(16)) {
                    let words = _mm512_cvtps_epi32(_mm512_mul_ps(load_upto16(x), factor));
                    let bytes = if SIGNED {
                        _mm_xor_si128(_mm512_cvtsepi32_epi8(words), _mm_set1_epi8(i8::MIN))
                    } else {
                        _mm512_cvtusepi32_epi8(_mm512_max_epi32(words, _mm512_setzero_si512()))
                    };
                    let lanes = (u32::MAX >> (32 - out.len())) as __mmask16;
                    _mm_mask_storeu_epi8(out.as_mut_ptr().cast(), lanes, bytes);
                }
            }
        }

        const MANY: usize = 16;

        #[inline(always)]
        unsafe fn largest_bits_of(rows: &[*const f32; 16], width: usize) -> [u32; 16] {
            // SAFETY: only values of the rows are read.
            unsafe {
                let no_sign = _mm512_set1_epi32(0x7fff_ffff);
                let whole = width / 16 * 16;
                let mut parts = [_mm512_setzero_si512(); 16];
                for r in 0..16 {
                    let mut largest = _mm512_setzero_si512();
                    for i in (0..whole).step_by(16) {
                        let bits = _mm512_loadu_si512(rows[r].add(i).cast());
                        largest = _mm512_max_epi32(largest, _mm512_and_si512(bits, no_sign));
                    }
                    if whole < width {
                        let rest = std::slice::from_raw_parts(rows[r].add(whole), width - whole);
                        let bits = _mm512_castps_si512(load_upto16(rest));
                        largest = _mm512_max_epi32(largest, _mm512_and_si512(bits, no_sign));
                    }
                    parts[r] = largest;
                }
                let mut out = [0; 16];
                _mm512_storeu_si512(out.as_mut_ptr().cast(), turned_max16(&parts));
                out
            }
        }
    }

    /// The larger of two bit patterns in each lane.
    ///
    /// # Safety
    /// AVX-512 is available.
    #[inline(always)]
    unsafe fn max_bits16(a: __m512, b: __m512) -> __m512 {
        // SAFETY: the caller vouches for the instructions.
        unsafe { _mm512_castsi512_ps(_mm512_max_epi32(_mm512_castps_si512(a), _mm512_castps_si512(b))) }
    }

    /// The largest lane of each of sixteen registers, that of register `i` in lane `i`.
    ///
    /// # Safety
    /// AVX-512 is available.
    #[inline(always)]
    unsafe fn turned_max16(parts: &[__m512i; 16]) -> __m512i {
        // SAFETY: the caller vouches for the instructions.
        unsafe {
            let mut floats = [_mm512_setzero_ps(); 16];
            for i in 0..16 {
                floats[i] = _mm512_castsi512_ps(parts[i]);
            }
            _mm512_castps_si512(turn16!(floats, max_bits16))
        }
    }
}
