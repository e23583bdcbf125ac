//! The engine's product of bf16: a weight matrix that is packed once, and rows that are converted on the way.
//!
//! Two inputs are multiplied and added at once for each of sixteen outputs, so that a product takes half of the instructions
//! of one in f32.

use crate::Isa;
use crate::ops::padded;
use crate::ops::product::Epilogue;
use half::bf16;

/// Outputs of a panel: a register of sums.
const PANEL: usize = 16;

/// A pair of inputs for the outputs of a panel: the first in the low half.
#[repr(C, align(64))]
#[derive(Clone, Copy, Debug, PartialEq)]
struct Pairs([u32; PANEL]);

/// A weight matrix `[inputs, outputs]` in bf16, with its bias in f32.
#[derive(Clone, Debug, PartialEq)]
pub struct PackedBf16 {
    inputs: usize,
    outputs: usize,
    /// `[panels, pairs of inputs]`; zeros past the matrix.
    pairs: Vec<Pairs>,
    /// Padded to panels.
    bias: Vec<f32>,
}

impl PackedBf16 {
    /// Rounds a matrix to the nearest bf16; without a bias it is zero.
    pub fn new(weight: &[f32], bias: Option<&[f32]>, inputs: usize, outputs: usize) -> Self {
        assert_eq!(weight.len(), inputs * outputs, "weight of {inputs}x{outputs}");
        let (columns, pairs) = (padded(outputs), inputs.div_ceil(2));
        let mut packed =
            Self { inputs, outputs, pairs: vec![Pairs([0; PANEL]); columns / PANEL * pairs], bias: vec![0.0; columns] };
        for (i, value) in weight.iter().enumerate() {
            let (row, column) = (i / outputs, i % outputs);
            let bits = u32::from(bf16::from_f32(*value).to_bits());
            packed.pairs[column / PANEL * pairs + row / 2].0[column % PANEL] |= bits << (16 * (row % 2));
        }
        if let Some(bias) = bias {
            assert_eq!(bias.len(), outputs, "bias of {inputs}x{outputs}");
            packed.bias[..outputs].copy_from_slice(bias);
        }
        packed
    }

    /// Rows of the matrix.
    pub fn inputs(&self) -> usize {
        self.inputs
    }

    /// Columns of the matrix.
    pub fn outputs(&self) -> usize {
        self.outputs
    }
}

/// `y = x · W + b` for rows of `x` rounded to bf16, summed in f32.
///
/// # Shapes
/// As [`product`](crate::ops::product::product).
///
/// # Panics
/// If `isa` has no products of bf16.
pub fn product_bf16(
    isa: Isa,
    rows: usize,
    x: &[f32],
    x_stride: usize,
    weight: &PackedBf16,
    y: &mut [f32],
    y_stride: usize,
    epilogue: Epilogue,
) {
    assert!(isa.has_bf16(), "no products of bf16 with {isa}");
    if rows == 0 {
        return;
    }
    let columns = padded(weight.outputs);
    assert!(x.len() >= (rows - 1) * x_stride + weight.inputs, "{} values of x for {rows} rows", x.len());
    assert!(rows == 1 || y_stride >= columns, "rows of y {y_stride} apart, {columns} columns written");
    assert!(y.len() >= (rows - 1) * y_stride + columns, "{} values of y for {rows} rows", y.len());
    #[cfg(target_arch = "x86_64")]
    // SAFETY: the instructions are there, and the slices were just measured.
    unsafe {
        x86::product(rows, x, x_stride, weight, y.as_mut_ptr(), y_stride, epilogue);
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::{PANEL, PackedBf16};
    use crate::ops::product::Epilogue;
    use std::arch::x86_64::*;
    use std::cell::RefCell;

    /// Rows that are converted together; their pairs stay in the first cache.
    const ROWS: usize = 48;

    /// # Safety
    /// The processor has AVX-512 F, BW and BF16; `x` has `rows` rows, and `y` as many of the padded outputs.
    #[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
    pub(super) unsafe fn product(
        rows: usize,
        x: &[f32],
        x_stride: usize,
        weight: &PackedBf16,
        y: *mut f32,
        y_stride: usize,
        epilogue: Epilogue,
    ) {
        thread_local!(static PAIRS: RefCell<Vec<u32>> = const { RefCell::new(Vec::new()) });
        let (count, panels) = (weight.inputs.div_ceil(2), weight.bias.len() / PANEL);
        let stride = count.next_multiple_of(PANEL);
        PAIRS.with_borrow_mut(|pairs| {
            pairs.resize(pairs.len().max(ROWS * stride), 0);
            for first in (0..rows).step_by(ROWS) {
                let some = ROWS.min(rows - first);
                // SAFETY: as the caller vouches; there is room for the pairs of `ROWS` rows.
                unsafe {
                    for r in 0..some {
                        let row = x.as_ptr().add((first + r) * x_stride);
                        convert(row, weight.inputs, pairs.as_mut_ptr().add(r * stride));
                    }
                    let y = y.add(first * y_stride);
                    let mut panel = 0;
                    while panel < panels {
                        let place = Place { x: pairs.as_ptr(), x_stride: stride, count, weight, panel, y, y_stride };
                        panel += match panels - panel {
                            1 => rows_of::<8, 1>(place, some, epilogue),
                            2 | 3 => rows_of::<8, 2>(place, some, epilogue),
                            _ => rows_of::<4, 4>(place, some, epilogue),
                        };
                    }
                }
            }
        });
    }

    /// Pairs of a row's values, rounded to nearest even; a last value without a partner is with zero.
    ///
    /// # Safety
    /// As [`product`]; `n` values at `x`, and room for as many pairs as fill whole registers.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
    unsafe fn convert(x: *const f32, n: usize, to: *mut u32) {
        for at in (0..n).step_by(32) {
            // The first values of each half that are there.
            let lanes = |from: usize| ((1u32 << n.saturating_sub(from).min(16)) - 1) as __mmask16;
            // SAFETY: only values of the row are read; both kinds of registers are 512 bits; there is room as the caller says.
            unsafe {
                let low = _mm512_maskz_loadu_ps(lanes(at), x.add(at));
                let high = _mm512_maskz_loadu_ps(lanes(at + 16), x.wrapping_add(at + 16));
                let pairs = std::mem::transmute::<__m512bh, __m512i>(_mm512_cvtne2ps_pbh(high, low));
                _mm512_storeu_si512(to.add(at / 2).cast(), pairs);
            }
        }
    }

    /// Some panels at all rows.
    #[derive(Clone, Copy)]
    struct Place<'a> {
        x: *const u32,
        x_stride: usize,
        /// Pairs of inputs.
        count: usize,
        weight: &'a PackedBf16,
        /// First panel.
        panel: usize,
        y: *mut f32,
        y_stride: usize,
    }

    /// `NV` panels at all rows; returns `NV`.
    ///
    /// # Safety
    /// As [`product`]; the panels are there.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
    unsafe fn rows_of<const MR: usize, const NV: usize>(place: Place, rows: usize, epilogue: Epilogue) -> usize {
        let mut r = 0;
        // SAFETY: each tile covers rows below `rows`.
        unsafe {
            while r + MR <= rows {
                tile::<MR, NV>(place, r, epilogue);
                r += MR;
            }
            while r + 2 <= rows {
                tile::<2, NV>(place, r, epilogue);
                r += 2;
            }
            if r < rows {
                tile::<1, NV>(place, r, epilogue);
            }
        }
        NV
    }

    /// # Safety
    /// As [`product`]; `MR` rows from `first` on and `NV` panels are there.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
    unsafe fn tile<const MR: usize, const NV: usize>(place: Place, first: usize, epilogue: Epilogue) {
        let Place { x, x_stride, count, weight, panel, y, y_stride } = place;
        // SAFETY: as the caller vouches; both kinds of registers are 512 bits.
        unsafe {
            let x = x.add(first * x_stride);
            let mut sum = [[_mm512_setzero_ps(); NV]; MR];
            for v in 0..NV {
                let bias = _mm512_loadu_ps(weight.bias.as_ptr().add((panel + v) * PANEL));
                for r in 0..MR {
                    sum[r][v] = bias;
                }
            }
            let blocks = weight.pairs.as_ptr().add(panel * count);
            for pair in 0..count {
                let mut w = [_mm512_setzero_si512(); NV];
                for v in 0..NV {
                    w[v] = _mm512_load_si512(blocks.add(v * count + pair).cast());
                }
                for r in 0..MR {
                    let both = _mm512_set1_epi32(*x.add(r * x_stride + pair) as i32);
                    let both = std::mem::transmute::<__m512i, __m512bh>(both);
                    for v in 0..NV {
                        sum[r][v] = _mm512_dpbf16_ps(sum[r][v], both, std::mem::transmute::<__m512i, __m512bh>(w[v]));
                    }
                }
            }
            for r in 0..MR {
                for v in 0..NV {
                    let out = y.add((first + r) * y_stride + (panel + v) * PANEL);
                    let value = match epilogue {
                        Epilogue::Store => sum[r][v],
                        Epilogue::Relu => _mm512_max_ps(sum[r][v], _mm512_setzero_ps()),
                        Epilogue::Add => _mm512_add_ps(sum[r][v], _mm512_loadu_ps(out)),
                    };
                    _mm512_storeu_ps(out, value);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::product::{Packed, product};

    /// Against the f32 product of rounded factors, whose products are exact: sums differ by their order alone.
    #[test]
    fn equals_the_f32_product_of_rounded_factors() {
        let isa = Isa::detect();
        if !isa.has_bf16() {
            return;
        }
        let value = |i: usize| bf16::from_f32(((i * 7919) % 1009) as f32 / 504.5 - 1.0).to_f32();
        for (rows, inputs, outputs) in [(0, 3, 5), (1, 1, 1), (7, 31, 17), (48, 64, 64), (49, 72, 130), (13, 33, 48)] {
            let (x_stride, y_stride) = (inputs + 3, padded(outputs) + 5);
            let x: Vec<f32> = (0..rows * x_stride).map(value).collect();
            let weight: Vec<f32> = (0..inputs * outputs).map(|i| value(i + 11)).collect();
            let bias: Vec<f32> = (0..outputs).map(|i| value(i + 5)).collect();
            for epilogue in [Epilogue::Store, Epilogue::Relu, Epilogue::Add] {
                let start: Vec<f32> = (0..rows * y_stride).map(|i| value(i + 3)).collect();
                let (mut got, mut want) = (start.clone(), start);
                let packed = PackedBf16::new(&weight, Some(&bias), inputs, outputs);
                assert_eq!((packed.inputs(), packed.outputs()), (inputs, outputs));
                product_bf16(isa, rows, &x, x_stride, &packed, &mut got, y_stride, epilogue);
                let packed = Packed::new(&weight, Some(&bias), inputs, outputs);
                product(isa, rows, &x, x_stride, &packed, &mut want, y_stride, epilogue);
                for (i, (got, want)) in got.iter().zip(&want).enumerate() {
                    assert!((got - want).abs() < 2e-5, "{rows}x{inputs}x{outputs} {epilogue:?} {i}: {got}, {want}");
                }
            }
        }
    }
}
