//! Register-tiled product. Twelve accumulators hide the latency of two FMA units: six rows by two registers of columns,
//! or twelve rows by one where a single register is left. Columns of padding are skipped by whole registers.

use super::{Epilogue, PANEL, Packed};
use crate::simd::Simd;

crate::simd_fn! {
    /// # Safety
    /// `x` has `rows` rows of `weight.inputs` values and `y` as many of [`crate::ops::padded`] outputs, each as far
    /// apart as its stride says.
    pub unsafe fn product(
        isa: Isa, rows: usize, x: &[f32], x_stride: usize, weight: &Packed, y: &mut [f32], y_stride: usize,
        epilogue: Epilogue,
    ) => kernel
}

/// # Safety
/// The instructions of `S` are available; the rest as [`product`].
#[inline(always)]
unsafe fn kernel<S: Simd>(
    rows: usize,
    x: &[f32],
    x_stride: usize,
    weight: &Packed,
    y: &mut [f32],
    y_stride: usize,
    epilogue: Epilogue,
) {
    let columns = weight.outputs.next_multiple_of(S::LANES);
    let padded = crate::ops::padded(weight.outputs);
    let mut first = 0;
    while first < columns {
        let width = PANEL.min(padded - first);
        let panel = &weight.panels[first * weight.inputs..][..width * weight.inputs];
        let mut at = 0;
        while at < width.min(columns - first) {
            // SAFETY: panels hold `inputs` rows of `width` columns, the bias and the rows of `y` are padded likewise.
            unsafe {
                let b = panel.as_ptr().add(at);
                let bias = weight.bias.as_ptr().add(first + at);
                let y = y.as_mut_ptr().add(first + at);
                let args = (weight.inputs, x.as_ptr(), x_stride, b, width, bias, y, y_stride, epilogue);
                if columns - first - at >= 2 * S::LANES && width - at >= 2 * S::LANES {
                    row_blocks::<S, 6, 2>(rows, args);
                    at += 2 * S::LANES;
                } else {
                    row_blocks::<S, 12, 1>(rows, args);
                    at += S::LANES;
                }
            }
        }
        first += width;
    }
}

type Args = (usize, *const f32, usize, *const f32, usize, *const f32, *mut f32, usize, Epilogue);

/// # Safety
/// As [`kernel`]; the pointers reach over all rows.
#[inline(always)]
unsafe fn row_blocks<S: Simd, const MR: usize, const NV: usize>(rows: usize, args: Args) {
    let (k, x, x_stride, b, b_stride, bias, y, y_stride, epilogue) = args;
    let mut r = 0;
    // SAFETY: each tile covers rows below `rows`.
    unsafe {
        let from =
            |r: usize| (k, x.add(r * x_stride), x_stride, b, b_stride, bias, y.add(r * y_stride), y_stride, epilogue);
        while r + MR <= rows {
            tile::<S, MR, NV>(from(r));
            r += MR;
        }
        if rows - r >= 6 {
            tile::<S, 6, NV>(from(r));
            r += 6;
        }
        match rows - r {
            1 => tile::<S, 1, NV>(from(r)),
            2 => tile::<S, 2, NV>(from(r)),
            3 => tile::<S, 3, NV>(from(r)),
            4 => tile::<S, 4, NV>(from(r)),
            5 => tile::<S, 5, NV>(from(r)),
            _ => {}
        }
    }
}

/// # Safety
/// As [`kernel`]; `MR` rows and `NV` registers of columns are there.
#[inline(always)]
unsafe fn tile<S: Simd, const MR: usize, const NV: usize>(args: Args) {
    let (k, x, x_stride, b, b_stride, bias, y, y_stride, epilogue) = args;
    // SAFETY: the caller vouches for the pointers.
    unsafe {
        let mut sum = [[S::splat(0.0); NV]; MR];
        for r in 0..MR {
            for v in 0..NV {
                sum[r][v] = S::load(bias.add(v * S::LANES));
            }
        }
        for i in 0..k {
            let mut row = [S::splat(0.0); NV];
            for v in 0..NV {
                row[v] = S::load(b.add(i * b_stride + v * S::LANES));
            }
            for r in 0..MR {
                let a = S::splat(*x.add(r * x_stride + i));
                for v in 0..NV {
                    sum[r][v] = S::fma(a, row[v], sum[r][v]);
                }
            }
        }
        for r in 0..MR {
            for v in 0..NV {
                let out = y.add(r * y_stride + v * S::LANES);
                let value = match epilogue {
                    Epilogue::Store => sum[r][v],
                    Epilogue::Relu => S::max(sum[r][v], S::splat(0.0)),
                    Epilogue::Add => S::add(sum[r][v], S::load(out)),
                };
                S::store(out, value);
            }
        }
    }
}
