//! A block of a product by dot products of pairs of bf16 (AVX-512 BF16), for processors that have no tiles.
//!
//! Factors lie in tiles as [`super::pack`] makes them. A row of a right tile, a pair of values for each of 16 columns, is
//! one register; a pair of a left tile is copied to all of its lanes.

use super::unit::{Block, Factor, From, Step};
use std::arch::x86_64::*;

/// Rows of the result that are summed at a time: with two registers of columns each, 16 sums hide the latency of an
/// instruction and leave room for both factors.
const ROWS: usize = 8;

/// See [`super::unit::Unit::block`].
///
/// # Safety
/// The processor has AVX-512 F and BF16; the rest as there.
#[target_feature(enable = "avx512f,avx512bf16")]
pub(super) unsafe fn block(Block { steps, left, right, from, to, to_stride }: Block) {
    let Factor(left, left_stride) = left;
    // SAFETY: as the caller vouches: two halves of 16 rows, each in two parts of `ROWS`.
    unsafe {
        for half in [1, 0] {
            for first in [0, ROWS] {
                let start = match from {
                    From::Zero => None,
                    From::Rows(pieces, stride) => Some((pieces[half].add(first * stride), stride)),
                };
                let left = (left[half].add(first * left_stride), left_stride);
                rows(steps, left, right, start, to[half].add(first * to_stride), to_stride);
            }
        }
    }
}

/// # Safety
/// As [`block`], for `ROWS` rows of the left factor and of the result.
#[inline]
#[target_feature(enable = "avx512f,avx512bf16")]
unsafe fn rows(
    steps: &[Step],
    (left, left_stride): (*const u8, usize),
    Factor(right, right_stride): Factor,
    start: Option<(*const f32, usize)>,
    to: *mut f32,
    to_stride: usize,
) {
    let mut sums = [[_mm512_setzero_ps(); 2]; ROWS];
    // SAFETY: the caller vouches for the pointers; any 64 bytes are 32 values of bf16.
    unsafe {
        if let Some((from, stride)) = start {
            for (r, sums) in sums.iter_mut().enumerate() {
                let row = from.add(r * stride);
                *sums = [_mm512_loadu_ps(row), _mm512_loadu_ps(row.add(16))];
            }
        }
        for step in steps {
            let left = left.add(step.left);
            for pair in 0..16 {
                let at = step.right + pair * right_stride;
                let columns =
                    right.map(|half| std::mem::transmute::<__m512i, __m512bh>(_mm512_loadu_si512(half.add(at).cast())));
                for (r, sums) in sums.iter_mut().enumerate() {
                    let both = left.add(r * left_stride + 4 * pair).cast::<i32>().read_unaligned();
                    let both = std::mem::transmute::<__m512i, __m512bh>(_mm512_set1_epi32(both));
                    sums[0] = _mm512_dpbf16_ps(sums[0], both, columns[0]);
                    sums[1] = _mm512_dpbf16_ps(sums[1], both, columns[1]);
                }
            }
        }
        for (r, sums) in sums.into_iter().enumerate() {
            let row = to.add(r * to_stride);
            _mm512_storeu_ps(row, sums[0]);
            _mm512_storeu_ps(row.add(16), sums[1]);
        }
    }
}
