//! Factors of f32 become tiles of bf16: the left one row by row, the right one with two rows interleaved.
//!
//! A tile is 1 KiB. Of the left factor it holds 16 rows of 32 values; of the right factor 16 rows, each with values
//! `2i` and `2i + 1` of 16 columns side by side. One form is the transpose of the other in units of two values, so a
//! factor that lies transposed in memory is packed as the other one and transposed in registers.

use crate::Mat;
use std::arch::x86_64::*;

/// Values of a tile.
pub const TILE: usize = 512;

/// Packs rows `row ..` (16, those past the end are zero) and columns `k ..` (32) of `a`, times `alpha`, as a tile of a
/// left factor.
///
/// # Safety
/// The processor has AVX-512 F, BW and BF16; `out` is valid for [`TILE`] values and aligned to 64 bytes.
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
pub unsafe fn left(a: &Mat, row: usize, k: usize, alpha: f32, out: *mut u16) {
    let (rows, depth) = (a.rows() - row, a.cols() - k);
    // SAFETY: masks keep reads inside the matrix; the caller vouches for the rest.
    unsafe {
        if a.is_row_major() {
            let base = a.as_ptr().add(row * a.row_stride() + k);
            straight(base, a.row_stride(), rows, depth, alpha).store(out);
        } else {
            let base = a.as_ptr().add(k * a.col_stride() + row);
            paired(base, a.col_stride(), depth, rows, alpha).transposed().store(out);
        }
    }
}

/// Packs rows `k ..` (32) and columns `column ..` (16) of `b` as a tile of a right factor.
///
/// # Safety
/// As [`left`].
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
pub unsafe fn right(b: &Mat, k: usize, column: usize, out: *mut u16) {
    let (depth, columns) = (b.rows() - k, b.cols() - column);
    // SAFETY: masks keep reads inside the matrix; the caller vouches for the rest.
    unsafe {
        if b.is_row_major() {
            let base = b.as_ptr().add(k * b.row_stride() + column);
            paired(base, b.row_stride(), depth, columns, 1.0).store(out);
        } else {
            let base = b.as_ptr().add(column * b.col_stride() + k);
            straight(base, b.col_stride(), columns, depth, 1.0).transposed().store(out);
        }
    }
}

/// Converts values to bf16.
///
/// # Safety
/// The processor has AVX-512 F, BW and BF16; both slices have one length, a multiple of 32.
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
pub unsafe fn convert(from: &[f32], to: &mut [u16]) {
    assert_eq!((from.len(), from.len() % 32), (to.len(), 0), "values to convert");
    for (from, to) in from.chunks_exact(32).zip(to.chunks_exact_mut(32)) {
        // SAFETY: 32 values each.
        unsafe {
            let (first, second) = (_mm512_loadu_ps(from.as_ptr()), _mm512_loadu_ps(from.as_ptr().add(16)));
            let both = std::mem::transmute::<__m512bh, __m512i>(_mm512_cvtne2ps_pbh(second, first));
            _mm512_storeu_si512(to.as_mut_ptr().cast(), both);
        }
    }
}

/// Converts two rows of equal length to bf16, value by value side by side: `from[c]`, `from[row + c]`, ..
///
/// # Safety
/// As [`convert`].
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
pub unsafe fn interleave_rows(from: &[f32], to: &mut [u16]) {
    let row = from.len() / 2;
    assert_eq!((from.len(), row % 16), (to.len(), 0), "rows to interleave");
    for c in (0..row).step_by(16) {
        // SAFETY: two rows of 16 values lie there.
        unsafe {
            let order = _mm512_loadu_si512(INTERLEAVE.as_ptr().cast());
            let (first, second) = (_mm512_loadu_ps(from[c..].as_ptr()), _mm512_loadu_ps(from[row + c..].as_ptr()));
            let both = std::mem::transmute::<__m512bh, __m512i>(_mm512_cvtne2ps_pbh(second, first));
            _mm512_storeu_si512(to[2 * c..].as_mut_ptr().cast(), _mm512_permutexvar_epi16(order, both));
        }
    }
}

/// Transposes 32 rows of 16 values of bf16, rows `stride` apart, to 16 rows of 32, rows `out_stride` apart.
///
/// # Safety
/// The processor has AVX-512 F and BW; both hold that many rows.
#[target_feature(enable = "avx512f,avx512bw")]
pub unsafe fn transpose_pairs(from: *const u16, stride: usize, out: *mut u16, out_stride: usize) {
    // SAFETY: as the caller vouches.
    unsafe {
        let mut rows = [_mm512_setzero_si512(); 16];
        for (i, both) in rows.iter_mut().enumerate() {
            let row = |r: usize| _mm512_cvtepu16_epi32(_mm256_loadu_si256(from.add(r * stride).cast()));
            *both = _mm512_or_si512(row(2 * i), _mm512_slli_epi32::<16>(row(2 * i + 1)));
        }
        for (i, row) in Registers(rows).transposed().0.into_iter().enumerate() {
            _mm512_storeu_si512(out.add(i * out_stride).cast(), row);
        }
    }
}

/// Puts 16 values and 16 further ones in turn.
const INTERLEAVE: [u16; 32] = {
    let mut order = [0; 32];
    let mut i = 0;
    while i < 16 {
        order[2 * i] = i as u16;
        order[2 * i + 1] = i as u16 + 16;
        i += 1;
    }
    order
};

/// A tile in registers.
struct Registers([__m512i; 16]);

fn mask(count: usize) -> u16 {
    if count >= 16 { u16::MAX } else { (1u16 << count) - 1 }
}

/// 16 rows of 32 values each, `stride` apart, of which `rows` and `columns` exist.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
unsafe fn straight(base: *const f32, stride: usize, rows: usize, columns: usize, alpha: f32) -> Registers {
    let (low, high) = (mask(columns), mask(columns.saturating_sub(16)));
    let factor = _mm512_set1_ps(alpha);
    let mut out = [_mm512_setzero_si512(); 16];
    for (i, out) in out.iter_mut().enumerate().take(rows) {
        // SAFETY: masked lanes are not read.
        unsafe {
            let row = base.add(i * stride);
            let first = _mm512_mul_ps(_mm512_maskz_loadu_ps(low, row), factor);
            let second = _mm512_mul_ps(_mm512_maskz_loadu_ps(high, row.wrapping_add(16)), factor);
            *out = std::mem::transmute::<__m512bh, __m512i>(_mm512_cvtne2ps_pbh(second, first));
        }
    }
    Registers(out)
}

/// 32 rows of 16 values each, `stride` apart, of which `rows` and `columns` exist; two rows are interleaved.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
unsafe fn paired(base: *const f32, stride: usize, rows: usize, columns: usize, alpha: f32) -> Registers {
    let columns = mask(columns);
    let factor = _mm512_set1_ps(alpha);
    // SAFETY: the array has the size of a register; masked lanes are not read.
    unsafe {
        let order = _mm512_loadu_si512(INTERLEAVE.as_ptr().cast());
        let mut out = [_mm512_setzero_si512(); 16];
        for (i, out) in out.iter_mut().enumerate().take(rows.div_ceil(2)) {
            let row = base.add(2 * i * stride);
            let first = _mm512_mul_ps(_mm512_maskz_loadu_ps(columns, row), factor);
            let second = if 2 * i + 1 < rows { columns } else { 0 };
            let second = _mm512_mul_ps(_mm512_maskz_loadu_ps(second, row.wrapping_add(stride)), factor);
            let both = std::mem::transmute::<__m512bh, __m512i>(_mm512_cvtne2ps_pbh(second, first));
            *out = _mm512_permutexvar_epi16(order, both);
        }
        Registers(out)
    }
}

impl Registers {
    #[inline]
    #[target_feature(enable = "avx512f")]
    unsafe fn store(self, out: *mut u16) {
        for (i, register) in self.0.into_iter().enumerate() {
            // SAFETY: the caller vouches for `out`.
            unsafe { _mm512_store_si512(out.add(32 * i).cast(), register) };
        }
    }

    /// Transposes 16 by 16 units of 32 bits.
    #[inline]
    #[target_feature(enable = "avx512f")]
    fn transposed(self) -> Self {
        let r = self.0;
        let mut s = r;
        for i in 0..8 {
            s[2 * i] = _mm512_unpacklo_epi32(r[2 * i], r[2 * i + 1]);
            s[2 * i + 1] = _mm512_unpackhi_epi32(r[2 * i], r[2 * i + 1]);
        }
        let mut t = s;
        for i in 0..4 {
            t[4 * i] = _mm512_unpacklo_epi64(s[4 * i], s[4 * i + 2]);
            t[4 * i + 1] = _mm512_unpackhi_epi64(s[4 * i], s[4 * i + 2]);
            t[4 * i + 2] = _mm512_unpacklo_epi64(s[4 * i + 1], s[4 * i + 3]);
            t[4 * i + 3] = _mm512_unpackhi_epi64(s[4 * i + 1], s[4 * i + 3]);
        }
        let mut u = t;
        for i in 0..4 {
            u[i] = _mm512_shuffle_i32x4::<0x88>(t[i], t[4 + i]);
            u[4 + i] = _mm512_shuffle_i32x4::<0xDD>(t[i], t[4 + i]);
            u[8 + i] = _mm512_shuffle_i32x4::<0x88>(t[8 + i], t[12 + i]);
            u[12 + i] = _mm512_shuffle_i32x4::<0xDD>(t[8 + i], t[12 + i]);
        }
        let mut out = u;
        for i in 0..4 {
            out[i] = _mm512_shuffle_i32x4::<0x88>(u[i], u[8 + i]);
            out[8 + i] = _mm512_shuffle_i32x4::<0xDD>(u[i], u[8 + i]);
            out[4 + i] = _mm512_shuffle_i32x4::<0x88>(u[4 + i], u[12 + i]);
            out[12 + i] = _mm512_shuffle_i32x4::<0xDD>(u[4 + i], u[12 + i]);
        }
        Self(out)
    }
}
